import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { writeTinyChatModel } from '../../../test/engine/tiny-gguf.ts'
import { Cancel } from '../../core/cancel.ts'
import { Failure } from '../../core/errors.ts'
import { bytesOf } from '../../local-models/hub.fixture.ts'
import type { ModelStore } from '../../local-models/local-models.ts'
import { testFolder, testHub, testStore } from '../../local-models/store.fixture.ts'
import type { Desk } from '../../pipeline/desk.ts'
import type { Reply } from '../endpoint.ts'
import { localModelEndpoints } from './local-models.ts'

let chat: Buffer
beforeAll(async () => {
  const path = join(await testFolder(), 'chat.gguf')
  await writeTinyChatModel(path)
  chat = await readFile(path)
})

const LARGE = { partBytes: 1_000_000, journalBytes: 1_000_000 }
const REGISTRY = [{ id: 'org/tiny', modality: 'text', repository: 'org/repo', quantisation: 'Q4_K_M', licence: 'mit', approxBytes: 1 }]

type Sent = { params?: Record<string, string>; body?: unknown; headers?: Record<string, string> }

/** The endpoints over a store, with what was written into the audit. */
function admin(models: ModelStore): { call: (name: string, sent?: Sent) => Promise<Reply>; audited: string[]; cancel: Cancel } {
  const audited: string[] = []
  const all = localModelEndpoints({
    models,
    audit: {
      async done(_by, action, object, _details, deed) {
        audited.push(`${action} ${object}`)
        return deed()
      },
    },
  })
  const cancel = new Cancel()
  return {
    audited,
    cancel,
    async call(name, { params = {}, body, headers = {} } = {}) {
      const endpoint = all.find(({ method, path }) => `${method} ${path.replace('/admin/local-models', '')}`.trim() === name)
      if (!endpoint) throw new Error(`there is no ${name}`)
      const desk = { caller: { keyId: 'first' }, signal: cancel } as unknown as Desk
      return endpoint.handle({ params, query: undefined, body: endpoint.body?.parse(body), bodyBytes: 0, headers }, desk)
    },
  }
}

const bodyOf = (reply: Reply): unknown => (reply.type === 'json' ? reply.body : null)

async function eventsOf(reply: Reply): Promise<string[]> {
  const events: string[] = []
  if (reply.type === 'events')
    await reply.write({ send: (text) => void events.push(...text.split('\n\n').filter((event) => event !== '')) })
  return events
}

describe('/admin/local-models', () => {
  test('downloads, tells how far it is until it is here, verifies and deletes', async () => {
    const hub = await testHub({ 'org/repo/tiny-Q4_K_M.gguf': chat })
    const models = await testStore(hub, { models: REGISTRY, download: LARGE })
    const { call, audited } = admin(models)
    const params = { id: 'org/tiny' }

    const before = bodyOf(await call('POST', { body: { source: 'org/tiny', begin: false } }))
    const events = await eventsOf(await call('POST', { body: { source: 'org/tiny' }, headers: { accept: 'text/event-stream' } }))
    await models.look()
    const list = bodyOf(await call('GET'))
    const after = await eventsOf(await call('GET /{id}/progress', { params }))
    const verified = bodyOf(await call('POST /{id}/verify', { params }))
    const deleted = bodyOf(await call('DELETE /{id}', { params }))

    expect(before).toMatchObject({ data: { id: 'org/tiny', state: 'absent' } })
    expect(events.at(-1)).toBe('data: [DONE]')
    expect(JSON.parse(events.at(-2)?.slice(6) ?? '')).toMatchObject({ id: 'org/tiny', state: 'done', doneBytes: chat.length })
    expect(list).toMatchObject({
      data: [{ id: 'org/tiny', kind: 'text', sizeBytes: chat.length, loaded: false, problem: null }],
      downloads: [],
      registry: [{ id: 'org/tiny' }],
    })
    expect(after.length).toBe(2)
    expect(verified).toMatchObject({ data: { ok: true, files: [{ ok: true }] } })
    expect(deleted).toEqual({ data: { id: 'org/tiny', deleted: true } })
    expect(audited).toEqual(['local_model.pull org/tiny', 'local_model.delete org/tiny'])
  })

  test('pauses and resumes', async () => {
    const hub = await testHub({ 'org/repo/tiny-Q4_K_M.gguf': bytesOf(100_000, 1) })
    hub.handle = (request) => request.headers.range !== undefined
    const models = await testStore(hub, { models: REGISTRY })
    const { call } = admin(models)
    const params = { id: 'org/tiny' }

    await call('POST', { body: { source: 'org/tiny' } })
    while (models.pulls.get('org/tiny')?.status.state !== 'downloading') await new Promise(setImmediate)
    const paused = bodyOf(await call('POST /{id}/pause', { params }))
    const listed = bodyOf(await call('GET'))
    hub.handle = null
    const resumed = bodyOf(await call('POST /{id}/resume', { params }))
    await models.pulls.get('org/tiny')?.run()

    expect(paused).toMatchObject({ data: { state: 'paused' } })
    expect(listed).toMatchObject({ downloads: [{ id: 'org/tiny', state: 'paused' }] })
    expect(resumed).toMatchObject({ data: { state: 'listing' } })
    expect(models.pulls.get('org/tiny')?.status.state).toBe('done')
  })

  test('does not stop a download because its reader left', async () => {
    const hub = await testHub({ 'org/repo/tiny-Q4_K_M.gguf': chat })
    const models = await testStore(hub, { models: REGISTRY, download: LARGE })
    const { call, cancel } = admin(models)

    const reply = await call('POST', { body: { source: 'org/tiny' }, headers: { accept: 'text/event-stream' } })
    cancel.abort(null)
    await eventsOf(reply)
    const status = await models.pulls.get('org/tiny')?.run()

    expect(status?.state).toBe('done')
  })

  test('says of the registry what each model would need here, and downloads what is too large only where it is forced', async () => {
    const hub = await testHub({ 'org/repo/tiny-Q4_K_M.gguf': chat })
    const models = await testStore(hub, { models: REGISTRY, download: LARGE, memory: { budgetBytes: 1_000_000 } })
    const { call } = admin(models)
    const pull = async (more: object): Promise<unknown> => {
      await call('POST', { body: { source: 'org/tiny', ...more } })
      return models.pulls.get('org/tiny')?.run()
    }

    const list = bodyOf(await call('GET'))
    const [refused, forced] = [await pull({}), await pull({ force: true })]

    expect(list).toMatchObject({
      registry: [{ id: 'org/tiny', repository: 'org/repo', revision: 'main', fits: false, memoryIsLeast: true, memoryBytes: 167_772_161 }],
      memory: { budgetBytes: 1_000_000 },
    })
    expect(refused).toMatchObject({ state: 'failed', say: expect.stringMatching(/^org\/tiny needs at least .*"force": true/) })
    expect(forced).toMatchObject({ state: 'done' })
  })

  test.each([
    ['POST', { body: { source: '/etc/passwd' } }, 'INVALID_REQUEST', 'source'],
    ['POST', { body: { source: 'nobody' } }, 'INVALID_REQUEST', 'source'],
    ['POST', { body: { source: 'nobody', begin: false } }, 'MODEL_NOT_FOUND', 'id'],
    ['GET /{id}/progress', { params: { id: 'nobody' } }, 'MODEL_NOT_FOUND', 'id'],
    ['POST /{id}/pause', { params: { id: '../..' } }, 'MODEL_NOT_FOUND', 'id'],
    ['POST /{id}/verify', { params: { id: 'nobody' } }, 'MODEL_NOT_FOUND', 'id'],
    ['DELETE /{id}', { params: { id: '..' } }, 'MODEL_NOT_FOUND', 'id'],
  ])('%s %j is refused with %s', async (name, sent, code, param) => {
    const { call } = admin(await testStore(null, { models: REGISTRY }))

    const error = await call(name, sent).catch((thrown: unknown) => thrown)

    expect(error instanceof Failure && [error.code, error.param]).toEqual([code, param])
  })
})

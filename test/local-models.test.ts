import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type TestHub, startHub } from '../src/local-models/hub.fixture.ts'
import { writeTinyChatModel } from './engine/tiny-gguf.ts'
import { type Rialto, startRialto } from './harness/rialto.ts'
import { ask } from './harness/talk.ts'

const ROOT = dirname(import.meta.dirname)
const config = { 'local-models.json': { download: { allowPrivateAddresses: true, keepFreeBytes: 0, backoffMs: 1 } } }

let hub: TestHub
let rialto: Rialto
let chat: Buffer

beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'rialto-chat-'))
  await writeTinyChatModel(join(folder, 'a.gguf'))
  chat = await readFile(join(folder, 'a.gguf'))
  await rm(folder, { recursive: true })
  hub = await startHub({ 'org/repo/tiny-Q4_K_M.gguf': chat })
  rialto = await startRialto({ config, env: { HF_ENDPOINT: hub.url, HF_TOKEN: 'hf_marker_of_the_hub' } })
})
afterAll(async () => {
  await rialto?.stop()
  await hub?.close()
})

/** Asks the server until its list of local models is as wanted. */
async function listed(wanted: (ids: string[]) => boolean): Promise<string[]> {
  for (;;) {
    const answer = await ask(`${rialto.url}/admin/local-models`, { key: rialto.key })
    const ids = (answer.json()['data'] as { id: string }[]).map(({ id }) => id)
    if (wanted(ids)) return ids
    await pause(50)
  }
}

describe('local models of a running server', () => {
  test('come by an order of the operator, with progress as events, and go by another', async () => {
    const body = { source: 'hf.co/org/repo', id: 'org/by-api' }
    const begun = await ask(`${rialto.url}/admin/local-models`, { key: rialto.key, body, headers: { accept: 'text/event-stream' } })
    const ids = await listed((all) => all.includes('org/by-api'))
    const path = `${rialto.url}/admin/local-models/${encodeURIComponent('org/by-api')}`
    const verified = await ask(`${path}/verify`, { method: 'POST', key: rialto.key })
    const deleted = await ask(path, { method: 'DELETE', key: rialto.key })

    expect([begun.status, begun.headers.get('content-type')]).toEqual([200, expect.stringContaining('text/event-stream')])
    expect(begun.text).toMatch(/"state":"done".*\n\ndata: \[DONE\]\n\n$/)
    expect(ids).toEqual(['org/by-api'])
    expect(verified.json()).toMatchObject({ data: { ok: true } })
    expect(deleted.json()).toEqual({ data: { id: 'org/by-api', deleted: true } })
    expect(await listed(() => true)).toEqual([])
  })

  test('come by the command beside it, and are noticed without a restart', async () => {
    const env = { PATH: process.env['PATH'] ?? '', HOME: rialto.home, RIALTO_HOME: rialto.home, HF_ENDPOINT: hub.url }
    const own = join(rialto.home, 'own.gguf')
    await writeFile(own, chat)

    const child = spawn(process.execPath, [join(ROOT, 'scripts/models.mjs'), 'pull', own, '--as', 'by-command'], { env, stdio: 'ignore' })
    const [code] = await once(child, 'close')

    expect(code).toBe(0)
    expect(await listed((ids) => ids.length > 0)).toEqual(['by-command'])
  })

  test('are for the operator’s keys only, and no token is in the log', async () => {
    const stranger = await ask(`${rialto.url}/admin/local-models`)

    expect(stranger.status).toBe(401)
    expect(hub.asked.some(({ headers }) => headers.authorization === 'Bearer hf_marker_of_the_hub')).toBe(true)
    expect(rialto.logs()).not.toContain('hf_marker_of_the_hub')
  })
})

/** What a key may not use never gets anywhere: no limit, no hold and no engine hears of it. */
import { describe, expect, it } from 'vitest'
import { engine, NO_NAMES, testClock, textEntry } from '../catalog/testing.ts'
import { Catalog } from '../catalog/catalog.ts'
import type { Caller, Envelope } from '../core/call.ts'
import { Cancel } from '../core/cancel.ts'
import { chatCompletions } from '../endpoints/chat/completions.ts'
import { Desk } from './desk.ts'

const catalog = new Catalog({
  entries: [textEntry('closed'), textEntry('open', { privacy: 'anonymized', deployments: [{ engine: 'cloud' }] })],
  names: { ...NO_NAMES, traits: { text: { default: ['open'] } } },
  engines: [engine('one'), engine('cloud', { privacy: 'anonymized' })],
  clock: testClock(),
})

/** A desk whose rooms note what is asked of them, and do nothing. */
function deskOf(rules: Partial<Caller>) {
  const touched: string[] = []
  const watched = new Proxy(
    { catalog },
    {
      get(target, name) {
        if (name === 'catalog') return target.catalog
        touched.push(String(name))
        throw new Error('a room was asked')
      },
    },
  )
  const caller = { accountId: 'a1', keyId: 'k1', scope: 'INFERENCE', plan: 'default', modelPrivacy: 'ALL', models: null, ...rules }
  const envelope = { requestId: 'r1', startedAt: 0, caller } as unknown as Envelope // what a desk and a chat read of it
  return { touched, desk: new Desk(watched as unknown as ConstructorParameters<typeof Desk>[0], envelope, new Cancel()) }
}

async function chat(rules: Partial<Caller>, model: string, stream = false): Promise<{ error: unknown; touched: string[] }> {
  const { desk, touched } = deskOf(rules)
  const body = { model, messages: [{ role: 'user', content: 'hello' }], stream }
  try {
    const { handle, body: schema } = chatCompletions('')
    const reply = await handle({ params: {}, query: undefined, body: schema?.parse(body), bodyBytes: 100, headers: {} }, desk)
    if (reply.type === 'events') await reply.write({ send: () => {} })
    return { error: null, touched }
  } catch (error) {
    return { error, touched }
  }
}

describe('a chat with a model that the key may not use', () => {
  it.each([
    ['PRIVATE_ONLY', { modelPrivacy: 'PRIVATE_ONLY' }, 'open'],
    ['PRIVATE_TEXT', { modelPrivacy: 'PRIVATE_TEXT' }, 'open'],
    ['PRIVATE_ONLY, by a trait', { modelPrivacy: 'PRIVATE_ONLY' }, 'default'],
    ['PRIVATE_ONLY, by a prefix', { modelPrivacy: 'PRIVATE_ONLY' }, 'venice-open'],
    ['a list without it', { models: new Set(['closed']) }, 'open'],
    ['a list without it, by a trait', { models: new Set(['closed', 'default']) }, 'default'],
  ] as const)('is a 403 before anything is asked of any room: %s', async (_rule, rules, model) => {
    for (const stream of [false, true]) {
      const { error, touched } = await chat(rules, model, stream)

      expect(error).toMatchObject({ code: 'UNAUTHORIZED', status: 403, param: 'model', message: expect.stringContaining('open') })
      expect(touched).toEqual([])
    }
  })

  it.each([
    [{ modelPrivacy: 'PRIVATE_ONLY' }, 'closed'],
    [{ models: new Set(['open']) }, 'default'],
    [{}, 'open'],
  ] as const)('and one that it may use goes on: %j', async (rules, model) => {
    const { error, touched } = await chat(rules, model)

    expect(error).toMatchObject({ message: 'a room was asked' })
    expect(touched.length).toBeGreaterThan(0)
  })
})

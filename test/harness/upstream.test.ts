import { afterEach, beforeEach, expect, test } from 'vitest'
import { chatEvents, chatJson, dead, embeddingJson, events, json, silent, splitAt, startUpstream, USAGE } from './upstream.ts'
import type { Upstream } from './upstream.ts'

let upstream: Upstream
beforeEach(async () => {
  upstream = await startUpstream({ models: ['one', 'two'] })
})
afterEach(() => upstream.stop())

const post = (signal?: AbortSignal): Promise<Response> =>
  fetch(`${upstream.url}/chat/completions`, {
    method: 'POST',
    body: '{"model":"one"}',
    headers: { 'X-Some-Header': 'yes' },
    ...(signal === undefined ? {} : { signal }),
  })

test('it lists its models, and keeps what was asked of them apart from the requests', async () => {
  const response = await fetch(`${upstream.url}/models`)

  expect(await response.json()).toMatchObject({ data: [{ id: 'one' }, { id: 'two' }] })
  expect(upstream.probes.map(({ path }) => path)).toEqual(['/v1/models'])
  expect(upstream.received).toEqual([])
})

test('it keeps every request as it came', async () => {
  await post()

  const { method, path, headers, rawHeaders, json, closed } = await upstream.request(1)
  expect([method, path, headers['x-some-header']]).toEqual(['POST', '/v1/chat/completions', 'yes'])
  expect(rawHeaders.map((text) => text.toLowerCase())).toContain('x-some-header')
  expect(json()).toEqual({ model: 'one' })
  expect(await closed).toBe('whole')
})

test('the script is played once, in order, and then the usual answer comes', async () => {
  upstream.usual(embeddingJson([[1, 0]]))
  upstream.script(chatJson('first'), json({ error: {} }, 429, { 'retry-after': '3' }))

  const [first, second, third] = [await post(), await post(), await post()]

  expect(await first.json()).toMatchObject({ choices: [{ message: { content: 'first' } }], usage: USAGE })
  expect([second.status, second.headers.get('retry-after')]).toEqual([429, '3'])
  expect(await third.json()).toMatchObject({ data: [{ embedding: [1, 0] }] })
})

test('a stream split anywhere has the same bytes', async () => {
  const text = chatEvents(['Grüß', ' dich'])

  for (const places of [[], [1], [5, 6, 7], [text.length - 1]]) {
    upstream.script(splitAt(events(text), ...places))

    expect(await (await post()).text()).toBe(text)
  }
})

test('it dies before a word, and in the middle of an answer', async () => {
  upstream.script(dead, events('data: {}\n\n', { die: true }))

  await expect(post()).rejects.toThrow()
  const cut = await post()

  expect(cut.status).toBe(200)
  await expect(cut.text()).rejects.toThrow()
  expect(await (await upstream.request(2)).closed).toBe('left')
})

test('it stays silent until it is left, and sees that it was', async () => {
  upstream.script(silent)
  const left = new AbortController()

  const waiting = post(left.signal)
  const { closed } = await upstream.request(1)
  left.abort()

  await expect(waiting).rejects.toThrow()
  expect(await closed).toBe('left')
})

test('it goes on only when the test lets it', async () => {
  const gate = Promise.withResolvers<void>()
  upstream.script(events('a', { until: gate.promise }, { pauseMs: 1 }, { send: 'b' }, { stall: true }))

  const { body } = await post()
  const reader = body?.getReader()
  const first = await reader?.read()
  gate.resolve()
  const second = await reader?.read()

  expect([first, second].map((read) => Buffer.from(read?.value ?? []).toString())).toEqual(['a', 'b'])
  await reader?.cancel()
})

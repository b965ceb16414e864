/** When things flow: at once, not at all, slowly, or no further because the client has gone. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { giveKey } from './harness/accounts.ts'
import { charge, chargedFor } from './harness/books.ts'
import { gate } from './harness/gate.ts'
import { INPUT_NANO, OUTPUT_NANO, engineAt, overlay, textModel } from './harness/overlay.ts'
import { type Rialto, startRialto } from './harness/rialto.ts'
import { ask, dataOf, openSocket, openStream } from './harness/talk.ts'
import { type Step, type Upstream, chatEvents, events, silent, startUpstream } from './harness/upstream.ts'

const MODEL = 'bridge'
const ASK = { model: MODEL, messages: [{ role: 'user', content: 'abcdefgh' }] }
const STREAM = { ...ASK, stream: true }

let upstream: Upstream
let rialto: Rialto
/** One that pings after a tenth of a second, for the tests of that. */
let nervous: Rialto
let chat: string
let key: string
beforeAll(async () => {
  upstream = await startUpstream()
  const config = overlay([engineAt('mock', upstream.url)], [textModel(MODEL, 'mock')])
  const pings = { ...config, 'server.json': { pingMs: 100 } }
  ;[rialto, nervous] = await Promise.all([startRialto({ config }), startRialto({ config: pings })])
  chat = `${rialto.url}/chat/completions`
  key = await giveKey(rialto.home, { balanceNano: 1_000_000_000n })
})
afterAll(() => Promise.all([rialto?.stop(), nervous?.stop(), upstream?.stop()]))

const chunk = z.object({ choices: z.array(z.object({ delta: z.object({ content: z.string().nullish() }) })) })

/** What a whole stream says; fails where it does not end in one `[DONE]`. */
function contentOf(stream: string): string {
  const data = dataOf(stream)
  expect(data.indexOf('[DONE]')).toBe(data.length - 1)
  return data
    .slice(0, -1)
    .map((one) => chunk.parse(one).choices[0]?.delta.content ?? '')
    .join('')
}

describe('the first event', () => {
  test('reaches the client while the upstream still holds the second', async () => {
    const { until, open } = gate()
    const [first = '', second = '', ...rest] = chatEvents(['one', 'two']).split(/(?<=\n\n)/)
    upstream.script(events(first + second, { until }, { send: rest.join('') }))

    const stream = await openStream(chat, { key, body: STREAM })
    const early = await stream.until('"one"')
    open()

    expect(early).not.toContain('two')
    expect(contentOf(await stream.rest())).toBe('onetwo')
  })
})

describe('silence', () => {
  test('is filled with comments, before the first token and between two, and they are no part of the answer', async () => {
    const [before, between] = [gate(), gate()]
    const [role = '', one = '', ...rest] = chatEvents(['one', 'two']).split(/(?<=\n\n)/)
    upstream.script({
      head: false,
      steps: [{ until: before.until }, { send: role + one }, { until: between.until }, { send: rest.join('') }],
    })

    const stream = await openStream(`${nervous.url}/chat/completions`, { key: nervous.key, body: STREAM })
    const early = await stream.until(': ping\n\n')
    before.open()
    const later = await stream.until('"one"').then((text) => stream.until(`${text}: ping\n\n`))
    between.open()
    const whole = await stream.rest()

    expect(early.replaceAll(': ping\n\n', '')).toBe('')
    expect(later).toContain('"one"')
    expect(contentOf(whole)).toBe('onetwo')
  })

  test('that ends in a failure ends in an error event, since the status has gone with the first comment', async () => {
    const { until, open } = gate()
    upstream.script({
      headers: { 'content-type': 'text/event-stream' },
      steps: [{ until }, { send: 'data: {"error":{"message":"no"}}\n\n' }],
    })

    const stream = await openStream(`${nervous.url}/chat/completions`, { key: nervous.key, body: STREAM })
    await stream.until(': ping\n\n')
    open()
    const text = await stream.rest()

    expect(stream.status).toBe(200)
    expect(dataOf(text)).toMatchObject([{ code: 'INFERENCE_FAILED' }])
  })
})

describe('a client that does not read', () => {
  test('holds up the upstream instead of filling the memory, and gets everything once it reads', async () => {
    const PIECES = 64
    const piece = 'x'.repeat(1024 * 1024)
    let sent = 0
    const [role = '', ...rest] = chatEvents([]).split(/(?<=\n\n)/)
    const big = chatEvents([piece]).split(/(?<=\n\n)/)[1] ?? ''
    const steps = Array.from({ length: PIECES }, (): Step[] => [{ send: big }, { call: () => void sent++ }]).flat()
    upstream.script(events(role, ...steps, { send: rest.join('') }))
    const before = await memory()

    const { socket, end } = await openSocket(rialto.origin)
    const body = JSON.stringify(STREAM)
    socket.pause()
    socket.write(
      `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer ${key}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    )
    await settled(() => sent)
    const held = sent
    const after = await memory()
    socket.resume()
    const text = await end()

    // What the two connections' buffers in the kernel take, and no more.
    expect(held).toBeGreaterThan(0)
    expect(held).toBeLessThan(PIECES / 2)
    expect(after - before).toBeLessThan(64 * 1024 * 1024)
    expect(sent).toBe(PIECES)
    expect(text.split(piece).length).toBe(PIECES + 1)
    expect(text).toContain('[DONE]')
  })

  /** Waits until a count no longer grows while the server answers many other requests: they are the clock. */
  async function settled(count: () => number): Promise<void> {
    let last = -1
    while (count() !== last || last === 0) {
      last = count()
      for (let i = 0; i < 100; i++) await ask(`${rialto.url}/health/live`)
    }
  }

  async function memory(): Promise<number> {
    const { text } = await ask(`${rialto.url}/metrics`, { key: rialto.key })
    return Number(/^process_resident_memory_bytes ([\d.e+]+)$/m.exec(text)?.[1])
  }
})

describe('a client that leaves', () => {
  test('ends the work at the upstream, and pays for what it got', async () => {
    const count = upstream.received.length
    const begun = chatEvents(['abcdefgh', 'ijklmnop'])
      .split(/(?<=\n\n)/)
      .slice(0, 3)
      .join('')
    upstream.script(events(begun, { stall: true }))

    const stream = await openStream(chat, { key, body: STREAM })
    await stream.until('ijklmnop')
    stream.leave()

    expect(await (await upstream.request(count + 1)).closed).toBe('left')
    const id = stream.headers.get('x-request-id') ?? ''
    const paid = await charge(rialto.home, id)
    // No usage came: four characters to a token, and four tokens around a message.
    expect(paid.lines.map(({ unit, count: tokens }) => [unit, tokens])).toEqual([
      ['inputToken', 6],
      ['outputToken', 4],
    ])
    expect(paid.amount).toBe(6 * INPUT_NANO + 4 * OUTPUT_NANO)
    await rialto.printed(id)
  })

  test.for([
    ['that was to be whole', ASK],
    ['that was to be streamed and has not begun', STREAM],
  ] as const)('before an answer %s ends the work at the upstream, and pays nothing', async ([, body]) => {
    const count = upstream.received.length
    upstream.script(silent)
    const known = requestIds()

    const left = new AbortController()
    const asking = fetch(chat, { method: 'POST', headers: headersOf(key), body: JSON.stringify(body), signal: left.signal })
    const request = await upstream.request(count + 1)
    left.abort()

    await expect(asking).rejects.toThrow()
    expect(await request.closed).toBe('left')
    await expect.poll(() => requestIds().length, { timeout: 10_000 }).toBeGreaterThan(known.length)
    const id = requestIds().find((one) => !known.includes(one)) ?? ''
    expect(
      rialto
        .logs()
        .split('\n')
        .find((line) => line.includes(id)),
    ).toMatch(/"status":499/)
    await ask(chat, { key, body: ASK })
    expect(chargedFor(rialto.home, id)).toBeNull()
  })

  const headersOf = (bearer: string) => ({ authorization: `Bearer ${bearer}`, 'content-type': 'application/json' })
  /** Of the requests that were left before they were answered. */
  const requestIds = (): string[] => [...rialto.logs().matchAll(/"request_id":"(\w+)"[^\n]*"status":499/g)].map(([, id = '']) => id)
})

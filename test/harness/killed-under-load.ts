/**
 * A real server process, real clients, streaming and not, and `kill -9` in the middle of it, again and again on one data folder;
 * then what clients saw is compared with what the ledger says, to the nano-dollar.
 */
import { equal, ok } from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { Server, ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { json as readJson } from 'node:stream/consumers'
import { setTimeout as pause } from 'node:timers/promises'
import { type GivenAccount, giveAccount } from './accounts.ts'
import { allCharges, booksOf } from './books.ts'
import { Chance } from './chance.ts'
import { INPUT_NANO, OUTPUT_NANO, engineAt, overlay, planOf, textModel } from './overlay.ts'
import { type Rialto, startRialto } from './rialto.ts'
import { chatEvents } from './upstream.ts'

const MODEL = 'killed-model'
const RICH_NANO = 1_000_000_000_000n
/** What the request below holds, so that a hold that was left behind would refuse it. */
const TIGHT_TOKENS = 4_000
const TIGHT_NANO = BigInt(TIGHT_TOKENS * OUTPUT_NANO + 2_000 * INPUT_NANO)
const WAIT_MS = 20_000

export type KillOptions = { readonly kills: number; readonly clients: number; readonly seed: number; readonly loadMs: number }

export type KillReport = {
  readonly kills: number
  readonly requests: number
  /** Of those, whose clients saw the end: all charged exactly. */
  readonly seenWhole: number
  /** Whose clients did not, and which were charged exactly or not at all. */
  readonly cutAndCharged: number
  readonly cutAndFree: number
}

/** What a client knows of one request: `tokens` is what it made the upstream answer. */
type Asked = { readonly id: string; readonly tokens: number; sawEnd: boolean }

/** Rejects where the ledger is not what the clients saw. */
export async function killUnderLoad({ kills, clients, seed, loadMs }: KillOptions): Promise<KillReport> {
  const folder = await mkdtemp(join(tmpdir(), 'rialto-killed-'))
  const home = join(folder, 'data')
  const chance = new Chance(seed)
  const upstream = await startCounting()
  const config = overlay([engineAt('counting', upstream.url)], [textModel(MODEL, 'counting')], {
    'plans.json': { default: planOf({ rpm: null, tpm: null }), operator: planOf({ rpm: null, tpm: null }) },
  })
  const asked: Asked[] = []
  let rialto: Rialto | null = null
  try {
    const rich = await giveAccount(home, { balanceNano: RICH_NANO })
    const tight = await giveAccount(home, { balanceNano: TIGHT_NANO })
    for (let kill = 0; kill < kills; kill++) {
      rialto = await startRialto({ home, config })
      await rialto.online(MODEL)
      // Of the life before nothing is held: this one takes all that the account has, and does not come to its end.
      const held = await openHeld(rialto, tight)
      const life = { over: false }
      const load = Array.from({ length: clients }, () => client(rialto as Rialto, rich, chance, asked, life))
      await pause(loadMs + chance.below(loadMs))
      rialto.kill('SIGKILL')
      life.over = true
      await rialto.ended
      held.abort()
      await Promise.all(load)
      await rialto.stop()
    }
    rialto = await startRialto({ home, config })
    await rialto.online(MODEL)
    const report = compare(home, rich, tight, asked)
    ;(await openHeld(rialto, tight)).abort()
    return { kills, ...report }
  } finally {
    await rialto?.stop()
    await upstream.stop()
    await rm(folder, { recursive: true, force: true })
  }
}

const costOf = (tokens: number): number => promptOf(tokens) * INPUT_NANO + tokens * OUTPUT_NANO
const promptOf = (tokens: number): number => 10 + (tokens % 7)

function compare(home: string, rich: GivenAccount, tight: GivenAccount, asked: readonly Asked[]): Omit<KillReport, 'kills'> {
  let cutAndCharged = 0
  let cutAndFree = 0
  let known = 0
  const charges = allCharges(home)
  for (const { id, tokens, sawEnd } of asked) {
    const charged = charges.get(id)
    if (sawEnd) equal(charged, costOf(tokens), `request ${id}, whose client saw the end`)
    else if (charged !== undefined) equal(charged, costOf(tokens), `request ${id}, whose client did not see the end`)
    if (!sawEnd && charged !== undefined) cutAndCharged++
    if (!sawEnd && charged === undefined) cutAndFree++
    known += charged ?? 0
  }
  const { books, sums } = booksOf(home)
  for (const [currency, sum] of Object.entries(sums)) equal(sum, 0n, currency)
  const spent = Number(RICH_NANO - (books.get(`account:${rich.id}`) ?? 0n))
  // Whose answer did not even begin to reach its client has no id there; it was charged whole all the same, or not.
  ok(spent >= known)
  equal(books.get(`account:${tight.id}`), TIGHT_NANO)
  equal(books.get('revenue'), BigInt(spent))
  return { requests: asked.length, seenWhole: asked.filter(({ sawEnd }) => sawEnd).length, cutAndCharged, cutAndFree }
}

/** Asks one thing after the other until the server is gone. */
async function client(rialto: Rialto, { key }: GivenAccount, chance: Chance, asked: Asked[], life: { over: boolean }): Promise<void> {
  while (!life.over) {
    const tokens = 1 + chance.below(30)
    const stream = chance.below(2) === 0
    let one: Asked | null = null
    try {
      const response = await post(rialto, key, tokens, stream, AbortSignal.timeout(WAIT_MS))
      equal(response.status, 200)
      one = { id: response.headers.get('x-request-id') ?? '', tokens, sawEnd: false }
      asked.push(one)
      const text = await read(response, stream)
      one.sawEnd = stream ? text.includes('data: [DONE]') : text.endsWith('}')
    } catch (error) {
      if (!life.over && !isCut(error)) throw error
      if (!life.over) await pause(1)
    }
  }
}

/** The server died: the connection was refused, or broke. */
const isCut = (error: unknown): boolean => error instanceof TypeError

/** All that came, also of an answer that was cut. */
async function read(response: Response, stream: boolean): Promise<string> {
  if (!stream) return response.text()
  let text = ''
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
  try {
    for (;;) {
      const { done, value } = (await reader?.read()) ?? { done: true, value: undefined }
      if (done) return text
      text += value
    }
  } catch {
    return text
  }
}

/** Takes nearly all of an account's money for a run that goes on until its server dies. */
async function openHeld(rialto: Rialto, { key }: GivenAccount): Promise<{ abort(): void }> {
  const left = new AbortController()
  const response = await post(rialto, key, TIGHT_TOKENS, true, left.signal, STALLS)
  equal(response.status, 200, 'a hold of a former life is left')
  // Who does not read hangs up as soon as the answer is collected as garbage.
  const reading = read(response, true)
  return {
    abort() {
      left.abort()
      void reading
    },
  }
}

const STALLS = 'and stall'

const post = (rialto: Rialto, key: string, tokens: number, stream: boolean, signal: AbortSignal, say = 'count'): Promise<Response> =>
  fetch(`${rialto.url}/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: MODEL, stream, max_tokens: tokens, messages: [{ role: 'user', content: say }] }),
    signal,
  })

/** An upstream that answers as many tokens as it may, and says so. */
async function startCounting(): Promise<{ readonly url: string; stop(): Promise<void> }> {
  const server: Server = createServer((request, response) => {
    if (request.method !== 'POST') response.end(JSON.stringify({ object: 'list', data: [{ id: MODEL, object: 'model' }] }))
    else
      readJson(request).then(
        (body) => answer(body, response),
        () => response.destroy(),
      )
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  return {
    url: `http://127.0.0.1:${address !== null && typeof address === 'object' ? address.port : 0}/v1`,
    async stop() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

async function answer(body: unknown, response: ServerResponse): Promise<void> {
  const { stream, max_tokens: tokens, messages } = body as { stream?: boolean; max_tokens: number; messages: unknown }
  const usage = { prompt_tokens: promptOf(tokens), completion_tokens: tokens, total_tokens: promptOf(tokens) + tokens }
  await pause(tokens % 5)
  if (stream !== true) {
    const choice = { index: 0, message: { role: 'assistant', content: 'one' }, finish_reason: 'stop' }
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ id: 'x', object: 'chat.completion', created: 1, model: MODEL, choices: [choice], usage }))
    return
  }
  response.setHeader('content-type', 'text/event-stream')
  const pieces = chatEvents(['one', ' two', ' three'], usage).split(/(?<=\n\n)/)
  const stalls = JSON.stringify(messages).includes(STALLS)
  for (const piece of stalls ? pieces.slice(0, 2) : pieces) {
    response.write(piece)
    await pause(tokens % 3)
  }
  if (!stalls) response.end()
}

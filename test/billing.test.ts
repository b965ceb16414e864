/** What an account reads of its bills, over HTTP: the same money that its answers cost, and nobody else's. */
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { z } from 'zod'
import { giveAccount } from './harness/accounts.ts'
import { INPUT_NANO, OUTPUT_NANO, engineAt, overlay, textModel } from './harness/overlay.ts'
import { type Rialto, startRialto } from './harness/rialto.ts'
import { type Answered, ask } from './harness/talk.ts'
import { type Upstream, chatJson, startUpstream } from './harness/upstream.ts'

const MODEL = 'bridge'
const PROMPT_TOKENS = 30
const CACHED_TOKENS = 10
const COMPLETION_TOKENS = 7
/** A cached token costs what a fresh one does, where the model has no price for it. */
const COST = BigInt(PROMPT_TOKENS * INPUT_NANO + COMPLETION_TOKENS * OUTPUT_NANO)
const USD = 1_000_000_000n
/** Less than a request costs: the first one is paid in two currencies. */
const BUNDLED = 100n
const REQUESTS = 4

let upstream: Upstream
let rialto: Rialto
/** Who asks, and who must not be seen. */
let mine: string
let other: string
const requestIds: string[] = []

beforeAll(async () => {
  upstream = await startUpstream()
  const usage = {
    prompt_tokens: PROMPT_TOKENS,
    completion_tokens: COMPLETION_TOKENS,
    total_tokens: PROMPT_TOKENS + COMPLETION_TOKENS,
    prompt_tokens_details: { cached_tokens: CACHED_TOKENS },
  }
  upstream.usual(chatJson('yes', usage))
  rialto = await startRialto({ config: overlay([engineAt('mock', upstream.url)], [textModel(MODEL, 'mock'), textModel('tower', 'mock')]) })
  await rialto.online(MODEL)
  mine = (await giveAccount(rialto.home, { balanceNano: USD, bundledNano: BUNDLED })).key
  other = (await giveAccount(rialto.home, { balanceNano: USD })).key
  for (let i = 0; i < REQUESTS; i++) requestIds.push(await chat(mine, MODEL))
  await chat(other, 'tower')
  await chat(rialto.key, MODEL)
  // The entries follow the answers within moments, those of one request together.
  for (const [key, requests] of [
    [mine, REQUESTS],
    [other, 1],
    [rialto.key, 1],
  ] as const)
    await vi.waitUntil(async () => new Set((await entriesOf(key)).map(idOf)).size === requests, { timeout: 10_000 })
})
afterAll(() => Promise.all([rialto?.stop(), upstream?.stop()]))

/** Asks, and gives the id that the answer has. */
async function chat(key: string, model: string): Promise<string> {
  const answer = await ask(`${rialto.url}/chat/completions`, { key, body: { model, messages: [{ role: 'user', content: 'is it?' }] } })
  expect([answer.status, answer.text.slice(0, 200)]).toEqual([200, expect.any(String)])
  return String(answer.json()['id'])
}

const get = (path: string, key = mine, headers: Readonly<Record<string, string>> = {}): Promise<Answered> =>
  ask(`${rialto.url}/billing/${path}`, { key, headers })

const entry = z.object({
  amount: z.number(),
  currency: z.string(),
  sku: z.string(),
  units: z.number(),
  pricePerUnitUsd: z.number(),
  inferenceDetails: z.object({ requestId: z.string(), promptTokens: z.number(), completionTokens: z.number() }),
})
const listed = z.object({ data: z.array(entry) })

const idOf = ({ inferenceDetails }: z.infer<typeof entry>): string => inferenceDetails.requestId
const entriesOf = async (key: string) => listed.parse((await get('usage?sortOrder=asc&limit=500', key)).json()).data

/** Whole nano-dollars out of a number of JSON. */
const nano = (usd: number): bigint => BigInt(Math.round(usd * 1e9))
const sum = (amounts: readonly number[]): bigint => amounts.map(nano).reduce((a, b) => a + b, 0n)

describe('the bills of an account', () => {
  test('name each request by the id that its answer had, with its tokens, and sum up to what is gone from the balance', async () => {
    const entries = await entriesOf(mine)

    expect([...new Set(entries.map(idOf))]).toEqual(requestIds)
    for (const { inferenceDetails, amount } of entries) {
      expect(inferenceDetails).toMatchObject({ promptTokens: PROMPT_TOKENS, completionTokens: COMPLETION_TOKENS })
      expect(amount).toBeLessThan(0)
    }
    expect(new Set(entries.map(({ sku }) => sku))).toEqual(
      new Set(['bridge-llm-input-mtoken', 'bridge-llm-cache-input-mtoken', 'bridge-llm-output-mtoken']),
    )
    const units = entries.reduce((all, one) => all + Math.round(one.units * 1e6), 0)
    expect(units).toBe(REQUESTS * (PROMPT_TOKENS + COMPLETION_TOKENS))
    expect(-sum(entries.map(({ amount }) => amount))).toBe(COST * BigInt(REQUESTS))
    expect(-sum(entries.filter(({ currency }) => currency === 'BUNDLED_CREDITS').map(({ amount }) => amount))).toBe(BUNDLED)

    const answer = await get('balance')
    const { canConsume, consumptionCurrency, balances } = answer.json()
    expect([canConsume, consumptionCurrency]).toEqual([true, 'USD'])
    const left = Number(USD + BUNDLED - COST * BigInt(REQUESTS)) / 1e9
    expect(balances).toEqual({ diem: null, usd: left })
    expect([answer.headers.get('x-venice-balance-usd'), answer.headers.get('x-venice-balance-diem')]).toEqual([String(left), '0'])
  })

  test('are the same in pages, in a walk and in CSV', async () => {
    const entries = await entriesOf(mine)
    const ids = entries.map(idOf)

    const page = await get('usage?limit=2&page=2&sortOrder=asc')
    expect(listed.parse(page.json()).data).toEqual(entries.slice(2, 4))
    expect(['limit', 'page', 'total', 'total-pages'].map((name) => page.headers.get(`x-pagination-${name}`))).toEqual([
      '2',
      '2',
      String(entries.length),
      String(Math.ceil(entries.length / 2)),
    ])

    const first = await get('usage-history?pageSize=10')
    const last = await get(`usage-history?cursor=${String(first.json()['nextCursor'])}`)
    expect([first, last].flatMap((one) => listed.parse(one.json()).data)).toEqual(entries)
    expect(last.json()['nextCursor']).toBeNull()

    const csv = await get('usage-history?pageSize=10', mine, { accept: 'text/csv' })
    expect(csv.headers.get('content-type')).toBe('text/csv; charset=utf-8')
    expect(csv.headers.get('content-disposition')).toMatch(/^attachment; filename=billing-usage-history-\d{8}T\d{9}Z\.csv$/)
    expect(csv.headers.get('x-next-cursor')).toBe(first.json()['nextCursor'])
    const cells = csv.text
      .trimEnd()
      .split('\r\n')
      .slice(1)
      .map((line) => line.split(','))
    expect(cells.map((line) => line[7])).toEqual(ids.slice(0, 10))
    expect(sum(cells.map((line) => Number(line[4])))).toBe(sum(entries.slice(0, 10).map(({ amount }) => amount)))
    expect((await get('usage', mine, { accept: 'text/csv' })).headers.get('content-disposition')).toBe(
      'attachment; filename=billing_usage.csv',
    )
  })

  test('are summed up by day, model and key', async () => {
    const { byDate, byModel, byKey, topModels } = analytics.parse((await get('usage-analytics?lookback=2d')).json())

    const total = COST * BigInt(REQUESTS)
    expect(sum(byDate.map(({ USD: usd }) => usd))).toBe(total)
    expect(topModels).toEqual(['The bridge'])
    expect([nano(byModel[0]?.totalUsd ?? 0), byModel[0]?.totalUnits]).toEqual([total, REQUESTS * (PROMPT_TOKENS + COMPLETION_TOKENS)])
    expect(byModel[0]?.breakdown?.map(({ type }) => type).toSorted()).toEqual(['Cache Read', 'Input', 'Output'])
    expect(byKey).toMatchObject([{ description: 'for a test' }])
  })

  test('hold nothing of another account, and its cursors are none of theirs', async () => {
    const cursor = String((await get('usage-history?pageSize=10')).json()['nextCursor'])

    for (const path of ['usage', 'usage-history', 'usage-analytics']) {
      expect((await get(path, other)).text).toContain('tower')
      expect((await get(path, other)).text).not.toContain('bridge')
      expect((await get(path)).text).not.toContain('tower')
    }
    const refused = await get(`usage-history?cursor=${cursor}`, other)
    expect([refused.status, refused.json()['code']]).toEqual([400, 'INVALID_REQUEST'])
    expect(refused.json()).toMatchObject({ details: { cursor: expect.anything() } })
  })

  test('are not shown to who asks for them in a way that there is not', async () => {
    for (const [path, field] of [
      ['usage?page=99999999', 'page'],
      ['usage?currency=EUR', 'currency'],
      ['usage-history?cursor=nonsense', 'cursor'],
      [`usage-history?cursor=abc&pageSize=10`, 'pageSize'],
      ['usage-analytics?startDate=2026-02-02&endDate=2026-02-01', 'endDate'],
      ['balance?account=other', 'account'],
    ] as const) {
      const { status, json: body } = await get(path)

      expect([path, status, String(body()['error'])]).toEqual([path, 400, expect.stringContaining(field)])
    }
  })

  test("show the operator what the operator's own account used, below zero as it is", async () => {
    const { canConsume, balances } = (await get('balance', rialto.key)).json()

    expect([canConsume, balances]).toEqual([true, { diem: null, usd: -Number(COST) / 1e9 }])
  })
})

const analytics = z.object({
  byDate: z.array(z.object({ date: z.string(), USD: z.number(), DIEM: z.number() })),
  byModel: z.array(
    z.object({ totalUsd: z.number(), totalUnits: z.number(), breakdown: z.array(z.object({ type: z.string() })).optional() }),
  ),
  byKey: z.array(z.object({ description: z.string() })),
  topModels: z.array(z.string()),
})

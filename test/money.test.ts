/** What callers see of money over HTTP: what is served, what is shortened, what is refused, and what it says. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { type AccountOptions, type GivenAccount, giveAccount } from './harness/accounts.ts'
import { booksOf, charge } from './harness/books.ts'
import { gate } from './harness/gate.ts'
import { OUTPUT_NANO, engineAt, overlay, planOf, textModel } from './harness/overlay.ts'
import { type Rialto, startRialto } from './harness/rialto.ts'
import { type Answered, ask } from './harness/talk.ts'
import { type Upstream, chatEvents, chatJson, events, json, startUpstream } from './harness/upstream.ts'

const MODEL = 'priced-model'

let upstream: Upstream
let rialto: Rialto

beforeAll(async () => {
  upstream = await startUpstream({ models: [MODEL] })
  const unlimited = planOf({ rpm: null, tpm: null })
  const config = overlay([engineAt('scripted', upstream.url)], [textModel(MODEL, 'scripted')], {
    'plans.json': { default: unlimited, operator: unlimited },
  })
  rialto = await startRialto({ config })
  await rialto.online(MODEL)
})
afterAll(async () => {
  await rialto?.stop()
  await upstream?.stop()
})
beforeEach(() => {
  upstream.forget()
  upstream.usual(chatJson('Hello'))
})

const chat = (key: string, body: object = {}): Promise<Answered> =>
  ask(`${rialto.url}/chat/completions`, {
    key,
    body: { model: MODEL, max_tokens: 16, messages: [{ role: 'user', content: 'Hi' }], ...body },
  })

const give = (options: AccountOptions): Promise<GivenAccount> => giveAccount(rialto.home, options)
const balanceOf = (account: GivenAccount): bigint => booksOf(rialto.home).books.get(`account:${account.id}`) ?? 0n

/** What the shortest run of such a request reserves, as the refusal of an account without money says. */
async function leastOf(body: object = {}): Promise<bigint> {
  const refused = await chat((await give({})).key, body)
  const [, usd = '0'] = /may cost ([\d.]+) USD/.exec(refused.text) ?? []
  return BigInt(Math.round(Number(usd) * 1e9))
}

test('of 200 clients on an account worth 50 requests exactly 50 are served, the others get a 402, and the overdraft is zero', async () => {
  const each = await leastOf()
  const account = await give({ balanceNano: each * 50n })
  const open = gate()
  // More than was reserved: what is charged is all that was, so that nothing is left over for another.
  const usage = { prompt_tokens: 1_000_000, completion_tokens: 1_000_000, total_tokens: 2_000_000 }
  const { steps, ...rest } = chatJson('Hello', usage)
  upstream.usual({ ...rest, head: false, steps: [{ until: open.until }, ...steps] })
  let refused = 0

  const answers = await Promise.all(
    Array.from({ length: 200 }, async () => {
      const answer = await chat(account.key)
      if (answer.status === 402 && ++refused === 150) open.open()
      return answer
    }),
  )

  const statuses = answers.map(({ status }) => status)
  expect([statuses.filter((status) => status === 200).length, statuses.filter((status) => status === 402).length]).toEqual([50, 150])
  for (const { status, headers } of answers) if (status === 200) await charge(rialto.home, headers.get('x-request-id') ?? '')
  expect(balanceOf(account)).toBe(0n)
  expect(booksOf(rialto.home).sums['USD']).toBe(0n)
  expect((await chat(account.key)).json()).toMatchObject({ code: 'INSUFFICIENT_BALANCE' })
}, 60_000)

test('a request that is worth more than the account is shortened to what it can pay, and never costs more', async () => {
  const least = await leastOf()
  const account = await give({ balanceNano: least + BigInt(100 * OUTPUT_NANO) + 5n })
  const usage = { prompt_tokens: 5, completion_tokens: 116, total_tokens: 121 }
  upstream.script(events(chatEvents(['It goes on'], usage).replace('"stop"', '"length"')))
  const before = upstream.received.length

  const answer = await chat(account.key, { max_tokens: 4_000, stream: true })

  // A digit more in `max_tokens` is a byte more of the request.
  const { max_tokens: asked } = (await upstream.request(before + 1)).json() as { max_tokens: number }
  expect(answer.status).toBe(200)
  expect(asked).toBeGreaterThan(100)
  expect(asked).toBeLessThanOrEqual(116)
  expect(answer.text).toContain('"finish_reason":"length"')
  expect(answer.text.trimEnd().endsWith('data: [DONE]')).toBe(true)
  await charge(rialto.home, answer.headers.get('x-request-id') ?? '')
  expect(balanceOf(account)).toBeGreaterThanOrEqual(0n)
})

test('DIEM pays first, then bundled credits, then dollars; answer and headers say what of each', async () => {
  const caps = { period: 'EPOCH', usd: null, diem: 188n } as const
  const account = await give({ balanceNano: 1_000_000_000n, bundledNano: 20n, diemNano: 100_000_000n, caps })
  const usage = { prompt_tokens: 5, completion_tokens: 20, total_tokens: 25 }

  const first = await chat(account.key)
  upstream.script(chatJson('More', usage))
  const second = await chat(account.key, { max_tokens: 30 })

  expect([first.headers.get('x-venice-balance-usd'), first.headers.get('x-venice-balance-diem')]).toEqual(['1.00000002', '0.1'])
  expect(first.json()['cost']).toEqual({ usd: 0, diem: 88e-9 })
  const paid = await charge(rialto.home, second.headers.get('x-request-id') ?? '')
  expect([...new Set(paid.lines.map(({ currency }) => currency))]).toEqual(['DIEM', 'BUNDLED_CREDITS', 'USD'])
  const { usd, diem } = second.json()['cost'] as { usd: number; diem: number }
  expect(Math.round(diem * 1e9)).toBe(100)
  expect(paid.amount).toBe(295)
  expect(Math.round((usd + diem) * 1e9)).toBe(paid.amount)
})

test('the caps of a key are refused in words that say which and how much', async () => {
  const diem = await give({ diemNano: 100_000_000n, caps: { period: 'EPOCH', usd: null, diem: 5n } })
  const usd = await give({ balanceNano: 1_000_000_000n, caps: { period: 'MONTH', usd: 5n, diem: null } })

  const refusals = await Promise.all([chat(diem.key), chat(usd.key)])

  expect(refusals.map(({ status, text }) => [status, text])).toEqual([
    [402, expect.stringContaining("of the key's 0.000000005 DIEM per day")],
    [402, expect.stringContaining("of the key's 0.000000005 USD per month")],
  ])
  expect(refusals.map((answer) => answer.json()['code'])).toEqual(['API_KEY_DIEM_SPEND_LIMIT_EXCEEDED', 'API_KEY_USD_SPEND_LIMIT_EXCEEDED'])
})

test('counts below zero cost nothing, and give nothing back', async () => {
  const account = await give({ balanceNano: 1_000_000n })
  upstream.script(json({ ...JSON.parse(chatText()), usage: { prompt_tokens: -50, completion_tokens: -50, total_tokens: -100 } }))

  const answer = await chat(account.key)

  expect(answer.status).toBe(200)
  expect(answer.json()['cost']).toEqual({ usd: 0, diem: 0 })
  expect(balanceOf(account)).toBe(1_000_000n)
})

const chatText = (): string => {
  const [step] = chatJson('Hello').steps
  return step && 'send' in step ? String(step.send) : '{}'
}

/** An operator sells access: accounts, keys, credit, prices, and books that are right, all through the API. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { formatUsd } from '../src/core/money.ts'
import { gate } from './harness/gate.ts'
import { INPUT_NANO, OUTPUT_NANO, engineAt, overlay, textModel } from './harness/overlay.ts'
import { type Rialto, startRialto } from './harness/rialto.ts'
import { type Answered, ask, openStream } from './harness/talk.ts'
import { USAGE, type Upstream, chatEvents, events, startUpstream } from './harness/upstream.ts'

const MODEL = 'bridge'
const FOUND = 'their-own'
const chatBody = (model = MODEL) => ({ model, messages: [{ role: 'user', content: 'abcdefgh' }], max_tokens: 100 })
/** What the usual answer of the upstream costs, in nano-dollars. */
const COST = USAGE.prompt_tokens * INPUT_NANO + USAGE.completion_tokens * OUTPUT_NANO

let upstream: Upstream
let local: Upstream
let rialto: Rialto
beforeAll(async () => {
  ;[upstream, local] = await Promise.all([startUpstream(), startUpstream({ models: [FOUND] })])
  const engines = [engineAt('mock', upstream.url), engineAt('local', local.url, { lists: true })]
  const models = [textModel(MODEL, 'mock'), textModel('second', 'mock'), textModel('third', 'mock')]
  rialto = await startRialto({ config: overlay(engines, models) })
  await rialto.online(FOUND)
})
afterAll(() => Promise.all([rialto?.stop(), upstream?.stop(), local?.stop()]))

const admin = (
  path: string,
  body?: unknown,
  more: { method?: string; key?: string; headers?: Record<string, string> } = {},
): Promise<Answered> => ask(`${rialto.url}/admin${path}`, { key: rialto.key, ...(body !== undefined && { body }), ...more })

const dataIn = (answer: Answered): Record<string, unknown> => {
  expect([answer.status, answer.status === 200 ? '' : answer.text]).toEqual([200, ''])
  return z.looseObject({ data: z.looseObject({}) }).parse(answer.json()).data
}
const listIn = (answer: Answered): Record<string, unknown>[] => {
  expect([answer.status, answer.status === 200 ? '' : answer.text]).toEqual([200, ''])
  return z.looseObject({ data: z.array(z.looseObject({})) }).parse(answer.json()).data
}

const chat = (key: string, model = MODEL) => ask(`${rialto.url}/chat/completions`, { key, body: chatBody(model) })
const balanceOf = async (id: string): Promise<unknown> => {
  const { balances } = z.object({ balances: z.object({ USD: z.unknown() }) }).parse(dataIn(await admin(`/accounts/${id}`)))
  return balances.USD
}
const dollars = (nano: number): string => formatUsd(BigInt(nano))
/** What an account was charged for a request, in dollars. */
async function chargedFor(id: string, { headers }: { readonly headers: Headers }): Promise<unknown> {
  const movements = listIn(await admin(`/accounts/${id}/movements`))
  return movements.find(({ requestId }) => requestId === headers.get('x-request-id'))?.['amountUsd']
}

/** An account with this credit and a key. */
async function customer(id: string, amountUsd?: string, apiKeyType = 'INFERENCE'): Promise<string> {
  dataIn(await admin('/accounts', { id, name: `Customer ${id}` }))
  if (amountUsd !== undefined)
    dataIn(await admin(`/accounts/${id}/credits`, { amountUsd, currency: 'USD', reason: 'a test', id: `of-${id}` }))
  const { apiKey } = z
    .looseObject({ apiKey: z.string() })
    .parse(dataIn(await admin(`/accounts/${id}/api_keys`, { apiKeyType, description: id })))
  return apiKey
}

function expectRefusal(answer: Answered, status: number, code: string, words = /./): void {
  expect([answer.status, answer.json()['code']]).toEqual([status, code])
  expect(answer.json()['error']).toMatch(words)
}

test('access is sold from the first credit to the last, and the books come to zero', async () => {
  const key = await customer('ada')
  expectRefusal(await chat(key), 402, 'INSUFFICIENT_BALANCE')

  const grant = { amountUsd: '0.01', currency: 'USD', reason: 'Invoice 17', id: 'invoice-17' }
  const given = await Promise.all([1, 2, 3].map(() => admin('/accounts/ada/credits', grant)))
  const repeated = dataIn(await admin('/accounts/ada/credits', grant))
  expect(given.filter(({ status }) => status === 200).length).toBeGreaterThan(0)
  expect(repeated).toMatchObject({ amountUsd: '0.01', repeated: true, balances: { USD: { balance: '0.01', held: '0' } } })

  const answer = await chat(key)
  expect(answer.status).toBe(200)
  expect(await chargedFor('ada', answer)).toBe(dollars(COST))
  expect(await balanceOf('ada')).toEqual({ balance: dollars(10_000_000 - COST), held: '0' })

  const back = { currency: 'USD', reason: 'Invoice 17 was cancelled' }
  expectRefusal(
    await admin('/accounts/ada/credits/take-back', { ...back, amountUsd: '0.01', id: 'b1' }),
    400,
    'INVALID_REQUEST',
    new RegExp(dollars(10_000_000 - COST)),
  )
  expect(
    dataIn(await admin('/accounts/ada/credits/take-back', { ...back, amountUsd: 'all' }, { headers: { 'idempotency-key': 'b2' } })),
  ).toMatchObject({
    amountUsd: dollars(10_000_000 - COST),
    repeated: false,
    balances: { USD: { balance: '0' } },
  })
  expectRefusal(await chat(key), 402, 'INSUFFICIENT_BALANCE')

  const movements = listIn(await admin('/accounts/ada/movements'))
  expect(movements.map(({ kind, amountUsd }) => [kind, amountUsd])).toEqual([
    ['takeback', dollars(10_000_000 - COST)],
    ['settle', dollars(COST)],
    ['grant', '0.01'],
  ])
  expect(movements[1]).toMatchObject({ requestId: answer.headers.get('x-request-id'), model: MODEL, from: 'account:ada', to: 'revenue' })
  const balance = await admin('/ledger/trial-balance')
  expect(balance.json()).toMatchObject({ balanced: true, differences: [], moreDifferences: 0, ledger: { openHolds: 0, storeAway: false } })
  expect(balance.json()['currencies']).toEqual(expect.arrayContaining([expect.objectContaining({ currency: 'USD', sum: '0' })]))
})

test('an account is changed, closed and opened again, and its keys follow at once', async () => {
  const key = await customer('bob', '1')
  expect((await chat(key)).status).toBe(200)

  expect(dataIn(await admin('/accounts/bob', { closed: true }, { method: 'PATCH' }))['closedAt']).toMatch(/^\d{4}-/)
  expectRefusal(await chat(key), 401, 'AUTHENTICATION_FAILED')
  expect(dataIn(await admin('/accounts/bob', { closed: false, plan: 'partner', creditUsd: '2.5' }, { method: 'PATCH' }))).toMatchObject({
    closedAt: null,
    plan: 'partner',
    creditUsd: '2.5',
    name: 'Customer bob',
  })
  expect((await chat(key)).status).toBe(200)
  expect(listIn(await admin('/accounts?after=ada&limit=1'))).toMatchObject([{ id: 'bob' }])
  expect(listIn(await admin('/accounts?after=wallet:0xab'))).toEqual([])
})

test('a line of credit is in force as soon as it is given', async () => {
  const key = await customer('carla')
  expectRefusal(await chat(key), 402, 'INSUFFICIENT_BALANCE')

  dataIn(await admin('/accounts/carla', { creditUsd: 0.5 }, { method: 'PATCH' }))

  expect((await chat(key)).status).toBe(200)
  expect(await balanceOf('carla')).toEqual({ balance: `-${dollars(COST)}`, held: '0' })
  expectRefusal(
    await admin('/accounts/carla/credits/take-back', { amountUsd: 0.001, currency: 'USD', reason: 'r', id: 'c1' }),
    400,
    'INVALID_REQUEST',
    /: 0 of USD/,
  )
})

test('a leaked key of an account is ended by the operator', async () => {
  const key = await customer('dora', '1')
  const [shown] = listIn(await admin('/accounts/dora/api_keys'))
  expect(shown).toMatchObject({ apiKeyType: 'INFERENCE', description: 'dora' })

  expect((await admin(`/accounts/dora/api_keys/${String(shown?.['id'])}`, undefined, { method: 'DELETE' })).status).toBe(200)

  expectRefusal(await chat(key), 401, 'AUTHENTICATION_FAILED')
  expect(listIn(await admin('/accounts/dora/api_keys'))).toEqual([])
  expectRefusal(await admin(`/accounts/ada/api_keys/${String(shown?.['id'])}`, undefined, { method: 'DELETE' }), 404, 'NOT_FOUND')
})

describe('prices', () => {
  const pricing = async (model: string): Promise<unknown> =>
    z
      .looseObject({ model_spec: z.looseObject({ pricing: z.unknown().optional() }) })
      .parse((await ask(`${rialto.url}/models/${model}`)).json()).model_spec.pricing

  test('change without a restart, and a run that began before is charged by the old ones', async () => {
    const key = await customer('emil', '1')
    const { until, open } = gate()
    const [role = '', first = '', ...rest] = chatEvents(['one', 'two']).split(/(?<=\n\n)/)
    upstream.script(events(role + first, { until }, { send: rest.join('') }))
    const stream = await openStream(`${rialto.url}/chat/completions`, { key, body: { ...chatBody('second'), stream: true } })
    await stream.until('"one"')

    const set = dataIn(
      await admin('/prices', { model: 'second', startsAt: 'now', prices: { input: { usd: '0.1' }, output: { usd: 0.5, diem: 0.5 } } }),
    )
    const later = await chat(key, 'second')
    open()
    await stream.rest()

    expect(set).toMatchObject({
      model: 'second',
      type: 'text',
      current: { input: { usd: 0.1, diem: 0.1 }, output: { usd: 0.5, diem: 0.5 } },
    })
    expect(await pricing('second')).toEqual(set['current'])
    expect(await chargedFor('emil', stream)).toBe(dollars(COST))
    expect(await chargedFor('emil', later)).toBe(dollars(USAGE.prompt_tokens * 100 + USAGE.completion_tokens * 500))
    expect(await pricing(MODEL)).toEqual({ input: { usd: 0.007, diem: 0.007 }, output: { usd: 0.013, diem: 0.013 } })
  })

  test('that are to come are listed and not yet charged', async () => {
    const startsAt = '2099-01-01T00:00:00.000Z'
    const before = await pricing('third')

    dataIn(await admin('/prices', { model: 'third', startsAt, prices: { output: { usd: 9 } } }))
    const [listed] = listIn(await admin('/prices?model=third'))

    expect(listed).toMatchObject({ model: 'third', current: before, versions: [{ startsAt, prices: { output: { usd: 9, diem: 9 } } }] })
    expect(await pricing('third')).toEqual(before)
    expect(listIn(await admin('/prices')).map(({ model }) => model)).toContain('third')
  })

  test('of a model that an engine brought are nothing until they are set', async () => {
    const key = await customer('fay', '1')
    expect((await chat(key, FOUND)).status).toBe(200)
    expect(await balanceOf('fay')).toEqual({ balance: dollars(1_000_000_000), held: '0' })

    dataIn(await admin('/prices', { model: FOUND, startsAt: 'now', prices: { input: { usd: 0 }, output: { usd: 0.002 } } }))
    const answer = await chat(key, FOUND)

    expect(answer.status).toBe(200)
    expect(await chargedFor('fay', answer)).toBe(dollars(USAGE.completion_tokens * 2))
  })

  test.each([
    ['the past', { startsAt: '2020-01-01' }, 'startsAt'],
    ['no date', { startsAt: '2027-02-30' }, 'startsAt'],
    ['a price finer than a nano-dollar', { prices: { input: { usd: '0.0001' } } }, 'prices.input.usd'],
    ['a price of another type of model', { prices: { per_second: { usd: 1 } } }, 'prices.per_second'],
    ['rates for long requests where there are none', { prices: { extended: { input: { usd: 1 } } } }, 'prices.extended'],
    ['no price at all', { prices: {} }, 'prices'],
    ['less than nothing', { prices: { input: { usd: -1 } } }, 'prices.input.usd'],
  ])('are refused for %s, by the name of the field', async (_, more, field) => {
    const answer = await admin('/prices', { model: MODEL, startsAt: 'now', prices: { input: { usd: 1 } }, ...more })

    expectRefusal(answer, 400, 'INVALID_REQUEST', new RegExp(field.replaceAll('.', String.raw`\.`)))
    expect(await pricing(MODEL)).toMatchObject({ input: { usd: 0.007 } })
  })

  test('of no model are a 404', async () => {
    expectRefusal(await admin('/prices', { model: 'no-such', startsAt: 'now', prices: { input: { usd: 1 } } }), 404, 'MODEL_NOT_FOUND')
    expectRefusal(await admin('/prices?model=no-such'), 404, 'MODEL_NOT_FOUND')
  })
})

describe('only the operator', () => {
  const paths: readonly (readonly [string, string, unknown?])[] = [
    ['GET', '/accounts'],
    ['POST', '/accounts', { name: 'x' }],
    ['GET', '/accounts/operator'],
    ['PATCH', '/accounts/operator', { plan: 'default' }],
    ['GET', '/accounts/operator/movements'],
    ['GET', '/accounts/operator/api_keys'],
    ['POST', '/accounts/operator/api_keys', { apiKeyType: 'ADMIN', description: 'x' }],
    ['POST', '/accounts/operator/credits', { amountUsd: 1, currency: 'USD', reason: 'x', id: 'x' }],
    ['POST', '/accounts/operator/credits/take-back', { amountUsd: 'all', currency: 'USD', reason: 'x', id: 'x' }],
    ['GET', '/prices'],
    ['POST', '/prices', { model: MODEL, startsAt: 'now', prices: { input: { usd: 0 } } }],
    ['GET', '/ledger/trial-balance'],
    ['GET', '/ledger/export'],
    ['GET', '/audit'],
  ]

  test('administers the server: keys of other accounts get a 403 everywhere, whatever their type', async () => {
    const keys = [await customer('gil', undefined, 'ADMIN'), await customer('hal')]

    for (const key of keys) {
      for (const [method, path, body] of paths) expectRefusal(await admin(path, body, { method, key }), 403, 'UNAUTHORIZED')
    }
  })
})

test.each([
  ['GET', '/accounts/nobody', undefined],
  ['PATCH', '/accounts/nobody', { name: 'x' }],
  ['GET', '/accounts/nobody/movements', undefined],
  ['GET', '/accounts/nobody/api_keys', undefined],
  ['POST', '/accounts/nobody/api_keys', { apiKeyType: 'INFERENCE', description: 'x' }],
  ['POST', '/accounts/nobody/credits', { amountUsd: 1, currency: 'USD', reason: 'x', id: 'n1' }],
  ['POST', '/accounts/nobody/credits/take-back', { amountUsd: 1, currency: 'USD', reason: 'x', id: 'n2' }],
])('%s %s of an account that there is not is a 404', async (method, path, body) => {
  expectRefusal(await admin(path, body, { method }), 404, 'NOT_FOUND', /There is no such account/)
})

const CREDIT = { amountUsd: '1', currency: 'USD', reason: 'r', id: 'bad' }
test.each([
  ['/accounts', { name: '' }, 'name'],
  ['/accounts', { name: 'x', id: 'A:b' }, 'id'],
  ['/accounts', { name: 'x', id: 'operator' }, 'id'],
  ['/accounts', { name: 'x', plan: 'gold' }, 'plan'],
  ['/accounts', { name: 'x', creditUsd: -1 }, 'creditUsd'],
  ['/accounts', { name: 'x', creditUsd: '0.0000000001' }, 'creditUsd'],
  ['/accounts', { name: 'x', wallet: '0x12' }, 'wallet'],
  ['/accounts/operator/credits', { ...CREDIT, amountUsd: 0 }, 'amountUsd'],
  ['/accounts/operator/credits', { ...CREDIT, amountUsd: '-1' }, 'amountUsd'],
  ['/accounts/operator/credits', { ...CREDIT, amountUsd: '1e3' }, 'amountUsd'],
  ['/accounts/operator/credits', { ...CREDIT, amountUsd: 1e-10 }, 'amountUsd'],
  ['/accounts/operator/credits', { ...CREDIT, amountUsd: '1000000.000000001' }, 'amountUsd'],
  ['/accounts/operator/credits', { ...CREDIT, amountUsd: 'all' }, 'amountUsd'],
  ['/accounts/operator/credits', { ...CREDIT, currency: 'DIEM' }, 'currency'],
  ['/accounts/operator/credits', { ...CREDIT, reason: ' ' }, 'reason'],
  ['/accounts/operator/credits', { ...CREDIT, reason: 'x'.repeat(201) }, 'reason'],
  ['/accounts/operator/credits', { ...CREDIT, id: 'a b' }, 'id'],
  ['/accounts/operator/credits', { ...CREDIT, id: undefined }, 'id'],
])('POST %s with %j is a 400 that names %s', async (path, body, field) => {
  expectRefusal(await admin(path, body), 400, 'INVALID_REQUEST', new RegExp(`\\b${field}\\b`))
})

test.each([
  '/accounts?limit=0',
  '/accounts?limit=501',
  '/accounts?after=A%20b',
  '/audit?before=x',
  '/ledger/export?format=xml',
  '/ledger/export?after=-1',
  '/accounts/operator/movements?page=0',
])('GET %s is a 400', async (path) => expectRefusal(await admin(path), 400, 'INVALID_REQUEST'))

test('the operator’s account cannot be closed, and nothing to change is nothing done', async () => {
  expectRefusal(await admin('/accounts/operator', { closed: true }, { method: 'PATCH' }), 400, 'INVALID_REQUEST', /closed/)
  expectRefusal(await admin('/accounts/operator', {}, { method: 'PATCH' }), 400, 'INVALID_REQUEST', /name, plan/)
})

test('the export has every movement once, in both formats, and goes on after a place', async () => {
  const lines = (await admin('/ledger/export')).text.trimEnd().split('\n')
  const rows = lines.map((line) => z.looseObject({ seq: z.number(), id: z.string() }).parse(JSON.parse(line)))
  const csv = await admin('/ledger/export?format=csv')
  const rest = (await admin(`/ledger/export?after=${rows[2]?.seq}`)).text.trimEnd().split('\n')

  expect(rows.length).toBeGreaterThan(8)
  expect(new Set(rows.map(({ id }) => id)).size).toBe(rows.length)
  expect(rows.find(({ id }) => id === 'grant:invoice-17')).toMatchObject({
    kind: 'grant',
    currency: 'USD',
    from: 'grants',
    to: 'account:ada',
    amountUsd: '0.01',
  })
  expect(rest).toEqual(lines.slice(3))
  expect(csv.headers.get('content-type')).toContain('text/csv')
  expect(csv.text.trimEnd().split('\r\n')).toHaveLength(rows.length + 1)
  expect(csv.text).toContain('seq,id,at,kind,currency,from,to,amountUsd,requestId,model\r\n')
})

test('everything that was done is in the audit, by whom, and no key is', async () => {
  const made = await customer('ivy', '0.25')
  const lines: Record<string, unknown>[] = []
  for (let path = '/audit?limit=7'; ; ) {
    const answer = await admin(path)
    lines.push(...listIn(answer))
    const { next } = z.looseObject({ next: z.number().nullable() }).parse(answer.json())
    if (next === null) break
    path = `/audit?limit=7&before=${next}`
  }

  for (const action of ['account.create', 'account.change', 'credit.grant', 'credit.take-back', 'price.set', 'key.create', 'key.revoke']) {
    expect(lines.map((line) => line['action'])).toContain(action)
  }
  expect(new Set(lines.map(({ byKeyId }) => byKeyId))).toEqual(new Set(['environment']))
  expect(lines.filter(({ action, object }) => action === 'credit.grant' && object === 'ada')).toHaveLength(1)
  expect(lines.find(({ action, object }) => action === 'credit.grant' && object === 'ivy')).toMatchObject({
    details: { amountUsd: '0.25', currency: 'USD', reason: 'a test', id: 'of-ivy' },
  })
  for (const text of [JSON.stringify(lines), rialto.logs()]) {
    expect(text).not.toContain(made)
    expect(text).not.toContain(rialto.key)
  }
})

test('accounts, prices and books are the same after a restart', async () => {
  const again = await startRialto({
    config: overlay([engineAt('mock', upstream.url)], [textModel(MODEL, 'mock'), textModel('second', 'mock')]),
  })
  const { home } = again
  const prices = { model: 'second', startsAt: 'now', prices: { input: { usd: '0.123' } } }
  expect((await ask(`${again.url}/admin/prices`, { key: again.key, body: prices })).status).toBe(200)
  expect((await ask(`${again.url}/admin/accounts`, { key: again.key, body: { id: 'jo', name: 'Jo' } })).status).toBe(200)
  const config = overlay([engineAt('mock', upstream.url)], [textModel(MODEL, 'mock'), textModel('second', 'mock')])

  again.kill('SIGKILL')
  await again.ended
  const late = await startRialto({ config, home })
  try {
    expect((await ask(`${late.url}/models/second`)).text).toContain('"input":{"usd":0.123,"diem":0.123}')
    expect((await ask(`${late.url}/admin/accounts/jo`, { key: late.key })).json()).toMatchObject({ data: { name: 'Jo' } })
    expect((await ask(`${late.url}/admin/ledger/trial-balance`, { key: late.key })).json()).toMatchObject({ balanced: true })
  } finally {
    await late.stop()
    await again.stop()
  }
})

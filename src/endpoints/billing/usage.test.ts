import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { CURRENCIES } from '../../core/money.ts'
import type { Bill, Store } from '../../core/store.ts'
import { openSqliteStore } from '../../store/sqlite/sqlite-store.ts'
import { type Answered, type Ask, DAY_MS, NOW, askOf, bill, line } from './billing.fixture.ts'
import { cursorOf } from './cursor.ts'
import { entry } from './statement.ts'

const listed = z.object({ data: z.array(entry), nextCursor: z.string().nullable().optional() })
const idsOf = ({ body }: Answered): string[] => listed.parse(body).data.map(({ inferenceDetails }) => inferenceDetails?.requestId ?? '')
const nextOf = ({ body }: Answered): string | null => listed.parse(body).nextCursor ?? null

let store: Store
let ask: Ask
beforeEach(async () => {
  store = await openSqliteStore(':memory:')
  await store.migrate()
  ask = askOf(store)
})
afterEach(() => store.close())

/** Requests of account `a`, a minute apart, with one entry each; the last of them now. */
const many = (count: number): Bill[] =>
  Array.from({ length: count }, (_, i) => bill(`r${i}`, NOW - (count - 1 - i) * 60_000, [line('outputToken', i + 1, 5)]))

describe('GET /billing/usage', () => {
  it('gives the latest entries first, in pages that say how many there are', async () => {
    await store.commit(many(25))

    const second = await ask('/billing/usage', { limit: '10', page: '2' })

    expect(idsOf(second)).toEqual(Array.from({ length: 10 }, (_, i) => `chatcmpl-r${14 - i}`))
    expect(second.body).toMatchObject({ pagination: { limit: 10, page: 2, total: 25, totalPages: 3 } })
    expect(second.headers).toEqual({
      'x-pagination-limit': '10',
      'x-pagination-page': '2',
      'x-pagination-total': '25',
      'x-pagination-total-pages': '3',
    })
    expect(idsOf(await ask('/billing/usage', { sortOrder: 'asc', limit: '1' }))).toEqual(['chatcmpl-r0'])
    expect((await ask('/billing/usage', { limit: '200', page: '501' })).body).toMatchObject({ data: [], pagination: { total: 25 } })
    expect((await ask('/billing/usage', { limit: '10', page: '4' })).body).toMatchObject({ data: [], pagination: { total: 25 } })
  })

  it('tells the tokens of the whole run in each of its entries, whatever paid for them and wherever the page ends', async () => {
    const lines = [line('inputToken', 100, 2, 'DIEM'), line('cacheReadToken', 40, 1, 'DIEM'), line('outputToken', 7, 3)]
    await store.commit([bill('r1', NOW, lines), bill('r2', NOW, [line('inputToken', 9, 2)])])

    for (const currency of [undefined, 'DIEM', 'USD']) {
      const { body } = await ask('/billing/usage-history', currency === undefined ? {} : { currency })
      const details = listed.parse(body).data.map((one) => one.inferenceDetails)

      for (const one of details.filter((detail) => detail?.requestId === 'chatcmpl-r1')) {
        expect(one).toEqual({ requestId: 'chatcmpl-r1', promptTokens: 140, completionTokens: 7, inferenceExecutionTime: 12 })
      }
      expect(details.length).toBe({ all: 4, DIEM: 2, USD: 2 }[currency ?? 'all'])
    }
    expect(listed.parse((await ask('/billing/usage', { limit: '1' })).body).data[0]?.inferenceDetails?.promptTokens).toBe(9)
  })

  it('keeps to the dates, both included, and to the currency', async () => {
    const at = Date.UTC(2026, 2, 1)
    await store.commit([
      bill('before', at - 1, [line('inputToken', 1, 1)]),
      bill('first', at, [line('inputToken', 1, 1), line('outputToken', 1, 1, 'BUNDLED_CREDITS')]),
      bill('last', at + 5_000, [line('inputToken', 1, 1, 'DIEM')]),
      bill('after', at + 5_001, [line('inputToken', 1, 1)]),
    ])
    const dates = { startDate: '2026-03-01T00:00:00Z', endDate: '2026-03-01T01:00:05+01:00', sortOrder: 'asc' }

    const all = await ask('/billing/usage', dates)

    expect(idsOf(all)).toEqual(['chatcmpl-first', 'chatcmpl-first', 'chatcmpl-last'])
    expect(all.body).toMatchObject({ pagination: { total: 3 } })
    for (const [currency, id] of [
      ['BUNDLED_CREDITS', 'chatcmpl-first'],
      ['DIEM', 'chatcmpl-last'],
    ] as const) {
      const some = await ask('/billing/usage', { ...dates, currency })
      expect(idsOf(some)).toEqual([id])
      expect(some.body).toMatchObject({ pagination: { total: 1 }, data: [{ currency }] })
    }
  })

  it('counts the same as it lists, over days that are whole and days that are not', async () => {
    await store.commit(
      Array.from({ length: 60 }, (_, i) =>
        bill(`r${i}`, NOW - i * 7 * 3_600_000, [line('inputToken', 3, 1, CURRENCIES[i % 3]), line('outputToken', 2, 1)], {
          keyId: `k${i % 4}`,
        }),
      ),
    )
    for (const currency of [null, ...CURRENCIES])
      for (const from of [null, NOW - 9 * DAY_MS, NOW - 9 * DAY_MS + 1, NOW - DAY_MS / 2])
        for (const to of [null, NOW + 1, NOW - 3 * DAY_MS, NOW - DAY_MS / 2 + 1]) {
          const filter = { accountId: 'a', currency, from, to }

          expect([filter, await store.countUsage(filter)]).toEqual([filter, (await store.usage(filter, 'asc', 0, 500)).length])
        }
  })

  it('has nothing in a currency of former days, and says so', async () => {
    await store.commit(many(2))

    const { status, body } = await ask('/billing/usage', { currency: 'VCU' })

    expect([status, body]).toEqual([
      200,
      { warningMessage: expect.stringMatching('DIEM'), data: [], pagination: expect.objectContaining({ total: 0 }) },
    ])
  })

  it('lists no payments and no credits', async () => {
    const money = { at: NOW, currency: 'USD', toBook: 'account:a', amount: 5n } as const
    await store.commit([
      { ...money, id: 'topup:bank:1', kind: 'topup', fromBook: 'bank' },
      { ...money, id: 'grant:1', kind: 'grant', fromBook: 'grants' },
      ...many(1),
    ])

    expect(idsOf(await ask('/billing/usage'))).toEqual(['chatcmpl-r0'])
    expect(idsOf(await ask('/billing/usage-history'))).toEqual(['chatcmpl-r0'])
  })

  it.for([
    ['limit', { limit: '0' }],
    ['limit', { limit: '501' }],
    ['limit', { limit: '1.5' }],
    ['limit', { limit: '' }],
    ['limit', { limit: 'many' }],
    ['page', { page: '0' }],
    ['page', { page: '-1' }],
    ['page', { page: '99999999999999999999' }],
    ['page', { page: '999999999' }],
    ['page', { page: '502' }],
    ['sortOrder', { sortOrder: 'up' }],
    ['currency', { currency: 'EUR' }],
    ['startDate', { startDate: 'yesterday' }],
    ['startDate', { startDate: '2026-02-30T00:00:00Z' }],
    ['endDate', { endDate: '2026-02-03' }],
    ['endDate', { startDate: '2026-02-03T00:00:00Z', endDate: '2026-02-02T00:00:00Z' }],
    ['accountId', { accountId: 'b' }],
  ] as const)('names %s where the query is %o', async ([field, query]) => {
    const { status, body, param } = await ask('/billing/usage', query)

    expect(status).toBe(400)
    expect(body).toContain(field)
    if (field !== 'accountId') expect(param).toBe(field)
  })
})

describe('GET /billing/usage-history', () => {
  /** All pages, as the ids of their entries; `between` runs after each. */
  async function walk(query: Readonly<Record<string, string>>, between: () => Promise<void> = async () => {}): Promise<string[][]> {
    const pages: string[][] = []
    for (let next: string | null = null; ; ) {
      const page: Answered = await ask('/billing/usage-history', next === null ? query : { cursor: next })
      expect(page.status).toBe(200)
      pages.push(idsOf(page))
      next = nextOf(page)
      if (next === null) return pages
      await between()
    }
  }

  it('meets each entry once and in order, whatever the size of the pages, the filters, and what comes in meanwhile', async () => {
    const charges = fc.array(
      fc.record({
        // Few moments, so that many share one.
        minute: fc.integer({ min: 0, max: 9 }),
        account: fc.constantFrom('a', 'a', 'b'),
        lines: fc.array(
          fc.record({ unit: fc.constantFrom('inputToken', 'outputToken', 'call'), currency: fc.constantFrom(...CURRENCIES) }),
          { minLength: 1, maxLength: 4 },
        ),
      }),
      { minLength: 20, maxLength: 60, size: 'max' },
    )
    const filters = fc.record({
      pageSize: fc.integer({ min: 10, max: 20 }),
      currency: fc.option(fc.constantFrom(...CURRENCIES), { freq: 2 }),
      from: fc.option(fc.integer({ min: 0, max: 3 }), { freq: 2 }),
      to: fc.option(fc.integer({ min: 6, max: 9 }), { freq: 2 }),
    })
    await fc.assert(
      fc.asyncProperty(charges, filters, async (some, { pageSize, currency, from, to }) => {
        const bills = some
          .toSorted((a, b) => a.minute - b.minute)
          .map(({ minute, account, lines }, i) =>
            bill(
              `${account}${i}`,
              NOW + minute * 60_000,
              lines.map((one) => line(one.unit, 2, 3, one.currency)),
              { accountId: account },
            ),
          )
        const fresh = await openSqliteStore(':memory:')
        await fresh.migrate()
        await fresh.commit(bills)
        ask = askOf(fresh)
        const iso = (minute: number): string => new Date(NOW + minute * 60_000).toISOString()
        let late = 0

        const pages = await walk(
          {
            pageSize: String(pageSize),
            ...(currency !== null && { currency }),
            ...(from !== null && { startTimestamp: iso(from) }),
            endTimestamp: iso(to ?? 10),
          },
          () => fresh.commit([bill(`late${late++}`, NOW + 20 * 60_000, [line('call', 1, 1)])]),
        )

        const wanted = bills.flatMap(({ accountId, requestId, at, lines }) => {
          const inTime = at >= NOW + (from ?? 0) * 60_000 && at < NOW + (to ?? 10) * 60_000
          const mine = lines.filter((one) => currency === null || one.currency === currency)
          return accountId === 'a' && inTime ? mine.map(() => `chatcmpl-${requestId}`) : []
        })
        expect(pages.flat()).toEqual(wanted)
        for (const page of pages.slice(0, -1)) expect(page.length).toBe(pageSize)
        await fresh.close()
      }),
      { numRuns: 40 },
    )
  })

  it('shows an account nothing of another one, in no list and no sum', async () => {
    await store.commit([...many(12), bill('other', NOW, [line('inputToken', 5, 5)], { accountId: 'b', keyId: 'key-b', model: 'm-b' })])

    for (const path of ['/billing/usage', '/billing/usage-history', '/billing/usage-analytics']) {
      expect(JSON.stringify((await ask(path)).body)).not.toMatch(/other|m-b|key-b/)
      expect(JSON.stringify((await ask(path, {}, { accountId: 'b' })).body)).not.toMatch(/chatcmpl-r|m1|key-a/)
      const stranger = await ask(path, {}, { accountId: 'c' })
      expect(stranger.status).toBe(200)
      expect(JSON.stringify(stranger.body)).not.toMatch(/chatcmpl|m1|m-b|key-/)
    }
  })

  it('takes a cursor from the account that got it, unchanged, and from nobody else', async () => {
    await store.commit([...many(12), ...many(12).map((one) => ({ ...one, requestId: `b${one.requestId}`, accountId: 'b' }))])
    const cursor = nextOf(await ask('/billing/usage-history', { pageSize: '10' })) ?? ''
    const refused = { status: 400, param: 'cursor', body: expect.stringContaining('cursor: ') }

    expect(cursor).toMatch(/^[A-Za-z0-9_-]{1,512}$/)
    expect(idsOf(await ask('/billing/usage-history', { cursor }))).toEqual(['chatcmpl-r10', 'chatcmpl-r11'])
    expect(await ask('/billing/usage-history', { cursor }, { accountId: 'b' })).toMatchObject(refused)
    for (let at = 0; at < cursor.length; at++) {
      const changed = `${cursor.slice(0, at)}${cursor[at] === 'A' ? 'B' : 'A'}${cursor.slice(at + 1)}`
      expect(await ask('/billing/usage-history', { cursor: changed })).toMatchObject(refused)
    }
    for (const wrong of [
      cursor.slice(0, -1),
      `${cursor}A`,
      'A',
      `${cursor}=`,
      'a b',
      '',
      'A'.repeat(513),
      Buffer.from('{}').toString('base64url'),
    ]) {
      expect(await ask('/billing/usage-history', { cursor: wrong })).toMatchObject(refused)
    }
  })

  it('reads the account of the caller even where somebody makes up a cursor for it', async () => {
    await store.commit([...many(3), bill('other', NOW, [line('call', 1, 1)], { accountId: 'b' })])
    const made = cursorOf('b', { place: { at: 0, seq: 0, line: 0 }, currency: null, to: null, pageSize: 10 })

    expect(idsOf(await ask('/billing/usage-history', { cursor: made }, { accountId: 'b' }))).toEqual(['chatcmpl-other'])
  })

  it.for([
    ['pageSize', { pageSize: '9' }],
    ['pageSize', { pageSize: '1001' }],
    ['pageSize', { pageSize: 'all' }],
    ['currency', { currency: 'VCU' }],
    ['startTimestamp', { startTimestamp: '2026-03-01' }],
    ['startTimestamp', { startTimestamp: '2026-03-01T00:00:00+01:00' }],
    ['endTimestamp', { endTimestamp: '2026-13-01T00:00:00Z' }],
    ['endTimestamp', { startTimestamp: '2026-03-01T00:00:00Z', endTimestamp: '2026-03-01T00:00:00Z' }],
    ['page', { page: '2' }],
  ] as const)('names %s where the query is %o', async ([field, query]) => {
    const { status, body } = await ask('/billing/usage-history', query)

    expect(status).toBe(400)
    expect(body).toContain(field)
  })

  it.for([
    ['pageSize', '1000'],
    ['currency', 'USD'],
    ['startTimestamp', '2026-03-01T00:00:00Z'],
    ['endTimestamp', '2026-03-01T00:00:00Z'],
  ] as const)('takes no %s with a cursor', async ([field, value]) => {
    await store.commit(many(12))
    const cursor = nextOf(await ask('/billing/usage-history', { pageSize: '10' })) ?? ''

    expect(await ask('/billing/usage-history', { cursor, [field]: value })).toMatchObject({ status: 400, param: field })
  })
})

describe('charges as CSV', () => {
  it('come where Accept names them, with the pagination or the cursor in the headers', async () => {
    await store.commit(many(12))

    const page = await ask('/billing/usage', { limit: '10' }, { accept: 'text/csv' })
    const first = await ask('/billing/usage-history', { pageSize: '10' }, { accept: 'application/json;q=0.5, Text/CSV;charset=utf-8' })
    const cursor = first.headers['x-next-cursor'] ?? ''
    const last = await ask('/billing/usage-history', { cursor }, { accept: 'text/csv' })

    expect(page.contentType).toBe('text/csv; charset=utf-8')
    expect(page.headers).toMatchObject({ 'content-disposition': 'attachment; filename=billing_usage.csv', 'x-pagination-total': '12' })
    expect(String(page.body).split('\r\n')[1]).toBe(
      '2026-03-10T12:00:00.000Z,m1-llm-output-mtoken,0.005,0.000012,-0.00000006,USD,API Inference,chatcmpl-r11,12,0,12',
    )
    expect(first.headers['content-disposition']).toBe('attachment; filename=billing-usage-history-20260310T120000000Z.csv')
    expect([page, first, last].map(({ body }) => String(body).split('\r\n').length)).toEqual([12, 12, 4])
    expect(last.headers).not.toHaveProperty('x-next-cursor')
  })

  it.for(['*/*', 'application/json', 'text/*', 'text/csv;q=0', 'text/csv-schema', ''])('do not come for Accept: %s', async (accept) => {
    await store.commit(many(1))

    for (const path of ['/billing/usage', '/billing/usage-history']) expect(idsOf(await ask(path, {}, { accept }))).toEqual(['chatcmpl-r0'])
  })
})

import { array, asyncProperty, assert, bigInt, constantFrom, integer, record } from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Caller } from '../core/call.ts'
import { CREDIT_CURRENCIES, type Credit } from './credits.ts'
import { EXPORT_PAGE, ledgerPages } from './ledger-export.ts'
import { OPERATOR, type Room, openRoom } from './room.fixture.ts'

let room: Room
beforeEach(async () => {
  room = await openRoom()
  await room.accounts.create(OPERATOR, { id: 'ada', name: 'Ada', plan: 'default', creditNano: 0n, wallet: null })
  await room.accounts.create(OPERATOR, { id: 'bob', name: 'Bob', plan: 'default', creditNano: 0n, wallet: null })
})
afterEach(() => room.store.close())

const credit = (more: Partial<Credit> = {}) => ({
  accountId: 'ada',
  currency: 'USD' as const,
  amount: 100n,
  id: 'i1',
  reason: 'Invoice 17',
  ...more,
})
const caller = (accountId: string): Caller => ({
  accountId,
  keyId: `key-of-${accountId}`,
  scope: 'INFERENCE',
  plan: 'default',
  caps: { period: 'LIFETIME', usd: null, diem: null },
  modelPrivacy: 'ALL',
  models: null,
})
const of = async (accountId: string) => (await room.ledger.balances(accountId)).USD.balance

describe('credit', () => {
  it('that is given is there, with its reason in the audit', async () => {
    const given = await room.credits.grant(OPERATOR, { ...credit(), amount: 1_500_000_000n })

    expect(given).toEqual({ amount: 1_500_000_000n, repeated: false })
    expect(await of('ada')).toBe(1_500_000_000n)
    expect((await room.store.audit(null, 1))[0]).toMatchObject({
      byKeyId: 'first',
      action: 'credit.grant',
      object: 'ada',
      details: { id: 'i1', currency: 'USD', amountUsd: '1.5', reason: 'Invoice 17' },
    })
    expect(await room.accounts.movements('ada', 0, 10)).toMatchObject({
      rows: [{ id: 'grant:i1', kind: 'grant', amount: 1_500_000_000n }],
      more: false,
    })
  })

  it('is given once, however often and however much at once the same is asked for', async () => {
    const tries = await Promise.allSettled([1, 2, 3, 4].map(() => room.credits.grant(OPERATOR, { ...credit(), amount: 100n })))
    const late = await room.credits.grant(OPERATOR, { ...credit(), amount: 100n })

    expect(tries.filter(({ status }) => status === 'fulfilled').length).toBeGreaterThan(0)
    for (const one of tries) if (one.status === 'rejected') expect(one.reason).toMatchObject({ status: 503 })
    expect(late).toEqual({ amount: 100n, repeated: true })
    expect(await of('ada')).toBe(100n)
    expect((await room.store.audit(null, 100)).filter(({ action }) => action === 'credit.grant')).toHaveLength(1)
  })

  it.each<[string, { amount?: bigint; accountId?: string; currency?: 'BUNDLED_CREDITS' }]>([
    ['another amount', { amount: 101n }],
    ['another account', { accountId: 'bob' }],
    ['another currency', { currency: 'BUNDLED_CREDITS' }],
  ])('under the id of another one is refused: %s', async (_, more) => {
    await room.credits.grant(OPERATOR, { ...credit(), amount: 100n })

    await expect(room.credits.grant(OPERATOR, { ...credit(more), amount: more.amount ?? 100n })).rejects.toMatchObject({ param: 'id' })

    expect([await of('ada'), await of('bob')]).toEqual([100n, 0n])
  })

  it('is taken back, no more than is there and not held, and the refusal says what that is', async () => {
    await room.credits.grant(OPERATOR, { ...credit(), amount: 1_000_000_000n })
    await room.ledger.hold('r1', caller('ada'), 250_000_000n)

    const more = room.credits.takeBack(OPERATOR, credit({ amount: 750_000_001n }))
    await expect(more).rejects.toMatchObject({
      code: 'INVALID_REQUEST',
      param: 'amountUsd',
      message: expect.stringContaining(' 0.75 of USD'),
    })
    const taken = await room.credits.takeBack(OPERATOR, credit({ amount: 750_000_000n }))

    expect(taken).toEqual({ amount: 750_000_000n, repeated: false })
    expect(await of('ada')).toBe(250_000_000n)
  })

  it('is taken back whole where that is asked for, once, also where there is none', async () => {
    await room.credits.grant(OPERATOR, { ...credit(), amount: 7n })

    const all = await room.credits.takeBack(OPERATOR, credit({ amount: 'all' }))
    await room.credits.grant(OPERATOR, { ...credit({ id: 'i2' }), amount: 5n })
    const again = await room.credits.takeBack(OPERATOR, credit({ amount: 'all' }))
    const none = await room.credits.takeBack(OPERATOR, credit({ amount: 'all', accountId: 'bob', id: 'i3' }))

    expect([all, again, none]).toEqual([
      { amount: 7n, repeated: false },
      { amount: 7n, repeated: true },
      { amount: 0n, repeated: false },
    ])
    expect(await of('ada')).toBe(5n)
  })

  it('of an account that there is not is a 404, and is in no audit', async () => {
    const before = await room.store.audit(null, 100)

    await expect(room.credits.grant(OPERATOR, { ...credit({ accountId: 'nobody' }), amount: 1n })).rejects.toMatchObject({
      code: 'NOT_FOUND',
    })
    await expect(room.credits.takeBack(OPERATOR, credit({ accountId: 'nobody' }))).rejects.toMatchObject({ code: 'NOT_FOUND' })

    expect(await room.store.audit(null, 100)).toEqual(before)
  })

  it('comes to what a simple sum says, whatever is given, taken back, repeated and refused, and the books to zero', async () => {
    const step = record({
      kind: constantFrom('grant', 'takeBack'),
      accountId: constantFrom('ada', 'bob'),
      currency: constantFrom(...CREDIT_CURRENCIES),
      amount: bigInt({ min: 1n, max: 50n }),
      id: integer({ min: 0, max: 25 }),
    })
    let run = 0
    const sums = new Map<string, bigint>()
    await assert(
      asyncProperty(array(step, { maxLength: 30 }), async (steps) => {
        run++
        const seen = new Map<string, string>()
        for (const { kind, accountId, currency, amount, id } of steps) {
          const one = { accountId, currency, amount, id: `${run}-${id}`, reason: 'r' }
          const book = `${accountId} ${currency}`
          const same = `${kind} ${id}`
          const what = `${book} ${amount}`
          const before = sums.get(book) ?? 0n
          const first = seen.get(same)
          const outcome = await room.credits[kind](OPERATOR, one).catch((error: { param: string }) => error.param)

          if (first !== undefined) expect(outcome).toEqual(first === what ? { amount, repeated: true } : 'id')
          else if (kind === 'takeBack' && amount > before) expect(outcome).toBe('amountUsd')
          else {
            expect(outcome).toEqual({ amount, repeated: false })
            seen.set(same, what)
            sums.set(book, kind === 'grant' ? before + amount : before - amount)
          }
        }
        for (const accountId of ['ada', 'bob']) {
          const balances = await room.ledger.balances(accountId)
          for (const currency of CREDIT_CURRENCIES) expect(balances[currency].balance).toBe(sums.get(`${accountId} ${currency}`) ?? 0n)
        }
      }),
      { numRuns: 30 },
    )

    expect(await room.trialBalances.make()).toMatchObject({ balanced: true, ledger: { openHolds: 0, unwritten: 0 } })
  })
})

it('the trial balance is not balanced where a sum is not right, and says which', async () => {
  await room.credits.grant(OPERATOR, { ...credit(), amount: 100n })
  const right = await room.store.tally()
  const difference = { what: 'book', id: 'account:ada', currency: 'USD', kept: 101n, recomputed: 100n } as const
  room.store.tally = () => Promise.resolve({ ...right, differences: [difference] })
  const wrong = await room.trialBalances.make()
  room.store.tally = () => Promise.resolve({ ...right, sums: right.sums.filter(({ books }) => books !== 'account:*') })
  const uneven = await room.trialBalances.make()

  expect([wrong.balanced, wrong.tally.differences]).toEqual([false, [difference]])
  expect([uneven.balanced, uneven.currencies.map(({ sum }) => sum)]).toEqual([false, [-100n]])
})

it('a trial balance that is asked for while one is being made is that one', async () => {
  const [one, two] = await Promise.all([room.trialBalances.make(), room.trialBalances.make()])

  expect(two).toBe(one)
  expect(await room.trialBalances.make()).not.toBe(one)
})

it('the export has every movement once, in their order, and goes on where it broke off', async () => {
  const count = EXPORT_PAGE * 2 + 3
  await room.store.commit(
    Array.from({ length: count }, (_, i) => ({
      id: `topup:bank:${i}`,
      at: i,
      currency: 'USD' as const,
      fromBook: 'bank',
      toBook: 'account:ada',
      amount: BigInt(i + 1),
      kind: 'topup' as const,
    })),
  )
  const read = async (after: number) => {
    const all = []
    for await (const page of ledgerPages(room.store, after)) all.push(...page)
    return all
  }

  const all = await read(0)
  const rest = await read(all[700]?.seq ?? 0)

  expect(all.map(({ amount }) => amount)).toEqual(Array.from({ length: count }, (_, i) => BigInt(i + 1)))
  expect(rest).toEqual(all.slice(701))
})

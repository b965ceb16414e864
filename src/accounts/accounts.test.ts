import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { NewAccount } from './accounts.ts'
import { OPERATOR, type Room, openRoom } from './room.fixture.ts'

const NEW: NewAccount = { id: 'ada', name: 'Ada', plan: 'default', creditNano: 0n, wallet: null }
const WALLET = `0x${'ab'.repeat(20)}`

let room: Room
beforeEach(async () => {
  room = await openRoom()
})
afterEach(() => room.store.close())

const actions = async () => (await room.store.audit(null, 100)).map(({ action, object }) => `${action} ${object}`)

describe('an account', () => {
  it('is there once it was opened, with what it was opened with, and is in the audit', async () => {
    const row = await room.accounts.create(OPERATOR, { ...NEW, creditNano: 5n, wallet: WALLET })

    expect(row).toEqual({ ...NEW, creditNano: 5n, wallet: WALLET, diemAllowanceNano: 0n, createdAt: room.clock.time, closedAt: null })
    expect(await room.accounts.get('ada')).toEqual(row)
    expect((await room.store.audit(null, 10))[0]).toMatchObject({
      at: room.clock.time,
      byKeyId: 'first',
      action: 'account.create',
      object: 'ada',
      details: { name: true, plan: 'default', creditUsd: '0.000000005', wallet: WALLET },
    })
  })

  it('gets an id that nobody can guess where none is asked for', async () => {
    const { id } = await room.accounts.create(OPERATOR, { ...NEW, id: null })

    expect(id).toMatch(/^[0-9a-f]{32}$/)
    expect(await room.accounts.get(id)).toMatchObject({ name: 'Ada' })
  })

  it.each([
    ['a plan that there is not', { plan: 'gold' }, 'plan'],
    ['an id that is taken', { id: 'operator' }, 'id'],
    ['a wallet that is taken', { wallet: WALLET }, 'wallet'],
  ])('is refused with %s, and nothing is written', async (_, more, param) => {
    await room.accounts.create(OPERATOR, { ...NEW, id: 'owner', wallet: WALLET })
    const before = await actions()

    await expect(room.accounts.create(OPERATOR, { ...NEW, ...more })).rejects.toMatchObject({ code: 'INVALID_REQUEST', param })

    expect(await room.store.account('ada')).toBeNull()
    expect(await actions()).toEqual(before)
  })

  it('that is opened twice at the same time is opened once', async () => {
    const tries = await Promise.allSettled([1, 2, 3].map(() => room.accounts.create(OPERATOR, NEW)))

    expect(tries.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected', 'rejected'])
  })

  it('changes in what is named and in nothing else, and keys and ledger hear of it', async () => {
    const before = await room.accounts.create(OPERATOR, { ...NEW, wallet: WALLET })

    const after = await room.accounts.change(OPERATOR, 'ada', { plan: 'partner', name: undefined, creditNano: null })

    expect(after).toEqual({ ...before, plan: 'partner', creditNano: null })
    expect(await room.accounts.get('ada')).toEqual(after)
    expect(room.told).toEqual(['ada'])
    expect((await room.store.audit(null, 1))[0]).toMatchObject({
      action: 'account.change',
      object: 'ada',
      details: { plan: 'partner', creditUsd: null },
    })
  })

  it('closes and opens again, and stays closed since when it was', async () => {
    await room.accounts.create(OPERATOR, NEW)
    const closedAt = room.clock.time

    await room.accounts.change(OPERATOR, 'ada', { closed: true })
    room.clock.time += 1_000
    const again = await room.accounts.change(OPERATOR, 'ada', { closed: true, name: 'Ada L.' })
    const open = await room.accounts.change(OPERATOR, 'ada', { closed: false })

    expect([again.closedAt, open.closedAt, open.name]).toEqual([closedAt, null, 'Ada L.'])
  })

  it('of the operator cannot be closed', async () => {
    await expect(room.accounts.change(OPERATOR, 'operator', { closed: true })).rejects.toMatchObject({ param: 'closed' })

    expect((await room.accounts.get('operator')).closedAt).toBeNull()
  })

  it('loses no change of those that come together', async () => {
    await room.accounts.create(OPERATOR, NEW)

    await Promise.all([
      room.accounts.change(OPERATOR, 'ada', { name: 'A' }),
      room.accounts.change(OPERATOR, 'ada', { plan: 'partner' }),
      room.accounts.change(OPERATOR, 'ada', { wallet: WALLET }),
      room.accounts.change(OPERATOR, 'ada', { creditNano: 7n }),
    ])

    expect(await room.accounts.get('ada')).toMatchObject({ name: 'A', plan: 'partner', wallet: WALLET, creditNano: 7n })
  })

  it('that is not there is a 404, whatever is asked of it', async () => {
    const gone = { code: 'NOT_FOUND', message: 'There is no such account' }

    await expect(room.accounts.get('nobody')).rejects.toMatchObject(gone)
    await expect(room.accounts.change(OPERATOR, 'nobody', { name: 'x' })).rejects.toMatchObject(gone)
    await expect(room.accounts.movements('nobody', 0, 10)).rejects.toMatchObject(gone)
    expect(await actions()).toEqual([])
  })

  it('that could not be changed has a line that says so', async () => {
    await room.accounts.create(OPERATOR, NEW)
    room.told.push = () => {
      throw new Error('away')
    }

    await expect(room.accounts.change(OPERATOR, 'ada', { name: 'x' })).rejects.toThrow('away')

    expect((await actions()).slice(0, 2)).toEqual(['account.change.failed ada', 'account.change ada'])
  })
})

it('accounts are listed by their ids, page by page, each once', async () => {
  for (const id of ['d', 'b', 'a', 'c']) await room.accounts.create(OPERATOR, { ...NEW, id })
  const seen: string[] = []
  let after: string | null = null

  do {
    const { rows, next }: Awaited<ReturnType<typeof room.accounts.list>> = await room.accounts.list(after, 2)
    expect(rows.length).toBeLessThanOrEqual(2)
    seen.push(...rows.map(({ id }) => id))
    after = next
  } while (after !== null)

  expect(seen).toEqual(['a', 'b', 'c', 'd', 'operator'])
})

it('the audit is read page by page, each line once, the latest first', async () => {
  for (const id of ['a', 'b', 'c']) await room.accounts.create(OPERATOR, { ...NEW, id })

  const first = await room.audit.page(null, 2)
  const second = await room.audit.page(first.next, 2)

  expect([...first.rows, ...second.rows].map(({ object }) => object)).toEqual(['c', 'b', 'a'])
  expect(second.next).toBeNull()
})

it('nothing is done that cannot be written into the audit', async () => {
  room.store.insertAudit = () => Promise.reject(new Error('away'))

  await expect(room.accounts.create(OPERATOR, NEW)).rejects.toThrow('away')

  expect(await room.store.account('ada')).toBeNull()
})

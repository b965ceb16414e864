import { describe, expect, it } from 'vitest'
import type { Settlement, Store } from '../core/store.ts'
import { account, storeWith, USD } from './ledger.fixture.ts'
import { walletStatement } from './wallet-statement.ts'

const charge = (requestId: string, at: number, amount: bigint, accountId = 'a1'): Settlement => ({
  kind: 'settle',
  requestId,
  at,
  accountId,
  keyId: 'k1',
  model: 'm1',
  modality: 'text',
  executionMs: 1,
  diemDay: 0,
  lines: [{ unit: 'outputToken', count: 1, priceNano: Number(amount), amount, currency: 'USD' }],
})

async function lived(): Promise<Store> {
  const { store, ledger, clock } = await storeWith(account('a1'), account('a2'))
  await ledger.topUp('a1', 10n * USD, 'x402', 'p1')
  await ledger.topUp('a2', 10n * USD, 'x402', 'p2')
  await store.commit([charge('r1', 2, 1n * USD), charge('r2', 3, 2n * USD), charge('r3', 4, 1n * USD, 'a2')])
  clock.ms = 5
  await ledger.takeBack('a1', 'USD', 3n * USD, 'refund')
  return store
}

describe('a statement', () => {
  it('has what came in and went out, newest first, each with the balance after it', async () => {
    const { lines, balance, hasMore } = await walletStatement(await lived(), 'a1', 0, 50)

    expect(
      lines.map(({ type, amount, balanceAfter, requestId, model }) => [type, amount / USD, balanceAfter / USD, requestId, model]),
    ).toEqual([
      ['REFUND', -3n, 4n, null, null],
      ['CHARGE', -2n, 7n, 'r2', 'm1'],
      ['CHARGE', -1n, 9n, 'r1', 'm1'],
      ['TOP_UP', 10n, 10n, null, null],
    ])
    expect([balance, hasMore]).toEqual([4n * USD, false])
  })

  it('is the same in pages as in one go', async () => {
    const store = await lived()
    const whole = await walletStatement(store, 'a1', 0, 50)

    for (const [offset, more] of [
      [0, true],
      [1, true],
      [2, true],
      [3, false],
    ] as const) {
      const page = await walletStatement(store, 'a1', offset, 1)
      expect(page).toEqual({ balance: whole.balance, lines: whole.lines.slice(offset, offset + 1), hasMore: more })
    }
    expect(await walletStatement(store, 'a1', 4, 50)).toEqual({ balance: 4n * USD, lines: [], hasMore: false })
  })

  it('reaches over what is read at once', async () => {
    const { store, ledger } = await storeWith(account('a1'))
    await ledger.topUp('a1', 5_000n, 'x402', 'p1')
    await store.commit(Array.from({ length: 2_100 }, (_, n) => charge(`r${String(n).padStart(4, '0')}`, n + 2, 1n)))

    const page = await walletStatement(store, 'a1', 2_050, 100)

    expect(page.lines).toHaveLength(51)
    expect(page.lines.at(0)).toMatchObject({ requestId: 'r0049', balanceAfter: 4_950n })
    expect(page.lines.at(-1)).toMatchObject({ type: 'TOP_UP', balanceAfter: 5_000n })
  })

  it('fits together when something moves while it is read', async () => {
    const store = await lived()
    let busy = 3
    const moving: Pick<Store, 'balance' | 'movements'> = {
      async balance(book) {
        const balance = await store.balance(book)
        if (busy-- > 0) await store.commit([charge(`late${busy}`, 9, 1n)])
        return balance
      },
      movements: (id, skip, limit) => store.movements(id, skip, limit),
    }

    const { balance, lines } = await walletStatement(moving, 'a1', 0, 50)

    expect(balance).toBe(4n * USD - 3n)
    expect(lines.at(-1)).toMatchObject({ type: 'TOP_UP', balanceAfter: 10n * USD })
  })
})

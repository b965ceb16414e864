import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { AccountRow } from '../core/store.ts'
import { TOP_UP_BOUNDS } from './funding.ts'
import { account, type Fault, storeWith, USD } from './ledger.fixture.ts'
import { Till } from './till.ts'
import { FakeChain, paymentHeader, WALLET, OTHER_WALLET, walletAccounts } from './wallet.fixture.ts'
import { walletOf, X402 } from './x402.ts'

const NO_BODY = Buffer.alloc(0)

async function newX402(...rows: readonly AccountRow[]) {
  const { store, ledger, faults, close } = await storeWith(...rows)
  const chain = new FakeChain()
  const x402 = new X402({ payments: chain, accounts: walletAccounts(store), store, bounds: TOP_UP_BOUNDS })
  const till = new Till({ store, ledger, clock: { now: () => 1 } })
  return {
    store,
    faults,
    close,
    chain,
    x402,
    balance: (wallet = WALLET) => store.balance(`account:wallet:${wallet}`),
    take: (header: string, name = 'payment-signature') => till.take(x402, NO_BODY, { [name]: header }),
  }
}

describe('a payment by x402', () => {
  it.for(['payment-signature', 'x-payment', 'x-402-payment'])(
    'in the header %s is collected, and credited to the account of who pays',
    async (name) => {
      const { take, balance, store } = await newX402()

      const outcome = await take(paymentHeader('n1', 12n * USD), name)

      expect(outcome).toMatchObject({ type: 'credited', balance: 12n * USD, payment: { source: 'x402', accountId: `wallet:${WALLET}` } })
      expect(await balance()).toBe(12n * USD)
      expect(await store.accountOfWallet(WALLET)).toMatchObject({ id: `wallet:${WALLET}`, creditNano: 0n })
    },
  )

  it('that is sent fifty times at once is collected and credited once', async () => {
    const { take, balance, chain } = await newX402()

    await Promise.all(Array.from({ length: 50 }, () => take(paymentHeader('n1', 5n * USD))))
    await take(paymentHeader('n1', 5n * USD))

    expect([chain.asked, ...chain.moved.values()]).toEqual([1, 1])
    expect(await balance()).toBe(5n * USD)
  })

  it('that was collected before a crash is credited when it is sent again', async () => {
    const { take, balance, faults } = await newX402()
    faults.push('before')

    await expect(take(paymentHeader('n1', 5n * USD))).rejects.toThrow()
    expect(await balance()).toBe(0n)
    await take(paymentHeader('n1', 5n * USD))

    expect(await balance()).toBe(5n * USD)
  })

  it('that was credited before is answered again without asking the chain', async () => {
    const { take, chain, balance } = await newX402()
    await take(paymentHeader('n1', 5n * USD))
    chain.faults.push('not moved')

    expect(await take(paymentHeader('n1', 5n * USD))).toMatchObject({ type: 'credited', balance: 5n * USD })
    expect(await balance()).toBe(5n * USD)
  })

  it.for([4_999_999_999n, 10_000_000_000_001n])('of %s nano-dollars is refused before the money moves', async (amount) => {
    const { take, chain, store } = await newX402()

    await expect(take(paymentHeader('n1', amount))).rejects.toMatchObject({ code: 'X402_INVALID_PAYMENT', reason: 'amount_out_of_bounds' })

    expect(chain.moved.size).toBe(0)
    expect(await store.accountOfWallet(WALLET)).toBeNull()
  })

  it('for an account that is closed is refused before the money moves', async () => {
    const { take, chain } = await newX402(account(`wallet:${WALLET}`, { wallet: WALLET, closedAt: 5 }))

    await expect(take(paymentHeader('n1', 5n * USD))).rejects.toMatchObject({ code: 'UNAUTHORIZED' })

    expect(chain.moved.size).toBe(0)
  })

  it('of a wallet that belongs to an account is credited to that', async () => {
    const { take, store } = await newX402(account('a1', { wallet: WALLET }))

    await take(paymentHeader('n1', 5n * USD))

    expect(await store.balance('account:a1')).toBe(5n * USD)
  })

  it('is refused where its header is far too long', async () => {
    const { take } = await newX402()

    await expect(take('x'.repeat(16_385))).rejects.toMatchObject({ code: 'X402_INVALID_PAYMENT', reason: 'too_long' })
  })

  it('is asked for on every rail', async () => {
    const { x402, chain } = await newX402()

    expect(await x402.checkout({ accountId: null, amount: 10n * USD, successUrl: null, cancelUrl: null })).toEqual({
      type: 'transfer',
      demand: { type: 'topUp', rails: chain.rails, minimum: 10n * USD },
    })
  })

  it('is credited once, whatever is sent how often, and whatever of chain and database fails', async () => {
    const sent = fc.record({
      nonce: fc.constantFrom('n1', 'n2', 'n3'),
      wallet: fc.constantFrom(WALLET, OTHER_WALLET),
      chainFault: fc.constantFrom<('moved' | 'not moved' | null)[]>(null, null, 'moved', 'not moved'),
      ledgerFault: fc.constantFrom<(Fault | null)[]>(null, null, 'before', 'after'),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(sent, { maxLength: 20 }), fc.boolean(), async (all, atOnce) => {
        const { take, balance, chain, faults, close } = await newX402()
        const send = async ({ nonce, wallet, chainFault, ledgerFault }: (typeof all)[number]): Promise<void> => {
          chain.faults.push(chainFault)
          faults.push(ledgerFault)
          await take(paymentHeader(nonce, 7n * USD, wallet)).catch(() => undefined)
        }

        if (atOnce) await Promise.all(all.map(send))
        else for (const one of all) await send(one)
        chain.faults.length = 0
        faults.length = 0
        const payments = new Set(all.map(({ nonce, wallet }) => paymentHeader(nonce, 7n * USD, wallet)))
        for (const header of payments) await take(header)

        for (const wallet of [WALLET, OTHER_WALLET]) {
          const due = [...payments].filter((header) => header.endsWith(wallet)).length
          expect(await balance(wallet)).toBe(BigInt(due) * 7n * USD)
        }
        expect(chain.moved.size).toBe(payments.size)
        await close()
      }),
      { numRuns: 30 },
    )
  })
})

describe('a wallet in a path', () => {
  it('is an EVM address in any case, or a Solana address as it is', () => {
    expect(walletOf('0x90F79BF6EB2c4f870365e785982e1f101e93b906')).toBe(WALLET)
    expect(walletOf('8qUL23aSj7mDWdoLMXGHFvnVCT9wd7jXcysiekroADEL')).toBe('8qUL23aSj7mDWdoLMXGHFvnVCT9wd7jXcysiekroADEL')
  })

  it.for(['', '0x12', 'me', `${WALLET}0`, '0O0O0O0O0O0O0O0O0O0O0O0O0O0O0O0O0O', '../../etc'])('is not %j', (param) => {
    expect(() => walletOf(param)).toThrow(expect.objectContaining({ code: 'INVALID_REQUEST', param: 'walletAddress' }))
  })
})

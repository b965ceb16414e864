import { describe, expect, it } from 'vitest'
import type { AccountRow } from '../core/store.ts'
import { TOP_UP_BOUNDS } from './funding.ts'
import { account, storeWith, USD } from './ledger.fixture.ts'
import { BASE, FakeSignIn, WALLET, walletAccounts } from './wallet.fixture.ts'
import { MINIMUM_BALANCE, WalletEntry } from './wallet-entry.ts'

const mine = account(`wallet:${WALLET}`, { wallet: WALLET, plan: 'partner' })

async function newEntry(...rows: readonly AccountRow[]) {
  const { store, ledger } = await storeWith(...rows)
  const entry = new WalletEntry({
    signIn: new FakeSignIn(),
    accounts: walletAccounts(store),
    ledger,
    rails: [BASE],
    bounds: TOP_UP_BOUNDS,
    baseUrl: () => 'https://api.example.com/api/v1',
  })
  return { entry, ledger, store }
}

describe('a wallet', () => {
  it.for(['sign-in-with-x', 'x-sign-in-with-x'])('that signed %s and paid comes in as its account', async (name) => {
    const { entry, ledger } = await newEntry(mine)
    await ledger.topUp(mine.id, MINIMUM_BALANCE, 'x402', 'p1')

    expect(entry.presents({ [name]: `${WALLET} n1` })).toBe(true)
    expect(await entry.caller({ [name]: `${WALLET} n1` }, '/chat/completions')).toEqual({
      accountId: mine.id,
      keyId: `wallet:${WALLET}`,
      scope: 'INFERENCE',
      plan: 'partner',
      caps: { period: 'LIFETIME', usd: null, diem: null },
      modelPrivacy: 'ALL',
      models: null,
    })
  })

  it('with less than ten cents is told how to pay, and what it has', async () => {
    const { entry, ledger } = await newEntry(mine)
    await ledger.topUp(mine.id, MINIMUM_BALANCE - 1n, 'x402', 'p1')

    await expect(entry.caller({ 'sign-in-with-x': `${WALLET} n1` }, '/chat/completions')).rejects.toMatchObject({
      code: 'PAYMENT_REQUIRED',
      demand: {
        type: 'lowBalance',
        baseUrl: 'https://api.example.com/api/v1',
        balance: MINIMUM_BALANCE - 1n,
        minimumBalance: MINIMUM_BALANCE,
        suggested: 10n * USD,
        minimum: 5n * USD,
        rails: [BASE],
        challenge: { info: { uri: 'https://api.example.com/api/v1/chat/completions' } },
      },
    })
  })

  it('that never paid is told the same, and leaves nothing behind', async () => {
    const { entry, store } = await newEntry()

    await expect(entry.caller({ 'sign-in-with-x': `${WALLET} n1` }, '/chat/completions')).rejects.toMatchObject({
      code: 'PAYMENT_REQUIRED',
    })

    expect(await store.accounts(null, 10)).toEqual([])
  })

  it('whose account is closed stays outside', async () => {
    const { entry } = await newEntry(account('a1', { wallet: WALLET, closedAt: 5 }))

    await expect(entry.caller({ 'sign-in-with-x': `${WALLET} n1` }, '/chat/completions')).rejects.toMatchObject({ code: 'UNAUTHORIZED' })
  })

  it('whose signature is missing, wrong, used before or far too long is refused', async () => {
    const { entry } = await newEntry(mine)
    await entry.wallet({ 'sign-in-with-x': `${WALLET} n1` })

    for (const header of [undefined, '', 'nobody n2', `${WALLET} n1`, 'x'.repeat(20_000)])
      await expect(entry.wallet({ 'sign-in-with-x': header })).rejects.toMatchObject({ code: 'X402_INVALID_SIGN_IN' })
  })
})

describe('somebody with neither key nor wallet', () => {
  it('is told how to come in', async () => {
    const { entry } = await newEntry()

    expect(entry.presents({})).toBe(false)
    expect(entry.discovery('/chat/completions')).toMatchObject({
      code: 'PAYMENT_REQUIRED',
      demand: { type: 'discovery', path: '/chat/completions', suggested: 10n * USD, rails: [BASE] },
    })
  })
})

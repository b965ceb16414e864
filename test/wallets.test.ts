/** A wallet instead of a key, against a running server: how it comes in, what it is told, and what it pays. */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { privateKeyToAccount } from 'viem/accounts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openSqliteStore } from '../src/store/sqlite/sqlite-store.ts'
import { type Rialto, startRialto } from './harness/rialto.ts'
import { type Answered, ask } from './harness/talk.ts'

const RECEIVER = '0x90f79bf6eb2c4f870365e785982e1f101e93b906'
const x402 = {
  payTo: RECEIVER,
  asset: '0x833589fcd6edb6e08f4c7c32d4f71b54bda02913',
  token: 'USDC',
  tokenName: 'USD Coin',
  tokenVersion: '2',
  decimals: 6,
  maxTimeoutSeconds: 300,
  // Nobody listens there: nothing is paid in here.
  facilitatorUrl: 'http://127.0.0.1:1',
}
const CHAT = { model: 'sandbox-text', messages: [{ role: 'user', content: 'Hello' }] }

let rialto: Rialto
beforeAll(async () => {
  rialto = await startRialto({ config: { 'chain.json': { signIn: { enabled: true, domains: [] }, x402 } } })
})
afterAll(() => rialto?.stop())

type Wallet = ReturnType<typeof privateKeyToAccount>
const newWallet = (): Wallet => privateKeyToAccount(`0x${randomBytes(32).toString('hex')}`)

/** The header of one sign-in, for this server. */
async function signedIn(wallet: Wallet, host = new URL(rialto.origin).host): Promise<Record<string, string>> {
  const lines = [
    `${host} wants you to sign in with your Ethereum account:`,
    wallet.address,
    '',
    'Sign in to Venice AI',
    '',
    `URI: http://${host}/api/v1/chat/completions`,
    'Version: 1',
    'Chain ID: 8453',
    `Nonce: ${randomBytes(8).toString('hex')}`,
    `Issued At: ${new Date().toISOString()}`,
  ]
  const message = lines.join('\n')
  const signature = await wallet.signMessage({ message })
  const payload = { address: wallet.address, message, signature, timestamp: Date.now(), chainId: 8453 }
  return { 'sign-in-with-x': Buffer.from(JSON.stringify(payload)).toString('base64') }
}

const chat = (headers: Readonly<Record<string, string>> = {}): Promise<Answered> =>
  ask(`${rialto.url}/chat/completions`, { body: CHAT, headers })

/** Gives a wallet an account with money, as a top-up does. */
async function fund(wallet: Wallet, amount: bigint): Promise<void> {
  const address = wallet.address.toLowerCase()
  const id = `wallet:${address}`
  const store = await openSqliteStore(join(rialto.home, 'rialto.db'))
  try {
    await store.migrate()
    const row = {
      id,
      name: id,
      plan: 'default',
      creditNano: 0n,
      diemAllowanceNano: 0n,
      wallet: address,
      createdAt: Date.now(),
      closedAt: null,
    }
    await store.insertAccount(row)
    const paid = {
      id: `topup:x402:${id}`,
      at: Date.now(),
      currency: 'USD',
      fromBook: 'x402',
      toBook: `account:${id}`,
      amount,
      kind: 'topup',
    } as const
    await store.commit([paid])
  } finally {
    await store.close()
  }
}

test('who brings nothing is told how to pay, and whoever brings a wrong key is not', async () => {
  const nothing = await chat()
  const wrong = await chat({ authorization: 'Bearer rialto_wrong' })

  expect(nothing.status).toBe(402)
  expect(nothing.json()).toMatchObject({ x402Version: 2, accepts: [{ scheme: 'exact', payTo: RECEIVER }] })
  expect(nothing.headers.get('payment-required')).toMatch(/^[A-Za-z0-9+/=]+$/)
  expect(wrong.status).toBe(401)
})

test('a wallet that signed in is told what it has, and is served once it has enough', async () => {
  const wallet = newWallet()

  const poor = await chat(await signedIn(wallet))
  await fund(wallet, 1_000_000_000n)
  const rich = await chat(await signedIn(wallet))

  expect([poor.status, poor.json()['code'], poor.json()['currentBalanceUsd']]).toEqual([402, 'PAYMENT_REQUIRED', 0])
  expect(rich.status).toBe(200)
  expect(rich.headers.get('x-balance-remaining')).toBe('1.000000')
  expect(rich.headers.get('x-venice-balance-usd')).toBe('1')
})

test('a signature opens once, and no other server’s opens at all', async () => {
  const wallet = newWallet()
  await fund(wallet, 1_000_000_000n)
  const header = await signedIn(wallet)

  expect((await chat(header)).status).toBe(200)
  const again = await chat(header)
  const elsewhere = await chat(await signedIn(wallet, 'api.example.com'))

  for (const refused of [again, elsewhere]) expect([refused.status, refused.json()['code']]).toEqual([401, 'X402_INVALID_SIGN_IN'])
})

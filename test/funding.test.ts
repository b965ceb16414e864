/** Money that comes in, over the real door: cards by Stripe's notices, tokens by x402, with real signatures of both. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { generatePrivateKey, type PrivateKeyAccount, privateKeyToAccount } from 'viem/accounts'
import { openChain } from '../src/chain/chain.ts'
import { chainFile } from '../src/chain/settings.ts'
import { headerOf, messageOf } from '../src/chain/testing.fixture.ts'
import type { Outside } from '../src/core/outside.ts'
import { type AnyEndpoint, endpoint, json } from '../src/endpoints/endpoint.ts'
import { fundingEndpoints, NO_CARDS } from '../src/endpoints/funding/funding.ts'
import { x402Endpoints } from '../src/endpoints/x402/x402.ts'
import { TOP_UP_BOUNDS } from '../src/funding/funding.ts'
import { account, callerOf, type Funded, fundedStore, USD } from '../src/funding/ledger.fixture.ts'
import { delivery, fakeStripe, type FakeStripe, newStripe, outside as plain, refund, session } from '../src/funding/stripe.fixture.ts'
import { Till } from '../src/funding/till.ts'
import { WalletEntry } from '../src/funding/wallet-entry.ts'
import { X402 } from '../src/funding/x402.ts'
import { Door } from '../src/http/server.ts'
import { Load } from '../src/limits/load.ts'
import type { Desk } from '../src/pipeline/desk.ts'
import { ask } from './harness/talk.ts'

const shipped: object = JSON.parse(readFileSync(join(import.meta.dirname, '..', 'config', 'chain.json'), 'utf8'))
const NOW_MS = 1_790_000_000_000
const CHAIN_ID = 8453
const TOKEN = '0x833589fcd6edb6e08f4c7c32d4f71b54bda02913'
const RECEIVER = '0x1111111111111111111111111111111111111111'
const HASH = `0x${'ab'.repeat(32)}`

/** A facilitator that collects whatever is right, and counts. */
function newFacilitator(): { outside: Outside; collected: string[] } {
  const collected: string[] = []
  return {
    collected,
    outside: {
      async post(url, { body }) {
        if (!url.startsWith('https://facilitator.example/')) return plain.post(url, { headers: {}, body, timeoutMs: 1, maxBytes: 1 })
        if (url.endsWith('/settle')) collected.push(body)
        const answer = url.endsWith('/settle') ? { success: true, transaction: HASH } : { isValid: true }
        return { status: 200, body: Buffer.from(JSON.stringify(answer)) }
      },
    },
  }
}

let stripeServer: FakeStripe
let funded: Funded
let door: Door
let bare: Door
let url: string
const facilitator = newFacilitator()

/** A door with these endpoints on a port of its own, and what a run would be, so that wallets have something to ask. */
async function open(endpoints: readonly AnyEndpoint[], wallets: WalletEntry | null): Promise<Door> {
  const opened = new Door({
    endpoints: [
      ...endpoints,
      endpoint({
        method: 'POST',
        path: '/ask',
        tag: 'Test',
        summary: 'Who asks',
        description: '',
        scope: 'INFERENCE',
        answers: {},
        example: { answer: null },
        errors: [],
        handle: (_, desk) => json({ accountId: desk.caller.accountId, keyId: desk.caller.keyId }),
      }),
    ],
    clock: { now: () => NOW_MS, tick: () => performance.now(), id: () => 'f'.repeat(32) },
    version: '20260101.000000',
    maxBodyBytes: 1_048_576,
    load: new Load({ maxRequests: 64, maxBodiesBytes: 16_777_216 }),
    bodyMs: 5_000,
    idleMs: 5_000,
    pingMs: 5_000,
    enter(credentials, _address, { path }) {
      if (credentials.authorization !== undefined || !wallets) return callerOf('a1')
      if (wallets.presents(credentials.headers)) return wallets.caller(credentials.headers, path)
      throw wallets.discovery(path)
    },
    balance: () => Promise.resolve(null),
    // Its caller is all that these endpoints know of a desk.
    desk: (envelope) => ({ envelope, caller: envelope.caller }) as unknown as Desk,
    over: () => undefined,
  })
  await opened.listen(0, '127.0.0.1')
  return opened
}

beforeAll(async () => {
  stripeServer = await fakeStripe()
  funded = await fundedStore(account('a1'))
  const { store, ledger } = funded
  const clock = { now: () => NOW_MS, tick: () => NOW_MS, id: () => 'id' }
  const chain = openChain({
    file: chainFile.parse({
      ...shipped,
      signIn: { enabled: true, domains: ['api.example.com'] },
      x402: {
        payTo: RECEIVER,
        asset: TOKEN,
        token: 'USDC',
        tokenName: 'USD Coin',
        tokenVersion: '2',
        decimals: 6,
        maxTimeoutSeconds: 300,
        facilitatorUrl: 'https://facilitator.example',
      },
    }),
    secrets: { rpcUrl: null, settlerKey: null, facilitatorToken: null },
    outside: facilitator.outside,
    store,
    clock,
    hosts: () => [],
    setAllowance: () => Promise.resolve(),
    stakesChanged: () => undefined,
  })
  if (!chain.payments || !chain.signIn) throw new Error('the chain is not set up')
  const till = new Till({ store, ledger, clock })
  const wallets = new WalletEntry({
    signIn: chain.signIn,
    accounts: chain.accounts,
    ledger,
    rails: chain.payments.rails,
    bounds: TOP_UP_BOUNDS,
    baseUrl: () => 'https://api.example.com/api/v1',
  })
  const x402 = new X402({ payments: chain.payments, accounts: chain.accounts, store, bounds: TOP_UP_BOUNDS })
  const cards = newStripe({ url: stripeServer.url })
  door = await open(
    [...fundingEndpoints({ cards, till, bounds: TOP_UP_BOUNDS }), ...x402Endpoints({ x402, till, wallets, store })],
    wallets,
  )
  bare = await open([...fundingEndpoints(NO_CARDS), ...x402Endpoints(null)], null)
  url = `http://127.0.0.1:${door.port}/api/v1`
})
afterAll(async () => {
  await Promise.all([door?.close(0), bare?.close(0)])
  await stripeServer?.close()
  await funded?.close()
})

const addressOf = ({ address }: PrivateKeyAccount): string => address.toLowerCase()
let nonces = 0
const nextNonce = (): `0x${string}` => `0x${(++nonces).toString(16).padStart(64, '0')}`

/** What a wallet signs to pay, as its clients make it. */
async function paymentOf(wallet: PrivateKeyAccount, units: bigint, nonce = nextNonce()): Promise<string> {
  const authorization = {
    from: wallet.address,
    to: RECEIVER,
    value: units,
    validAfter: 0n,
    validBefore: BigInt(NOW_MS / 1000 + 300),
    nonce,
  } as const
  const signature = await wallet.signTypedData({
    domain: { name: 'USD Coin', version: '2', chainId: CHAIN_ID, verifyingContract: TOKEN },
    types: {
      TransferWithAuthorization: [
        { name: 'from', type: 'address' },
        { name: 'to', type: 'address' },
        { name: 'value', type: 'uint256' },
        { name: 'validAfter', type: 'uint256' },
        { name: 'validBefore', type: 'uint256' },
        { name: 'nonce', type: 'bytes32' },
      ],
    },
    primaryType: 'TransferWithAuthorization',
    message: authorization,
  })
  const text = Object.fromEntries(Object.entries(authorization).map(([name, value]) => [name, String(value)]))
  const accepted = { scheme: 'exact', network: 'eip155:8453', amount: String(units), asset: TOKEN, payTo: RECEIVER }
  return headerOf({ x402Version: 2, accepted, payload: { signature, authorization: text } })
}

async function signInOf(wallet: PrivateKeyAccount, path: string): Promise<string> {
  const message = messageOf({
    domain: 'api.example.com',
    kind: 'Ethereum',
    address: wallet.address,
    statement: 'Sign in to Venice AI',
    uri: `https://api.example.com/api/v1${path}`,
    version: '1',
    chainId: String(CHAIN_ID),
    nonce: nextNonce().slice(-16),
    issuedAt: new Date(NOW_MS).toISOString(),
    expirationTime: null,
  })
  return headerOf({
    address: wallet.address,
    message,
    signature: await wallet.signMessage({ message }),
    timestamp: NOW_MS,
    chainId: CHAIN_ID,
  })
}

const decoded = (header: string | null): unknown => JSON.parse(Buffer.from(header ?? '', 'base64').toString())

describe('a card', () => {
  const key = 'any'

  it('is paid with on a page of Stripe’s', async () => {
    const answer = await ask(`${url}/billing/top-up`, { key, body: { amountUsd: 19.99, successUrl: 'https://app.example/paid' } })

    expect([answer.status, answer.json()]).toEqual([200, { checkoutUrl: 'https://checkout.stripe.com/c/pay/cs_test_1', id: 'cs_test_1' }])
    expect(stripeServer.asked.at(-1)?.form.get('line_items[0][price_data][unit_amount]')).toBe('1999')
    expect(stripeServer.asked.at(-1)?.form.get('client_reference_id')).toBe('a1')
  })

  it.for([
    ['amountUsd', { amountUsd: 4.99, successUrl: 'https://app.example' }],
    ['amountUsd', { amountUsd: 10_000.01, successUrl: 'https://app.example' }],
    ['amountUsd', { amountUsd: 10.001, successUrl: 'https://app.example' }],
    ['amountUsd', { amountUsd: -10, successUrl: 'https://app.example' }],
    ['amountUsd', { amountUsd: '10', successUrl: 'https://app.example' }],
    ['successUrl', { amountUsd: 10 }],
    ['successUrl', { amountUsd: 10, successUrl: 'javascript:alert(1)' }],
    ['cancelUrl', { amountUsd: 10, successUrl: 'https://app.example', cancelUrl: 'no url' }],
  ] as const)('order with a wrong %s is a 400 that names it: %j', async ([field, body]) => {
    const answer = await ask(`${url}/billing/top-up`, { key, body })

    expect([answer.status, answer.json()['code']]).toEqual([400, 'INVALID_REQUEST'])
    expect(JSON.stringify(answer.json()['issues'])).toContain(field)
  })

  it('credits when its notice comes over the wire byte by byte as it was signed, and takes back on a refund', async () => {
    const send = async (event: object) => {
      const [body, headers] = delivery(event)
      return ask(`${url}/billing/stripe/webhook`, {
        headers: { ...headers, 'content-type': 'application/json; charset=utf-8' },
        body: body.toString(),
      })
    }

    const answers = await Promise.all(Array.from({ length: 50 }, () => send(session({ intent: 'pi_door' }))))
    expect(answers.every(({ status, text }) => status === 200 && text === '{"received":true}')).toBe(true)
    expect(await funded.store.balance('account:a1')).toBe(10n * USD)

    expect((await send(refund(0, 400, 'pi_door'))).status).toBe(200)
    expect(await funded.store.balance('account:a1')).toBe(6n * USD)
  })

  it('’s notice without a signature, or changed on the way, is a 400', async () => {
    const [body, headers] = delivery(session({ intent: 'pi_forged' }))

    const unsigned = await ask(`${url}/billing/stripe/webhook`, { body: body.toString() })
    const changed = await ask(`${url}/billing/stripe/webhook`, { headers, body: `${body.toString()} ` })

    expect([unsigned.status, changed.status]).toEqual([400, 400])
    expect(await funded.store.movement('topup:stripe:pi_forged')).toBeNull()
  })
})

describe('a wallet', () => {
  it('learns how to pay, pays, and asks with what it paid', async () => {
    const wallet = privateKeyToAccount(generatePrivateKey())
    const asks = async (path: string, method = 'POST') =>
      ask(`${url}${path}`, { method, headers: { 'sign-in-with-x': await signInOf(wallet, path) } })

    const stranger = await ask(`${url}/ask`, { method: 'POST' })
    expect([stranger.status, Object.keys(stranger.json())]).toEqual([
      402,
      ['x402Version', 'error', 'resource', 'accepts', 'extensions', 'authOptions'],
    ])
    expect(decoded(stranger.headers.get('payment-required'))).toMatchObject({ x402Version: 2, accepts: [{ payTo: RECEIVER }] })

    const poor = await asks('/ask')
    expect([poor.status, poor.json()['code'], poor.json()['currentBalanceUsd']]).toEqual([402, 'PAYMENT_REQUIRED', 0])

    const terms = await ask(`${url}/x402/top-up`, { method: 'POST' })
    expect([terms.status, terms.json()]).toMatchObject([402, { x402Version: 2, accepts: [{ network: 'eip155:8453', amount: '5000000' }] }])

    const payment = await paymentOf(wallet, 12_345_678n)
    const paid = await ask(`${url}/x402/top-up`, { method: 'POST', headers: { 'payment-signature': payment } })
    const { paymentId } = paid.json()['data'] as { paymentId: string }
    expect([paid.status, paid.json()]).toEqual([
      200,
      { success: true, data: { walletAddress: addressOf(wallet), amountCredited: 12.345678, newBalance: 12.345678, paymentId } },
    ])
    expect(decoded(paid.headers.get('payment-response'))).toEqual({
      success: true,
      network: 'eip155:8453',
      payer: addressOf(wallet),
      transaction: HASH,
    })

    const again = await ask(`${url}/x402/top-up`, { method: 'POST', headers: { 'x-payment': payment } })
    expect([again.status, again.json()]).toEqual([200, paid.json()])
    expect(facilitator.collected).toHaveLength(1)

    expect((await asks('/ask')).json()).toEqual({ accountId: `wallet:${addressOf(wallet)}`, keyId: `wallet:${addressOf(wallet)}` })
    expect((await asks(`/x402/balance/${wallet.address}`, 'GET')).json()).toEqual({
      success: true,
      data: { walletAddress: addressOf(wallet), balanceUsd: 12.345678, canConsume: true, minimumTopUpUsd: 5, suggestedTopUpUsd: 10 },
    })
    expect((await asks(`/x402/transactions/${wallet.address}`, 'GET')).json()).toMatchObject({
      success: true,
      data: {
        currentBalance: 12.345678,
        transactions: [
          { id: `topup:x402:${paymentId}`, amount: 12.345678, balanceAfter: 12.345678, type: 'TOP_UP', requestId: null, modelId: null },
        ],
        pagination: { limit: 50, offset: 0, hasMore: false },
      },
    })
  })

  it('sees nothing of another wallet, and nothing without its own signature', async () => {
    const [mine, other] = [privateKeyToAccount(generatePrivateKey()), privateKeyToAccount(generatePrivateKey())]

    for (const path of [`/x402/balance/${other.address}`, `/x402/transactions/${other.address}`]) {
      const signed = await ask(`${url}${path}`, { headers: { 'sign-in-with-x': await signInOf(mine, path) } })
      const unsigned = await ask(`${url}${path}`)
      const forged = await ask(`${url}${path}`, {
        headers: { 'sign-in-with-x': headerOf({ address: other.address, message: '', signature: '0x' }) },
      })

      expect([signed.status, signed.json()['code']]).toEqual([403, 'X402_WALLET_MISMATCH'])
      expect([unsigned.status, unsigned.json()['code']]).toEqual([401, 'X402_INVALID_SIGN_IN'])
      expect([forged.status, forged.json()['code']]).toEqual([401, 'X402_INVALID_SIGN_IN'])
    }
  })

  it.for(['limit=0', 'limit=101', 'offset=-1', 'offset=1e9', 'limit=x'])('that asks for a page of %s gets a 400', async (query) => {
    const wallet = privateKeyToAccount(generatePrivateKey())
    const path = `/x402/transactions/${wallet.address}`

    const answer = await ask(`${url}${path}?${query}`, { headers: { 'sign-in-with-x': await signInOf(wallet, path) } })

    expect([answer.status, answer.json()['code']]).toEqual([400, 'INVALID_REQUEST'])
  })

  it('that pays too little, with another’s signature, or with nonsense is told why, and keeps its money', async () => {
    const wallet = privateKeyToAccount(generatePrivateKey())
    const before = facilitator.collected.length
    const good = decoded(await paymentOf(wallet, 5_000_000n)) as { payload: { authorization: object } }
    const stolen = headerOf({
      ...good,
      payload: { ...good.payload, authorization: { ...good.payload.authorization, value: '9000000000' } },
    })

    for (const [header, reason] of [
      [await paymentOf(wallet, 4_999_999n), 'amount_out_of_bounds'],
      [await paymentOf(wallet, 10_000_000_001n), 'amount_out_of_bounds'],
      [stolen, 'signature_mismatch'],
      ['nonsense', 'malformed'],
    ] as const) {
      const answer = await ask(`${url}/x402/top-up`, { method: 'POST', headers: { 'payment-signature': header } })
      expect([answer.status, answer.json()]).toMatchObject([400, { error: 'X402_INVALID_PAYMENT', details: { reason } }])
    }
    expect(facilitator.collected).toHaveLength(before)
  })
})

describe('what is not set up', () => {
  it.for([
    ['POST', '/billing/top-up', 'STRIPE_SECRET_KEY'],
    ['POST', '/billing/stripe/webhook', 'STRIPE_WEBHOOK_SECRET'],
    ['POST', '/x402/top-up', 'chain.json'],
    ['GET', '/x402/balance/0x90f79bf6eb2c4f870365e785982e1f101e93b906', 'chain.json'],
    ['GET', '/x402/transactions/0x90f79bf6eb2c4f870365e785982e1f101e93b906', 'chain.json'],
  ] as const)('%s %s says so, and what to set', async ([method, path, setting]) => {
    const body = path === '/billing/top-up' ? { amountUsd: 10 } : undefined

    const answer = await ask(`http://127.0.0.1:${bare.port}/api/v1${path}`, { method, key: 'any', body })

    expect([answer.status, answer.json()['code']]).toEqual([404, 'NOT_CONFIGURED'])
    expect(answer.json()['error']).toContain(setting)
  })
})

import { createHmac } from 'node:crypto'
import fc from 'fast-check'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { describe, expect, it } from 'vitest'
import { Failure } from '../core/errors.ts'
import { openSqliteStore } from '../store/sqlite/sqlite-store.ts'
import { testClock } from './testing.fixture.ts'
import { OPENED_PER_MINUTE, WalletAccounts } from './wallet-accounts.ts'
import { WalletSignatures } from './wallet-signature.ts'
import { Web3Keys, type Web3KeysOptions } from './web3-keys.ts'
import { TOKEN_MS } from './web3-token.ts'

const account = privateKeyToAccount(generatePrivateKey())
const wallet = account.address.toLowerCase()

async function fresh(options: Partial<Web3KeysOptions> = {}) {
  const clock = testClock()
  const store = await openSqliteStore(':memory:')
  await store.migrate()
  const accounts = new WalletAccounts(store, clock)
  const web3 = new Web3Keys({ mode: 'open', signatures: new WalletSignatures(null), stakes: null, accounts, clock, ...options })
  const signed = async (token = web3.token()) => ({
    address: account.address as string,
    token,
    signature: await account.signMessage({ message: token }),
  })
  return { clock, store, accounts, web3, signed }
}

/** What is said of a refusal, with its status. */
const said = (answer: Promise<unknown>): Promise<unknown> =>
  answer.then(
    (value) => value,
    (error: unknown) => {
      if (!(error instanceof Failure)) throw error
      return `${error.status} ${error.message}`
    },
  )

describe('a key for a wallet', () => {
  it('belongs to the account of the wallet, which is opened once', async () => {
    const { web3, signed, store } = await fresh()

    const [first, second] = await Promise.all([web3.redeem(await signed()), web3.redeem(await signed())])

    expect(first).toMatchObject({ id: `wallet:${wallet}`, wallet, plan: 'default', creditNano: 0n, diemAllowanceNano: 0n })
    expect(second).toEqual(first)
    expect(await store.accountOfWallet(wallet)).toEqual(first)
    expect(await store.accountsWithWallet()).toHaveLength(1)
    await store.close()
  })

  it('has a token that is a JWT of a quarter of an hour', async () => {
    const { web3, clock } = await fresh()

    const [head = '', claims = ''] = web3.token().split('.')

    const read = (part: string): unknown => JSON.parse(Buffer.from(part, 'base64url').toString())
    expect(read(head)).toEqual({ alg: 'HS256', typ: 'JWT' })
    expect(read(claims)).toMatchObject({ iat: clock.time / 1000, exp: clock.time / 1000 + 900 })
  })

  it('is made once by each token, also when it comes ten times at once', async () => {
    const { web3, signed } = await fresh()
    const one = await signed()

    const answers = await Promise.all(Array.from({ length: 10 }, () => said(web3.redeem(one))))

    expect(answers.filter((answer) => answer === '400 JWT claims are invalid')).toHaveLength(9)
  })

  it('is refused in the words of the API', async () => {
    const { web3, signed, clock } = await fresh()
    const one = await signed()
    const [head, claims] = one.token.split('.')
    const forged = `${head}.${claims}.${createHmac('sha256', 'guess').update(`${head}.${claims}`).digest('base64url')}`
    const other = await fresh()

    expect(await said(web3.redeem({ ...one, address: 'me' }))).toBe('400 Invalid wallet address')
    // EIP-55's own example, with one letter of its checksum wrong.
    expect(await said(web3.redeem({ ...one, address: '0x5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAed' }))).toBe('400 Invalid wallet address')
    expect(await said(web3.redeem(await signed('no token')))).toBe('400 JWT is malformed')
    expect(await said(web3.redeem(await signed(forged)))).toBe('400 JWT signature is invalid')
    expect(await said(web3.redeem(await signed(other.web3.token())))).toBe('400 JWT signature is invalid')
    expect(await said(web3.redeem({ ...one, signature: '0x1234' }))).toBe('400 Wallet signature does not match')
    expect(await said(web3.redeem({ ...one, address: '0x0000000000000000000000000000000000000001' }))).toBe(
      '400 Wallet signature does not match',
    )
    clock.time += TOKEN_MS
    expect(await said(web3.redeem(one))).toBe('400 JWT has expired')
  })

  it('names the field that is wrong', async () => {
    const { web3, signed } = await fresh()

    const error: unknown = await web3.redeem({ ...(await signed()), address: 'me' }).catch((caught: unknown) => caught)

    expect(error).toMatchObject({ code: 'INVALID_REQUEST', param: 'address', issues: [{ path: ['address'] }] })
  })

  it('is not to be had where the operator has switched it off', async () => {
    const { web3 } = await fresh({ mode: 'off' })

    expect(await said(Promise.resolve().then(() => web3.token()))).toMatch(/^404 Keys for wallets are switched off .* "web3Keys"/)
    expect(await said(web3.redeem({ address: '', signature: '', token: '' }))).toMatch(/^404 /)
  })

  it('needs a stake where the operator wants one, and what the chain does not say is no stake of zero', async () => {
    const stakeOf = (stakes: readonly (readonly [`0x${string}`, bigint])[]) => ({ read: () => Promise.resolve(new Map(stakes)) })
    const redeemed = async (stakes: Web3KeysOptions['stakes']): Promise<unknown> => {
      const { web3, signed } = await fresh({ mode: 'staked', stakes })
      return said(web3.redeem(await signed()))
    }

    expect(await redeemed(stakeOf([[`0x${wallet.slice(2)}`, 0n]]))).toBe('400 Wallet has no staked VVV on Base')
    expect(await redeemed(stakeOf([[`0x${wallet.slice(2)}`, 1n]]))).toMatchObject({ wallet })
    expect(await redeemed(stakeOf([]))).toMatch(/^503 /)
    expect(await redeemed({ read: () => Promise.reject(new Failure('CHAIN_UNAVAILABLE')) })).toMatch(/^503 /)
  })

  it('is refused to a closed account, and to a flood of new wallets', async () => {
    const { web3, signed, store, accounts, clock } = await fresh()
    const row = await web3.redeem(await signed())
    await store.replaceAccount({ ...row, closedAt: 1 })

    expect(await said(web3.redeem(await signed()))).toBe('403 The account of this wallet is closed')

    for (let at = 1; at < OPENED_PER_MINUTE; at++) await accounts.open(`0x${at.toString(16).padStart(40, '0')}`)
    expect(await said(accounts.open(`0x${'f'.repeat(40)}`))).toMatch(/^429 /)
    clock.time += 60_000
    expect(await said(accounts.open(`0x${'f'.repeat(40)}`))).toMatchObject({ plan: 'default' })
  })

  it('is refused with a 4xx, whatever is sent', async () => {
    const { web3, signed } = await fresh()
    const right = await signed()
    const text = fc.oneof(
      fc.string(),
      fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
    )
    const field = (value: string) =>
      fc.oneof(
        text,
        fc.constant(value),
        fc.nat(value.length).map((at) => `${value.slice(0, at)}0${value.slice(at + 1)}`),
      )
    await fc.assert(
      fc.asyncProperty(field(right.address), field(right.signature), text, async (address, signature, token) => {
        expect(await said(web3.redeem({ address, signature, token }))).toMatch(/^400 (Invalid wallet address|JWT is malformed)/)
      }),
      { numRuns: 200 },
    )
  })
})

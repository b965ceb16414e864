import { type Hex, encodeFunctionData, pad, parseAbi } from 'viem'
import { generatePrivateKey, type PrivateKeyAccount, privateKeyToAccount } from 'viem/accounts'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Clock } from '../core/clock.ts'
import { Failure } from '../core/errors.ts'
import type { Rail } from '../core/wallet.ts'
import type { Collector } from './collector.ts'
import { Facilitator } from './facilitator.ts'
import { ABI, CHAIN_ID, type LocalChain, OPERATOR_KEY, plainOutside, startChain } from './local-chain.fixture.ts'
import { OwnCollector } from './own-collector.ts'
import { Payments } from './payments.ts'
import { Rpc } from './rpc.ts'
import { headerOf } from './testing.fixture.ts'
import { WalletSignatures } from './wallet-signature.ts'

let chain: LocalChain
let rpc: Rpc
let token: Hex
let wallet: Hex
const outside = plainOutside()
const NOWHERE = 'http://127.0.0.1:1'

beforeAll(async () => {
  chain = await startChain()
  rpc = new Rpc(outside, chain.url, 2_000)
  token = await chain.deploy('Token')
  wallet = await chain.deploy('Wallet', pad(chain.account(1).address).slice(2))
})
afterAll(() => chain?.stop())

const lower = ({ address }: PrivateKeyAccount): Hex => address.toLowerCase() as Hex
const codeOf = (answer: Promise<unknown>): Promise<unknown> =>
  answer.then(
    (value) => value,
    (error: unknown) => {
      if (!(error instanceof Failure)) throw error
      return error.reason ?? error.code
    },
  )

describe('a payment by x402', () => {
  const USDC = 1_000_000n
  const clock: Clock = { now: () => Date.now(), tick: () => Date.now(), id: () => '0' }
  const receiver = '0x00000000000000000000000000000000000000aa'
  const rail = (): Rail => ({
    network: `eip155:${CHAIN_ID}`,
    name: 'local',
    token: 'USDC',
    asset: token,
    decimals: 6,
    payTo: receiver,
    maxTimeoutSeconds: 300,
    extra: { name: 'USD Coin', version: '2' },
  })
  const paymentsBy = (collector: Collector, node: Rpc | null = rpc): Payments =>
    new Payments({ rails: [rail()], signatures: new WalletSignatures(node), collector, rpc: node, clock })
  const own = (): OwnCollector => new OwnCollector(rpc, OPERATOR_KEY)
  const balanceOf = (address: string): Promise<bigint> =>
    chain.reader.readContract({ abi: ABI, address: token, functionName: 'balanceOf', args: [address as Hex] })

  type Signed = { from: Hex; to: Hex; value: bigint; validAfter: bigint; validBefore: bigint; nonce: Hex }
  async function signed(by: PrivateKeyAccount, changed: Partial<Signed> = {}, domain: Record<string, unknown> = {}) {
    const now = BigInt(Math.floor(Date.now() / 1000))
    const message: Signed = {
      from: by.address,
      to: receiver,
      value: 10n * USDC,
      validAfter: now - 600n,
      validBefore: now + 300n,
      nonce: generatePrivateKey(),
      ...changed,
    }
    const typed = {
      domain: { name: 'USD Coin', version: '2', chainId: CHAIN_ID, verifyingContract: token, ...domain },
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
      message,
    } as const
    return { message, signature: await by.signTypedData(typed) }
  }

  function header({ message, signature }: Awaited<ReturnType<typeof signed>>, changed: Record<string, unknown> = {}): string {
    const { value, validAfter, validBefore } = message
    const authorization = { ...message, value: String(value), validAfter: String(validAfter), validBefore: String(validBefore) }
    const { scheme, network, asset, payTo } = { scheme: 'exact', ...rail() }
    const accepted = { scheme, network, asset, payTo, amount: String(value), maxTimeoutSeconds: 300, extra: rail().extra, ...changed }
    return headerOf({ x402Version: 2, accepted, payload: { signature, authorization } })
  }
  const payer = async (): Promise<PrivateKeyAccount> => {
    const account = privateKeyToAccount(generatePrivateKey())
    await chain.write(chain.account(0), token, 'mint', [account.address, 100n * USDC])
    return account
  }

  it('is collected once, however often and in whatever spelling it is sent', async () => {
    const account = await payer()
    const payments = paymentsBy(own())
    const one = await signed(account)
    const before = await balanceOf(receiver)

    const first = await payments.read(header(one))
    const again = await payments.read(header({ ...one, message: { ...one.message, from: lower(account) } }))
    const both = await Promise.all([payments.settle(first), payments.settle(again), paymentsBy(own()).settle(first)])
    const later = await paymentsBy(own()).settle(again)

    expect(first).toMatchObject({ wallet: lower(account), amount: 10_000_000_000n, network: `eip155:${CHAIN_ID}`, id: again.id })
    expect(first.id.length).toBeLessThan(200)
    expect(new Set([...both, later].map(({ transaction }) => transaction)).size).toBe(1)
    expect((await balanceOf(receiver)) - before).toBe(10n * USDC)
  })

  it('may come in the older version of the protocol', async () => {
    const account = await payer()
    const { message, signature } = await signed(account)
    const { value, validAfter, validBefore } = message
    const authorization = { ...message, value: String(value), validAfter: String(validAfter), validBefore: String(validBefore) }
    const payments = paymentsBy(own())

    const payment = await payments.read(
      headerOf({ x402Version: 1, scheme: 'exact', network: 'local', payload: { signature, authorization } }),
    )

    expect(await payments.settle(payment)).toEqual({ transaction: expect.stringMatching(/^0x[0-9a-f]{64}$/) })
  })

  it('may come from a wallet that is a contract', async () => {
    await chain.write(chain.account(0), token, 'mint', [wallet, 100n * USDC])
    const { message, signature } = await signed(chain.account(1), { from: wallet })
    const payments = paymentsBy(own())
    const before = await balanceOf(receiver)

    await payments.settle(await payments.read(header({ message, signature })))

    expect((await balanceOf(receiver)) - before).toBe(10n * USDC)
  })

  it.each<[string, Partial<Signed>, Record<string, unknown>, Record<string, unknown>]>([
    ['pay_to_mismatch', { to: '0x00000000000000000000000000000000000000bb' }, {}, {}],
    ['pay_to_mismatch', {}, {}, { payTo: '0x00000000000000000000000000000000000000bb' }],
    ['asset_mismatch', {}, {}, { asset: receiver }],
    ['unsupported_network', {}, {}, { network: 'eip155:1' }],
    ['unsupported_scheme', {}, {}, { scheme: 'upto' }],
    ['amount_mismatch', {}, {}, { amount: '20000000' }],
    ['amount_mismatch', { value: 0n }, {}, {}],
    ['signature_mismatch', {}, { chainId: 1 }, {}],
    ['signature_mismatch', {}, { name: 'Other Coin' }, {}],
    ['signature_mismatch', { from: '0x00000000000000000000000000000000000000cc' }, {}, {}],
    ['malformed', {}, {}, { amount: 'ten' }],
  ])('is refused for its %s', async (reason, message, domain, accepted) => {
    const account = chain.account(3)

    expect(await codeOf(paymentsBy(own()).read(header(await signed(account, message, domain), accepted)))).toBe(reason)
  })

  it.each<[string, (account: PrivateKeyAccount) => Partial<Signed>]>([
    ['expired', () => ({ validBefore: BigInt(Math.floor(Date.now() / 1000)) + 2n })],
    ['not_yet_valid', () => ({ validAfter: BigInt(Math.floor(Date.now() / 1000)) + 100n })],
    ['insufficient_funds', () => ({ value: 101n * USDC })],
  ])('moves nothing and is refused as %s when it is collected', async (reason, change) => {
    const account = await payer()
    const payments = paymentsBy(own())
    const payment = await payments.read(header(await signed(account, change(account))))

    expect(await codeOf(payments.settle(payment))).toBe(reason)
    expect(await balanceOf(account.address)).toBe(100n * USDC)
  })

  it('is refused where its nonce was cancelled', async () => {
    const account = chain.account(2)
    await chain.write(chain.account(0), token, 'mint', [account.address, 100n * USDC])
    const one = await signed(account)
    await chain.write(account, token, 'cancel', [one.message.nonce])
    const payments = paymentsBy(own())

    expect(await codeOf(payments.settle(await payments.read(header(one))))).toBe('nonce_used')
  })

  it('is not taken for another transfer of the same transaction', async () => {
    const account = await payer()
    const bundle = await chain.deploy('Bundle')
    const nonce = generatePrivateKey()
    const toThief = await signed(account, { nonce, to: '0x00000000000000000000000000000000000000dd' })
    const toUs = await signed(account)
    const abi = parseAbi(['function transferWithAuthorization(address, address, uint256, uint256, uint256, bytes32, bytes)'])
    const calls = [toThief, toUs].map(({ message: { from, to, value, validAfter, validBefore, nonce }, signature }) =>
      encodeFunctionData({
        abi,
        functionName: 'transferWithAuthorization',
        args: [from, to, value, validAfter, validBefore, nonce, signature],
      }),
    )
    await chain.write(chain.account(0), bundle, 'run', [token, calls])
    const payments = paymentsBy(own())

    const forged = await payments.read(header(await signed(account, { nonce })))
    const real = await payments.read(header(toUs))

    expect(await codeOf(payments.settle(forged))).toBe('nonce_used')
    expect(await payments.settle(real)).toEqual({ transaction: expect.any(String) })
  })

  it('is found on the chain when who collected it did not say so', async () => {
    const account = await payer()
    const silent: Collector = {
      async collect(payment) {
        await own().collect(payment)
        throw new Error('the connection broke')
      },
    }
    const payments = paymentsBy(silent)
    const payment = await payments.read(header(await signed(account)))

    expect(await payments.settle(payment)).toEqual({ transaction: expect.stringMatching(/^0x/) })
    expect(await balanceOf(account.address)).toBe(90n * USDC)
  })

  it('is neither collected nor refused while the node is away', async () => {
    const account = await payer()
    const payments = paymentsBy(own(), new Rpc(outside, NOWHERE, 500))
    const payment = await payments.read(header(await signed(account)))
    const error: unknown = await payments.settle(payment).catch((caught: unknown) => caught)

    expect(error).toMatchObject({ code: 'PAYMENT_VERIFICATION_FAILED', status: 500 })
    expect(await balanceOf(account.address)).toBe(100n * USDC)
  })

  describe('through a facilitator', () => {
    const HASH = `0x${'ab'.repeat(32)}`
    type Answers = Record<'verify' | 'settle', unknown>
    const asked: { url: string; body: unknown; headers: unknown }[] = []
    const facilitator = (answers: Answers): Facilitator =>
      new Facilitator(
        {
          post(url, { body, headers }) {
            asked.push({ url, body: JSON.parse(body), headers })
            const answer = answers[url.endsWith('/verify') ? 'verify' : 'settle']
            return Promise.resolve({ status: 200, body: Buffer.from(typeof answer === 'string' ? answer : JSON.stringify(answer)) })
          },
        },
        'https://facilitator.example/',
        'token',
      )
    const settled = async (answers: Answers): Promise<unknown> => {
      const payments = paymentsBy(facilitator(answers), null)
      return codeOf(payments.settle(await payments.read(header(await signed(chain.account(3))))))
    }
    const VALID = { isValid: true, payer: '0x' }

    it('is asked for exactly what was signed, and collected', async () => {
      asked.length = 0

      expect(await settled({ verify: VALID, settle: { success: true, transaction: HASH, network: 'local' } })).toEqual({
        transaction: HASH,
      })

      expect(asked.map(({ url }) => url)).toEqual(['https://facilitator.example/verify', 'https://facilitator.example/settle'])
      expect(asked[0]?.headers).toMatchObject({ authorization: 'Bearer token' })
      expect(asked[0]?.body).toMatchObject({ x402Version: 2, paymentRequirements: { amount: '10000000', payTo: receiver, asset: token } })
      expect(asked[1]?.body).toEqual(asked[0]?.body)
    })

    it('is asked once for the same payment that comes twice at the same moment', async () => {
      asked.length = 0
      const payments = paymentsBy(facilitator({ verify: VALID, settle: { success: true, transaction: HASH } }), null)
      const payment = await payments.read(header(await signed(chain.account(3))))

      expect(await Promise.all([payments.settle(payment), payments.settle(payment)])).toEqual([
        { transaction: HASH },
        { transaction: HASH },
      ])
      expect(asked).toHaveLength(2)
    })

    it.each<[string, Answers]>([
      ['insufficient_funds', { verify: { isValid: false, invalidReason: 'insufficient_funds' }, settle: {} }],
      ['expired', { verify: { isValid: false, invalidReason: 'invalid_exact_evm_payload_authorization_valid_before' }, settle: {} }],
      ['facilitator_refused', { verify: { isValid: false, invalidReason: 'words of theirs' }, settle: {} }],
      ['facilitator_refused', { verify: VALID, settle: { success: false, errorReason: 'no', transaction: '' } }],
      ['facilitator_settlement_unclear', { verify: VALID, settle: { success: false, transaction: HASH } }],
      ['facilitator_not_understood', { verify: VALID, settle: { success: true, transaction: 'none' } }],
      ['facilitator_not_understood', { verify: [], settle: {} }],
      ['facilitator_away', { verify: '<html>', settle: {} }],
    ])('ends as %s where it says so', async (reason, answers) => {
      expect(await settled(answers)).toBe(reason)
    })
  })
})

import { type Hex, encodeFunctionData, pad, serializeErc6492Signature } from 'viem'
import type { PrivateKeyAccount } from 'viem/accounts'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { Failure } from '../core/errors.ts'
import type { AccountRow } from '../core/store.ts'
import { ABI, CHAIN_ID, type LocalChain, plainOutside, startChain } from './local-chain.fixture.ts'
import { Rpc } from './rpc.ts'
import { StakeReader } from './stake-reader.ts'
import { allowanceOf, Stakes, type StakeStatus } from './stakes.ts'
import { testClock } from './testing.fixture.ts'
import { WalletSignatures } from './wallet-signature.ts'

let chain: LocalChain
let rpc: Rpc
let staking: Hex
let token: Hex
let wallet: Hex
let factory: Hex
const outside = plainOutside()
const NOWHERE = 'http://127.0.0.1:1'
const DIEM = 10n ** 18n

beforeAll(async () => {
  chain = await startChain()
  rpc = new Rpc(outside, chain.url, 2_000)
  staking = await chain.deploy('Staking')
  token = await chain.deploy('Token')
  wallet = await chain.deploy('Wallet', pad(chain.account(1).address).slice(2))
  factory = await chain.deploy('WalletFactory')
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

describe('the signature of a wallet that is a contract', () => {
  const text = 'who am I?'

  it('is taken when the contract says so, and only then', async () => {
    const signatures = new WalletSignatures(rpc)
    const owners = await chain.account(1).signMessage({ message: text })
    const strangers = await chain.account(2).signMessage({ message: text })

    expect(await signatures.signedText(wallet, text, owners)).toBe(true)
    expect(await signatures.signedText(wallet, text, strangers)).toBe(false)
    expect(await signatures.signedText(wallet, 'another text', owners)).toBe(false)
    expect(await signatures.signedText(token, text, owners)).toBe(false)
  })

  it('is taken before the contract is deployed, where it says how to (EIP-6492)', async () => {
    const owner = chain.account(2)
    const address = await chain.reader.readContract({ abi: ABI, address: factory, functionName: 'addressOf', args: [owner.address] })
    const signature = serializeErc6492Signature({
      address: factory,
      data: encodeFunctionData({ abi: ABI, functionName: 'create', args: [owner.address] }),
      signature: await owner.signMessage({ message: text }),
    })
    const signatures = new WalletSignatures(rpc)

    expect(await signatures.signedText(address.toLowerCase() as Hex, text, signature)).toBe(true)
    expect(await signatures.signedText(address.toLowerCase() as Hex, 'another text', signature)).toBe(false)
    expect(await chain.reader.getCode({ address })).toBeUndefined()
  })

  it('is wrong without a node, and unknown while the node is away', async () => {
    const signature = await chain.account(1).signMessage({ message: text })

    expect(await new WalletSignatures(null).signedText(wallet, text, signature)).toBe(false)
    const away = new WalletSignatures(new Rpc(outside, NOWHERE, 500))
    expect(await codeOf(away.signedText(wallet, text, signature))).toBe('CHAIN_UNAVAILABLE')
    expect(await away.signedText(lower(chain.account(1)), text, signature)).toBe(true)
  })
})

describe('the daily allowance', () => {
  const rowOf = (id: string, address: string): AccountRow => ({
    id,
    name: id,
    plan: 'default',
    creditNano: 0n,
    diemAllowanceNano: 0n,
    wallet: address,
    createdAt: 0,
    closedAt: null,
  })

  /** Accounts in memory, and a watcher over them. */
  function watched(reader: Pick<StakeReader, 'read'>, rows: readonly AccountRow[]) {
    const accounts = new Map(rows.map((row) => [row.id, row]))
    const written: [string, bigint][] = []
    const said: StakeStatus[] = []
    const clock = testClock()
    const stakes = new Stakes({
      reader,
      decimals: 18,
      pollMs: 60_000,
      accounts: () => Promise.resolve([...accounts.values()]),
      setAllowance(id, allowance) {
        written.push([id, allowance])
        const row = accounts.get(id)
        if (row) accounts.set(id, { ...row, diemAllowanceNano: allowance })
        return Promise.resolve()
      },
      clock,
      changed: (status) => said.push(status),
    })
    return { stakes, accounts, written, said, clock }
  }
  const source = { read: 'stakedInfos', chainId: CHAIN_ID }

  it('is what is staked, whole nano-dollars, nothing below 0.1 DIEM, and follows what happens on the chain', async () => {
    const [one, two, three] = [chain.account(1), chain.account(2), chain.account(3)]
    await chain.write(one, staking, 'stake', [3n * DIEM + 123_456_789_987_654_321n])
    await chain.write(two, staking, 'stake', [DIEM / 10n])
    await chain.write(three, staking, 'stake', [DIEM / 10n - 1n])
    const { stakes, accounts, written, said } = watched(new StakeReader(rpc, { ...source, contract: staking }), [
      rowOf('one', lower(one)),
      rowOf('two', lower(two)),
      rowOf('three', lower(three)),
      rowOf('solana', '7EcDhSYGxXyscszYEp35KHN8vvw3svAuLKTzXwCFLtV'),
    ])
    const allowances = (): unknown => [...accounts.values()].map(({ diemAllowanceNano }) => diemAllowanceNano)

    await stakes.poll()
    expect(allowances()).toEqual([3_123_456_789n, 100_000_000n, 0n, 0n])
    await stakes.poll()
    expect(written).toHaveLength(2)

    await chain.write(one, staking, 'unstake', [3n * DIEM])
    await chain.write(two, staking, 'unstake', [1n])
    await stakes.poll()

    expect(allowances()).toEqual([123_456_789n, 0n, 0n, 0n])
    expect(said.map(({ state, wallets }) => [state, wallets])).toEqual([['ok', 3]])
  })

  it('is read by any function that takes an address, and one wallet that cannot be read keeps what it has', async () => {
    const [one, two] = [chain.account(1), chain.account(2)]
    await chain.write(one, staking, 'stake', [DIEM])
    await chain.write(two, staking, 'stake', [DIEM])
    const reader = new StakeReader(rpc, { contract: staking, read: 'balanceOf', chainId: CHAIN_ID })
    const { stakes, accounts } = watched(reader, [rowOf('one', lower(one)), rowOf('two', lower(two))])
    await stakes.poll()
    const before = accounts.get('one')

    await chain.write(one, staking, 'breakFor', [one.address])
    await chain.write(one, staking, 'stake', [DIEM])
    await chain.write(two, staking, 'stake', [DIEM])
    const held = accounts.get('two')?.diemAllowanceNano ?? 0n
    await stakes.poll()

    expect(accounts.get('one')).toEqual(before)
    expect(accounts.get('two')?.diemAllowanceNano).toBe(held + 1_000_000_000n)
    expect(stakes.status()).toMatchObject({ state: 'stale', why: 'some stakes could not be read', wallets: 2, unread: 1 })
  })

  it.each<[string, (reader: typeof source) => StakeReader, string]>([
    ['the node is away', (of) => new StakeReader(new Rpc(outside, NOWHERE, 500), { ...of, contract: staking }), 'the node does not answer'],
    [
      'the node stands on another chain',
      (of) => new StakeReader(rpc, { ...of, contract: staking, chainId: 8453 }),
      'the node stands on another chain',
    ],
    ['there is no contract', (of) => new StakeReader(rpc, { ...of, contract: lower(chain.account(3)) }), 'some stakes could not be read'],
    ['the contract has no such function', (of) => new StakeReader(rpc, { ...of, contract: token }), 'some stakes could not be read'],
  ])('stands when %s', async (_, reader, why) => {
    const { stakes, written, said } = watched(reader(source), [{ ...rowOf('one', lower(chain.account(1))), diemAllowanceNano: 5n }])

    await stakes.poll()
    await stakes.poll()

    expect(written).toEqual([])
    expect(said).toEqual([expect.objectContaining({ state: 'stale', why, readAt: null })])
  })

  it('is read again once the node is back', async () => {
    let away = true
    const reader = new StakeReader(rpc, { ...source, contract: staking })
    const flaky = { read: (wallets: readonly Hex[]) => (away ? codeless() : reader.read(wallets)) }
    const { stakes, said, clock } = watched(flaky, [rowOf('three', lower(chain.account(3)))])

    await stakes.poll()
    away = false
    await stakes.poll()

    expect(said.map(({ state, readAt }) => [state, readAt])).toEqual([
      ['stale', null],
      ['ok', clock.now()],
    ])
  })

  const codeless = (): Promise<never> => Promise.reject(new Failure('CHAIN_UNAVAILABLE'))

  it('is read again and again once it has begun, sooner after a failure, until it is stopped', async () => {
    vi.useFakeTimers()
    try {
      let reads = 0
      const reader = { read: () => (++reads === 1 ? codeless() : Promise.resolve(new Map<Hex, bigint>())) }
      const { stakes } = watched(reader, [])

      stakes.start()
      await vi.advanceTimersByTimeAsync(29_999)
      expect(reads).toBe(1)
      await vi.advanceTimersByTimeAsync(1)
      expect(reads).toBe(2)
      await vi.advanceTimersByTimeAsync(60_000)
      expect(reads).toBe(3)
      await stakes.stop()
      await vi.advanceTimersByTimeAsync(600_000)
      expect([reads, vi.getTimerCount()]).toEqual([3, 0])
    } finally {
      vi.useRealTimers()
    }
  })

  it('is not what a broken contract may say', () => {
    expect(allowanceOf(2n ** 256n - 1n, 18)).toBeNull()
    expect(allowanceOf(5n, 0)).toBe(5_000_000_000n)
  })

  it('reads a thousand wallets in few requests', async () => {
    const reader = new StakeReader(rpc, { ...source, contract: staking })
    const wallets = Array.from({ length: 1_000 }, (_, at): Hex => `0x${(at + 1).toString(16).padStart(40, '0')}`)
    const before = outside.asked

    const stakes = await reader.read(wallets)

    expect(stakes.size).toBe(1_000)
    expect(outside.asked - before).toBe(11)
  })
})

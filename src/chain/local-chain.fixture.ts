/** A chain of the tests' own: Anvil in a child process, on loopback, with contracts that are compiled on the spot. */
import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import {
  type Abi,
  createPublicClient,
  createWalletClient,
  encodeFunctionData,
  type Hex,
  http,
  parseAbi,
  type PrivateKeyAccount,
} from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { foundry } from 'viem/chains'
import type { Outside } from '../core/outside.ts'
import { compile, type ContractName } from './contracts.fixture.ts'

export const CHAIN_ID = 31_337
/** Keys that Anvil gives money to at the start; everybody knows them. */
const KEYS: readonly Hex[] = [
  '0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80',
  '0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d',
  '0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a',
  '0x7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6',
]
export const OPERATOR_KEY: Hex = KEYS[0] ?? '0x'

export const ABI = parseAbi([
  'function stake(uint256 amount)',
  'function unstake(uint256 amount)',
  'function breakFor(address account)',
  'function mint(address to, uint256 value)',
  'function cancel(bytes32 nonce)',
  'function balanceOf(address account) view returns (uint256)',
  'function create(address owner) returns (address)',
  'function addressOf(address owner) view returns (address)',
  'function run(address token, bytes[] calls)',
])

/** The same, for calls whose arguments are not known to the compiler. */
const abi: Abi = ABI

export type LocalChain = Awaited<ReturnType<typeof startChain>>

/** Starts a chain and resolves when it answers. */
export async function startChain() {
  const { url, stop } = await anvil()
  const transport = http(url)
  const chain = { ...foundry, id: CHAIN_ID }
  const reader = createPublicClient({ chain, transport, pollingInterval: 10 })
  const accounts = KEYS.map((key) => privateKeyToAccount(key))
  const codes = compile()

  const account = (at: number): PrivateKeyAccount => accounts[at] ?? privateKeyToAccount(OPERATOR_KEY)
  const writer = (from: PrivateKeyAccount) => createWalletClient({ chain, transport, account: from, pollingInterval: 10 })

  /** Deploys a contract; the arguments of its constructor are one encoded word at most. */
  async function deploy(name: ContractName, word = ''): Promise<Hex> {
    const hash = await writer(account(0)).sendTransaction({ data: `${codes[name]}${word}` })
    const { contractAddress } = await reader.waitForTransactionReceipt({ hash })
    return (contractAddress ?? '0x').toLowerCase() as Hex
  }

  /** Calls a function of a contract in a transaction. */
  async function write(
    from: PrivateKeyAccount,
    address: Hex,
    functionName: 'stake' | 'unstake' | 'breakFor' | 'mint' | 'cancel' | 'run',
    args: readonly unknown[],
  ): Promise<void> {
    const data = encodeFunctionData({ abi, functionName, args })
    const hash = await writer(from).sendTransaction({ to: address, data })
    await reader.waitForTransactionReceipt({ hash })
  }

  return { url, stop, reader, account, deploy, write }
}

/** The way out, without a door: for tests only. Counts what was asked. */
export function plainOutside(): Outside & { asked: number } {
  const outside = {
    asked: 0,
    async post(url: string, { headers, body, timeoutMs }: Parameters<Outside['post']>[1]) {
      outside.asked++
      const answer = await fetch(url, { method: 'POST', headers, body, signal: AbortSignal.timeout(timeoutMs) })
      return { status: answer.status, body: Buffer.from(await answer.arrayBuffer()) }
    },
  }
  return outside
}

async function anvil(): Promise<{ url: string; stop: () => Promise<void> }> {
  const require = createRequire(import.meta.url)
  const inside = createRequire(require.resolve('@foundry-rs/anvil/package.json'))
  const arch = process.arch === 'x64' ? 'amd64' : process.arch
  const binary = inside.resolve(`@foundry-rs/anvil-${process.platform}-${arch}/bin/anvil${process.platform === 'win32' ? '.exe' : ''}`)
  const child = spawn(binary, ['--port', '0', '--host', '127.0.0.1', '--chain-id', String(CHAIN_ID), '--threads', '1'], {
    env: { HOME: tmpdir(), PATH: '' },
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  const port = await new Promise<string>((resolve, reject) => {
    let said = ''
    child.stdout.on('data', (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-4_096)
      const found = /Listening on 127\.0\.0\.1:(\d+)/.exec(said)?.[1]
      if (found) resolve(found)
    })
    child.once('error', reject)
    child.once('close', () => reject(new Error('anvil ended')))
  })
  return {
    url: `http://127.0.0.1:${port}`,
    async stop() {
      child.kill('SIGKILL')
      await ended
    },
  }
}

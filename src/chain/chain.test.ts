import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type ChainOptions, openChain } from './chain.ts'
import { chainFile, chainProblem, type ChainSecrets } from './settings.ts'
import { testClock } from './testing.fixture.ts'

const shipped: unknown = JSON.parse(readFileSync(join(import.meta.dirname, '..', '..', 'config', 'chain.json'), 'utf8'))
const file = chainFile.parse(shipped)
const NONE: ChainSecrets = { rpcUrl: null, settlerKey: null, facilitatorToken: null }
const RPC: ChainSecrets = { ...NONE, rpcUrl: 'http://127.0.0.1:1' }
const STAKE = { contract: `0x${'A'.repeat(40)}`, read: 'stakedInfos', decimals: 18 }
const X402 = {
  payTo: `0x${'b'.repeat(40)}`,
  asset: `0x${'C'.repeat(40)}`,
  token: 'USDC',
  tokenName: 'USD Coin',
  tokenVersion: '2',
  decimals: 6,
  maxTimeoutSeconds: 300,
  facilitatorUrl: 'https://facilitator.example',
}

const opened = (changes: Record<string, unknown>, secrets = NONE) => {
  const options: ChainOptions = {
    file: chainFile.parse({ ...file, ...changes }),
    secrets,
    outside: { post: () => Promise.reject(new Error('nobody is asked here')) },
    store: {
      accountOfWallet: () => Promise.resolve(null),
      insertAccount: () => Promise.resolve(true),
      accountsWithWallet: () => Promise.resolve([]),
    },
    clock: testClock(),
    hosts: () => ['ai.example.com'],
    setAllowance: () => Promise.resolve(),
    stakesChanged: () => {},
  }
  return openChain(options)
}

describe('the settings', () => {
  it('that ship let wallets do nothing, and start with no node', () => {
    const { signIn, payments, stakes } = opened({})

    expect([signIn, payments, stakes, chainProblem(file, NONE)]).toEqual([null, null, null, null])
  })

  it('switch each feature on by itself', () => {
    expect(opened({ diem: STAKE }).stakes).toBeNull()
    expect(opened({ diem: STAKE }, RPC).stakes?.status()).toMatchObject({ state: 'starting' })
    expect(opened({ x402: X402 }).payments?.rails).toMatchObject([{ network: 'eip155:8453', name: 'base', asset: `0x${'c'.repeat(40)}` }])
    const signIn = { enabled: true, domains: [] }
    const types = (secrets: ChainSecrets) =>
      opened({ signIn }, secrets)
        .signIn?.challenge('https://x')
        .supportedChains.map(({ type }) => type)
    expect(types(NONE)).toEqual(['eip191', 'ed25519'])
    expect(types(RPC)).toEqual(['eip191', 'eip1271', 'ed25519'])
  })

  it.each([
    [{ web3Keys: 'staked' }, RPC, /"vvv"/],
    [{ web3Keys: 'staked', vvv: STAKE }, NONE, /RIALTO_RPC_URL/],
    [{ x402: { ...X402, facilitatorUrl: null } }, RPC, /RIALTO_SETTLER_KEY/],
  ])('that contradict each other are one sentence', (changes, secrets, sentence) => {
    expect(chainProblem(chainFile.parse({ ...file, ...changes }), secrets)).toMatch(sentence)
  })

  it.each([
    [{ diem: { ...STAKE, contract: '0x12' } }, /address/],
    [{ diem: { ...STAKE, read: 'balanceOf(address)' } }, /name of a function/],
    [{ web3Keys: 'yes' }, /off/],
    [{ x402: { ...X402, decimals: 18 } }, /9/],
  ])('of a wrong form are refused', (changes, why) => {
    expect(() => chainFile.parse({ ...file, ...changes })).toThrow(why)
  })
})

describe('a server that no wallet visits', () => {
  it('does not load viem', () => {
    const script = [
      "import { registerHooks } from 'node:module'",
      'const loaded = []',
      'registerHooks({ resolve(name, context, next) { if (/^(viem|ox|@noble|abitype)/.test(name)) loaded.push(name); return next(name, context) } })',
      `await import(${JSON.stringify(join(import.meta.dirname, 'chain.ts'))})`,
      `const before = [...loaded]`,
      `const { utils } = await import(${JSON.stringify(join(import.meta.dirname, 'viem.ts'))})`,
      'await utils()',
      'process.stdout.write(JSON.stringify([before, loaded.includes("viem/utils")]))',
    ].join('\n')

    const said = execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' })

    expect(JSON.parse(said)).toEqual([[], true])
  })
})

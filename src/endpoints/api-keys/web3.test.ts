import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { WalletAccounts } from '../../chain/wallet-accounts.ts'
import { WalletSignatures } from '../../chain/wallet-signature.ts'
import { Web3Keys } from '../../chain/web3-keys.ts'
import type { Clock } from '../../core/clock.ts'
import { Keyring } from '../../keys/keyring.ts'
import { hashKey } from '../../keys/secret-key.ts'
import { openSqliteStore } from '../../store/sqlite/sqlite-store.ts'
import type { Desk } from '../../pipeline/desk.ts'
import type { AnyEndpoint, Reply } from '../endpoint.ts'
import { web3KeyEndpoints } from './web3.ts'

const clock: Clock = { now: () => 1_795_000_000_000, tick: () => 0, id: () => 'a'.repeat(32) }
const answered = z.object({ body: z.object({ data: z.record(z.string(), z.unknown()) }) })

async function fresh() {
  const store = await openSqliteStore(':memory:')
  await store.migrate()
  const accounts = new WalletAccounts(store, clock)
  const web3 = new Web3Keys({ mode: 'open', signatures: new WalletSignatures(null), stakes: null, accounts, clock })
  const keys = { invalidate: () => {}, flush: () => Promise.resolve() }
  const keyring = new Keyring({ store, clock, keys, knowsModel: () => true, admit: () => Promise.resolve() })
  const [get, post] = web3KeyEndpoints(web3, keyring)
  if (!get || !post) throw new Error('two endpoints are declared')
  return { get, post, store }
}

/** Does what the door does: only what the schema has checked reaches the handler. */
async function call(endpoint: AnyEndpoint, sent: unknown): Promise<Reply> {
  const body = endpoint.body?.parse(sent)
  // Neither of the two looks at the desk.
  return endpoint.handle({ params: {}, query: undefined, body, bodyBytes: 0, headers: {} }, {} as Desk)
}
const dataOf = (reply: Reply): Record<string, unknown> => answered.parse(reply).body.data

test('a wallet that signs the token as it is gets a key of its own account, with the limits that it asks for', async () => {
  const { get, post, store } = await fresh()
  const account = privateKeyToAccount(generatePrivateKey())

  const token = z.string().parse(dataOf(await call(get, undefined))['token'])
  const signature = await account.signMessage({ message: token })
  const wanted = { apiKeyType: 'INFERENCE', consumptionLimit: { usd: 5 }, limitPeriod: 'MONTH' }
  const reply = await call(post, { address: account.address, signature, token, ...wanted })

  expect(dataOf(reply)).toMatchObject({
    apiKeyType: 'INFERENCE',
    description: 'Web3 API Key',
    limitPeriod: 'MONTH',
    consumptionLimit: { usd: 5, diem: null, vcu: null },
  })
  const row = await store.keyByHash(hashKey(z.string().parse(dataOf(reply)['apiKey'])))
  expect(row).toMatchObject({ accountId: `wallet:${account.address.toLowerCase()}`, scope: 'INFERENCE', caps: { usd: 5_000_000_000n } })
  expect(await store.account(row?.accountId ?? '')).toMatchObject({ plan: 'default', wallet: account.address.toLowerCase() })
  await store.close()
})

test('fields that are not declared are refused, and no key is made for a signature of another wallet', async () => {
  const { get, post, store } = await fresh()
  const token = z.string().parse(dataOf(await call(get, undefined))['token'])
  const signature = await privateKeyToAccount(generatePrivateKey()).signMessage({ message: token })
  const body = { apiKeyType: 'INFERENCE', address: '0x0000000000000000000000000000000000000001', signature, token }

  await expect(call(post, body)).rejects.toMatchObject({ code: 'INVALID_REQUEST', message: 'Wallet signature does not match' })
  await expect(call(post, { ...body, plan: 'operator' })).rejects.toThrow('plan')
  expect(await store.countKeys()).toBe(0)
  await store.close()
})

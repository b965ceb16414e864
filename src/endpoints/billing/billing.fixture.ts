/** The billing endpoints over a real store, asked as the door asks them: the query through its schema, failures as they are. */
import type { Caller } from '../../core/call.ts'
import { Failure } from '../../core/errors.ts'
import type { AccountRow, Bill, KeyRow, PaidLine, Store } from '../../core/store.ts'
import { checkerOf } from '../../http/checker.ts'
import type { Desk } from '../../pipeline/desk.ts'
import type { Reply } from '../endpoint.ts'
import type { Balances } from './balance.ts'
import { billingEndpoints } from './billing.ts'

/** Noon of a Tuesday. */
export const NOW = Date.UTC(2026, 2, 10, 12)
export const DAY_MS = 86_400_000

export type Asked = { readonly accountId?: string; readonly accept?: string; readonly now?: number }

export type Answered = {
  readonly status: number
  readonly body: unknown
  readonly headers: Readonly<Record<string, string>>
  readonly contentType: string | null
  /** Of a failure: the field at fault. */
  readonly param: string | null
}

export type Ask = (path: string, query?: Readonly<Record<string, string>>, asked?: Asked) => Promise<Answered>

const NOTHING: Balances = { DIEM: { balance: 0n }, BUNDLED_CREDITS: { balance: 0n }, USD: { balance: 0n }, diemAllowance: 0n }

export function askOf(store: Store, balances: Balances = NOTHING): Ask {
  const all = billingEndpoints({ store, ledger: { balances: () => Promise.resolve(balances) } })
  return async (path, query = {}, { accountId = 'a', accept = '*/*', now = NOW } = {}) => {
    const endpoint = all.find((one) => one.path === path)
    if (!endpoint?.query) throw new Error(`no endpoint with a query at ${path}`)
    const desk = { caller: callerOf(accountId), envelope: { startedAt: now }, catalog: { get: publicName } } as unknown as Desk
    try {
      const checked = checkerOf(endpoint.query)(query)
      const input = { params: {}, query: checked, body: undefined, bodyBytes: 0, headers: { accept } }
      return answered(await endpoint.handle(input, desk))
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      return { status: error.status, body: error.message, headers: {}, contentType: null, param: error.param ?? null }
    }
  }
}

function answered(reply: Reply): Answered {
  if (reply.type !== 'json' && reply.type !== 'text') throw new Error(`a reply of type ${reply.type}`)
  const { status = 200, headers = {} } = reply
  // Through text and back, as a client gets it.
  if (reply.type === 'json') return { status, headers, body: JSON.parse(JSON.stringify(reply.body)), contentType: null, param: null }
  return { status, headers, body: reply.body, contentType: reply.contentType, param: null }
}

const callerOf = (accountId: string): Caller => ({
  accountId,
  keyId: `key-${accountId}`,
  scope: 'INFERENCE',
  plan: 'default',
  caps: { period: 'LIFETIME', usd: null, diem: null },
  modelPrivacy: 'ALL',
  models: null,
})

const publicName = (id: string) => (id === 'gone' ? null : { id, model_spec: { name: `The ${id}` } })

export const accountRow = (id: string, more: Partial<AccountRow> = {}): AccountRow => ({
  id,
  name: id,
  plan: 'default',
  creditNano: 0n,
  diemAllowanceNano: 0n,
  wallet: null,
  createdAt: 0,
  closedAt: null,
  ...more,
})

export const keyRow = (id: string, accountId: string, more: Partial<KeyRow> = {}): KeyRow => ({
  id,
  accountId,
  hash: id.padStart(64, '0'),
  last6: id.slice(-6),
  scope: 'INFERENCE',
  description: `The key ${id}`,
  caps: { period: 'LIFETIME', usd: null, diem: null },
  capVcuNano: null,
  modelPrivacy: 'ALL',
  models: null,
  createdAt: 0,
  expiresAt: null,
  revokedAt: null,
  lastUsedAt: null,
  ...more,
})

export const line = (unit: PaidLine['unit'], count: number, priceNano: number, currency: PaidLine['currency'] = 'USD'): PaidLine => ({
  unit,
  count,
  priceNano,
  amount: BigInt(count) * BigInt(priceNano),
  currency,
})

export const bill = (requestId: string, at: number, lines: readonly PaidLine[], more: Partial<Bill> = {}): Bill => ({
  kind: 'settle',
  requestId,
  at,
  accountId: 'a',
  keyId: 'key-a',
  model: 'm1',
  modality: 'text',
  executionMs: 12,
  diemDay: Math.floor(at / DAY_MS),
  lines,
  ...more,
})

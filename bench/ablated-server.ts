/**
 * Rialto without some of its rooms, so that the bench can say what they cost: the same server, in which keys are not looked
 * up, limits not counted, money not held, noted or written. For benchmarks on loopback only, never for anything else.
 *
 *   ABLATE=keys,limits,money … node bench/ablated-server.ts      the variables of `npm start` besides
 */
import type { Caller } from '../src/core/call.ts'
import { OPERATOR_ACCOUNT } from '../src/keys/first-key.ts'
import { Keys } from '../src/keys/keys.ts'
import { Limits, type Ticket } from '../src/limits/limits.ts'
import { type Hold, Ledger } from '../src/money/ledger.ts'

const off = new Set((process.env['ABLATE'] ?? '').split(','))

const CALLER: Caller = {
  accountId: OPERATOR_ACCOUNT,
  keyId: 'ablated',
  scope: 'ADMIN',
  plan: 'default',
  caps: { period: 'LIFETIME', usd: null, diem: null },
  modelPrivacy: 'ALL',
  models: null,
}
if (off.has('keys')) Keys.prototype.verify = () => CALLER

const TICKET: Ticket = Object.freeze({ ok: true, requests: null, tokens: null, window: null, slot: 0, taken: 0 })
if (off.has('limits')) {
  Limits.prototype.admit = () => TICKET
  Limits.prototype.settle = () => undefined
}

if (off.has('money')) {
  const free = { usd: 0n, diem: 0n }
  // What the pipeline reads of a hold, and nothing else.
  const hold = { amount: 10n ** 15n, balance: free } as Hold
  Ledger.prototype.hold = () => hold
  Ledger.prototype.settle = () => free
}

await import('../src/main.ts')

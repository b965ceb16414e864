/** `GET /billing/balance`: what the account of the caller can spend. */
import { z } from 'zod'
import { fail } from '../../core/errors.ts'
import { type Amount, type Currency, toUsd } from '../../core/money.ts'
import type { AccountRow, Store } from '../../core/store.ts'
import { MIN_ALLOWANCE } from '../../money/purse.ts'
import { type AnyEndpoint, endpoint, json } from '../endpoint.ts'

/** What is there of each currency, with everything that has been charged by now; what runs under way hold is not taken off. */
export type Balances = Readonly<Record<Currency, { readonly balance: Amount }>> & {
  /** The DIEM of a whole UTC day; 0 where nothing is staked. */
  readonly diemAllowance: Amount
}

export type BalanceSources = {
  readonly ledger: { balances(accountId: string): Promise<Balances> }
  readonly store: Pick<Store, 'account'>
}

const answer = z.object({
  canConsume: z.boolean().describe('Whether there is anything left to spend.'),
  consumptionCurrency: z
    .enum(['USD', 'VCU', 'DIEM', 'BUNDLED_CREDITS'])
    .nullable()
    .describe('What the next request spends first; null where there is nothing. Never `VCU`, which is a currency of former days.'),
  balances: z.object({
    diem: z.number().nullable().describe('What is left of the DIEM of this UTC day; null where nothing is staked.'),
    usd: z
      .number()
      .nullable()
      .describe('Dollars, bundled credits among them. Below zero where the account has been given credit and used it.'),
  }),
  diemEpochAllocation: z.number().describe('The DIEM of a whole UTC day; 0 below the minimum of 0.1.'),
})

export function billingBalance({ ledger, store }: BalanceSources): AnyEndpoint {
  return endpoint({
    method: 'GET',
    path: '/billing/balance',
    tag: 'Billing',
    summary: 'What is left to spend',
    description: [
      'What the account of this key has. DIEM is spent first, then bundled credits, then dollars; `balances.usd` is the sum of the last two.',
      'What requests under way have reserved is not taken off, so a large request may be refused with 402 although there is enough here.',
      '',
      "The operator's own account has no lower bound: it can always consume, and its `usd` says what was paid in less what was used, which",
      'as a rule is below zero. A cap of the key is not in these numbers; see `GET /api_keys`.',
      '',
      'Any key reads the balance of its account: the same numbers are in the headers of its answers anyway.',
    ].join('\n'),
    scope: 'INFERENCE',
    query: z.strictObject({}),
    answers: { 'application/json': { description: 'The balances.', schema: answer } },
    example: {
      answer: { canConsume: true, consumptionCurrency: 'DIEM', balances: { diem: 90.5, usd: 25 }, diemEpochAllocation: 100 },
    },
    errors: [],
    async handle(_input, { caller, envelope }) {
      const [balances, account] = await Promise.all([ledger.balances(caller.accountId), store.account(caller.accountId)])
      if (!account) throw fail('AUTHENTICATION_FAILED', { internal: 'the account of a key is not there' })
      envelope.balance = { usd: balances.USD.balance + balances.BUNDLED_CREDITS.balance, diem: balances.DIEM.balance }
      return json(balanceOf(balances, account))
    },
  })
}

function balanceOf(
  { DIEM, BUNDLED_CREDITS, USD, diemAllowance }: Balances,
  { creditNano }: Pick<AccountRow, 'creditNano'>,
): z.infer<typeof answer> {
  const diem = DIEM.balance
  const bundled = BUNDLED_CREDITS.balance
  const usd = USD.balance
  const allowance = diemAllowance < MIN_ALLOWANCE ? 0n : diemAllowance
  const consumptionCurrency = firstOf(diem, bundled, creditNano === null || usd + creditNano > 0n)
  return {
    canConsume: consumptionCurrency !== null,
    consumptionCurrency,
    balances: { diem: allowance > 0n || diem > 0n ? toUsd(diem) : null, usd: toUsd(usd + bundled) },
    diemEpochAllocation: toUsd(allowance),
  }
}

function firstOf(diem: Amount, bundled: Amount, dollars: boolean): Currency | null {
  if (diem > 0n) return 'DIEM'
  if (bundled > 0n) return 'BUNDLED_CREDITS'
  return dollars ? 'USD' : null
}

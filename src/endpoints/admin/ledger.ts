/** `/admin/ledger`: whether the books are right, and all that is in them. */
import { z } from 'zod'
import { ledgerPages } from '../../accounts/ledger-export.ts'
import type { TrialBalances } from '../../accounts/trial-balance.ts'
import { CURRENCIES, formatUsd } from '../../core/money.ts'
import type { Movement, Store } from '../../core/store.ts'
import { CSV_CONTENT_TYPE, type Column, csvOf } from '../../money/csv.ts'
import { type AnyEndpoint, type ByteSink, endpoint, json } from '../endpoint.ts'
import { TAG, amount, isoOf, showMovement, time } from './wire.ts'

export type LedgerSources = {
  readonly trialBalances: TrialBalances
  readonly store: Pick<Store, 'allMovements'>
  /** Brings what the ledger has settled and not written yet to the store. Rejects while the store is away. */
  readonly flush: () => Promise<void>
}

const currency = z.enum(CURRENCIES)
const trialBalance = z.object({
  balanced: z.boolean().describe('Whether each currency comes to zero and no sum differs.'),
  at: time,
  currencies: z.array(
    z.object({
      currency,
      sum: amount.describe('All its books together: 0.'),
      books: z.array(
        z.object({
          books: z.string().describe('A book of the house, or of all accounts the books of one kind (`account:*`).'),
          count: z.number(),
          balance: amount.describe('What is kept.'),
          recomputed: amount.describe('What all movements that were ever written come to.'),
        }),
      ),
    }),
  ),
  checked: z.object({ movements: z.number(), usageRecords: z.number() }),
  differences: z
    .array(
      z.object({
        what: z
          .enum(['book', 'charge', 'usage', 'day', 'key', 'currency'])
          .describe('A balance, a charge against its usage, all usage, the sum of a day or of a key, a movement between currencies.'),
        id: z.string(),
        currency,
        kept: amount,
        recomputed: amount,
      }),
    )
    .describe('Where it is not right: a hundred at most.'),
  moreDifferences: z.number(),
  ledger: z.object({
    openHolds: z.number().describe('Runs under way that hold money: in memory only, in no book.'),
    unwritten: z.number().describe('Settlements on their way to the books.'),
    storeAway: z.boolean(),
  }),
})

const EXAMPLE = {
  balanced: true,
  at: '2026-06-01T09:00:00.000Z',
  currencies: [
    {
      currency: 'USD',
      sum: '0',
      books: [
        { books: 'account:*', count: 1, balance: '12.4', recomputed: '12.4' },
        { books: 'grants', count: 1, balance: '-12.5', recomputed: '-12.5' },
        { books: 'revenue', count: 1, balance: '0.1', recomputed: '0.1' },
      ],
    },
  ],
  checked: { movements: 41, usageRecords: 80 },
  differences: [],
  moreDifferences: 0,
  ledger: { openHolds: 0, unwritten: 0, storeAway: false },
}

export const ledgerEndpoints = (of: LedgerSources): AnyEndpoint[] => [balance(of), exported(of)]

const balance = ({ trialBalances, flush }: LedgerSources): AnyEndpoint =>
  endpoint({
    method: 'GET',
    path: '/admin/ledger/trial-balance',
    tag: TAG,
    summary: 'Whether the books are right',
    description: [
      'Adds everything that was ever written up anew, beside the running server, and holds it against what is kept: each book against its',
      'movements, each charge against its usage records, each day’s and each key’s sum against the records they sum up, and each currency',
      'against zero. Takes about two seconds of CPU for a million usage records, in slices of a few milliseconds.',
    ].join('\n'),
    scope: 'OPERATOR',
    answers: { 'application/json': { description: 'The trial balance.', schema: trialBalance } },
    example: { answer: EXAMPLE },
    errors: ['MODEL_AT_CAPACITY'],
    async handle() {
      await flush()
      const { balanced, at, currencies, tally, ledger } = await trialBalances.make()
      return json({
        balanced,
        at: isoOf(at),
        currencies: currencies.map(({ currency: of, sum, books }) => ({
          currency: of,
          sum: formatUsd(sum),
          books: books.map(({ books: name, count, balance: kept, recomputed }) => ({
            books: name,
            count,
            balance: formatUsd(kept),
            recomputed: formatUsd(recomputed),
          })),
        })),
        checked: { movements: tally.transfers, usageRecords: tally.usageRows },
        differences: tally.differences.map((one) => ({ ...one, kept: formatUsd(one.kept), recomputed: formatUsd(one.recomputed) })),
        moreDifferences: tally.leftOut,
        ledger: { openHolds: ledger.openHolds, unwritten: ledger.unwritten, storeAway: ledger.storeAway },
      })
    },
  })

const exported = (of: LedgerSources): AnyEndpoint =>
  endpoint({
    method: 'GET',
    path: '/admin/ledger/export',
    tag: TAG,
    summary: 'Export the ledger',
    description: [
      'Every movement, oldest first, as JSON lines or as CSV, in a stream that is never held in memory whole. `seq` is each one’s place:',
      'an export that broke off is taken up with `after`, and so is yesterday’s. What was settled before the request is in it.',
    ].join('\n'),
    scope: 'OPERATOR',
    query: z.strictObject({
      format: z.enum(['jsonl', 'csv']).default('jsonl'),
      after: z.coerce.number().int().min(0).default(0).describe('The `seq` of the last movement that is there already.'),
    }),
    answers: {
      'application/jsonl': { description: `A movement per line: the fields of \`/admin/accounts/{id}/movements\`.` },
      'text/csv': { description: 'The same as a table, with a line of names.' },
    },
    example: { query: { format: 'jsonl' }, answer: '' },
    errors: ['MODEL_AT_CAPACITY'],
    async handle({ query: { format, after } }) {
      await of.flush()
      return {
        type: 'stream',
        contentType: format === 'csv' ? CSV_CONTENT_TYPE : 'application/jsonl',
        write: (out) => (format === 'csv' ? writeCsv(of, after, out) : writeLines(of, after, out)),
      }
    },
  })

async function writeLines({ store }: LedgerSources, after: number, out: ByteSink): Promise<void> {
  for await (const page of ledgerPages(store, after)) {
    await out.send(page.map((movement) => `${JSON.stringify(showMovement(movement))}\n`).join(''))
  }
}

const text = (name: string, of: (row: Movement) => string | null): Column<Movement> => ({ name, type: 'text', of })
const number = (name: string, of: (row: Movement) => string | null): Column<Movement> => ({ name, type: 'number', of })

const COLUMNS: readonly Column<Movement>[] = [
  number('seq', ({ seq }) => String(seq)),
  text('id', ({ id }) => id),
  text('at', ({ at }) => isoOf(at)),
  text('kind', ({ kind }) => kind),
  text('currency', ({ currency: of }) => of),
  text('from', ({ fromBook }) => fromBook),
  text('to', ({ toBook }) => toBook),
  number('amountUsd', ({ amount: of }) => formatUsd(of)),
  text('requestId', ({ requestId }) => requestId),
  text('model', ({ model }) => model),
]
const HEAD = csvOf(COLUMNS, [])

async function writeCsv({ store }: LedgerSources, after: number, out: ByteSink): Promise<void> {
  await out.send(HEAD)
  for await (const page of ledgerPages(store, after)) await out.send(csvOf(COLUMNS, page).slice(HEAD.length))
}

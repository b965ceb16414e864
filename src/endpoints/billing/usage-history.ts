/** `GET /billing/usage-history`: a walk through the charges of an account that misses none and meets none twice. */
import { z } from 'zod'
import { failField } from '../../core/errors.ts'
import { CURRENCIES } from '../../core/money.ts'
import type { Store, UsageFilter, UsagePlace } from '../../core/store.ts'
import { CSV_CONTENT_TYPE } from '../../money/csv.ts'
import { entryOf, statementCsv } from '../../money/statement.ts'
import { type AnyEndpoint, endpoint, json } from '../endpoint.ts'
import { CURSOR_MAX_CHARS, CURSOR_PATTERN, cursorOf, walkOf } from './cursor.ts'
import { ABOUT_ENTRIES, entry, exampleEntry, timeOf, wantsCsv } from './statement.ts'

const PAGE_SIZE = 1_000

const dateTime = z.iso.datetime().max(40)

const query = z.strictObject({
  currency: z.enum(CURRENCIES).optional().describe('Only what was paid in this currency.'),
  startTimestamp: dateTime.optional().describe('From this moment on: ISO 8601, UTC, with `Z`.'),
  endTimestamp: dateTime.optional().describe('Before this moment; later than `startTimestamp`.'),
  pageSize: z.coerce.number().int().min(10).max(PAGE_SIZE).optional().describe(`Entries per page; ${PAGE_SIZE} where nothing is said.`),
  cursor: z
    .string()
    .max(CURSOR_MAX_CHARS)
    .regex(CURSOR_PATTERN)
    .optional()
    .describe('The `nextCursor` of an earlier page. It carries the filters and is sent alone.'),
})
type Query = z.infer<typeof query>

const answer = z.object({
  data: z.array(entry).max(PAGE_SIZE).describe('By time, the earliest first.'),
  nextCursor: z.string().nullable().describe('Where to go on; null on the last page.'),
})

export function billingHistory(store: Pick<Store, 'usageAfter'>): AnyEndpoint {
  return endpoint({
    method: 'GET',
    path: '/billing/usage-history',
    tag: 'Billing',
    summary: 'All charges, with a cursor',
    description: [
      ABOUT_ENTRIES,
      '',
      'The first request takes the filters, every further one the `cursor` of the page before and nothing else. A page stays as it is while',
      'new usage is recorded; windows of time that share a border have no gap and no overlap. With CSV the cursor is in the header',
      '`x-next-cursor`, which the last page has not. Cursors do not expire; one that was changed, or that another account was given, is a 400.',
    ].join('\n'),
    scope: 'INFERENCE',
    query,
    answers: {
      'application/json': { description: 'The entries of the page.', schema: answer },
      'text/csv': { description: 'The same as a file that is named for the moment of its export.' },
    },
    example: { query: { pageSize: '10' }, answer: { data: [exampleEntry], nextCursor: null } },
    errors: ['INVALID_REQUEST'],
    async handle(input, { caller, envelope }) {
      const { filter, after, pageSize } = stepOf(caller.accountId, input.query)
      const { rows, next } = await store.usageAfter(filter, after, pageSize)
      const { currency, to } = filter
      const nextCursor = next && cursorOf(caller.accountId, { place: next, currency, to, pageSize })
      if (!wantsCsv(input)) return json({ data: rows.map(entryOf), nextCursor })
      const headers = {
        'content-disposition': `attachment; filename=billing-usage-history-${stampOf(envelope.startedAt)}.csv`,
        ...(nextCursor !== null && { 'x-next-cursor': nextCursor }),
      }
      return { type: 'text', contentType: CSV_CONTENT_TYPE, body: statementCsv(rows), headers }
    },
  })
}

type Step = { readonly filter: UsageFilter; readonly after: UsagePlace | null; readonly pageSize: number }

function stepOf(accountId: string, { cursor, ...rest }: Query): Step {
  if (cursor === undefined) return { filter: filterOf(accountId, rest), after: null, pageSize: rest.pageSize ?? PAGE_SIZE }
  const [other] = Object.keys(rest)
  if (other !== undefined) throw failField(other, 'is not sent with a cursor, which carries the filters of its walk')
  const walk = walkOf(accountId, cursor)
  if (!walk) throw failField('cursor', 'is none that this account was given; begin again with the first page')
  const { currency, to, place, pageSize } = walk
  return { filter: { accountId, currency, from: null, to }, after: place, pageSize }
}

function filterOf(accountId: string, { currency, startTimestamp, endTimestamp }: Omit<Query, 'cursor'>): UsageFilter {
  const from = timeOf('startTimestamp', startTimestamp)
  const to = timeOf('endTimestamp', endTimestamp)
  if (from !== null && to !== null && to <= from) throw failField('endTimestamp', 'must be later than startTimestamp')
  return { accountId, currency: currency ?? null, from, to }
}

/** `20260708T091530123Z`: names of files sort in the order of the walk. */
const stampOf = (at: number): string => new Date(at).toISOString().replaceAll(/[-:.]/g, '')

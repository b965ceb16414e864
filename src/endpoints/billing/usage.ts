/** `GET /billing/usage`: the charges of an account in numbered pages. */
import { z } from 'zod'
import { failField } from '../../core/errors.ts'
import type { Store, UsageEntry, UsageFilter } from '../../core/store.ts'
import { CSV_CONTENT_TYPE } from '../../money/csv.ts'
import { entryOf, statementCsv } from '../../money/statement.ts'
import { type AnyEndpoint, endpoint } from '../endpoint.ts'
import { ABOUT_ENTRIES, entry, exampleEntry, timeOf, wantsCsv } from './statement.ts'

/** How many entries a page may have before it: leaving them out costs as much as reading them. */
const MAX_SKIPPED = 100_000

const dateTime = z.iso.datetime({ offset: true }).max(40)

const query = z.strictObject({
  currency: z.enum(['USD', 'VCU', 'DIEM', 'BUNDLED_CREDITS']).optional().describe('Only what was paid in this currency.'),
  startDate: dateTime.optional().describe('From this moment on: ISO 8601 with `Z` or an offset.'),
  endDate: dateTime.optional().describe('Up to this moment, itself included.'),
  limit: z.coerce.number().int().min(1).max(500).default(200).describe('Entries per page.'),
  page: z.coerce.number().int().min(1).default(1).describe('The page, beginning with 1.'),
  sortOrder: z.enum(['asc', 'desc']).default('desc').describe('By time; the latest first where nothing is said.'),
})

const answer = z.object({
  warningMessage: z.string().optional(),
  data: z.array(entry),
  pagination: z.object({
    limit: z.int(),
    page: z.int(),
    total: z.int().describe('How many entries there are on all pages.'),
    totalPages: z.int(),
  }),
})

export function billingUsage(store: Pick<Store, 'usage' | 'countUsage'>): AnyEndpoint {
  return endpoint({
    method: 'GET',
    path: '/billing/usage',
    tag: 'Billing',
    summary: 'Charges, page by page',
    description: [
      ABOUT_ENTRIES,
      '',
      'The numbers of `pagination` are in the headers `x-pagination-limit`, `-page`, `-total` and `-total-pages` as well, which is where they',
      `are with CSV. New entries move those on later pages, and no page begins after more than ${MAX_SKIPPED.toLocaleString('en')} entries:`,
      'to walk through everything take `GET /billing/usage-history`, or dates. Unlike elsewhere, this endpoint is here to stay.',
    ].join('\n'),
    scope: 'INFERENCE',
    query,
    answers: {
      'application/json': { description: 'The entries of the page.', schema: answer },
      'text/csv': { description: 'The same as `billing_usage.csv`.' },
    },
    example: {
      query: { limit: '10', sortOrder: 'desc' },
      answer: { data: [exampleEntry], pagination: { limit: 10, page: 1, total: 1, totalPages: 1 } },
    },
    errors: ['INVALID_REQUEST'],
    async handle(input, { caller }) {
      const { limit, page, sortOrder } = input.query
      const skip = (page - 1) * limit
      if (skip > MAX_SKIPPED) {
        throw failField('page', `at most ${Math.floor(MAX_SKIPPED / limit) + 1} at this limit; use /billing/usage-history, or dates`)
      }
      const filter = filterOf(caller.accountId, input.query)
      const rows: readonly UsageEntry[] = filter ? await store.usage(filter, sortOrder, skip, limit) : []
      const total = filter ? await store.countUsage(filter) : 0
      const pagination = { limit, page, total, totalPages: Math.ceil(total / limit) }
      const headers = paginationHeaders(pagination)
      if (wantsCsv(input)) {
        const disposition = { 'content-disposition': 'attachment; filename=billing_usage.csv' }
        return { type: 'text', contentType: CSV_CONTENT_TYPE, body: statementCsv(rows), headers: { ...headers, ...disposition } }
      }
      const warning = filter ? {} : { warningMessage: 'Nothing is charged in VCU, which is a currency of former days; ask for DIEM.' }
      return { type: 'json', body: { ...warning, data: rows.map(entryOf), pagination }, headers }
    },
  })
}

/** Null where the query asks for what there never is. */
function filterOf(accountId: string, { currency, startDate, endDate }: z.infer<typeof query>): UsageFilter | null {
  const from = timeOf('startDate', startDate)
  const last = timeOf('endDate', endDate)
  if (from !== null && last !== null && last < from) throw failField('endDate', 'must not be before startDate')
  if (currency === 'VCU') return null
  return { accountId, currency: currency ?? null, from, to: last === null ? null : last + 1 }
}

const paginationHeaders = (of: z.infer<typeof answer>['pagination']): Record<string, string> => ({
  'x-pagination-limit': String(of.limit),
  'x-pagination-page': String(of.page),
  'x-pagination-total': String(of.total),
  'x-pagination-total-pages': String(of.totalPages),
})

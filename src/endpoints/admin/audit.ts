/** `GET /admin/audit`: who did what. */
import { z } from 'zod'
import type { Audit } from '../../accounts/audit.ts'
import { type AnyEndpoint, endpoint, json } from '../endpoint.ts'
import { TAG, isoOf, limit, time } from './wire.ts'

const line = z.object({
  seq: z.number(),
  at: time,
  byKeyId: z.string().describe('The key that did it.'),
  action: z
    .string()
    .describe('Such as `account.create`, `credit.grant`, `key.revoke`, `price.set`; with `.failed` where it was tried in vain.'),
  object: z.string().describe('The id of what it was done to.'),
  details: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])),
})

export const auditEndpoint = (audit: Audit): AnyEndpoint =>
  endpoint({
    method: 'GET',
    path: '/admin/audit',
    tag: TAG,
    summary: 'What administrators did',
    description: [
      'The latest first: every change of accounts, keys, credits and prices, by which key. A line is written before the deed; where it failed,',
      'a second line says so. Ids, names of fields, numbers and the operator’s reasons; no key and no content.',
    ].join('\n'),
    scope: 'OPERATOR',
    query: z.strictObject({ before: z.coerce.number().int().positive().optional().describe('The `next` of the page before.'), limit }),
    answers: {
      'application/json': {
        description: 'A page of lines.',
        schema: z.object({ object: z.literal('list'), data: z.array(line), next: z.number().nullable() }),
      },
    },
    example: {
      query: { limit: '10' },
      answer: {
        object: 'list',
        data: [
          {
            seq: 2,
            at: '2026-06-01T09:00:00.000Z',
            byKeyId: 'first',
            action: 'credit.grant',
            object: 'ada',
            details: { id: 'invoice-17', currency: 'USD', amountUsd: '12.5', reason: 'Invoice 17' },
          },
        ],
        next: null,
      },
    },
    errors: [],
    async handle({ query: { before = null, limit: size } }) {
      const { rows, next } = await audit.page(before, size)
      const data = rows.map(({ seq, at, byKeyId, action, object, details }) => ({ seq, at: isoOf(at), byKeyId, action, object, details }))
      return json({ object: 'list', data, next })
    },
  })

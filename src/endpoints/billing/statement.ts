/** What the two lists of charges have in common: the shape of an entry, the choice of JSON or CSV, and their dates. */
import { z } from 'zod'
import { CURRENCIES } from '../../core/money.ts'
import { failField } from '../../core/errors.ts'
import type { Input } from '../endpoint.ts'

export const entry = z.object({
  timestamp: z.string().describe('When it was charged: ISO 8601, UTC.'),
  sku: z.string().describe('The model, then what of it was used, such as `llama-3.3-70b-llm-output-mtoken`.'),
  pricePerUnitUsd: z.number().describe('Of one of these units; tokens and characters are sold by the million.'),
  units: z.number().describe('In millions for tokens and characters; pictures, seconds and calls one by one.'),
  amount: z
    .number()
    .describe(
      'What was charged, as a negative number. Less than `units` × price where the reservation ran out; where two currencies paid for one unit, the later one counts it.',
    ),
  currency: z.enum(CURRENCIES),
  notes: z.string(),
  inferenceDetails: z
    .object({
      requestId: z.string().describe('The `id` of a chat; otherwise the `x-request-id` of the answer.'),
      promptTokens: z.int().nullable().describe('Of the whole request, cached ones included; null for what is not counted in tokens.'),
      completionTokens: z.int().nullable().describe('Of the whole request, reasoning included; null likewise.'),
      inferenceExecutionTime: z.int().nullable().describe('In milliseconds.'),
    })
    .nullable()
    .describe('The request that was charged; null for what is no inference.'),
})

/** An entry for the documentation. */
export const exampleEntry: z.infer<typeof entry> = {
  timestamp: '2026-06-15T19:05:10.504Z',
  sku: 'llama-3.3-70b-llm-output-mtoken',
  pricePerUnitUsd: 2.8,
  units: 0.000227,
  amount: -0.0006356,
  currency: 'DIEM',
  notes: 'API Inference',
  inferenceDetails: {
    requestId: 'chatcmpl-4007fd29f42b7d3c4107f4345e8d174a',
    promptTokens: 339,
    completionTokens: 227,
    inferenceExecutionTime: 2964,
  },
}

/** What both lists say of what they hold. */
export const ABOUT_ENTRIES = [
  'One entry per request, class of unit (fresh input, input from a cache, input to a cache, output, …) and currency that paid: one chat',
  'makes several, which share `inferenceDetails`. Payments, credits and the allowance of DIEM are no usage and are not listed.',
  'Entries appear within moments of the end of a request. Send `Accept: text/csv` for CSV, whose numbers are exact to the nano-dollar.',
  '',
  'Any key reads the usage of its whole account, and of no other.',
].join('\n')

/** Whether the caller's `Accept` names CSV; a wildcard does not. */
export function wantsCsv({ headers }: Pick<Input<unknown, unknown>, 'headers'>): boolean {
  const accept = headers['accept']
  const items = typeof accept === 'string' ? accept.toLowerCase().split(',') : []
  return items.some((item) => {
    const [type, ...parameters] = item.split(';').map((part) => part.trim())
    return type === 'text/csv' && !parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter))
  })
}

/** Milliseconds since 1970 of a date that the schema took; null where there is none. */
export function timeOf(field: string, date: string | undefined): number | null {
  if (date === undefined) return null
  const at = Date.parse(date)
  if (!Number.isSafeInteger(at)) throw failField(field, 'Invalid ISO datetime')
  return at
}

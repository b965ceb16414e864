/** `GET /billing/usage-analytics`: what an account used, summed up by day, model and key. */
import { setImmediate as turn } from 'node:timers/promises'
import { z } from 'zod'
import type { Catalog } from '../../catalog/catalog.ts'
import { failField } from '../../core/errors.ts'
import type { KeyRow, Store } from '../../core/store.ts'
import { CHARTED_MAX, DAY_MS, UsageTally } from '../../money/usage-summary.ts'
import { type AnyEndpoint, endpoint, json } from '../endpoint.ts'

const LOOKBACK_MAX_DAYS = 90
const LOOKBACK = '7d'
/** A leap year, both ends included. */
const PERIOD_MAX_DAYS = 366
/** So many days are read at a time; other requests get their turn in between. */
const SLICE_DAYS = 31
/** So many keys that are no longer listed are looked up by name, those who spent most first; the others go by their id. */
const FORMER_KEYS_MAX = 200

const date = z.iso.date()

const query = z.strictObject({
  lookback: z
    .string()
    .regex(/^[1-9]\d*d$/)
    .optional()
    .describe(
      `So many UTC days, today among them, such as \`30d\`; \`${LOOKBACK}\` where nothing is said, \`${LOOKBACK_MAX_DAYS}d\` at most.`,
    ),
  startDate: date.optional().describe('The first day, `YYYY-MM-DD` in UTC; goes with `endDate`, instead of `lookback`.'),
  endDate: date.optional().describe('The last day, itself included; at most a year after the first.'),
})

const spend = {
  totalUsd: z.number().describe('Dollars, bundled credits among them.'),
  totalDiem: z.number(),
  totalUnits: z.number(),
}

const chart = z.array(z.record(z.string(), z.number()))

const answer = z.object({
  lookback: z.string().describe('The period: `Nd`, or the first and the last day with a colon between them.'),
  byDate: z.array(z.object({ date: z.string(), USD: z.number(), DIEM: z.number() })).describe('Every day of the period, the latest first.'),
  byModel: z
    .array(
      z.object({
        modelName: z.string(),
        unitType: z.string().describe('`tokens`, `images`, `chars`, `seconds` or `calls`.'),
        modelType: z.string().nullable().describe('`LLM`, `IMAGE`, `TTS`, `ASR`, `VIDEO`; null for models of another kind.'),
        ...spend,
        breakdown: z
          .array(z.object({ type: z.string(), usd: z.number(), diem: z.number(), units: z.number() }))
          .optional()
          .describe('By class of token (`Input`, `Output`, `Cache Read`, `Cache Write`) where there are several.'),
      }),
    )
    .describe('Those that cost most first.'),
  byModelDaily: chart.describe(
    `Every day, the earliest first: \`date\` in ms since 1970, and by name what the first ${CHARTED_MAX} models cost on it, in dollars and DIEM together.`,
  ),
  topModels: z.array(z.string()).describe('The names in `byModelDaily`.'),
  byKey: z
    .array(z.object({ apiKeyId: z.string().nullable().describe('Null where no key was used.'), description: z.string(), ...spend }))
    .describe('Those that cost most first.'),
  byKeyDaily: chart.describe(`The same for the first ${CHARTED_MAX} keys.`),
  topKeyNames: z.array(z.string()).describe('The names in `byKeyDaily`.'),
})

export function billingAnalytics(store: Pick<Store, 'usageDays' | 'keysOf' | 'key'>): AnyEndpoint {
  return endpoint({
    method: 'GET',
    path: '/billing/usage-analytics',
    tag: 'Billing',
    summary: 'Usage by day, model and key',
    description: [
      'Sums per UTC day over the whole account, of what was settled on that day; they are written together with the charges, so they are',
      'neither cached nor late, and a year costs no more than its days. Tokens are counted one by one here. A model or key that shares',
      'its name with another has its id or its last characters behind it. Keys that were deleted are among them.',
      '',
      'Any key reads the usage of its whole account, and of no other.',
    ].join('\n'),
    scope: 'INFERENCE',
    query,
    answers: { 'application/json': { description: 'The sums.', schema: answer } },
    example: { query: { lookback: '7d' }, answer: exampleAnswer },
    errors: ['INVALID_REQUEST'],
    async handle(input, { caller, catalog, envelope }) {
      const { label, fromDay, toDay } = periodOf(input.query, Math.floor(envelope.startedAt / DAY_MS))
      const tally = new UsageTally(fromDay, toDay)
      for (let day = fromDay; day <= toDay; day += SLICE_DAYS) {
        if (day > fromDay) await turn()
        tally.add(await store.usageDays(caller.accountId, day, Math.min(day + SLICE_DAYS - 1, toDay)))
      }
      const keys = await keysOf(store, caller.accountId, tally.keyIds())
      const summary = tally.finish({ model: (id) => nameOf(catalog, id), key: (id) => keys.get(id) ?? null })
      return json({ lookback: label, ...summary })
    },
  })
}

type Period = { readonly label: string /** Days since 1970, both included. */; readonly fromDay: number; readonly toDay: number }

function periodOf({ lookback, startDate, endDate }: z.infer<typeof query>, today: number): Period {
  if (startDate === undefined && endDate === undefined) {
    const label = lookback ?? LOOKBACK
    const days = Number(label.slice(0, -1))
    if (days > LOOKBACK_MAX_DAYS) throw failField('lookback', `at most ${LOOKBACK_MAX_DAYS}d; for more use startDate and endDate`)
    return { label, fromDay: today - days + 1, toDay: today }
  }
  if (startDate === undefined) throw failField('startDate', 'is needed with endDate')
  if (endDate === undefined) throw failField('endDate', 'is needed with startDate')
  if (lookback !== undefined) throw failField('lookback', 'is not sent with startDate and endDate')
  const [fromDay, toDay] = [Date.parse(startDate) / DAY_MS, Date.parse(endDate) / DAY_MS]
  if (toDay < fromDay) throw failField('endDate', 'must not be before startDate')
  if (toDay - fromDay >= PERIOD_MAX_DAYS) throw failField('endDate', `at most ${PERIOD_MAX_DAYS} days from startDate on`)
  return { label: `${startDate}:${endDate}`, fromDay, toDay }
}

/** The keys of these ids, deleted ones as well. One that is not there was never a key of this account. */
async function keysOf(
  store: Pick<Store, 'keysOf' | 'key'>,
  accountId: string,
  ids: readonly string[],
): Promise<ReadonlyMap<string, Pick<KeyRow, 'description' | 'last6'>>> {
  const keys = new Map<string, Pick<KeyRow, 'description' | 'last6'>>()
  for (const key of await store.keysOf(accountId)) keys.set(key.id, key)
  const former = ids.filter((id) => !keys.has(id))
  for (const id of former.slice(0, FORMER_KEYS_MAX)) {
    const key = await store.key(id)
    if (key?.accountId === accountId) keys.set(id, key)
  }
  for (const id of former.slice(FORMER_KEYS_MAX)) keys.set(id, { description: id, last6: id.slice(-6) })
  return keys
}

/** Its public name, also where it is retired; the id of one that is no longer in the catalogue. */
function nameOf(catalog: Catalog, id: string): string {
  const model = catalog.get(id)
  return model?.id === id ? model.model_spec.name : id
}

const day = (date: string): number => Date.parse(date)

const exampleAnswer: z.infer<typeof answer> = {
  lookback: '7d',
  byDate: [
    { date: '2026-06-15', USD: 0.5, DIEM: 10.25 },
    { date: '2026-06-14', USD: 0.3, DIEM: 8.75 },
  ],
  byModel: [
    {
      modelName: 'Llama 3.3 70B',
      unitType: 'tokens',
      modelType: 'LLM',
      totalUsd: 0.8,
      totalDiem: 19,
      totalUnits: 50_000,
      breakdown: [
        { type: 'Output', usd: 0.6, diem: 15, units: 35_000 },
        { type: 'Input', usd: 0.2, diem: 4, units: 15_000 },
      ],
    },
  ],
  byModelDaily: [
    { date: day('2026-06-14'), 'Llama 3.3 70B': 9.05 },
    { date: day('2026-06-15'), 'Llama 3.3 70B': 10.75 },
  ],
  topModels: ['Llama 3.3 70B'],
  byKey: [{ apiKeyId: 'key_abc123', description: 'Production key', totalUsd: 0.8, totalDiem: 19, totalUnits: 50_000 }],
  byKeyDaily: [
    { date: day('2026-06-14'), 'Production key': 9.05 },
    { date: day('2026-06-15'), 'Production key': 10.75 },
  ],
  topKeyNames: ['Production key'],
}

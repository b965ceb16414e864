/** The fields of keys as they travel: what requests take, and what answers have. */
import { z } from 'zod'
import { nanoOf } from './wire-money.ts'

/** Stands for the id of a key of one's own wherever an example needs one. */
export const EXAMPLE_KEY_ID = '0190b2f4c7d84e3f9a1b2c3d4e5f6071'

/** The limit of the API: whole dollars of ten digits. */
const MAX_LIMIT = 9_999_999_999
const MAX_DESCRIPTION_CHARS = 64
const MAX_MODELS = 500
const MAX_MODEL_CHARS = 512
const TIME = /^$|^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}:\d{2}(\.\d{1,9})?Z)?$/

const keyType = z.enum(['INFERENCE', 'ADMIN'])
const limitPeriod = z.enum(['EPOCH', 'MONTH', 'LIFETIME'])
const modelPrivacy = z.enum(['ALL', 'PRIVATE_TEXT', 'PRIVATE_ONLY'])

const limit = z
  .number()
  .min(0, { abort: true })
  .max(MAX_LIMIT)
  .refine((value) => nanoOf(value) !== null, 'must be a whole number of nano-dollars (nine decimals) with 15 digits at most')
  .nullable()

const limits = z.strictObject({
  usd: limit.optional().describe('Dollars, bundled credits among them; 0 spends none, null is no limit.'),
  diem: limit.optional().describe('DIEM; 0 spends none, null is no limit.'),
  vcu: limit.optional().describe('A currency of former days: kept and shown, never reached.'),
})

/** What can be said of a key when it is made and changed later. */
const settings = {
  consumptionLimit: limits.optional().describe('The most that the key may spend in each period. What is not named stays as it is.'),
  consumptionLimits: limits.optional().describe('The same under the name that answers have.'),
  limitPeriod: limitPeriod
    .optional()
    .describe(
      'When the limits begin anew: each UTC day (`EPOCH`, the default), on the first of each month in UTC (`MONTH`), never (`LIFETIME`).',
    ),
  modelPrivacy: modelPrivacy
    .optional()
    .describe(
      'Which models the key may use: `ALL` (the default); with `PRIVATE_TEXT` text and embedding models only if they are private; with `PRIVATE_ONLY` private models only.',
    ),
  models: z
    .array(z.string().min(1).max(MAX_MODEL_CHARS))
    .min(1)
    .max(MAX_MODELS)
    .nullable()
    .optional()
    .describe('The only models that the key may use, by id; null is all. Rialto only.'),
  expiresAt: z
    .string()
    .regex(TIME, { error: 'must be a date (YYYY-MM-DD), a time in UTC (YYYY-MM-DDThh:mm:ssZ), or empty for never', abort: true })
    .refine((text) => text === '' || isTime(text), 'is no date of the calendar')
    .nullable()
    .optional()
    .describe('When the key stops working: a UTC time, a date for its beginning in UTC; empty or null for never.'),
}

const description = z.string().max(MAX_DESCRIPTION_CHARS)

/** The fields of a new key but for its type and description: what every way to make one takes. */
export const newKeySettings = settings

export const createBody = z.strictObject({
  apiKeyType: keyType.describe('`INFERENCE` uses models; `ADMIN` does that and administers the account.'),
  description: description.describe('For people; 64 characters at most.'),
  ...settings,
})

const changeFields = { description: description.optional().describe('For people; 64 characters at most.'), ...settings }

export const changeBody = z.strictObject(changeFields)
export const changeByIdBody = z.strictObject({ id: z.string().min(1).describe('Which key.'), ...changeFields })

/** Ninety days. */
const MAX_GRACE_SECONDS = 7_776_000

export const rotateBody = z.strictObject({
  graceSeconds: z.int().min(0).max(MAX_GRACE_SECONDS).describe('How long the old secret works on; 0 ends it at once. 90 days at most.'),
})

export type SettingsFields = z.infer<typeof changeBody>
export type CreateFields = z.infer<typeof createBody>

const shownLimits = z
  .object({ usd: z.number().nullable(), diem: z.number().nullable(), vcu: z.number().nullable() })
  .describe('The most it may spend in each period; null is no limit.')
const time = z.string().nullable()

const shown = {
  id: z.string(),
  apiKeyType: keyType,
  description: z.string(),
  limitPeriod,
  modelPrivacy,
  models: z.array(z.string()).nullable().describe('The only models it may use; null is all. Rialto only.'),
  expiresAt: time,
}

/** The one answer that has the key itself. */
export const madeKey = z.object({
  apiKey: z.string().describe('The key. It is shown this once; Rialto keeps a hash of it.'),
  ...shown,
  consumptionLimit: shownLimits,
})

export const changedKey = z.object({
  ...shown,
  consumptionLimits: shownLimits,
  last6Chars: z.string(),
  createdAt: time,
  lastUsedAt: time.describe('Written every few seconds.'),
})

export const listedKey = changedKey.extend({
  usage: z.object({
    trailingSevenDays: z
      .object({ usd: z.string(), vcu: z.string(), diem: z.string() })
      .describe('The seven UTC days that end with today; dollars with bundled credits among them.'),
  }),
  currentPeriodUsage: z
    .object({ usd: z.string(), diem: z.string() })
    .optional()
    .describe('What counts against its limits at the moment; for keys that have any.'),
})

export const success = z.object({ success: z.literal(true) })

/** The parser would take 30 February for 2 March. */
function isTime(text: string): boolean {
  const at = Date.parse(text)
  return !Number.isNaN(at) && new Date(at).toISOString().startsWith(text.slice(0, 10))
}

/** Keys between their wire shapes and the words of the keyring. */
import type { z } from 'zod'
import { failField } from '../../core/errors.ts'
import type { Amount } from '../../core/money.ts'
import { formatUsd } from '../../core/money.ts'
import type { KeyRow } from '../../core/store.ts'
import type { KeySettings, MadeKey, NewKey, SpentKey } from '../../keys/keyring.ts'
import type { changedKey, CreateFields, listedKey, madeKey, SettingsFields } from './schema.ts'
import { dollarsOf, nanoOf } from './wire-money.ts'

/** What a request says of a key's settings, and nothing that it does not say. Throws a 400 where it says it twice. */
export function changesOf(fields: SettingsFields): Partial<KeySettings> {
  const { consumptionLimit, consumptionLimits, limitPeriod, modelPrivacy, models, description, expiresAt } = fields
  if (consumptionLimit && consumptionLimits) throw failField('consumptionLimits', 'is the same as consumptionLimit; send one of them')
  const { usd, diem, vcu } = consumptionLimit ?? consumptionLimits ?? {}
  return {
    ...(description !== undefined && { description }),
    ...(limitPeriod !== undefined && { period: limitPeriod }),
    ...(usd !== undefined && { usd: amountOf(usd) }),
    ...(diem !== undefined && { diem: amountOf(diem) }),
    ...(vcu !== undefined && { vcu: amountOf(vcu) }),
    ...(modelPrivacy !== undefined && { modelPrivacy }),
    ...(models !== undefined && { models: models && [...new Set(models)] }),
    ...(expiresAt !== undefined && { expiresAt: timeOf(expiresAt) }),
  }
}

/** A new key: what is not said has no limit and no end. */
export const newKeyOf = ({ apiKeyType, description, ...settings }: CreateFields): NewKey => ({
  description,
  period: 'EPOCH',
  usd: null,
  diem: null,
  vcu: null,
  modelPrivacy: 'ALL',
  models: null,
  expiresAt: null,
  ...changesOf(settings),
  scope: apiKeyType,
})

/** The only place where the text of a key goes into an answer. */
export const showMade = ({ key, row }: MadeKey): z.infer<typeof madeKey> => ({
  apiKey: key.reveal(),
  ...shown(row),
  consumptionLimit: limitsOf(row),
})

export const showChanged = (row: KeyRow): z.infer<typeof changedKey> => ({
  ...shown(row),
  consumptionLimits: limitsOf(row),
  last6Chars: row.last6,
  createdAt: isoOf(row.createdAt),
  lastUsedAt: isoOf(row.lastUsedAt),
})

export const showListed = ({ row, trailing, period }: SpentKey): z.infer<typeof listedKey> => ({
  ...showChanged(row),
  usage: { trailingSevenDays: { usd: formatUsd(trailing.usd), vcu: '0', diem: formatUsd(trailing.diem) } },
  ...(hasLimits(row) && { currentPeriodUsage: { usd: formatUsd(period.usd), diem: formatUsd(period.diem) } }),
})

/** ISO, in UTC; null for null. */
export const isoOf = (at: number | null): string | null => (at === null ? null : new Date(at).toISOString())

const shown = (row: KeyRow) => ({
  id: row.id,
  apiKeyType: row.scope,
  description: row.description,
  limitPeriod: row.caps.period,
  modelPrivacy: row.modelPrivacy,
  models: row.models === null ? null : [...row.models],
  expiresAt: isoOf(row.expiresAt),
})

const limitsOf = ({ caps, capVcuNano }: KeyRow) => ({ usd: shownOf(caps.usd), diem: shownOf(caps.diem), vcu: shownOf(capVcuNano) })

const hasLimits = ({ caps, capVcuNano }: KeyRow): boolean => caps.usd !== null || caps.diem !== null || capVcuNano !== null

const shownOf = (amount: Amount | null): number | null => (amount === null ? null : dollarsOf(amount))

const amountOf = (dollars: number | null): Amount | null => (dollars === null ? null : nanoOf(dollars))

const timeOf = (text: string | null): number | null => (text === null || text === '' ? null : Date.parse(text))

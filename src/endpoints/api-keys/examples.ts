/** A key as the documentation shows it: asked for, made, and listed. */
import type { z } from 'zod'
import { type CreateFields, EXAMPLE_KEY_ID, type listedKey, type madeKey } from './schema.ts'

export const CREATE_EXAMPLE: CreateFields = { apiKeyType: 'INFERENCE', description: 'For the reading room' }

export const MADE_EXAMPLE: z.infer<typeof madeKey> = {
  apiKey: 'rialto_YOUR_NEW_KEY',
  id: EXAMPLE_KEY_ID,
  apiKeyType: 'INFERENCE',
  description: 'For the reading room',
  consumptionLimit: { usd: null, diem: null, vcu: null },
  limitPeriod: 'EPOCH',
  modelPrivacy: 'ALL',
  models: null,
  expiresAt: null,
}

export const LISTED_EXAMPLE: z.infer<typeof listedKey> = {
  id: EXAMPLE_KEY_ID,
  apiKeyType: 'INFERENCE',
  description: 'For the reading room',
  consumptionLimits: { usd: 50, diem: null, vcu: null },
  limitPeriod: 'MONTH',
  modelPrivacy: 'ALL',
  models: null,
  last6Chars: '2V2jNW',
  createdAt: '2026-10-01T12:00:00.000Z',
  lastUsedAt: '2026-10-02T08:30:00.000Z',
  expiresAt: null,
  usage: { trailingSevenDays: { usd: '10.2424', vcu: '0', diem: '4.2231' } },
  currentPeriodUsage: { usd: '5.1234', diem: '2.5' },
}

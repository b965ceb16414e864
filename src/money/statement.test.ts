import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MODALITIES } from '../core/modality.ts'
import { CURRENCIES, amountOf, formatUsd } from '../core/money.ts'
import type { UsageEntry } from '../core/store.ts'
import { billedSize, skuOf } from './sku.ts'
import { entryOf, statementCsv } from './statement.ts'

const row = (more: Partial<UsageEntry> = {}, line: Partial<UsageEntry['line']> = {}): UsageEntry => ({
  requestId: '4007fd29f42b7d3c4107f4345e8d174a',
  at: Date.UTC(2026, 5, 15, 19, 5, 10, 504),
  accountId: 'a',
  keyId: 'k',
  model: 'zai-org-glm-5-1',
  modality: 'text',
  executionMs: 2_964,
  promptTokens: 339,
  completionTokens: 227,
  ...more,
  line: { unit: 'outputToken', count: 227, priceNano: 2_800, amount: 635_600n, currency: 'DIEM', ...line },
})

/** Lines of a CSV without quoted line breaks, split at its commas. */
const cells = (csv: string): string[][] =>
  csv
    .trimEnd()
    .split('\r\n')
    .map((line) => line.split(','))

describe('an entry of a statement', () => {
  it('has the documented shape: millions of tokens, a price per million, a negative amount', () => {
    expect(entryOf(row())).toEqual({
      timestamp: '2026-06-15T19:05:10.504Z',
      sku: 'zai-org-glm-5-1-llm-output-mtoken',
      pricePerUnitUsd: 2.8,
      units: 0.000227,
      amount: -0.0006356,
      currency: 'DIEM',
      notes: 'API Inference',
      inferenceDetails: {
        requestId: 'chatcmpl-4007fd29f42b7d3c4107f4345e8d174a',
        promptTokens: 339,
        completionTokens: 227,
        inferenceExecutionTime: 2_964,
      },
    })
  })

  it('has no tokens where the model does not count in tokens', () => {
    const image = row(
      { model: 'grok-imagine-image', modality: 'image' },
      { unit: 'image', count: 1, priceNano: 10 ** 8, amount: 10n ** 8n },
    )

    expect(entryOf(image)).toMatchObject({
      sku: 'grok-imagine-image-image-unit',
      pricePerUnitUsd: 0.1,
      units: 1,
      amount: -0.1,
      inferenceDetails: { requestId: '4007fd29f42b7d3c4107f4345e8d174a', promptTokens: null, completionTokens: null },
    })
  })

  it('of nothing is a plain zero', () => {
    expect(JSON.stringify(entryOf(row({}, { priceNano: 0, amount: 0n })).amount)).toBe('0')
    expect(cells(statementCsv([row({}, { priceNano: 0, amount: 0n })]))[1]?.[4]).toBe('0')
  })

  it.for([
    ['text', 'inputToken', 'm-llm-input-mtoken'],
    ['text', 'outputToken', 'm-llm-output-mtoken'],
    ['text', 'cacheReadToken', 'm-llm-cache-input-mtoken'],
    ['text', 'cacheWriteToken', 'm-llm-cache-write-mtoken'],
    ['text', 'call', 'm-llm-call'],
    ['embedding', 'inputToken', 'm-embedding-input-mtoken'],
    ['image', 'image', 'm-image-unit'],
    ['tts', 'character', 'm-tts-mcharacter'],
    ['asr', 'audioSecond', 'm-asr-second'],
    ['video', 'videoSecond', 'm-video-second'],
  ] as const)('names %s %s %s', ([modality, unit, sku]) => {
    expect(skuOf('m', modality, unit)).toBe(sku)
  })

  const units = fc.constantFrom('inputToken', 'outputToken', 'cacheReadToken', 'image', 'character', 'audioSecond', 'call')
  const rows = fc
    .record({
      unit: units,
      count: fc.integer({ min: 0, max: 1_000_000_000 }),
      priceNano: fc.integer({ min: 0, max: 1_000_000 }),
      currency: fc.constantFrom(...CURRENCIES),
      modality: fc.constantFrom(...MODALITIES),
    })
    .map(({ modality, ...line }) => row({ modality }, { ...line, amount: amountOf(line.count, line.priceNano) }))

  it('prints each number as the decimal that it is, in JSON and in CSV alike', () => {
    fc.assert(
      fc.property(rows, (entry) => {
        const { unit, count, priceNano, amount } = entry.line
        const { pricePerUnitUsd, units: billed, amount: charged } = entryOf(entry)
        const [, line = []] = cells(statementCsv([entry]))

        // Nano-dollars come out whole again, whatever a float did on the way.
        expect(BigInt(Math.round(charged * 1e9))).toBe(-amount)
        expect(Number(formatUsd(-amount))).toBe(charged)
        expect(line.slice(2, 5)).toEqual([
          formatUsd(BigInt(priceNano) * BigInt(billedSize(unit))),
          formatUsd((BigInt(count) * 1_000_000_000n) / BigInt(billedSize(unit))),
          formatUsd(-amount),
        ])
        expect(line.slice(2, 5).map(Number)).toEqual([pricePerUnitUsd, billed, charged === 0 ? 0 : charged])
      }),
    )
  })
})

describe('a statement in CSV', () => {
  it('has a head line, a line per entry and an empty cell for what is null', () => {
    const csv = statementCsv([row(), row({ modality: 'image' }, { unit: 'image', count: 2, priceNano: 5, amount: 10n, currency: 'USD' })])

    expect(csv.split('\r\n')).toEqual([
      'timestamp,sku,pricePerUnitUsd,units,amount,currency,notes,requestId,inferenceExecutionTime,promptTokens,completionTokens',
      '2026-06-15T19:05:10.504Z,zai-org-glm-5-1-llm-output-mtoken,2.8,0.000227,-0.0006356,DIEM,API Inference,chatcmpl-4007fd29f42b7d3c4107f4345e8d174a,2964,339,227',
      '2026-06-15T19:05:10.504Z,zai-org-glm-5-1-image-unit,0.000000005,2,-0.00000001,USD,API Inference,4007fd29f42b7d3c4107f4345e8d174a,2964,,',
      '',
    ])
  })

  it.for(['=', '+', '-', '@'])('shows a name that begins with %s and never computes it', (sign) => {
    const csv = statementCsv([row({ model: `${sign}HYPERLINK("x",1)` })])

    expect(csv.split('\r\n')[1]).toContain(`,"'${sign}HYPERLINK(""x"",1)-llm-output-mtoken",`)
  })
})

import { describe, expect, test } from 'vitest'
import { ERRORS } from '../../core/errors.ts'
import { ABOUT, ALL, CATALOG } from './docs.fixture.ts'
import type { JsonSchema } from './json-schema.ts'
import { baseOf, llmsText } from './llms.ts'
import { fieldLines, typeOf } from './llms-fields.ts'

const text = llmsText(ALL, ABOUT, CATALOG, 'http://host:1')

describe('the whole reference as one text', () => {
  test('has every endpoint, every code and the base URL of the caller', () => {
    for (const { method, path, summary } of ALL) expect(text).toContain(`### ${method} ${path}: ${summary}`)
    for (const code of Object.keys(ERRORS)) expect(text).toContain(`| ${code} |`)
    expect(text).toContain('base_url="http://host:1/api/v1"')
    expect(text).toContain('Version: 9.8.7')
  })

  test('lists fields with type, limits, default and meaning, and names the variants of a part', () => {
    expect(text).toContain('- `model`: string (required). Who says it.')
    expect(text).toContain('- `words`: string | string[] up to 3 items (required)')
    expect(text).toContain('- `volume`: integer 0 to 11 (default 5)')
    expect(text).toContain('- `tone`: "calm" | "loud"\n')
    expect(text).toContain('- `parts`: object[]\n  - `type: "a"`:\n    - `a`: string (required)')
    expect(text).toContain('- `again`: boolean (optional)')
  })

  test('an example can be pasted into a shell, quotes and all', () => {
    expect(text).toContain(`-d '{"model":"m","words":"it'\\''s","volume":5}'`)
  })

  test('shows the prices, sizes and abilities that the catalogue has, and what is online', () => {
    expect(text).toContain('| Big \\| One | `big-one` | $0.15 | $2 | Extended input $7 | 32768 | function calling, code | private | no |')
    expect(text).toContain('| Paint | `paint` | Generation $0.01, Upscale 2x $0.02 | anonymized | yes |')
    expect(text).not.toContain('## Video models')
  })

  test('shows the limits that are enforced', () => {
    expect(text).toContain('### Plan `small`')
    expect(text).toContain('| text, tier XS | 1,500 | 1,000,000 |')
    expect(text).toContain('| embedding | — | — |')
  })
})

describe('where the server was found', () => {
  test('is what the request says, by the scheme a proxy says', () => {
    expect(baseOf({ host: 'ai.example:8443', 'x-forwarded-proto': 'https' })).toBe('https://ai.example:8443')
    expect(baseOf({ host: '[::1]:8080' })).toBe('http://[::1]:8080')
  })

  test('is the usual address where the request says nothing that could be one', () => {
    for (const host of [undefined, '', 'a b', 'a"onload=', 'a/b', 'a'.repeat(300)]) expect(baseOf({ host })).toBe('http://127.0.0.1:8080')
    expect(baseOf({ host: 'a', 'x-forwarded-proto': 'javascript' })).toBe('http://a')
  })
})

describe('field lists', () => {
  test('stop at a depth that can be read', () => {
    let schema: JsonSchema = { type: 'string' }
    for (let depth = 0; depth < 20; depth++) schema = { type: 'object', properties: { a: schema } }

    expect(fieldLines(schema, 'request').length).toBeLessThan(10)
  })

  test.each<[JsonSchema, string]>([
    [{}, 'any'],
    [{ type: ['string', 'null'] }, 'string'],
    [{ type: 'null' }, 'null'],
    [{ const: 'x' }, '"x"'],
    [{ type: 'array', items: { type: 'integer', minimum: 0 }, minItems: 1 }, 'integer[]'],
    [{ anyOf: [{ type: 'string' }, { type: 'null' }] }, 'string'],
    [{ type: 'array', items: { anyOf: [{ type: 'string' }, { type: 'number' }] } }, '(string | number)[]'],
    [{ type: 'number', minimum: 1 }, 'number from 1'],
    [{ enum: Array.from({ length: 30 }, (_, index) => index) }, `${Array.from({ length: 24 }, (_, index) => index).join(' | ')} | …`],
  ])('%j is called %s', (schema, words) => {
    expect(typeOf(schema)).toBe(words)
  })
})

/** Texts for a JSON schema: by format, by pattern, or of the right length. */
import { textFor } from './pattern-text.ts'
import { numberOf, patternOf } from './schema-check.ts'
import type { Job, Rule, Supply } from './schema-check.ts'

const MAX_VARIANTS = 64
const MAX_LENGTH = 100_000
const PLAIN = 'sandbox'

/** Proposals, each different; the caller checks length and patterns, and trusts the format. */
export function* strings(rules: readonly Rule[], job: Job): Supply<string> {
  const least = Math.max(0, ...rules.map((rule) => numberOf(rule, 'minLength') ?? 0))
  const most = Math.min(MAX_LENGTH, ...rules.map((rule) => numberOf(rule, 'maxLength') ?? MAX_LENGTH))
  if (least > most) return
  const sources = rules.map((rule) => rule['pattern']).filter((source) => typeof source === 'string')
  const patterns = sources.map((source) => patternOf(source, job)).filter((pattern) => pattern !== null)
  const format = rules.map((rule) => FORMATS.get(rule['format'])).find((known) => known !== undefined)

  for (let variant = 0; variant < MAX_VARIANTS && job.budget.left > 0; variant++) {
    if (format) yield format(variant)
    for (const pattern of patterns) {
      const text = textFor(pattern, least, variant, job.budget)
      if (text !== null) yield text
    }
    job.budget.left -= least
    if (!format && sources.length === 0) yield plain(variant, least, most)
  }
}

function plain(variant: number, least: number, most: number): string {
  const text = variant === 0 ? PLAIN : `${PLAIN} ${variant + 1}`
  if (text.length <= most) return text.padEnd(least, 'x')
  return (variant + 10).toString(36).slice(-most).padStart(least, 'x').slice(0, most)
}

const two = (number: number): string => String(number).padStart(2, '0')
const host = (variant: number): string => `host${variant + 1}.example.com`

/** One text per variant. A format that is not here is treated as if it were not named. */
const FORMATS = new Map<unknown, (variant: number) => string>(
  Object.entries({
    date: (variant) => `2026-01-${two((variant % 28) + 1)}`,
    time: (variant) => `12:00:${two(variant % 60)}Z`,
    'date-time': (variant) => `2026-01-01T12:00:${two(variant % 60)}Z`,
    duration: (variant) => `PT${variant + 1}H`,
    email: (variant) => `user${variant + 1}@example.com`,
    'idn-email': (variant) => `user${variant + 1}@example.com`,
    hostname: host,
    'idn-hostname': host,
    ipv4: (variant) => `192.0.2.${variant + 1}`,
    ipv6: (variant) => `2001:db8::${(variant + 1).toString(16)}`,
    uri: (variant) => `https://example.com/${variant + 1}`,
    url: (variant) => `https://example.com/${variant + 1}`,
    iri: (variant) => `https://example.com/${variant + 1}`,
    'uri-reference': (variant) => `/${variant + 1}`,
    'iri-reference': (variant) => `/${variant + 1}`,
    'uri-template': (variant) => `/${variant + 1}/{id}`,
    uuid: (variant) => `00000000-0000-4000-8000-${String(variant + 1).padStart(12, '0')}`,
    'json-pointer': (variant) => `/${variant + 1}`,
    'relative-json-pointer': (variant) => `${variant + 1}/a`,
    regex: (variant) => `^a{${variant + 1}}$`,
    byte: (variant) => Buffer.from([variant, 1, 2]).toString('base64'),
  }),
)

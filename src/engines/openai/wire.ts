/** Reading what an upstream wrote: everything it sends is unknown until looked at, and nothing of it is ever quoted. */
import { fail } from '../../core/errors.ts'

export type Fields = Readonly<Record<string, unknown>>

export const isFields = (value: unknown): value is Fields => typeof value === 'object' && value !== null && !Array.isArray(value)

export const listIn = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [])

/** Parses JSON that an upstream sent; what is wrong with it is not said, because the parser's message quotes it. */
export function parseFields(json: string): Fields {
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch {
    throw malformed()
  }
  if (!isFields(value)) throw malformed()
  return value
}

export const malformed = () => fail('INFERENCE_FAILED', { internal: 'upstream_malformed' })

/** UTF-8 bytes held as latin1 characters → text. */
export const utf8Of = (bytes: string): string => Buffer.from(bytes, 'latin1').toString('utf8')

/** Reading what an upstream wrote: everything it sends is unknown until looked at, and nothing of it is ever quoted. */
import { type Failure, fail } from '../core/errors.ts'

export type Fields = Readonly<Record<string, unknown>>

export const isFields = (value: unknown): value is Fields => typeof value === 'object' && value !== null && !Array.isArray(value)

export const listIn = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [])

export const textIn = (fields: Fields, name: string): string => {
  const value = fields[name]
  return typeof value === 'string' ? value : ''
}

/** The object that a JSON text is, or null. What is wrong with it is not said: the parser's message quotes it. */
export function readFields(json: string): Fields | null {
  try {
    const value: unknown = JSON.parse(json)
    return isFields(value) ? value : null
  } catch {
    return null
  }
}

/** The object that an upstream's JSON must be. */
export function parseFields(json: string): Fields {
  const fields = readFields(json)
  if (!fields) throw malformed()
  return fields
}

export const malformed = (): Failure => fail('INFERENCE_FAILED', { internal: 'upstream_malformed' })

/** UTF-8 bytes held as latin1 characters → text. */
export const utf8Of = (bytes: string): string => Buffer.from(bytes, 'latin1').toString('utf8')

/** Reading what an upstream or an earlier answer of one wrote: unknown until looked at, and never quoted. */
import { type Failure, fail } from '../../core/errors.ts'

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

export const malformed = (): Failure => fail('INFERENCE_FAILED', { internal: 'upstream_malformed' })

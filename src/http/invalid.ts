/** From what zod found wrong to a 400 that names the field. Keeps keys, types and limits; never a value. */
import type { z } from 'zod'
import { type Failure, type Issue, fail } from '../core/errors.ts'

/** More than these would only make the answer longer. */
const MAX_ISSUES = 20
/** Field names are the caller's when they are unknown ones; they go back shortened. */
const MAX_NAME_CHARS = 64

/** The 400 for a body or query that does not fit its schema. The first issue is in the words of the error. */
export function invalid(error: z.ZodError): Failure {
  const issues = error.issues.flatMap(deepest).slice(0, MAX_ISSUES).map(publicIssue)
  const [first] = issues
  const param = first?.path.join('.') ?? ''
  const say = first ? `Invalid request parameters: ${param ? `${param}: ` : ''}${first.message}` : 'Invalid request parameters'
  return fail('INVALID_REQUEST', { say, param, issues })
}

/** A union fails with one list of issues per member: the member that got furthest is the one that was meant. */
function deepest(issue: z.core.$ZodIssue): z.core.$ZodIssue[] {
  if (issue.code !== 'invalid_union' || issue.errors.length === 0) return [issue]
  const candidates = issue.errors.map((of) => of.flatMap(deepest))
  const depth = (of: z.core.$ZodIssue[]): number => Math.max(0, ...of.map((one) => one.path.length))
  const best = candidates.reduce((a, b) => (depth(b) > depth(a) ? b : a))
  if (depth(best) === 0) return [{ ...issue, message: expectation(candidates) }]
  return best.map((one) => ({ ...one, path: [...issue.path, ...one.path] }))
}

function expectation(candidates: readonly z.core.$ZodIssue[][]): string {
  const names = candidates.flatMap((of) =>
    of.flatMap((one) => {
      if (one.code === 'invalid_value') return one.values.map((value) => JSON.stringify(value))
      return 'expected' in one ? [String(one.expected)] : []
    }),
  )
  return names.length > 0 ? `Invalid input: expected ${[...new Set(names)].join(' or ')}` : 'Invalid input'
}

function publicIssue(issue: z.core.$ZodIssue): Issue {
  // Symbols cannot come out of JSON, so a path is made of names and indexes.
  const path = issue.path.map((key) => (typeof key === 'number' ? key : shorten(String(key))))
  const kept: Record<string, unknown> = {}
  for (const key of ['expected', 'values', 'minimum', 'maximum', 'inclusive', 'exact', 'type', 'format', 'divisor'] as const) {
    if (key in issue) kept[key] = Reflect.get(issue, key)
  }
  if (issue.code === 'unrecognized_keys') {
    const keys = issue.keys.slice(0, MAX_ISSUES).map(shorten)
    const message = `Unrecognized key(s) in object: ${keys.map((key) => `'${key}'`).join(', ')}`
    return { code: issue.code, path, keys, message }
  }
  return { code: issue.code, path, message: issue.message, ...kept }
}

const shorten = (name: string): string => (name.length > MAX_NAME_CHARS ? `${name.slice(0, MAX_NAME_CHARS)}…` : name)

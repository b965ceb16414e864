/**
 * Matches patterns and makes texts that match, without the regular expressions of the language: a schema comes from a
 * caller, and a pattern such as `(a+)+$` could hold up the whole server.
 */
import type { Pattern, Range } from './pattern.ts'

/** How much work is left, in steps of a few nanoseconds. Whoever has used it up gives up. */
export type Budget = { left: number }

const MAX_MADE = 1024
const NICE = Array.from('abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ')

/** Whether the pattern occurs in the text; false as well where the budget does not suffice to tell. */
export function matches(pattern: Pattern, text: string, budget: Budget): boolean {
  const starts = new Set<number>()
  for (let at = 0; at <= text.length; at++) starts.add(at)
  return step(pattern, text, starts, budget).size > 0
}

/** A text of at least `minLength` units that the pattern, which the caller checks, is likely to match; null if too long. */
export function textFor(pattern: Pattern, minLength: number, variant: number, budget: Budget): string | null {
  if (minLength > MAX_MADE) return null
  for (let more = 0; more <= minLength && budget.left > 0; more++) {
    const made = make(pattern, more, variant, budget)
    if (made === null || made.length >= minLength) return made
    // Where nothing holds the end of the pattern, anything may follow.
    if (!endsHere(pattern)) return made.padEnd(minLength, 'x')
  }
  return null
}

/** Where the pattern can have got to from each of the places: all ways at once, so none is tried twice. */
function step(pattern: Pattern, text: string, from: ReadonlySet<number>, budget: Budget): Set<number> {
  budget.left -= from.size + 1
  if (budget.left < 0) return new Set()
  switch (pattern.kind) {
    case 'start':
      return new Set(from.has(0) ? [0] : [])
    case 'end':
      return new Set(from.has(text.length) ? [text.length] : [])
    case 'set': {
      const out = new Set<number>()
      for (const at of from) if (at < text.length && holds(pattern.ranges, text.charCodeAt(at))) out.add(at + 1)
      return out
    }
    case 'all':
      return pattern.of.reduce<Set<number>>((places, part) => step(part, text, places, budget), new Set(from))
    case 'any':
      return new Set(pattern.of.flatMap((part) => [...step(part, text, from, budget)]))
    case 'repeat': {
      let places = new Set(from)
      for (let i = 0; i < pattern.min && places.size > 0; i++) places = step(pattern.of, text, places, budget)
      const out = new Set(places)
      for (let i = pattern.min; i < pattern.max && places.size > 0; i++) {
        places = new Set([...step(pattern.of, text, places, budget)].filter((at) => !out.has(at)))
        for (const at of places) out.add(at)
      }
      return out
    }
  }
}

/** A short text, with every repetition `more` times longer than it must be, as far as it may be. */
function make(pattern: Pattern, more: number, variant: number, budget: Budget): string | null {
  budget.left -= 1
  switch (pattern.kind) {
    case 'start':
    case 'end':
      return ''
    case 'set':
      budget.left -= NICE.length
      return pick(pattern.ranges, variant)
    case 'all': {
      let text = ''
      for (const part of pattern.of) {
        const made = make(part, more, variant, budget)
        if (made === null || text.length + made.length > MAX_MADE) return null
        budget.left -= made.length
        text += made
      }
      return text
    }
    case 'any': {
      const made = pattern.of.map((part) => make(part, more, variant, budget)).filter((text) => text !== null)
      return made[variant % Math.max(1, made.length)] ?? null
    }
    case 'repeat': {
      const count = Math.min(pattern.max, pattern.min + more)
      if (count === 0) return ''
      const made = make(pattern.of, 0, variant, budget)
      return made === null || made.length * count > MAX_MADE ? null : made.repeat(count)
    }
  }
}

/** A letter or digit where the set has one, else whatever it has; null for an empty set. */
function pick(ranges: readonly Range[], variant: number): string | null {
  const nice = NICE.filter((unit) => holds(ranges, unit.charCodeAt(0)))
  const fallback = ranges.find(([from, to]) => to >= 32 || from === to) ?? ranges[0]
  return (
    nice[variant % Math.max(1, nice.length)] ?? (fallback ? String.fromCharCode(Math.max(fallback[0], Math.min(fallback[1], 33))) : null)
  )
}

/** Whether every match ends at the end of the text. */
function endsHere(pattern: Pattern): boolean {
  if (pattern.kind === 'end') return true
  if (pattern.kind === 'any') return pattern.of.every(endsHere)
  const last = pattern.kind === 'all' ? pattern.of.at(-1) : undefined
  return last !== undefined && endsHere(last)
}

const holds = (ranges: readonly Range[], unit: number): boolean => ranges.some(([from, to]) => unit >= from && unit <= to)

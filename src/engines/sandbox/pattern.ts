/**
 * Regular expressions of JSON schemas, made into text and matched without the engine of the language: a schema comes
 * from a caller, and a pattern such as `(a+)+$` would hold up the whole server. What is read is the part that schemas
 * use: characters, classes, groups, alternatives, counts, and `^` and `$`. Looking around, back references, word
 * boundaries and properties are not; such a pattern is null.
 */

/** How much work is left, in steps of a few nanoseconds. Whoever has used it up gives up. */
export type Budget = { left: number }

/** A set of UTF-16 units, as ranges with both ends in it. */
type Range = readonly [from: number, to: number]

export type Pattern =
  | { readonly kind: 'set'; readonly ranges: readonly Range[] }
  | { readonly kind: 'all'; readonly of: readonly Pattern[] }
  | { readonly kind: 'any'; readonly of: readonly Pattern[] }
  | { readonly kind: 'repeat'; readonly of: Pattern; readonly min: number; readonly max: number }
  | { readonly kind: 'start' }
  | { readonly kind: 'end' }

const MAX_SOURCE = 1000
const MAX_COUNT = 1000
const MAX_NESTING = 50
const MAX_MADE = 1024
const LAST_UNIT = 0xffff

const NICE = Array.from('abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ')

const DIGIT: readonly Range[] = [[48, 57]]
const WORD: readonly Range[] = [...DIGIT, [65, 90], [95, 95], [97, 122]]
const SPACE: readonly Range[] = [
  [9, 13],
  [32, 32],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
]
const LINE_ENDS: readonly Range[] = [
  [10, 10],
  [13, 13],
  [0x2028, 0x2029],
]
const CLASSES: Readonly<Record<string, readonly Range[]>> = {
  d: DIGIT,
  w: WORD,
  s: SPACE,
  D: without(DIGIT),
  W: without(WORD),
  S: without(SPACE),
}
const CONTROLS: Readonly<Record<string, number>> = { n: 10, r: 13, t: 9, v: 11, f: 12, 0: 0 }

/** Reads a pattern, or null where it is outside of what is read, wrong, or too large. */
export function readPattern(source: string): Pattern | null {
  if (source.length > MAX_SOURCE) return null
  const reader = new Reader(source)
  const pattern = reader.alternatives(0)
  return pattern && reader.atEnd() ? pattern : null
}

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

class Reader {
  #at = 0
  readonly #source: string

  constructor(source: string) {
    this.#source = source
  }

  atEnd(): boolean {
    return this.#at >= this.#source.length
  }

  alternatives(nesting: number): Pattern | null {
    if (nesting > MAX_NESTING) return null
    const of: Pattern[] = []
    do {
      const sequence = this.#sequence(nesting)
      if (!sequence) return null
      of.push(sequence)
    } while (this.#take('|'))
    return of.length === 1 && of[0] ? of[0] : { kind: 'any', of }
  }

  #sequence(nesting: number): Pattern | null {
    const of: Pattern[] = []
    while (!this.atEnd() && this.#peek() !== '|' && this.#peek() !== ')') {
      const atom = this.#atom(nesting)
      const repeated = atom && this.#repeated(atom)
      if (!repeated) return null
      of.push(repeated)
    }
    return { kind: 'all', of }
  }

  #atom(nesting: number): Pattern | null {
    const unit = this.#next()
    switch (unit) {
      case '^':
        return { kind: 'start' }
      case '$':
        return { kind: 'end' }
      case '.':
        return { kind: 'set', ranges: without(LINE_ENDS) }
      case '[':
        return this.#set()
      case '(': {
        if (this.#take('?') && !this.#take(':') && !this.#groupName()) return null
        const group = this.alternatives(nesting + 1)
        return group && this.#take(')') ? group : null
      }
      case '\\': {
        const ranges = this.#escape()
        return ranges && { kind: 'set', ranges }
      }
      case '*':
      case '+':
      case '?':
        return null
      default:
        return { kind: 'set', ranges: only(unit.charCodeAt(0)) }
    }
  }

  #groupName(): boolean {
    if (!this.#take('<') || this.#peek() === '=' || this.#peek() === '!') return false
    while (!this.atEnd()) if (this.#next() === '>') return true
    return false
  }

  #repeated(of: Pattern): Pattern | null {
    let counts: readonly [number, number] | null = null
    if (this.#take('*')) counts = [0, Infinity]
    else if (this.#take('+')) counts = [1, Infinity]
    else if (this.#take('?')) counts = [0, 1]
    else if (this.#peek() === '{') {
      const written = /^\{(\d{1,4})(,(\d{0,4}))?\}/.exec(this.#source.slice(this.#at, this.#at + 12))
      if (!written) return null
      this.#at += written[0].length
      const min = Number(written[1])
      counts = [min, written[2] === undefined ? min : written[3] ? Number(written[3]) : Infinity]
    }
    if (!counts) return of
    this.#take('?')
    const [min, max] = counts
    return min > MAX_COUNT || max < min || '*+?{'.includes(this.#peek() || 'end') ? null : { kind: 'repeat', of, min, max }
  }

  #set(): Pattern | null {
    const negated = this.#take('^')
    const ranges: Range[] = []
    while (!this.#take(']')) {
      if (this.atEnd()) return null
      const from = this.#member()
      if (!from) return null
      const first = from.length === 1 ? from[0] : undefined
      if (this.#peek() !== '-' || this.#source[this.#at + 1] === ']' || first === undefined || first[0] !== first[1]) {
        ranges.push(...from)
        continue
      }
      this.#next()
      const last = this.#member()?.[0]
      if (!last || last[0] !== last[1] || last[0] < first[0]) return null
      ranges.push([first[0], last[0]])
    }
    return { kind: 'set', ranges: negated ? without(ranges) : ranges }
  }

  #member(): readonly Range[] | null {
    const unit = this.#next()
    if (unit !== '\\') return unit === '' ? null : only(unit.charCodeAt(0))
    if (this.#take('b')) return only(8)
    return this.#take('-') ? only(45) : this.#escape()
  }

  #escape(): readonly Range[] | null {
    const unit = this.#next()
    const known = CLASSES[unit]
    if (known) return known
    const control = CONTROLS[unit]
    if (control !== undefined) return only(control)
    if (unit === 'x') return this.#hex(2)
    if (unit === 'u') return this.#hex(4)
    // A letter or digit that is none of these means something that is not read here.
    return unit === '' || /[A-Za-z0-9]/.test(unit) ? null : only(unit.charCodeAt(0))
  }

  #hex(digits: number): readonly Range[] | null {
    const written = this.#source.slice(this.#at, this.#at + digits)
    if (written.length !== digits || !/^[0-9a-fA-F]+$/.test(written)) return null
    this.#at += digits
    return only(Number.parseInt(written, 16))
  }

  #peek(): string {
    return this.#source[this.#at] ?? ''
  }

  #next(): string {
    const unit = this.#peek()
    this.#at++
    return unit
  }

  #take(unit: string): boolean {
    if (this.#peek() !== unit) return false
    this.#at++
    return true
  }
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

/** The shortest text, with every repetition `more` times longer than it must be, as far as it may be. */
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

function without(ranges: readonly Range[]): Range[] {
  const out: Range[] = []
  let from = 0
  for (const [first, last] of ranges.toSorted((a, b) => a[0] - b[0])) {
    if (first > from) out.push([from, first - 1])
    from = Math.max(from, last + 1)
  }
  if (from <= LAST_UNIT) out.push([from, LAST_UNIT])
  return out
}

const only = (unit: number): Range[] => [[unit, unit]]
const holds = (ranges: readonly Range[], unit: number): boolean => ranges.some(([from, to]) => unit >= from && unit <= to)

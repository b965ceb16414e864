/**
 * Reads the regular expressions of JSON schemas. What is read is the part that schemas use: characters, classes,
 * groups, alternatives, counts, and `^` and `$`. Looking around, back references, word boundaries and properties are
 * not; such a pattern is null.
 */

/** A set of UTF-16 units, as ranges with both ends in it. */
export type Range = readonly [from: number, to: number]

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
const LAST_UNIT = 0xffff

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

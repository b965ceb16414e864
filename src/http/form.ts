/**
 * Takes a form apart that comes as `multipart/form-data`, while it comes: text fields, and one file that is handed on piece by piece.
 * Strict: what two readers might read differently is refused, and no error quotes what was sent.
 */
import { type Failure, fail, failField } from '../core/errors.ts'
import type { FormRules } from '../endpoints/endpoint.ts'

/** All that may be around the file: fields, heads of parts, boundaries. */
export const AROUND_FILE_BYTES = 256 * 1024
const MAX_PARTS = 64
const PART_HEAD_BYTES = 8 * 1024
/** RFC 2046 has up to 70 of these characters; a blank at its end could not be seen. */
const BOUNDARY = /^[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]$/
/** More pieces of a value are put together: a view of each would be larger than it. */
const FEW_PIECES = 64
const CRLF = '\r\n'
const EMPTY = Buffer.alloc(0)

/** Who gets the file of a form. What it throws ends the form. */
export type FileTaker = {
  /** So many bytes of the form came before it, and so many come after it at least. */
  begin(beforeBytes: number, afterBytes: number): void
  write(bytes: Buffer): void
  end(): void
}

/** A value is a list where the name of the field ends in `[]`. */
export type FormFields = Readonly<Record<string, string | readonly string[]>>

/** The boundary of a form. Throws 415 for what is declared as something else, 400 for a form without one. */
export function boundaryOf(contentType: string | undefined): string {
  const [media = '', ...parameters] = (contentType ?? '').split(';')
  if (media.trim().toLowerCase() !== 'multipart/form-data') {
    throw fail('INVALID_CONTENT_TYPE', {
      say: 'Invalid request content-type: send the body as a form with the header Content-Type: multipart/form-data',
      param: 'content-type',
    })
  }
  const given = parameters.map((one) => one.trim()).filter((one) => /^boundary=/i.test(one))
  const boundary = given[0]?.slice('boundary='.length).replace(/^"(.*)"$/, '$1')
  if (given.length !== 1 || boundary === undefined || !BOUNDARY.test(boundary)) throw broken('its content type has no valid boundary')
  return boundary
}

/** What a file that is too large is refused with. */
export const fileTooLarge = ({ file, maxBytes }: FormRules): Failure =>
  fail('PAYLOAD_TOO_LARGE', { say: `The file is larger than the allowed ${Math.floor(maxBytes / 1_048_576)} MB`, param: file })

/** Where in a form its reader is. */
type Place = 'before' | 'boundary' | 'head' | 'field' | 'file' | 'after'

export class FormReader {
  readonly #rules: FormRules
  readonly #taker: FileTaker
  readonly #delimiter: Buffer
  // Without a prototype, so that a field called `__proto__` is a field like any other.
  readonly #fields = Object.setPrototypeOf({}, null) as Record<string, string | string[]>
  #place: Place = 'before'
  /** What has come and belongs to nothing yet. The first boundary may be the first line. */
  #rest: Buffer = Buffer.from(CRLF, 'latin1')
  /** How much of the rest is the line end of a part's head: it may be that of a boundary, too, and never is content. */
  #skip = 0
  #parts = 0
  #name = ''
  #value: Buffer[] = []
  #aroundBytes = 0
  #fedBytes = 0
  #fileBytes = 0
  #fileSeen = false

  constructor(boundary: string, rules: FormRules, taker: FileTaker) {
    this.#delimiter = Buffer.from(`${CRLF}--${boundary}`, 'latin1')
    this.#rules = rules
    this.#taker = taker
  }

  /** The fields that have come to their end. */
  get fields(): FormFields {
    return this.#fields
  }

  /** Takes the next bytes. Throws a 400 for what is no such form, or 413 for a file, or what is around it, that is too large. */
  feed(bytes: Buffer): void {
    this.#fedBytes += bytes.length
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes])
    while (this.#step());
    if (this.#aroundBytes > AROUND_FILE_BYTES) throw tooMuchAround()
  }

  /** Nothing more comes. Throws a 400 for a form that has not come to its end. */
  end(): void {
    if (this.#place === 'before') throw broken('it has no part')
    if (this.#place === 'head') throw broken('the head of a part has no end')
    if (this.#place !== 'after') throw broken('it has no end')
  }

  /** Takes what can be taken of the rest; false asks for more bytes. */
  #step(): boolean {
    switch (this.#place) {
      case 'before':
        return this.#content(false)
      case 'boundary':
        return this.#boundary()
      case 'head':
        return this.#head()
      case 'field':
      case 'file':
        return this.#content(true)
      case 'after':
        this.#aroundBytes += this.#rest.length
        this.#rest = EMPTY
        return false
    }
  }

  /** Bytes up to a boundary. What stands before the first is nobody's. */
  #content(wanted: boolean): boolean {
    const found = this.#rest.indexOf(this.#delimiter)
    // The beginning of a boundary may be at the end.
    const end = found === -1 ? this.#rest.length - this.#delimiter.length + 1 : found
    if (end > this.#skip) {
      const bytes = this.#rest.subarray(this.#skip, end)
      if (wanted) this.#take(bytes)
      else this.#aroundBytes += bytes.length
    }
    if (found === -1) {
      if (end <= this.#skip) return false
      this.#rest = this.#rest.subarray(end)
      this.#skip = 0
      return false
    }
    if (wanted) this.#endPart()
    this.#rest = this.#rest.subarray(found + this.#delimiter.length)
    this.#skip = 0
    this.#place = 'boundary'
    return true
  }

  /** A boundary ends its line, blanks between are allowed, and nothing else is; two hyphens end the form. */
  #boundary(): boolean {
    const rest = this.#rest
    if (rest.length < 2) return false
    if (rest[0] === HYPHEN && rest[1] === HYPHEN) {
      this.#place = 'after'
      return true
    }
    let at = 0
    while (rest[at] === 0x20 || rest[at] === 0x09) at++
    if (at + 2 > rest.length && at <= PART_HEAD_BYTES) return false
    if (rest[at] !== 0x0d || rest[at + 1] !== 0x0a) throw broken('a boundary is followed by something else')
    if (++this.#parts > MAX_PARTS) throw broken(`it has more than ${MAX_PARTS} parts`)
    this.#rest = rest.subarray(at + 2)
    this.#place = 'head'
    return true
  }

  #head(): boolean {
    const blank = this.#rest.indexOf(CRLF + CRLF, 0, 'latin1')
    if ((blank === -1 ? this.#rest.length : blank) > PART_HEAD_BYTES) throw broken('the head of a part has no end')
    if (blank === -1) return false
    this.#beginPart(this.#rest.toString('utf8', 0, blank), this.#fedBytes - this.#rest.length + blank + 2 * CRLF.length)
    this.#aroundBytes += blank
    this.#rest = this.#rest.subarray(blank + CRLF.length)
    this.#skip = CRLF.length
    return true
  }

  #beginPart(head: string, beforeBytes: number): void {
    const { file } = this.#rules
    const { name, fileName } = dispositionOf(head)
    this.#name = name
    this.#place = fileName === null ? 'field' : 'file'
    if (fileName === null) {
      if (name === file) throw failField(file, 'must be a file: a part of the form with a filename')
      if (!name.endsWith('[]') && name in this.#fields) throw failField(nameable(name), 'is given twice')
      return
    }
    if (name !== file) throw failField(nameable(name), `is not a file here; the file is sent as ${file}`)
    if (this.#fileSeen) throw failField(file, 'is given twice')
    this.#fileSeen = true
    this.#taker.begin(beforeBytes, this.#delimiter.length + CRLF.length)
  }

  #take(bytes: Buffer): void {
    if (this.#place === 'field') {
      this.#aroundBytes += bytes.length
      this.#value.push(bytes)
      if (this.#value.length > FEW_PIECES) this.#value = [Buffer.concat(this.#value)]
      return
    }
    this.#fileBytes += bytes.length
    if (this.#fileBytes > this.#rules.maxBytes) throw fileTooLarge(this.#rules)
    this.#taker.write(bytes)
  }

  #endPart(): void {
    if (this.#place === 'file') return this.#taker.end()
    const name = this.#name
    const value = Buffer.concat(this.#value).toString('utf8')
    this.#value = []
    const before = this.#fields[name]
    if (!name.endsWith('[]')) this.#fields[name] = value
    else if (Array.isArray(before)) before.push(value)
    else this.#fields[name] = [value]
  }
}

const HYPHEN = 0x2d
const DISPOSITION = /^content-disposition:\s*form-data\s*;/i
/** `name="…"`, `name=…`, or `name*=utf-8''…`; in quotes a backslash goes before a quote. */
const PARAMETER = /;\s*(name|filename)(\*?)=(?:"((?:[^"\\]|\\.)*)"|([^\s";]+))/gi

function dispositionOf(head: string): { readonly name: string; readonly fileName: string | null } {
  const lines = head.split(CRLF).filter((line) => DISPOSITION.test(line))
  const [line] = lines
  if (line === undefined || lines.length > 1) throw broken('a part has no name')
  let name: string | null = null
  let fileName: string | null = null
  for (const [, word = '', star = '', quoted, bare] of line.matchAll(PARAMETER)) {
    const value = quoted?.replaceAll(/\\(["\\])/g, '$1') ?? bare ?? ''
    if (word.toLowerCase() === 'filename') fileName ??= value
    else if (star !== '' || name !== null) throw broken('a part has two names')
    else name = value
  }
  if (name === null) throw broken('a part has no name')
  return { name, fileName }
}

/** Names of fields go back to the caller, shortened. */
const nameable = (name: string): string => (name.length > 64 ? `${name.slice(0, 64)}…` : name)

function broken(why: string): Failure {
  const say = `The request body is not a valid form: ${why}`
  return fail('INVALID_REQUEST', { say, issues: [{ code: 'invalid_form', path: [], message: say }] })
}

const tooMuchAround = (): Failure =>
  fail('PAYLOAD_TOO_LARGE', { say: `The fields of the form are larger than the allowed ${AROUND_FILE_BYTES / 1024} KB` })

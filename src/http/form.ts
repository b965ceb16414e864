/**
 * Takes a form apart that came as `multipart/form-data`: text fields, and one file whose bytes stay where they came. Strict: what
 * two readers might read differently is refused, and no error quotes what was sent.
 */
import { type Failure, fail, failField } from '../core/errors.ts'
import type { FormFile, FormRules } from '../endpoints/endpoint.ts'

/** All that may be around the file: fields, heads of parts, boundaries. */
export const AROUND_FILE_BYTES = 256 * 1024
const MAX_PARTS = 64
const PART_HEAD_BYTES = 8 * 1024
/** RFC 2046 has up to 70 of these characters; a blank at its end could not be seen. */
const BOUNDARY = /^[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]$/
const CRLF = '\r\n'

/** A value is a list where the name of the field ends in `[]`. */
export type Form = { readonly fields: Readonly<Record<string, string | readonly string[]>>; readonly file: FormFile | null }

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

/** Throws a 400 for what is no such form, or 413 for a file that is too large. The file is a view of the body. */
export function parseForm(body: Buffer, boundary: string, rules: FormRules): Form {
  // Without a prototype, so that a field called `__proto__` is a field like any other.
  const fields = Object.setPrototypeOf({}, null) as Record<string, string | string[]>
  let file: FormFile | null = null
  for (const { head, from, end } of partsOf(body, boundary)) {
    const { name, fileName } = dispositionOf(head)
    if (fileName !== null) {
      if (name !== rules.file) throw failField(nameable(name), `is not a file here; the file is sent as ${rules.file}`)
      if (file !== null) throw failField(rules.file, 'is given twice')
      if (end - from > rules.maxBytes) {
        throw fail('PAYLOAD_TOO_LARGE', {
          say: `The file is larger than the allowed ${Math.floor(rules.maxBytes / 1_048_576)} MB`,
          param: rules.file,
        })
      }
      file = { name: fileName, bytes: body.subarray(from, end) }
      continue
    }
    if (name === rules.file) throw failField(rules.file, 'must be a file: a part of the form with a filename')
    const value = body.toString('utf8', from, end)
    const before = fields[name]
    if (!name.endsWith('[]')) {
      if (before !== undefined) throw failField(nameable(name), 'is given twice')
      fields[name] = value
    } else if (Array.isArray(before)) before.push(value)
    else fields[name] = [value]
  }
  return { fields, file }
}

type Part = { readonly head: string; readonly from: number; readonly end: number }

/** The parts in order. What stands before the first boundary and after the last is nobody's. */
function* partsOf(body: Buffer, boundary: string): Generator<Part> {
  const delimiter = Buffer.from(`${CRLF}--${boundary}`, 'latin1')
  const first = delimiter.subarray(CRLF.length)
  const begins = body.subarray(0, first.length).equals(first)
  let at = begins ? first.length : body.indexOf(delimiter) + delimiter.length
  if (!begins && at < delimiter.length) throw broken('it has no part')
  for (let count = 0; ; count++) {
    if (body.toString('latin1', at, at + 2) === '--') return
    at = lineAfter(body, at)
    if (count >= MAX_PARTS) throw broken(`it has more than ${MAX_PARTS} parts`)
    const blank = body.indexOf(CRLF + CRLF, at, 'latin1')
    if (blank === -1 || blank - at > PART_HEAD_BYTES) throw broken('the head of a part has no end')
    const from = blank + 4
    // An empty part's own line end is the one that its head ended with.
    const end = body.indexOf(delimiter, from - CRLF.length)
    if (end === -1) throw broken('it has no end')
    yield { head: body.toString('utf8', at, blank), from, end: Math.max(from, end) }
    at = end + delimiter.length
  }
}

/** A boundary ends its line; blanks between are allowed, and nothing else is. */
function lineAfter(body: Buffer, from: number): number {
  let at = from
  while (body[at] === 0x20 || body[at] === 0x09) at++
  if (body[at] !== 0x0d || body[at + 1] !== 0x0a) throw broken('a boundary is followed by something else')
  return at + 2
}

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

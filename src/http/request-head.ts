/**
 * The head of an HTTP/1.1 request (RFC 9112), taken apart from its text. Strict wherever two readers could disagree about
 * where a request ends or whom it is for, since that is how one request is smuggled into another behind a proxy.
 */

/** What came is no request, and nothing that follows it on its connection can be told apart: malformed, or a head beyond all bounds. */
export class BadRequest extends Error {
  readonly status: 400 | 431

  constructor(status: 400 | 431) {
    super('bad request')
    this.status = status
  }
}

/** Fields of one head. */
const MAX_FIELDS = 200
/** No body of so many digits is taken, and no sum of such lengths is beyond a safe integer. */
const LENGTH_DIGITS = 15

export class RequestHead {
  readonly method: string
  /** Path and query, as they came. */
  readonly target: string
  /** HTTP/1.0. */
  readonly old: boolean
  authorization: string | undefined = undefined
  apiKey: string | undefined = undefined
  contentType: string | undefined = undefined
  acceptEncoding: string | undefined = undefined
  accept: string | undefined = undefined
  origin: string | undefined = undefined
  traceparent: string | undefined = undefined
  /** The body's length in bytes; -1 where none was given. */
  length = -1
  chunked = false
  /** Whether there are headers of encryption that the caller did itself (`x-venice-tee-…`). */
  sealed = false
  /** The caller waits for a word before it sends the body. */
  expects = false
  #host: string | undefined = undefined
  #keep = false
  #close = false
  readonly #text: string
  readonly #fieldsAt: number
  #headers: Readonly<Record<string, string>> | null = null

  /** Takes the text of a head, from its first line up to and with its empty line, in latin1. Throws a `BadRequest` and nothing else. */
  constructor(text: string) {
    const lineEnd = text.indexOf('\r\n')
    const methodEnd = text.indexOf(' ')
    const targetEnd = text.indexOf(' ', methodEnd + 1)
    if (methodEnd < 1 || targetEnd < 0 || targetEnd + 9 !== lineEnd) throw new BadRequest(400)
    for (let at = 0; at < methodEnd; at++) if (TOKEN[text.charCodeAt(at)] !== 1) throw new BadRequest(400)
    for (let at = methodEnd + 1; at < targetEnd; at++) if (!isTargetChar(text.charCodeAt(at))) throw new BadRequest(400)
    if (!text.startsWith('HTTP/', targetEnd + 1)) throw new BadRequest(400)
    const minor = text.charCodeAt(lineEnd - 1)
    if (!text.startsWith('1.', targetEnd + 6) || (minor !== ZERO && minor !== ONE)) throw new BadRequest(400)
    this.method = text.slice(0, methodEnd)
    this.target = originForm(text.slice(methodEnd + 1, targetEnd))
    this.old = minor === ZERO
    this.#text = text
    this.#fieldsAt = lineEnd + 2
    this.#readFields()
  }

  /** Whether the caller means to send another request on the connection. */
  get keepsAlive(): boolean {
    return this.old ? this.#keep && !this.#close : !this.#close
  }

  /** Whether a body follows. */
  get bodied(): boolean {
    return this.chunked || this.length > 0
  }

  /** All fields by lower-case names; those that came several times joined by commas. Made when first asked for. */
  get headers(): Readonly<Record<string, string>> {
    this.#headers ??= this.#all()
    return this.#headers
  }

  #readFields(): void {
    const text = this.#text
    const end = text.length - 2
    let count = 0
    let at = this.#fieldsAt
    while (at < end) {
      if (++count > MAX_FIELDS) throw new BadRequest(431)
      let colon = at
      while (TOKEN[text.charCodeAt(colon)] === 1) colon++
      // Blanks before a name would continue the line above, in old times; blanks before the colon some read and some do not.
      if (colon === at || text.charCodeAt(colon) !== COLON) throw new BadRequest(400)
      let lineEnd = colon + 1
      for (let char = text.charCodeAt(lineEnd); char !== CR; char = text.charCodeAt(++lineEnd)) {
        // What is after the end of the text is no number, and not above anything.
        if (!(char >= SPACE || char === TAB) || char === DELETE) throw new BadRequest(400)
      }
      if (text.charCodeAt(lineEnd + 1) !== LF) throw new BadRequest(400)
      this.#field(at, colon, lineEnd)
      at = lineEnd + 2
    }
    if (this.#host === undefined && !this.old) throw new BadRequest(400)
  }

  /** Names are told apart by their lengths first. */
  #field(at: number, colon: number, lineEnd: number): void {
    const text = this.#text
    switch (colon - at) {
      case 4:
        if (isNamed(text, at, 'host')) {
          if (this.#host !== undefined) throw new BadRequest(400)
          this.#host = valueOf(text, colon, lineEnd)
        }
        break
      case 6:
        if (isNamed(text, at, 'origin')) this.origin ??= valueOf(text, colon, lineEnd)
        else if (isNamed(text, at, 'accept')) this.accept ??= valueOf(text, colon, lineEnd)
        else if (isNamed(text, at, 'expect')) this.#expect(valueOf(text, colon, lineEnd).toLowerCase())
        break
      case 9:
        if (isNamed(text, at, 'x-api-key')) this.apiKey ??= valueOf(text, colon, lineEnd)
        break
      case 10:
        if (isNamed(text, at, 'connection')) this.#connection(valueOf(text, colon, lineEnd).toLowerCase())
        break
      case 11:
        if (isNamed(text, at, 'traceparent')) this.traceparent ??= valueOf(text, colon, lineEnd)
        break
      case 12:
        if (isNamed(text, at, 'content-type')) this.contentType ??= valueOf(text, colon, lineEnd)
        break
      case 13:
        if (isNamed(text, at, 'authorization')) this.authorization ??= valueOf(text, colon, lineEnd)
        break
      case 14:
        if (isNamed(text, at, 'content-length')) this.#contentLength(valueOf(text, colon, lineEnd))
        break
      case 15:
        if (isNamed(text, at, 'accept-encoding')) this.acceptEncoding ??= valueOf(text, colon, lineEnd)
        break
      case 17:
        if (isNamed(text, at, 'transfer-encoding')) this.#transferEncoding(valueOf(text, colon, lineEnd).toLowerCase())
        break
      default:
        if (colon - at > SEALED.length && isNamed(text, at, SEALED)) this.sealed = true
    }
  }

  /** Once, digits only: where two lengths are given, two readers may differ about where the request ends. */
  #contentLength(value: string): void {
    if (this.length !== -1 || this.chunked || value === '' || value.length > LENGTH_DIGITS) throw new BadRequest(400)
    let length = 0
    for (let at = 0; at < value.length; at++) {
      const digit = value.charCodeAt(at) - ZERO
      if (digit < 0 || digit > 9) throw new BadRequest(400)
      length = length * 10 + digit
    }
    this.length = length
  }

  /** `chunked` once, alone, and no length beside it. HTTP/1.0 did not know it. */
  #transferEncoding(value: string): void {
    if (this.chunked || this.length !== -1 || this.old || value !== 'chunked') throw new BadRequest(400)
    this.chunked = true
  }

  #expect(value: string): void {
    if (value !== '100-continue') throw new BadRequest(400)
    this.expects = !this.old
  }

  #connection(options: string): void {
    if (options === 'keep-alive') this.#keep = true
    else
      for (const option of options.split(',')) {
        if (option.trim() === 'close') this.#close = true
        else if (option.trim() === 'keep-alive') this.#keep = true
      }
  }

  #all(): Readonly<Record<string, string>> {
    const text = this.#text
    // Without a prototype, since a field may be called `__proto__`; so it holds what is put in and nothing else.
    const all = Object.create(null) as Record<string, string>
    for (let at = this.#fieldsAt; at < text.length - 2; ) {
      const lineEnd = text.indexOf('\r\n', at)
      const colon = text.indexOf(':', at)
      const name = text.slice(at, colon).toLowerCase()
      const value = valueOf(text, colon, lineEnd)
      const before = all[name]
      all[name] = before === undefined ? value : `${before}, ${value}`
      at = lineEnd + 2
    }
    return all
  }
}

/**
 * Throws a `BadRequest` where these bytes, which have no empty line yet, can become no head: who speaks another protocol, or
 * ends lines in another way, is told at once and not when the time for a head is over.
 */
export function checkBeginning(bytes: Buffer, from: number): void {
  const first = bytes[from] ?? 0
  if (TOKEN[first] !== 1 && (first !== CR || from + 1 < bytes.length)) throw new BadRequest(400)
  const lineEnd = bytes.indexOf(LF, from)
  if (lineEnd === -1) return
  if (bytes.toString('latin1', Math.max(from, lineEnd - 9), lineEnd - 2) !== 'HTTP/1.') throw new BadRequest(400)
  for (let at = lineEnd; at !== -1; at = bytes.indexOf(LF, at + 1)) if (bytes[at - 1] !== CR) throw new BadRequest(400)
}

const SEALED = 'x-venice-tee-'

const TAB = 9
const LF = 10
const CR = 13
const SPACE = 32
const ZERO = 48
const ONE = 49
const COLON = 58
const DELETE = 127

/** 1 for each character that a method or the name of a field may have (RFC 9110, 5.6.2). */
const TOKEN = new Uint8Array(256)
for (const char of "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") TOKEN[char.charCodeAt(0)] = 1

const isTargetChar = (char: number): boolean => char > SPACE && char !== DELETE

/** A proxy's way of asking names the host before the path; whom it is for is not decided by that here. */
function originForm(target: string): string {
  if (target.charCodeAt(0) === 0x2f || target === '*') return target
  const found = /^https?:\/\/[^/?#]*/i.exec(target)
  if (!found) throw new BadRequest(400)
  const rest = target.slice(found[0].length)
  return rest.startsWith('/') ? rest : `/${rest}`
}

/** Whether the field that begins at `at` has this name of lower-case letters and hyphens, in whatever case. */
function isNamed(text: string, at: number, name: string): boolean {
  for (let i = 0; i < name.length; i++) if ((text.charCodeAt(at + i) | 0x20) !== name.charCodeAt(i)) return false
  return true
}

/** Without the blanks around it. */
function valueOf(text: string, colon: number, lineEnd: number): string {
  let from = colon + 1
  let end = lineEnd
  while (from < end && isBlank(text.charCodeAt(from))) from++
  while (end > from && isBlank(text.charCodeAt(end - 1))) end--
  return text.slice(from, end)
}

const isBlank = (char: number): boolean => char === SPACE || char === TAB

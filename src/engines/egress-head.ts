/** What a request begins with, built once for each kind of request and then only looked up. */
import { fail } from '../core/errors.ts'

/** Kinds of requests that are kept; an engine has a handful. */
const HEADS = 64

export type HeadOf = {
  readonly method: 'GET' | 'POST'
  /** Appended to the path of the base URL, or with `fromRoot` to its origin. */
  readonly path: string
  readonly fromRoot?: boolean
  readonly accept: string
  readonly body?: string | Buffer | { readonly sizeBytes: number | null }
  /** Instead of that of every request, which is JSON's. */
  readonly contentType?: string
  readonly range?: RangeFields
}

/** Fields of one request of a download. Empty for one that is not sent. */
export type RangeFields = { readonly range: string; readonly ifRange: string; readonly authorization: string }

/** Whether a body follows, and whether its size is known. */
type Framing = 'none' | 'sized' | 'chunked'

type Head = HeadOf & { readonly framing: Framing; readonly text: string }

/** Names of fields, lower-case, that say how a message is sent; only the network door knows that. */
const OWN: ReadonlySet<string> = new Set([
  'accept',
  'accept-encoding',
  'connection',
  'content-length',
  'expect',
  'host',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
/** Visible ASCII and blanks; nothing that could end a line, or that is not one byte in every encoding. */
const VALUE = /^[\x20-\x7e\t]*$/
/** The field as it stands among the others. */
const CONTENT_TYPE = /content-type: [^\r]*\r\n/
const PATH = /^\/[\x21\x22\x24-\x7e]*$/

export class Heads {
  readonly #host: string
  readonly #basePath: string
  readonly #fields: string
  readonly #heads = new Map<string, Head[]>()
  #count = 0

  /** Throws a TypeError that names, but does not quote, what HTTP does not allow in a head. */
  constructor(url: URL, headers: Readonly<Record<string, string>>) {
    this.#host = url.host
    this.#basePath = url.pathname.endsWith('/') ? url.pathname.slice(0, -1) : url.pathname
    const fields = new Map([
      ['user-agent', 'rialto'],
      ['content-type', 'application/json'],
    ])
    for (const [given, padded] of Object.entries(headers)) {
      const name = given.toLowerCase()
      // A key that was read from a file ends in a line feed as a rule.
      const value = padded.trim()
      if (!TOKEN.test(name)) throw new TypeError('the name of a header of an engine is none that HTTP allows')
      if (OWN.has(name)) throw new TypeError(`an engine’s headers cannot have ${name}: it is set for each request`)
      if (!VALUE.test(value)) throw new TypeError(`the value of an engine’s header is none that HTTP allows: ${name}`)
      fields.set(name, value)
    }
    this.#fields = [...fields].map(([name, value]) => `${name}: ${value}\r\n`).join('')
  }

  /**
   * The head of a request: whole where it has no body or one in chunks, else up to and without the number of its bytes, after which
   * an empty line is due. Throws a `Failure` for a path that is none.
   */
  of(request: HeadOf): string {
    const framing = framingOf(request.body)
    if (request.range) return this.#written(request, framing, rangeLines(request.range))
    const heads = this.#heads.get(request.path)
    if (heads) for (const head of heads) if (head.framing === framing && isFor(head, request)) return head.text
    return this.#build(request, framing)
  }

  #build(request: HeadOf, framing: Framing): string {
    const { method, path, fromRoot = false, accept, contentType } = request
    const head: Head = {
      method,
      path,
      fromRoot,
      accept,
      ...(contentType !== undefined && { contentType }),
      framing,
      text: this.#written(request, framing, ''),
    }
    if (this.#count++ >= HEADS) {
      this.#heads.clear()
      this.#count = 1
    }
    const heads = this.#heads.get(path)
    if (heads) heads.push(head)
    else this.#heads.set(path, [head])
    return head.text
  }

  #written({ method, path, fromRoot = false, accept, contentType }: HeadOf, framing: Framing, lines: string): string {
    const target = fromRoot ? path : this.#basePath + path
    if (!PATH.test(target) || !VALUE.test(accept) || (contentType !== undefined && !VALUE.test(contentType)))
      throw fail('INFERENCE_FAILED', { internal: 'upstream_request' })
    const own = contentType === undefined ? this.#fields : this.#fields.replace(CONTENT_TYPE, `content-type: ${contentType}\r\n`)
    const fields = `host: ${this.#host}\r\nconnection: keep-alive\r\n${own}accept: ${accept}\r\naccept-encoding: identity\r\n`
    return `${method} ${target} HTTP/1.1\r\n${fields}${lines}${framing === 'none' && method === 'GET' ? '\r\n' : ENDS[framing]}`
  }
}

/** How a head ends. A POST without a body has one of no bytes. */
const ENDS: Readonly<Record<Framing, string>> = {
  none: 'content-length: 0\r\n\r\n',
  sized: 'content-length: ',
  chunked: 'transfer-encoding: chunked\r\n\r\n',
}

const framingOf = (body: HeadOf['body']): Framing =>
  body === undefined ? 'none' : typeof body !== 'string' && 'sizeBytes' in body && body.sizeBytes === null ? 'chunked' : 'sized'

/** Throws a `Failure` for what could not stand in a head. */
function rangeLines({ range, ifRange, authorization }: RangeFields): string {
  const lines = Object.entries({ range, 'if-range': ifRange, authorization }).filter(([, value]) => value !== '')
  if (lines.some(([, value]) => !VALUE.test(value))) throw fail('INFERENCE_FAILED', { internal: 'upstream_request' })
  return lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')
}

const isFor = (head: Head, { method, fromRoot = false, accept, contentType }: HeadOf): boolean =>
  head.method === method && head.accept === accept && head.fromRoot === fromRoot && head.contentType === contentType

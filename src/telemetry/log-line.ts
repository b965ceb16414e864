/**
 * One log line from one record: the closed set of fields that may ever be written, in JSON or for people.
 *
 * Lines are put together by hand, because a line per request must cost about a microsecond. They are ASCII: everything
 * else is escaped. Absent values are left out. A client's address, its headers and everything it typed have no field here, so they cannot be logged.
 */
import type { Envelope } from '../core/call.ts'
import { ERRORS } from '../core/errors.ts'
import { formatUsd } from '../core/money.ts'
import type { Unit } from '../core/usage.ts'

export type Level = 'info' | 'warn' | 'error'

/** What an event may say: identifiers, numbers and constant words of our own. */
export type Field = string | number | bigint | boolean | null
export type Fields = Readonly<Record<string, Field>>

/** No string of a line is longer; identifiers and constant words never come near it. */
export const FIELD_MAX_CHARS = 200

const UNIT_FIELDS: Readonly<Record<Unit, string>> = {
  inputToken: 'input_tokens',
  cacheReadToken: 'cache_read_tokens',
  cacheWriteToken: 'cache_write_tokens',
  outputToken: 'output_tokens',
  image: 'images',
  character: 'characters',
  audioSecond: 'audio_seconds',
  videoSecond: 'video_seconds',
  call: 'calls',
}

/** A stream that broke off had answered 200 by then: what went wrong counts, where something did. */
function levelOf({ code, status }: Envelope): Level {
  const outcome = code === null ? status : ERRORS[code].status
  return outcome >= 500 ? 'error' : outcome >= 400 ? 'warn' : 'info'
}

const REQUEST: Readonly<Record<Level, string>> = {
  info: '","level":"info","msg":"request","request_id":',
  warn: '","level":"warn","msg":"request","request_id":',
  error: '","level":"error","msg":"request","request_id":',
}

/** The line of a request; `time` is the moment it was answered in full. */
export function requestJson(envelope: Envelope, durationMs: number): string {
  const { caller, usage, cost, status } = envelope
  let line = `{"time":"${isoTime(envelope.startedAt + durationMs)}${REQUEST[levelOf(envelope)]}${quoted(envelope.requestId)}`
  line += field(ENDPOINT, envelope.endpoint)
  line += `,"status":${status}`
  if (envelope.code !== null) line += `,"code":"${envelope.code}"`
  if (envelope.internal !== null) line += `,"internal":${quoted(envelope.internal)}`
  if (caller !== null) line = line + field(ACCOUNT, caller.accountId) + field(KEY, caller.keyId)
  if (envelope.model !== null) line += field(MODEL, envelope.model)
  if (envelope.engine !== null) line += field(ENGINE, envelope.engine)
  if (envelope.attempts !== 0) line += `,"attempts":${envelope.attempts}`
  if (envelope.modality !== null) line += `,"stream":${envelope.stream}`
  if (usage !== null) {
    // A Usage has no other keys than Units, by construction.
    for (const unit in usage) line += `,"${UNIT_FIELDS[unit as Unit]}":${usage[unit as Unit] ?? 0}`
  }
  if (cost !== null) line += `,"cost_nano":${cost}`
  if (envelope.firstByteMs !== null) line += `,"first_byte_ms":${millis(envelope.firstByteMs)}`
  return `${line},"duration_ms":${millis(durationMs)}}\n`
}

export function eventJson(atMs: number, level: Level, msg: string, fields: Fields): string {
  let line = `{"time":"${isoTime(atMs)}","level":"${level}","msg":"${msg}"`
  for (const name in fields) {
    const value = fields[name]
    if (value === null || value === undefined) continue
    line += `,"${name}":${typeof value === 'string' ? quoted(value) : typeof value === 'number' ? rounded(value) : value}`
  }
  return `${line}}\n`
}

/** The same request for a person at a terminal. */
export function requestText(envelope: Envelope, durationMs: number): string {
  const { usage, cost } = envelope
  let line = `${isoTime(envelope.startedAt + durationMs).slice(11, 23)} ${envelope.status} ${plain(envelope.endpoint)}`
  if (envelope.model !== null) line += ` ${plain(envelope.model)}`
  if (envelope.engine !== null) line += ` via ${plain(envelope.engine)}${envelope.attempts > 1 ? ` (attempt ${envelope.attempts})` : ''}`
  if (usage !== null) for (const unit in usage) line += ` ${UNIT_FIELDS[unit as Unit]}=${usage[unit as Unit] ?? 0}`
  if (cost !== null) line += ` $${formatUsd(cost)}`
  if (envelope.code !== null) line += ` ${envelope.code}`
  if (envelope.internal !== null) line += ` ${quoted(envelope.internal)}`
  line += ` ${rounded(durationMs)} ms`
  if (envelope.firstByteMs !== null) line += ` (first byte ${rounded(envelope.firstByteMs)} ms)`
  return `${line} ${plain(envelope.requestId)}\n`
}

export function eventText(atMs: number, level: Level, msg: string, fields: Fields): string {
  let line = `${isoTime(atMs).slice(11, 23)} ${level === 'info' ? '' : `${level.toUpperCase()} `}${msg}`
  for (const name in fields) {
    const value = fields[name]
    if (value === null || value === undefined) continue
    line += ` ${name}=${typeof value === 'string' ? plain(value) : typeof value === 'number' ? rounded(value) : value}`
  }
  return `${line}\n`
}

/** A JSON string. The common case, short printable ASCII without quotes, is only looked at and never copied. */
export function quoted(text: string): string {
  return isPlain(text) ? `"${text}"` : JSON.stringify(text.slice(0, FIELD_MAX_CHARS)).replace(NOT_ASCII, escaped)
}

const NOT_ASCII = /[\u007f-\uffff]/g
const escaped = (char: string): string => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`

/** How many values of a field are remembered; then all are forgotten. */
const VALUES_MAX = 2_000

/** A field whose values come again with every request: each is looked at and put together once. */
type NameField = { readonly start: string; readonly known: Map<string, string> }
const nameField = (name: string): NameField => ({ start: `,"${name}":`, known: new Map() })

const ENDPOINT = nameField('endpoint')
const ACCOUNT = nameField('account')
const KEY = nameField('key')
const MODEL = nameField('model')
const ENGINE = nameField('engine')

function field({ start, known }: NameField, value: string): string {
  const text = known.get(value)
  if (text !== undefined) return text
  if (known.size >= VALUES_MAX) known.clear()
  // `join` makes one flat string, where `+` would keep the pieces to be put together in every line again.
  const made = [start, quoted(value)].join('')
  known.set(value, made)
  return made
}

/** A word that needs no quotes, or else the JSON string: one line is one line, in both formats. */
const plain = (text: string): string => (isPlain(text) && !text.includes(' ') ? text : quoted(text))

function isPlain(text: string): boolean {
  if (text.length > FIELD_MAX_CHARS) return false
  for (let i = 0; i < text.length; i++) {
    const char = text.charCodeAt(i)
    if (char < 0x20 || char > 0x7e || char === 0x22 || char === 0x5c) return false
  }
  return true
}

const NUMBER_MAX = 1e12

/** Microseconds are enough; anything that is not a number of this world is 0, for a log line must always be JSON. */
const rounded = (value: number): number => (Math.abs(value) < NUMBER_MAX ? Math.round(value * 1000) / 1000 : 0)

const INT_MAX = 2 ** 31 - 1

/** The same for the times of every line: small whole numbers become text several times faster than fractions. */
function millis(value: number): string {
  const micros = Math.round(value * 1000)
  if (!(micros >= 0 && micros <= INT_MAX)) return String(rounded(value))
  const whole = Math.floor(micros / 1000)
  const rest = micros - whole * 1000
  return `${whole}.${rest < 10 ? '00' : rest < 100 ? '0' : ''}${rest}`
}

/** The end of the year 9999: a time beyond it (or NaN) is a broken clock, and a log line must not throw over it. */
const TIME_MAX_MS = 253_402_300_799_999

let lastMs = Number.NaN
let lastTime = ''
let lastSecond = -1
let lastPrefix = ''

/** ISO 8601 in UTC with milliseconds. Formatting a date is the dearest part of a line, so it is done once per second. */
function isoTime(atMs: number): string {
  const ms = Math.abs(atMs) < TIME_MAX_MS ? Math.floor(atMs) : 0
  if (ms === lastMs) return lastTime
  const second = Math.floor(ms / 1000)
  if (second !== lastSecond) {
    lastPrefix = new Date(second * 1000).toISOString().slice(0, 20)
    lastSecond = second
  }
  const rest = ms - second * 1000
  lastMs = ms
  lastTime = `${lastPrefix}${rest < 10 ? '00' : rest < 100 ? '0' : ''}${rest}Z`
  return lastTime
}

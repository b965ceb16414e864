/**
 * Where an unknown error comes from, without a word of what it says: messages quote their input (`JSON.parse` does), so
 * they are content. Kept are the error's class, if it is spelled like one, and the positions of our own source files.
 */
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export type ErrorSite = {
  /** `TypeError`, or `TypeError ECONNRESET` where the system or the runtime gave it a code. */
  readonly name: string
  readonly cause: string | null
  /** The innermost frames in our own code, `engines/egress.ts:41 < pipeline/invoke.ts:88`; null where there is none. */
  readonly at: string | null
}

const SOURCE = dirname(dirname(fileURLToPath(import.meta.url)))
const FRAMES_MAX = 3
const STACK_MAX_CHARS = 16 * 1024
const NAME = /^(?:[A-Z][A-Za-z]{1,32})?(?:Error|Exception|Failure)$/
const CODE = /^(?:E[A-Z0-9]{2,15}|ERR_[A-Z0-9_]{2,60}|UND_ERR_[A-Z0-9_]{2,60})$/
const FRAME = /^\s+at .*?([a-z0-9/.-]+\.ts):(\d{1,5}):\d{1,5}\)?$/

export function siteOf(error: unknown): ErrorSite {
  if (!(error instanceof Error)) return { name: 'NotAnError', cause: null, at: null }
  const { cause } = error
  return { name: className(error), cause: cause instanceof Error ? className(cause) : null, at: positions(error) }
}

/** `name` and `code` can be set to anything, so only what looks like a class and a system's code is believed. */
function className(error: Error): string {
  const name = typeof error.name === 'string' && NAME.test(error.name) ? error.name : 'Error'
  const code = 'code' in error && typeof error.code === 'string' && CODE.test(error.code) ? ` ${error.code}` : ''
  return `${name}${code}`
}

/**
 * Reads the stack from its end, where only frames are, and stops at the first line that is none: above it is the
 * message. A message may imitate frames, so a position counts only when it names a source file that exists.
 */
function positions(error: Error): string | null {
  const { stack } = error
  if (typeof stack !== 'string') return null
  const lines = stack.slice(-STACK_MAX_CHARS).split('\n')
  let first = lines.length
  while (first > 0 && /^\s+at /.test(lines[first - 1] ?? '')) first--
  const out: string[] = []
  for (const line of lines.slice(first)) {
    if (out.length === FRAMES_MAX) break
    const position = ownPosition(line)
    if (position !== null) out.push(position)
  }
  return out.length > 0 ? out.join(' < ') : null
}

function ownPosition(line: string): string | null {
  const start = line.indexOf(`${SOURCE}/`)
  if (start < 0) return null
  const match = FRAME.exec(`  at ${line.slice(start + SOURCE.length + 1)}`)
  const file = match?.[1]
  if (file === undefined || file.includes('..') || !existsSync(join(SOURCE, file))) return null
  return `${file}:${match?.[2]}`
}

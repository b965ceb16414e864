/**
 * The one event that is most of every stream, a bit of text: recognised by its bytes and cut out without parsing. An
 * event that is written in any other way is simply parsed.
 */
import type { Escaped } from '../../core/modalities/text.ts'

const QUOTE = 0x22
const BACKSLASH = 0x5c
const CLOSING_BRACE = 0x7d
const SPACE = 0x20
const LETTER_U = 0x75

/** What an event begins with that brings text for the block of this index. */
export const headOf = (index: number): string => `{"type":"content_block_delta","index":${index},"delta":{"type":"text_delta","text":"`

/** The text of the event between `start` and `end`; null where it is written otherwise. */
export function textDelta(bytes: string, start: number, end: number, head: string): Escaped | null {
  const from = start + head.length
  if (bytes.slice(start, from) !== head) return null
  const close = closingQuote(bytes, from, end)
  if (close === -1 || !closesTwice(bytes, close + 1, end)) return null
  // The inside of a valid JSON string, in the bytes that came.
  return bytes.slice(from, close) as Escaped
}

/** Where the JSON string ends whose inside begins at `from`; -1 where it does not, or is not valid. */
function closingQuote(bytes: string, from: number, end: number): number {
  for (let at = from; at < end; at++) {
    const code = bytes.charCodeAt(at)
    if (code === QUOTE) return at
    if (code < SPACE) return -1
    if (code !== BACKSLASH) continue
    at++
    if (bytes.charCodeAt(at) === LETTER_U) {
      for (let digit = 0; digit < 4; digit++) if (!HEX.includes(bytes.charAt(++at) || 'none')) return -1
    } else if (!ESCAPES.includes(bytes.charAt(at) || 'none')) return -1
  }
  return -1
}

const ESCAPES = '"\\/bfnrt'
const HEX = '0123456789abcdefABCDEF'

/** Two braces with white space around them, and nothing else. Anthropic pads its events with spaces. */
function closesTwice(bytes: string, from: number, end: number): boolean {
  let braces = 0
  for (let at = from; at < end; at++) {
    const code = bytes.charCodeAt(at)
    if (code === CLOSING_BRACE) braces++
    else if (code !== SPACE) return false
  }
  return braces === 2
}

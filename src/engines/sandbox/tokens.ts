/**
 * The sandbox's tokens, so that its usage is exact and `max_tokens` cuts where it says.
 * A token is a word with the white space before it; a longer word is cut into pieces of ten UTF-16 units, never
 * within a surrogate pair. The tokens of a text, joined, are the text.
 */

const LONGEST_PIECE = 10

export function tokensOf(text: string): string[] {
  const out: string[] = []
  for (let from = 0; from < text.length; ) {
    const to = endOfToken(text, from)
    out.push(text.slice(from, to))
    from = to
  }
  return out
}

export function countTokens(text: string): number {
  let count = 0
  for (let from = 0; from < text.length; count++) from = endOfToken(text, from)
  return count
}

/** Words are what white space parts; a number for people, not for bills. */
export function countWords(text: string): number {
  let words = 0
  let inside = false
  for (let i = 0; i < text.length; i++) {
    const space = isSpace(text.charCodeAt(i))
    if (!space && !inside) words++
    inside = !space
  }
  return words
}

/** At most `limit` UTF-16 units from the start of a text, never half a surrogate pair. */
export function startOf(text: string, limit: number): string {
  if (text.length <= limit) return text
  return text.slice(0, isHighSurrogate(text.charCodeAt(limit - 1)) ? limit - 1 : limit)
}

function endOfToken(text: string, from: number): number {
  let at = from
  while (at < text.length && isSpace(text.charCodeAt(at))) at++
  const last = Math.min(text.length, at + LONGEST_PIECE)
  while (at < last && !isSpace(text.charCodeAt(at))) at++
  if (at < text.length && isHighSurrogate(text.charCodeAt(at - 1))) at++
  return at
}

const isSpace = (unit: number): boolean => unit <= 32
const isHighSurrogate = (unit: number): boolean => unit >= 0xd800 && unit <= 0xdbff

/** Tokens with their times → words with theirs. */
import type { Result } from './library.ts'
import type { HeardSegment } from './wire.ts'

/** How long a token lasts where the model does not say, in seconds. */
const TOKEN_SECONDS = 0.08

/** A word begins with a token that has a blank, or SentencePiece's sign for one, before it. `offset` is where the stretch begins. */
export function wordsOf({ tokens, timestamps, durations }: Result, offset: number): HeardSegment['words'] {
  const words: { word: string; start: number; end: number }[] = []
  for (const [at, token] of tokens.entries()) {
    const start = offset + (timestamps[at] ?? 0)
    const end = start + (durations?.[at] ?? TOKEN_SECONDS)
    const text = token.replaceAll('▁', ' ')
    const last = words.at(-1)
    if (last && !text.startsWith(' ')) {
      last.word += text
      last.end = end
    } else words.push({ word: text.trim(), start, end })
  }
  return words
    .filter(({ word }) => word !== '')
    .map(({ word, start, end }) => ({ word, start: rounded(start), end: rounded(Math.max(start, end)) }))
}

export const rounded = (seconds: number): number => Math.round(seconds * 1000) / 1000

/** A byte-level BPE vocabulary, learnt from a handful of sentences: every word of theirs becomes a token of its own. */

export const END_OF_TEXT = '<|endoftext|>'
export const TURN_START = '<|im_start|>'
export const TURN_END = '<|im_end|>'

/** What the engine's vocabulary calls a plain and a control token. */
const PLAIN = 1
const CONTROL = 3

export type Vocabulary = {
  readonly tokens: readonly string[]
  readonly types: readonly number[]
  /** Pairs to join, best first, as the engine's tokenizer applies them. */
  readonly merges: readonly string[]
  /** The ids that a text becomes. Throws for a text that has a word the vocabulary was not learnt from. */
  idsOf(words: string): number[]
  idOf(token: string): number
}

export function learnVocabulary(sentences: readonly string[]): Vocabulary {
  const pieces = [...new Set(sentences.flatMap(split))].map((piece) => [...Buffer.from(piece, 'utf8')].map(symbolOf))
  const merges: string[] = []
  for (let pair = mostFrequent(pieces); pair !== null; pair = mostFrequent(pieces)) {
    merges.push(pair.join(' '))
    for (const piece of pieces) join(piece, pair)
  }

  const symbols = [...Array(256).keys()].map(symbolOf)
  const plain = [...new Set([...symbols, ...merges.map((merge) => merge.replace(' ', ''))])]
  const tokens = [...plain, END_OF_TEXT, TURN_START, TURN_END]
  const ids = new Map(tokens.map((token, id) => [token, id]))

  const idOf = (token: string): number => {
    const id = ids.get(token)
    if (id === undefined) throw new Error(`not a token of this vocabulary: ${token}`)
    return id
  }
  return {
    tokens,
    types: tokens.map((_, id) => (id < plain.length ? PLAIN : CONTROL)),
    merges,
    idOf,
    idsOf: (words) => split(words).map((piece) => idOf([...Buffer.from(piece, 'utf8')].map(symbolOf).join(''))),
  }
}

/** Cuts a text where the engine's `qwen2` pre-tokenizer does, as far as the sentences here go: no apostrophes. */
function split(words: string): string[] {
  return words.match(/[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+/gu) ?? []
}

/** GPT-2's printable stand-in for a byte: itself where it is visible, one from U+0100 on where it is not. */
function symbolOf(byte: number): string {
  if (visible(byte)) return String.fromCodePoint(byte)
  let before = 0
  for (let value = 0; value < byte; value++) if (!visible(value)) before++
  return String.fromCodePoint(256 + before)
}

const visible = (value: number): boolean => (value >= 33 && value <= 126) || (value >= 161 && value <= 255 && value !== 173)

/** The pair that stands side by side most often, the first of them in alphabet where several do; null when all are joined. */
function mostFrequent(pieces: readonly (readonly string[])[]): [string, string] | null {
  const counts = new Map<string, { pair: [string, string]; count: number }>()
  for (const piece of pieces) {
    for (let i = 1; i < piece.length; i++) {
      const pair: [string, string] = [piece[i - 1] ?? '', piece[i] ?? '']
      const entry = counts.get(pair.join(' '))
      if (entry === undefined) counts.set(pair.join(' '), { pair, count: 1 })
      else entry.count++
    }
  }
  const [best] = [...counts].sort(([a, x], [b, y]) => y.count - x.count || (a < b ? -1 : 1))
  return best?.[1].pair ?? null
}

function join(piece: string[], [left, right]: readonly [string, string]): void {
  for (let i = 1; i < piece.length; i++) if (piece[i - 1] === left && piece[i] === right) piece.splice(i - 1, 2, left + right)
}

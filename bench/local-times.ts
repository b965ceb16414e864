/** What the times of tokens say: the same sums for the library alone and for the same model behind Rialto's API. */

/** One chat: when its pieces came, in milliseconds of `performance.now()`; a piece may be more than one token. */
export type ChatTimes = {
  readonly promptTokens: number
  readonly tokens: number
  readonly pieces: readonly number[]
}

export type Figures = {
  /** Of the chat that has its first token first. */
  readonly firstTokenMs: number
  /** Tokens of all prompts, by the time until every chat has its first token. */
  readonly prefillPerSecond: number
  /** Tokens that all chats write together, from the moment on when all of them write. */
  readonly decodePerSecond: number
  /** Everything that was read and written, by the whole time. */
  readonly allPerSecond: number
}

/** `start` is when all the chats were asked for. */
export function figuresOf(start: number, chats: readonly ChatTimes[]): Figures {
  const firsts = chats.map(({ pieces }) => pieces[0] ?? Number.NaN)
  const allWrite = Math.max(...firsts)
  const end = Math.max(...chats.map(({ pieces }) => pieces.at(-1) ?? Number.NaN))
  const read = sum(chats.map(({ promptTokens }) => promptTokens))
  const after = sum(chats.map(({ tokens, pieces }) => (tokens * pieces.filter((at) => at > allWrite).length) / pieces.length))
  return {
    firstTokenMs: Math.min(...firsts) - start,
    prefillPerSecond: read / ((allWrite - start) / 1000),
    decodePerSecond: after / ((end - allWrite) / 1000),
    allPerSecond: (read + sum(chats.map(({ tokens }) => tokens))) / ((end - start) / 1000),
  }
}

/** The middle one; null where there is none. */
export function median(values: readonly number[]): number | null {
  const sorted = values.toSorted((a, b) => a - b)
  const upper = sorted[Math.floor(sorted.length / 2)]
  const lower = sorted[Math.floor((sorted.length - 1) / 2)]
  return upper === undefined || lower === undefined ? null : (upper + lower) / 2
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0)

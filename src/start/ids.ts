/** Request ids: the time in front, so that rows of neighbouring requests are neighbours (decision 0004), then chance. */
import { randomBytes } from 'node:crypto'

const RANDOM_CHARS = 20
const TIME_CHARS = 12
/** Random characters are drawn so many ids at a time: a draw for each would cost ten times as much. */
const IDS_PER_DRAW = 256

/** A maker of ids of 32 hexadecimal characters that nobody can guess; later ones sort after earlier ones, to the millisecond. */
export function newIds(now: () => number): () => string {
  let pool = ''
  let at = 0
  let lastMs = -1
  let time = ''
  return () => {
    if (at >= pool.length) {
      pool = randomBytes((RANDOM_CHARS / 2) * IDS_PER_DRAW).toString('hex')
      at = 0
    }
    const nowMs = now()
    if (nowMs !== lastMs) {
      lastMs = nowMs
      time = nowMs.toString(16).padStart(TIME_CHARS, '0')
    }
    const from = at
    at += RANDOM_CHARS
    return time + pool.slice(from, at)
  }
}

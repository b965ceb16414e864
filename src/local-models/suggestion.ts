/** What somebody may have meant who typed a name that is none. */
import { isSafePath } from './settings.ts'

const AT_MOST = 3
/** So many letters may be wrong, missing or too many. */
const SLIPS = 2
/** Shorter beginnings are those of too many names. */
const BEGINNING = 3

/** A sentence; null where nothing is near. */
export function suggestionFor(typed: string, ids: Iterable<string>): string | null {
  const found = nearest(typed, ids)
  if (found.length > 0) return `Did you mean ${found.join(', or ')}?`
  if (!isSafePath(typed.split(':')[0] ?? '')) return null
  if (/^[^/:]+\.(gguf|onnx)$/i.test(typed)) return `Did you mean the file ./${typed}?`
  return /^[^/:]+\/[^/:]+(:[^:]+)?$/.test(typed) ? `Did you mean hf.co/${typed}?` : null
}

/** Names that begin so, or are only a slip away; the nearest first. Upper case and punctuation are no difference. */
function nearest(typed: string, ids: Iterable<string>): string[] {
  const wanted = lettersOf(typed)
  const near: { id: string; slips: number }[] = []
  for (const id of ids) {
    const letters = lettersOf(id)
    const slips = wanted.length >= BEGINNING && letters.startsWith(wanted) ? 0 : slipsBetween(wanted, letters)
    if (slips <= Math.min(SLIPS, wanted.length / 3)) near.push({ id, slips })
  }
  return near
    .sort((a, b) => a.slips - b.slips || a.id.length - b.id.length)
    .slice(0, AT_MOST)
    .map(({ id }) => id)
}

const lettersOf = (name: string): string =>
  name
    .slice(0, 80)
    .toLowerCase()
    .replaceAll(/[^a-z0-9]/g, '')

/** How many letters have to be changed, added or left out to make one of the other. */
function slipsBetween(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > SLIPS) return Number.POSITIVE_INFINITY
  let above = Array.from({ length: b.length + 1 }, (_, at) => at)
  for (let row = 0; row < a.length; row++) {
    const line = [row + 1]
    for (let at = 0; at < b.length; at++) {
      const change = (above[at] ?? 0) + (a[row] === b[at] ? 0 : 1)
      line.push(Math.min(change, (above[at + 1] ?? 0) + 1, (line[at] ?? 0) + 1))
    }
    above = line
  }
  return above[b.length] ?? 0
}

/**
 * The end of the event loop's turn. What one turn writes to many sockets goes out together there: who reads them is then
 * woken once and finds several messages, instead of being woken for each. Nothing waits for anything else to arrive.
 */

export type Flushable = { flush(): void }

let waiting: Flushable[] = []
let spare: Flushable[] = []

/** Calls `flush` once what this turn brought has been worked on. Whoever asks twice is flushed twice. */
export function atTurnEnd(flushable: Flushable): void {
  if (waiting.push(flushable) === 1) setImmediate(flushAll)
}

function flushAll(): void {
  const now = waiting
  waiting = spare
  spare = now
  let at = 0
  try {
    while (at < now.length) now[at++]?.flush()
  } finally {
    // A defect in one must not silence all the others, for ever.
    if (at < now.length) for (const late of now.slice(at)) atTurnEnd(late)
    now.length = 0
  }
}

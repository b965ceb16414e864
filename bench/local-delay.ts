/**
 * Imported into the server before its own code (`node --import`): measures how late its event loop is, from one SIGUSR2 to the next.
 * Each signal is answered in the file that BENCH_DELAY_FILE names; see `DelaySays`.
 */
import { renameSync, writeFileSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'

/** Milliseconds, not counting the timer's own interval; null at the beginning of a measurement. */
export type DelaySays = {
  /** How many signals have come. */
  readonly turn: number
  readonly delay: { readonly p50Ms: number; readonly p99Ms: number; readonly maxMs: number; readonly samples: number } | null
}

/** Shorter ones would cost more than what they measure. */
const INTERVAL_MS = 5

const file = process.env['BENCH_DELAY_FILE']
if (file !== undefined) {
  const delays = monitorEventLoopDelay({ resolution: INTERVAL_MS })
  const late = (ns: number): number => Math.max(0, ns / 1e6 - INTERVAL_MS)
  let turn = 0
  process.on('SIGUSR2', () => {
    const begins = ++turn % 2 === 1
    if (!begins) delays.disable()
    const says: DelaySays = {
      turn,
      delay: begins
        ? null
        : {
            p50Ms: late(delays.percentile(50)),
            p99Ms: late(delays.percentile(99)),
            maxMs: late(delays.max),
            samples: delays.count,
          },
    }
    writeFileSync(`${file}.new`, JSON.stringify(says))
    renameSync(`${file}.new`, file)
    if (begins) {
      delays.reset()
      delays.enable()
    }
  })
}

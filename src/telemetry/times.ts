/**
 * A histogram of times, fed on the path of every request: an addition into a fixed array, where prom-client's costs a
 * microsecond. It writes the same exposition text.
 */

/** Upper bounds in seconds, for answers that take from a few milliseconds to minutes. */
const BOUNDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300]

/** One series. Counts are per bucket, the last one for what is above all bounds; they are summed up when written. */
export class Times {
  readonly #labels: string
  readonly #counts = new Float64Array(BOUNDS.length + 1)
  #sum = 0

  constructor(labels: Readonly<Record<string, string>>) {
    this.#labels = Object.entries(labels)
      .map(([name, value]) => `${name}="${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`)
      .join(',')
  }

  observe(seconds: number): void {
    let at = 0
    while (at < BOUNDS.length && seconds > (BOUNDS[at] ?? 0)) at++
    this.#counts[at] = (this.#counts[at] ?? 0) + 1
    this.#sum += seconds
  }

  lines(name: string): string {
    let out = ''
    let count = 0
    for (let at = 0; at <= BOUNDS.length; at++) {
      count += this.#counts[at] ?? 0
      out += `${name}_bucket{le="${BOUNDS[at] ?? '+Inf'}",${this.#labels}} ${count}\n`
    }
    return `${out}${name}_sum{${this.#labels}} ${this.#sum}\n${name}_count{${this.#labels}} ${count}\n`
  }
}

/** A whole metric: its heading, then its series. */
export function timesText(name: string, help: string, series: Iterable<Times>): string {
  let out = `# HELP ${name} ${help}\n# TYPE ${name} histogram\n`
  for (const one of series) out += one.lines(name)
  return out
}

/**
 * The load generator: HTTP/1.1 over raw keep-alive sockets, cheap enough to leave the server the slower one, and strict:
 * every answer must have status 200 and all of its text, and the first of every connection is parsed and compared.
 *
 * Closed loop: every connection asks again as soon as it was answered. Open loop (`rate`): requests are due at a fixed
 * rate; one that finds no connection free waits, and its latency counts from when it was due, so a slow server cannot
 * slow its own measurement down. The generator's own timer (1 ms) is not charged to the server.
 */
import { Connection, type Expected } from './connection.ts'

export type LoadOptions = {
  readonly port: number
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  readonly expected: Expected
  readonly connections: number
  /** Measured time after a run-in of `rampMs`, in milliseconds. With `requests` it is only the limit. */
  readonly durationMs: number
  readonly rampMs: number
  /** Requests per second of an open loop; without it the loop is closed. */
  readonly rate?: number
  /** Ends after that many answers. */
  readonly requests?: number
  /** Called when the run-in is over and when the measurement is, to read the server's counters. */
  readonly onStart?: () => void
  readonly onEnd?: () => void
}

export type LoadResult = {
  readonly answers: number
  readonly perSecond: number
  readonly p50Us: number
  readonly p99Us: number
  readonly firstByteP50Us: number
  readonly firstByteP99Us: number
  /** From the upstream's write of a chunk to its arrival here; only paced streams say. */
  readonly chunkP50Us: number | null
  readonly chunkP99Us: number | null
  /** Wrong answers, by what was wrong with them. A good run has none. */
  readonly wrong: Readonly<Record<string, number>>
}

/** After the end of a run its last answers may take this long. */
const TAIL_MS = 10_000
const BACKLOG_MAX = 100_000

export async function load(options: LoadOptions): Promise<LoadResult> {
  const run = new Load(options)
  return await run.run()
}

class Load {
  readonly #options: LoadOptions
  readonly #idle: Connection[] = []
  readonly #due: number[] = []
  readonly #latency: number[] = []
  readonly #firstByte: number[] = []
  readonly #chunks: number[] = []
  readonly #wrong = new Map<string, number>()
  #answers = 0
  #busy = 0
  #measuring = false
  #stopped = false
  #idleNow: (() => void) | null = null
  #enough: (() => void) | null = null

  constructor(options: LoadOptions) {
    this.#options = options
  }

  async run(): Promise<LoadResult> {
    const { options } = { options: this.#options }
    const request = requestOf(options)
    const connections = await Promise.all(
      Array.from({ length: options.connections }, () =>
        Connection.open(options.port, request, options.expected, {
          answered: (connection) => this.#answered(connection),
          failed: (connection, why) => this.#failed(connection, why),
          chunk: (us) => {
            if (this.#measuring) this.#chunks.push(us)
          },
        }),
      ),
    )
    this.#idle.push(...connections)
    const stopAsking = options.rate === undefined ? this.#askAll() : this.#askAt(options.rate)

    await pause(options.rampMs)
    const startedAt = performance.now()
    options.onStart?.()
    this.#measuring = true
    await within(options.durationMs, (done) => {
      this.#enough = done
    })
    this.#measuring = false
    options.onEnd?.()
    const seconds = (performance.now() - startedAt) / 1000
    this.#stopped = true
    stopAsking()
    await this.#drain()
    for (const connection of connections) connection.close()
    return this.#result(seconds)
  }

  #askAll(): () => void {
    for (let connection = this.#idle.pop(); connection; connection = this.#idle.pop()) this.#ask(connection, performance.now())
    return () => undefined
  }

  #askAt(rate: number): () => void {
    const startedAt = performance.now()
    let sent = 0
    const timer = setInterval(() => {
      const now = performance.now()
      for (; startedAt + (sent * 1000) / rate <= now; sent++) {
        const connection = this.#idle.pop()
        if (connection) this.#ask(connection, performance.now())
        else if (this.#due.length < BACKLOG_MAX) this.#due.push(now)
        else this.#count('backlog full')
      }
    }, 1)
    return () => clearInterval(timer)
  }

  #ask(connection: Connection, dueAt: number): void {
    this.#busy++
    connection.ask(dueAt)
  }

  #answered(connection: Connection): void {
    this.#busy--
    if (this.#measuring) {
      this.#answers++
      this.#latency.push((performance.now() - connection.dueAt) * 1000)
      this.#firstByte.push((connection.firstByteAt - connection.dueAt) * 1000)
      if (this.#answers === this.#options.requests) this.#enough?.()
    }
    this.#next(connection)
  }

  #failed(connection: Connection, why: string): void {
    this.#count(why)
    this.#busy--
    if (this.#stopped || connection.broken) this.#settle()
    else this.#next(connection)
  }

  #next(connection: Connection): void {
    if (this.#stopped) this.#settle()
    else if (this.#options.rate === undefined) this.#ask(connection, performance.now())
    else {
      const due = this.#due.shift()
      if (due === undefined) this.#idle.push(connection)
      else this.#ask(connection, due)
    }
  }

  #count(why: string): void {
    this.#wrong.set(why, (this.#wrong.get(why) ?? 0) + 1)
  }

  #settle(): void {
    if (this.#busy === 0) this.#idleNow?.()
  }

  async #drain(): Promise<void> {
    if (this.#busy === 0) return
    await within(TAIL_MS, (done) => {
      this.#idleNow = done
    })
    if (this.#busy > 0) this.#count('unanswered')
  }

  #result(seconds: number): LoadResult {
    if (this.#answers === 0) this.#count('no answer in the whole run')
    return {
      answers: this.#answers,
      perSecond: this.#answers / seconds,
      p50Us: quantile(this.#latency, 0.5),
      p99Us: quantile(this.#latency, 0.99),
      firstByteP50Us: quantile(this.#firstByte, 0.5),
      firstByteP99Us: quantile(this.#firstByte, 0.99),
      chunkP50Us: this.#chunks.length > 0 ? quantile(this.#chunks, 0.5) : null,
      chunkP99Us: this.#chunks.length > 0 ? quantile(this.#chunks, 0.99) : null,
      wrong: Object.fromEntries(this.#wrong),
    }
  }
}

function requestOf({ path, port, headers, body }: LoadOptions): Buffer {
  let head = `POST ${path} HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n`
  for (const name in headers) head += `${name}: ${headers[name]}\r\n`
  return Buffer.from(`${head}\r\n${body}`)
}

/** Sorts its input. */
function quantile(values: number[], q: number): number {
  values.sort((a, b) => a - b)
  return values[Math.min(values.length - 1, Math.floor(values.length * q))] ?? 0
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** Resolves when `done` is called, or after the limit. */
function within(limitMs: number, hand: (done: () => void) => void): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, limitMs)
    hand(() => {
      clearTimeout(timer)
      resolve()
    })
  })
}

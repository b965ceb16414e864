import { describe, expect, test } from 'vitest'
import type { Engine, Reach } from '../core/engine.ts'
import { turns } from './text-run.fixture.ts'
import { type Timers, watchEngines } from './watch.ts'

const UP: Reach = { up: true, models: null }
const DOWN: Reach = { up: false, why: 'refused' }

function engine(id: string, probe: Engine['probe'], lists = true): Engine {
  return { id, privacy: 'private', abilities: {}, lists, probe, close: () => Promise.resolve() }
}

/** Time that only goes on when the test says so. */
class ManualTimers implements Timers {
  #now = 0
  #due: { at: number; call: () => void }[] = []

  after(ms: number, call: () => void): () => void {
    const timer = { at: this.#now + ms, call }
    this.#due.push(timer)
    return () => {
      this.#due = this.#due.filter((one) => one !== timer)
    }
  }

  get waiting(): number {
    return this.#due.length
  }

  async pass(ms: number): Promise<void> {
    const until = this.#now + ms
    for (;;) {
      const next = this.#due.filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)[0]
      if (!next) break
      this.#now = next.at
      this.#due = this.#due.filter((one) => one !== next)
      next.call()
      await turns(3)
    }
    this.#now = until
  }
}

function watch(engines: readonly Engine[]) {
  const timers = new ManualTimers()
  const stop = new AbortController()
  const heard: [string, Reach][] = []
  const { firstRound } = watchEngines(engines, (id, reach) => void heard.push([id, reach]), { signal: stop.signal, timers })
  return { timers, stop, heard, firstRound }
}

describe('the watch over the engines', () => {
  test('asks all of them at once, and its first round ends when each was heard', async () => {
    const answers = new Map<string, (reach: Reach) => void>()
    const asks = (id: string) => engine(id, () => new Promise((resolve) => answers.set(id, resolve)))
    const { heard, firstRound } = watch([asks('a'), asks('b')])
    await turns(1)

    expect([...answers.keys()]).toEqual(['a', 'b'])
    answers.get('b')?.(DOWN)
    answers.get('a')?.(UP)
    await firstRound

    expect(heard).toEqual([
      ['b', DOWN],
      ['a', UP],
    ])
  })

  test('gives up on an engine after two seconds, and tells it so', async () => {
    let told = false
    const silent = engine('a', (signal) => {
      signal.addEventListener('abort', () => (told = true))
      return new Promise(() => undefined)
    })
    const { timers, heard, firstRound } = watch([silent])

    await timers.pass(2000)
    await firstRound

    expect(heard).toEqual([['a', { up: false, why: 'timeout' }]])
    expect(told).toBe(true)
  })

  test('takes an engine that rejects or throws for one that is down', async () => {
    const rejects = engine('a', () => Promise.reject(new Error('words')))
    const throws = engine('b', () => {
      throw new Error('words')
    })
    const { heard, firstRound } = watch([rejects, throws])

    await firstRound

    expect(new Map(heard)).toEqual(
      new Map([
        ['a', { up: false, why: 'error' }],
        ['b', { up: false, why: 'error' }],
      ]),
    )
  })

  test('asks local engines every ten seconds, and services every five minutes, or half a minute when down', async () => {
    const counts: Record<string, number> = { local: 0, service: 0, broken: 0 }
    const counting = (id: string, lists: boolean, reach: Reach) =>
      engine(id, () => Promise.resolve().then(() => ((counts[id] = (counts[id] ?? 0) + 1), reach)), lists)
    const { timers, firstRound } = watch([counting('local', true, UP), counting('service', false, UP), counting('broken', false, DOWN)])
    await firstRound
    await turns(3)

    await timers.pass(300_000)

    expect(counts).toEqual({ local: 31, service: 2, broken: 11 })
  })

  test('ends with its signal: nothing is asked, heard or waited for after that', async () => {
    let answer: (reach: Reach) => void = () => undefined
    const { timers, stop, heard, firstRound } = watch([
      engine('a', () => new Promise((resolve) => (answer = resolve))),
      engine('b', () => Promise.resolve(UP)),
    ])
    await turns(3)

    stop.abort()
    answer(UP)
    await firstRound
    await timers.pass(1_000_000)

    expect(heard).toEqual([['b', UP]])
    expect(timers.waiting).toBe(0)
  })
})

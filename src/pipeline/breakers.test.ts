import { describe, expect, it } from 'vitest'
import type { Deployment } from '../core/model.ts'
import { Breakers } from './breakers.ts'

const deployment: Deployment = { engine: 'a', model: 'm', weight: 1, order: 0 }

function given(): { breakers: Breakers; clock: { at: number }; changes: boolean[] } {
  const clock = { at: 1_000 }
  const changes: boolean[] = []
  const breakers = new Breakers({ now: () => clock.at, tick: () => clock.at, id: () => 'id' }, (_deployment, open) => changes.push(open))
  return { breakers, clock, changes }
}

const failTimes = (breakers: Breakers, times: number): void => {
  for (let i = 0; i < times; i++) if (breakers.admits(deployment)) breakers.failed(deployment)
}

describe('a breaker', () => {
  it('opens after five failures in a row, and a success between them starts the count anew', () => {
    const { breakers, changes } = given()

    failTimes(breakers, 4)
    breakers.succeeded(deployment)
    failTimes(breakers, 4)
    const before = breakers.admits(deployment)
    breakers.failed(deployment)

    expect(before).toBe(true)
    expect(breakers.admits(deployment)).toBe(false)
    expect(changes).toEqual([true])
  })

  it('lets exactly one probe through after its time, and closes when that succeeds', () => {
    const { breakers, clock, changes } = given()
    failTimes(breakers, 5)

    clock.at += 5_000
    const first = breakers.admits(deployment)
    const second = breakers.admits(deployment)
    breakers.succeeded(deployment)

    expect([first, second, breakers.admits(deployment)]).toEqual([true, false, true])
    expect(changes).toEqual([true, false])
  })

  it('stays open twice as long after a failed probe', () => {
    const { breakers, clock } = given()
    failTimes(breakers, 5)
    clock.at += 5_000
    failTimes(breakers, 1)

    clock.at += 9_999
    const early = breakers.admits(deployment)
    clock.at += 1

    expect([early, breakers.admits(deployment)]).toEqual([false, true])
  })

  it('allows another probe when the first was cut off by its caller', () => {
    const { breakers, clock } = given()
    failTimes(breakers, 5)
    clock.at += 5_000
    breakers.admits(deployment)

    breakers.undecided(deployment)

    expect(breakers.admits(deployment)).toBe(true)
  })

  it('leaves a deployment alone for as long as it asked, and says how long that is', () => {
    const { breakers, clock } = given()

    breakers.asked(deployment, 3_000)
    const during = breakers.admits(deployment)
    const wait = breakers.shortestWaitMs([deployment])
    clock.at += 3_000

    expect([during, wait, breakers.admits(deployment), breakers.shortestWaitMs([deployment])]).toEqual([false, 3_000, true, null])
  })
})

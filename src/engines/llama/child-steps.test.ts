import { describe, expect, test } from 'vitest'
import { Steps, sharesOf } from './child-steps.ts'

const BATCH = 512

test.each([
  ['prompts of the same length are read alike', [256, 256, 256, 256], [128, 128, 128, 128]],
  ['whoever writes needs one token, and those who read share the rest', [1, 1, 2000, 2000], [1, 1, 255, 255]],
  ['nobody gets more than is wanted', [3, 600, 600], [3, 254, 255]],
  ['one alone gets the whole batch', [2000], [512]],
  ['what fits is read at once', [100, 200], [100, 200]],
])('%s', (_title, wanted, shares) => {
  expect(sharesOf(wanted, BATCH)).toEqual(shares)
})

test('everybody has a share, and all of them fit the batch, whatever is wanted', () => {
  for (let seats = 1; seats <= 64; seats++) {
    const wanted = Array.from({ length: seats }, (_, at) => 1 + ((at * 7919 + seats * 31) % 900))
    const shares = sharesOf(wanted, 64)
    expect(Math.min(...shares)).toBeGreaterThan(0)
    expect(shares.reduce((sum, share) => sum + share, 0)).toBeLessThanOrEqual(64)
    expect(shares.every((share, at) => share <= (wanted[at] ?? 0))).toBe(true)
  }
})

describe('a step', () => {
  test('takes all who come at the same time', async () => {
    const steps = new Steps(BATCH)
    const seats = [steps.join(), steps.join(), steps.join(), steps.join()]
    const all = (): Promise<number[]> => Promise.all(seats.map((seat) => seat.turn(1000)))
    await all()
    expect(await all()).toEqual([128, 128, 128, 128])
  })

  test('is short where it is the first, for those who come a little later', async () => {
    const steps = new Steps(BATCH)
    const first = steps.join()
    expect(await first.turn(1000)).toBe(64)
    const second = steps.join()
    expect(await Promise.all([first.turn(936), second.turn(1000)])).toEqual([256, 256])
  })

  test('waits for those who are still at work on the one before, and for nobody who has left', async () => {
    const steps = new Steps(BATCH)
    const [first, second, third] = [steps.join(), steps.join(), steps.join()]
    await Promise.all([first.turn(1), second.turn(1), third.turn(1)])
    const begun: string[] = []
    const one = first.turn(1).then(() => begun.push('first'))
    const two = second.turn(1).then(() => begun.push('second'))
    await new Promise((resolve) => setImmediate(resolve))
    expect(begun).toEqual([])
    third.leave()
    await Promise.all([one, two])
    expect(begun).toEqual(['first', 'second'])
  })

  test('is joined by whoever came while the one before was computed', async () => {
    const steps = new Steps(BATCH)
    const first = steps.join()
    await first.turn(1)
    const second = steps.join()
    const late = second.turn(2000)
    expect(await Promise.all([first.turn(1), late])).toEqual([1, 511])
  })

  test('begins again for whoever comes after all have left', async () => {
    const steps = new Steps(BATCH)
    const first = steps.join()
    await first.turn(1)
    first.leave()
    expect(await steps.join().turn(7)).toBe(7)
  })
})

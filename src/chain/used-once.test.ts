import { expect, test } from 'vitest'
import { testClock } from './testing.fixture.ts'
import { UsedOnce } from './used-once.ts'

test('what was used is known until its time is over, and its memory is free then', () => {
  const clock = testClock(0)
  const used = new UsedOnce(clock, { keepMs: 100, perOwner: 10, total: 10 })

  expect([used.use('a', 'x'), used.use('a', 'x'), used.use('b', 'x')]).toEqual([true, false, true])
  clock.time = 99
  expect(used.use('a', 'x')).toBe(false)
  clock.time = 100
  expect([used.use('a', 'x'), used.size]).toEqual([true, 1])
})

test('one owner, and all together, take up so much memory and no more: new ones are refused, none is forgotten', () => {
  const used = new UsedOnce(testClock(0), { keepMs: 100, perOwner: 2, total: 3 })
  used.use('a', '1')
  used.use('a', '2')

  expect(() => used.use('a', '3')).toThrow(expect.objectContaining({ code: 'RATE_LIMIT_EXCEEDED' }))
  expect(used.use('b', '1')).toBe(true)
  expect(() => used.use('c', '1')).toThrow(expect.objectContaining({ code: 'RATE_LIMIT_EXCEEDED' }))
  expect(used.use('a', '1')).toBe(false)
})

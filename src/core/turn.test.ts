import { setImmediate as turn } from 'node:timers/promises'
import { expect, test, vi } from 'vitest'
import { atTurnEnd } from './turn.ts'

test('all that ask in one turn are flushed at its end, in their order, and those that ask meanwhile at the end of the next', async () => {
  const flushed: string[] = []
  const late = { flush: () => void flushed.push('late') }
  atTurnEnd({
    flush() {
      flushed.push('first')
      atTurnEnd(late)
    },
  })
  atTurnEnd({ flush: () => void flushed.push('second') })

  const before = [...flushed]
  await turn()
  const after = [...flushed]
  await turn()

  expect([before, after, flushed]).toEqual([[], ['first', 'second'], ['first', 'second', 'late']])
})

test('a defect in one keeps nobody else from being flushed, then or later', async () => {
  const defects: unknown[] = []
  const heard = vi.spyOn(process, 'emit').mockImplementation(((name: string, defect: unknown) => {
    if (name === 'uncaughtException') defects.push(defect)
    return true
  }) as typeof process.emit)
  const flushed: string[] = []
  const defect = new Error('a defect')
  atTurnEnd({ flush: () => void flushed.push('before') })
  atTurnEnd({
    flush() {
      throw defect
    },
  })
  atTurnEnd({ flush: () => void flushed.push('after') })

  for (let i = 0; i < 3; i++) await turn()
  atTurnEnd({ flush: () => void flushed.push('later') })
  await turn()
  heard.mockRestore()

  expect([defects, flushed]).toEqual([[defect], ['before', 'after', 'later']])
})

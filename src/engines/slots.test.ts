import { describe, expect, test } from 'vitest'
import { Slots } from './slots.ts'

const WAIT_MS = 10_000
const never = (): AbortSignal => new AbortController().signal

describe('the queue', () => {
  test('computes so many at once and the others in the order they came', async () => {
    const slots = new Slots(2, 10)
    const order: number[] = []
    const run = async (name: number): Promise<void> => {
      const giveBack = await slots.take(0, never(), WAIT_MS)
      order.push(name)
      await new Promise(setImmediate)
      giveBack()
      giveBack()
    }

    const runs = [1, 2, 3, 4, 5].map(run)
    expect(slots.waiting).toBe(3)
    await Promise.all(runs)

    expect(order).toEqual([1, 2, 3, 4, 5])
    expect(slots.waiting).toBe(0)
  })

  test('lets others in between the many choices of one run, and lets that come to its end', async () => {
    const slots = new Slots(1, 10)
    const order: string[] = []
    const giveBack = await slots.take(0, never(), WAIT_MS)
    const wait = (name: string, choice: number): Promise<void> =>
      slots.take(choice, never(), WAIT_MS).then((back) => {
        order.push(name)
        back()
      })

    const all = [wait('a0', 0), wait('a1', 1), wait('a2', 2), wait('a3', 3), wait('b', 0), wait('c', 0), wait('d', 0)]
    giveBack()
    await Promise.all(all)

    expect(order).toEqual(['a0', 'a1', 'b', 'a2', 'c', 'a3', 'd'])
  })

  test('refuses at once whoever would wait too long, and after its time whoever did', async () => {
    const slots = new Slots(1, 1)
    await slots.take(0, never(), WAIT_MS)
    const waits = slots.take(0, never(), 20)

    await expect(slots.take(0, never(), WAIT_MS)).rejects.toMatchObject({ code: 'MODEL_AT_CAPACITY', internal: 'local_queue_full' })
    await expect(waits).rejects.toMatchObject({ code: 'MODEL_AT_CAPACITY', internal: 'local_queue_timeout' })
    expect(slots.waiting).toBe(0)
  })

  test('forgets whoever leaves', async () => {
    const slots = new Slots(1, 4)
    const giveBack = await slots.take(0, never(), WAIT_MS)
    const left = new AbortController()
    const leaves = slots.take(0, left.signal, WAIT_MS)
    const stays = slots.take(0, never(), WAIT_MS)

    left.abort()
    giveBack()

    await expect(leaves).rejects.toMatchObject({ internal: 'caller_left' })
    expect(await stays).toBeTypeOf('function')
  })
})

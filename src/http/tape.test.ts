import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Cancel } from '../core/cancel.ts'
import { callerLeft } from '../core/errors.ts'
import { Tape, type TapeOptions } from './tape.ts'

const tapeOf = (more: Partial<TapeOptions> = {}): Tape =>
  new Tape({ roomBytes: 4_000, atMostBytes: 1_000_000, onRoom: () => undefined, onHeld: null, ...more })

/** A piece that is not copied together with others. */
const piece = (letter: string): Buffer => Buffer.alloc(2_000, letter)

async function all(tape: Tape, signal = new Cancel()): Promise<Buffer> {
  const pieces: Buffer[] = []
  for await (const one of tape.read(signal)) pieces.push(one)
  return Buffer.concat(pieces)
}

describe('a tape', () => {
  test('gives what was written, in whatever pieces, to a reader of any speed', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 3_000 }), { maxLength: 20 }), fc.nat(3), async (written, turns) => {
        let room = (): void => undefined
        const tape = tapeOf({ onRoom: () => room() })
        const reading = all(tape)
        for (const bytes of written) {
          tape.write(Buffer.from(bytes))
          for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate)
          if (tape.full) await new Promise<void>((resolve) => (room = resolve))
        }
        tape.end()

        expect((await reading).equals(Buffer.concat(written))).toBe(true)
        expect(tape.atMostBytes).toBe(Buffer.concat(written).length)
      }),
    )
  })

  test('asks to wait when it is full, and has room when something was read', async () => {
    let rooms = 0
    const tape = tapeOf({ onRoom: () => rooms++ })
    tape.write(piece('a'))
    const before = tape.full
    tape.write(piece('b'))
    const reading = tape.read(new Cancel())

    expect([before, tape.full, rooms]).toEqual([false, true, 0])
    await reading.next()
    expect([tape.full, rooms]).toEqual([false, 1])
  })

  test('can be read again from its beginning until that had to make room', async () => {
    const tape = tapeOf()
    tape.write(piece('a'))
    await tape.read(new Cancel()).next()
    const again = await tape.read(new Cancel()).next()
    tape.write(piece('b'))
    tape.write(piece('c'))

    expect(again.value?.toString()).toBe('a'.repeat(2_000))
    expect(tape.fromStart).toBe(false)
    await expect(tape.read(new Cancel()).next()).rejects.toMatchObject({ internal: 'upload_forgotten' })
  })

  test('that is kept whole has room for all of it, and says how much it holds', async () => {
    const held: number[] = []
    const tape = tapeOf({ roomBytes: null, onHeld: (bytes) => void held.push(bytes) })
    for (const letter of 'abc') tape.write(piece(letter))
    tape.end()

    const [first, second] = [await all(tape), await all(tape)]
    expect([first.length, second.equals(first), tape.full, held]).toEqual([6_000, true, false, [2_000, 4_000, 6_000]])
  })

  test('ends a reader when another one begins', async () => {
    const tape = tapeOf()
    const before = tape.read(new Cancel()).next()
    const now = tape.read(new Cancel()).next()
    tape.write(piece('a'))

    expect([(await before).done, (await now).value?.length]).toEqual([true, 2_000])
  })

  test('is left by a reader whose signal is aborted, while it waits', async () => {
    const cancel = new Cancel()
    const waiting = tapeOf().read(cancel).next()
    cancel.abort(callerLeft())

    await expect(waiting).rejects.toMatchObject({ internal: 'caller_left' })
  })

  test('puts small pieces together, so that they take little more than their bytes', async () => {
    const tape = tapeOf({ roomBytes: null })
    for (let count = 0; count < 20_000; count++) tape.write(Buffer.from('x'))
    tape.end()

    let pieces = 0
    for await (const { length } of tape.read(new Cancel())) pieces += Math.sign(length)
    expect(pieces).toBeLessThan(5)
  })

  test('has its beginning to be looked at, as much as has come', () => {
    const tape = tapeOf()
    tape.write(Buffer.from('RI'))
    tape.write(Buffer.from('FF'))

    expect(tape.head.toString()).toBe('RIFF')
  })
})

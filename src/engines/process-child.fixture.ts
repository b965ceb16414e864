/** A child for the tests of `process.ts`, which behaves or misbehaves as its first argument and the methods called say. */
import { writeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { ChildFailure, serveParent } from './process-child.ts'
import type { ChildCall } from './process-child.ts'

const [mode = '', file = ''] = process.argv.slice(2)
const CHANNEL_FD = 3
const FOREVER_MS = 2 ** 30
/** Ends what waits until it is told. */
let told = (): void => undefined

if (mode === 'crash') process.exit(3)
if (mode === 'mute') await sleep(FOREVER_MS)
if (mode === 'garbage') {
  writeSync(CHANNEL_FD, 'this is no frame, it is what a broken library prints')
  await sleep(FOREVER_MS)
}
process.stdout.write('SECRET on stdout\n')
process.stderr.write('SECRET on stderr\n')

await serveParent(async () => {
  if (mode === 'bad') throw new ChildFailure('bad_file')
  if (mode === 'slow') await sleep(150)
  return { info: { env: Object.keys(process.env).sort(), file }, handle }
})

async function handle({ method, body, bytes, left, part, beat }: ChildCall): Promise<{ value: unknown; bytes?: Uint8Array }> {
  switch (method) {
    case 'echo':
      return { value: body, ...(bytes && { bytes }) }
    case 'count':
      for (let i = 0; i < Number(body); i++) part(i)
      return { value: 'counted' }
    case 'refuse':
      throw new ChildFailure('too_long', { limit: 7 })
    case 'defect':
      throw new Error(`SECRET ${String(body)}`)
    case 'crash':
      part('before')
      await sleep(20)
      process.exit(1)
      break
    case 'hang':
      part('before')
      await sleep(FOREVER_MS)
      break
    case 'work':
      // Has nothing to say for longer than silence is allowed, but goes on.
      for (let i = 0; i < 6; i++) {
        await sleep(40)
        beat()
      }
      return { value: 'worked' }
    case 'until-left':
      part('before')
      await new Promise((resolve) => left.addEventListener('abort', resolve))
      return { value: 'left' }
    case 'until-told':
      part('before')
      await new Promise<void>((resolve) => (told = resolve))
      return { value: 'told' }
    case 'tell':
      told()
      break
    case 'garbage':
      part('before')
      await sleep(20)
      writeSync(CHANNEL_FD, '\x05\0\0\0\0\0\0\0[[[[[')
      await sleep(FOREVER_MS)
      break
  }
  return { value: null }
}

/** The child that speaks by espeak-ng, a GPL program: nothing of it is loaded anywhere else. */
import { z } from 'zod'
import { ChildFailure, serveParent } from '../process-child.ts'
import type { ChildCall } from '../process-child.ts'

const speakBody = z.object({
  text: z.string(),
  voice: z.string().regex(/^[a-z-]{2,8}(\+[fm]\d)?$/),
  wordsPerMinute: z.int().min(80).max(450),
})

/** As much of the program as is used: it runs once per sentence, in a file system of its own that is nothing but memory. */
type Disk = { readFile(path: string): Uint8Array }
type Program = (options: {
  readonly arguments: readonly string[]
  /** The next byte of what it reads; null at the end. */
  readonly stdin: () => number | null
  readonly print: () => void
  readonly printErr: () => void
}) => Promise<{ readonly FS: Disk }>

const WAV_HEAD_BYTES = 44

await serveParent(async () => {
  const program = await load()
  return { info: null, handle: (call) => speak(program, call) }
})

async function load(): Promise<Program> {
  try {
    // It may not be installed, and has no types.
    const library = 'espeak-ng'
    const { default: program } = (await import(library)) as { readonly default: Program }
    return program
  } catch {
    throw new ChildFailure('no_library')
  }
}

async function speak(program: Program, { body }: ChildCall): Promise<{ value: unknown; bytes: Uint8Array }> {
  const { text, voice, wordsPerMinute } = speakBody.parse(body)
  const nothing = (): void => undefined
  const bytes = Buffer.from(text).values()
  const { FS } = await program({
    arguments: ['-v', voice, '-s', String(wordsPerMinute), '-w', 'out.wav', '--stdin'],
    stdin: () => bytes.next().value ?? null,
    print: nothing,
    printErr: nothing,
  })
  const file = FS.readFile('out.wav')
  const sampleRate = new DataView(file.buffer, file.byteOffset, file.byteLength).getUint32(24, true)
  return { value: sampleRate, bytes: file.subarray(WAV_HEAD_BYTES) }
}

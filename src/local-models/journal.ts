/**
 * Which parts of a file are on the disk, in a file beside it that is only ever added to: a line of what file it is, then a line for
 * each range. A line that was cut by the end of a process is no line.
 * Invariant: a range is noted after its bytes were handed to the disk.
 */
import { stat, type FileHandle } from 'node:fs/promises'
import { z } from 'zod'
import { isMissing, openForLines, readText, remove, replaceText } from './disk.ts'
import { Ranges } from './ranges.ts'

/** A journal this long has grown by an accident. */
const MAX_BYTES = 16 * 1024 * 1024

const head = z.strictObject({
  sizeBytes: z.int().min(0),
  /** The ETag or the time of change, as the server wants to see it again; null where it gave none. */
  validator: z.string().nullable(),
  /** What the hub announced; another announcement is another file. */
  digest: z.string().nullable(),
})
export type JournalHead = z.infer<typeof head>

export class Journal {
  readonly #path: string
  #file: FileHandle | null = null

  constructor(path: string) {
    this.#path = path
  }

  /** What is there of the file at `partPath`; null where nothing is, or nothing that can be relied on. */
  async read(partPath: string): Promise<{ readonly head: JournalHead; readonly ranges: Ranges } | null> {
    const text = await readText(this.#path, MAX_BYTES)
    const [first = '', ...lines] = text?.slice(0, text.lastIndexOf('\n') + 1).split('\n') ?? []
    const parsed = head.safeParse(jsonOf(first))
    if (!parsed.success) return null
    const ranges = new Ranges()
    for (const line of lines) {
      const [, from, to] = /^(\d{1,15}) (\d{1,15})$/.exec(line) ?? []
      if (from !== undefined && to !== undefined && Number(to) <= parsed.data.sizeBytes) ranges.add(Number(from), Number(to))
    }
    const there = await sizeOf(partPath)
    return there !== null && there >= ranges.end ? { head: parsed.data, ranges } : null
  }

  /** Begins anew with what file it is. */
  async begin(of: JournalHead): Promise<void> {
    await this.close()
    await replaceText(this.#path, `${JSON.stringify(of)}\n`)
  }

  async note(from: number, to: number): Promise<void> {
    this.#file ??= await openForLines(this.#path)
    // The line feed in front ends a line that was cut.
    await this.#file.write(`\n${from} ${to}\n`)
  }

  async close(): Promise<void> {
    const file = this.#file
    this.#file = null
    await file?.close()
  }

  async remove(): Promise<void> {
    await this.close()
    await remove(this.#path)
  }
}

async function sizeOf(path: string): Promise<number | null> {
  try {
    return (await stat(path)).size
  } catch (error) {
    if (isMissing(error)) return null
    throw error
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

/** What is written beside a model's files: that they are whole, where they came from, and the hashes they are known by. */
import { join } from 'node:path'
import { z } from 'zod'
import { readText, replaceText } from './disk.ts'
import { isSafePath, modality, modelId } from './settings.ts'

const MAX_BYTES = 4 * 1024 * 1024

const safePath = z.string().refine(isSafePath)

const manifest = z.strictObject({
  format: z.literal(1),
  id: modelId,
  modality,
  /** As it was asked for, without what may be secret in an address. */
  source: z.string(),
  licence: z.string().nullable(),
  files: z
    .array(
      z.strictObject({
        path: safePath,
        sizeBytes: z.int().min(0),
        sha256: z.string().regex(/^[0-9a-f]{64}$/),
        /** Whether its hash was announced by somebody before it came. */
        announced: z.boolean(),
        /** The user's own file that it is a link to. */
        linkedTo: z.string().nullable(),
      }),
    )
    .min(1),
  roles: z.record(z.string(), safePath),
  pulledAt: z.int(),
})
export type Manifest = z.infer<typeof manifest>

const order = z.strictObject({
  format: z.literal(1),
  id: modelId,
  /** What was typed, with all that it takes to go on. */
  typed: z.string(),
  /** The same of a projector that was named beside it. */
  projector: z.string().nullable().default(null),
  modality: modality.nullable(),
  how: z.enum(['link', 'copy']),
  /** Whether it is downloaded although it is too large for the memory here. */
  force: z.boolean().default(false),
  /** Bytes in all, once they are known. */
  sizeBytes: z.int().min(0).nullable(),
})
/** A download that was begun and is not through. */
export type Order = z.infer<typeof order>

export const MANIFEST = 'manifest.json'
export const ORDER = 'pull.json'
/** The model's files are in a folder of their own, so that none of them can be taken for ours. */
export const FILES = 'files'

/** The name of a model's folder. What stands for the slash is in no id, so no two ids share a folder. */
export const folderName = (id: string): string => id.replaceAll('/', '+')

/** Null where there is none; `broken` where there is one that cannot be read. */
export const readManifest = (folder: string): Promise<Manifest | 'broken' | null> => read(manifest, join(folder, MANIFEST))

export const writeManifest = (folder: string, value: Manifest): Promise<void> =>
  replaceText(join(folder, MANIFEST), `${JSON.stringify(value, null, 1)}\n`)

export async function readOrder(folder: string): Promise<Order | null> {
  const found = await read(order, join(folder, ORDER))
  return found === 'broken' ? null : found
}

export const writeOrder = (folder: string, value: Order): Promise<void> => replaceText(join(folder, ORDER), `${JSON.stringify(value)}\n`)

async function read<T>(schema: z.ZodType<T>, path: string): Promise<T | 'broken' | null> {
  const text = await readText(path, MAX_BYTES)
  if (text === null) return null
  try {
    const parsed = schema.safeParse(JSON.parse(text))
    return parsed.success ? parsed.data : 'broken'
  } catch {
    // It is no JSON, which is as broken.
    return 'broken'
  }
}

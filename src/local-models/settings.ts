/** `local-models.json`: the curated registry, and the bounds of downloads and memory. */
import { z } from 'zod'

/** Ids name folders, commands and catalogue entries; a `/` joins an organisation and a name. */
export const modelId = z
  .string()
  .max(128)
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*(\/[A-Za-z0-9][A-Za-z0-9._-]*)*$/, 'must be letters, digits and . _ - with / in between')

export const modality = z.enum(['text', 'embedding', 'tts', 'asr'])

/** `org/name`, as the hub has it. */
export const repositoryName = z.string().regex(/^[A-Za-z0-9][\w.-]{0,95}\/[A-Za-z0-9][\w.-]{0,95}$/, 'must be org/name')
export const revisionName = z.string().regex(/^[A-Za-z0-9][\w./-]{0,127}$/, 'must be a branch, a tag or a commit')
const role = z.string().regex(/^[a-z][A-Za-z0-9]{0,31}$/)
/** Where a file is in its repository; of a folder, with a `/` at its end, everything in it. */
const filePath = z.string().refine((path) => isSafePath(path.replace(/\/$/, '')), 'must be a path inside the repository')
const bytes = z.int().min(0)

/** Neither leaves its folder nor hides in it. */
export const isSafePath = (path: string): boolean =>
  path.length <= 512 &&
  path.split('/').every((segment) => /^[\w(@+=,~!-][\w.()@+=,~! -]{0,254}$/.test(segment) && !segment.endsWith('.part'))

const registryFile = z.strictObject({
  /** What it is to the engine: `model` is what it opens; without one it opens the folder. */
  role,
  path: filePath,
  /** Another place than the repository of the entry. */
  url: z.url({ protocol: /^https?$/ }).optional(),
  /** Only where it is surely known, and of one file at one commit. What the hub announces is checked in any case. */
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .nullable()
    .default(null),
})

const registryEntry = z.strictObject({
  id: modelId,
  modality,
  repository: repositoryName,
  revision: revisionName.default('main'),
  /** Which of a repository's GGUF files: found by this in its name, with its parts and what belongs to it. */
  quantisation: z
    .string()
    .regex(/^[A-Za-z0-9_]{2,16}$/)
    .optional(),
  /** Or the files by name. */
  files: z.array(registryFile).max(32).default([]),
  licence: z.string().nullable(),
  /** Of all files, about: for people who decide. */
  approxBytes: bytes.nullable(),
  /** What one token takes in the cache of keys and values, as the file's header has it; null where that could not be looked up. */
  cacheBytesPerToken: bytes.nullable().default(null),
  /** Whether its publisher wants a token of somebody who agreed to the licence. */
  gated: z.boolean().default(false),
})
export type RegistryEntry = z.infer<typeof registryEntry>

const choosesOne = (entry: RegistryEntry): boolean => (entry.quantisation === undefined) !== (entry.files.length === 0)

const COMMIT = /^[0-9a-f]{40}$/
const PART_OF_A_FILE = /-\d{5}-of-\d{5}\.gguf$/

/** A branch moves on, and a folder or a file in parts has more hashes than one: such a hash would refuse a good file some day. */
const hashesHold = ({ revision, files }: RegistryEntry): boolean =>
  files.every(
    ({ sha256, path, url }) =>
      sha256 === null || ((url !== undefined || COMMIT.test(revision)) && !path.endsWith('/') && !PART_OF_A_FILE.test(path)),
  )

const downloadBounds = z.strictObject({
  connections: z.int().min(1).max(16).default(4),
  partBytes: z
    .int()
    .min(1024)
    .default(64 * 1024 * 1024),
  /** So much is on the disk before the journal says so, at the latest. */
  journalBytes: z
    .int()
    .min(1)
    .default(8 * 1024 * 1024),
  stallMs: z.int().min(10).default(30_000),
  /** Attempts in a row that bring nothing. */
  retries: z.int().min(0).max(100).default(6),
  backoffMs: z.int().min(1).default(500),
  allowPrivateAddresses: z.boolean().default(false),
  /** A download that would leave less free is not begun. */
  keepFreeBytes: bytes.default(1_000_000_000),
})
export type DownloadBounds = z.infer<typeof downloadBounds>

const shape = { contextTokens: z.int().min(256), parallel: z.int().min(1).max(64) }

const memoryBounds = z.strictObject({
  /** Of the memory that is there; `budgetBytes` is taken instead where it is set. */
  budgetShare: z.number().gt(0).max(1).default(0.8),
  budgetBytes: z.int().min(1).nullable().default(null),
  /** Of each run, where the model can have that much, and how many runs at once. */
  contextTokens: shape.contextTokens.default(8192),
  parallel: shape.parallel.default(4),
  /** Unlike that, by model. */
  models: z
    .record(modelId, z.strictObject({ contextTokens: shape.contextTokens.optional(), parallel: shape.parallel.optional() }))
    .default({}),
  /** A model that nobody used for so long is unloaded; 0 is never. */
  idleMinutes: z.number().min(0).default(15),
  /** How long a request waits for memory that others are at work in. */
  waitMs: z.int().min(0).default(30_000),
  /** Loaded at the start, and not unloaded for being idle. */
  preload: z.array(modelId).default([]),
})

export type MemoryBounds = z.infer<typeof memoryBounds>

/** What llama.cpp's own program runs where it is installed; the engine's library runs the others. */
const llamaServer = z.strictObject({
  /** The models that see, all that chat, or none. */
  runs: z.enum(['vision', 'text', 'none']).default('vision'),
  /** Unlike that, by model. */
  models: z.record(modelId, z.boolean()).default({}),
})

export const localModelsFile = z.strictObject({
  hub: z.url({ protocol: /^https?$/ }).default('https://huggingface.co'),
  download: downloadBounds.default(() => downloadBounds.parse({})),
  memory: memoryBounds.default(() => memoryBounds.parse({})),
  llamaServer: llamaServer.default(() => llamaServer.parse({})),
  models: z
    .array(
      registryEntry
        .refine(choosesOne, 'takes a quantisation or files, one of them')
        .refine(hashesHold, 'has a sha256 where it takes a revision that is a commit, and a path that is one file'),
    )
    .default([]),
})
export type LocalModelsFile = z.infer<typeof localModelsFile>

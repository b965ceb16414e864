/** The shapes of `/admin/local-models`: what is here, what is coming, and what the registry has. */
import { z } from 'zod'
import type { Installed } from '../../local-models/local-models.ts'
import type { Offer } from '../../local-models/need.ts'
import type { PullStatus } from '../../local-models/pull.ts'
import { modality } from '../../local-models/settings.ts'

export const download = z.object({
  id: z.string(),
  source: z.string().nullable().describe('Where it comes from; null for one that nobody has asked for.'),
  state: z
    .enum(['absent', 'here', 'listing', 'downloading', 'checking', 'paused', 'failed', 'done', 'cancelled'])
    .describe('`absent`: nothing of it is here. `paused`: also what another process has begun, or left.'),
  sizeBytes: z.number().nullable(),
  doneBytes: z.number(),
  bytesPerSecond: z.number().nullable(),
  secondsLeft: z.number().nullable(),
  files: z.number(),
  filesDone: z.number(),
  message: z.string().nullable().describe('Why it failed, in a sentence.'),
})
export type Download = z.infer<typeof download>

export const installed = z.object({
  id: z.string(),
  kind: modality,
  source: z.string(),
  licence: z.string().nullable(),
  sizeBytes: z.number(),
  memoryBytes: z.number().describe('What it is reckoned to take once it is loaded, with `parallel` contexts.'),
  contextTokens: z.number().nullable(),
  parallel: z.number(),
  loaded: z.boolean(),
  linked: z.boolean().describe('Whether a file of it is the operator’s own, elsewhere.'),
  problem: z.string().nullable().describe('Why it cannot be used; null where it can.'),
})

export const offer = z.object({
  id: z.string(),
  kind: modality,
  repository: z.string(),
  revision: z.string(),
  licence: z.string().nullable(),
  approxBytes: z.number().nullable().describe('Of all its files.'),
  memoryBytes: z.number().nullable().describe('What it would need here, about, before its own header can be read.'),
  memoryIsLeast: z.boolean().nullable().describe('Whether it may need more, because nobody knows how much a token of it takes.'),
  fits: z.boolean().nullable().describe('Whether that is within the budget; what does not fit is downloaded with `force` only.'),
})

export const memory = z.object({ budgetBytes: z.number(), usedBytes: z.number() })

export const NEW: Download = {
  id: 'qwen3-4b',
  source: null,
  state: 'absent',
  sizeBytes: null,
  doneBytes: 0,
  bytesPerSecond: null,
  secondsLeft: null,
  files: 0,
  filesDone: 0,
  message: null,
}
export const RUNNING: Download = {
  ...NEW,
  source: 'qwen3-4b',
  state: 'downloading',
  sizeBytes: 2_497_280_256,
  doneBytes: 1_073_741_824,
  bytesPerSecond: 24_117_248,
  secondsLeft: 60,
  files: 1,
}

export const OFFERED: z.infer<typeof offer> = {
  id: 'qwen3-4b',
  kind: 'text',
  repository: 'Qwen/Qwen3-4B-GGUF',
  revision: 'bc640142c66e1fdd12af0bd68f40445458f3869b',
  licence: 'apache-2.0',
  approxBytes: 2_497_280_256,
  memoryBytes: 7_921_000_000,
  memoryIsLeast: false,
  fits: true,
}

export const shown = ({ say, ...status }: PullStatus): Download => ({ ...status, message: say })

export const shownOffer = ({ entry, need }: Offer): z.infer<typeof offer> => ({
  id: entry.id,
  kind: entry.modality,
  repository: entry.repository,
  revision: entry.revision,
  licence: entry.licence,
  approxBytes: entry.approxBytes,
  memoryBytes: need?.memoryBytes ?? null,
  memoryIsLeast: need?.isLeast ?? null,
  fits: need?.fits ?? null,
})

export const shownModel = ({ model, shelved: { manifest, problem } }: Installed, loaded: boolean): z.infer<typeof installed> => ({
  id: model.id,
  kind: model.modality,
  source: manifest.source,
  licence: manifest.licence,
  sizeBytes: model.sizeBytes,
  memoryBytes: model.memoryBytes,
  contextTokens: model.contextTokens,
  parallel: model.parallel,
  loaded,
  linked: manifest.files.some(({ linkedTo }) => linkedTo !== null),
  problem,
})

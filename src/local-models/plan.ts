/** From what somebody asked for to the files that this is. */
import { realpath, stat } from 'node:fs/promises'
import { basename } from 'node:path'
import { filesIn } from './disk.ts'
import { type HubFile, type HubOptions, addressOf, filesOf } from './hub.ts'
import { type LocalModality, PROJECTOR } from '../core/local-models.ts'
import type { Reference } from './reference.ts'
import { type RegistryEntry, isSafePath } from './settings.ts'
import { Trouble } from './trouble.ts'
import { bytesText } from './words.ts'

/** A folder of a repository may hold so many files; espeak's data is 355. */
const MAX_FILES = 2000
/** What is taken where nobody says which: the usual compromise first. */
const QUANTISATIONS = ['Q4_K_M', 'Q4_K_S', 'Q4_0', 'IQ4_XS', 'Q5_K_M', 'MXFP4', 'Q8_0', 'F16'] as const

export type PlannedFile = {
  /** Below the model's folder. */
  readonly path: string
  /** An address, or a file of this machine. */
  readonly from: { readonly type: 'url'; readonly url: string; readonly hub: boolean } | { readonly type: 'local'; readonly path: string }
  readonly sizeBytes: number | null
  readonly sha256: readonly string[]
  readonly gitSha1: string | null
}

export type Plan = {
  /** Null until the file itself says. */
  readonly modality: LocalModality | null
  readonly files: readonly PlannedFile[]
  /** By role, below the model's folder; of a folder its path without a slash. `model` is what an engine opens. */
  readonly roles: Readonly<Record<string, string>>
  readonly licence: string | null
  /** As the registry has it; null where nobody knows before the file is here. */
  readonly cacheBytesPerToken: number | null
}

export type PlanOptions = HubOptions & {
  readonly registry: readonly RegistryEntry[]
  readonly modality: LocalModality | null
  /** False where the projector of a model's repository is not wanted. */
  readonly sees?: boolean
}

/** The model with a projector of the operator's choice. Rejects as `planOf` does. */
export async function planWith(
  reference: Reference,
  projector: Reference | null,
  options: PlanOptions,
  signal: AbortSignal,
): Promise<Plan> {
  const plan = await planOf(reference, options, signal)
  if (projector === null) return plan
  const { files } = await planOf(projector, { ...options, sees: false }, signal)
  const [eye] = files
  if (!eye || files.length > 1) throw new Trouble('A projector is one file.')
  // Apart from the model's own: both may be called the same.
  const path = `${PROJECTOR}/${basename(eye.path)}`
  const own = plan.files.filter((file) => file.path !== plan.roles[PROJECTOR])
  return { ...plan, files: [...own, { ...eye, path }], roles: { ...plan.roles, [PROJECTOR]: path } }
}

/** Rejects with a `Trouble`, or with the signal's reason. */
export async function planOf(reference: Reference, options: PlanOptions, signal: AbortSignal): Promise<Plan> {
  switch (reference.type) {
    case 'registry': {
      const entry = options.registry.find(({ id }) => id === reference.id)
      if (!entry) throw new Trouble(`There is no model "${reference.id}" in the registry.`)
      return planOfEntry(entry, options, signal)
    }
    case 'hub':
      return planOfRepository(reference, options, signal)
    case 'url':
      return {
        modality: options.modality,
        files: [
          { path: reference.file, from: { type: 'url', url: reference.url, hub: false }, sizeBytes: null, sha256: [], gitSha1: null },
        ],
        roles: { model: reference.file },
        licence: null,
        cacheBytesPerToken: null,
      }
    case 'local':
      return planOfLocal(reference.path, options)
  }
}

async function planOfEntry(entry: RegistryEntry, options: PlanOptions, signal: AbortSignal): Promise<Plan> {
  const { repository, revision, quantisation, modality, licence, cacheBytesPerToken } = entry
  if (quantisation !== undefined) {
    const plan = await planOfRepository({ type: 'hub', repository, revision, file: null, tag: quantisation }, options, signal)
    return { ...plan, modality, licence, cacheBytesPerToken }
  }
  const listed = entry.files.some(({ url }) => url === undefined) ? await filesOf(repository, revision, options, signal) : []
  const files: PlannedFile[] = []
  const roles: Record<string, string> = {}
  for (const { role, path, url, sha256 } of entry.files) {
    const known = sha256 === null ? [] : [sha256]
    roles[role] = path.replace(/\/$/, '')
    if (url !== undefined) {
      files.push({ path, from: { type: 'url', url, hub: false }, sizeBytes: null, sha256: known, gitSha1: null })
      continue
    }
    const found = listed.filter((file) => (path.endsWith('/') ? file.path.startsWith(path) : file.path === path))
    if (found.length === 0)
      throw new Trouble(
        `hf.co/${repository} has no ${path} any more; another file of it can be had with hf.co/${repository}:file --as ${entry.id}.`,
      )
    for (const file of withParts(found, listed)) files.push(planned(file, repository, revision, options.hub, known))
  }
  return { modality, files: bounded(files, repository), roles, licence, cacheBytesPerToken }
}

async function planOfRepository(
  { repository, revision, file, tag }: Reference & { readonly type: 'hub' },
  options: PlanOptions,
  signal: AbortSignal,
): Promise<Plan> {
  const listed = await filesOf(repository, revision, options, signal)
  const plan = (files: readonly HubFile[], roles: Plan['roles']): Plan => ({
    modality: options.modality,
    files: bounded(
      files.map((one) => planned(one, repository, revision, options.hub, [])),
      repository,
    ),
    roles,
    licence: null,
    cacheBytesPerToken: null,
  })
  /** What turns pictures into tokens comes along with a model that chats. */
  const whole = (parts: readonly HubFile[], model: string): Plan => {
    const chats = options.modality === null || options.modality === 'text'
    const projector = chats && options.sees !== false ? projectorIn(listed) : null
    return projector === null ? plan(parts, { model }) : plan([...parts, projector], { model, [PROJECTOR]: projector.path })
  }
  if (file !== null) {
    const found = listed.filter(({ path }) => path === file)
    if (found.length === 0) throw new Trouble(`hf.co/${repository} has no file ${file}.${offered(listed)}`)
    return whole(withParts(found, listed), file)
  }
  const chosen = chosenOf(listed, tag)
  if (chosen) return whole(withParts([chosen], listed), chosen.path)
  const audio = options.modality === 'tts' || options.modality === 'asr'
  if (audio && tag === null && listed.length > 0) return plan(listed, rolesOfFolder(listed.map(({ path }) => path)))
  throw new Trouble(`hf.co/${repository} has no GGUF file${tag === null ? '' : ` of ${tag}`}.${offered(listed)}`)
}

/** The user's own file, or a folder of them for an audio model. */
async function planOfLocal(typed: string, { modality }: PlanOptions): Promise<Plan> {
  const path = await realpath(typed).catch(() => null)
  if (path === null) throw new Trouble(`There is no file ${typed}.`)
  const info = await stat(path)
  const local = (at: string, from: string, sizeBytes: number): PlannedFile => {
    if (!isSafePath(at)) throw new Trouble(`The name of a file is not one that a model's file may have: ${at}`)
    return { path: at, from: { type: 'local', path: from }, sizeBytes, sha256: [], gitSha1: null }
  }
  const base = { modality, licence: null, cacheBytesPerToken: null }
  if (info.isFile()) return { ...base, files: [local(basename(path), path, info.size)], roles: { model: basename(path) } }
  if (!info.isDirectory()) throw new Trouble(`${typed} is no file.`)
  if (modality !== 'tts' && modality !== 'asr')
    throw new Trouble(`${typed} is a folder; of an audio model say --kind tts or --kind asr, else name the file.`)
  const inside = await filesIn(path, MAX_FILES)
  const files = inside.map((one) => local(one.path, `${path}/${one.path}`, one.sizeBytes))
  return { ...base, files, roles: rolesOfFolder(inside.map((one) => one.path)) }
}

function planned(file: HubFile, repository: string, revision: string, hub: string, known: readonly string[]): PlannedFile {
  const { path, sizeBytes, sha256, gitSha1 } = file
  // Said before gigabytes have come that could not be used.
  if (sha256 !== null && known.some((one) => one !== sha256))
    throw new Trouble(`hf.co/${repository} has another ${path} than the registry knows; nothing was downloaded.`)
  const from = { type: 'url', url: addressOf(hub, repository, revision, path), hub: true } as const
  return { path, from, sizeBytes, sha256: sha256 === null ? known : [sha256], gitSha1 }
}

function bounded(files: readonly PlannedFile[], repository: string): readonly PlannedFile[] {
  if (files.length > MAX_FILES) throw new Trouble(`hf.co/${repository} has more files than a model may have (${MAX_FILES}).`)
  return files
}

const SHARD = /-(\d{5})-of-(\d{5})\.gguf$/

/** A model of several parts is all of them; engines open the first and find the others beside it. */
function withParts(files: readonly HubFile[], listed: readonly HubFile[]): readonly HubFile[] {
  const [first] = files
  const shard = files.length === 1 && first ? SHARD.exec(first.path) : null
  if (!shard || !first) return files
  const stem = first.path.slice(0, shard.index)
  const parts = listed.filter(({ path }) => path.startsWith(stem) && SHARD.exec(path)?.index === stem.length)
  if (parts.length !== Number(shard[2])) throw new Trouble(`Of the ${Number(shard[2])} parts of ${first.path} the hub has ${parts.length}.`)
  return parts
}

/** The file of a quantisation, or the best of the usual ones; of parts the first. Shortest name first: the rest are variants of it. */
function chosenOf(listed: readonly HubFile[], tag: string | null): HubFile | null {
  const models = listed
    .filter(({ path }) => /\.gguf$/i.test(path) && !/mmproj/i.test(path) && (SHARD.exec(path)?.[1] ?? '00001') === '00001')
    .sort((a, b) => a.path.length - b.path.length)
  const named = (wanted: string): HubFile | undefined =>
    models.find(({ path }) => new RegExp(`(^|[^A-Za-z0-9])${escaped(wanted)}([^A-Za-z0-9_]|$)`, 'i').test(path.replace(/\.gguf$/i, '')))
  if (tag !== null) return named(tag === 'latest' ? QUANTISATIONS[0] : tag) ?? null
  for (const quantisation of QUANTISATIONS) {
    const found = named(quantisation)
    if (found) return found
  }
  return models[0] ?? null
}

const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')

/** Of several precisions the one that works everywhere. */
function projectorIn(listed: readonly HubFile[]): HubFile | null {
  const projectors = listed.filter(({ path }) => /(^|\/)mmproj[^/]*\.gguf$/i.test(path))
  return projectors.find(({ path }) => /(^|[^b])f16/i.test(path)) ?? projectors[0] ?? null
}

/** Names that sherpa's models have, whatever the folder is called. */
const ROLE_OF: readonly (readonly [RegExp, string])[] = [
  [/^encoder[^/]*\.onnx$/, 'encoder'],
  [/^decoder[^/]*\.onnx$/, 'decoder'],
  [/^joiner[^/]*\.onnx$/, 'joiner'],
  [/^model[^/]*\.onnx$/, 'model'],
  [/^[^/]*vad[^/]*\.onnx$/, 'vad'],
  [/^tokens\.txt$/, 'tokens'],
  [/^voices\.bin$/, 'voices'],
]

function rolesOfFolder(paths: readonly string[]): Record<string, string> {
  const roles: Record<string, string> = {}
  for (const path of [...paths].sort()) {
    const role = ROLE_OF.find(([pattern]) => pattern.test(path))?.[1]
    if (role !== undefined) roles[role] ??= path
    if (path.startsWith('espeak-ng-data/')) roles['data'] = 'espeak-ng-data'
    if (path.startsWith('dict/')) roles['dict'] = 'dict'
  }
  return roles
}

function offered(listed: readonly HubFile[]): string {
  const models = listed.filter(({ path }) => /\.gguf$/i.test(path)).slice(0, 12)
  if (models.length === 0) return ''
  return ` It has ${models.map(({ path, sizeBytes }) => (sizeBytes === null ? path : `${path} (${bytesText(sizeBytes)})`)).join(', ')}.`
}

/** What somebody typed as a model, read: an entry of the registry, a repository of the hub, an address, a file. */
import { basename, isAbsolute } from 'node:path'
import { isSafePath, modelId, repositoryName, revisionName } from './settings.ts'
import { suggestionFor } from './suggestion.ts'
import { Trouble } from './trouble.ts'

export type Reference =
  | { readonly type: 'registry'; readonly id: string }
  /** With a file's path, or a quantisation's name such as `Q4_K_M`, or neither. */
  | {
      readonly type: 'hub'
      readonly repository: string
      readonly revision: string
      readonly file: string | null
      readonly tag: string | null
    }
  | { readonly type: 'url'; readonly url: string; readonly file: string }
  | { readonly type: 'local'; readonly path: string }

/** Hosts that mean the hub, whichever one is set. */
const HUB = /^(https?:\/\/)?(www\.)?(hf\.co|huggingface\.co)\//i

const WAYS =
  'npm run models -- list --all shows it. Other models are named hf.co/org/repo:file, by an https address, or by the path of a file (./model.gguf).'

/** Throws a `Trouble` whose sentence says what can be typed. */
export function referenceOf(typed: string, ids: ReadonlySet<string>): Reference {
  const text = typed.trim()
  if (ids.has(text)) return { type: 'registry', id: text }
  if (HUB.test(text)) return hubOf(text.replace(HUB, ''))
  if (/^https?:\/\//i.test(text)) return urlOf(text)
  if (isAbsolute(text) || text.startsWith('./') || text.startsWith('../')) return { type: 'local', path: text }
  throw new Trouble(`There is no model "${text.slice(0, 80)}" in the registry. ${suggestionFor(text, ids) ?? WAYS}`)
}

/** Of a projector: a file, wherever it is. Throws a `Trouble` for what names more than one. */
export function projectorOf(typed: string): Reference {
  const reference = referenceOf(typed, new Set())
  if (reference.type === 'hub' && reference.file === null)
    throw new Trouble('A projector is one file: hf.co/org/repo:mmproj-file.gguf, an https address, or the path of a file.')
  return reference
}

/** `org/repo`, `org/repo:Q4_K_M`, `org/repo:file.gguf`, `org/repo@revision:…`, and the address of a file's page or download. */
function hubOf(rest: string): Reference {
  const page = /^([^/]+\/[^/]+)\/(?:resolve|blob|raw|tree)\/([^/?#]+)(?:\/([^?#]*))?(?:[?#].*)?$/.exec(rest)
  if (page) return checked(page[1] ?? '', page[2] ?? 'main', page[3] ? decoded(page[3]) : null)
  const parts = /^([^/:@?#]+\/[^/:@?#]+)(?:@([^:?#]+))?(?::([^?#]+))?\/?$/.exec(rest)
  return checked(parts?.[1] ?? '', parts?.[2] ?? 'main', parts?.[3] ?? null)
}

function checked(repository: string, revision: string, what: string | null): Reference {
  const isFile = what !== null && /[./]/.test(what)
  const known = repositoryName.safeParse(repository).success && revisionName.safeParse(revision).success
  if (!known || (what !== null && !isSafePath(what)))
    throw new Trouble('A model of the hub is named hf.co/org/repo, hf.co/org/repo:Q4_K_M or hf.co/org/repo:file.gguf.')
  return { type: 'hub', repository, revision, file: isFile ? what : null, tag: isFile ? null : what }
}

function urlOf(text: string): Reference {
  const url = URL.canParse(text) ? new URL(text) : null
  const file = decoded(url?.pathname.split('/').at(-1) ?? '')
  if (!url || url.username !== '' || url.password !== '' || !isSafePath(file) || file.includes('/'))
    throw new Trouble('An address of a model is https://host/…/file.gguf, without user and password.')
  return { type: 'url', url: url.href, file }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return ''
  }
}

/** What a model is called where nobody said: as its file or its repository. */
export function idOf(reference: Reference): string {
  const name = nameOf(reference)
  const id = name
    .replace(/\.(gguf|onnx|bin|safetensors)$/i, '')
    .replace(/-0*1-of-\d+$/, '')
    .replace(/[^A-Za-z0-9._-]+/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '')
    .toLowerCase()
  const checkedId = modelId.safeParse(id)
  if (!checkedId.success) throw new Trouble('Say what the model shall be called: --as id.')
  return reference.type === 'registry' ? reference.id : checkedId.data
}

function nameOf(reference: Reference): string {
  switch (reference.type) {
    case 'registry':
      return reference.id.replaceAll('/', '-')
    case 'hub': {
      const repository = reference.repository.split('/')[1] ?? ''
      if (reference.file !== null) return basename(reference.file)
      return reference.tag === null ? repository : `${repository.replace(/-gguf$/i, '')}-${reference.tag}`
    }
    case 'url':
      return reference.file
    case 'local':
      return basename(reference.path)
  }
}

/** As it is shown and kept: without the query of an address, which may hold a secret. */
export function shownReference(reference: Reference): string {
  switch (reference.type) {
    case 'registry':
      return reference.id
    case 'hub': {
      const revision = reference.revision === 'main' ? '' : `@${reference.revision}`
      const what = reference.file ?? reference.tag
      return `hf.co/${reference.repository}${revision}${what === null ? '' : `:${what}`}`
    }
    case 'url':
      return reference.url.replace(/[?#].*$/, '')
    case 'local':
      return reference.path
  }
}

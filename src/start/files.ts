/** The configuration files: those that ship with Rialto, with the operator's own laid over them. */
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import { StartError } from './environment.ts'

/** What the files say, merged and not yet checked against any schema. */
export type RawFiles = {
  readonly models: readonly unknown[]
  readonly engines: readonly unknown[]
  readonly names: unknown
  readonly plans: unknown
  readonly server: unknown
  readonly chain: unknown
  readonly localModels: unknown
  readonly systemPrompt: string
}

/** The files a configuration folder may have. Anything else in it is a mistake, and said to be one. */
const KNOWN = ['engines.json', 'names.json', 'plans.json', 'server.json', 'chain.json', 'local-models.json', 'system-prompt.md', 'models']

/**
 * Reads the folder `base` and lays `overlay` over it, file by file: entries of lists are matched by `id` and merged
 * field by field, an entry with `"remove": true` takes one away, other values replace what was there.
 */
export function readFiles(base: string, overlay: string | null): RawFiles {
  if (overlay !== null) checkOverlay(overlay)
  const json = (name: string, fallback: unknown): unknown => {
    const shipped = readJson(join(base, name)) ?? fallback
    const own = overlay === null ? undefined : readJson(join(overlay, name))
    return own === undefined ? shipped : merge(shipped, own)
  }
  const prompt = overlay === null ? null : readText(join(overlay, 'system-prompt.md'))
  return {
    models: asList('models/*.json', merge(modelsIn(base), overlay === null ? [] : modelsIn(overlay))),
    engines: asList('engines.json', json('engines.json', [])),
    names: json('names.json', {}),
    plans: json('plans.json', {}),
    server: json('server.json', {}),
    chain: json('chain.json', {}),
    localModels: json('local-models.json', {}),
    systemPrompt: (prompt ?? readText(join(base, 'system-prompt.md')) ?? '').trim(),
  }
}

/** The overlay's value over the shipped one. Lists whose entries have ids are merged by id, new ones come last. */
export function merge(under: unknown, over: unknown): unknown {
  if (isEntries(under) && isEntries(over)) return mergeEntries(under, over)
  if (!isRecord(under) || !isRecord(over)) return over
  const merged: Record<string, unknown> = { ...under }
  for (const [key, value] of Object.entries(over)) {
    merged[key] = key === 'deployments' ? value : merge(merged[key], value)
  }
  return merged
}

function mergeEntries(under: readonly Entry[], over: readonly Entry[]): readonly unknown[] {
  const merged = new Map<string, unknown>(under.map((entry) => [entry.id, entry]))
  for (const entry of over) {
    if (entry['remove'] === true) merged.delete(entry.id)
    else merged.set(entry.id, merge(merged.get(entry.id), entry))
  }
  return [...merged.values()]
}

function checkOverlay(overlay: string): void {
  if (!existsSync(overlay)) throw new StartError(`RIALTO_CONFIG takes a folder of configuration files; there is none at ${overlay}.`)
  for (const name of readdirSync(overlay)) {
    if (!KNOWN.includes(name) && !name.startsWith('.')) {
      throw new StartError(`RIALTO_CONFIG has a file "${name}" that Rialto does not know; it reads ${KNOWN.join(', ')}.`)
    }
  }
}

/** All entries of all files in `models/`: which file one stands in does not matter. */
function modelsIn(folder: string): readonly unknown[] {
  const models = join(folder, 'models')
  if (!existsSync(models)) return []
  const files = readdirSync(models).filter((name) => name.endsWith('.json'))
  return files.sort().flatMap((name) => asList(`models/${name}`, readJson(join(models, name))))
}

function asList(name: string, value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value
  throw new StartError(`${name} holds a list of entries.`)
}

function readText(path: string): string | null {
  return existsSync(path) ? readFileSync(path, 'utf8') : null
}

/** The operator's own file: where it is broken is said by name, its contents are not repeated. */
function readJson(path: string): unknown {
  const text = readText(path)
  if (text === null) return undefined
  try {
    return JSON.parse(text)
  } catch {
    throw new StartError(`${basename(path)} is not valid JSON (${path}).`)
  }
}

type Entry = Readonly<Record<string, unknown>> & { readonly id: string }

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const isEntries = (value: unknown): value is readonly Entry[] =>
  Array.isArray(value) && value.every((entry) => isRecord(entry) && typeof entry['id'] === 'string')

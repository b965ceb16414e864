/** The models of the moment as tables: prices, sizes, what they can do, whether they are online. From the catalogue alone. */
import type { Catalog } from '../../catalog/catalog.ts'
import { MODALITIES, type Modality } from '../../core/modality.ts'

type Listed = ReturnType<Catalog['list']>[number]

/** What the types are called by people, and what their prices are for where the price does not say it itself. */
const HEADINGS: Readonly<Record<Modality, string>> = {
  text: 'Text models (prices per 1M tokens)',
  embedding: 'Embedding models (prices per 1M tokens)',
  image: 'Image models (prices per image)',
  inpaint: 'Image editing models (prices per edit)',
  upscale: 'Upscaling models (prices per image)',
  tts: 'Speech models (prices per 1M characters)',
  asr: 'Transcription models',
  music: 'Music models',
  video: 'Video models (priced by quote)',
}

/** In the order in which people look for them. */
const ORDER: readonly Modality[] = [...MODALITIES].sort((a, b) => rank(a) - rank(b))

/** Prices with a column of their own; the others share one. */
const COLUMNS = ['input', 'output', 'cache_input', 'cache_write']

export function modelTables(catalog: Catalog): string[] {
  const lines: string[] = []
  for (const type of ORDER) {
    const models = catalog.list(type)
    if (models.length > 0) lines.push(`## ${HEADINGS[type]}`, '', ...table(models), '')
  }
  return lines
}

function table(models: readonly Listed[]): string[] {
  const rows = models.map((model) => ({ model, prices: pricesIn(model.model_spec['pricing']) }))
  const columns = COLUMNS.filter((name) => rows.some(({ prices }) => prices.has(name)))
  const hasOthers = rows.some(({ prices }) => [...prices.keys()].some((name) => !columns.includes(name)))
  const sized = models.some(({ model_spec: spec }) => sizeOf(spec) !== null)
  const able = models.some(({ model_spec: spec }) => abilitiesOf(spec).length > 0)
  const head = [
    'Model',
    'ID',
    ...columns.map(title),
    ...(hasOthers ? ['Price'] : []),
    ...(sized ? ['Context'] : []),
    ...(able ? ['Capabilities'] : []),
    'Privacy',
    'Online',
  ]
  const body = rows.map(({ model, prices }) => {
    const spec = model.model_spec
    const others = [...prices].filter(([name]) => !columns.includes(name)).map(([name, usd]) => `${title(name)} ${money(usd)}`)
    return [
      spec.name,
      `\`${model.id}\``,
      ...columns.map((name) => money(prices.get(name))),
      ...(hasOthers ? [others.join(', ') || '—'] : []),
      ...(sized ? [sizeOf(spec) ?? '—'] : []),
      ...(able ? [abilitiesOf(spec).join(', ') || '—'] : []),
      spec.privacy,
      spec.offline ? 'no' : 'yes',
    ]
  })
  return markdownTable(head, body)
}

export const markdownTable = (head: readonly string[], rows: readonly (readonly string[])[]): string[] =>
  [head, head.map(() => '---'), ...rows].map(
    (cells) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|').replaceAll('\n', ' ')).join(' | ')} |`,
  )

/** Every price below `pricing`, by its path: `input`, `upscale 2x`, `durations 60`. */
function pricesIn(pricing: unknown, path: readonly string[] = []): Map<string, number> {
  const found = new Map<string, number>()
  if (!isRecord(pricing)) return found
  if (typeof pricing['usd'] === 'number') return found.set(path.join(' '), pricing['usd'])
  for (const [name, inner] of Object.entries(pricing)) for (const [at, usd] of pricesIn(inner, [...path, name])) found.set(at, usd)
  return found
}

function sizeOf(spec: Readonly<Record<string, unknown>>): string | null {
  const tokens = spec['availableContextTokens'] ?? spec['maxInputTokens']
  return typeof tokens === 'number' ? String(tokens) : null
}

/** `supportsFunctionCalling: true` → `function calling`. */
function abilitiesOf(spec: Readonly<Record<string, unknown>>): string[] {
  const { capabilities } = spec
  if (!isRecord(capabilities)) return []
  const able = Object.entries(capabilities).filter(([name, value]) => value === true && /^(supports|optimizedFor)[A-Z]/.test(name))
  return able.map(([name]) => title(name.replace(/^(supports|optimizedFor)/, '')).toLowerCase())
}

/** `cache_input`, `FunctionCalling` → words. */
function title(name: string): string {
  const words = name.replaceAll('_', ' ').replace(/([a-z])([A-Z])/g, '$1 $2')
  return words.charAt(0).toUpperCase() + words.slice(1)
}

const money = (usd: number | undefined): string => (usd === undefined ? '—' : `$${usd}`)

function rank(type: Modality): number {
  return Object.keys(HEADINGS).indexOf(type)
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null

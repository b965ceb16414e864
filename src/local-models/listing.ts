/** `npm run models -- list`: what is here, what is coming, and what could be had. */
import type { ModelStore } from './local-models.ts'
import type { Order } from './manifest.ts'
import type { Need, Offer } from './need.ts'
import { bytesText } from './words.ts'

/** A line for each, in columns; with `all`, what the registry has comes last. */
export async function listed(store: ModelStore, all: boolean): Promise<string> {
  const orders = await store.orders()
  const lines: string[][] = [
    ...store.installed.map(({ model, shelved }) => [
      model.id,
      model.modality,
      bytesText(model.sizeBytes),
      shelved.problem ?? `${needing(model.memoryBytes <= store.budgetBytes)} ${bytesText(model.memoryBytes)} of memory`,
    ]),
    ...orders.map(({ id, sizeBytes }) => [id, '', sizeBytes === null ? '' : bytesText(sizeBytes), 'not through; pull it again to go on']),
    ...store.brokenFolders.map((name) => [name, '', '', 'its manifest cannot be read; pull it again, or rm it']),
  ]
  if (all) {
    lines.push(...offersOf(store, orders).map(offerLine))
    lines.push(['', '', '', `the budget of memory here is ${bytesText(store.budgetBytes)}`])
  }
  return lines.length === 0 ? 'No models are here. npm run models -- list --all shows what can be pulled.\n' : table(lines)
}

export async function listedAsJson(store: ModelStore, all: boolean): Promise<string> {
  const orders = await store.orders()
  const models = store.installed.map(({ model, shelved }) => ({
    id: model.id,
    kind: model.modality,
    source: shelved.manifest.source,
    licence: shelved.manifest.licence,
    sizeBytes: model.sizeBytes,
    memoryBytes: model.memoryBytes,
    contextTokens: model.contextTokens,
    problem: shelved.problem,
  }))
  const downloads = orders.map(({ id, sizeBytes }) => ({ id, sizeBytes }))
  const registry = offersOf(store, orders).map(({ entry, need }) => ({
    ...entry,
    memoryBytes: need?.memoryBytes ?? null,
    memoryIsLeast: need?.isLeast ?? null,
    fits: need?.fits ?? null,
  }))
  return `${JSON.stringify({ models, downloads, ...(all ? { budgetBytes: store.budgetBytes, registry } : {}) }, null, 2)}\n`
}

/** What is neither here nor coming. */
function offersOf({ installed, offers }: ModelStore, orders: readonly Order[]): readonly Offer[] {
  const here = new Set([...installed.map(({ model }) => model.id), ...orders.map(({ id }) => id)])
  return offers.filter(({ entry }) => !here.has(entry.id))
}

const offerLine = ({ entry: { id, modality, approxBytes, licence }, need }: Offer): string[] => [
  id,
  modality,
  approxBytes === null ? '' : `~${bytesText(approxBytes)}`,
  `not here${needText(need)}${licence === null ? '' : ` (${licence})`}`,
]

function needText(need: Need | null): string {
  if (need === null) return ''
  return `, ${needing(need.fits)} ${need.isLeast ? 'at least' : 'about'} ${bytesText(need.memoryBytes)} of memory`
}

const needing = (fits: boolean): string => (fits ? 'needs' : 'too large: needs')

function table(lines: readonly (readonly string[])[]): string {
  const widths = [0, 1, 2].map((column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)))
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
    .concat('\n')
}

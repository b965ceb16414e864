/** For the tests of the catalogue: the shipped files, small models of their own, and a clock that only they move. */
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '../core/clock.ts'
import { Catalog } from './catalog.ts'
import { enginesFile, modelsFile, namesFile, plansFile } from './entry.ts'
import type { EngineEntry, ModelEntry, NamesFile, PlansFile } from './entry.ts'
import { readFile } from './read.ts'
import type { KnownEngine } from './shelf.ts'

const CONFIG = join(import.meta.dirname, '../../config')

export const rawFile = (file: string): string => readFileSync(join(CONFIG, file), 'utf8')
const parsed = (file: string): unknown => JSON.parse(rawFile(file))

export const modelFiles = (): string[] => readdirSync(join(CONFIG, 'models')).map((file) => `models/${file}`)
export const shippedEntries = (): ModelEntry[] => modelFiles().flatMap((file) => readFile(modelsFile, parsed(file), file))
export const shippedNames = (): NamesFile => readFile(namesFile, parsed('names.json'), 'names.json')
export const shippedEngines = (): EngineEntry[] => readFile(enginesFile, parsed('engines.json'), 'engines.json')
export const shippedPlans = (): PlansFile => readFile(plansFile, parsed('plans.json'), 'plans.json')

export type TestClock = Clock & { time: number; ticks: number }

export function testClock(time = Date.parse('2026-06-01T00:00:00Z')): TestClock {
  const clock: TestClock = { time, ticks: 0, now: () => clock.time, tick: () => clock.ticks, id: () => '0'.repeat(32) }
  return clock
}

/** The shipped catalogue where only the engines of these ids (and the sandbox) are configured. */
export function shippedCatalog(configured: readonly string[], clock: Clock = testClock()): Catalog {
  const engines = shippedEngines().map(({ id, privacy, lists, remedy }) => ({
    id,
    privacy,
    lists,
    remedy,
    configured: id === 'sandbox' || configured.includes(id),
  }))
  return new Catalog({ entries: shippedEntries(), names: shippedNames(), engines, clock })
}

export function engine(id: string, more: Partial<KnownEngine> = {}): KnownEngine {
  return { id, privacy: 'private', lists: false, configured: true, remedy: `Start ${id}.`, ...more }
}

/** A text model as a file would have it; what a test is about goes on top. */
export function textEntry(id: string, more: object = {}, spec: object = {}): ModelEntry {
  const raw = {
    id,
    type: 'text',
    created: 1,
    tier: 'M',
    privacy: 'private',
    spec: {
      name: id,
      availableContextTokens: 1000,
      maxCompletionTokens: 500,
      pricing: { input: { usd: 1, diem: 1 }, output: { usd: 2, diem: 2 } },
      capabilities: CAPABILITIES,
      ...spec,
    },
    deployments: [{ engine: 'one' }],
    ...more,
  }
  const [entry] = readFile(modelsFile, [raw], 'models/text.json')
  if (!entry) throw new Error('an entry was expected')
  return entry
}

export const CAPABILITIES = {
  optimizedForCode: false,
  quantization: 'fp8',
  supportsFunctionCalling: true,
  supportsReasoning: false,
  supportsReasoningEffort: false,
  supportsResponseSchema: true,
  supportsVision: false,
  supportsMultipleImages: false,
  supportsAudioInput: false,
  supportsVideoInput: false,
  supportsWebSearch: true,
  supportsXSearch: false,
  supportsLogProbs: false,
  supportsTeeAttestation: false,
  supportsE2EE: false,
}
export const NO_NAMES: NamesFile = { traits: {}, compatibility: {} }

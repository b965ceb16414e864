/** The curated registry of local models, as it is shipped, beside the catalogue that serves them. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { shippedEntries } from '../src/catalog/testing.ts'
import { offerOf } from '../src/local-models/need.ts'
import { localModelsFile } from '../src/local-models/settings.ts'

const raw: unknown = JSON.parse(readFileSync(join(import.meta.dirname, '../config/local-models.json'), 'utf8'))
const { models, memory } = localModelsFile.parse(raw)
const catalogue = new Map(shippedEntries().map((entry) => [entry.id, entry]))
/** Of a laptop with 16 GB, at the share that is shipped. */
const LAPTOP_BYTES = 0.8 * 16e9

describe('the registry of local models', () => {
  test('has each model once, and no two that are the same files', () => {
    const sources = models.map(({ repository, revision, quantisation, files }) =>
      [repository, revision, quantisation, ...files.map(({ path }) => path)].join(' '),
    )

    expect(new Set(models.map(({ id }) => id)).size).toBe(models.length)
    expect(new Set(sources).size).toBe(models.length)
  })

  test.each(models.map(({ id }) => id))('serves %s under its name in the catalogue, privately, before any service is asked', (id) => {
    const local = models.find((model) => model.id === id)
    const entry = catalogue.get(id)
    const engine = local?.modality === 'tts' || local?.modality === 'asr' ? 'sherpa' : 'local'

    expect(entry).toMatchObject({ type: local?.modality, privacy: 'private' })
    expect(entry?.deployments.map(({ engine: name, model, order = 0 }) => [name, model, order])[0]).toEqual([engine, id, 0])
    expect(entry?.deployments.slice(1).every(({ order = 0 }) => order > 0)).toBe(true)
  })

  test('has nobody served from here who is promised that not even the operator can look', () => {
    const sealed = models.filter(({ id }) => {
      const spec = JSON.stringify(catalogue.get(id)?.spec)
      return /"supports(E2EE|TeeAttestation)":true/.test(spec)
    })

    expect(sealed).toEqual([])
  })

  test('is named by every deployment on the engines of this machine', () => {
    const deployed = [...catalogue.values()].flatMap(({ deployments }) =>
      deployments.flatMap(({ engine, model }) => (engine === 'local' || engine === 'sherpa' ? (model ?? []) : [])),
    )

    expect(deployed.sort()).toEqual(models.map(({ id }) => id).sort())
  })

  test('says of each model what it is, under which licence, how large, and what it needs', () => {
    const vague = models.filter(
      (entry) => entry.licence === null || entry.approxBytes === null || offerOf(entry, memory, LAPTOP_BYTES).need === null,
    )

    expect(vague).toEqual([])
  })

  test('has a model of each kind that fits a laptop with 16 GB', () => {
    const fitting = models.filter((entry) => offerOf(entry, memory, LAPTOP_BYTES).need?.fits)

    expect(new Set(fitting.map(({ modality }) => modality))).toEqual(new Set(['text', 'embedding', 'tts', 'asr']))
    expect(fitting.map(({ id }) => id)).toEqual(expect.arrayContaining(['qwen3-4b', 'llama-3.2-3b', 'text-embedding-bge-m3']))
    expect(fitting.map(({ id }) => id)).not.toContain('openai-gpt-oss-120b')
  })

  test.each([
    ['on a branch, which moves on', { revision: 'main', files: [{ role: 'model', path: 'a.gguf', sha256: 'a'.repeat(64) }] }],
    ['of a folder', { revision: 'b'.repeat(40), files: [{ role: 'data', path: 'data/', sha256: 'a'.repeat(64) }] }],
    ['of a file in parts', { revision: 'b'.repeat(40), files: [{ role: 'model', path: 'a-00001-of-00002.gguf', sha256: 'a'.repeat(64) }] }],
  ])('refuses a hash %s', (_what, more) => {
    const entry = { id: 'a', modality: 'text', repository: 'org/repo', licence: null, approxBytes: null }

    expect(localModelsFile.safeParse({ models: [{ ...entry, ...more }] }).success).toBe(false)
  })
})

import { describe, expect, test } from 'vitest'
import { bytesOf, sha256Of } from './hub.fixture.ts'
import { needOf, offerOf } from './need.ts'
import { localModelsFile } from './settings.ts'
import { ended, testFolder, testHub, testStore } from './store.fixture.ts'

const GB = 1_000_000_000
const COMMIT = 'c'.repeat(40)
const BLOB = bytesOf(200_000, 1)
const { memory } = localModelsFile.parse({})
const entryOf = (more: object) => {
  const entry = { id: 'a', modality: 'text', repository: 'org/repo', files: [{ role: 'model', path: 'a.gguf' }], licence: 'mit', ...more }
  const [read] = localModelsFile.parse({ models: [{ approxBytes: BLOB.length, ...entry }] }).models
  if (!read) throw new Error('no entry')
  return read
}

describe('what a model would need', () => {
  test('is its files, what its contexts take, and what it computes with', () => {
    const model = { id: 'a', modality: 'text', sizeBytes: 2.5 * GB, cacheBytesPerToken: 147_456 } as const
    const roomy = needOf(model, memory, 20 * GB)
    const one = needOf(model, memory, 5 * GB)

    expect(roomy).toMatchObject({ fits: true, isLeast: false })
    expect(roomy.memoryBytes - one.memoryBytes).toBe(3 * 8192 * 147_456)
    expect(one).toMatchObject({ fits: true })
    expect(needOf(model, memory, 4 * GB)).toMatchObject({ fits: false })
  })

  test('is in the shape that was set for it', () => {
    const model = { id: 'a', modality: 'text', sizeBytes: GB, cacheBytesPerToken: 100_000 } as const
    const small = { ...memory, models: { a: { contextTokens: 1000, parallel: 1 } } }

    expect(needOf({ ...model, id: 'b' }, small, 99 * GB).memoryBytes - needOf(model, small, 99 * GB).memoryBytes).toBe(
      (4 * 8192 - 1000) * 100_000,
    )
  })

  test('is a least where nobody knows what a token takes, and is not said where nobody knows the size', () => {
    expect(offerOf(entryOf({ approxBytes: 2 * GB }), memory, 8 * GB).need).toMatchObject({ isLeast: true, fits: true })
    expect(offerOf(entryOf({ approxBytes: 2 * GB, modality: 'tts' }), memory, 8 * GB).need).toMatchObject({ isLeast: false })
    expect(offerOf(entryOf({ approxBytes: null }), memory, 8 * GB).need).toBeNull()
  })
})

describe('a download of what could not be loaded here', () => {
  test('is refused with the numbers before a byte of it has come, and leaves nothing', async () => {
    const hub = await testHub({ 'org/repo/a.gguf': BLOB })
    const store = await testStore(hub, { memory: { budgetBytes: 100_000_000 }, models: [entryOf({ cacheBytesPerToken: 10_000 })] })

    const ends = ['a', 'hf.co/org/repo:a.gguf'].map((typed) =>
      ended(store.pulls.begin({ typed, id: `${typed.length}`, modality: 'text', how: 'link' })),
    )

    expect((await Promise.all(ends)).map(({ state, say }) => [state, say])).toEqual([
      ['failed', expect.stringMatching(/^1 needs about 669 MB of memory, and the budget here is 100 MB: .*--force.* its 200 kB/)],
      ['failed', expect.stringMatching(/^21 needs at least 168 MB of memory/)],
    ])
    expect(hub.sent).toBe(0)
    expect(await store.orders()).toEqual([])
  })

  test('is made all the same where it is forced, and is still forced when it is resumed by another process', async () => {
    const hub = await testHub({ 'org/repo/a.gguf': BLOB })
    const [folder, small] = [await testFolder(), { budgetBytes: 1_000_000 }]
    hub.handle = (request) => request.headers.range !== undefined
    const first = await testStore(hub, { folder, memory: small })
    const pull = first.pulls.begin({ typed: 'hf.co/org/repo:a.gguf', id: 'a', modality: 'text', how: 'link', force: true })
    await expect.poll(() => hub.asked.length).toBeGreaterThan(1)
    await pull.stop('paused')
    hub.handle = null

    const second = await testStore(hub, { folder, memory: small })
    const resumed = await second.pulls.resume('a')

    expect(resumed && (await ended(resumed)).state).toBe('done')
  })

  test('does not begin where the hub has another file than the registry knows', async () => {
    const file = { role: 'model', path: 'a.gguf', sha256: sha256Of(bytesOf(10, 2)) }
    const hub = await testHub({ 'org/repo/a.gguf': BLOB })
    const store = await testStore(hub, { models: [entryOf({ revision: COMMIT, files: [file] })] })

    const status = await ended(store.pulls.begin({ typed: 'a', id: null, modality: null, how: 'link' }))

    expect(status).toMatchObject({
      state: 'failed',
      say: 'hf.co/org/repo has another a.gguf than the registry knows; nothing was downloaded.',
    })
    expect(hub.sent).toBe(0)
  })
})

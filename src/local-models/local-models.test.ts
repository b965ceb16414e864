import { appendFile, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { writeTinyChatModel } from '../../test/engine/tiny-gguf.ts'
import type { Tenant } from '../core/local-models.ts'
import type { ModelStore } from './local-models.ts'
import { pulled, testFolder, testStore } from './store.fixture.ts'

let own: string
beforeAll(async () => {
  own = join(await mkdtemp(join(tmpdir(), 'rialto-own-')), 'own.gguf')
  await writeTinyChatModel(own)
  return () => rm(dirname(own), { recursive: true, force: true })
})

const tenant: Tenant = { busy: false, evict: () => Promise.resolve(true) }
const never = new AbortController().signal

async function storeWith(ids: readonly string[], different: Parameters<typeof testStore>[1] = {}): Promise<ModelStore> {
  const store = await testStore(null, different)
  for (const id of ids) await pulled(store, own, id)
  return store
}

describe('the model store', () => {
  test('gives a model to who asks for it, in the shape that it was reckoned in', async () => {
    const store = await storeWith(['a'], { memory: { contextTokens: 4096, parallel: 2 } })

    const lease = await store.acquire('a', tenant, never)

    expect(lease.model).toMatchObject({ id: 'a', contextTokens: 4096, parallel: 2, modality: 'text' })
    expect(store.memory.usedBytes).toBe(lease.model.memoryBytes)
    lease.release()
    expect(store.memory.usedBytes).toBe(0)
  })

  test('has a model take the context and the runs that were set for it alone', async () => {
    const store = await storeWith(['a', 'b'], { memory: { models: { b: { contextTokens: 512, parallel: 1 } } } })

    expect(store.list().map(({ id, contextTokens, parallel }) => [id, contextTokens, parallel])).toEqual([
      ['a', 8192, 4],
      ['b', 512, 1],
    ])
  })

  test('names the command for a model that is not here', async () => {
    const store = await testStore(null)

    await expect(store.acquire('qwen3-4b', tenant, never)).rejects.toMatchObject({
      code: 'MODEL_OFFLINE',
      message: 'qwen3-4b is not on this machine; its operator can get it with: npm run models -- pull qwen3-4b',
    })
  })

  test('refuses a model that is too large even alone, with the numbers', async () => {
    const store = await storeWith(['a'], { memory: { budgetBytes: 100_000_000 } })

    await expect(store.acquire('a', tenant, never)).rejects.toMatchObject({
      code: 'MODEL_OFFLINE',
      message: expect.stringMatching(
        /^a needs \d+ MB of memory \(.* of weights, .* for 1 × 8192 tokens of context, .*\), and the budget is 100 MB$/,
      ),
    })
  })

  test('reckons with the memory of a GPU once there is one', async () => {
    const store = await storeWith(['a'])
    let told = 0
    store.onChange(() => told++)

    store.onGpu(1_000_000_000)

    expect([store.budgetBytes, told]).toEqual([800_000_000, 1])
  })

  test('sees within one look what another process brought, and what it took', async () => {
    const folder = await testFolder()
    const server = await testStore(null, { folder })
    const command = await testStore(null, { folder })
    let told = 0
    const end = server.onChange(() => told++)

    await pulled(command, own, 'a')
    await server.look()
    const there = server.list().map(({ id }) => id)
    await server.look()
    await command.remove('a')
    await server.look()
    end()
    await pulled(command, own, 'b')
    await server.look()

    expect(there).toEqual(['a'])
    expect(server.list().map(({ id }) => id)).toEqual(['b'])
    expect(told).toBe(2)
  })

  test.each([
    ['that is no JSON', '{'],
    ['of another shape', '{"format":1,"id":"a"}'],
    ['that leads out of its folder', null],
    ['that is empty', ''],
  ])('leaves out a manifest %s, and can do away with it', async (_what, text) => {
    const folder = await testFolder()
    const store = await storeWith(['a', 'b'], { folder })
    const path = join(folder, 'a/manifest.json')
    const was = await readFile(path, 'utf8')

    await writeFile(`${path}.x`, text ?? was.replaceAll(/"path": "[^"]+"/g, '"path": "../../../etc/passwd"'))
    await rename(`${path}.x`, path)
    await store.look()
    const left = [store.list().map(({ id }) => id), store.brokenFolders]
    const removed = await store.remove('a')

    expect(left).toEqual([['b'], ['a']])
    expect([removed, store.brokenFolders]).toEqual([true, []])
  })

  test('deletes nothing that another process is writing into', async () => {
    const folder = await testFolder()
    await storeWith(['a'], { folder })
    const store = await testStore(null, { folder, options: { lock: () => null } })

    await expect(store.remove('a')).rejects.toThrow(/by another process/)
    expect(store.list().map(({ id }) => id)).toEqual(['a'])
  })

  test('does not take a folder that was renamed for a model of its new name', async () => {
    const folder = await testFolder()
    const store = await storeWith(['a'], { folder })

    await rename(join(folder, 'a'), join(folder, 'b'))
    await mkdir(join(folder, 'not-a-model'))
    await store.look()

    expect([store.list(), store.brokenFolders]).toEqual([[], ['b']])
  })

  test('finds a byte that is another one than it was', async () => {
    const folder = await testFolder()
    const copy = join(await testFolder(), 'a.gguf')
    await writeFile(copy, await readFile(own))
    const store = await testStore(null, { folder })
    await pulled(store, copy)

    const good = await store.verify('a', never)
    await appendFile(copy, 'x')
    const bad = await store.verify('a', never)

    expect(good).toEqual([{ path: 'a.gguf', ok: true, why: null }])
    expect(bad).toEqual([{ path: 'a.gguf', ok: false, why: 'is not what it was when it came' }])
    expect(await store.verify('nobody', never)).toBeNull()
  })

  test('preloads what is asked for and here', async () => {
    const store = await storeWith(['a'], { memory: { preload: ['a', 'gone'] } })

    expect(store.preload).toEqual(['a'])
  })
})

import { mkdir, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { writeTinyChatModel, writeTinyEmbeddingModel } from '../../test/engine/tiny-gguf.ts'
import { writeTinyProjector } from '../../test/engine/tiny-projector.ts'
import { SecretKey } from '../keys/secret-key.ts'
import { bytesOf, sendFile, sha256Of } from './hub.fixture.ts'
import { ended, pulled, testFolder, testHub, testStore } from './store.fixture.ts'

let chat: Buffer
let embedding: Buffer
let projector: Buffer

beforeAll(async () => {
  const folder = await testFolder()
  await writeTinyChatModel(join(folder, 'chat.gguf'))
  await writeTinyEmbeddingModel(join(folder, 'embedding.gguf'))
  await writeTinyProjector(join(folder, 'projector.gguf'))
  chat = await readFile(join(folder, 'chat.gguf'))
  embedding = await readFile(join(folder, 'embedding.gguf'))
  projector = await readFile(join(folder, 'projector.gguf'))
})

const BLOB = bytesOf(200_000, 1)
/** Models are some megabytes: in parts of this size that is quick. */
const LARGE = { download: { partBytes: 1_000_000, journalBytes: 1_000_000 } }

describe('a download', () => {
  test('brings the file of a quantisation, whole and with the hash that the hub announced, and says what it is for', async () => {
    const hub = await testHub({ 'org/repo/tiny-Q4_K_M.gguf': chat, 'org/repo/tiny-Q8_0.gguf': embedding })
    const store = await testStore(hub, LARGE)

    const pull = store.pulls.begin({ typed: 'hf.co/org/repo:Q8_0', id: 'tiny', modality: null, how: 'link' })
    const status = await ended(pull)
    await store.look()

    expect(status).toMatchObject({ state: 'done', say: null, doneBytes: embedding.length })
    const [model] = store.list()
    expect(model).toMatchObject({ id: 'tiny', modality: 'embedding', sizeBytes: embedding.length, contextTokens: 8192 })
    expect(sha256Of(await readFile(model?.file ?? ''))).toBe(sha256Of(embedding))
    expect((await readdir(join(model?.file ?? '', '../..'))).sort()).toEqual(['files', 'manifest.json'])
  })

  test('goes over several connections at once, and no byte is asked for twice', async () => {
    const hub = await testHub({ 'org/repo/a.gguf': BLOB })
    const store = await testStore(hub)

    const status = await pulled(store, 'hf.co/org/repo:a.gguf')

    expect(status.state).toBe('done')
    expect(hub.asked.filter(({ headers }) => headers.range !== undefined).length).toBe(Math.ceil(BLOB.length / 16_384))
    expect(hub.sent).toBe(BLOB.length)
  })

  test('brings the parts of a model of parts, and what turns pictures into tokens', async () => {
    const hub = await testHub({
      'org/repo/Q4_K_M/big-Q4_K_M-00001-of-00002.gguf': chat,
      'org/repo/Q4_K_M/big-Q4_K_M-00002-of-00002.gguf': BLOB,
      'org/repo/mmproj-F16.gguf': bytesOf(5000, 3),
      'org/repo/mmproj-BF16.gguf': bytesOf(5000, 4),
      'org/repo/README.md': { bytes: Buffer.from('# big'), small: true },
    })
    const store = await testStore(hub, LARGE)

    await pulled(store, 'hf.co/org/repo', 'big')

    const [model] = store.list()
    expect(model?.file).toMatch(/big-Q4_K_M-00001-of-00002\.gguf$/)
    expect(model?.others['projector']).toMatch(/mmproj-F16\.gguf$/)
    expect(model?.sizeBytes).toBe(chat.length + BLOB.length + 5000)
  })

  test('brings the projector of a repository with a file that was asked for by its name, too, and another one where that is named', async () => {
    const hub = await testHub({
      'org/repo/a.gguf': chat,
      'org/repo/mmproj-F16.gguf': bytesOf(5000, 3),
      'org/eyes/mmproj.gguf': projector,
    })
    const store = await testStore(hub, LARGE)
    const named = {
      typed: 'hf.co/org/repo:a.gguf',
      projector: 'hf.co/org/eyes:mmproj.gguf',
      id: 'named',
      modality: null,
      how: 'link',
    } as const

    await pulled(store, 'hf.co/org/repo:a.gguf', 'own')
    await ended(store.pulls.begin(named))
    await store.look()

    const [other, own] = store.list()
    expect(own?.others['projector']).toMatch(/files\/mmproj-F16\.gguf$/)
    expect(other?.others['projector']).toMatch(/files\/projector\/mmproj\.gguf$/)
    expect(other?.sizeBytes).toBe(chat.length + projector.length)
    expect(() => store.pulls.begin({ ...named, projector: 'hf.co/org/eyes' })).toThrow(/one file/)
  })

  test('brings a folder with small files, which git knows by another hash, and tells engines the place of each role', async () => {
    const hub = await testHub({
      'org/voice/model.onnx': BLOB,
      'org/voice/tokens.txt': { bytes: Buffer.from('a 1\n'), small: true },
      'org/voice/espeak-ng-data/en_dict': { bytes: bytesOf(900, 5), small: true },
      'org/voice/espeak-ng-data/lang/gmw/en': { bytes: Buffer.alloc(0), small: true },
    })
    const files = [
      { role: 'model', path: 'model.onnx' },
      { role: 'tokens', path: 'tokens.txt' },
      { role: 'data', path: 'espeak-ng-data/' },
    ]
    const store = await testStore(hub, {
      models: [{ id: 'tts/voice', modality: 'tts', repository: 'org/voice', files, licence: 'mit', approxBytes: null }],
    })

    const status = await pulled(store, 'tts/voice')

    expect(status).toMatchObject({ state: 'done', files: 4, filesDone: 4, id: 'tts/voice' })
    const [model] = store.list()
    expect(model).toMatchObject({ id: 'tts/voice', modality: 'tts', contextTokens: null })
    expect(await readdir(model?.others['data'] ?? '')).toEqual(['en_dict', 'lang'])
    expect(await readFile(model?.others['tokens'] ?? '', 'utf8')).toBe('a 1\n')
  })

  test('goes on where it was paused, in another process as well, and gets only what is missing', async () => {
    const hub = await testHub({ 'org/repo/a.gguf': BLOB })
    const folder = await testFolder()
    const first = await testStore(hub, { folder, download: { connections: 1 } })
    const pull = first.pulls.begin({ typed: 'hf.co/org/repo:a.gguf', id: 'a', modality: 'text', how: 'link' })
    let requests = 0
    hub.handle = (request) => {
      if (request.headers.range !== undefined && ++requests === 5) void pull.stop('paused')
      return requests >= 5 && request.headers.range !== undefined
    }

    const paused = await ended(pull)
    hub.handle = null
    const sentBefore = hub.sent
    const second = await testStore(hub, { folder })
    const orders = await second.orders()
    const resumed = await second.pulls.resume('a')
    const status = resumed && (await ended(resumed))

    expect(paused).toMatchObject({ state: 'paused', doneBytes: 4 * 16_384 })
    expect(orders).toMatchObject([{ id: 'a', sizeBytes: BLOB.length }])
    expect(status).toMatchObject({ state: 'done', doneBytes: BLOB.length })
    expect(sentBefore).toBe(4 * 16_384)
    expect(hub.sent).toBe(BLOB.length)
    expect(await second.orders()).toEqual([])
  })

  test.each([
    [401, /refuses it \(401\).*HF_TOKEN/],
    [404, /has no org\/repo\.$/],
  ])('ends at once with one sentence where the hub answers %i', async (code, says) => {
    const hub = await testHub({ 'org/repo/a.gguf': BLOB })
    const folder = await testFolder()
    const store = await testStore(hub, { folder })
    hub.handle = (_request, response) => {
      response.writeHead(code).end('words of theirs')
      return true
    }

    const status = await pulled(store, 'hf.co/org/repo:a.gguf')

    expect(status).toMatchObject({ state: 'failed', say: expect.stringMatching(says) })
    expect(status.say).not.toContain('words of theirs')
    expect(hub.asked.length).toBe(1)
    expect(await readdir(folder)).toEqual([])
  })

  test('ends with one sentence where the hub cannot be reached', async () => {
    const store = await testStore(null)

    const status = await pulled(store, 'hf.co/org/repo')

    expect(status).toMatchObject({ state: 'failed', say: '127.0.0.1:1 refuses connections.' })
  })

  test('follows the hub to where its files lie, and sends the token to the hub alone', async () => {
    const cdn = await testHub({})
    cdn.handle = (request, response) => {
      sendFile(cdn, BLOB, request, response)
      return true
    }
    const hub = await testHub({ 'org/repo/a.gguf': BLOB })
    hub.handle = (request, response) => {
      if (!request.url?.includes('/resolve/')) return false
      response.writeHead(302, { location: `${cdn.url}/blob?sig=1`, 'content-length': 3 }).end('...')
      return true
    }
    const store = await testStore(hub, { options: { token: new SecretKey('hf_secret') } })

    const status = await pulled(store, 'hf.co/org/repo:a.gguf')

    expect(status.state).toBe('done')
    expect(hub.asked.every(({ headers }) => headers.authorization === 'Bearer hf_secret')).toBe(true)
    expect(cdn.asked.length).toBeGreaterThan(3)
    expect(cdn.asked.some(({ headers }) => headers.authorization !== undefined)).toBe(false)
  })

  test('is not begun where the disk has too little space, and says the numbers', async () => {
    const hub = await testHub({ 'org/repo/a.gguf': BLOB })
    const disk = { freeBytes: () => Promise.resolve(250_000) }
    const store = await testStore(hub, { options: { disk }, download: { keepFreeBytes: 100_000 } })

    const status = await pulled(store, 'hf.co/org/repo:a.gguf')

    expect(status).toMatchObject({ state: 'failed', say: expect.stringMatching(/200 kB are to come, 250 kB are free, and 100 kB/) })
    expect(store.list()).toEqual([])
  })

  test('is shared by all who ask for the same model, and nobody else can take its name', async () => {
    const hub = await testHub({ 'org/repo/a.gguf': BLOB, 'org/repo/b.gguf': BLOB })
    const store = await testStore(hub)

    const asks = [1, 2, 3].map(() => store.pulls.begin({ typed: 'hf.co/org/repo:a.gguf', id: 'a', modality: 'text', how: 'link' }))
    const other = (): unknown => store.pulls.begin({ typed: 'hf.co/org/repo:b.gguf', id: 'a', modality: 'text', how: 'link' })

    expect(new Set(asks).size).toBe(1)
    expect(other).toThrow(/pause or cancel that first/)
    await Promise.all(asks.map(ended))
    expect(hub.sent).toBe(BLOB.length)
  })

  test('by another process on the same folder keeps this one from writing into it', async () => {
    const hub = await testHub({ 'org/repo/a.gguf': BLOB })
    const folder = await testFolder()
    const store = await testStore(hub, { folder, options: { lock: () => null } })

    const status = await pulled(store, 'hf.co/org/repo:a.gguf', 'a')

    expect(status).toMatchObject({ state: 'failed', say: expect.stringMatching(/by another process/) })
    expect(hub.asked).toEqual([])
  })

  test('that is cancelled leaves nothing behind', async () => {
    const hub = await testHub({ 'org/repo/a.gguf': BLOB })
    const folder = await testFolder()
    const store = await testStore(hub, { folder })
    const pull = store.pulls.begin({ typed: 'hf.co/org/repo:a.gguf', id: 'a', modality: 'text', how: 'link' })
    hub.handle = (request) => request.headers.range !== undefined && hub.asked.length > 3

    while (pull.status.doneBytes === 0) await new Promise(setImmediate)
    const removed = await store.remove('a')

    expect(removed).toBe(true)
    expect((await ended(pull)).state).toBe('cancelled')
    expect(await readdir(folder)).toEqual([])
  })

  test('of what is here already brings nothing, and of what changed brings that', async () => {
    const hub = await testHub({ 'org/repo/a.gguf': BLOB })
    const folder = await testFolder()
    const store = await testStore(hub, { folder, ...LARGE })
    await pulled(store, 'hf.co/org/repo:a.gguf', 'a')
    const sent = hub.sent

    const again = await pulled(store, 'hf.co/org/repo:a.gguf', 'a')
    const sentAgain = hub.sent
    hub.files.set('org/repo/a.gguf', { bytes: chat })
    const changed = await pulled(store, 'hf.co/org/repo:a.gguf', 'a')

    expect(again).toMatchObject({ state: 'done', say: expect.stringMatching(/here already/) })
    expect(sentAgain).toBe(sent)
    expect(changed).toMatchObject({ state: 'done', say: null })
    expect(await readFile(join(folder, 'a/files/a.gguf'))).toEqual(chat)
  })
})

describe('a file of the user', () => {
  test('is linked to, and stays when the model is deleted', async () => {
    const folder = await testFolder()
    const own = join(await testFolder(), 'mine.gguf')
    await writeFile(own, chat)
    const store = await testStore(null, { folder })

    const status = await ended(store.pulls.begin({ typed: own, id: null, modality: null, how: 'link' }))
    await store.look()
    const models = store.list()
    await store.remove('mine')

    expect(status).toMatchObject({ state: 'done', id: 'mine' })
    expect(models).toMatchObject([{ id: 'mine', modality: 'text', sizeBytes: chat.length }])
    expect(await readFile(own)).toEqual(chat)
    expect(store.list()).toEqual([])
  })

  test('sees with a projector that is named beside it, and is refused with anything else in its place', async () => {
    const folder = await testFolder()
    const [own, eye] = [join(folder, 'mine.gguf'), join(folder, 'eye', 'mine.gguf')]
    await mkdir(join(folder, 'eye'))
    await Promise.all([writeFile(own, chat), writeTinyProjector(eye)])
    const store = await testStore(null)

    const [wrong, right] = [
      await ended(store.pulls.begin({ typed: own, projector: own, id: 'wrong', modality: null, how: 'link' })),
      await ended(store.pulls.begin({ typed: own, projector: eye, id: 'right', modality: null, how: 'link' })),
    ]
    await store.look()

    expect(wrong).toMatchObject({ state: 'failed', say: expect.stringContaining('projector') })
    expect(right).toMatchObject({ state: 'done', files: 2 })
    const [model, ...others] = store.list()
    expect(others).toEqual([])
    expect(await readFile(model?.file ?? '')).toEqual(chat)
    expect(await readFile(model?.others['projector'] ?? '')).toEqual(await readFile(eye))
  })

  test('that goes away is missed, and the model with it, until it is back', async () => {
    const own = join(await testFolder(), 'mine.gguf')
    await writeFile(own, chat)
    const store = await testStore(null)
    await pulled(store, own)

    await rm(own)
    await store.look()
    const gone = [store.list().length, store.installed[0]?.shelved.problem]
    await writeFile(own, chat)
    await store.look()

    expect(gone).toEqual([0, 'its file mine.gguf is gone'])
    expect(store.list().length).toBe(1)
  })

  test('can be copied instead', async () => {
    const folder = await testFolder()
    const own = join(await testFolder(), 'mine.gguf')
    await writeFile(own, chat)
    const store = await testStore(null, { folder })

    await ended(store.pulls.begin({ typed: own, id: 'copy', modality: null, how: 'copy' }))

    expect((await stat(join(folder, 'copy/files/mine.gguf'))).size).toBe(chat.length)
    await rm(own)
    expect(await readFile(join(folder, 'copy/files/mine.gguf'))).toEqual(chat)
  })

  test('that is no model is not taken for one', async () => {
    const own = join(await testFolder(), 'mine.gguf')
    await writeFile(own, 'no model at all')
    const store = await testStore(null)

    const status = await ended(store.pulls.begin({ typed: own, id: null, modality: null, how: 'link' }))

    expect(status).toMatchObject({ state: 'failed', say: expect.stringMatching(/it is no GGUF file/) })
  })
})

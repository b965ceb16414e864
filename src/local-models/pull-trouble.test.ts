import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { bytesOf, sendFile } from './hub.fixture.ts'
import { pulled, testFolder, testHub, testStore } from './store.fixture.ts'

const BLOB = bytesOf(200_000, 1)

describe('a download from a server that has trouble, or makes some,', () => {
  test('is whole and right wherever its line is cut, and however often', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 20_000 }), { maxLength: 12 }), fc.boolean(), async (cuts, etags) => {
        const bytes = bytesOf(70_001, cuts.length + 2)
        const hub = await testHub({ 'org/repo/a.gguf': bytes })
        hub.etags = etags
        const left = [...cuts]
        hub.cut = () => left.shift() ?? null
        const folder = await testFolder()
        const store = await testStore(hub, { folder, download: { retries: 20 } })

        const status = await pulled(store, 'hf.co/org/repo:a.gguf', 'a')

        expect(status).toMatchObject({ state: 'done', say: null, doneBytes: bytes.length })
        expect(await readFile(join(folder, 'a/files/a.gguf'))).toEqual(bytes)
      }),
      { numRuns: 25 },
    )
  })

  test('begins anew when the file at the server changed in the meantime', async () => {
    const hub = await testHub({ 'org/repo/a.gguf': BLOB })
    const changed = bytesOf(200_000, 9)
    const folder = await testFolder()
    const store = await testStore(hub, { folder, download: { connections: 2 } })
    let requests = 0
    const url = `${hub.url}/org/repo/resolve/main/a.gguf`
    hub.handle = (request, response) => {
      sendFile(hub, ++requests > 4 ? changed : BLOB, request, response)
      return true
    }

    const status = await pulled(store, url, 'a')

    expect(status.state).toBe('done')
    expect(await readFile(join(folder, 'a/files/a.gguf'))).toEqual(changed)
    expect(status.doneBytes).toBe(changed.length)
  })

  test('takes nothing that has another hash than the hub announced', async () => {
    const hub = await testHub({ 'org/repo/a.gguf': { bytes: BLOB, announcedSha256: 'a'.repeat(64) } })
    const folder = await testFolder()
    const store = await testStore(hub, { folder })

    const status = await pulled(store, 'hf.co/org/repo:a.gguf', 'a')

    expect(status).toMatchObject({ state: 'failed', say: expect.stringMatching(/its hash differs/) })
    expect(store.list()).toEqual([])
    expect(hub.sent).toBe(2 * BLOB.length)
  })

  test('refuses a file of another size than was announced', async () => {
    const hub = await testHub({ 'org/repo/a.gguf': { bytes: BLOB, announcedSize: BLOB.length + 7 } })
    const store = await testStore(hub)

    const status = await pulled(store, 'hf.co/org/repo:a.gguf')

    expect(status).toMatchObject({ state: 'failed', say: expect.stringMatching(/200000 bytes where 200007 were announced/) })
  })

  test('does without ranges where the server has none, and starts again where its line is cut', async () => {
    const hub = await testHub({ 'org/repo/a.gguf': BLOB })
    hub.ranges = false
    let first = true
    hub.cut = () => {
      const cut = first ? 100_000 : null
      first = false
      return cut
    }
    const folder = await testFolder()
    const store = await testStore(hub, { folder, download: { partBytes: 1_000_000 } })

    const status = await pulled(store, 'hf.co/org/repo:a.gguf', 'a')

    expect(status).toMatchObject({ state: 'done', doneBytes: BLOB.length })
    expect(await readFile(join(folder, 'a/files/a.gguf'))).toEqual(BLOB)
  })

  test('is not taken in by a server that sends another part, or more, than it was asked for', async () => {
    const hub = await testHub({ 'org/repo/a.gguf': BLOB })
    const folder = await testFolder()
    const store = await testStore(hub, { folder, download: { retries: 20 } })
    let lies = 0
    hub.handle = (request, response) => {
      if (request.headers.range === undefined || lies++ >= 4) return false
      const total = BLOB.length
      if (lies % 2 === 0)
        response.writeHead(206, { 'content-range': `bytes 5-99/${total}`, 'content-length': 95 }).end(BLOB.subarray(0, 95))
      else response.writeHead(206, { 'content-range': `bytes 0-9/${total}`, 'content-length': 500 }).end(BLOB.subarray(900, 1400))
      return true
    }

    const status = await pulled(store, 'hf.co/org/repo:a.gguf', 'a')

    expect(status.state).toBe('done')
    expect(await readFile(join(folder, 'a/files/a.gguf'))).toEqual(BLOB)
  })

  test('waits as long as a busy server asks, tries again after its failures, and gives up in the end', async () => {
    const hub = await testHub({ 'org/repo/a.gguf': BLOB })
    const waits: number[] = []
    const wait = (ms: number): Promise<void> => {
      waits.push(ms)
      return Promise.resolve()
    }
    const store = await testStore(hub, { options: { wait }, download: { connections: 1, retries: 3 } })
    const statuses = [429, 503, 500, 0, 503, 503, 503, 503]
    hub.handle = (request, response) => {
      const status = request.headers.range === undefined ? 0 : (statuses.shift() ?? 0)
      if (status > 0) response.writeHead(status, status === 429 ? { 'retry-after': '7' } : {}).end()
      return status > 0
    }

    const status = await pulled(store, 'hf.co/org/repo:a.gguf')

    expect(status).toMatchObject({ state: 'failed', say: expect.stringMatching(/has trouble of its own \(503\)/), doneBytes: 16_384 })
    expect(waits[0]).toBe(7000)
    expect(waits.slice(1)).toEqual([2, 4, 1, 2, 4])
  })

  test('tries again when the server stops in the middle', async () => {
    const hub = await testHub({ 'org/repo/a.gguf': BLOB })
    const store = await testStore(hub, { download: { stallMs: 50 } })
    let stalled = false
    hub.handle = (request, response) => {
      if (stalled || request.headers.range === undefined) return false
      stalled = true
      response.writeHead(206, { 'content-range': `bytes 0-16383/${BLOB.length}`, 'content-length': 16_384 })
      response.write(BLOB.subarray(0, 3000))
      return true
    }

    const status = await pulled(store, 'hf.co/org/repo:a.gguf')

    expect(status.state).toBe('done')
    expect(hub.sent).toBe(BLOB.length - 3000)
  })

  test('asks the hub for a fresh address when the one it gave has run out', async () => {
    const cdn = await testHub({})
    let refused = 0
    cdn.handle = (request, response) => {
      if (request.url?.includes('sig=old')) {
        refused++
        response.writeHead(403).end()
      } else sendFile(cdn, BLOB, request, response)
      return true
    }
    const hub = await testHub({ 'org/repo/a.gguf': BLOB })
    let redirects = 0
    hub.handle = (request, response) => {
      if (!request.url?.includes('/resolve/')) return false
      response.writeHead(302, { location: `${cdn.url}/blob?sig=${redirects++ < 2 ? 'old' : 'new'}` }).end()
      return true
    }
    const store = await testStore(hub)

    const status = await pulled(store, 'hf.co/org/repo:a.gguf')

    expect(status.state).toBe('done')
    expect(refused).toBe(2)
  })

  test('does not go to addresses of this machine unless the configuration allows it', async () => {
    const hub = await testHub({ 'org/repo/a.gguf': BLOB })
    const store = await testStore(hub, { download: { allowPrivateAddresses: false } })

    const plain = await pulled(store, `${hub.url}/org/repo/resolve/main/a.gguf`, 'a')
    const secure = await pulled(store, `https://127.0.0.1/a.gguf`, 'b')

    expect(plain).toMatchObject({ state: 'failed', say: expect.stringMatching(/https only/) })
    expect(secure).toMatchObject({ state: 'failed', say: expect.stringMatching(/allowPrivateAddresses/) })
    expect(hub.asked).toEqual([])
  })
})

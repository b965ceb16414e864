import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { CONTEXT_TOKENS, DIMENSIONS, writeTinyChatModel, writeTinyEmbeddingModel } from '../../test/engine/tiny-gguf.ts'
import { costsOf, estimateOf, shapeOf } from './estimate.ts'
import { BadGguf, type GgufHeader, readGgufHeader } from './gguf.ts'
import { testFolder } from './store.fixture.ts'

const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}
const u64 = (value: number | bigint): Buffer => {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(BigInt(value))
  return bytes
}
const text = (value: string): Buffer => Buffer.concat([u64(Buffer.byteLength(value)), Buffer.from(value)])
const head = (entries: number, ...rest: Buffer[]): Buffer => Buffer.concat([Buffer.from('GGUF'), u32(3), u64(0), u64(entries), ...rest])

async function read(bytes: Buffer): Promise<GgufHeader> {
  const path = join(await testFolder(), 'a.gguf')
  await writeFile(path, bytes)
  return readGgufHeader(path)
}

describe('the header of a GGUF file', () => {
  test('says what a chat model will take, and that it is none of embeddings', async () => {
    const path = join(await testFolder(), 'chat.gguf')
    await writeTinyChatModel(path)

    const header = await readGgufHeader(path)

    expect(header).toMatchObject({
      architecture: 'llama',
      contextTokens: CONTEXT_TOKENS,
      layers: 1,
      embeddingLength: DIMENSIONS,
      heads: 8,
      kvHeads: 8,
      keyLength: DIMENSIONS / 8,
      valueLength: DIMENSIONS / 8,
      pools: false,
    })
    expect(header.vocabulary).toBeGreaterThan(256)
  })

  test('tells a model of embeddings by its pooling', async () => {
    const path = join(await testFolder(), 'embedding.gguf')
    await writeTinyEmbeddingModel(path)

    expect((await readGgufHeader(path)).pools).toBe(true)
  })

  test('with a list of heads per layer is summed up', async () => {
    const heads = Buffer.concat([u32(9), u32(4), u64(3), u32(8), u32(0), u32(2)])
    const entries = [text('general.architecture'), u32(8), text('x'), text('x.block_count'), u32(4), u32(3)]
    const rest = [text('x.embedding_length'), u32(4), u32(64), text('x.attention.head_count_kv'), heads]
    const bytes = head(4, ...entries, ...rest)

    expect((await read(bytes)).kvHeads).toBe(10)
  })

  test('with layers that remember a state counts the others, and that', async () => {
    const numbers = { block_count: 8, embedding_length: 64, full_attention_interval: 4, 'ssm.inner_size': 32, 'ssm.state_size': 16 }
    const entries = Object.entries({ ...numbers, 'attention.head_count_kv': 2 }).flatMap(([name, value]) => [
      text(`x.${name}`),
      u32(4),
      u32(value),
    ])
    const header = await read(head(7, text('general.architecture'), u32(8), text('x'), ...entries))

    expect(header).toMatchObject({ kvHeads: 2 * 2, stateNumbers: 6 * 32 * 16 })
  })

  test.each([
    ['no GGUF', Buffer.from('no model at all'), /no GGUF/],
    ['an empty file', Buffer.alloc(0), /cut short/],
    ['of another time', Buffer.concat([Buffer.from('GGUF'), u32(9), Buffer.alloc(64)]), /version/],
    ['with more entries than there can be', head(2 ** 40), /bounds/],
    ['with a text that is longer than all memory', head(1, u64(2n ** 63n)), /bounds/],
    ['with a list that is longer than the file', head(1, text('a'), u32(9), u32(4), u64(2 ** 50)), /cut short/],
    ['with a value of an unknown type', head(1, text('a'), u32(77), Buffer.alloc(64)), /type/],
    ['with lists of lists', head(1, text('a'), u32(9), u32(9), u64(1), Buffer.alloc(64)), /lists of lists/],
    ['without an architecture', head(0, Buffer.alloc(64)), /architecture/],
  ])('%s is refused in our words', async (_what, bytes, why) => {
    await expect(read(bytes)).rejects.toThrow(why)
  })

  test('is read or refused, and nothing else, whatever byte of it is another one or wherever it ends', async () => {
    const path = join(await testFolder(), 'chat.gguf')
    await writeTinyChatModel(path)
    // The head and its numbers; the weights do not matter here.
    const bytes = (await readFile(path)).subarray(0, 40_000)
    const broken = join(await testFolder(), 'broken.gguf')

    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ at: fc.nat(3000), byte: fc.nat(255) }), { maxLength: 4 }),
        fc.option(fc.nat(bytes.length)),
        async (changes, end) => {
          const copy = Buffer.from(bytes.subarray(0, end ?? bytes.length))
          for (const { at, byte } of changes) if (at < copy.length) copy[at] = byte
          await writeFile(broken, copy)

          const header = await readGgufHeader(broken).catch((error: unknown) => error)

          if (header instanceof Error) expect(header).toBeInstanceOf(BadGguf)
          else expect(header).toMatchObject({ layers: expect.any(Number), kvHeads: expect.any(Number) })
        },
      ),
      { numRuns: 200 },
    )
  })

  test('of random bytes is refused', async () => {
    const path = join(await testFolder(), 'random.gguf')
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 4000 }), fc.boolean(), async (random, begins) => {
        await writeFile(path, begins ? Buffer.concat([Buffer.from('GGUF'), u32(3), random]) : random)

        await expect(readGgufHeader(path)).rejects.toBeInstanceOf(BadGguf)
      }),
      { numRuns: 200 },
    )
  })
})

describe('the estimate', () => {
  // Qwen3-4B as its publisher describes it: 36 layers, 8 heads of keys and values of 128 each.
  const header: GgufHeader = {
    architecture: 'qwen3',
    contextTokens: 40_960,
    layers: 36,
    embeddingLength: 2560,
    feedForwardLength: 9728,
    heads: 32,
    kvHeads: 8 * 36,
    stateNumbers: 0,
    keyLength: 128,
    valueLength: 128,
    vocabulary: 151_936,
    pools: false,
  }

  test('counts the weights, two bytes for each number of the cache, and what it takes to compute', () => {
    const { weightsBytes, cacheBytes, overheadBytes, totalBytes } = estimateOf(costsOf(header, 0), 2_500_000_000, {
      contextTokens: 8192,
      parallel: 1,
    })

    expect(cacheBytes).toBe(8192 * 36 * 8 * 256 * 2)
    expect(totalBytes).toBe(weightsBytes + cacheBytes + overheadBytes)
    expect(overheadBytes).toBeGreaterThan(100_000_000)
  })

  test('gives up runs at once to fit a budget, and never context', () => {
    const wished = { contextTokens: 8192, parallel: 8 }
    const roomy = shapeOf(costsOf(header, 0), 2_500_000_000, 'text', wished, 20_000_000_000)
    const tight = shapeOf(costsOf(header, 0), 2_500_000_000, 'text', wished, 5_000_000_000)
    const hopeless = shapeOf(costsOf(header, 0), 2_500_000_000, 'text', wished, 1_000_000_000)

    expect([roomy.parallel, tight.parallel, hopeless.parallel]).toEqual([8, 1, 1])
    expect([roomy.contextTokens, tight.contextTokens, hopeless.contextTokens]).toEqual([8192, 8192, 8192])
    expect(shapeOf(costsOf({ ...header, contextTokens: 2048 }, 0), 1, 'text', wished, 1).contextTokens).toBe(2048)
  })

  test('is more for a model that sees: the projector is among the files, and pictures are worked on beside it', () => {
    const shape = { contextTokens: 8192, parallel: 1 }
    const blind = estimateOf(costsOf(header, 0), 2_500_000_000, shape)
    const sees = estimateOf(costsOf(header, 850_000_000), 2_500_000_000, shape)

    expect(sees.weightsBytes).toBe(blind.weightsBytes)
    expect(sees.totalBytes - blind.totalBytes).toBeGreaterThan(850_000_000)
  })
})

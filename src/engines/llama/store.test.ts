import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { whyNoEngine } from '../../../test/engine/llama-server.ts'
import { TOPICS } from '../../../test/engine/tiny-gguf.ts'
import { pulled, testStore } from '../../local-models/store.fixture.ts'
import { PLAIN, contentOf } from '../text-run.fixture.ts'
import type { TextPart } from '../../core/modalities/text.ts'
import { makeFiles } from './llama.fixture.ts'
import type { Files } from './llama.fixture.ts'
import { LlamaEngine } from './llama.ts'

const LIMIT_MS = 30_000
const none = whyNoEngine()

let files: Files
beforeAll(async () => {
  files = await makeFiles()
}, LIMIT_MS)
afterAll(() => files.dispose())

describe.skipIf(none !== null)(none === null ? 'with the store of models' : `with the store of models (skipped: ${none})`, () => {
  test('models that do not fit beside each other take turns, and the memory is free at the end', async () => {
    const shape = { contextTokens: 512, parallel: 2 }
    const roomy = await testStore(null, { memory: shape })
    await pulled(roomy, files.chat, 'a')
    const budgetBytes = Math.ceil((roomy.list()[0]?.memoryBytes ?? 0) * 1.5)
    const store = await testStore(null, { memory: { ...shape, budgetBytes } })
    for (const id of ['a', 'b']) await pulled(store, files.chat, id)
    const engine = new LlamaEngine({ id: 'local', models: store, env: {}, threads: 1, gpu: false, server: null })

    const said: string[] = []
    for (const id of ['a', 'b', 'a', 'b']) {
      said.push(await say(engine, id))
      expect([engine.pid('a') !== null, engine.pid('b') !== null]).toEqual([id === 'a', id === 'b'])
    }
    const together = await Promise.all(['a', 'b', 'a', 'b'].map((id) => say(engine, id)))
    await engine.close()

    expect([...said, ...together]).toEqual(Array.from({ length: 8 }, () => TOPICS.greeting.says))
    expect(store.memory.usedBytes).toBe(0)
  })
})

async function say(engine: LlamaEngine, model: string): Promise<string> {
  const parts: TextPart[] = []
  const request = { ...PLAIN, messages: [{ role: 'user', content: 'hello there' }], sampling: { temperature: 0 } } as const
  const task = { model, request, signal: new AbortController().signal, firstByteMs: LIMIT_MS, stallMs: LIMIT_MS }
  await engine.abilities.text?.run(task, (more) => void parts.push(...more))
  return contentOf(parts, 0)
}

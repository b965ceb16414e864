import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { bareEnvironment } from '../process.ts'
import { ModelsFixture } from './llama.fixture.ts'
import { LlamaEngine } from './llama.ts'

test('the store hears of the GPU that a child computes on', async () => {
  const script = new URL('./gpu-child.fixture.ts', import.meta.url)
  const models = new ModelsFixture()
  await models.add('chat', 'text', fileURLToPath(script))
  const server = { program: '/nowhere', script, runs: () => true }
  const engine = new LlamaEngine({ id: 'llama', models, env: bareEnvironment(process.env), threads: 1, gpu: true, server })

  await engine.warm('chat')
  await engine.close()

  expect(models.gpus).toEqual([8_000_000_000])
})

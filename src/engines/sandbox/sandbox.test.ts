/** The sandbox is an engine like every other. */
import { describe, expect, it } from 'vitest'
import { describeEngine } from '../conformance.ts'
import { SANDBOX_EMBEDDING, SANDBOX_TEXT, sandboxEngine } from './sandbox.ts'

describeEngine('sandbox', async () => ({
  engine: sandboxEngine(),
  text: { model: SANDBOX_TEXT, endless: { request: { sandbox: { stallAfter: 1 } } } },
  embedding: { model: SANDBOX_EMBEDDING },
}))

describe('the sandbox', () => {
  it('is always there, keeps everything private, and lists its two models', async () => {
    const engine = sandboxEngine()

    expect(engine).toMatchObject({ id: 'sandbox', privacy: 'private', lists: true })
    expect(await engine.probe(new AbortController().signal)).toMatchObject({
      up: true,
      models: [
        { name: 'sandbox-text', modality: 'text' },
        { name: 'sandbox-embedding', modality: 'embedding' },
      ],
    })
  })
})

/** A gateway for a test: starts a child, says its process id, and waits to be killed. */
import { fail } from '../core/errors.ts'
import { EngineProcess } from './process.ts'

const child = new EngineProcess({
  script: new URL('./process-child.fixture.ts', import.meta.url),
  args: ['good', ''],
  env: {},
  startMs: 10_000,
  failure: () => fail('INFERENCE_FAILED'),
})
await child.ensureReady(new AbortController().signal)
process.stdout.write(`${child.pid}\n`)

import { afterEach, expect, test } from 'vitest'
import { Cancel } from '../core/cancel.ts'
import { callerLeft, fail } from '../core/errors.ts'
import type { LocalModel, LocalModels } from '../core/local-models.ts'
import { Loaded } from './loaded.ts'
import { bareEnvironment } from './process.ts'

const MODEL: LocalModel = {
  id: 'm',
  modality: 'asr',
  file: '/nowhere',
  others: {},
  contextTokens: null,
  parallel: 1,
  sizeBytes: 1,
  memoryBytes: 1,
}
const waits = { firstByteMs: 10_000, stallMs: 10_000 }

const opened: Loaded[] = []
afterEach(async () => {
  for (const one of opened.splice(0)) await one.close()
})

/** One call at once, and one that may wait. */
function loaded(onReady: (info: unknown) => void = () => undefined): Loaded {
  const models: LocalModels = {
    list: () => [MODEL],
    acquire: () => Promise.resolve({ model: MODEL, used: () => undefined, release: () => undefined }),
    onGpu: () => undefined,
    onChange: () => () => undefined,
  }
  const made = new Loaded(MODEL, models, {
    script: new URL('./process-child.fixture.ts', import.meta.url),
    env: bareEnvironment(process.env),
    failure: (reason) => fail('INFERENCE_FAILED', { internal: reason }),
    start: 'good',
    onReady,
    waitingPerSlot: 1,
  })
  opened.push(made)
  return made
}

test('what a child says of itself is told each time that it is ready', async () => {
  const said: unknown[] = []
  const one = loaded((info) => said.push(info))

  await one.warm()
  await one.warm()
  expect(said).toEqual([expect.objectContaining({ file: '' })])

  await one.evict()
  await one.warm()
  expect(said.length).toBe(2)
})

test('what takes no computing reaches the child while the queue is full', async () => {
  const one = loaded()
  const signal = new Cancel()
  const heard: unknown[] = []
  const running = one.call('until-told', null, { ...waits, signal, onPart: (part) => heard.push(part) })
  await expect.poll(() => heard).toEqual(['before'])
  const waiting = one.call('echo', 'later', { ...waits, signal })
  await expect(one.call('echo', 'too many', { ...waits, signal })).rejects.toMatchObject({ internal: 'local_queue_full' })

  one.tell('tell', null, 10_000)

  expect(await running).toMatchObject({ value: 'told' })
  expect(await waiting).toMatchObject({ value: 'later' })
})

test('a model stays loaded between the calls of one work', async () => {
  const one = loaded()
  const signal = new Cancel()
  const evicted: boolean[] = []

  await one.during(async () => {
    await one.call('echo', 1, { ...waits, signal })
    evicted.push(await one.evict())
    await one.call('echo', 2, { ...waits, signal })
  })
  evicted.push(await one.evict())

  expect(evicted).toEqual([false, true])
})

test('a call that is given up while it waits makes room for another', async () => {
  const one = loaded()
  const [signal, leaving] = [new Cancel(), new Cancel()]
  const heard: unknown[] = []
  const running = one.call('until-told', null, { ...waits, signal, onPart: (part) => heard.push(part) })
  await expect.poll(() => heard).toEqual(['before'])
  const waiting = one.call('echo', 'left', { ...waits, signal: leaving })
  leaving.abort(callerLeft())
  await expect(waiting).rejects.toMatchObject({ internal: 'caller_left' })

  const after = one.call('echo', 'after', { ...waits, signal })
  one.tell('tell', null, 10_000)

  expect(await Promise.all([running, after])).toMatchObject([{ value: 'told' }, { value: 'after' }])
})

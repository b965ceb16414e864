import { describe, expect, it } from 'vitest'
import type { EngineModel } from '../core/engine.ts'
import { Catalog } from './catalog.ts'
import { MAX_FOUND_PER_ENGINE } from './found.ts'
import { TRIP_LAPSE_MS } from './shelf.ts'
import type { KnownEngine } from './shelf.ts'
import { NO_NAMES, engine, shippedCatalog, testClock, textEntry } from './testing.ts'

const has = (...names: string[]): { up: true; models: EngineModel[] } => ({
  up: true,
  models: names.map((name) => ({ name, modality: null, contextTokens: null })),
})
const down = { up: false, why: 'refused' } as const
const offline = (catalog: Catalog, id: string): unknown => catalog.get(id)?.model_spec.offline
const ids = (catalog: Catalog): string[] => catalog.list('text').map(({ id }) => id)

function over(engines: readonly KnownEngine[], deployments: readonly object[], random?: () => number): Catalog {
  return new Catalog({
    entries: [textEntry('m', { deployments })],
    names: NO_NAMES,
    engines,
    clock: testClock(),
    ...(random && { random }),
  })
}
const tried = (catalog: Catalog): string[] => catalog.deployments(catalog.resolve('m', 'text').model).map(({ engine: id }) => id)

/** A catalogue of one configured model, and what these engines bring in. */
const make = (...engines: KnownEngine[]): Catalog =>
  new Catalog({ entries: [textEntry('m')], names: NO_NAMES, engines: [engine('one'), ...engines], clock: testClock() })

describe('where a model is tried', () => {
  it('is by order, on engines that are configured and not known to be down', () => {
    const engines = [engine('far'), engine('near'), engine('none', { configured: false }), engine('dead')]
    const catalog = over(engines, [
      { engine: 'far', order: 2 },
      { engine: 'none', order: 0 },
      { engine: 'dead', order: 1 },
      { engine: 'near', order: 0 },
    ])

    expect(tried(catalog)).toEqual(['near', 'dead', 'far'])
    catalog.reach('dead', down)

    expect(tried(catalog)).toEqual(['near', 'far'])
  })

  it('counts a configured remote engine as up before it was asked, and a local one that lists its models as down', () => {
    const catalog = over([engine('remote'), engine('local', { lists: true })], [{ engine: 'remote' }, { engine: 'local', order: 1 }])

    expect(tried(catalog)).toEqual(['remote'])
    catalog.reach('local', has('m'))

    expect(tried(catalog)).toEqual(['remote', 'local'])
  })

  it('leaves out a local engine that does not have the model, under the name that the engine has for it', () => {
    const catalog = over([engine('local', { lists: true })], [{ engine: 'local', model: 'their-name' }])

    catalog.reach('local', has('m'))
    expect(tried(catalog)).toEqual([])
    catalog.reach('local', has('their-name'))

    expect(tried(catalog)).toEqual(['local'])
  })

  it('shares equals out in proportion to their weights', () => {
    let state = 7
    const random = (): number => {
      state = (state * 1_103_515_245 + 12_345) % 2 ** 31
      return state / 2 ** 31
    }
    const deployments = [
      { engine: 'a', weight: 6 },
      { engine: 'b', weight: 3 },
      { engine: 'c', weight: 1 },
      { engine: 'last', order: 1 },
    ]
    const catalog = over([engine('a'), engine('b'), engine('c'), engine('last')], deployments, random)
    const first: Record<string, number> = { a: 0, b: 0, c: 0 }

    for (let i = 0; i < 10_000; i++) {
      const order = tried(catalog)
      expect([...order].sort()).toEqual(['a', 'b', 'c', 'last'])
      expect(order[3]).toBe('last')
      first[order[0] ?? ''] = (first[order[0] ?? ''] ?? 0) + 1
    }

    expect(first['a']).toBeGreaterThan(5800)
    expect(first['a']).toBeLessThan(6200)
    expect(first['b']).toBeGreaterThan(2800)
    expect(first['b']).toBeLessThan(3200)
    expect(first['c']).toBeGreaterThan(850)
    expect(first['c']).toBeLessThan(1150)
  })

  it('is the same list every time where nothing takes turns', () => {
    const catalog = over([engine('one'), engine('two')], [{ engine: 'one' }, { engine: 'two', order: 1 }])
    const { model } = catalog.resolve('m', 'text')

    expect(catalog.deployments(model)).toBe(catalog.deployments(model))
  })

  it('is never the sandbox for a model that has anything else, even where that is down', () => {
    const catalog = over([engine('one'), engine('sandbox')], [{ engine: 'sandbox' }, { engine: 'one', order: 5 }])

    expect(tried(catalog)).toEqual(['one'])
    catalog.reach('one', down)

    expect(tried(catalog)).toEqual([])
  })

  it('is nowhere for types that cannot be run yet', () => {
    const catalog = shippedCatalog(['venice'])

    expect(offline(catalog, 'venice-sd35')).toBe(true)
    expect(catalog.remedy(catalog.resolve('venice-sd35', 'image').model)).toBe('This version does not run models of type image yet.')
  })
})

describe('an open breaker', () => {
  const engines = [engine('one'), engine('two')]
  const names = { traits: { text: { default: ['a', 'b'] } }, compatibility: {} }
  const entries = [textEntry('a', { deployments: [{ engine: 'one' }] }), textEntry('b', { deployments: [{ engine: 'two' }] })]

  it('makes a model with no other deployment offline and names pass it over, until it closes', () => {
    const catalog = new Catalog({ entries, names, engines, clock: testClock() })
    const [deployment] = catalog.resolve('a', 'text').model.deployments
    if (!deployment) throw new Error('a deployment was expected')

    catalog.trip(deployment, true)
    expect(offline(catalog, 'a')).toBe(true)
    expect(catalog.resolve('default', 'text').model.id).toBe('b')
    expect(catalog.traits('text')).toEqual({ default: 'b' })
    expect(catalog.remedy(catalog.resolve('a', 'text').model)).toContain('tried again')

    catalog.trip(deployment, false)
    expect(offline(catalog, 'a')).toBe(false)
    expect(catalog.resolve('default', 'text').model.id).toBe('a')
  })

  it('leaves its deployment in turn, so that the breaker can let a probe through', () => {
    const catalog = new Catalog({ entries, names, engines, clock: testClock() })
    const { model } = catalog.resolve('a', 'text')
    const [deployment] = model.deployments
    if (!deployment) throw new Error('a deployment was expected')

    catalog.trip(deployment, true)

    expect(catalog.deployments(model)).toEqual([deployment])
  })

  it('is forgotten after a while, so that a model which only names lead to comes back', () => {
    const clock = testClock()
    const catalog = new Catalog({ entries, names, engines, clock })
    const [deployment] = catalog.resolve('a', 'text').model.deployments
    if (!deployment) throw new Error('a deployment was expected')
    catalog.trip(deployment, true)

    clock.ticks += TRIP_LAPSE_MS - 1
    expect(catalog.resolve('default', 'text').model.id).toBe('b')
    clock.ticks += 1

    expect(catalog.resolve('default', 'text').model.id).toBe('a')
    expect(offline(catalog, 'a')).toBe(false)
  })
})

describe('models that an engine says it has', () => {
  const local = engine('ollama', { lists: true })

  it('join as private, free and online, and leave when the engine goes', () => {
    const catalog = make(local)

    catalog.reach('ollama', { up: true, models: [{ name: 'qwen3:4b', modality: 'text', contextTokens: 40_960 }] })
    expect(catalog.get('qwen3:4b')).toMatchObject({
      id: 'qwen3:4b',
      object: 'model',
      type: 'text',
      context_length: 40_960,
      model_spec: { privacy: 'private', offline: false, pricing: { input: { usd: 0 }, output: { usd: 0 } } },
    })
    expect(catalog.resolve('qwen3:4b', 'text').model).toMatchObject({
      prices: { base: { inputToken: 0, outputToken: 0 } },
      capabilities: { functionCalling: true, responseSchema: true, vision: true },
      deployments: [{ engine: 'ollama', model: 'qwen3:4b' }],
    })
    expect(ids(catalog)).toEqual(['m', 'qwen3:4b'])

    catalog.reach('ollama', down)
    expect(ids(catalog)).toEqual(['m'])
    expect(catalog.get('qwen3:4b')).toBeNull()
  })

  it('answer as offline, not as unknown, while their engine is away', () => {
    const catalog = make(local)
    catalog.reach('ollama', has('qwen3:4b'))
    catalog.reach('ollama', down)

    const { model } = catalog.resolve('qwen3:4b', 'text')

    expect(catalog.deployments(model)).toEqual([])
    expect(catalog.remedy(model)).toBe('ollama cannot be reached (refused). Start ollama.')
  })

  it('are unknown once their engine is back without them', () => {
    const catalog = make(local)
    catalog.reach('ollama', has('a', 'b'))
    catalog.reach('ollama', has('b'))

    expect(() => catalog.resolve('a', 'text')).toThrow('Specified model not found')
    expect(ids(catalog)).toEqual(['m', 'b'])
  })

  it('take pictures unless their engine says that they do not, and are listed anew when that changes', () => {
    const catalog = make(local)
    const vision = (id: string): unknown => Object(catalog.get(id)?.model_spec['capabilities']).supportsVision
    const says = (...sees: boolean[]): void =>
      catalog.reach('ollama', {
        up: true,
        models: sees.map((one, at) => ({ name: `m${at}`, modality: 'text', contextTokens: 1024, vision: one })),
      })

    says(true, false)
    const before = [vision('m0'), vision('m1')]
    says(true, true)

    expect(before).toEqual([true, false])
    expect(vision('m1')).toBe(true)
  })

  it('keep the engine’s colon in their names apart from a suffix', () => {
    const catalog = make(local)
    catalog.reach('ollama', has('qwen3:4b', 'llama3.2:latest'))

    expect(catalog.resolve('qwen3:4b:disable_thinking=true', 'text')).toMatchObject({ model: { id: 'qwen3:4b' } })
    expect(catalog.resolve('llama3.2', 'text').model.id).toBe('llama3.2:latest')
    expect(catalog.resolve('ollama/qwen3:4b:web', 'text').model.id).toBe('qwen3:4b')
    expect(() => catalog.resolve('qwen3', 'text')).toThrow('Specified model not found')
  })

  it('get the engine in front of a name that a configured model has', () => {
    const catalog = make(local)

    catalog.reach('ollama', has('m'))

    expect(ids(catalog)).toEqual(['m', 'ollama/m'])
    expect(catalog.deployments(catalog.resolve('m', 'text').model)).toMatchObject([{ engine: 'one' }])
    expect(catalog.deployments(catalog.resolve('ollama/m', 'text').model)).toMatchObject([{ engine: 'ollama', model: 'm' }])
  })

  it('are no second model where a configured one has a deployment for them', () => {
    const entry = textEntry('m', { deployments: [{ engine: 'ollama', model: 'theirs' }] })
    const catalog = new Catalog({ entries: [entry], names: NO_NAMES, engines: [local], clock: testClock() })

    catalog.reach('ollama', has('theirs', 'other'))

    expect(ids(catalog)).toEqual(['m', 'other'])
    expect(offline(catalog, 'm')).toBe(false)
  })

  it('have ids that do not depend on which engine answered first', () => {
    const second = engine('vllm', { lists: true })
    const [one, other] = [make(local, second), make(local, second)]

    one.reach('ollama', has('x'))
    one.reach('vllm', has('x'))
    other.reach('vllm', has('x'))
    other.reach('ollama', has('x'))

    expect(ids(one)).toEqual(['m', 'x', 'vllm/x'])
    expect(ids(other)).toEqual(ids(one))
    expect(one.resolve('ollama/x', 'text').model.id).toBe('x')
  })

  it('are as private as their engine', () => {
    const catalog = make(engine('cloud', { lists: true, privacy: 'anonymized' }))

    catalog.reach('cloud', has('x'))

    expect(catalog.get('x')?.model_spec.privacy).toBe('anonymized')
  })

  it('may be embeddings, and read 8192 tokens where nobody says', () => {
    const catalog = make(local)

    catalog.reach('ollama', { up: true, models: [{ name: 'nomic-embed-text', modality: 'embedding', contextTokens: null }] })

    expect(catalog.resolve('nomic-embed-text', 'embedding').model).toMatchObject({ bounds: { contextTokens: 8192 }, capabilities: null })
    expect(catalog.list('embedding').map(({ id }) => id)).toEqual(['nomic-embed-text'])
  })

  it('are bounded in number and in what their names may contain', () => {
    const catalog = make(local)
    const many = Array.from({ length: MAX_FOUND_PER_ENGINE + 5 }, (_, i) => `m-${i}`)

    catalog.reach('ollama', has('two\nlines', 'with space', '', 'é', 'x'.repeat(500), ...many))

    expect(ids(catalog)).toHaveLength(1 + MAX_FOUND_PER_ENGINE)
    expect(ids(catalog)[1]).toBe('m-0')
  })

  it('do not join where the engine is not one that lists', () => {
    const catalog = make(engine('remote'))

    catalog.reach('remote', has('their-model'))

    expect(ids(catalog)).toEqual(['m'])
  })
})

describe('the default of text', () => {
  it('is what the operator runs before the sandbox, once no candidate is online', () => {
    const catalog = shippedCatalog(['ollama'])
    expect(catalog.resolve('default', 'text').model.id).toBe('sandbox-text')

    catalog.reach('ollama', has('qwen3:4b'))
    expect(catalog.resolve('default', 'text').model.id).toBe('qwen3:4b')
    expect(catalog.get('qwen3:4b')?.model_spec.traits).toEqual(['default'])
    expect(catalog.get('sandbox-text')?.model_spec.traits).toEqual([])
    expect(ids(catalog).slice(-2)).toEqual(['qwen3:4b', 'sandbox-text'])

    catalog.reach('ollama', down)
    expect(catalog.resolve('default', 'text').model.id).toBe('sandbox-text')
  })

  it('is what was found before a configured model that nobody made a candidate', () => {
    const names = { traits: { text: { default: ['nobody'] } }, compatibility: {} }
    const engines = [engine('one'), engine('ollama', { lists: true })]
    const catalog = new Catalog({ entries: [textEntry('m')], names, engines, clock: testClock() })

    expect(catalog.resolve('default', 'text').model.id).toBe('m')
    catalog.reach('ollama', has('qwen3:4b'))

    expect(catalog.resolve('default', 'text').model.id).toBe('qwen3:4b')
  })

  it('is a configured candidate before anything that was found', () => {
    const catalog = shippedCatalog(['ollama', 'openai'])

    catalog.reach('ollama', has('qwen3:4b'))

    expect(catalog.resolve('default', 'text').model.id).toBe('openai-gpt-52')
  })
})

describe('what the operator can do', () => {
  it('is told of every engine that could serve the model', () => {
    const catalog = shippedCatalog([])

    const remedy = catalog.remedy(catalog.resolve('openai-gpt-52', 'text').model)

    expect(remedy).toMatch(/OPENAI_API_KEY.* Or: .*VENICE_API_KEY.* Or: .*OPENROUTER_API_KEY/)
  })

  it('is to load a model that the engine does not have, or to give it a deployment', () => {
    const catalog = over([engine('local', { lists: true })], [{ engine: 'local', model: 'theirs' }])
    catalog.reach('local', has('other'))
    const bare = over([], [])
    const pulled = over(
      [engine('local', { lists: true, remedy: 'Run npm run models -- pull {model}' })],
      [{ engine: 'local', model: 'theirs' }],
    )
    pulled.reach('local', has('other'))

    expect(catalog.remedy(catalog.resolve('m', 'text').model)).toBe('Load theirs into local, which does not have it.')
    // The engine's own words, where they name the model.
    expect(pulled.remedy(pulled.resolve('m', 'text').model)).toBe('Run npm run models -- pull theirs')
    expect(bare.remedy(bare.resolve('m', 'text').model)).toBe(
      'It has no deployment; give it one in models/text.json of the configuration folder.',
    )
  })
})

describe('listings', () => {
  it('are made once for as long as nothing changes', () => {
    const catalog = shippedCatalog(['venice'])
    const before = catalog.list('all')

    catalog.reach('venice', { up: true, models: null })
    expect(catalog.list('all')).toBe(before)
    catalog.reach('venice', down)

    expect(catalog.list('all')).not.toBe(before)
    expect(offline(catalog, 'qwen3-4b')).toBe(true)
  })

  it('have text models for code as a type of their own', () => {
    const code = shippedCatalog([]).list('code')

    expect(code.map(({ id }) => id)).toContain('qwen3-coder-480b-a35b-instruct')
    expect(code.every(({ model_spec }) => JSON.stringify(model_spec['capabilities']).includes('"optimizedForCode":true'))).toBe(true)
    expect(code.map(({ id }) => id)).not.toContain('qwen3-4b')
  })
})

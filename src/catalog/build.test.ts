import { describe, expect, it } from 'vitest'
import { buildModel } from './build.ts'
import { Catalog } from './catalog.ts'
import { enginesFile, modelsFile, namesFile, plansFile } from './entry.ts'
import { readFile } from './read.ts'
import { CAPABILITIES, NO_NAMES, engine, testClock, textEntry } from './testing.ts'

const start = (...entries: ReturnType<typeof textEntry>[]) =>
  new Catalog({ entries, names: NO_NAMES, engines: [engine('one'), engine('third', { privacy: 'anonymized' })], clock: testClock() })

describe('a private model', () => {
  it('may not be deployed on an engine of a third party: the start is refused', () => {
    const entry = textEntry('secret', { deployments: [{ engine: 'one' }, { engine: 'third', order: 1 }] })

    expect(() => start(entry)).toThrow('models/text.json: secret: a private model may not run on third, which is anonymized')
  })

  it('is refused even where that engine has no key', () => {
    const engines = [engine('third', { privacy: 'anonymized', configured: false })]
    const entries = [textEntry('secret', { deployments: [{ engine: 'third' }] })]

    expect(() => new Catalog({ entries, names: NO_NAMES, engines, clock: testClock() })).toThrow('a private model may not run on third')
  })

  it('is no obstacle to an anonymized one there', () => {
    const catalog = start(textEntry('open', { privacy: 'anonymized', deployments: [{ engine: 'third' }, { engine: 'one', order: 1 }] }))

    expect(catalog.deployments(catalog.resolve('open', 'text').model)).toHaveLength(2)
  })
})

describe('data that cannot be served', () => {
  it('stops the start with the model and the engine that is not there', () => {
    expect(() => start(textEntry('m', { deployments: [{ engine: 'nowhere' }] }))).toThrow(
      'models/text.json: m: deployments: there is no engine nowhere in engines.json',
    )
  })

  it('stops the start with an id that is there twice', () => {
    expect(() => start(textEntry('m'), textEntry('m'))).toThrow('models/text.json: m: there are two models with this id')
  })

  it.each([
    ['an unknown field', { colour: 'red' }, {}, 'models/text.json: m: Unrecognized key: "colour"'],
    ['no tier', { tier: undefined }, {}, 'models/text.json: m: tier: '],
    ['a price below nothing', {}, { pricing: { input: { usd: -1, diem: 0 }, output: { usd: 0, diem: 0 } } }, 'm: spec.pricing.input.usd: '],
    ['no price', {}, { pricing: undefined }, 'models/text.json: m: spec.pricing: '],
    ['no output price', {}, { pricing: { input: { usd: 1, diem: 1 } } }, 'models/text.json: m: spec.pricing.output: '],
    ['a context of nothing', {}, { availableContextTokens: 0 }, 'models/text.json: m: spec.availableContextTokens: '],
    ['an unknown capability', {}, { capabilities: { ...CAPABILITIES, flies: true } }, 'models/text.json: m: spec.capabilities: '],
    ['traits in the wrong place', {}, { traits: ['default'] }, 'models/text.json: m: spec.traits: is worked out from names.json'],
    ['a weight of nothing', { deployments: [{ engine: 'one', weight: 0 }] }, {}, 'models/text.json: m: deployments.0.weight: '],
  ])('is named by file, model and field: %s', (_, more, spec, sentence) => {
    expect(() => textEntry('m', more, spec)).toThrow(sentence)
  })

  it('is named by its place where it has no id, and by its key in the other files', () => {
    expect(() => readFile(modelsFile, [{}], 'models/text.json')).toThrow('models/text.json: entry 1')
    expect(() => readFile(namesFile, { traits: { text: { default: [] } }, compatibility: {} }, 'names.json')).toThrow(
      'names.json: traits: text.default',
    )
    expect(() =>
      readFile(enginesFile, [{ id: 'x', kind: 'openai', privacy: 'private', lists: true, remedy: 'r' }], 'engines.json'),
    ).toThrow('engines.json: x: baseUrl: is needed to reach an engine of this kind')
    expect(() => readFile(plansFile, { small: {} }, 'plans.json')).toThrow('plans.json: small: text')
  })

  it.each(['two words', 'a?b', 'a#b', '', 'x'.repeat(129), 'line\nbreak'])('has an id that cannot be one: %j', (id) => {
    expect(() => textEntry(id)).toThrow('models/text.json')
  })
})

describe('a model of the core', () => {
  it('has its sampling defaults by wire name and one image where it does not say how many', () => {
    const spec = {
      constraints: { temperature: { default: 0.7 }, top_p: { default: 0.9 } },
      capabilities: { ...CAPABILITIES, supportsVision: true },
    }

    const model = buildModel(textEntry('m', {}, spec))

    expect(model.defaults).toEqual({ temperature: 0.7, top_p: 0.9 })
    expect(model.capabilities).toMatchObject({ vision: true, maxImages: 1, reasoningEfforts: null })
  })

  it('keeps fields of its spec that nobody here knows', () => {
    expect(buildModel(textEntry('m', {}, { supportsSomethingNew: true })).spec).toMatchObject({ supportsSomethingNew: true })
  })

  it('goes by its id on an engine that has no other name for it', () => {
    expect(buildModel(textEntry('m')).deployments).toEqual([{ engine: 'one', model: 'm', order: 0, weight: 1 }])
  })
})

import { describe, expect, it } from 'vitest'
import { Catalog } from './catalog.ts'
import type { ModelEntry, NamesFile } from './entry.ts'
import { NO_NAMES, engine, testClock, textEntry } from './testing.ts'

const STARTS = '2026-03-01T00:00:00.000Z'
const REMOVES = '2026-04-01T00:00:00.000Z'
const leaving = (more: object = {}) => ({ deprecation: { autoRemap: false, date: REMOVES, removesAt: REMOVES, startsAt: STARTS, ...more } })

function at(time: string, entries: readonly ModelEntry[], names: NamesFile = NO_NAMES) {
  const clock = testClock(Date.parse(time))
  return { clock, catalog: new Catalog({ entries, names, engines: [engine('one')], clock }) }
}

describe('a model that goes away', () => {
  it('is silent about it until the announcement, then says when and what instead', () => {
    const entries = [textEntry('old', leaving({ replacementModelId: 'new' })), textEntry('new')]
    const { clock, catalog } = at('2026-02-01', entries)

    expect(catalog.resolve('old', 'text')).toMatchObject({ model: { id: 'old' }, deprecation: null })
    clock.time = Date.parse(STARTS)

    expect(catalog.resolve('old', 'text')).toMatchObject({ model: { id: 'old' }, deprecation: { date: REMOVES, replacement: 'new' } })
  })

  it('answers 410 from the day on, with what to use instead', () => {
    const { clock, catalog } = at('2026-03-15', [textEntry('old', leaving({ replacementModelId: 'new' })), textEntry('new')])

    clock.time = Date.parse(REMOVES)

    expect(() => catalog.resolve('old', 'text')).toThrow(expect.objectContaining({ code: 'MODEL_SUNSET', status: 410, param: 'model' }))
    expect(() => catalog.resolve('old', 'text')).toThrow('The model old has been retired; use new instead')
    expect(catalog.get('old')).toBeNull()
  })

  it('is answered by its replacement where it is remapped, through several of them', () => {
    const entries = [
      textEntry('oldest', leaving({ replacementModelId: 'old', autoRemap: true })),
      textEntry('old', leaving({ replacementModelId: 'new', autoRemap: true })),
      textEntry('new'),
    ]
    const { catalog } = at('2026-05-01', entries)

    const resolved = catalog.resolve('oldest:disable_thinking=true', 'text')

    expect(resolved).toMatchObject({ model: { id: 'new' }, deprecation: { date: REMOVES, replacement: 'old' } })
    expect(resolved.flags.get('disable_thinking')).toBe('true')
    expect(catalog.get('oldest')?.id).toBe('new')
  })

  it('leaves the listings and the names on its day, without anything else happening', () => {
    const names = { traits: { text: { default: ['old', 'new'] } }, compatibility: {} }
    const { clock, catalog } = at('2026-03-15', [textEntry('old', leaving()), textEntry('new')], names)
    expect(catalog.list('text').map(({ id }) => id)).toEqual(['old', 'new'])
    expect(catalog.list('text')[0]?.model_spec['deprecation']).toMatchObject({ autoRemap: false, date: REMOVES, removesAt: REMOVES })
    expect(catalog.resolve('default', 'text').model.id).toBe('old')

    clock.time = Date.parse(REMOVES)

    expect(catalog.list('text').map(({ id }) => id)).toEqual(['new'])
    expect(catalog.resolve('default', 'text').model.id).toBe('new')
    expect(catalog.traits('text')).toEqual({ default: 'new' })
  })
})

describe('a deprecation that cannot be kept', () => {
  it.each([
    ['a replacement that is not there', { replacementModelId: 'nobody' }, 'models/text.json: old: deprecation: there is no model nobody'],
    ['a remapping to nothing', { autoRemap: true }, 'models/text.json: old: deprecation: autoRemap needs a replacementModelId'],
    ['a circle', { replacementModelId: 'old' }, 'models/text.json: old: deprecation: the replacements go round in a circle'],
  ])('stops the start: %s', (_, more, sentence) => {
    expect(() => at('2026-01-01', [textEntry('old', leaving(more))])).toThrow(sentence)
  })

  it('stops the start: a warning after the end, and a date that is none', () => {
    expect(() => textEntry('old', leaving({ startsAt: '2026-05-01' }))).toThrow(
      'models/text.json: old: deprecation.startsAt: must not be later than removesAt',
    )
    expect(() => textEntry('old', leaving({ removesAt: 'soon' }))).toThrow('models/text.json: old: deprecation.removesAt')
  })
})

import { describe, expect, it } from 'vitest'
import type { ModelPrivacy } from '../core/call.ts'
import type { Privacy } from '../core/engine.ts'
import { MODALITIES, type Modality } from '../core/modality.ts'
import { requirePermit } from './permits.ts'

const model = (modality: Modality, privacy: Privacy, id = 'm1') => ({ id, modality, privacy })
const permits = (modelPrivacy: ModelPrivacy, models: readonly string[] | null, asked: ReturnType<typeof model>): boolean => {
  try {
    requirePermit({ modelPrivacy, models: models && new Set(models) }, asked)
    return true
  } catch {
    return false
  }
}

describe('a key with a rule of privacy', () => {
  it.each(MODALITIES)('uses private models of type %s, whatever its rule is', (modality) => {
    for (const rule of ['ALL', 'PRIVATE_TEXT', 'PRIVATE_ONLY'] as const) expect(permits(rule, null, model(modality, 'private'))).toBe(true)
  })

  it.each(MODALITIES)('uses anonymized models of type %s as its rule allows', (modality) => {
    const isText = modality === 'text' || modality === 'embedding'

    expect(permits('ALL', null, model(modality, 'anonymized'))).toBe(true)
    expect(permits('PRIVATE_TEXT', null, model(modality, 'anonymized'))).toBe(!isText)
    expect(permits('PRIVATE_ONLY', null, model(modality, 'anonymized'))).toBe(false)
  })
})

describe('a key with a list of models', () => {
  it('uses those and no others, and of those only what its rule of privacy allows', () => {
    expect(permits('ALL', ['m1', 'm2'], model('text', 'anonymized', 'm2'))).toBe(true)
    expect(permits('ALL', ['m1', 'm2'], model('text', 'private', 'm3'))).toBe(false)
    expect(permits('ALL', [], model('text', 'private', 'm1'))).toBe(false)
    expect(permits('PRIVATE_ONLY', ['m1'], model('text', 'anonymized', 'm1'))).toBe(false)
  })
})

describe('the refusal', () => {
  it.each([
    ['ALL', ['m2'], 'models'],
    ['PRIVATE_ONLY', null, 'PRIVATE_ONLY'],
    ['PRIVATE_TEXT', null, 'PRIVATE_TEXT'],
  ] as const)('is a 403 that names the model and the rule: %s, %j', (modelPrivacy, models, rule) => {
    const asked = (): void => requirePermit({ modelPrivacy, models: models && new Set(models) }, model('text', 'anonymized'))

    expect(asked).toThrow(expect.objectContaining({ code: 'UNAUTHORIZED', status: 403, param: 'model' }))
    expect(asked).toThrow(/\bm1\b/)
    expect(asked).toThrow(rule)
  })
})

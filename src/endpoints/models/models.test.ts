import { describe, expect, it } from 'vitest'
import type { z } from 'zod'
import { shippedCatalog } from '../../catalog/testing.ts'
import { MODALITIES } from '../../core/modality.ts'
import type { Desk } from '../../pipeline/desk.ts'
import type { AnyEndpoint } from '../endpoint.ts'
import { modelCompatibility } from './compatibility.ts'
import { getModel } from './get.ts'
import { listModels } from './list.ts'
import { modelTraits } from './traits.ts'

const catalog = shippedCatalog(['venice'])
// These handlers read nothing of the desk but the catalogue.
const desk = { catalog } as unknown as Desk

/** What the door does: the query through its schema, then the handler; and the answer through its own schema. */
function call(endpoint: AnyEndpoint, query: object, params: Record<string, string> = {}): unknown {
  const reply = endpoint.handle({ params, query: endpoint.query?.parse(query), body: undefined, bodyBytes: 0, headers: {} }, desk)
  if (reply instanceof Promise || reply.type !== 'json') throw new Error('JSON was expected, at once')
  const schema: z.ZodType | undefined = endpoint.answers['application/json']?.schema
  return schema?.parse(JSON.parse(JSON.stringify(reply.body)))
}
const idsOf = (query: object): string[] => {
  const { data } = call(listModels, query) as { data: { id: string }[] } // checked by the schema of the answer
  return data.map(({ id }) => id)
}

describe('GET /models', () => {
  it('lists text models where no type is given', () => {
    expect(call(listModels, {})).toMatchObject({ object: 'list', type: 'text' })
    expect(idsOf({})).toEqual(idsOf({ type: 'text' }))
  })

  it.each(MODALITIES)('lists models of type %s and no others', (type) => {
    const { data } = call(listModels, { type }) as { data: { type: string }[] } // checked by the schema of the answer

    expect(data.length).toBeGreaterThan(0)
    expect(data.every((model) => model.type === type)).toBe(true)
  })

  it('lists every type at once, and those for code', () => {
    expect(idsOf({ type: 'all' })).toEqual(expect.arrayContaining(['qwen3-4b', 'tts-kokoro', 'venice-sd35']))
    expect(idsOf({ type: 'code' })).toContain('claude-opus-45')
    expect(idsOf({ type: 'code' })).not.toContain('qwen3-4b')
  })

  it('takes no other type', () => {
    expect(listModels.query?.safeParse({ type: 'audio' }).success).toBe(false)
    expect(modelTraits.query?.safeParse({ type: 'all' }).success).toBe(false)
  })
})

describe('GET /models/{id}', () => {
  it.each([
    ['qwen3-4b', 'qwen3-4b'],
    ['nvidia/parakeet-tdt-0.6b-v3', 'nvidia/parakeet-tdt-0.6b-v3'],
    ['gpt-4o', 'zai-org-glm-4.7'],
    ['default_code', 'qwen3-coder-480b-a35b-instruct'],
    ['claude-opus-4-5', 'claude-opus-45'],
    ['qwen3-4b:web', 'qwen3-4b'],
    ['dall-e-3', 'qwen-image'],
  ])('answers %s with the model %s', (name, id) => {
    expect(call(getModel, {}, { id: name })).toMatchObject({ id, object: 'model', owned_by: 'venice.ai' })
  })

  it('answers 404 for a name of nothing', () => {
    expect(() => call(getModel, {}, { id: 'nobody' })).toThrow(expect.objectContaining({ code: 'MODEL_NOT_FOUND', status: 404 }))
  })
})

describe('GET /models/traits and /models/compatibility_mapping', () => {
  it('say what each name stands for, for text where no type is given', () => {
    expect(call(modelTraits, {})).toMatchObject({ object: 'list', type: 'text', data: { default: 'zai-org-glm-4.7' } })
    expect(call(modelCompatibility, {})).toMatchObject({ object: 'list', type: 'text', data: { 'gpt-4o': 'zai-org-glm-4.7' } })
  })

  it.each(MODALITIES)('answer for type %s with names of models of that type', (type) => {
    const known = new Set(idsOf({ type }))

    for (const endpoint of [modelTraits, modelCompatibility]) {
      const { data } = call(endpoint, { type }) as { data: Record<string, string> } // checked by the schema of the answer
      expect(Object.values(data).filter((id) => !known.has(id))).toEqual([])
    }
  })
})

describe('the declarations', () => {
  it.each([listModels, getModel, modelTraits, modelCompatibility])('have an example that fits: $path', (endpoint) => {
    const { params, query, answer } = endpoint.example

    expect(() => call(endpoint, query ?? {}, params ?? {})).not.toThrow()
    expect(answer).toBeTypeOf('object')
    expect(endpoint.scope).toBe('public')
  })
})

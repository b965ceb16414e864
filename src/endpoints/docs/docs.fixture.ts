/** A small house for the documentation's tests: three endpoints, two models, one plan. */
import { z } from 'zod'
import type { Catalog } from '../../catalog/catalog.ts'
import { plansFile } from '../../catalog/entry.ts'
import { errorBody } from '../../http/error-reply.ts'
import { type AnyEndpoint, endpoint, json } from '../endpoint.ts'
import type { About } from './about.ts'

const rows = { embedding: {}, image: {}, inpaint: {}, upscale: {}, tts: {}, asr: {}, music: {}, video: {} }

export const ABOUT: About = {
  version: '9.8.7',
  plans: plansFile.parse({ small: { text: { XS: { rpm: 1_500, tpm: 1_000_000 }, S: {}, M: {}, L: {} }, ...rows } }),
  errorBody,
}

export const SAY = endpoint({
  method: 'POST',
  path: '/say',
  tag: 'Speech',
  summary: 'Say something',
  description: 'Says it.',
  scope: 'INFERENCE',
  body: z.strictObject({
    model: z.string().min(1).describe('Who says it.'),
    words: z.union([z.string(), z.array(z.string()).max(3)]),
    volume: z.int().min(0).max(11).default(5),
    tone: z.enum(['calm', 'loud']).nullish(),
    parts: z
      .array(
        z.discriminatedUnion('type', [
          z.object({ type: z.literal('a'), a: z.string() }),
          z.object({ type: z.literal('b'), b: z.number() }),
        ]),
      )
      .nullish(),
  }),
  answers: {
    'application/json': { description: 'What was said.', schema: z.object({ said: z.string(), again: z.boolean().optional() }) },
    'text/plain': { description: 'The same, bare.' },
  },
  example: { body: { model: 'm', words: "it's", volume: 5 }, answer: { said: "it's" } },
  errors: ['MODEL_NOT_FOUND', 'TOO_MANY_TOKENS'],
  handle: () => json({ said: '' }),
})

export const GET_SAID = endpoint({
  method: 'GET',
  path: '/said/{id}',
  tag: 'Speech',
  summary: 'What was said',
  description: 'Tells it.',
  scope: 'public',
  query: z.object({ lang: z.enum(['en', 'de']).default('en').describe('In which language.') }),
  answers: { 'application/json': { description: 'It.', schema: z.object({ said: z.string() }) } },
  example: { params: { id: '7' }, query: { lang: 'de' }, answer: { said: 'ja' } },
  errors: ['NOT_FOUND'],
  handle: () => json({ said: '' }),
})

export const FORGET = endpoint({
  method: 'DELETE',
  path: '/said/{id}',
  tag: 'Administration',
  summary: 'Forget it',
  description: 'Forgets.',
  scope: 'ADMIN',
  answers: { 'application/json': { description: 'Gone.' } },
  example: { params: { id: '7' }, answer: {} },
  errors: [],
  handle: () => json({}),
})

export const ALL: readonly AnyEndpoint[] = [SAY, GET_SAID, FORGET]

/** The two methods of a catalogue that listings use, over two models. */
export const CATALOG = {
  list: (type: string) => {
    if (type === 'text')
      return [
        {
          id: 'big-one',
          object: 'model',
          owned_by: 'venice.ai',
          type: 'text',
          created: 1,
          model_spec: {
            name: 'Big | One',
            privacy: 'private',
            offline: true,
            traits: [],
            availableContextTokens: 32_768,
            pricing: {
              input: { usd: 0.15, diem: 0.15 },
              output: { usd: 2, diem: 2 },
              extended: { context_token_threshold: 9, input: { usd: 7, diem: 7 } },
            },
            capabilities: { supportsFunctionCalling: true, supportsVision: false, optimizedForCode: true },
          },
        },
      ]
    if (type === 'image')
      return [
        {
          id: 'paint',
          object: 'model',
          owned_by: 'venice.ai',
          type: 'image',
          created: 1,
          model_spec: {
            name: 'Paint',
            privacy: 'anonymized',
            offline: false,
            traits: [],
            pricing: { generation: { usd: 0.01 }, upscale: { '2x': { usd: 0.02 } } },
          },
        },
      ]
    return []
  },
  // The documentation calls nothing else of the catalogue.
} as unknown as Catalog

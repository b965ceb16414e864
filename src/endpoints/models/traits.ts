/** `GET /models/traits`: which model each trait stands for. */
import { z } from 'zod'
import { endpoint, json } from '../endpoint.ts'
import { modelType, nameMap } from './schema.ts'

export const modelTraits = endpoint({
  method: 'GET',
  path: '/models/traits',
  tag: 'Models',
  summary: 'List traits',
  description: [
    'What each trait stands for at the moment: the first of its candidates that is online. A trait is taken wherever a model is.',
    'Where nothing that is configured is online, the trait `default` is a model of a local engine, and the sandbox where there is none.',
    'Needs no key.',
  ].join('\n'),
  scope: 'public',
  query: z.object({ type: modelType.default('text').describe('Of which type of model.') }),
  answers: { 'application/json': { description: 'Name → model id.', schema: nameMap } },
  example: { query: { type: 'text' }, answer: { object: 'list', type: 'text', data: { default: 'zai-org-glm-4.7' } } },
  errors: [],
  handle: ({ query: { type } }, { catalog }) => json({ object: 'list', type, data: catalog.traits(type) }),
})

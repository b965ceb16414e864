/** `GET /models/compatibility_mapping`: which model stands in for a name of another service. */
import { z } from 'zod'
import { endpoint, json } from '../endpoint.ts'
import { modelType, nameMap } from './schema.ts'

export const modelCompatibility = endpoint({
  method: 'GET',
  path: '/models/compatibility_mapping',
  tag: 'Models',
  summary: 'List compatibility names',
  description: [
    'The names of other services that are taken wherever a model is, and the model that each stands for at the moment: the first of its',
    'candidates that is online. The id of a model always beats such a name.',
    'Needs no key.',
  ].join('\n'),
  scope: 'public',
  query: z.object({ type: modelType.default('text').describe('Of which type of model.') }),
  answers: { 'application/json': { description: 'Name → model id.', schema: nameMap } },
  example: { query: { type: 'text' }, answer: { object: 'list', type: 'text', data: { 'gpt-4o': 'zai-org-glm-4.7' } } },
  errors: [],
  handle: ({ query: { type } }, { catalog }) => json({ object: 'list', type, data: catalog.compatibility(type) }),
})

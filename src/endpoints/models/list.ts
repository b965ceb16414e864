/** `GET /models`: every model of a type. */
import { z } from 'zod'
import { endpoint, json } from '../endpoint.ts'
import { listType, modelList } from './schema.ts'

export const listModels = endpoint({
  method: 'GET',
  path: '/models',
  tag: 'Models',
  summary: 'List models',
  description: [
    'Every model of one type, of all types (`type=all`) or every text model for code (`type=code`); text models where no type is given.',
    'Needs no key. `model_spec.offline` is the truth of the moment: such a model has no engine that can be reached, and asking for it',
    'answers 503 `MODEL_OFFLINE` with what the operator can do. Models of a local engine are listed while it has them.',
  ].join('\n'),
  scope: 'public',
  query: z.object({ type: listType.default('text').describe('Which models.') }),
  answers: { 'application/json': { description: 'The models, in the order of the catalogue.', schema: modelList } },
  example: { query: { type: 'text' }, answer: { object: 'list', type: 'text', data: [] } },
  errors: [],
  handle: ({ query: { type } }, { catalog }) => json({ object: 'list', type, data: catalog.list(type) }),
})

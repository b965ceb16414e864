/** `GET /models/{id}`: one model, by its id or any other name it has. */
import { fail } from '../../core/errors.ts'
import { endpoint, json } from '../endpoint.ts'
import { publicModel } from './schema.ts'

export const getModel = endpoint({
  method: 'GET',
  path: '/models/{id}',
  tag: 'Models',
  summary: 'Get a model',
  description: [
    'One model of any type, by everything that the `model` field of a request takes: its id (slashes included), a trait or a',
    'compatibility name. The answer always has the id. Needs no key.',
  ].join('\n'),
  scope: 'public',
  answers: { 'application/json': { description: 'The model.', schema: publicModel } },
  example: {
    params: { id: 'sandbox-text' },
    answer: {
      id: 'sandbox-text',
      object: 'model',
      owned_by: 'venice.ai',
      type: 'text',
      created: 1735689600,
      context_length: 131072,
      model_spec: { name: 'Sandbox Text', privacy: 'private', offline: false, traits: ['default'] },
    },
  },
  errors: ['MODEL_NOT_FOUND'],
  handle({ params: { id = '' } }, { catalog }) {
    const model = catalog.get(id)
    if (!model) throw fail('MODEL_NOT_FOUND', { param: 'id' })
    return json(model)
  },
})

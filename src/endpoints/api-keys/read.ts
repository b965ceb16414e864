/** `GET /api_keys` and `GET /api_keys/{id}`: the keys of the account, with what they have spent. */
import { z } from 'zod'
import type { Keyring } from '../../keys/keyring.ts'
import { type AnyEndpoint, endpoint, json } from '../endpoint.ts'
import { LISTED_EXAMPLE } from './examples.ts'
import { EXAMPLE_KEY_ID, listedKey } from './schema.ts'
import { showListed } from './wire.ts'

export const listKeys = (keyring: Keyring): AnyEndpoint =>
  endpoint({
    method: 'GET',
    path: '/api_keys',
    tag: 'API Keys',
    summary: 'List keys',
    description: 'The keys of the account that are not deleted, newest first; expired ones among them, since they can be extended.',
    scope: 'ADMIN',
    answers: {
      'application/json': { description: 'The keys.', schema: z.object({ object: z.literal('list'), data: z.array(listedKey) }) },
    },
    example: { answer: { object: 'list', data: [LISTED_EXAMPLE] } },
    errors: [],
    async handle(_input, { caller }) {
      const keys = await keyring.list(caller.accountId)
      return json({ object: 'list', data: keys.map(showListed) })
    },
  })

export const getKey = (keyring: Keyring): AnyEndpoint =>
  endpoint({
    method: 'GET',
    path: '/api_keys/{id}',
    tag: 'API Keys',
    summary: 'Get a key',
    description: 'One key of the account. A deleted one and one of another account are not there: 404, in the same words.',
    scope: 'ADMIN',
    answers: { 'application/json': { description: 'The key.', schema: z.object({ data: listedKey }) } },
    example: { params: { id: EXAMPLE_KEY_ID }, answer: { data: LISTED_EXAMPLE } },
    errors: ['NOT_FOUND'],
    async handle({ params: { id = '' } }, { caller }) {
      return json({ data: showListed(await keyring.get(caller.accountId, id)) })
    },
  })

/** `POST /api_keys`: another key for the account. */
import { z } from 'zod'
import type { Keyring } from '../../keys/keyring.ts'
import { MAX_ACTIVE_KEYS } from '../../keys/keyring.ts'
import { type AnyEndpoint, endpoint, json } from '../endpoint.ts'
import { CREATE_EXAMPLE, MADE_EXAMPLE } from './examples.ts'
import { createBody, madeKey } from './schema.ts'
import { newKeyOf, showMade } from './wire.ts'

export const createKey = (keyring: Keyring): AnyEndpoint =>
  endpoint({
    method: 'POST',
    path: '/api_keys',
    tag: 'API Keys',
    summary: 'Create a key',
    description: [
      'Makes a key for the account of the key that asks. The answer has it, this once: Rialto keeps its hash and its last six characters.',
      '',
      `An account has ${MAX_ACTIVE_KEYS} active keys at most and makes 20 per minute at most (429 with \`Retry-After\`). Where it is full of`,
      'keys of which some have expired, the longest expired one is deleted to make room.',
    ].join('\n'),
    scope: 'ADMIN',
    body: createBody,
    answers: {
      'application/json': { description: 'The key.', schema: z.object({ success: z.literal(true), data: madeKey }) },
    },
    example: { body: CREATE_EXAMPLE, answer: { success: true, data: MADE_EXAMPLE } },
    errors: [],
    async handle({ body }, { caller }) {
      const made = await keyring.create(caller.accountId, caller.keyId, newKeyOf(body))
      return json({ success: true, data: showMade(made) })
    },
  })

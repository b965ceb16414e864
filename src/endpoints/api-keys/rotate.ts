/** `POST /api_keys/{id}/rotate`: another secret for the same key. */
import { z } from 'zod'
import type { Keyring } from '../../keys/keyring.ts'
import { type AnyEndpoint, endpoint, json } from '../endpoint.ts'
import { MADE_EXAMPLE } from './examples.ts'
import { EXAMPLE_KEY_ID, madeKey, rotateBody } from './schema.ts'
import { isoOf, showMade } from './wire.ts'

export const rotateKey = (keyring: Keyring): AnyEndpoint =>
  endpoint({
    method: 'POST',
    path: '/api_keys/{id}/rotate',
    tag: 'API Keys',
    summary: 'Rotate a key',
    description: [
      'Gives a key another secret, which the answer shows this once. It stays the same key: its id, its settings, its limits and what it',
      'has spent go on, under both secrets together. The old secret works for `graceSeconds` more, so that callers can be moved over.',
      'One that an earlier rotation left in its grace time ends at once: a key has two secrets at most. Rialto only.',
    ].join('\n'),
    scope: 'ADMIN',
    body: rotateBody,
    answers: {
      'application/json': {
        description: 'The key with its new secret.',
        schema: z.object({
          success: z.literal(true),
          data: madeKey.extend({ previousKeyExpiresAt: z.string().describe('When the old secret stops working.') }),
        }),
      },
    },
    example: {
      params: { id: EXAMPLE_KEY_ID },
      body: { graceSeconds: 3_600 },
      answer: { success: true, data: { ...MADE_EXAMPLE, previousKeyExpiresAt: '2026-10-01T13:00:00.000Z' } },
    },
    errors: ['NOT_FOUND'],
    async handle({ params: { id = '' }, body: { graceSeconds } }, { caller }) {
      const made = await keyring.rotate(caller.accountId, caller.keyId, id, graceSeconds * 1_000)
      return json({ success: true, data: { ...showMade(made), previousKeyExpiresAt: isoOf(made.earlierUntil) } })
    },
  })

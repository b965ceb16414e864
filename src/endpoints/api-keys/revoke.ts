/** `DELETE /api_keys/{id}` and `DELETE /api_keys?id=`: the end of a key. */
import { z } from 'zod'
import type { Keyring } from '../../keys/keyring.ts'
import type { Desk } from '../../pipeline/desk.ts'
import { type AnyEndpoint, endpoint, json, type Reply } from '../endpoint.ts'
import { EXAMPLE_KEY_ID, success } from './schema.ts'

const DESCRIPTION = [
  'Ends a key for good, and the secret that a rotation has left in its grace time. It stops working on this server at once, and on',
  'every other one over the same database within a second; what runs with it already is finished and charged. Its usage stays.',
].join('\n')

/** The two spellings of one thing. */
export function revokeKey(keyring: Keyring): AnyEndpoint[] {
  const revoke = async (id: string, { caller }: Desk): Promise<Reply> => {
    await keyring.revoke(caller.accountId, caller.keyId, id)
    return json({ success: true })
  }
  const shared = {
    method: 'DELETE',
    tag: 'API Keys',
    description: DESCRIPTION,
    scope: 'ADMIN',
    answers: { 'application/json': { description: 'It has ended.', schema: success } },
    errors: ['NOT_FOUND'],
  } as const
  const byPath = endpoint({
    ...shared,
    path: '/api_keys/{id}',
    summary: 'Delete a key',
    example: { params: { id: EXAMPLE_KEY_ID }, answer: { success: true } },
    handle: ({ params: { id = '' } }, desk) => revoke(id, desk),
  })
  const byQuery = endpoint({
    ...shared,
    path: '/api_keys',
    summary: 'Delete a key, its id in the query',
    query: z.object({ id: z.string().min(1).describe('Which key.') }),
    example: { query: { id: EXAMPLE_KEY_ID }, answer: { success: true } },
    handle: ({ query: { id } }, desk) => revoke(id, desk),
  })
  return [byPath, byQuery]
}

/** `PUT` and `PATCH /api_keys/{id}`, `PATCH /api_keys`: other settings for a key. */
import { z } from 'zod'
import type { Keyring } from '../../keys/keyring.ts'
import type { Desk } from '../../pipeline/desk.ts'
import { type AnyEndpoint, endpoint, json, type Reply } from '../endpoint.ts'
import { changeBody, changeByIdBody, changedKey, EXAMPLE_KEY_ID, type SettingsFields } from './schema.ts'
import { changesOf, showChanged } from './wire.ts'

const DESCRIPTION = [
  'Changes the settings that the body names and leaves the others as they are, limits by their currency: a limit that is not named',
  'stays. Only null takes one away. The type of a key and the key itself do not change; see `POST /api_keys/{id}/rotate`.',
  '',
  'A change works on this server at once, and on every other one over the same database within a second.',
].join('\n')

const answers = {
  'application/json': { description: 'The key as it is now.', schema: z.object({ success: z.literal(true), data: changedKey }) },
}

const answer = {
  success: true,
  data: {
    id: EXAMPLE_KEY_ID,
    apiKeyType: 'INFERENCE',
    description: 'For the map room',
    consumptionLimits: { usd: null, diem: null, vcu: null },
    limitPeriod: 'EPOCH',
    modelPrivacy: 'ALL',
    models: null,
    last6Chars: '2V2jNW',
    createdAt: '2026-10-01T12:00:00.000Z',
    lastUsedAt: null,
    expiresAt: null,
  },
}

/** The three spellings of one thing. */
export function changeKey(keyring: Keyring): AnyEndpoint[] {
  const change = async (id: string, fields: SettingsFields, { caller }: Desk): Promise<Reply> => {
    const row = await keyring.change(caller.accountId, caller.keyId, id, changesOf(fields))
    return json({ success: true, data: showChanged(row) })
  }
  const byPath = (method: 'PUT' | 'PATCH'): AnyEndpoint =>
    endpoint({
      method,
      path: '/api_keys/{id}',
      tag: 'API Keys',
      summary: 'Change a key',
      description: method === 'PUT' ? `${DESCRIPTION}\n\nThe same as PATCH.` : DESCRIPTION,
      scope: 'ADMIN',
      body: changeBody,
      answers,
      example: { params: { id: EXAMPLE_KEY_ID }, body: { description: 'For the map room' }, answer },
      errors: ['NOT_FOUND'],
      handle: ({ params: { id = '' }, body }, desk) => change(id, body, desk),
    })
  const byBody = endpoint({
    method: 'PATCH',
    path: '/api_keys',
    tag: 'API Keys',
    summary: 'Change a key, its id in the body',
    description: DESCRIPTION,
    scope: 'ADMIN',
    body: changeByIdBody,
    answers,
    example: { body: { id: EXAMPLE_KEY_ID, description: 'For the map room' }, answer },
    errors: ['NOT_FOUND'],
    handle: ({ body: { id, ...fields } }, desk) => change(id, fields, desk),
  })
  return [byPath('PATCH'), byPath('PUT'), byBody]
}

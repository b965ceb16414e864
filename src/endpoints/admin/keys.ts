/** `/admin/accounts/{id}/api_keys`: the keys of any account, in the shapes that accounts see their own in. */
import { z } from 'zod'
import type { Accounts } from '../../accounts/accounts.ts'
import type { Keyring, MadeKey, NewKey, SpentKey } from '../../keys/keyring.ts'
import { type AnyEndpoint, endpoint, json } from '../endpoint.ts'
import { EXAMPLE_ACCOUNT, TAG } from './wire.ts'

/** How keys travel: the shapes of `/api_keys`, which are not this folder's. */
export type KeyShapes<Fields> = {
  readonly createBody: z.ZodType<Fields>
  readonly madeKey: z.ZodType
  readonly listedKey: z.ZodType
  readonly newKeyOf: (fields: Fields) => NewKey
  readonly showMade: (key: MadeKey) => unknown
  readonly showListed: (key: SpentKey) => unknown
  /** A request, an answer to it, and a key of a list: what the documentation shows. */
  readonly examples: { readonly create: Fields; readonly made: unknown; readonly listed: unknown; readonly keyId: string }
}

export type KeySources = {
  readonly accounts: Pick<Accounts, 'get'>
  readonly keyring: Pick<Keyring, 'create' | 'list' | 'revoke'>
}

export const keyEndpoints = <Fields>(of: KeySources, shapes: KeyShapes<Fields>): AnyEndpoint[] => [
  createKey(of, shapes),
  listKeys(of, shapes),
  revokeKey(of, shapes),
]

const createKey = <Fields>({ accounts, keyring }: KeySources, shapes: KeyShapes<Fields>): AnyEndpoint =>
  endpoint({
    method: 'POST',
    path: '/admin/accounts/{id}/api_keys',
    tag: TAG,
    summary: 'Create a key for an account',
    description: [
      'The first key of an account, or one more, as `POST /api_keys` makes them. The answer has it, this once. A key of type ADMIN lets its',
      'holder administer the keys of that account, and nothing of the server.',
    ].join('\n'),
    scope: 'OPERATOR',
    body: shapes.createBody,
    answers: {
      'application/json': { description: 'The key.', schema: z.object({ success: z.literal(true), data: shapes.madeKey }) },
    },
    example: {
      params: { id: EXAMPLE_ACCOUNT },
      body: shapes.examples.create,
      answer: { success: true, data: shapes.examples.made },
    },
    errors: ['NOT_FOUND'],
    async handle({ params: { id = '' }, body }, { caller }) {
      await accounts.get(id)
      const made = await keyring.create(id, caller.keyId, shapes.newKeyOf(body))
      return json({ success: true, data: shapes.showMade(made) })
    },
  })

const listKeys = <Fields>({ accounts, keyring }: KeySources, shapes: KeyShapes<Fields>): AnyEndpoint =>
  endpoint({
    method: 'GET',
    path: '/admin/accounts/{id}/api_keys',
    tag: TAG,
    summary: 'List the keys of an account',
    description: 'Those that are not revoked, with what they have spent. The keys themselves are not kept, and so not shown.',
    scope: 'OPERATOR',
    answers: {
      'application/json': { description: 'The keys.', schema: z.object({ object: z.literal('list'), data: z.array(shapes.listedKey) }) },
    },
    example: { params: { id: EXAMPLE_ACCOUNT }, answer: { object: 'list', data: [shapes.examples.listed] } },
    errors: ['NOT_FOUND'],
    async handle({ params: { id = '' } }) {
      await accounts.get(id)
      return json({ object: 'list', data: (await keyring.list(id)).map((key) => shapes.showListed(key)) })
    },
  })

const revokeKey = <Fields>({ accounts, keyring }: KeySources, { examples }: KeyShapes<Fields>): AnyEndpoint =>
  endpoint({
    method: 'DELETE',
    path: '/admin/accounts/{id}/api_keys/{key}',
    tag: TAG,
    summary: 'Delete a key of an account',
    description: 'Ends it for good, at once on this server and within a second on others: after a leak, say.',
    scope: 'OPERATOR',
    answers: { 'application/json': { description: 'It has ended.', schema: z.object({ success: z.literal(true) }) } },
    example: { params: { id: EXAMPLE_ACCOUNT, key: examples.keyId }, answer: { success: true } },
    errors: ['NOT_FOUND'],
    async handle({ params: { id = '', key = '' } }, { caller }) {
      await accounts.get(id)
      await keyring.revoke(id, caller.keyId, key)
      return json({ success: true })
    },
  })

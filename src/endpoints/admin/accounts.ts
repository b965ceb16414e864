/** `/admin/accounts`: opened, listed, shown, changed. */
import { z } from 'zod'
import type { AccountChange, Accounts } from '../../accounts/accounts.ts'
import type { AccountBalances } from '../../accounts/credits.ts'
import { failField } from '../../core/errors.ts'
import { type AnyEndpoint, endpoint, json } from '../endpoint.ts'
import { amountOf, decimal } from './amount.ts'
import {
  EXAMPLE_ACCOUNT,
  EXAMPLE_BALANCES,
  TAG,
  accountId,
  accountSchema,
  fullAccountSchema,
  limit,
  movementSchema,
  newAccountId,
  showAccount,
  showBalances,
  showMovement,
} from './wire.ts'

export type AccountSources = {
  readonly accounts: Accounts
  readonly balances: (accountId: string) => Promise<AccountBalances>
  /** Brings what the ledger has settled and not written yet to the store. Rejects while the store is away. */
  readonly flush: () => Promise<void>
}

const name = z.string().trim().min(1).max(100).describe('For the operator; 100 characters at most.')
const plan = z.string().min(1).max(32).describe('A plan of `plans.json`.')
const credit = decimal.nullable().describe('How far below zero its dollars may go, as a decimal; null is without limit.')
const wallet = z
  .string()
  .regex(/^(0x[0-9a-fA-F]{40}|[1-9A-HJ-NP-Za-km-z]{32,44})$/, 'must be an EVM address (0x and 40 hexadecimal digits) or a Solana address')
  .describe('The wallet that its stake and its sign-in are known by.')

const createBody = z.strictObject({
  name,
  id: newAccountId.optional().describe('Its id; one that nobody can guess where it is left out.'),
  plan: plan.optional().describe('A plan of `plans.json`; `default` where it is left out.'),
  creditUsd: credit
    .optional()
    .describe('How far below zero its dollars may go, as a decimal: 0 where it is left out, null is without limit.'),
  wallet: wallet.nullable().optional(),
})
const changeBody = z.strictObject({
  name: name.optional(),
  plan: plan.optional(),
  creditUsd: credit.optional(),
  wallet: wallet.nullable().optional(),
  closed: z.boolean().optional().describe('A closed account’s keys are refused until it is opened again; its money stays.'),
})

const EXAMPLE = {
  id: EXAMPLE_ACCOUNT,
  name: 'Operator',
  plan: 'operator',
  creditUsd: null,
  diemAllowance: '0',
  wallet: null,
  createdAt: '2026-06-01T09:00:00.000Z',
  closedAt: null,
}

export const accountEndpoints = (of: AccountSources): AnyEndpoint[] => [
  createAccount(of),
  listAccounts(of),
  accountMovements(of),
  getAccount(of),
  changeAccount(of),
]

const createAccount = ({ accounts }: AccountSources): AnyEndpoint =>
  endpoint({
    method: 'POST',
    path: '/admin/accounts',
    tag: TAG,
    summary: 'Open an account',
    description: 'An account pays for what its keys use. It begins with nothing: give it a key and credit next.',
    scope: 'OPERATOR',
    body: createBody,
    answers: { 'application/json': { description: 'The account.', schema: z.object({ data: accountSchema }) } },
    example: { body: { name: 'Ada' }, answer: { data: { ...EXAMPLE, id: 'ada', name: 'Ada', plan: 'default', creditUsd: '0' } } },
    errors: [],
    async handle({ body }, { caller }) {
      const { id = null, name: named, plan: limits = 'default', creditUsd = 0, wallet: address = null } = body
      const row = await accounts.create(caller, {
        id,
        name: named,
        plan: limits,
        creditNano: creditOf(creditUsd),
        wallet: addressOf(address),
      })
      return json({ data: showAccount(row) })
    },
  })

const listAccounts = ({ accounts }: AccountSources): AnyEndpoint =>
  endpoint({
    method: 'GET',
    path: '/admin/accounts',
    tag: TAG,
    summary: 'List accounts',
    description: 'In the order of their ids. `next` is what the next page takes as `after`; null at the end.',
    scope: 'OPERATOR',
    query: z.strictObject({ after: accountId.optional().describe('The last id of the page before.'), limit }),
    answers: {
      'application/json': {
        description: 'A page of accounts, without their balances.',
        schema: z.object({ object: z.literal('list'), data: z.array(accountSchema), next: z.string().nullable() }),
      },
    },
    example: { query: { limit: '10' }, answer: { object: 'list', data: [EXAMPLE], next: null } },
    errors: [],
    async handle({ query }) {
      const { rows, next } = await accounts.list(query.after ?? null, query.limit)
      return json({ object: 'list', data: rows.map(showAccount), next })
    },
  })

const getAccount = ({ accounts, balances }: AccountSources): AnyEndpoint =>
  endpoint({
    method: 'GET',
    path: '/admin/accounts/{id}',
    tag: TAG,
    summary: 'Get an account',
    description: 'With what it has of each currency at the moment.',
    scope: 'OPERATOR',
    answers: { 'application/json': { description: 'The account.', schema: z.object({ data: fullAccountSchema }) } },
    example: { params: { id: EXAMPLE_ACCOUNT }, answer: { data: { ...EXAMPLE, balances: EXAMPLE_BALANCES } } },
    errors: ['NOT_FOUND'],
    async handle({ params: { id = '' } }) {
      const row = await accounts.get(id)
      return json({ data: { ...showAccount(row), balances: showBalances(await balances(id)) } })
    },
  })

const changeAccount = ({ accounts }: AccountSources): AnyEndpoint =>
  endpoint({
    method: 'PATCH',
    path: '/admin/accounts/{id}',
    tag: TAG,
    summary: 'Change, close or open an account',
    description: [
      'What is not named stays as it is. What is changed is in force on this server when the answer comes, on others within a second.',
      'Closing refuses all keys of the account; its balance, its keys and its usage stay, and `closed: false` opens it again.',
    ].join('\n'),
    scope: 'OPERATOR',
    body: changeBody,
    answers: { 'application/json': { description: 'The account as it is now.', schema: z.object({ data: accountSchema }) } },
    example: { params: { id: EXAMPLE_ACCOUNT }, body: { name: 'Operator' }, answer: { data: EXAMPLE } },
    errors: ['NOT_FOUND'],
    async handle({ params: { id = '' }, body }, { caller }) {
      if (Object.keys(body).length === 0)
        throw failField('name', 'nothing is to be changed; name one of name, plan, creditUsd, wallet, closed')
      const { creditUsd, wallet: address, ...rest } = body
      const change: AccountChange = {
        ...rest,
        ...(creditUsd !== undefined && { creditNano: creditOf(creditUsd) }),
        ...(address !== undefined && { wallet: addressOf(address) }),
      }
      return json({ data: showAccount(await accounts.change(caller, id, change)) })
    },
  })

const accountMovements = ({ accounts, flush }: AccountSources): AnyEndpoint =>
  endpoint({
    method: 'GET',
    path: '/admin/accounts/{id}/movements',
    tag: TAG,
    summary: 'What moved in and out of an account',
    description: 'The latest first: payments, credit given and taken back, allowances, and a movement per charged request and currency.',
    scope: 'OPERATOR',
    query: z.strictObject({ page: z.coerce.number().int().min(1).max(10_000).default(1), limit }),
    answers: {
      'application/json': {
        description: 'A page of movements.',
        schema: z.object({ object: z.literal('list'), data: z.array(movementSchema), hasMore: z.boolean() }),
      },
    },
    example: { params: { id: EXAMPLE_ACCOUNT }, query: { limit: '10' }, answer: { object: 'list', data: [], hasMore: false } },
    errors: ['NOT_FOUND'],
    async handle({ params: { id = '' }, query: { page, limit: size } }) {
      await flush()
      const { rows, more } = await accounts.movements(id, (page - 1) * size, size)
      return json({ object: 'list', data: rows.map(showMovement), hasMore: more })
    },
  })

const creditOf = (value: z.infer<typeof credit>) => (value === null ? null : amountOf(value, 'creditUsd'))

/** EVM addresses are kept and compared in lower case; the case of a Solana address tells two of them apart. */
const addressOf = (value: string | null): string | null => (value?.startsWith('0x') ? value.toLowerCase() : value)

/** `GET` and `POST /api_keys/generate_web3_key`: a key for a wallet that signs a token. */
import { z } from 'zod'
import type { Web3Keys } from '../../chain/web3-keys.ts'
import type { Keyring } from '../../keys/keyring.ts'
import { type AnyEndpoint, endpoint, json } from '../endpoint.ts'
import { createBody, EXAMPLE_KEY_ID, madeKey, newKeySettings } from './schema.ts'
import { newKeyOf, showMade } from './wire.ts'

const PATH = '/api_keys/generate_web3_key'
const NEEDS = 'Keys for wallets: `web3Keys` in `config/chain.json` ("open" or "staked").'
const EXAMPLE_TOKEN = 'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJhdWQiOiJnZW5lcmF0ZV93ZWIzX2tleSJ9.THE_SIGNATURE_OF_THIS_SERVER'
const EXAMPLE_WALLET = '0x45b73055f3adcc4577bb709db10b19d11b5c94ee'
const MAX_ADDRESS_CHARS = 128
const MAX_SIGNATURE_CHARS = 8_192
const MAX_TOKEN_CHARS = 4_096

const { apiKeyType, description } = createBody.shape

const web3Body = z.strictObject({
  apiKeyType,
  description: description.default('Web3 API Key').describe('For people; 64 characters at most.'),
  address: z.string().max(MAX_ADDRESS_CHARS).describe("The wallet's address on an EVM chain."),
  signature: z
    .string()
    .max(MAX_SIGNATURE_CHARS)
    .describe('The token, signed by the wallet with `personal_sign` (EIP-191). A contract wallet signs as EIP-1271 or EIP-6492 have it.'),
  token: z.string().max(MAX_TOKEN_CHARS).describe('The token of the GET.'),
  ...newKeySettings,
})

/** The two, over the room that knows wallets and the keyring. */
export const web3KeyEndpoints = (web3: Pick<Web3Keys, 'token' | 'redeem'>, keyring: Pick<Keyring, 'create'>): AnyEndpoint[] => [
  tokenToSign(web3),
  keyForWallet(web3, keyring),
]

const tokenToSign = (web3: Pick<Web3Keys, 'token'>): AnyEndpoint =>
  endpoint({
    method: 'GET',
    path: PATH,
    tag: 'API Keys',
    summary: 'Get a token for a wallet to sign',
    description:
      'A token that lives for 15 minutes and makes one key. It ends with the process that made it: after a restart, ask for another.',
    scope: 'public',
    needs: NEEDS,
    answers: {
      'application/json': {
        description: 'The token.',
        schema: z.object({ success: z.literal(true), data: z.object({ token: z.string().describe('To be signed as it is.') }) }),
      },
    },
    example: { answer: { success: true, data: { token: EXAMPLE_TOKEN } } },
    errors: ['NOT_CONFIGURED'],
    handle: () => json({ success: true, data: { token: web3.token() } }),
  })

const keyForWallet = (web3: Pick<Web3Keys, 'redeem'>, keyring: Pick<Keyring, 'create'>): AnyEndpoint =>
  endpoint({
    method: 'POST',
    path: PATH,
    tag: 'API Keys',
    summary: 'Create a key with a wallet',
    description: [
      "Makes a key for the wallet's account, which is opened with the first one. The answer has the key, this once. Its settings and",
      'their bounds are those of `POST /api_keys`. A token is used up by its first right signature, even if no key can be made then.',
      '',
      'The operator chooses whether wallets get keys, and whether they must have staked something.',
    ].join('\n'),
    scope: 'public',
    needs: NEEDS,
    body: web3Body,
    answers: { 'application/json': { description: 'The key.', schema: z.object({ success: z.literal(true), data: madeKey }) } },
    example: {
      body: {
        apiKeyType: 'INFERENCE',
        description: 'Web3 API Key',
        address: EXAMPLE_WALLET,
        signature: '0xTHE_SIGNATURE_OF_THE_WALLET',
        token: EXAMPLE_TOKEN,
      },
      answer: {
        success: true,
        data: {
          apiKey: 'rialto_YOUR_NEW_KEY',
          id: EXAMPLE_KEY_ID,
          apiKeyType: 'INFERENCE',
          description: 'Web3 API Key',
          consumptionLimit: { usd: null, diem: null, vcu: null },
          limitPeriod: 'EPOCH',
          modelPrivacy: 'ALL',
          models: null,
          expiresAt: null,
        },
      },
    },
    errors: ['NOT_CONFIGURED', 'UNAUTHORIZED', 'CHAIN_UNAVAILABLE'],
    async handle({ body: { address, signature, token, ...fields } }) {
      const account = await web3.redeem({ address, signature, token })
      // No key asked for it: the audit has the account, whose id is the wallet.
      const made = await keyring.create(account.id, account.id, newKeyOf(fields))
      return json({ success: true, data: showMade(made) })
    },
  })

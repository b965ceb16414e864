/** `/x402/…`: wallets pay by a header, see what they have and what became of it. */
import { z } from 'zod'
import { fail } from '../../core/errors.ts'
import { toUsd } from '../../core/money.ts'
import type { Store } from '../../core/store.ts'
import type { WalletAddress } from '../../core/wallet.ts'
import type { Till } from '../../funding/till.ts'
import type { WalletEntry } from '../../funding/wallet-entry.ts'
import { MAX_OFFSET, type Statement, type StatementLine, walletStatement } from '../../funding/wallet-statement.ts'
import { type Receipt, type X402, walletOf } from '../../funding/x402.ts'
import { type AnyEndpoint, type Input, endpoint, json } from '../endpoint.ts'
import * as schema from './schema.ts'

export type X402Sources = {
  readonly x402: X402
  readonly till: Pick<Till, 'credit'>
  readonly wallets: WalletEntry
  readonly store: Pick<Store, 'balance' | 'movements'>
}

const NEEDS = 'The operator sets x402 and signIn in config/chain.json.'
const EMPTY: Statement = { balance: 0n, lines: [], hasMore: false }
/** A body is not needed, and not read; one that comes all the same is small. */
const MAX_IGNORED_BYTES = 65_536
const EXAMPLE_WALLET = '0x90f79bf6eb2c4f870365e785982e1f101e93b906'
const WALLET_ERRORS = ['INVALID_REQUEST', 'X402_INVALID_SIGN_IN', 'UNAUTHORIZED', 'X402_WALLET_MISMATCH', 'NOT_CONFIGURED'] as const

/** All three; null where x402 is not set up. */
export function x402Endpoints(of: X402Sources | null): AnyEndpoint[] {
  return [topUp(of), balance(of), transactions(of)]
}

function topUp(of: X402Sources | null): AnyEndpoint {
  return endpoint<undefined, Buffer>({
    method: 'POST',
    path: '/x402/top-up',
    tag: 'x402',
    summary: 'Pay in from a wallet',
    description: [
      'Without a payment it answers 402 with the ways to pay in `accepts`: sign one of them, for any amount from 5 to 10,000 USD, and',
      'ask again with the payment in `PAYMENT-SIGNATURE` (`X-PAYMENT` and `X-402-Payment` are taken, too). The answer comes when the',
      'money has arrived and is credited to the wallet that signed. The same payment is credited once: after a 5xx, or no answer at',
      'all, send it again. No body is needed.',
    ].join('\n'),
    scope: 'public',
    needs: NEEDS,
    raw: { maxBytes: MAX_IGNORED_BYTES },
    answers: { 'application/json': { description: 'Credited. The header PAYMENT-RESPONSE has the receipt.', schema: schema.credited } },
    example: {
      answer: {
        success: true,
        data: { walletAddress: EXAMPLE_WALLET, amountCredited: 10, newBalance: 22.5, paymentId: 'eip155:8453:0xab12' },
      },
    },
    errors: [
      'X402_INVALID_PAYMENT',
      'PAYMENT_REQUIRED',
      'UNAUTHORIZED',
      'PAYLOAD_TOO_LARGE',
      'NOT_CONFIGURED',
      'PAYMENT_VERIFICATION_FAILED',
    ],
    async handle({ headers }) {
      const { x402, till } = configured(of)
      const collected = await x402.collect(headers)
      if (!collected) throw fail('PAYMENT_REQUIRED', { demand: x402.demand(), internal: 'x402_top_up' })
      const { payment, balance: newBalance } = await till.credit(collected.notice)
      return {
        type: 'json',
        body: {
          success: true,
          data: {
            walletAddress: collected.receipt.payer,
            amountCredited: toUsd(payment.amount),
            newBalance: toUsd(newBalance),
            paymentId: payment.paymentId,
          },
        },
        headers: { 'payment-response': receiptHeader(collected.receipt) },
      }
    },
  })
}

function balance(of: X402Sources | null): AnyEndpoint {
  return endpoint({
    method: 'GET',
    path: '/x402/balance/{walletAddress}',
    tag: 'x402',
    summary: 'What a wallet has',
    description: 'For the wallet itself: needs the header `SIGN-IN-WITH-X`, signed by it.',
    scope: 'public',
    needs: NEEDS,
    answers: { 'application/json': { description: 'The balance.', schema: schema.balance } },
    example: {
      params: { walletAddress: EXAMPLE_WALLET },
      answer: {
        success: true,
        data: { walletAddress: EXAMPLE_WALLET, balanceUsd: 12.5, canConsume: true, minimumTopUpUsd: 5, suggestedTopUpUsd: 10 },
      },
    },
    errors: WALLET_ERRORS,
    async handle(input) {
      const { wallets } = configured(of)
      const wallet = await ownWallet(wallets, input)
      const { account, usd, diem, canConsume } = await wallets.standing(wallet)
      return json({
        success: true,
        data: {
          walletAddress: wallet,
          balanceUsd: toUsd(usd),
          canConsume,
          minimumTopUpUsd: toUsd(wallets.bounds.minimum),
          suggestedTopUpUsd: toUsd(wallets.bounds.suggested),
          ...(account && account.diemAllowanceNano > 0n ? { diemBalanceUsd: toUsd(diem) } : {}),
        },
      })
    },
  })
}

function transactions(of: X402Sources | null): AnyEndpoint {
  return endpoint({
    method: 'GET',
    path: '/x402/transactions/{walletAddress}',
    tag: 'x402',
    summary: 'What a wallet paid in and used',
    description: [
      'The dollars of a wallet, newest first, each movement with the balance after it. For the wallet itself: needs the header',
      `\`SIGN-IN-WITH-X\`, signed by it. \`offset\` reaches ${MAX_OFFSET.toLocaleString('en')} movements back.`,
    ].join('\n'),
    scope: 'public',
    needs: NEEDS,
    query: z.object({
      limit: z.coerce.number().int().min(1).max(100).default(50).describe('How many movements at most.'),
      offset: z.coerce.number().int().min(0).max(MAX_OFFSET).default(0).describe('How many of the newest to leave out.'),
    }),
    answers: { 'application/json': { description: 'A page of movements.', schema: schema.transactions } },
    example: {
      params: { walletAddress: EXAMPLE_WALLET },
      query: { limit: '50', offset: '0' },
      answer: {
        success: true,
        data: {
          walletAddress: EXAMPLE_WALLET,
          currentBalance: 9.85,
          transactions: [
            {
              id: 'settle:0198c0ffee:USD',
              amount: -0.15,
              balanceAfter: 9.85,
              type: 'CHARGE',
              createdAt: '2026-04-03T12:34:56.000Z',
              requestId: '0198c0ffee',
              modelId: 'sandbox-text',
            },
          ],
          pagination: { limit: 50, offset: 0, hasMore: false },
        },
      },
    },
    errors: WALLET_ERRORS,
    async handle(input) {
      const { wallets, store } = configured(of)
      const wallet = await ownWallet(wallets, input)
      const { limit, offset } = input.query
      const { account } = await wallets.standing(wallet)
      const page = account ? await walletStatement(store, account.id, offset, limit) : EMPTY
      return json({
        success: true,
        data: {
          walletAddress: wallet,
          currentBalance: toUsd(page.balance),
          transactions: page.lines.map(publicLine),
          pagination: { limit, offset, hasMore: page.hasMore },
        },
      })
    },
  })
}

/** The wallet of the path, once the header has shown that it is the caller's own. */
async function ownWallet(wallets: WalletEntry, { params, headers }: Input<unknown, unknown>): Promise<WalletAddress> {
  const asked = walletOf(params['walletAddress'] ?? '')
  if ((await wallets.wallet(headers)) !== asked) throw fail('X402_WALLET_MISMATCH')
  return asked
}

function configured(of: X402Sources | null): X402Sources {
  if (of) return of
  throw fail('NOT_CONFIGURED', {
    say: 'Payments by x402 are not set up on this server: its operator sets x402 and signIn in config/chain.json',
  })
}

const receiptHeader = ({ network, payer, transaction }: Receipt): string =>
  Buffer.from(JSON.stringify({ success: true, network, payer, transaction })).toString('base64')

const publicLine = ({ id, amount, balanceAfter, type, at, requestId, model }: StatementLine) => ({
  id,
  amount: toUsd(amount),
  balanceAfter: toUsd(balanceAfter),
  type,
  createdAt: new Date(at).toISOString(),
  requestId,
  modelId: model,
})

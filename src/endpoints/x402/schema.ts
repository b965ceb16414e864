/** The answers of `/x402/…`, field by field as the API documents them. */
import { z } from 'zod'

const usd = z.number()
const success = z.literal(true)
const walletAddress = z.string().describe('In its normal form: an EVM address in lower case.')

export const credited = z.strictObject({
  success,
  data: z.strictObject({
    walletAddress: walletAddress.describe('The wallet that was credited: the one that paid.'),
    amountCredited: usd,
    newBalance: usd,
    paymentId: z.string().describe('What makes the payment unique; the same payment has the same.'),
  }),
})

export const balance = z.strictObject({
  success,
  data: z.strictObject({
    walletAddress,
    balanceUsd: usd,
    canConsume: z.boolean().describe('Whether it has the 0.10 USD that a request needs.'),
    minimumTopUpUsd: usd,
    suggestedTopUpUsd: usd,
    diemBalanceUsd: usd.optional().describe("What is left of today's DIEM, where the wallet has staked."),
  }),
})

export const transactions = z.strictObject({
  success,
  data: z.strictObject({
    walletAddress,
    currentBalance: usd,
    transactions: z.array(
      z.strictObject({
        id: z.string(),
        amount: usd.describe('Positive came in.'),
        balanceAfter: usd,
        type: z.enum(['TOP_UP', 'CHARGE', 'REFUND']),
        createdAt: z.string(),
        requestId: z.string().nullable().describe('Of a charge.'),
        modelId: z.string().nullable().describe('Of a charge.'),
      }),
    ),
    pagination: z.strictObject({ limit: z.number(), offset: z.number(), hasMore: z.boolean() }),
  }),
})

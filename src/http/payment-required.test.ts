import { describe, expect, it } from 'vitest'
import { fail } from '../core/errors.ts'
import type { PaymentDemand } from '../core/payment.ts'
import type { Rail, SignInChallenge } from '../core/wallet.ts'
import { errorBody, errorHeaders } from './error-reply.ts'

const USD = 1_000_000_000n
const BASE: Rail = {
  network: 'eip155:8453',
  name: 'base',
  token: 'USDC',
  asset: '0x833589fcd6edb6e08f4c7c32d4f71b54bda02913',
  decimals: 6,
  payTo: '0x1111111111111111111111111111111111111111',
  maxTimeoutSeconds: 300,
  extra: { name: 'USD Coin', version: '2' },
}
const CHALLENGE: SignInChallenge = {
  info: {
    domain: 'api.example.com',
    uri: 'https://api.example.com/api/v1/chat/completions',
    version: '1',
    nonce: 'n0nce123',
    issuedAt: '2026-04-09T12:00:00.000Z',
    expirationTime: '2026-04-09T12:05:00.000Z',
    statement: 'Sign in to Venice AI',
  },
  supportedChains: [{ chainId: 'eip155:8453', type: 'eip191' }],
}
const baseUrl = 'https://api.example.com/api/v1'
const accepted = {
  scheme: 'exact',
  asset: BASE.asset,
  payTo: BASE.payTo,
  maxTimeoutSeconds: 300,
  extra: BASE.extra,
}

const bodyOf = (demand: PaymentDemand) => errorBody(fail('PAYMENT_REQUIRED', { demand }), 'id')
const headerOf = (demand: PaymentDemand): unknown =>
  JSON.parse(Buffer.from(errorHeaders(fail('PAYMENT_REQUIRED', { demand }))['payment-required'] ?? '', 'base64').toString())

describe('a 402 of x402', () => {
  it('asked for at the top-up is the minimum on each rail, by CAIP-2, and nothing else', () => {
    const demand: PaymentDemand = { type: 'topUp', rails: [BASE], minimum: 5n * USD }

    expect(bodyOf(demand)).toEqual({ x402Version: 2, accepts: [{ ...accepted, network: 'eip155:8453', amount: '5000000' }] })
    expect(headerOf(demand)).toMatchObject({ x402Version: 2, accepts: [{ network: 'eip155:8453', amount: '5000000' }] })
  })

  it('for who brought nothing says both ways in, with plain names of networks', () => {
    const demand: PaymentDemand = {
      type: 'discovery',
      baseUrl,
      path: '/chat/completions',
      rails: [BASE],
      suggested: 10n * USD,
      challenge: CHALLENGE,
    }

    expect(bodyOf(demand)).toEqual({
      x402Version: 2,
      error: 'Payment required',
      resource: { url: 'https://api.example.com/api/v1/chat/completions', description: 'AI API', mimeType: 'application/json' },
      accepts: [{ ...accepted, network: 'base', amount: '10000000' }],
      extensions: { 'sign-in-with-x': CHALLENGE },
      authOptions: {
        apiKey: {
          header: 'Authorization: Bearer YOUR_API_KEY',
          getKey: 'https://api.example.com/api/v1/api_keys',
          docs: 'https://api.example.com/docs',
        },
        x402Wallet: {
          header: 'SIGN-IN-WITH-X',
          legacyHeader: 'X-Sign-In-With-X',
          topUp: 'POST /api/v1/x402/top-up',
          docs: 'https://api.example.com/docs',
        },
      },
    })
    expect(headerOf(demand)).toMatchObject({ accepts: [{ network: 'eip155:8453' }], extensions: { 'sign-in-with-x': CHALLENGE } })
  })

  it('for a wallet with too little says what it has, what it needs, and how to pay', () => {
    const demand: PaymentDemand = {
      type: 'lowBalance',
      baseUrl,
      balance: 10_000_000n,
      minimumBalance: 100_000_000n,
      suggested: 10n * USD,
      minimum: 5n * USD,
      rails: [BASE, { ...BASE, name: 'solana', network: 'solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp' }],
      challenge: CHALLENGE,
    }

    expect(bodyOf(demand)).toEqual({
      error: 'Payment required',
      code: 'PAYMENT_REQUIRED',
      reason: 'insufficient_balance',
      message: 'Insufficient x402 balance',
      currentBalanceUsd: 0.01,
      minimumBalanceUsd: 0.1,
      description: 'AI API',
      suggestedTopUpUsd: 10,
      minimumTopUpUsd: 5,
      supportedTokens: ['USDC'],
      supportedChains: ['base', 'solana'],
      topUpInstructions: {
        step1: 'POST /api/v1/x402/top-up with no payment header to get payment requirements',
        step2: expect.stringContaining('accepts'),
        step3: 'POST /api/v1/x402/top-up with the signed PAYMENT-SIGNATURE header',
        receiverWallet: BASE.payTo,
        tokenAddress: BASE.asset,
        tokenDecimals: 6,
        network: 'eip155:8453',
        minimumAmountUsd: 5,
      },
      siwxChallenge: CHALLENGE,
    })
  })

  it.for([
    [6, '5000000'],
    [18, '5000000000000000000'],
    [0, '5'],
  ] as const)('counts a token of %s decimals as %s', ([decimals, amount]) => {
    expect(bodyOf({ type: 'topUp', rails: [{ ...BASE, decimals }], minimum: 5n * USD })).toMatchObject({ accepts: [{ amount }] })
  })
})

describe('a payment that was not taken', () => {
  it('has its code where clients of x402 look for it, and why', () => {
    expect(errorBody(fail('X402_INVALID_PAYMENT', { reason: 'signature_mismatch' }), 'id')).toEqual({
      error: 'X402_INVALID_PAYMENT',
      message: 'Invalid payment header',
      details: { reason: 'signature_mismatch' },
      code: 'X402_INVALID_PAYMENT',
    })
    expect(errorHeaders(fail('X402_INVALID_PAYMENT'))).toEqual({})
  })
})

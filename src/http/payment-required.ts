/** The 402 bodies of x402, and the header with the same for programs: what the door makes of a `PaymentDemand`. */
import { type Amount, toUsd } from '../core/money.ts'
import type { PaymentDemand } from '../core/payment.ts'
import type { Rail } from '../core/wallet.ts'

type Body = Readonly<Record<string, unknown>>

const X402_VERSION = 2
const REQUIRED = 'Payment required'
const DESCRIPTION = 'AI API'

/** The body of a 402, field by field as the API documents it. */
export function demandBody(demand: PaymentDemand): Body {
  switch (demand.type) {
    case 'topUp':
      return { x402Version: X402_VERSION, accepts: accepts(demand.rails, demand.minimum, 'network') }
    case 'discovery':
      return {
        x402Version: X402_VERSION,
        error: REQUIRED,
        resource: resourceOf(demand.baseUrl + demand.path),
        // This one body of the API has plain names instead of CAIP-2.
        accepts: accepts(demand.rails, demand.suggested, 'name'),
        extensions: { 'sign-in-with-x': demand.challenge },
        authOptions: authOptions(demand.baseUrl),
      }
    case 'lowBalance':
      return lowBalance(demand)
  }
}

/**
 * The value of `PAYMENT-REQUIRED`: what a program needs to pay, as base64 of the protocol's JSON, networks by CAIP-2. It
 * points at the endpoint that takes payments, because the others take none.
 */
export function demandHeader(demand: PaymentDemand): string {
  const of: Body = {
    x402Version: X402_VERSION,
    error: REQUIRED,
    ...(demand.type === 'topUp' ? {} : { resource: resourceOf(`${demand.baseUrl}/x402/top-up`) }),
    accepts: accepts(demand.rails, demand.type === 'topUp' ? demand.minimum : demand.suggested, 'network'),
    ...(demand.type === 'topUp' ? {} : { extensions: { 'sign-in-with-x': demand.challenge } }),
  }
  return Buffer.from(JSON.stringify(of)).toString('base64')
}

const resourceOf = (url: string): Body => ({ url, description: DESCRIPTION, mimeType: 'application/json' })

function accepts(rails: readonly Rail[], amount: Amount, network: 'network' | 'name'): Body[] {
  return rails.map((rail) => ({
    scheme: 'exact',
    network: rail[network],
    asset: rail.asset,
    amount: baseUnits(rail, amount),
    payTo: rail.payTo,
    maxTimeoutSeconds: rail.maxTimeoutSeconds,
    extra: rail.extra,
  }))
}

/** Dollars in the smallest unit of a token that is worth one. */
function baseUnits({ decimals }: Rail, amount: Amount): string {
  return String(decimals >= 9 ? amount * 10n ** BigInt(decimals - 9) : amount / 10n ** BigInt(9 - decimals))
}

function lowBalance(demand: Extract<PaymentDemand, { type: 'lowBalance' }>): Body {
  const { rails, challenge } = demand
  const [legacy] = rails
  return {
    error: REQUIRED,
    code: 'PAYMENT_REQUIRED',
    reason: 'insufficient_balance',
    message: 'Insufficient x402 balance',
    currentBalanceUsd: toUsd(demand.balance),
    minimumBalanceUsd: toUsd(demand.minimumBalance),
    description: DESCRIPTION,
    suggestedTopUpUsd: toUsd(demand.suggested),
    minimumTopUpUsd: toUsd(demand.minimum),
    supportedTokens: [...new Set(rails.map(({ token }) => token))],
    supportedChains: [...new Set(rails.map(({ name }) => name))],
    topUpInstructions: {
      step1: `POST ${pathOf(demand.baseUrl)}/x402/top-up with no payment header to get payment requirements`,
      step2: 'Choose a payment option from accepts and sign a transfer authorization of its token with an x402 library',
      step3: `POST ${pathOf(demand.baseUrl)}/x402/top-up with the signed PAYMENT-SIGNATURE header`,
      receiverWallet: legacy?.payTo ?? '',
      tokenAddress: legacy?.asset ?? '',
      tokenDecimals: legacy?.decimals ?? 0,
      network: legacy?.network ?? '',
      minimumAmountUsd: toUsd(demand.minimum),
    },
    siwxChallenge: challenge,
  }
}

const pathOf = (baseUrl: string): string => (URL.canParse(baseUrl) ? new URL(baseUrl).pathname.replace(/\/+$/, '') : '')

function authOptions(baseUrl: string): Body {
  const docs = URL.canParse('/docs', baseUrl) ? new URL('/docs', baseUrl).href : '/docs'
  return {
    apiKey: { header: 'Authorization: Bearer YOUR_API_KEY', getKey: `${baseUrl}/api_keys`, docs },
    x402Wallet: {
      header: 'SIGN-IN-WITH-X',
      legacyHeader: 'X-Sign-In-With-X',
      topUp: `POST ${pathOf(baseUrl)}/x402/top-up`,
      docs,
    },
  }
}

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Failure } from '../core/errors.ts'
import type { Rail } from '../core/wallet.ts'
import { Payments } from './payments.ts'
import { headerOf, testClock } from './testing.fixture.ts'
import { WalletSignatures } from './wallet-signature.ts'

const RAIL: Rail = {
  network: 'eip155:8453',
  name: 'base',
  token: 'USDC',
  asset: '0x833589fcd6edb6e08f4c7c32d4f71b54bda02913',
  decimals: 6,
  payTo: '0x00000000000000000000000000000000000000aa',
  maxTimeoutSeconds: 300,
  extra: { name: 'USD Coin', version: '2' },
}
const payments = new Payments({
  rails: [RAIL],
  signatures: new WalletSignatures(null),
  collector: { collect: () => Promise.reject(new Error('nothing is collected here')) },
  rpc: null,
  clock: testClock(),
})

const refusal = (header: string): Promise<string> =>
  payments.read(header).then(
    () => 'taken',
    (error: unknown) => (error instanceof Failure ? `${error.status} ${error.code}` : `not refused but ${String(error)}`),
  )

describe('whatever stands in a payment header', () => {
  it('is refused with a 400, bytes of any kind', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
        async (header) => {
          expect(await refusal(header)).toBe('400 X402_INVALID_PAYMENT')
        },
      ),
      { numRuns: 300 },
    )
  })

  it('is refused with a 400, payments with fields of any kind', async () => {
    const hex = fc.uint8Array({ maxLength: 70 }).map((bytes) => `0x${Buffer.from(bytes).toString('hex')}`)
    const number = fc.bigInt({ min: 0n, max: 2n ** 260n }).map(String)
    const or = (value: unknown) => fc.oneof({ weight: 6, arbitrary: fc.constant(value) }, fc.jsonValue(), hex, number)
    const address = `0x${'1'.repeat(40)}`
    const authorization = fc.record({
      from: or(address),
      to: or(RAIL.payTo),
      value: fc.oneof(or('1'), number),
      validAfter: fc.oneof(or('0'), number),
      validBefore: fc.oneof(or('1'), number),
      nonce: or(`0x${'2'.repeat(64)}`),
    })
    const payload = fc.record({ signature: fc.oneof(or(`0x${'3'.repeat(130)}`), hex), authorization })
    const accepted = fc.record({ scheme: or('exact'), network: or('base'), asset: or(RAIL.asset), payTo: or(RAIL.payTo), amount: or('1') })
    const one = fc.record({ x402Version: fc.constant(1), scheme: or('exact'), network: or('base'), payload })
    const two = fc.record({ x402Version: or(2), accepted, payload })
    await fc.assert(
      fc.asyncProperty(fc.oneof(one, two, fc.jsonValue()), async (value) => {
        expect(await refusal(headerOf(value))).toBe('400 X402_INVALID_PAYMENT')
      }),
      { numRuns: 500 },
    )
  })
})

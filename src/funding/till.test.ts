import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Ledger } from '../money/ledger.ts'
import { account, callerOf, type Fault, storeWith, USD } from './ledger.fixture.ts'
import { type Delivery, delivery, dispute, newStripe, refund, session } from './stripe.fixture.ts'
import { Till } from './till.ts'

async function newTill(...accounts: readonly string[]) {
  const { store, ledger, faults, close } = await storeWith(...(accounts.length > 0 ? accounts : ['a1']).map((id) => account(id)))
  const till = new Till({ store, ledger, clock: { now: () => 1 } })
  const stripe = newStripe()
  const balance = (id = 'a1') => store.balance(`account:${id}`)
  return {
    store,
    ledger,
    faults,
    close,
    balance,
    take: (event: object) => till.take(stripe, ...delivery(event)),
    takeRaw: ([body, headers]: Delivery) => till.take(stripe, body, headers),
    audit: async () => (await store.audit(null, 100)).map(({ action, object, details }) => ({ action, object, ...details })),
    booksSum: async () => (await store.books()).reduce((sum, { balance: of }) => sum + of, 0n),
  }
}

describe('a payment', () => {
  it('is credited when its notice comes, and never again', async () => {
    const { take, balance, store } = await newTill()

    expect(await take(session())).toMatchObject({ type: 'credited', balance: 10n * USD })
    expect(await take(session())).toMatchObject({ type: 'credited', balance: 10n * USD })
    expect(await take(session({ type: 'checkout.session.async_payment_succeeded' }))).toMatchObject({ type: 'credited' })

    expect(await balance()).toBe(10n * USD)
    expect(await store.balance('stripe')).toBe(-10n * USD)
    expect(await store.movement('topup:stripe:pi_1')).toMatchObject({ amount: 10n * USD, toBook: 'account:a1' })
  })

  it('of which fifty notices come at once is credited once', async () => {
    const { take, balance } = await newTill()

    const outcomes = await Promise.all(Array.from({ length: 50 }, () => take(session())))

    expect(outcomes.every(({ type }) => type === 'credited')).toBe(true)
    expect(await balance()).toBe(10n * USD)
  })

  it.for(['before', 'after'] as const)(
    'whose writing broke off %s it was written is not acknowledged, and credited once by the next notice',
    async (fault) => {
      const { take, balance, faults } = await newTill()
      faults.push(fault)

      await expect(take(session())).rejects.toThrow()
      await take(session())

      expect(await balance()).toBe(10n * USD)
    },
  )

  it('for an account that is not there is never acknowledged', async () => {
    const { take, store } = await newTill()

    await expect(take(session({ accountId: 'gone' }))).rejects.toMatchObject({ code: 'INVALID_REQUEST' })

    expect(await store.movement('topup:stripe:pi_1')).toBeNull()
  })

  it('whose notice was forged or altered is not credited', async () => {
    const { takeRaw, balance } = await newTill()
    const [body, headers] = delivery(session())

    await expect(takeRaw([Buffer.from(body.toString().replace('1000', '9999')), headers])).rejects.toMatchObject({
      code: 'INVALID_REQUEST',
    })
    await expect(takeRaw(delivery(session(), 'whsec_other'))).rejects.toMatchObject({ code: 'INVALID_REQUEST' })

    expect(await balance()).toBe(0n)
  })
})

describe('a server that dies', () => {
  it('between a notice and its writing credits, or takes back, when the notice comes to the next one', async () => {
    const { take, store, faults, balance } = await newTill()
    const clock = { now: () => 1_000 }
    const next = (): Till => new Till({ store, ledger: new Ledger({ store, clock }), clock })
    faults.push('before')

    await expect(take(session())).rejects.toThrow()
    const [, again] = [await next().take(newStripe(), ...delivery(session())), await next().take(newStripe(), ...delivery(session()))]
    expect(again).toMatchObject({ type: 'credited', balance: 10n * USD })

    await next().take(newStripe(), ...delivery(refund(0, 400)))
    await next().take(newStripe(), ...delivery(refund(0, 400)))
    expect(await balance()).toBe(6n * USD)
  })
})

describe('a refund', () => {
  it('takes back what was refunded, part by part, in whatever order and however often it is told', async () => {
    const { take, balance, audit } = await newTill()
    await take(session())

    await take(refund(300, 700))
    await take(refund(0, 300))
    await take(refund(300, 700))

    expect(await balance()).toBe(3n * USD)
    expect(await audit()).toEqual([
      { action: 'payment.reverse', object: 'a1', paymentId: 'pi_1', id: 'ch_pi_1:300', amountUsd: '3', takenUsd: '3', shortUsd: '0' },
      { action: 'payment.reverse', object: 'a1', paymentId: 'pi_1', id: 'ch_pi_1:700', amountUsd: '4', takenUsd: '4', shortUsd: '0' },
    ])
  })

  it('of what is spent or held takes what is there, and the audit says what is missing', async () => {
    const { take, balance, ledger, audit } = await newTill()
    await take(session())
    await ledger.takeBack('a1', 'USD', 6n * USD, 'spent')
    await ledger.hold('r1', callerOf('a1'), 1n * USD)

    expect(await take(refund(0, 1_000))).toEqual({ type: 'reversed', accountId: 'a1', amount: 3n * USD })

    expect(await balance()).toBe(1n * USD)
    expect(await audit()).toMatchObject([{ amountUsd: '10', takenUsd: '3', shortUsd: '7' }])
  })

  it('that comes before its payment is to come again', async () => {
    const { take, balance } = await newTill()

    await expect(take(refund(0, 1_000))).rejects.toMatchObject({ code: 'PAYMENT_PROVIDER_FAILED', internal: 'refund_before_payment' })
    await take(session())
    await take(refund(0, 1_000))

    expect(await balance()).toBe(0n)
  })

  it('of another shop’s payment is of no concern', async () => {
    const { take } = await newTill()

    expect(await take(refund(0, 1_000, 'pi_other', null))).toEqual({ type: 'nothing' })
    expect(await take(dispute('withdrawn', 1_000, 'pi_other'))).toEqual({ type: 'nothing' })
  })

  it('that comes several times at once is done once', async () => {
    const { take, balance, audit } = await newTill()
    await take(session())
    await take(session({ intent: 'pi_2' }))

    await Promise.all(Array.from({ length: 20 }, () => take(refund(0, 1_000))))

    expect(await balance()).toBe(10n * USD)
    expect(await audit()).toHaveLength(1)
  })
})

describe('a refund of all that is there', () => {
  it.for(['before', 'after'] as const)(
    'whose writing broke off %s it was written takes it once, and the audit calls nothing short',
    async (fault) => {
      const { take, balance, faults, audit } = await newTill()
      await take(session())
      faults.push(fault)

      await take(refund(0, 1_000)).catch(() => undefined)
      await take(refund(0, 1_000))

      expect(await balance()).toBe(0n)
      expect(await audit()).toMatchObject([{ takenUsd: '10', shortUsd: '0' }])
    },
  )
})

describe('a dispute', () => {
  it('takes the payment back, and gives it back when it is won', async () => {
    const { take, balance } = await newTill()
    await take(session())

    await take(dispute('withdrawn'))
    expect(await balance()).toBe(0n)
    await take(dispute('reinstated'))
    await take(dispute('reinstated'))

    expect(await balance()).toBe(10n * USD)
  })

  it('gives back no more than it took', async () => {
    const { take, balance, ledger } = await newTill()
    await take(session())
    await ledger.takeBack('a1', 'USD', 8n * USD, 'spent')

    await take(dispute('withdrawn'))
    await take(dispute('reinstated'))

    expect(await balance()).toBe(2n * USD)
  })

  it('that is told backwards comes to the same', async () => {
    const { take, balance } = await newTill()
    await take(session())

    await take(dispute('reinstated'))
    await take(dispute('withdrawn'))

    expect(await balance()).toBe(10n * USD)
  })
})

describe('whatever comes, in whatever order, however often, whatever fails', () => {
  type Told = { event: object; fault: Fault | null }
  const payments = fc.uniqueArray(
    fc.record({ n: fc.nat(9), accountId: fc.constantFrom('a1', 'a2', 'a3'), cents: fc.integer({ min: 500, max: 1_000_000 }) }),
    { selector: ({ n }) => n, minLength: 1, maxLength: 5 },
  )
  const told = <T extends object>(events: readonly T[]) =>
    fc.array(fc.record({ event: fc.constantFrom(...events), fault: fc.constantFrom<(Fault | null)[]>(null, null, 'before', 'after') }), {
      maxLength: 30,
    })

  it('each payment is on its account once', async () => {
    await fc.assert(
      fc.asyncProperty(
        payments.chain((of) => {
          const events = of.flatMap(({ n, accountId, cents }) => {
            const paid = { intent: `pi_${n}`, accountId, cents }
            return [
              session(paid),
              session({ ...paid, type: 'checkout.session.async_payment_succeeded' }),
              session({ ...paid, status: 'unpaid' }),
            ]
          })
          return fc.tuple(fc.constant(of), told(events), fc.boolean())
        }),
        async ([of, tellings, atOnce]) => {
          const { take, balance, faults, booksSum, close } = await newTill('a1', 'a2', 'a3')
          const tell = async ({ event, fault }: Told): Promise<void> => {
            faults.push(fault)
            await take(event).catch(() => undefined)
          }

          if (atOnce) await Promise.all(tellings.map(tell))
          else for (const telling of tellings) await tell(telling)
          // Stripe tells each until it is acknowledged.
          faults.length = 0
          for (const { n, ...paid } of of) await take(session({ intent: `pi_${n}`, ...paid }))

          for (const id of ['a1', 'a2', 'a3']) {
            const due = of.filter(({ accountId }) => accountId === id).reduce((sum, { cents }) => sum + BigInt(cents) * 10_000_000n, 0n)
            expect(await balance(id)).toBe(due)
          }
          expect(await booksSum()).toBe(0n)
          await close()
        },
      ),
      { numRuns: 30 },
    )
  })

  it('a payment and its refunds come to what is left, on an account that has enough', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(fc.integer({ min: 1, max: 1_000 }), { minLength: 1, maxLength: 4 }).chain((sums) => {
          const steps = [0, ...sums.sort((a, b) => a - b)]
          const refunds = steps.slice(1).map((to, at) => refund(steps[at] ?? 0, to))
          return fc.tuple(fc.constant(refunds), fc.constant(steps.at(-1) ?? 0), told([session(), ...refunds]))
        }),
        async ([refunds, refunded, tellings]) => {
          const { take, balance, faults, booksSum, close } = await newTill()
          for (const { event, fault } of tellings) {
            faults.push(fault)
            await take(event).catch(() => undefined)
            faults.length = 0
          }

          for (const event of [session(), ...refunds]) await take(event)

          expect(await balance()).toBe(BigInt(1_000 - refunded) * 10_000_000n)
          expect(await booksSum()).toBe(0n)
          await close()
        },
      ),
      { numRuns: 30 },
    )
  })
})

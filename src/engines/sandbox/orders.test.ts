/** Orders for the sandbox in both spellings. */
import { describe, expect, it } from 'vitest'
import { ordersOf, parseOrders, sandboxOrders } from './orders.ts'

describe('the suffix of the model name', () => {
  it('takes every order', () => {
    expect(parseOrders('delay=500&interval=20&status=503&die=3&stall=2')).toEqual({
      delayMs: 500,
      intervalMs: 20,
      status: 503,
      dieAfter: 3,
      stallAfter: 2,
    })
    expect(parseOrders('')).toEqual({})
  })

  it.each([
    ['delay=600001', 'delay takes 0 to 600000'],
    ['interval=60001', 'interval takes 0 to 60000'],
    ['status=418', 'status takes 400, 429, 500, 503, 504'],
    ['die=-1', 'die takes a whole number'],
    ['stall=', 'stall takes a whole number'],
    ['delay=1e3', 'delay takes a whole number'],
    ['delay=1&delay=2', 'delay is given twice'],
    ['secret=1', 'the sandbox takes delay, interval, status, die, stall, each as name=number'],
    ['__proto__=1', 'the sandbox takes delay'],
    ['delay', 'the sandbox takes delay'],
    ['delay=1&', 'the sandbox takes delay'],
  ])('refuses %s in words that do not repeat it', (text, words) => {
    expect(() => parseOrders(text)).toThrow(
      expect.objectContaining({ code: 'INVALID_REQUEST', param: 'model', message: expect.stringContaining(words) }),
    )
    expect(() => parseOrders(text)).not.toThrow('secret')
  })
})

describe('the request field', () => {
  it('takes every order by its wire name, and nothing else', () => {
    const wire = { delay_ms: 1, interval_ms: 2, status: 429, die_after: 3, stall_after: 4 }

    expect(ordersOf(sandboxOrders.parse(wire))).toEqual({ delayMs: 1, intervalMs: 2, status: 429, dieAfter: 3, stallAfter: 4 })
    expect(ordersOf(sandboxOrders.parse({}))).toEqual({})
    expect(sandboxOrders.safeParse({ delay_ms: 600_001 }).success).toBe(false)
    expect(sandboxOrders.safeParse({ status: 418 }).success).toBe(false)
    expect(sandboxOrders.safeParse({ delay: 1 }).success).toBe(false)
  })
})

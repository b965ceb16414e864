/** How a caller tells the sandbox to misbehave: by a request field of its own, or by the suffix of the model's name. */
import { z } from 'zod'
import { failField } from '../../core/errors.ts'
import type { SandboxOrders } from '../../core/modalities/text.ts'

const MAX_DELAY_MS = 600_000
const MAX_INTERVAL_MS = 60_000
const MAX_PARTS = 1_000_000
const STATUSES = [400, 429, 500, 503, 504] as const

const parts = z.int().min(0).max(MAX_PARTS).optional()

/** The request field `sandbox` on the wire. */
export const sandboxOrders = z
  .strictObject({
    delay_ms: z.int().min(0).max(MAX_DELAY_MS).optional().describe('Wait so many milliseconds before the first part.'),
    interval_ms: z.int().min(0).max(MAX_INTERVAL_MS).optional().describe('Wait so many milliseconds between two parts.'),
    status: z.literal(STATUSES).optional().describe('Fail with this HTTP status before the first part.'),
    die_after: parts.describe('Break off after so many parts, as an engine that crashes does.'),
    stall_after: parts.describe('Fall silent after so many parts, until the stall limit ends the run.'),
  })
  .describe('Orders for the sandbox engine; every other engine ignores them.')

export function ordersOf(wire: z.infer<typeof sandboxOrders>): SandboxOrders {
  return {
    ...(wire.delay_ms !== undefined && { delayMs: wire.delay_ms }),
    ...(wire.interval_ms !== undefined && { intervalMs: wire.interval_ms }),
    ...(wire.status !== undefined && { status: wire.status }),
    ...(wire.die_after !== undefined && { dieAfter: wire.die_after }),
    ...(wire.stall_after !== undefined && { stallAfter: wire.stall_after }),
  }
}

/** The `internal` of a failure that was ordered: it says nothing about the health of the engine. */
export const ORDERED = 'sandbox_ordered'

/** The wire field that each word of the suffix stands for. */
const WORDS = {
  delay: 'delay_ms',
  interval: 'interval_ms',
  status: 'status',
  die: 'die_after',
  stall: 'stall_after',
} as const

/** Whether a flag of a model suffix is one of the sandbox's. */
export const isOrder = (word: string): word is keyof typeof WORDS => Object.hasOwn(WORDS, word)

/**
 * Reads what follows the colon of `sandbox-text:delay=500&interval=20&status=503&die=3&stall=2`.
 * Every word at most once, whole numbers only; anything else is a 400 that names the model field.
 */
export function parseOrders(text: string): SandboxOrders {
  const wire: Record<string, number> = {}
  for (const pair of text === '' ? [] : text.split('&', 16)) {
    const equals = pair.indexOf('=')
    const word = pair.slice(0, Math.max(0, equals))
    const value = pair.slice(equals + 1)
    if (!isOrder(word)) throw failField('model', `the sandbox takes ${Object.keys(WORDS).join(', ')}, each as name=number`)
    if (!/^\d{1,9}$/.test(value)) throw failField('model', `${word} takes a whole number`)
    if (Object.hasOwn(wire, WORDS[word])) throw failField('model', `${word} is given twice`)
    wire[WORDS[word]] = Number(value)
  }

  const read = sandboxOrders.safeParse(wire)
  if (read.success) return ordersOf(read.data)
  const word = Object.entries(WORDS).find(([, field]) => field === read.error.issues[0]?.path[0])?.[0]
  throw failField('model', `${word ?? 'an order'} takes ${word === 'status' ? STATUSES.join(', ') : `0 to ${limitOf(word)}`}`)
}

function limitOf(word: string | undefined): number {
  if (word === 'delay') return MAX_DELAY_MS
  return word === 'interval' ? MAX_INTERVAL_MS : MAX_PARTS
}

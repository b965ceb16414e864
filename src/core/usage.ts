/** What a run used: counts per unit. Numbers only, so it may be logged, kept and billed. */

/**
 * The units that are counted and sold. Token classes are disjoint: an input token is fresh, read from a cache or
 * written to one, never two of them; their sum is the prompt. Reasoning tokens are output tokens.
 */
export const UNITS = [
  'inputToken',
  'cacheReadToken',
  'cacheWriteToken',
  'outputToken',
  'image',
  'character',
  'audioSecond',
  'videoSecond',
  'call',
] as const
export type Unit = (typeof UNITS)[number]

/** Whole, non-negative counts per unit; an absent unit was not used. */
export type Usage = Readonly<Partial<Record<Unit, number>>>

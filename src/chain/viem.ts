/**
 * The one place that imports viem, on first use: it costs 30 MB and a tenth of a second, which a server that no wallet
 * visits does not pay. Types cost nothing and may be imported anywhere in this room.
 */

/** Hashes, signatures, ABI encoding: all that most questions need. */
export const utils = () => import('viem/utils')

/** The pieces that are exported from the top only: typed data, and the validator of EIP-6492. */
export const whole = () => import('viem')

/** Keys that sign: for who settles payments by itself. */
export const accounts = () => import('viem/accounts')

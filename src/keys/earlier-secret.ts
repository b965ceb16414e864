/**
 * The secret that a key had before its latest rotation, which works on for its grace time. It is a row beside the key's,
 * that says nothing but until when: what it may do is always what the key may do now.
 *
 * Its row counts as revoked, so that no listing has it, and its hash is marked, so that it is no answer to the question
 * whose hash this is: not even to somebody who read it in the database and presents it as a key.
 */
import type { KeyRow } from '../core/store.ts'

const ID_END = '~before'
const HASH_START = 'before:'

/** Under what an earlier secret is found, by the SHA-256 of it. */
export const earlierHash = (hash: string): string => HASH_START + hash

/** One per key: with another rotation the secret before the last one ends at once. */
export const earlierId = (keyId: string): string => keyId + ID_END

/** The key that an earlier secret belongs to. */
export const keyIdOf = (earlier: KeyRow): string => earlier.id.slice(0, -ID_END.length)

/** The row of the secret that this key has now, once it has another. `until` is wall time in ms. */
export const earlierRow = (key: KeyRow, at: number, until: number): KeyRow => ({
  ...key,
  id: earlierId(key.id),
  hash: earlierHash(key.hash),
  revokedAt: at,
  expiresAt: until,
})

/** Numbers that look random and are always the same for the same text: what stands in for a model's choices. */

const FNV_OFFSET = 0x811c9dc5
const FNV_PRIME = 0x01000193

/** A 32-bit unsigned hash (FNV-1a over UTF-16 units, then mixed). */
export function hashOf(text: string, seed = 0): number {
  let hash = FNV_OFFSET ^ seed
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), FNV_PRIME)
  return mix(hash)
}

/** Spreads a 32-bit number over all its bits (the finaliser of MurmurHash3); a bijection. */
export function mix(value: number): number {
  let hash = value
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

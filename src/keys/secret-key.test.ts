/** Keys in our hands never show themselves by accident. */
import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { hashKey, SecretKey } from './secret-key.ts'

describe('a secret key', () => {
  it('is minted with 256 random bits behind the prefix, and never twice', () => {
    const keys = Array.from({ length: 100 }, () => SecretKey.mint().reveal())

    expect(new Set(keys).size).toBe(100)
    for (const key of keys) expect(key).toMatch(/^rialto_[A-Za-z0-9_-]{43}$/)
  })

  it('shows its last six characters only, however it is printed', () => {
    const key = SecretKey.mint()

    const prints = [
      String(key),
      key.toString(),
      JSON.stringify({ key }),
      inspect(key),
      inspect({ nested: { key } }, { showHidden: true, depth: null }),
    ]

    for (const print of prints) {
      expect(print).toContain(`rialto_…${key.reveal().slice(-6)}`)
      expect(print).not.toContain(key.reveal().slice(7, -6))
    }
  })

  it('is looked up by the SHA-256 of its text', () => {
    expect(new SecretKey('abc').hash).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')
    expect(hashKey('abc')).toBe(new SecretKey('abc').hash)
  })
})

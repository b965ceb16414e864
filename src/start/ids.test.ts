import { describe, expect, it } from 'vitest'
import { newIds } from './ids.ts'

describe('request ids', () => {
  it('are 32 hexadecimal characters, never the same, and begin with the time', () => {
    const next = newIds(Date.now)

    const ids = Array.from({ length: 2_000 }, next)

    expect(new Set(ids).size).toBe(2_000)
    for (const id of ids) expect(id).toMatch(/^[0-9a-f]{32}$/)
    const times = ids.map((id) => Number.parseInt(id.slice(0, 12), 16))
    expect(times).toEqual([...times].sort((a, b) => a - b))
    expect(Math.abs((times[0] ?? 0) - Date.now())).toBeLessThan(60_000)
  })
})

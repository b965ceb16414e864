import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ownAlone } from './owner.ts'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'rialto-owner-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

describe('a data folder', () => {
  it('has one owner at a time, and the next one when the first lets go', () => {
    const path = join(folder, 'rialto.lock')

    const first = ownAlone(path)
    const second = ownAlone(path)
    first?.release()
    const third = ownAlone(path)

    expect(first).not.toBeNull()
    expect(second).toBeNull()
    expect(third).not.toBeNull()
    expect(statSync(path).mode & 0o777).toBe(0o600)
    third?.release()
  })
})

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { merge, readFiles } from './files.ts'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'rialto-files-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const put = (path: string, value: unknown): void => {
  const full = join(folder, path)
  mkdirSync(join(full, '..'), { recursive: true })
  writeFileSync(full, typeof value === 'string' ? value : JSON.stringify(value))
}

describe('an overlay', () => {
  it('changes one field of an entry, adds entries and takes them away', () => {
    put('base/models/text.json', [{ id: 'a', spec: { name: 'A', pricing: { input: 1 } }, deployments: [{ engine: 'x' }] }, { id: 'b' }])
    put('over/models/text.json', [{ id: 'a', spec: { pricing: { input: 2 } }, deployments: [{ engine: 'y' }] }])
    put('over/models/own.json', [{ id: 'c' }, { id: 'b', remove: true }])

    const { models } = readFiles(join(folder, 'base'), join(folder, 'over'))

    expect(models).toEqual([{ id: 'a', spec: { name: 'A', pricing: { input: 2 } }, deployments: [{ engine: 'y' }] }, { id: 'c' }])
  })

  it('replaces the system prompt, also by an empty one', () => {
    put('base/system-prompt.md', 'shipped\n')
    put('over/system-prompt.md', '')

    expect(readFiles(join(folder, 'base'), null).systemPrompt).toBe('shipped')
    expect(readFiles(join(folder, 'base'), join(folder, 'over')).systemPrompt).toBe('')
  })

  it('is refused with the name of what is wrong: an unknown file, broken JSON, a missing folder', () => {
    put('base/server.json', {})
    put('a/modles.json', [])
    put('b/engines.json', '[{"secret": ')

    expect(() => readFiles(join(folder, 'base'), join(folder, 'a'))).toThrow('modles.json')
    expect(() => readFiles(join(folder, 'base'), join(folder, 'b'))).toThrow(/^engines\.json is not valid JSON/)
    expect(() => readFiles(join(folder, 'base'), join(folder, 'c'))).toThrow('RIALTO_CONFIG takes a folder')
  })

  it('replaces lists of plain values as a whole', () => {
    expect(merge({ a: [1, 2], b: 1 }, { a: [3] })).toEqual({ a: [3], b: 1 })
  })
})

/** The project's own sources against its own rules. STYLE.md has the reason of each. */
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { doors } from './tidy/doors.ts'
import { shape } from './tidy/shape.ts'
import { parse, readFiles, type Finding, type Source, type TextFile } from './tidy/sources.ts'
import { storeys } from './tidy/storeys.ts'
import { folders, packageFile, texts } from './tidy/texts.ts'

const ROOT = join(import.meta.dirname, '..')

let files: readonly TextFile[] = []
let sources: readonly Source[] = []

beforeAll(() => {
  files = readFiles(ROOT)
  sources = parse(files.filter(({ path }) => path.endsWith('.ts')))
})

const list = (findings: readonly Finding[]): string[] => findings.map(({ path, line, message }) => `${path}:${line} ${message}`)

describe('the house', () => {
  test('its sources are found', () => {
    expect(sources.length).toBeGreaterThan(20)
    expect(files.some(({ path }) => path === 'package.json')).toBe(true)
  })

  test('imports go down a storey, and rooms do not import each other', () => {
    expect(list(sources.flatMap(storeys))).toEqual([])
  })

  test('content, time, the environment and the database have one door each', () => {
    expect(list(sources.flatMap(doors))).toEqual([])
  })

  test('files are short, typed and named for what is in them', () => {
    expect(list(sources.flatMap(shape))).toEqual([])
  })

  test('nothing is left undone, and no path is that of one machine', () => {
    expect(list(files.flatMap(texts))).toEqual([])
  })

  test('every folder says what it is for', () => {
    expect(list(folders(files))).toEqual([])
  })

  test('packages are pinned to one version', () => {
    expect(list(files.filter(({ path }) => path === 'package.json').flatMap(packageFile))).toEqual([])
  })
})

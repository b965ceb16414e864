import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import type { Desk } from '../../pipeline/desk.ts'
import { ABOUT, ALL, CATALOG } from './docs.fixture.ts'
import { docsEndpoints } from './docs.ts'
import { PAGE, SCRIPT_PATH } from './page.ts'

const endpoints = docsEndpoints(() => ALL, ABOUT)
// These endpoints reach nothing of a desk but its catalogue.
const desk = { catalog: CATALOG } as unknown as Desk
const answerOf = (path: string) =>
  endpoints.find((one) => one.path === path)?.handle({ params: {}, query: undefined, body: undefined, bodyBytes: 0, headers: {} }, desk)

describe('the page', () => {
  test('asks nobody but this server for anything', () => {
    const addresses = [...PAGE.matchAll(/(?:src|href|spec-url)="([^"]*)"/g)].map(([, address]) => address)

    expect(addresses).toEqual(['data:,', 'openapi.json', 'docs/rapidoc.js'])
    expect(PAGE).not.toMatch(/https?:\/\//)
    expect(PAGE).toContain('load-fonts="false"')
    expect(PAGE).toContain("default-src 'none'")
  })

  test('may run the one script it has inside, and no other', () => {
    const inside = /<script>([^]*?)<\/script>/.exec(PAGE)?.[1] ?? ''

    expect(PAGE).toContain(`'sha256-${createHash('sha256').update(inside).digest('base64')}'`)
    expect(PAGE).not.toContain("script-src 'unsafe")
  })

  test('does not keep the key that is typed into it', () => {
    expect(PAGE).toContain('persist-auth="false"')
  })

  test('is drawn by a script that is installed and needs no other module', () => {
    const script = readFileSync(SCRIPT_PATH, 'utf8')

    expect(script.length).toBeGreaterThan(100_000)
    expect(/^\s*import\s/m.test(script)).toBe(false)
  })
})

describe('the endpoints', () => {
  test('are four, open to anybody, and document themselves', () => {
    expect(endpoints.map(({ path, scope }) => `${scope} ${path}`)).toEqual([
      'public /openapi.json',
      'public /docs',
      'public /docs/rapidoc.js',
      'public /llms-full.txt',
    ])
  })

  test('answer with the document, the page, the script and the text', async () => {
    expect(await answerOf('/openapi.json')).toMatchObject({ type: 'json', body: { openapi: '3.1.0', info: { version: '9.8.7' } } })
    expect(await answerOf('/docs')).toMatchObject({ type: 'text', contentType: 'text/html; charset=utf-8', body: PAGE })
    expect(await answerOf('/docs/rapidoc.js')).toMatchObject({ type: 'file', path: SCRIPT_PATH })
    expect(await answerOf('/llms-full.txt')).toMatchObject({ type: 'text', body: expect.stringContaining('### POST /say') })
  })

  test('the document is made once', async () => {
    const first = await answerOf('/openapi.json')
    const second = await answerOf('/openapi.json')

    expect(first).toHaveProperty('body')
    expect((second as { body: unknown }).body).toBe((first as { body: unknown }).body)
  })
})

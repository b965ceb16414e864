import { describe, expect, it } from 'vitest'
import { parseJson } from './body.ts'

const bodyOf = (text: string): Buffer => Buffer.from(text)
const nested = (depth: number, filler: string): string =>
  `{"a":${JSON.stringify(filler)},"b":${'['.repeat(depth - 1)}${']'.repeat(depth - 1)}}`

describe('a JSON body', () => {
  it('may be 256 levels deep and no deeper, whatever stands in its strings', () => {
    const filler = `${'[{"\\'.repeat(2_000)}\\`

    expect(parseJson(bodyOf(nested(256, filler)))).toMatchObject({ a: filler })
    expect(() => parseJson(bodyOf(nested(257, filler)))).toThrow('nested more than 256 levels')
  })

  it('that is millions of levels deep is refused at once', () => {
    expect(() => parseJson(bodyOf('['.repeat(5_000_000)))).toThrow('nested more than 256 levels')
  })

  it('that is broken is refused without a word of it', () => {
    expect(() => parseJson(bodyOf('{"secret": tru'))).toThrow(/^The request body is not valid JSON$/)
    expect(() => parseJson(bodyOf(`"${'x'.repeat(5_000)}`))).toThrow(/^The request body is not valid JSON$/)
    expect(() => parseJson(bodyOf('  '))).toThrow('The request body is empty')
  })
})

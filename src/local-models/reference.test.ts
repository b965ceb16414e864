import { describe, expect, test } from 'vitest'
import { idOf, referenceOf, shownReference } from './reference.ts'

const IDS = new Set(['qwen3-4b', 'nvidia/parakeet-tdt-0.6b-v3'])
const hub = { type: 'hub', repository: 'org/Some-GGUF', revision: 'main', file: null, tag: null }

describe('what is typed as a model', () => {
  test.each([
    ['qwen3-4b', { type: 'registry', id: 'qwen3-4b' }],
    ['nvidia/parakeet-tdt-0.6b-v3', { type: 'registry', id: 'nvidia/parakeet-tdt-0.6b-v3' }],
    ['hf.co/org/Some-GGUF', hub],
    ['https://huggingface.co/org/Some-GGUF', hub],
    ['hf.co/org/Some-GGUF:Q4_K_M', { ...hub, tag: 'Q4_K_M' }],
    ['hf.co/org/Some-GGUF:sub/a-Q4_K_M.gguf', { ...hub, file: 'sub/a-Q4_K_M.gguf' }],
    ['hf.co/org/Some-GGUF@v1.0:a.gguf', { ...hub, revision: 'v1.0', file: 'a.gguf' }],
    ['https://huggingface.co/org/Some-GGUF/resolve/main/a.gguf?download=true', { ...hub, file: 'a.gguf' }],
    ['https://huggingface.co/org/Some-GGUF/blob/main/sub/a.gguf', { ...hub, file: 'sub/a.gguf' }],
    ['https://example.com/x/a.gguf?sig=1', { type: 'url', url: 'https://example.com/x/a.gguf?sig=1', file: 'a.gguf' }],
    ['./a.gguf', { type: 'local', path: './a.gguf' }],
  ])('%s is understood', (typed, reference) => {
    expect(referenceOf(typed, IDS)).toEqual(reference)
  })

  test.each([
    'nothing',
    'hf.co/org',
    'hf.co/org/repo:../../etc/passwd',
    'hf.co/org/repo:/etc/passwd.gguf',
    'hf.co/../..:a.gguf',
    'hf.co/org/repo@a b:c.gguf',
    'https://user:password@example.com/a.gguf',
    'https://example.com/',
    'https://example.com/%2e%2e%2fa',
    'ftp://example.com/a.gguf',
  ])('%s is refused with a sentence', (typed) => {
    expect(() => referenceOf(typed, IDS)).toThrow(/\w+ \w+.*\.$/)
  })

  test.each([
    ['Qwen3-4B', 'Did you mean qwen3-4b?'],
    ['qwen3', 'Did you mean qwen3-4b?'],
    ['qwne3-4b', 'Did you mean qwen3-4b?'],
    ['nvidia/parakeet', 'Did you mean nvidia/parakeet-tdt-0.6b-v3?'],
    ['Qwen/Qwen3-8B-GGUF:Q4_K_M', 'Did you mean hf.co/Qwen/Qwen3-8B-GGUF:Q4_K_M?'],
    ['model.gguf', 'Did you mean the file ./model.gguf?'],
  ])('%s is none, but %s', (typed, says) => {
    expect(() => referenceOf(typed, IDS)).toThrow(says)
  })

  test.each(['q', 'x4b', 'nothing-like-it', 'a/b/c', ''])('%j is like nothing, and nothing is suggested', (typed) => {
    expect(() => referenceOf(typed, IDS)).not.toThrow(/Did you mean/)
    expect(() => referenceOf(typed, IDS)).toThrow(/list --all/)
  })

  test('names the model after its file, its repository or its quantisation', () => {
    const names = [
      'hf.co/org/Some-GGUF',
      'hf.co/org/Some-GGUF:Q8_0',
      'hf.co/o/r:x/Big Model-00001-of-00003.gguf',
      'https://e.com/A.gguf',
      'qwen3-4b',
    ]

    expect(names.map((typed) => idOf(referenceOf(typed, IDS)))).toEqual(['some-gguf', 'some-q8_0', 'big-model', 'a', 'qwen3-4b'])
  })

  test('is shown without what may be secret in an address', () => {
    expect(shownReference(referenceOf('https://example.com/a.gguf?token=secret', IDS))).toBe('https://example.com/a.gguf')
  })
})

import { beforeEach, describe, expect, it } from 'vitest'
import { Failure } from '../core/errors.ts'
import type { Modality } from '../core/modality.ts'
import { Catalog } from './catalog.ts'
import { engine, shippedCatalog, testClock, textEntry } from './testing.ts'

/** What a call throws, to look at. */
function failureOf(run: () => unknown): Failure {
  try {
    run()
  } catch (error) {
    if (error instanceof Failure) return error
  }
  throw new Error('a Failure was expected')
}

describe('resolving a name', () => {
  let catalog: Catalog

  beforeEach(() => {
    catalog = shippedCatalog(['venice'])
  })

  it.each<[string, Modality, string]>([
    // Exact ids, with a slash and with the prefix of their own included.
    ['zai-org-glm-4.7', 'text', 'zai-org-glm-4.7'],
    ['nvidia/parakeet-tdt-0.6b-v3', 'asr', 'nvidia/parakeet-tdt-0.6b-v3'],
    ['venice-uncensored', 'text', 'venice-uncensored'],
    ['venice-uncensored-1-2', 'text', 'venice-uncensored-1-2'],
    ['venice-uncensored-role-play', 'text', 'venice-uncensored-role-play'],
    ['venice-sd35', 'image', 'venice-sd35'],
    ['text-embedding-3-small', 'embedding', 'text-embedding-3-small'],
    // Traits, of the modality that is asked for.
    ['default', 'text', 'zai-org-glm-4.7'],
    ['default', 'image', 'z-image-turbo'],
    ['default', 'embedding', 'text-embedding-bge-m3'],
    ['default_code', 'text', 'qwen3-coder-480b-a35b-instruct'],
    ['default_reasoning', 'text', 'qwen3-235b-a22b-thinking-2507'],
    ['default_vision', 'text', 'qwen3-vl-235b-a22b'],
    ['function_calling_default', 'text', 'zai-org-glm-4.7'],
    ['most_intelligent', 'text', 'zai-org-glm-4.7'],
    ['most_uncensored', 'text', 'venice-uncensored'],
    ['most_uncensored', 'image', 'lustify-v7'],
    ['eliza-default', 'image', 'venice-sd35'],
    // Names of other services.
    ['gpt-4o', 'text', 'zai-org-glm-4.7'],
    ['gpt-4o-mini', 'text', 'qwen3-4b'],
    ['gpt-4-vision', 'text', 'mistral-31-24b'],
    ['o1', 'text', 'qwen3-235b-a22b-thinking-2507'],
    ['o3', 'text', 'qwen3-235b-a22b-thinking-2507'],
    ['text-embedding-ada-002', 'embedding', 'text-embedding-bge-m3'],
    ['dall-e-3', 'image', 'qwen-image'],
    ['whisper-1', 'asr', 'nvidia/parakeet-tdt-0.6b-v3'],
    ['tts-1', 'tts', 'tts-kokoro'],
    // The spellings that the live API has for models of the contract.
    ['claude-opus-4-5', 'text', 'claude-opus-45'],
    ['claude-sonnet-4-5', 'text', 'claude-sonnet-45'],
    ['bria-bg-remover', 'image', 'bg-remover'],
    // The prefix that one client writes, only where nothing matches with it.
    ['venice-zai-org-glm-4.7', 'text', 'zai-org-glm-4.7'],
    ['venice-venice-uncensored', 'text', 'venice-uncensored'],
    ['venice-gpt-4o', 'text', 'zai-org-glm-4.7'],
    ['venice-default', 'text', 'zai-org-glm-4.7'],
  ])('takes %s as a name of type %s for %s', (name, modality, id) => {
    const { model, flags, deprecation } = catalog.resolve(name, modality)

    expect(model.id).toBe(id)
    expect(flags.size).toBe(0)
    expect(deprecation).toBeNull()
  })

  it('makes nothing new for an id without a suffix', () => {
    expect(catalog.resolve('qwen3-4b', 'text')).toBe(catalog.resolve('qwen3-4b', 'text'))
  })

  it.each<[string, Record<string, string>]>([
    ['qwen3-4b:enable_web_search=on', { enable_web_search: 'on' }],
    ['qwen3-4b:enable_web_search=auto&enable_web_citations=true', { enable_web_search: 'auto', enable_web_citations: 'true' }],
    ['qwen3-4b:web', { enable_web_search: 'on' }],
    ['qwen3-4b:web&strip_thinking_response=true', { enable_web_search: 'on', strip_thinking_response: 'true' }],
    ['qwen3-4b:character_slug=alan%2Dwatts&disable_thinking=false', { character_slug: 'alan-watts', disable_thinking: 'false' }],
    ['gpt-4o-mini:include_venice_system_prompt=false', { include_venice_system_prompt: 'false' }],
    ['fastest:disable_thinking=true', { disable_thinking: 'true' }],
    ['venice-qwen3-4b:include_search_results_in_stream=true', { include_search_results_in_stream: 'true' }],
  ])('reads the suffix of %s', (name, flags) => {
    expect(Object.fromEntries(catalog.resolve(name, 'text').flags)).toEqual(flags)
  })

  it.each([
    ['qwen3-4b:', 'feature=value'],
    ['qwen3-4b:enable_web_search', 'feature=value'],
    ['qwen3-4b:=on', 'feature=value'],
    ['qwen3-4b:enable_web_search=maybe', 'enable_web_search takes on, off, auto'],
    ['qwen3-4b:enable_web_search=', 'enable_web_search takes on, off, auto'],
    ['qwen3-4b:disable_thinking=1', 'disable_thinking takes true, false'],
    ['qwen3-4b:enable_web_search=on&enable_web_search=off', 'enable_web_search is given twice'],
    ['qwen3-4b:web&enable_web_search=off', 'enable_web_search is given twice'],
    ['qwen3-4b:character_slug=%zz', 'percent-encoded'],
    ['qwen3-4b:character_slug=a%20b', 'character_slug takes a public id'],
    ['qwen3-4b:sorcery=on', 'enable_web_search, enable_web_citations'],
    ['qwen3-4b:toString=on', 'unknown feature'],
    ['qwen3-4b:delay=5', 'unknown feature'],
  ])('refuses the suffix of %s with a 400 that says what it takes', (name, words) => {
    const failure = failureOf(() => catalog.resolve(name, 'text'))

    expect(failure).toMatchObject({ status: 400, param: 'model' })
    expect(failure.message).toContain(words)
  })

  it('takes the sandbox’s own flags for the sandbox alone', () => {
    const { flags } = catalog.resolve('sandbox-text:delay=5&status=503', 'text')

    expect(Object.fromEntries(flags)).toEqual({ delay: '5', status: '503' })
    expect(failureOf(() => catalog.resolve('sandbox-text:delay=soon', 'text')).message).toContain('delay takes a whole number')
  })

  it.each([
    '',
    ':',
    ':web',
    'no-such-model',
    'no-such-model:web',
    'venice-',
    'venice-no-such',
    '__proto__',
    'constructor',
    'a:'.repeat(10_000),
  ])('answers 404 for %.20s', (name) => {
    expect(failureOf(() => catalog.resolve(name, 'text'))).toMatchObject({ code: 'MODEL_NOT_FOUND', status: 404, param: 'model' })
  })

  it('never repeats a name that it does not know', () => {
    expect(failureOf(() => catalog.resolve('my-secret-name', 'text')).message).not.toContain('secret')
  })

  it.each<[string, Modality, string]>([
    ['venice-sd35', 'text', 'venice-sd35 is of type image'],
    ['qwen3-4b', 'embedding', 'qwen3-4b is of type text'],
    ['qwen3-4b:web', 'image', 'qwen3-4b is of type text'],
    ['whisper-1', 'text', 'nvidia/parakeet-tdt-0.6b-v3 is of type asr'],
    ['gpt-4o', 'embedding', 'zai-org-glm-4.7 is of type text'],
  ])('answers 400 for %s where type %s is needed', (name, modality, words) => {
    const failure = failureOf(() => catalog.resolve(name, modality))

    expect(failure).toMatchObject({ code: 'INVALID_MODEL', status: 400, param: 'model' })
    expect(failure.message).toContain(words)
  })
})

describe('which candidate a name stands for', () => {
  it('is the first that is online', () => {
    expect(shippedCatalog(['openai']).resolve('gpt-4o', 'text').model.id).toBe('openai-gpt-52')
    expect(shippedCatalog(['anthropic']).resolve('default', 'text').model.id).toBe('claude-sonnet-45')
    expect(shippedCatalog(['xai']).resolve('o3', 'text').model.id).toBe('grok-41-fast')
  })

  it('is the first of all where none is online, and never the sandbox for a compatibility name', () => {
    const catalog = shippedCatalog(['groq'])

    expect(catalog.resolve('gpt-4o', 'text').model.id).toBe('zai-org-glm-4.7')
    expect(catalog.deployments(catalog.resolve('gpt-4o', 'text').model)).toEqual([])
    expect(catalog.resolve('most_uncensored', 'text').model.id).toBe('venice-uncensored')
  })

  it('may be a model that only a local engine has', () => {
    const names = { traits: {}, compatibility: { text: { 'gpt-4o': ['qwen3:4b'] } } }
    const catalog = new Catalog({ entries: [], names, engines: [engine('local', { lists: true })], clock: testClock() })

    expect(failureOf(() => catalog.resolve('gpt-4o', 'text')).status).toBe(404)
    catalog.reach('local', { up: true, models: [{ name: 'qwen3:4b', modality: null, contextTokens: null }] })

    expect(catalog.resolve('gpt-4o', 'text').model.id).toBe('qwen3:4b')
  })

  it('is not asked where the name is a model’s own', () => {
    const names = { traits: { text: { fast: ['other'] } }, compatibility: { text: { slow: ['other'] } } }
    const entries = [textEntry('fast'), textEntry('slow'), textEntry('other')]
    const catalog = new Catalog({ entries, names, engines: [engine('one')], clock: testClock() })

    expect([catalog.resolve('fast', 'text').model.id, catalog.resolve('slow', 'text').model.id]).toEqual(['fast', 'slow'])
    expect(catalog.compatibility('text')).toEqual({})
    expect(catalog.traits('text')).toEqual({})
  })

  it('is a trait’s before a compatibility name’s', () => {
    const names = { traits: { text: { fast: ['a'] } }, compatibility: { text: { fast: ['b'] } } }
    const catalog = new Catalog({ entries: [textEntry('a'), textEntry('b')], names, engines: [engine('one')], clock: testClock() })

    expect(catalog.resolve('fast', 'text').model.id).toBe('a')
  })
})

import { describe, expect, test } from 'vitest'
import { type Subject, describeEngine } from '../conformance.ts'
import { OpenAiEngine } from './openai.ts'
import { startServer } from './server.fixture.ts'

const subjectWith = (portion?: number) => async (): Promise<Subject> => {
  const server = await startServer(portion)
  const engine = new OpenAiEngine({
    id: 'heron',
    baseUrl: server.baseUrl,
    apiKey: 'k-1',
    privacy: 'private',
    lists: true,
    unsupported: [],
    maxTokensField: 'max_tokens',
  })
  return {
    engine,
    text: { model: 'heron-1', endless: { model: 'endless' }, upstreamLeft: () => server.left(server.asked.length - 1) },
    embedding: { model: 'heron-embed' },
    dispose: server.close,
  }
}

describeEngine('openai', subjectWith())
describeEngine('openai, with a server whose bytes come 13 at a time', subjectWith(13))

describe('the openai engine', () => {
  test('sends its key and nothing about the caller, over one socket for many runs', async () => {
    const server = await startServer()
    const engine = new OpenAiEngine({
      id: 'heron',
      baseUrl: server.baseUrl,
      apiKey: 'k-1',
      privacy: 'anonymized',
      lists: false,
      unsupported: [],
      maxTokensField: 'max_tokens',
      extraHeaders: { 'X-Title': 'Rialto' },
    })

    await engine.probe(new AbortController().signal)
    await engine.probe(new AbortController().signal)

    expect(server.sockets()).toBe(1)
    expect(server.asked[0]?.headers).toMatchObject({ authorization: 'Bearer k-1', 'x-title': 'Rialto' })
    await engine.close()
    await server.close()
  })

  test('a base URL that is none is refused when the engine is made', () => {
    const make = (baseUrl: string) => () =>
      new OpenAiEngine({ id: 'x', baseUrl, apiKey: null, privacy: 'private', lists: false, unsupported: [], maxTokensField: 'max_tokens' })

    expect(make('heron:8080/v1')).toThrow(TypeError)
    expect(make('')).toThrow(TypeError)
  })
})

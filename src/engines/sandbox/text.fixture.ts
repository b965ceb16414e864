/** A request with nothing special about it, and the task it makes: what the tests of the sandbox's chat vary. */
import type { Task } from '../../core/engine.ts'
import type { Message, TextRequest } from '../../core/modalities/text.ts'

export const user = (content: Message['content']): Message => ({ role: 'user', content: content ?? null })

export const plain: TextRequest = {
  messages: [user('What is a heron, and where does it live?')],
  stream: true,
  choices: 1,
  maxTokens: null,
  sampling: {},
  stop: [],
  tools: [],
  toolChoice: null,
  parallelToolCalls: null,
  format: null,
  logprobs: null,
  effort: null,
  reasoningSummary: null,
  cacheKey: null,
  cacheRetention: null,
  verbosity: null,
  sandbox: null,
  sizeBytes: 100,
  media: 0,
}

export const task = (request: TextRequest, signal = new AbortController().signal): Task<TextRequest> => ({
  model: 'sandbox-text',
  request,
  signal,
  firstByteMs: 30_000,
  stallMs: 10_000,
})

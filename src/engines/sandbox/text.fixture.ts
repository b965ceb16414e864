/** The request and the task that the tests of the sandbox's chat vary. */
import type { Task } from '../../core/engine.ts'
import type { Message, TextRequest } from '../../core/modalities/text.ts'
import { PLAIN } from '../text-run.fixture.ts'

export const user = (content: Message['content']): Message => ({ role: 'user', content: content ?? null })

export const plain: TextRequest = { ...PLAIN, messages: [user('What is a heron, and where does it live?')] }

export const task = (request: TextRequest, signal = new AbortController().signal): Task<TextRequest> => ({
  model: 'sandbox-text',
  request,
  signal,
  firstByteMs: 30_000,
  stallMs: 10_000,
})

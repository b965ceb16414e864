/** Chat over an OpenAI-compatible server. */
import type { Ability, Task } from '../../core/engine.ts'
import type { TextRequest } from '../../core/modalities/text.ts'
import type { Egress, EgressRequest } from '../egress.ts'
import { type WholeParts, runStream } from '../stream-run.ts'
import { type Dialect, chatBody, refusedField } from './request.ts'
import { TextStream } from './stream.ts'
import { streamedParts, wholeOf } from './whole.ts'

export function textAbility(egress: Egress, dialect: Dialect): Ability<'text'> {
  return {
    refuses: (request) => refusedField(request, dialect),

    async run(task, sink) {
      const body = chatBody(task.model, task.request, dialect)
      if (task.request.stream) {
        const request = requestOf(task, body, 'text/event-stream')
        return runStream(egress, request, new TextStream(task.request.choices), streamed, sink)
      }
      const { body: answer } = await egress.collect(requestOf(task, body, 'application/json'))
      const { choices, finish } = wholeOf(answer)
      await sink([{ type: 'whole', choices }])
      return finish
    },
  }
}

function streamed(body: Buffer): WholeParts {
  const whole = wholeOf(body)
  return { parts: streamedParts(whole), finish: whole.finish }
}

const requestOf = ({ signal, firstByteMs, stallMs }: Task<TextRequest>, body: string, accept: string): EgressRequest => ({
  method: 'POST',
  path: '/chat/completions',
  body,
  accept,
  signal,
  firstByteMs,
  stallMs,
})

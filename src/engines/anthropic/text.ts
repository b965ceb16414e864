/** Chat over the Messages API. */
import type { Ability, Task } from '../../core/engine.ts'
import type { TextRequest } from '../../core/modalities/text.ts'
import type { Egress, EgressRequest } from '../egress.ts'
import { type WholeParts, runStream } from '../stream-run.ts'
import { messagesBody, refusedField } from './request.ts'
import { MessageStream } from './stream.ts'
import { streamedParts, wholeOf } from './whole.ts'

export const textAbility = (egress: Egress): Ability<'text'> => ({
  refuses: refusedField,

  async run(task, sink) {
    const body = messagesBody(task.model, task.request)
    if (task.request.stream) {
      return runStream(egress, requestOf(task, body, 'text/event-stream'), new MessageStream(), streamed, sink)
    }
    const { body: answer } = await egress.collect(requestOf(task, body, 'application/json'))
    const { choice, finish } = wholeOf(answer)
    await sink([{ type: 'whole', choices: [choice] }])
    return finish
  },
})

function streamed(body: Buffer): WholeParts {
  const whole = wholeOf(body)
  return { parts: streamedParts(whole), finish: whole.finish }
}

const requestOf = ({ signal, firstByteMs, stallMs }: Task<TextRequest>, body: string, accept: string): EgressRequest => ({
  method: 'POST',
  path: '/v1/messages',
  body,
  accept,
  signal,
  firstByteMs,
  stallMs,
})

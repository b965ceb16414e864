/** `POST /chat/completions`: the OpenAI chat with the Venice extensions. */
import { fail } from '../../core/errors.ts'
import type { Choice } from '../../core/modalities/text.ts'
import { withoutThinking } from '../../extras/thinking.ts'
import { type EventSink, type Reply, endpoint } from '../endpoint.ts'
import { chatAnswer, chatErrors, chatExample } from './documented.ts'
import { toTextRequest } from './request.ts'
import { type ChatBody, chatBody } from './schema.ts'
import { refuseEncryption, resolveExtras } from './venice.ts'
import { ChunkWriter, completion } from './wire.ts'

/** The endpoint, with the server's own system prompt, which goes in front of the caller's unless that is switched off. */
export const chatCompletions = (systemPrompt: string) =>
  endpoint<undefined, ChatBody>({
    method: 'POST',
    path: '/chat/completions',
    tag: 'Chat',
    summary: 'Answer a conversation',
    description: chatExample.description,
    scope: 'INFERENCE',
    charged: true,
    body: chatBody,
    answers: chatAnswer,
    example: { body: chatExample.body, answer: chatExample.answer },
    errors: chatErrors,

    async handle(input, desk): Promise<Reply> {
      const { body, bodyBytes } = input
      if (input.sealed) refuseEncryption(input.headers)
      const { model, flags, orders } = desk.model('text', body.model)
      const extras = resolveExtras(body.venice_parameters, flags)
      const request = toTextRequest(body, extras, model, systemPrompt, bodyBytes, orders)
      const heading = { id: `chatcmpl-${desk.envelope.requestId}`, created: Math.floor(desk.envelope.startedAt / 1000), model: model.id }
      desk.envelope.stream = request.stream

      if (!request.stream) {
        let choices: readonly Choice[] = []
        const collect = withThinking(extras.stripThinking, (parts) => {
          for (const part of parts) if (part.type === 'whole') choices = part.choices
        })
        const outcome = await desk.run('text', model, request, collect)
        if (choices.length === 0) throw fail('INFERENCE_FAILED', { internal: 'no_answer' })
        desk.envelope.finishReasons = choices.map((choice) => choice.finishReason)
        return { type: 'text', contentType: 'application/json', body: completion(heading, choices, outcome, extras.echo) }
      }

      const writer = new ChunkWriter(heading)
      const includeUsage = body.stream_options?.include_usage === true
      const write = async (out: EventSink): Promise<void> => {
        const stream = withThinking(extras.stripThinking, (parts) => out.send(writer.chunks(parts)))
        const outcome = await desk.run('text', model, request, stream)
        desk.envelope.finishReasons = writer.reasons
        const usage = includeUsage ? writer.usage(outcome, extras.echo) : ''
        await out.send(`${usage}data: [DONE]\n\n`)
      }
      return { type: 'events', write }
    },
  })

type TextSink = Parameters<typeof withoutThinking>[0]

const withThinking = (strip: boolean, sink: TextSink): TextSink => (strip ? withoutThinking(sink) : sink)

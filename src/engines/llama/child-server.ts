/**
 * The other llama child: one model in llama.cpp's own server, which it starts, speaks with and ends. It makes of each call a request of
 * that server, and of what the server says the same pieces that the first child writes. Runs in a child only.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Finish } from '../../core/call.ts'
import { Cancel } from '../../core/cancel.ts'
import type { Ability } from '../../core/engine.ts'
import { Failure } from '../../core/errors.ts'
import type { Message, TextPart, TextRequest } from '../../core/modalities/text.ts'
import type { Egress } from '../egress.ts'
import { isFields, readFields } from '../fields.ts'
import { ChildFailure, serveParent } from '../process-child.ts'
import type { ChildCall } from '../process-child.ts'
import { ProgramServer, ServerEnded } from '../process-server.ts'
import { ServerWriter } from './child-server-writer.ts'
import { askedOf } from './child-server-request.ts'
import { serverStart } from './child-server-start.ts'
import { inTurns } from './child-turns.ts'
import type { ChatBody, ChatEnd, Piece, ServerStart } from './wire.ts'

/** A picture and a long prompt take minutes on a small machine, and the server says nothing meanwhile. */
const READING_MS = 600_000
const BEAT_MS = 1_000
/** How long after its connections the end of the program shows. */
const LOST_MS = 1_000
const SAYS = { accept: 'application/json', firstByteMs: 30_000, stallMs: 30_000 } as const

/** Chats over an OpenAI-compatible server, with fields of its own in each of them. */
export type ChatsOver = (egress: Egress, fields: Readonly<Record<string, unknown>>) => Ability<'text'>

/** Starts the program for the model that this process was started with, and serves the gateway until it has enough. */
export async function serveModel(chatsOver: ChatsOver): Promise<void> {
  // The parent wrote it: it is what its type says.
  const start = JSON.parse(process.argv[2] ?? '') as ServerStart
  const { program } = start
  let server: ProgramServer | null = null
  await serveParent(
    async () => {
      server = new ProgramServer({ program, start: (how) => serverStart(start, how), healthPath: '/health' })
      await ready(server)
      const { egress, ended } = server
      const model: Model = { over: (fields) => chatsOver(egress, fields), knowsTools: await knowsTools(egress), ended }
      const handle = async (call: ChildCall): Promise<{ value: unknown }> => {
        if (call.method !== 'chat') throw new ChildFailure('wrong_modality')
        // The gateway's ability made it.
        return { value: await chat(call.body as ChatBody, call, model) }
      }
      return { info: null, handle, ended }
    },
    () => server?.close() ?? Promise.resolve(),
  )
}

/** The model in the program. */
type Model = {
  readonly over: (fields: Readonly<Record<string, unknown>>) => Ability<'text'>
  /** Whether its chat template tells it of tools. */
  readonly knowsTools: boolean
  readonly ended: Promise<void>
}

async function ready(server: ProgramServer): Promise<void> {
  try {
    await server.ready()
  } catch (error) {
    if (!(error instanceof ServerEnded)) throw error
    throw new ChildFailure(server.started ? 'server_ended' : 'no_server')
  }
}

/** A version that does not say so has a way of its own for templates without tools. */
async function knowsTools(egress: Egress): Promise<boolean> {
  const { body } = await egress.collect({ ...SAYS, method: 'GET', path: '/props', fromRoot: true, signal: new Cancel() })
  const caps = readFields(body.toString('utf8'))?.['chat_template_caps']
  return !isFields(caps) || caps['supports_tool_calls'] !== false
}

async function chat(body: ChatBody, call: ChildCall, model: Model): Promise<ChatEnd> {
  const send = body.stream ? (piece: Piece): void => call.part(piece) : null
  const { request, fields, reading } = askedOf(body, model.knowsTools)
  const writer = new ServerWriter(send, body.logprobs, reading)
  const ability = model.over(fields)
  const beats = beating(call)
  const sink = (parts: readonly TextPart[]): void => {
    beats.stop()
    writer.take(parts)
    call.beat()
  }
  const ask = (asked: TextRequest): Promise<Finish> =>
    ability.run({ model: 'local', request: asked, signal: call.left, firstByteMs: READING_MS, stallMs: READING_MS }, sink)
  try {
    const { usage } = await ask(request).catch((error: unknown) => {
      if (!isRefused(error)) throw error
      // Messages stay messages. Nothing was computed yet: many templates want user and assistant to take turns, and most can be said so.
      return ask({ ...request, messages: inTurns(request.messages) as Message[] }).catch(() => {
        throw error
      })
    })
    return endOf(writer, usage)
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    // A program that is gone takes its child along, and that is what becomes of the calls it held.
    if (isLost(error)) await Promise.race([model.ended.then(forever), sleep(LOST_MS)])
    throw told(error)
  } finally {
    beats.stop()
  }
}

function endOf(writer: ServerWriter, usage: Finish['usage']): ChatEnd {
  const reason = writer.end()
  if (reason === null || usage === null) throw new ChildFailure('defect')
  const cachedTokens = usage.cacheReadToken ?? 0
  return {
    reason,
    promptTokens: (usage.inputToken ?? 0) + cachedTokens,
    cachedTokens,
    outputTokens: usage.outputToken ?? 0,
    // The server does not tell them from the others.
    reasoningTokens: 0,
    pieces: writer.collected(),
  }
}

const isRefused = (error: unknown): boolean => error instanceof Failure && error.code === 'INVALID_REQUEST'

const isLost = ({ internal }: Failure): boolean =>
  internal === 'upstream_reset' || internal === 'upstream_refused' || internal === 'upstream_died'

const forever = (): Promise<never> => new Promise(() => undefined)

/** While the server reads it says nothing: until its first word the call goes on, for as long as a prompt may take. */
function beating(call: ChildCall): { stop(): void } {
  let left = READING_MS / BEAT_MS
  const timer = setInterval(() => {
    call.beat()
    if (--left === 0) clearInterval(timer)
  }, BEAT_MS)
  return { stop: () => clearInterval(timer) }
}

/** What the dialect made of the server's refusal has none of its words in it. */
const told = ({ code, message, internal, retryAfterMs }: Failure): ChildFailure =>
  new ChildFailure('failed', { code, say: message, internal, retryAfterMs })

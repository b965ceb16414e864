/** Streamed chats over HTTP, with the time of each piece of text; and strict: an answer has all the tokens that it was asked for. */
import { Agent, request } from 'node:http'
import { WORDS, PROMPT_EXTRA_TOKENS } from './half-gguf.ts'
import { KEY, MODEL } from './local-server.ts'
import { type ChatTimes, type Figures, figuresOf } from './local-times.ts'

const LIMIT_MS = 900_000
const SEED = 7

/** Connections stay open, as those of a client library do. */
const agent = new Agent({ keepAlive: true })

export type Answered = Figures & {
  /** As the server counted them, of one chat. */
  readonly promptTokens: number
  /** Of all chats: tokens that were not read because an earlier prompt began alike. They are not in the figures. */
  readonly cachedTokens: number
  readonly piecesPerToken: number
  /** By each chat. */
  readonly written: number
}

type Order = { readonly prompt: number; readonly tokens: number; readonly chats: number }

let asked = 0

/** So many chats at once, of prompts that begin differently from all that were sent lately. */
export async function askAll(port: number, { prompt, tokens, chats }: Order): Promise<Answered> {
  const bodies = Array.from({ length: chats }, (_, at) => bodyOf(promptOf(asked++, prompt - PROMPT_EXTRA_TOKENS), tokens, at))
  const start = performance.now()
  const answers = await Promise.all(bodies.map((body) => ask(port, body)))
  for (const { usage, pieces } of answers) {
    if (usage.prompt !== prompt || usage.completion !== tokens || pieces.length === 0)
      throw new Error(`Rialto read ${usage.prompt} tokens and wrote ${usage.completion}, and was to read ${prompt} and write ${tokens}`)
  }
  const times = answers.map(
    ({ usage, pieces }): ChatTimes => ({ promptTokens: usage.prompt - usage.cached, tokens: usage.completion, pieces }),
  )
  const total = (of: (answer: Answer) => number): number => answers.reduce((sum, answer) => sum + of(answer), 0)
  return {
    ...figuresOf(start, times),
    promptTokens: prompt,
    cachedTokens: total(({ usage }) => usage.cached),
    written: tokens,
    piecesPerToken: total(({ pieces }) => pieces.length) / total(({ usage }) => usage.completion),
  }
}

/** Closes the connections that were kept. */
export const hangUp = (): void => agent.destroy()

function promptOf(number: number, words: number): string {
  return Array.from({ length: words }, (_, i) => ` ${WORDS[(i * 31 + (i >> 3) * 7 + number) % WORDS.length] ?? ''}`).join('')
}

/** As local-bare.ts samples. */
const bodyOf = (content: string, tokens: number, chat: number): string =>
  JSON.stringify({
    model: MODEL,
    messages: [{ role: 'user', content }],
    stream: true,
    stream_options: { include_usage: true },
    max_completion_tokens: tokens,
    temperature: 0.8,
    top_k: 40,
    top_p: 0.95,
    min_p: 0.05,
    seed: SEED + chat,
    venice_parameters: { include_venice_system_prompt: false },
  })

type Answer = { pieces: number[]; usage: { prompt: number; completion: number; cached: number } }

function ask(port: number, body: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const answer: Answer = { pieces: [], usage: { prompt: 0, completion: 0, cached: 0 } }
    const headers = { authorization: `Bearer ${KEY}`, 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }
    const sent = request(
      { agent, port, host: '127.0.0.1', path: '/v1/chat/completions', method: 'POST', headers, timeout: LIMIT_MS },
      (reply) => {
        let held = ''
        reply.setEncoding('utf8').on('data', (text: string) => {
          const now = performance.now()
          const lines = (held + text).split('\n')
          held = lines.pop() ?? ''
          if (reply.statusCode === 200) for (const line of lines) if (line.startsWith('data: {')) take(line.slice(6), now, answer)
        })
        reply.once('error', reject)
        reply.once('end', () => {
          if (reply.statusCode === 200) resolve(answer)
          else reject(new Error(`Rialto answered ${reply.statusCode}: ${held.slice(0, 500)}`))
        })
      },
    )
    sent.once('timeout', () => sent.destroy(new Error('Rialto does not answer')))
    sent.once('error', reject)
    sent.end(body)
  })
}

type Event = {
  choices?: { delta?: { content?: string } }[]
  usage?: { prompt_tokens: number; completion_tokens: number; prompt_tokens_details?: { cached_tokens?: number } } | null
}

function take(json: string, now: number, answer: Answer): void {
  // The documented event of a streamed chat; what is read of it is compared with what was asked for.
  const event = JSON.parse(json) as Event
  if (event.choices?.some(({ delta }) => delta?.content)) answer.pieces.push(now)
  const { usage } = event
  if (usage)
    answer.usage = {
      prompt: usage.prompt_tokens,
      completion: usage.completion_tokens,
      cached: usage.prompt_tokens_details?.cached_tokens ?? 0,
    }
}

/** What the mock upstream says, which the load generator must get back, and the requests that are sent. */

/** Pieces of text in a stream. */
export const CHUNKS = 100
/** Exactly one `~` each, which occurs nowhere else in an answer. */
export const CHUNK_TEXT = ' hello~ world and'
export const JSON_TEXT = 'Hello~ How can I assist you today?'
export const MARK = 0x7e

const WORDS =
  'the quick brown fox jumps over lazy dog while gateway routes tokens between models and counts every request carefully before sending it upstream with low latency and full tracing enabled for each tenant'.split(
    ' ',
  )

/** Text of a given length, the same in every run. */
function text(length: number, seed: number): string {
  let state = seed
  let out = ''
  while (out.length < length) {
    state = (state * 1103515245 + 12345) % 0x80000000
    out += `${out === '' ? '' : ' '}${WORDS[state % WORDS.length] ?? ''}`
  }
  return out.slice(0, length)
}

const tool = (i: number) => ({
  type: 'function',
  function: {
    name: `get_thing_${i}`,
    description: text(120, i),
    parameters: {
      type: 'object',
      properties: { city: { type: 'string', description: text(60, i) }, unit: { type: 'string', enum: ['c', 'f'] } },
      required: ['city'],
      additionalProperties: false,
    },
  },
})

/** The last message is as long as makes the whole body this long. */
function sized(base: object, messages: readonly object[], sizeBytes: number): string {
  const make = (last: string): string => JSON.stringify({ ...base, messages: [...messages, { role: 'user', content: last }] })
  return make(text(Math.max(1, sizeBytes - Buffer.byteLength(make(''))), 99))
}

const small = [
  { role: 'system', content: text(220, 1) },
  { role: 'user', content: text(160, 2) },
  { role: 'assistant', content: text(150, 3) },
]
const large = [
  { role: 'system', content: text(1200, 4) },
  ...Array.from({ length: 14 }, (_, i) => ({
    role: i % 2 === 0 ? 'user' : 'assistant',
    content: `${text(700, 5 + i)}${i % 3 === 0 ? `\n"quoted" é è café\t${i}` : ''}`,
  })),
]
const sampling = { temperature: 0.7, max_tokens: 256, top_p: 1 }

/** Between two chunks of a paced stream, in microseconds. */
export const PACE_US = 20_000

export type Bodies = {
  readonly chat1k: string
  readonly chat16k: string
  readonly stream: string
  readonly paced: string
  readonly embeddings: string
}

export function bodies(model: string, embeddingModel: string): Bodies {
  const streamed = { model, ...sampling, stream: true, stream_options: { include_usage: true } }
  return {
    chat1k: sized({ model, ...sampling }, small, 1024),
    chat16k: sized({ model, ...sampling, tools: [1, 2, 3, 4].map(tool), tool_choice: 'auto' }, large, 16_384),
    stream: sized(streamed, small, 1024),
    paced: sized(streamed, [...small, { role: 'user', content: `pace=${PACE_US} us` }, { role: 'assistant', content: 'yes' }], 1024),
    embeddings: JSON.stringify({ model: embeddingModel, input: text(200, 6), encoding_format: 'float' }),
  }
}

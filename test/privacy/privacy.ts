/** Requests with a marker wherever content or a caller's identity can be, and upstreams that answer with markers of their own. */
import { marker } from '../harness/markers.ts'
import { type Answer, chatEvents, chatJson, dead, embeddingJson, events, json } from '../harness/upstream.ts'

/** All that a caller's client, or a proxy before Rialto, may say about who asks. None of it is the engine's business. */
export const IDENTITY = {
  'x-forwarded-for': `203.0.113.9, ${marker('x-forwarded-for')}`,
  'x-forwarded-host': marker('x-forwarded-host'),
  'x-real-ip': marker('x-real-ip'),
  forwarded: `for=${marker('forwarded')}`,
  'user-agent': marker('user-agent'),
  cookie: `session=${marker('cookie')}`,
  referer: `https://app.example/${marker('referer')}`,
  origin: `https://${marker('origin')}example`,
  'accept-language': marker('accept-language'),
  'openai-organization': marker('openai-organization'),
  'x-stainless-os': marker('x-stainless-os'),
  'x-request-id': marker('x-request-id'),
  traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`,
  tracestate: `vendor=${marker('tracestate')}`,
  baggage: `user=${marker('baggage')}`,
  'idempotency-key': marker('idempotency-key'),
}

/** A chat with a marker in every place that the schema has for content. */
export const everywhere = (more: object = {}): object => ({
  model: 'bridge',
  messages: [
    { role: 'system', content: marker('system'), name: marker('name') },
    { role: 'developer', content: marker('developer') },
    {
      role: 'user',
      content: [
        { type: 'text', text: marker('text') },
        { type: 'image_url', image_url: { url: `data:image/png;base64,${Buffer.from(marker('image')).toString('base64')}` } },
        { type: 'image_url', image_url: { url: `https://host.example/${marker('image-url')}` } },
        { type: 'input_audio', input_audio: { data: Buffer.from(marker('audio')).toString('base64'), format: 'wav' } },
      ],
      vendor: marker('vendor-field'),
    },
    {
      role: 'assistant',
      content: null,
      reasoning_content: marker('reasoning'),
      tool_calls: [
        { id: marker('call-id'), type: 'function', function: { name: marker('call-name'), arguments: marker('call-arguments') } },
      ],
    },
    { role: 'tool', tool_call_id: marker('call-id'), content: marker('tool-result') },
  ],
  tools: [
    {
      type: 'function',
      function: {
        name: marker('tool'),
        description: marker('tool-description'),
        parameters: { type: 'object', properties: { [marker('property')]: { type: 'string' } } },
      },
    },
  ],
  response_format: {
    type: 'json_schema',
    json_schema: { name: marker('schema'), schema: { type: 'object', title: marker('schema-title') } },
  },
  stop: [marker('stop')],
  prompt_cache_key: marker('cache-key'),
  user: marker('user'),
  safety_identifier: marker('safety-identifier'),
  metadata: { [marker('metadata-name')]: marker('metadata') },
  service_tier: marker('service-tier'),
  include: [marker('include')],
  fallbacks: [{ model: marker('fallback') }],
  ...more,
})

export const simple = (more: object = {}): object => ({ model: 'bridge', messages: [{ role: 'user', content: marker('simple') }], ...more })
const answers = { whole: chatJson(marker('answer')), streamed: events(chatEvents([marker('answer'), 'more'])) }
const WORDS = {
  error: {
    message: marker('upstream-words'),
    type: marker('upstream-type'),
    code: marker('upstream-code'),
    param: marker('upstream-param'),
  },
}
const upstreamHeaders = {
  'x-upstream': marker('upstream-header'),
  'set-cookie': marker('upstream-cookie'),
  'x-request-id': marker('upstream-id'),
}
const refusal = (status: number): Answer => json(WORDS, status, upstreamHeaders)

export type Case = {
  readonly what: string
  readonly path: string
  readonly body: unknown
  readonly answers?: readonly Answer[]
  readonly headers?: Record<string, string>
}

/** Requests that go well. */
export const WELL: readonly Case[] = [
  { what: 'a whole chat', path: '/chat/completions', body: everywhere(), answers: [answers.whole] },
  { what: 'a streamed chat', path: '/chat/completions', body: everywhere({ stream: true }), answers: [answers.streamed] },
  {
    what: 'a chat with the headers of the upstream',
    path: '/chat/completions',
    body: simple(),
    answers: [{ ...answers.whole, headers: { ...upstreamHeaders, 'content-type': 'application/json' } }],
  },
  {
    what: 'a vector',
    path: '/embeddings',
    body: { model: 'vectors', input: marker('input'), user: marker('embedding-user') },
    answers: [embeddingJson([[1, 0]])],
  },
  { what: 'a chat of the sandbox', path: '/chat/completions', body: simple({ model: 'sandbox-text' }) },
  { what: 'a streamed chat of the sandbox', path: '/chat/completions', body: simple({ model: 'sandbox-text', stream: true }) },
  { what: 'a vector of the sandbox', path: '/embeddings', body: { model: 'sandbox-embedding', input: [marker('a'), marker('b')] } },
]

const BOTH = [false, true]
/** Requests that the upstream spoils, each to be sent to a model of its own: a failing engine is left alone for a while. */
export const SPOILT: readonly Case[] = BOTH.flatMap((stream) => {
  const body = simple({ stream })
  const how = stream ? 'a stream' : 'a chat'
  const path = '/chat/completions'
  return [
    ...[400, 401, 402, 403, 404, 413, 422, 429, 500, 502, 503, 529].map((status) => ({
      what: `${how} refused with ${status}`,
      path,
      body,
      answers: [refusal(status)],
    })),
    {
      what: `${how} refused in plain text`,
      path,
      body,
      answers: [{ status: 500, headers: upstreamHeaders, steps: [{ send: marker('plain-words') }] }],
    },
    {
      what: `${how} too long for the model`,
      path,
      body,
      answers: [json({ error: { message: `This model's maximum context length is 5. ${marker('context')}` } }, 400)],
    },
    {
      what: `${how} against a policy`,
      path,
      body,
      answers: [json({ error: { message: marker('policy'), code: 'content_policy_violation' } }, 400)],
    },
    {
      what: `${how} redirected`,
      path,
      body,
      answers: [{ status: 302, headers: { location: `http://127.0.0.1/${marker('location')}` }, steps: [] }],
    },
    { what: `${how} answered by an error with 200`, path, body, answers: [json(WORDS)] },
    {
      what: `${how} answered by broken JSON`,
      path,
      body,
      answers: [{ headers: { 'content-type': 'application/json' }, steps: [{ send: `{"choices": ${marker('broken')}` }] }],
    },
    {
      what: `${how} answered by other JSON`,
      path,
      body,
      answers: [json({ [marker('field')]: marker('value'), choices: [marker('choice')] })],
    },
    {
      what: `${how} answered by a strange reason`,
      path,
      body,
      answers: [
        stream
          ? events(
              `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: marker('c') }, finish_reason: marker('reason') }] })}\n\ndata: [DONE]\n\n`,
            )
          : json({ choices: [{ message: { content: marker('c') }, finish_reason: marker('reason') }] }),
      ],
    },
    {
      what: `${how} answered by short broken JSON`,
      path,
      body,
      answers: [{ headers: { 'content-type': 'application/json' }, steps: [{ send: `[${marker('x')}` }] }],
    },
    { what: `${how} never answered`, path, body, answers: [dead, dead] },
  ]
}).concat(
  [
    events(`data: ${JSON.stringify(WORDS)}\n\n`),
    events(`event: error\ndata: ${JSON.stringify(WORDS.error)}\n\n`),
    events(`data: ${marker('no-json')}\n\n`),
    events(
      `${chatEvents([marker('begun')])
        .split('\n\n')
        .slice(0, 2)
        .join('\n\n')}\n\n`,
      { die: true },
    ),
    events(
      `${chatEvents([marker('begun')])
        .split('\n\n')
        .slice(0, 2)
        .join('\n\n')}\n\ndata: ${JSON.stringify(WORDS)}\n\n`,
    ),
    events(
      `${chatEvents([marker('begun')])
        .split('\n\n')
        .slice(0, 2)
        .join('\n\n')}\n\ndata: {"choices": ${marker('broken-chunk')}\n\n`,
    ),
  ].map((answer, index) => ({
    what: `a stream broken in way ${index}`,
    path: '/chat/completions',
    body: simple({ stream: true }),
    answers: [answer],
  })),
  [refusal(400), refusal(500), json({ data: marker('no-list') }), json({ data: [{ embedding: marker('no-vector') }] })].map(
    (answer, index) => ({
      what: `a vector spoilt in way ${index}`,
      path: '/embeddings',
      body: { model: 'vectors', input: marker('input') },
      answers: [answer],
    }),
  ),
)

const deep = { [marker('deep-name')]: { [marker('deeper-name')]: marker('deep-value') } }
/** Requests that Rialto itself refuses. The last of a row is whether the caller's own field name may come back. */
export const REFUSED: readonly (Case & { readonly named?: string })[] = [
  { what: 'no JSON', path: '/chat/completions', body: `{"model": ${marker('malformed')}` },
  { what: 'short broken JSON', path: '/chat/completions', body: `[${marker('x')}` },
  { what: 'a broken vector', path: '/embeddings', body: `{"${marker('x')}` },
  { what: 'no JSON at the end', path: '/chat/completions', body: `{"model":"bridge"} ${marker('trailing')}` },
  { what: 'a bare text', path: '/chat/completions', body: JSON.stringify(marker('bare')) },
  { what: 'an unknown model', path: '/chat/completions', body: simple({ model: marker('model') }) },
  { what: 'an unknown model with a suffix', path: '/chat/completions', body: simple({ model: `${marker('model')}:x=y` }) },
  { what: 'an unknown suffix', path: '/chat/completions', body: simple({ model: `bridge:${marker('flag')}=${marker('flag-value')}` }) },
  {
    what: 'a wrong value of a suffix',
    path: '/chat/completions',
    body: simple({ model: `bridge:enable_web_search=${marker('flag-value')}` }),
  },
  { what: 'a wrong order of the sandbox', path: '/chat/completions', body: simple({ model: `sandbox-text:status=${marker('order')}` }) },
  {
    what: 'an unknown field',
    path: '/chat/completions',
    body: simple({ [`${marker('field-name')}${'n'.repeat(300)}`]: marker('field-value') }),
    named: 'field-name',
  },
  { what: 'a field of a wrong type', path: '/chat/completions', body: simple({ temperature: marker('temperature') }) },
  { what: 'a wrong word', path: '/chat/completions', body: simple({ reasoning_effort: marker('effort') }) },
  { what: 'a wrong role', path: '/chat/completions', body: simple({ messages: [{ role: marker('role'), content: marker('content') }] }) },
  {
    what: 'a wrong part',
    path: '/chat/completions',
    body: simple({ messages: [{ role: 'user', content: [{ type: marker('part'), text: marker('content') }] }] }),
  },
  { what: 'a wrong format', path: '/chat/completions', body: simple({ response_format: { type: marker('format') } }) },
  { what: 'a wrong tool', path: '/chat/completions', body: simple({ tools: [{ type: marker('tool-type'), function: deep }] }) },
  {
    what: 'a wrong tool choice',
    path: '/chat/completions',
    body: simple({ tools: [{ function: { name: 'f' } }], tool_choice: { type: 'function', function: { name: marker('choice') } } }),
  },
  {
    what: 'a file',
    path: '/chat/completions',
    body: simple({
      messages: [{ role: 'user', content: [{ type: 'file', file: { file_data: marker('file'), filename: marker('filename') } }] }],
    }),
  },
  { what: 'a character', path: '/chat/completions', body: simple({ venice_parameters: { character_slug: marker('character') } }) },
  {
    what: 'a schema that the sandbox cannot fill',
    path: '/chat/completions',
    body: simple({
      model: 'sandbox-text',
      response_format: {
        type: 'json_schema',
        json_schema: { name: 'n', schema: { type: marker('type'), pattern: `(${marker('pattern')}`, $ref: marker('ref') } },
      },
    }),
  },
  { what: 'a wrong input', path: '/embeddings', body: { model: 'vectors', input: { text: marker('input') } } },
  { what: 'wrong dimensions', path: '/embeddings', body: { model: 'vectors', input: marker('input'), dimensions: marker('dimensions') } },
  {
    what: 'a wrong encoding',
    path: '/embeddings',
    body: { model: 'vectors', input: marker('input'), encoding_format: marker('encoding') },
  },
  { what: 'another content type', path: '/chat/completions', body: marker('form'), headers: { 'content-type': `text/${marker('media')}` } },
  { what: 'encryption', path: '/chat/completions', body: simple(), headers: { 'x-venice-tee-client-pub-key': marker('public-key') } },
  { what: 'an unknown path', path: `/${marker('path')}?q=${marker('query')}`, body: simple() },
  { what: 'an unknown query', path: `/chat/completions?q=${marker('query')}&model=${marker('model')}`, body: simple({ n: 'x' }) },
]

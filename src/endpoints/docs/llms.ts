/** The whole reference as one text: setup, endpoints, models, limits, errors. Generated at every request, so it is never old. */
import type { Catalog } from '../../catalog/catalog.ts'
import { ERRORS } from '../../core/errors.ts'
import type { AnyEndpoint, Input } from '../endpoint.ts'
import { type About, BASE_PATH, KEY_VARIABLE, SUMMARY, TITLE } from './about.ts'
import { errorsOf } from './errors.ts'
import { inputSchema, outputSchema } from './json-schema.ts'
import { fieldLines } from './llms-fields.ts'
import { markdownTable, modelTables } from './llms-models.ts'

/** What describes the endpoints does not change while the server runs. */
const described = new WeakMap<AnyEndpoint, string>()

export function llmsText(all: readonly AnyEndpoint[], about: About, catalog: Catalog, origin: string): string {
  const base = `${origin}${BASE_PATH}`
  const sections = [
    [
      `# ${TITLE}: complete reference`,
      '',
      `> ${SUMMARY}`,
      '',
      `Base URL: ${base}`,
      `Auth: \`Authorization: Bearer <${KEY_VARIABLE}>\``,
      `Version: ${about.version}`,
    ],
    setup(all, base),
    endpoints(all, base),
    modelTables(catalog),
    limits(about),
    errors(),
    ['## Links', '', `- Page with requests to try: ${origin}/docs`, `- OpenAPI 3.1: ${base}/openapi.json`],
  ]
  return `${sections.map((lines) => lines.join('\n').trim()).join('\n\n---\n\n')}\n`
}

/** Where the caller found this server, as far as its request says so; only what can stand in an address is taken. */
export function baseOf(headers: Input<unknown, unknown>['headers']): string {
  const { host, 'x-forwarded-proto': forwarded } = headers
  const scheme = forwarded === 'https' ? 'https' : 'http'
  return `${scheme}://${typeof host === 'string' && /^[A-Za-z0-9.:[\]-]{1,253}$/.test(host) ? host : '127.0.0.1:8080'}`
}

function setup(all: readonly AnyEndpoint[], base: string): string[] {
  const first = all.find(({ method, body, scope }) => method === 'POST' && body && scope === 'INFERENCE')
  return [
    '## Quick setup',
    '',
    ...fence('python', ['from openai import OpenAI', `client = OpenAI(api_key="YOUR_KEY", base_url="${base}")`]),
    '',
    ...fence('javascript', ["import OpenAI from 'openai'", `const client = new OpenAI({ apiKey: 'YOUR_KEY', baseURL: '${base}' })`]),
    ...(first ? ['', ...curl(first, base)] : []),
  ]
}

function endpoints(all: readonly AnyEndpoint[], base: string): string[] {
  const lines = ['## Endpoints', '']
  for (const tag of new Set(all.map((endpoint) => endpoint.tag))) {
    for (const endpoint of all) {
      if (endpoint.tag !== tag) continue
      let text = described.get(endpoint)
      if (text === undefined) described.set(endpoint, (text = describe(endpoint).join('\n')))
      lines.push(`### ${endpoint.method} ${endpoint.path}: ${endpoint.summary}`, '', text)
      if (endpoint.body) lines.push('', '**Example:**', '', ...curl(endpoint, base))
      lines.push('', ...answerExample(endpoint), '')
    }
  }
  return lines
}

const KEYS = {
  public: 'none needed',
  INFERENCE: 'of type INFERENCE',
  ADMIN: 'of type ADMIN',
  OPERATOR: 'of type ADMIN, of the operator’s own account',
} as const

function describe(endpoint: AnyEndpoint): string[] {
  const { scope, query, body, form, answers } = endpoint
  const lines = [endpoint.description, '', `Key: ${KEYS[scope]}`]
  if (query) lines.push('', '**Query:**', '', ...fieldLines(inputSchema(query), 'request'))
  if (form)
    lines.push(
      '',
      `**Form** (\`multipart/form-data\`): the file as \`${form.file}\`, up to ${form.maxBytes / 1_048_576} MB, and the fields`,
    )
  if (body) lines.push('', ...(form ? [] : ['**Request body:**', '']), ...fieldLines(inputSchema(body), 'request'))
  for (const [type, { description, schema }] of Object.entries(answers)) {
    lines.push('', `**Answer** (\`${type}\`): ${description}`)
    if (schema) lines.push('', ...fieldLines(outputSchema(schema), 'answer'))
  }
  lines.push(
    '',
    `**Errors:** ${errorsOf(endpoint)
      .map((code) => `${code} (${ERRORS[code].status})`)
      .join(', ')}`,
  )
  return lines
}

function curl({ method, path, scope, form, example }: AnyEndpoint, base: string): string[] {
  const parts = [`curl ${method === 'POST' || method === 'GET' ? '' : `-X ${method} `}${base}${path}`]
  if (scope !== 'public') parts.push(`  -H "Authorization: Bearer $${KEY_VARIABLE}"`)
  const { file } = example
  if (file && form) {
    parts.push(
      `  -F ${form.file}=@${file.name}`,
      ...(isFields(example.body) ? Object.entries(example.body) : []).map(([name, value]) => `  -F ${name}=${String(value)}`),
    )
  } else if (example.body !== undefined)
    parts.push('  -H "Content-Type: application/json"', `  -d '${JSON.stringify(example.body).replaceAll("'", `'\\''`)}'`)
  return fence('bash', [parts.join(' \\\n')])
}

const isFields = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === 'object' && value !== null

function answerExample({ example: { answer } }: AnyEndpoint): string[] {
  return typeof answer === 'string' ? fence('', [answer]) : fence('json', [JSON.stringify(answer, null, 2)])
}

function limits({ plans }: About): string[] {
  const lines = [
    '## Rate limits',
    '',
    'Per key: RPM is requests per minute, TPM tokens per minute. A refusal is a 429 `RATE_LIMIT_EXCEEDED` with `Retry-After`;',
    'the `x-ratelimit-*` headers of every answer say what is left.',
  ]
  for (const [plan, { text, ...others }] of Object.entries(plans)) {
    const rows = [...Object.entries(text).map(([tier, limit]) => [`text, tier ${tier}`, limit] as const), ...Object.entries(others)]
    lines.push(
      '',
      `### Plan \`${plan}\``,
      '',
      ...markdownTable(
        ['Models', 'RPM', 'TPM'],
        rows.map(([name, { rpm, tpm }]) => [name, count(rpm), count(tpm)]),
      ),
    )
  }
  return lines
}

function errors(): string[] {
  const rows = Object.entries(ERRORS).map(([code, { status, message, retryable }]) => [
    String(status),
    code,
    message,
    retryable ? 'yes' : 'no',
  ])
  return [
    '## Error codes',
    '',
    'Every error is JSON with `error` (for people) and `code` (for programs); a 400 has the wrong fields in `issues` and `details`.',
    '',
    ...markdownTable(['Status', 'Code', 'Meaning', 'Worth a retry'], rows),
  ]
}

const count = (limit: number | null): string => (limit === null ? '—' : limit.toLocaleString('en'))

const fence = (language: string, lines: readonly string[]): string[] => [`\`\`\`${language}`, ...lines, '```']

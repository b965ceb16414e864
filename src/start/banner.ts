/** What the operator's terminal says at the start, at `--help` and at `--version`. */
import { VARIABLES } from './environment.ts'

export type Started = {
  readonly baseUrl: string
  readonly version: string
  /** Made just now and shown this once; null at every later start. */
  readonly adminKey: string | null
  /** Engines that answered, in words for people, such as `ollama (3 models)`. */
  readonly engines: readonly string[]
}

export function banner({ baseUrl, version, adminKey, engines }: Started): string {
  const lines = [
    `Rialto ${version}`,
    '',
    `  API            ${baseUrl}/api/v1`,
    `  Documentation  ${baseUrl}/docs`,
    `  Engines        ${engines.length > 0 ? engines.join(', ') : 'none found; the sandbox answers (see README.md, "First answer")'}`,
  ]
  if (adminKey !== null)
    lines.push(`  Admin key      ${adminKey}`, '                 Shown this once. It is kept as a hash only: store it now.')
  const body = `{"model":"default","messages":[{"role":"user","content":"Hello"}]}`
  lines.push(
    '',
    adminKey === null ? '  Try it, with your key in RIALTO_API_KEY:' : '  Try it now:',
    `  curl ${baseUrl}/api/v1/chat/completions -H "Authorization: Bearer ${adminKey ?? '$RIALTO_API_KEY'}" \\`,
    `    -H 'Content-Type: application/json' -d '${body}'`,
    '',
  )
  return `${lines.join('\n')}\n`
}

export function help(version: string): string {
  const width = Math.max(...VARIABLES.map(({ name }) => name.length)) + 2
  return [
    `Rialto ${version}: a self-hosted, private AI API server.`,
    '',
    'Usage: npm start [-- --help | --version]',
    '',
    'The environment is the interface:',
    ...VARIABLES.map(({ name, takes }) => `  ${name.padEnd(width)}${takes}`),
    '',
    'Keys of engines (OPENAI_API_KEY, ANTHROPIC_API_KEY, VENICE_API_KEY, …) bring their models online;',
    'config/engines.json lists them all. Local servers on their usual ports are found by themselves.',
    '',
  ].join('\n')
}

/** What may happen in one place only: the ways out of the process, the clock, the environment, the database. */
import type { Node } from 'typescript/unstable/ast'
import {
  isCallExpression,
  isIdentifier,
  isNewExpression,
  isNoSubstitutionTemplateLiteral,
  isPropertyAccessExpression,
  isStringLiteral,
  isTemplateHead,
} from 'typescript/unstable/ast/is'
import { type Finding, isTest, lineOf, type Source } from './sources.ts'
import { imports } from './storeys.ts'

type Place = { readonly allowed: RegExp; readonly why: string }

/** Modules by name, or by the start of a name that ends in `/`. */
const MODULES: readonly (readonly [RegExp, Place])[] = [
  [/^undici$/, { allowed: /^src\/engines\/egress[^/]*\.ts$/, why: 'the only HTTP client is src/engines/egress.ts' }],
  [/^(node:)?(https|http2|dgram)$/, { allowed: /^$/, why: 'nothing speaks to the network but src/engines/egress.ts' }],
  [
    /^(node:)?(net|tls|dns|dns\/promises)$/,
    { allowed: /^src\/(engines|http)\/[^/]+\.ts$|^src\/(main|config)\.ts$/, why: 'sockets and addresses are for src/engines and src/http' },
  ],
  [/^(node:)?http$/, { allowed: /^src\/http\//, why: 'the only server is src/http' }],
  [
    /^(node:)?(child_process|worker_threads|cluster)$/,
    { allowed: /^src\/engines\/process\.ts$/, why: 'the only spawner is src/engines/process.ts' },
  ],
  [/^(node:sqlite|kysely|kysely\/.*|pg)$/, { allowed: /^src\/store\//, why: 'the database is for src/store' }],
  [/^(prom-client|@opentelemetry\/.*)$/, { allowed: /^src\/telemetry\//, why: 'metrics and traces are for src/telemetry' }],
  [/^vitest$/, { allowed: /^$/, why: 'the server does not import tests' }],
]

/** Calls and properties, as they are written: `object.name`, or a bare name that is called or constructed. */
const USES: readonly (readonly [RegExp, Place])[] = [
  [/^process\.env$/, { allowed: /^src\/config\.ts$/, why: 'the environment is read by src/config.ts' }],
  [/^console\./, { allowed: /^$/, why: 'the log is src/telemetry/log.ts' }],
  [
    /^process\.(stdout|stderr)$/,
    { allowed: /^src\/(main|telemetry\/log[^/]*)\.ts$/, why: 'only main.ts and the log write to the terminal' },
  ],
  [/^process\.(exit|abort|kill)$/, { allowed: /^src\/main\.ts$|^src\/engines\/process\.ts$/, why: 'only main.ts ends the process' }],
  [/^(fetch|WebSocket|EventSource|XMLHttpRequest)$/, { allowed: /^$/, why: 'the only HTTP client is src/engines/egress.ts' }],
  [/^(eval|Function)$/, { allowed: /^$/, why: 'no code is made from text' }],
  [
    /^(Date\.now|performance\.now|Math\.random)$/,
    {
      allowed: /^src\/main\.ts$|^src\/core\/clock\.ts$|^src\/[^/]*clock\.ts$/,
      why: 'time and ids are passed in (core/clock.ts), so that tests own both',
    },
  ],
  [
    /^(writeFile|writeFileSync|appendFile|appendFileSync|createWriteStream)$/,
    { allowed: /^src\/store\/|^src\/main\.ts$/, why: 'the disk is written by src/store' },
  ],
]

const SQL =
  /^\s*(SELECT\s.+\sFROM|INSERT\s+(OR\s+\w+\s+)?INTO|UPDATE\s+\S+\s+SET|DELETE\s+FROM|CREATE\s+(UNIQUE\s+)?(TABLE|INDEX)|ALTER\s+TABLE|DROP\s+TABLE|PRAGMA)\b/is

export function doors(source: Source): Finding[] {
  if (isTest(source.path)) return []
  const findings: Finding[] = []
  const report = (node: Node, message: string): void => {
    findings.push({ path: source.path, line: lineOf(source, node), message })
  }
  for (const { node, to } of imports(source)) {
    const place = placeOf(MODULES, to)
    if (place && !place.allowed.test(source.path)) report(node, `imports ${to}: ${place.why}`)
  }
  for (const node of source.nodes) {
    const used = use(node)
    const place = used && placeOf(USES, used)
    if (place && !place.allowed.test(source.path)) report(node, `uses ${used}: ${place.why}`)
    if (isSql(node) && !source.path.startsWith('src/store/')) report(node, 'contains SQL: the database is for src/store')
  }
  return findings
}

function placeOf(places: readonly (readonly [RegExp, Place])[], name: string): Place | undefined {
  return places.find(([pattern]) => pattern.test(name))?.[1]
}

function use(node: Node): string | null {
  if (isPropertyAccessExpression(node) && isIdentifier(node.expression)) {
    const object = node.expression.text
    if (object === 'globalThis' || object === 'global') return node.name.text
    return `${object}.${node.name.text}`
  }
  if ((isCallExpression(node) || isNewExpression(node)) && isIdentifier(node.expression)) return node.expression.text
  return null
}

function isSql(node: Node): boolean {
  return (isStringLiteral(node) || isNoSubstitutionTemplateLiteral(node) || isTemplateHead(node)) && SQL.test(node.text)
}

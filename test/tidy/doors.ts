/** What may happen in one place only: the ways out of the process, the clock, the environment, the database. */
import { type Node, type ObjectBindingPattern, SyntaxKind } from 'typescript/unstable/ast'
import {
  isCallExpression,
  isElementAccessExpression,
  isIdentifier,
  isImportDeclaration,
  isNamedImports,
  isNewExpression,
  isNoSubstitutionTemplateLiteral,
  isObjectBindingPattern,
  isPropertyAccessExpression,
  isStringLiteral,
  isTemplateHead,
  isVariableDeclaration,
} from 'typescript/unstable/ast/is'
import { type Finding, isTest, lineOf, type Source } from './sources.ts'
import { imports } from './storeys.ts'

type Place = { readonly allowed: RegExp; readonly why: string }

const CLOCK = /^(Date\.now|Math\.random)$/

/** Where sockets to elsewhere are opened. */
const EGRESS = /^src\/engines\/egress[^/]*\.ts$/

const DISK = /^(writeFile|writeFileSync|appendFile|appendFileSync|createWriteStream)$/

/** Modules by name, or by the start of a name that ends in `/`. */
const MODULES: readonly (readonly [RegExp, Place])[] = [
  [/^undici$/, { allowed: /^$/, why: 'the only HTTP client is src/engines/egress.ts, and its own; undici is for tests and the bench' }],
  [/^(node:)?(https|http2|dgram)$/, { allowed: /^$/, why: 'nothing speaks to the network but src/engines/egress.ts' }],
  [/^(node:)?tls$/, { allowed: EGRESS, why: 'sockets are opened by src/engines/egress*.ts' }],
  [
    /^(node:)?dns(\/promises)?$/,
    { allowed: /^src\/engines\/address-guard\.ts$/, why: 'names are looked up by src/engines/address-guard.ts' },
  ],
  [
    /^(node:)?net$/,
    {
      allowed: /^src\/(engines|http)\/[^/]+\.ts$|^src\/telemetry\/log[^/]*\.ts$|^src\/(main|config)\.ts$|^src\/start\//,
      why: 'sockets and addresses are for src/engines and src/http',
    },
  ],
  [/^(node:)?http$/, { allowed: /^src\/http\//, why: 'the only server is src/http' }],
  [
    /^(node:)?(child_process|worker_threads|cluster)$/,
    {
      allowed: /^src\/engines\/process(-server)?\.ts$/,
      why: 'the only spawners are src/engines/process.ts and process-server.ts',
    },
  ],
  [/^(node:sqlite|kysely|kysely\/.*|pg)$/, { allowed: /^src\/store\//, why: 'the database is for src/store' }],
  [/^(prom-client|@opentelemetry\/.*)$/, { allowed: /^src\/telemetry\//, why: 'metrics and traces are for src/telemetry' }],
  [/^(node:)?process$/, { allowed: /^$/, why: '`process` is global, so that these rules see what is used of it' }],
  [/^vitest$/, { allowed: /^$/, why: 'the server does not import tests' }],
]

/** What a module has beside what its place may use: by the name it is imported by, `*` standing for all of them. */
const NAMES: readonly (readonly [RegExp, RegExp, Place])[] = [
  [
    /^(node:)?http$/,
    /^(\*|request|get|Agent|globalAgent|ClientRequest)$/,
    { allowed: /^$/, why: 'the only HTTP client is src/engines/egress.ts' },
  ],
  [
    /^(node:)?net$/,
    /^(\*|connect|createConnection|Socket|Stream)$/,
    // The log's sink is a socket over a terminal or a pipe that is open already, and so is a child's channel to its parent.
    {
      allowed: /^src\/(engines\/(egress[^/]*|process-child)|telemetry\/log-sink)\.ts$/,
      why: 'sockets are opened by src/engines/egress*.ts',
    },
  ],
]

/** Calls and properties, as they are written: `object.name`, or a bare name that is called or constructed. */
const USES: readonly (readonly [RegExp, Place])[] = [
  [/^process\.env$/, { allowed: /^src\/config\.ts$/, why: 'the environment is read by src/config.ts' }],
  [/^console\./, { allowed: /^$/, why: 'the log is src/telemetry/log.ts' }],
  [
    /^process\.(stdout|stderr)$/,
    { allowed: /^src\/(main|telemetry\/log[^/]*)\.ts$/, why: 'only main.ts and the log write to the terminal' },
  ],
  [
    /^process\.(exit|abort|kill)$/,
    { allowed: /^src\/main\.ts$|^src\/engines\/process(-child)?\.ts$/, why: 'only main.ts ends the process' },
  ],
  [/^(fetch|WebSocket|EventSource|XMLHttpRequest)$/, { allowed: /^$/, why: 'the only HTTP client is src/engines/egress.ts' }],
  [/^(eval|Function)$/, { allowed: /^$/, why: 'no code is made from text' }],
  [
    CLOCK,
    {
      // An upstream's `retry-after` may be a date, and that is by the wall clock.
      allowed: /^src\/(main|clock)\.ts$|^src\/(core|start)\/[^/]*clock\.ts$|^src\/engines\/upstream-error\.ts$/,
      why: 'time and ids are passed in (core/clock.ts), so that tests own both',
    },
  ],
  [DISK, { allowed: /^src\/store\/|^src\/main\.ts$/, why: 'the disk is written by src/store' }],
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
    else
      for (const [module, names, door] of NAMES)
        if (module.test(to) && !door.allowed.test(source.path)) {
          for (const name of imported(node)) if (names.test(name)) report(node, `imports ${name} of ${to}: ${door.why}`)
        }
  }
  for (const node of source.nodes) {
    for (const used of uses(node)) {
      const place = placeOf(USES, used)
      if (place && !place.allowed.test(source.path)) report(node, `uses ${used}: ${place.why}`)
    }
    if (isSql(node) && !source.path.startsWith('src/store/')) report(node, 'contains SQL: the database is for src/store')
  }
  return findings
}

function placeOf(places: readonly (readonly [RegExp, Place])[], name: string): Place | undefined {
  return places.find(([pattern]) => pattern.test(name))?.[1]
}

/** The names that a statement takes from a module at run time; types are none, and `*` is all that it has. */
function imported(node: Node): string[] {
  if (!isImportDeclaration(node)) return ['*']
  const { importClause } = node
  if (!importClause || importClause.phaseModifier === SyntaxKind.TypeKeyword) return []
  const { namedBindings } = importClause
  if (importClause.name || !namedBindings || !isNamedImports(namedBindings)) return ['*']
  return namedBindings.elements.flatMap((element) => (element.isTypeOnly ? [] : [(element.propertyName ?? element.name).text]))
}

/** What a node uses, in every spelling that the rules above may know it by. */
function uses(node: Node): string[] {
  if (isPropertyAccessExpression(node)) {
    const names = named(node.expression, node.name.text)
    // `now = Date.now` as the default of a parameter is passing time in; only the call is a use of it.
    return names.some((name) => CLOCK.test(name)) && !isCalled(node) ? [] : names
  }
  if (isElementAccessExpression(node) && isStringLiteral(node.argumentExpression))
    return named(node.expression, node.argumentExpression.text)
  if (isVariableDeclaration(node) && node.initializer && isObjectBindingPattern(node.name)) return takenApart(node.initializer, node.name)
  if (isNewExpression(node) && isIdentifier(node.expression))
    return node.expression.text === 'Date' && !node.arguments?.length ? ['Date.now'] : [node.expression.text]
  if (isCallExpression(node) && isIdentifier(node.expression)) return [node.expression.text]
  return []
}

/** `object.name`, and the name alone where it is global or a door of its own wherever it was taken from. */
function named(object: Node, name: string): string[] {
  if (!isIdentifier(object)) return DISK.test(name) ? [name] : []
  if (object.text === 'globalThis' || object.text === 'global') return [name]
  return DISK.test(name) ? [name] : [`${object.text}.${name}`]
}

const isCalled = (node: Node): boolean => isCallExpression(node.parent) && node.parent.expression === node

function takenApart(from: Node, pattern: ObjectBindingPattern): string[] {
  return pattern.elements.flatMap((element) => {
    const name = element.propertyName ?? element.name
    return name && isIdentifier(name) ? named(from, name.text) : []
  })
}

function isSql(node: Node): boolean {
  return (isStringLiteral(node) || isNoSubstitutionTemplateLiteral(node) || isTemplateHead(node)) && SQL.test(node.text)
}

/** Who may import whom: the house plan of ARCHITECTURE.md as a rule. */
import { posix } from 'node:path'
import type { Node } from 'typescript/unstable/ast'
import {
  isCallExpression,
  isExportDeclaration,
  isImportDeclaration,
  isImportTypeNode,
  isLiteralTypeNode,
  isStringLiteral,
} from 'typescript/unstable/ast/is'
import { SyntaxKind } from 'typescript/unstable/ast'
import { type Finding, isTest, lineOf, type Source } from './sources.ts'

/** From the bottom up. A folder imports its own storey's folder and those below; rooms never import each other. */
const STOREYS: Readonly<Record<string, number>> = {
  core: 0,
  engines: 1,
  extras: 1,
  jobs: 1,
  keys: 1,
  limits: 1,
  money: 1,
  catalog: 1,
  accounts: 1,
  chain: 1,
  funding: 1,
  'local-models': 1,
  telemetry: 1,
  store: 1,
  // Its codecs work in a child, which the door to children of `engines` starts.
  audio: 2,
  pipeline: 2,
  endpoints: 3,
  http: 3,
  start: 4,
}

/** The one way across a storey: the door mounts what endpoints declare. */
const ACROSS = new Map([['http', 'src/endpoints/endpoint.ts']])

/** Rooms whose folders are siblings that do not know each other. */
const WITH_SUB_ROOMS = new Set(['engines', 'endpoints', 'extras', 'store'])

/** The files in such a room that list its sub-rooms, and so may import them. */
const REGISTRIES = new Set(['index.ts', 'registry.ts'])

/** Files directly in `src/` stand above everything; these are the ones that anybody below may not import. */
const isTop = (path: string): boolean => posix.dirname(path) === 'src'

export function storeys(source: Source): Finding[] {
  if (isTest(source.path)) return []
  const findings: Finding[] = []
  for (const { node, to } of imports(source)) {
    if (!to.startsWith('.')) continue
    const target = posix.join(posix.dirname(source.path), to)
    const why = crossing(source.path, target)
    if (why) findings.push({ path: source.path, line: lineOf(source, node), message: `imports ${target}: ${why}` })
  }
  return findings
}

/** Every module that a file names, in whatever way. */
export function imports(source: Source): { readonly node: Node; readonly to: string }[] {
  const found: { node: Node; to: string }[] = []
  for (const node of source.nodes) {
    let name: Node | undefined
    if (isImportDeclaration(node) || isExportDeclaration(node)) name = node.moduleSpecifier
    else if (isImportTypeNode(node)) name = isLiteralTypeNode(node.argument) ? node.argument.literal : undefined
    else if (isCallExpression(node) && node.expression.kind === SyntaxKind.ImportKeyword) name = node.arguments[0]
    if (name && isStringLiteral(name)) found.push({ node, to: name.text })
  }
  return found
}

/** Why `from` may not import `to`, or null where it may. */
export function crossing(from: string, to: string): string | null {
  if (!to.startsWith('src/')) return 'the server does not import what is outside of src'
  if (isTest(to)) return 'the server does not import tests'
  if (isTop(from)) return isTop(to) && to === 'src/main.ts' ? 'nobody imports main.ts' : null
  if (to === 'src/config.ts' && from.startsWith('src/start/')) return null
  if (isTop(to)) return 'only main.ts sees the files beside it'
  const [, fromRoom = ''] = from.split('/')
  const [, toRoom = ''] = to.split('/')
  const fromStorey = STOREYS[fromRoom]
  const toStorey = STOREYS[toRoom]
  if (fromStorey === undefined) return `src/${fromRoom} has no storey; give it one in test/tidy/storeys.ts`
  if (toStorey === undefined) return `src/${toRoom} has no storey; give it one in test/tidy/storeys.ts`
  if (fromRoom === toRoom) return siblings(fromRoom, from, to)
  if (ACROSS.get(fromRoom) === to) return null
  if (toStorey > fromStorey) return `imports go down, and ${toRoom} is above ${fromRoom}`
  if (toStorey === fromStorey) return `${fromRoom} and ${toRoom} are on one storey and do not know each other`
  return null
}

function siblings(room: string, from: string, to: string): string | null {
  if (!WITH_SUB_ROOMS.has(room)) return null
  const [fromFolder, toFolder] = [posix.dirname(from), posix.dirname(to)]
  if (`${fromFolder}/`.startsWith(`${toFolder}/`)) return null
  if (`${toFolder}/`.startsWith(`${fromFolder}/`)) {
    const own = fromFolder !== `src/${room}` || REGISTRIES.has(posix.basename(from))
    return own ? null : `only a registry (${[...REGISTRIES].join(', ')}) of ${room} imports its sub-rooms`
  }
  return `sub-rooms of ${room} do not know each other`
}

/** How a file is written: types that hold, names that say what they are, sizes that can be read in one go. */
import { type Node, SyntaxKind } from 'typescript/unstable/ast'
import {
  isArrowFunction,
  isAsExpression,
  isConstructorDeclaration,
  isEnumDeclaration,
  isExportAssignment,
  isExportDeclaration,
  isFunctionDeclaration,
  isFunctionExpression,
  isMethodDeclaration,
  isNonNullExpression,
  isTypeReferenceNode,
  isIdentifier,
} from 'typescript/unstable/ast/is'
import { type Finding, isTest, lineOf, type Source } from './sources.ts'

export const MAX_FILE_LINES = 400
export const MAX_FUNCTION_LINES = 70

/** How far above an `as` the comment that proves it may stand. */
const PROOF_LINES = 6

const NAMELESS = /(^|\/)(utils?|helpers?|common|types|misc|shared)(\/|\.ts$)/

export function shape(source: Source): Finding[] {
  return [...file(source), ...types(source), ...exports(source), ...functions(source)]
}

function file(source: Source): Finding[] {
  const found: Finding[] = []
  const { path, lines } = source
  const report = (line: number, message: string): number => found.push({ path, line, message })
  const count = lines.at(-1) === '' ? lines.length - 1 : lines.length
  if (count > MAX_FILE_LINES) report(count, `has ${count} lines; ${MAX_FILE_LINES} is the limit`)
  // The titles of a test say what it is for.
  if (!path.endsWith('.test.ts') && !/^(#!.*\n)?\/\*\*[^]+?\*\//.test(source.text))
    report(1, 'does not begin with a comment that says what it is for')
  if (NAMELESS.test(path)) report(1, 'is named for nothing in it (utils, helpers, common, types)')
  if (!/^[a-z0-9]+(-[a-z0-9]+)*(\.test|\.fixture|\.config)?\.ts$/.test(path.slice(path.lastIndexOf('/') + 1)))
    report(1, 'is not named in kebab-case')
  return found
}

function types(source: Source): Finding[] {
  const found: Finding[] = []
  const report = (node: Node, message: string): number => found.push({ path: source.path, line: lineOf(source, node), message })
  for (const node of source.nodes) {
    if (node.kind === SyntaxKind.AnyKeyword) report(node, 'says `any`: say what it is, or `unknown`')
    else if (isNonNullExpression(node)) report(node, 'says `!`: handle the absence')
    else if (isEnumDeclaration(node)) report(node, 'declares an enum: use a union')
    else if (!isTest(source.path) && isAsExpression(node) && !isAsConst(node.type) && !proven(source, node))
      report(node, `says \`as\` without a comment, at most ${PROOF_LINES} lines above, that proves it`)
  }
  return found
}

function exports(source: Source): Finding[] {
  const found: Finding[] = []
  for (const node of source.nodes) {
    const isDefault = isExportAssignment(node) || (node.kind === SyntaxKind.DefaultKeyword && isDeclaration(node.parent))
    if (isDefault && !source.path.endsWith('.config.ts'))
      found.push({ path: source.path, line: lineOf(source, node), message: 'has a default export: name it' })
    if (isExportDeclaration(node) && node.moduleSpecifier && !source.path.endsWith('/index.ts'))
      found.push({ path: source.path, line: lineOf(source, node), message: 're-exports another file: import it where it is used' })
  }
  return found
}

function functions(source: Source): Finding[] {
  if (isTest(source.path)) return []
  const found: Finding[] = []
  for (const node of source.nodes) {
    if (!isFunction(node)) continue
    const start = lineOf(source, node)
    const count = source.tree.getLineAndCharacterOfPosition(node.end).line + 2 - start
    if (count > MAX_FUNCTION_LINES)
      found.push({ path: source.path, line: start, message: `a function has ${count} lines; ${MAX_FUNCTION_LINES} is the limit` })
  }
  return found
}

const isDeclaration = (node: Node | undefined): boolean =>
  node?.kind === SyntaxKind.FunctionDeclaration || node?.kind === SyntaxKind.ClassDeclaration

const isFunction = (node: Node): boolean =>
  isFunctionDeclaration(node) ||
  isFunctionExpression(node) ||
  isArrowFunction(node) ||
  isMethodDeclaration(node) ||
  isConstructorDeclaration(node)

const isAsConst = (type: Node): boolean => isTypeReferenceNode(type) && isIdentifier(type.typeName) && type.typeName.text === 'const'

function proven(source: Source, node: Node): boolean {
  const last = source.tree.getLineAndCharacterOfPosition(node.end).line
  const first = lineOf(source, node) - 1 - PROOF_LINES
  return source.lines.slice(Math.max(0, first), last + 1).some((line) => /^\s*(\/\/|\/?\*)|\s\/\/\s/.test(line))
}

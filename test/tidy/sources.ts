/**
 * The project's own files as the tidy rules see them: text for all, a syntax tree for TypeScript.
 * The tree comes from the compiler itself, so nothing in a comment or a string is ever mistaken for code. Its
 * programming interface is called unstable by its authors; the exact version is in the lock file.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import type { Node, SourceFile } from 'typescript/unstable/ast'
import { createVirtualFileSystem } from 'typescript/unstable/fs'
import { API } from 'typescript/unstable/sync'

/** A file by its path from the root of the project, with forward slashes. */
export type TextFile = { readonly path: string; readonly text: string }

export type Source = TextFile & {
  readonly tree: SourceFile
  /** Every node of the tree, parents before children. */
  readonly nodes: readonly Node[]
  readonly lines: readonly string[]
}

/** What a rule found: where, and one sentence. */
export type Finding = { readonly path: string; readonly line: number; readonly message: string }

export type Rule = (source: Source) => Finding[]

/** Folders that are not the project's own text. */
const SKIPPED = new Set(['node_modules', '.git', 'out', 'coverage', 'fixtures'])

/** Every text file below `root` but for those that are generated or foreign. */
export function readFiles(root: string): TextFile[] {
  const found: TextFile[] = []
  const visit = (folder: string): void => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name)
      if (entry.isDirectory()) {
        if (!SKIPPED.has(entry.name)) visit(path)
      } else if (entry.isFile()) {
        const text = readFileSync(path, 'utf8')
        if (!text.includes('\0')) found.push({ path: relative(root, path).replaceAll('\\', '/'), text })
      }
    }
  }
  visit(root)
  return found
}

/** Parses TypeScript files, as many as there are, in one go. Paths need not exist. */
export function parse(files: readonly TextFile[]): Source[] {
  const virtual: Record<string, string> = {
    '/tidy/tsconfig.json': '{"compilerOptions":{"noLib":true,"noResolve":true,"types":[]},"include":["**/*"]}',
  }
  for (const { path, text } of files) virtual[`/tidy/${path}`] = text
  const api = new API({ cwd: '/tidy', fs: createVirtualFileSystem(virtual) })
  try {
    const project = api.updateSnapshot({ openProject: '/tidy/tsconfig.json' }).getProject('/tidy/tsconfig.json')
    return files.map(({ path, text }) => {
      const tree = project?.program.getSourceFile(`/tidy/${path}`)
      if (!tree) throw new Error(`The compiler did not read ${path}`)
      return { path, text, tree, nodes: flatten(tree), lines: text.split('\n') }
    })
  } finally {
    api.close()
  }
}

/** 1-based, as editors count. */
export const lineOf = (source: Source, node: Node): number => source.tree.getLineAndCharacterOfPosition(node.getStart(source.tree)).line + 1

/** The shared test suites and the tests themselves: not part of the server. */
export const isTest = (path: string): boolean =>
  /\.(?:test|fixture)\.ts$|\/(?:suite|conformance)\.ts$/.test(path) || !path.startsWith('src/')

function flatten(tree: SourceFile): Node[] {
  const nodes: Node[] = []
  const visit = (node: Node): void => {
    nodes.push(node)
    node.forEachChild((child) => {
      visit(child)
    })
  }
  visit(tree)
  return nodes
}

/** What holds for every file of the project, whatever language it is in, for its folders and for its packages. */
import { posix } from 'node:path'
import type { Finding, TextFile } from './sources.ts'

/** Words for work that is not done; the project's own rules have to spell them apart. */
const UNDONE = /\b(T[O]DO|F[I]XME|X[X]X|H[A]CK)\b/

/** A path that exists on one machine only. */
const MACHINE_PATH = /(?:^|[\s"'`(=:[])(\/(?:home|Users|root|work|mnt)\/[\w.-]+)/

export function texts(file: TextFile): Finding[] {
  if (file.path === 'package-lock.json') return lockFile(file)
  const found: Finding[] = []
  for (const [index, line] of file.text.split('\n').entries()) {
    const at = { path: file.path, line: index + 1 }
    if (UNDONE.test(line)) found.push({ ...at, message: 'says that something is not done: do it, or open an issue' })
    const path = MACHINE_PATH.exec(line)
    if (path) found.push({ ...at, message: `names a path of one machine: ${path[1]}` })
  }
  return found
}

/** Every folder of sources says what it is for: in a README.md, or on top of the file that has its name. */
export function folders(files: readonly TextFile[]): Finding[] {
  const texts = new Map(files.map(({ path, text }) => [path, text]))
  const folders = new Set(files.filter(({ path }) => /^(src|test|bench)\/.+\.ts$/.test(path)).map(({ path }) => posix.dirname(path)))
  const found: Finding[] = []
  for (const folder of folders) {
    if (folder === 'src') continue
    const name = posix.basename(folder)
    const says = [`${folder}/README.md`, `${folder}/index.ts`, `${folder}/${name}.ts`, `${folder}/${singular(name)}.ts`].some((path) =>
      isSentence(texts.get(path)),
    )
    if (!says)
      found.push({
        path: folder,
        line: 1,
        message: `no sentence says what it is for: write README.md, or ${name}.ts with a comment on top`,
      })
  }
  return found
}

/** The exact versions that were tested, and no others, are installed. */
export function packageFile(file: TextFile): Finding[] {
  const found: Finding[] = []
  // The shape of package.json is npm's; a field of another shape fails the checks below.
  const manifest = JSON.parse(file.text) as Record<string, Record<string, string> | undefined>
  for (const field of ['dependencies', 'devDependencies', 'optionalDependencies'])
    for (const [name, version] of Object.entries(manifest[field] ?? {}))
      if (!/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version)) found.push({ path: file.path, line: 1, message: `${name} is not pinned: ${version}` })
  return found
}

function lockFile(file: TextFile): Finding[] {
  const found: Finding[] = []
  for (const [index, line] of file.text.split('\n').entries())
    if (/"resolved":\s*"https?:/.test(line))
      found.push({ path: file.path, line: index + 1, message: 'names the host of a registry: whoever installs has one of their own' })
  return found
}

const singular = (name: string): string => name.replace(/ies$/, 'y').replace(/s$/, '')

const isSentence = (text: string | undefined): boolean =>
  text !== undefined && text.trim().length > 20 && (!text.startsWith('import') || text.startsWith('/**'))

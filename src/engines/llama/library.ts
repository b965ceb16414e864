/** Whether node-llama-cpp can be loaded on this machine, told without loading it. */
import { createRequire } from 'node:module'

/** The package of the build for a platform, which the library brings as an optional one. */
const BUILDS: Readonly<Record<string, string>> = {
  'linux-x64': 'linux-x64',
  'linux-arm64': 'linux-arm64',
  'darwin-x64': 'mac-x64',
  'darwin-arm64': 'mac-arm64-metal',
}

export function hasLibrary(): boolean {
  const build = BUILDS[`${process.platform}-${process.arch}`]
  if (build === undefined || (process.platform === 'linux' && isMusl())) return false
  try {
    const library = createRequire(import.meta.url).resolve('node-llama-cpp')
    createRequire(library).resolve(`@node-llama-cpp/${build}`)
    return true
  } catch {
    return false
  }
}

/** The builds for Linux need glibc. */
function isMusl(): boolean {
  // Node documents this field of its report, and leaves it out where the C library is another one.
  const { header } = process.report.getReport() as { readonly header?: { readonly glibcVersionRuntime?: string } }
  return header?.glibcVersionRuntime === undefined
}

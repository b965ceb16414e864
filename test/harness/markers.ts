/** Words that nobody else would say, to be put wherever content can be and looked for wherever it must not be. */
import { randomBytes } from 'node:crypto'
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

/**
 * The middle of every marker: letters only, so that no escaping of URLs, JSON or headers changes it, and short, because
 * the parser of JSON quotes no more than twenty characters in its errors.
 */
const CORE = `zqx${[...randomBytes(5)].map((byte) => String.fromCharCode(97 + (byte % 26))).join('')}xqz`

/** A word that says where it was put. */
export const marker = (place: string): string => `${CORE}.${place}.`

/** The core as it is and as a careless log may have it: base64 at each of its three offsets, hexadecimal, reversed. */
const FORMS: readonly string[] = [
  CORE,
  ...[0, 1, 2].map((offset) => {
    const text = Buffer.from('\0'.repeat(offset) + CORE).toString('base64')
    // The ends depend on the neighbours.
    return text.slice(offset === 0 ? 0 : 4, Math.floor((CORE.length + offset) / 3) * 4)
  }),
  Buffer.from(CORE).toString('hex'),
  Array.from(CORE).reverse().join(''),
]

/** Where markers are in a text: each with a bit of what is around it, or nothing. */
export function markersIn(text: string): string[] {
  const lower = text.toLowerCase()
  return FORMS.flatMap((form) => {
    // Base64 is the only form that cases matter to.
    const at = Math.max(text.indexOf(form), lower.indexOf(form))
    return at < 0 ? [] : [text.slice(Math.max(0, at - 80), at + form.length + 40)]
  })
}

/** Every file below a folder, each as the bytes it has. */
export function filesOf(folder: string): Map<string, string> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  return new Map(files.map(({ parentPath, name }) => [name, readFileSync(join(parentPath, name), 'latin1')]))
}

/** Where the programs of this machine are that an engine can use. */
import { accessSync, constants, statSync } from 'node:fs'
import { delimiter, join } from 'node:path'

/** The first program of this name on a `PATH`; null where there is none. */
export function programOn(path: string | undefined, name: string): string | null {
  for (const folder of (path ?? '').split(delimiter)) {
    if (folder !== '' && isProgram(join(folder, name))) return join(folder, name)
  }
  return null
}

/** Whether this user may start what is there. */
export function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}

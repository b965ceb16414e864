/** The disk, as far as models are on it: all that this room writes, and nothing outside of its own folder. */
import { constants, type FileHandle, copyFile, lstat, mkdir, open, readFile, readdir, rename, rm, statfs, symlink } from 'node:fs/promises'
import { createHash } from 'node:crypto'
import { dirname, join } from 'node:path'

const READ_BYTES = 1024 * 1024

export type Disk = {
  /** What whoever writes into this folder may still use, in bytes. */
  freeBytes(folder: string): Promise<number>
}

export const realDisk: Disk = {
  async freeBytes(folder) {
    const { bavail, bsize } = await statfs(folder)
    return bavail * bsize
  },
}

/** Replaces a file by one with this text: whoever reads it gets the old one or the new one. */
export async function replaceText(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  const fresh = `${path}.new`
  const file = await open(fresh, 'w', 0o600)
  try {
    await file.write(text)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(fresh, path)
}

/** Null where there is no such file, or one longer than a text of ours. */
export async function readText(path: string, limitBytes: number): Promise<string | null> {
  try {
    if ((await lstat(path)).size > limitBytes) return null
    return await readFile(path, 'utf8')
  } catch (error) {
    if (isMissing(error)) return null
    throw error
  }
}

/** Opens a file for reading and writing; makes it where it is not there. */
export async function openForParts(path: string): Promise<FileHandle> {
  await mkdir(dirname(path), { recursive: true })
  return open(path, constants.O_RDWR | constants.O_CREAT, 0o644)
}

export async function openForLines(path: string): Promise<FileHandle> {
  await mkdir(dirname(path), { recursive: true })
  return open(path, 'a', 0o644)
}

/** Of a file, streamed: SHA-256, and where it is asked for the id that git has for it. Rejects with the signal's reason. */
export async function hashesOf(
  path: string,
  signal: AbortSignal,
  onBytes: (bytes: number) => void = () => undefined,
  withGit = false,
): Promise<{ readonly sizeBytes: number; readonly sha256: string; readonly gitSha1: string | null }> {
  const file = await open(path, 'r')
  try {
    const { size } = await file.stat()
    const sha256 = createHash('sha256')
    const git = withGit ? createHash('sha1').update(`blob ${size}\0`) : null
    const buffer = Buffer.allocUnsafe(READ_BYTES)
    let at = 0
    for (;;) {
      signal.throwIfAborted()
      const { bytesRead } = await file.read(buffer, 0, READ_BYTES, at)
      if (bytesRead === 0) break
      const bytes = buffer.subarray(0, bytesRead)
      sha256.update(bytes)
      git?.update(bytes)
      at += bytesRead
      onBytes(bytesRead)
    }
    return { sizeBytes: at, sha256: sha256.digest('hex'), gitSha1: git?.digest('hex') ?? null }
  } finally {
    await file.close()
  }
}

/** A link to the user's own file, or a copy of it; whatever had that name in our folder is replaced. */
export async function bring(from: string, to: string, how: 'link' | 'copy'): Promise<void> {
  await mkdir(dirname(to), { recursive: true })
  await rm(to, { force: true })
  if (how === 'link') await symlink(from, to)
  // Where the file system can, both share the same bytes.
  else await copyFile(from, to, constants.COPYFILE_FICLONE)
}

/** Deletes a file or a folder of ours; of a link, the link. */
export const remove = (path: string): Promise<void> => rm(path, { recursive: true, force: true })

export async function makeFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true })
}

/** Gives a finished file its name. */
export const finish = (part: string, path: string): Promise<void> => rename(part, path)

/** Names of the folders in a folder; none where it is not there. */
export async function foldersIn(folder: string): Promise<string[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true })
    return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name)
  } catch (error) {
    if (isMissing(error)) return []
    throw error
  }
}

/** Files of a folder and the folders in it, as paths below it; links to folders are not followed. */
export async function filesIn(folder: string, limit: number): Promise<{ readonly path: string; readonly sizeBytes: number }[]> {
  const found: { path: string; sizeBytes: number }[] = []
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile() || found.length >= limit) continue
    const path = join(entry.parentPath, entry.name)
    found.push({ path: path.slice(folder.length + 1).replaceAll('\\', '/'), sizeBytes: (await lstat(path)).size })
  }
  return found
}

export const isMissing = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')

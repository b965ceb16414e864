/** Where log lines go: a file, a terminal or a pipe, written without ever waiting for a reader of a pipe. */
import { constants, fstatSync, openSync, writeSync } from 'node:fs'
import { Socket } from 'node:net'

export type LogSink = {
  /**
   * Takes bytes and says how many it took: all of them, or fewer when the reader is slow and the rest is to be offered
   * again. Never throws. Bytes that can never be written (the reader has gone, the disk is full) count as taken.
   */
  write(bytes: Uint8Array): number
}

/** A bounded number of tries for one block: a pipe may take it in pieces. */
const TRIES_MAX = 64

/**
 * Files and terminals are written synchronously, a block at a time. Pipes and sockets (what a supervisor or systemd's
 * journal puts there) are written without blocking, because a full one would otherwise stop the whole server:
 * `process.stdout` blocks on them, and a write in the thread pool would keep the process from exiting.
 */
export function sinkOf(fd: number): LogSink {
  const to = withoutBlocking(fd)
  return {
    write(bytes) {
      let at = 0
      for (let tries = 0; at < bytes.length && tries < TRIES_MAX; tries++) {
        try {
          at += writeSync(to.fd, bytes, at)
        } catch (error) {
          const code = error instanceof Error && 'code' in error ? error.code : null
          if (code === 'EAGAIN') return at
          if (code !== 'EINTR') return bytes.length
        }
      }
      return at
    },
  }
}

/** The descriptor to write to, and what must be held for as long as it is used. */
function withoutBlocking(fd: number): { readonly fd: number; readonly held: unknown } {
  try {
    const kind = fstatSync(fd)
    // A second opening of a pipe has flags of its own (Linux); those of the first are shared with other processes.
    if (kind.isFIFO()) return { fd: openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK), held: null }
    if (kind.isSocket()) {
      // Whoever opens it last decides whether it blocks, so the one that would block goes first.
      return { fd, held: [fd === 1 ? process.stdout : null, new Socket({ fd, readable: false, writable: true }).unref()] }
    }
  } catch {
    // Where the system has no such thing the descriptor is used as it is.
  }
  return { fd, held: null }
}

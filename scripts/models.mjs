/** `npm run models -- …`: the models of this machine. Runs again under the Node that Rialto is written for where this one is another. */
import { totalmem } from 'node:os'
import { join } from 'node:path'
import { become, command, prepare, ROOT } from './bootstrap.mjs'

command(() => {
  const args = process.argv.slice(2)
  const node = prepare({ dev: false })
  return node === process.execPath ? run(args) : become(node, [join(ROOT, 'scripts', 'models.mjs'), ...args])
})

async function run(args) {
  const stop = new AbortController()
  // The first one pauses; whoever asks a second time does not want to wait for that.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => stop.abort())
  const { models } = await import('../src/models.ts')
  const terminal = (stream) => ({
    isTTY: stream.isTTY === true,
    get columns() {
      return stream.columns ?? 0
    },
    write: (text) => stream.write(text),
  })
  process.exitCode = await models({
    args,
    env: process.env,
    out: terminal(process.stdout),
    err: terminal(process.stderr),
    signal: stop.signal,
    clock: { now: () => Date.now(), tick: () => performance.now() },
    memoryBytes: Math.min(totalmem(), process.constrainedMemory() || Number.POSITIVE_INFINITY),
  })
}

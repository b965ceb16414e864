/** `npm run test:soak`: what takes too long for `npm test`, one after the other; each prints what it did. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { command, environment, prepare, ROOT } from './bootstrap.mjs'

const SOAKS = [['test/soak/ledger.ts'], ['test/soak/kill.ts'], ['bench/bench.ts', '--soak', '--only', 'memory']]

command(() => {
  const node = prepare({ dev: true })
  for (const [file = '', ...args] of SOAKS) {
    process.stdout.write(`\n== ${file}\n`)
    const { status } = spawnSync(node, [join(ROOT, file), ...args], { stdio: 'inherit', cwd: ROOT, env: environment(node) })
    if (status !== 0) process.exit(status ?? 1)
  }
})

/** `npm run check`: types, lint, format, and what nobody uses. All four at once; only what fails speaks. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { command, environment, prepare, ROOT } from './bootstrap.mjs'

const CHECKS = [
  { name: 'types', tool: ['typescript', 'bin', 'tsc'], args: ['-p', '.', '--pretty'] },
  { name: 'lint', tool: ['oxlint', 'bin', 'oxlint'], args: ['--deny-warnings'] },
  { name: 'format', tool: ['@biomejs', 'biome', 'bin', 'biome'], args: ['format', '.', '--colors=off'] },
  { name: 'unused', tool: ['knip', 'bin', 'knip.js'], args: ['--no-progress', '--no-config-hints'] },
]

/** Runs all checks with this Node; resolves with how many passed and failed. */
export async function check(node) {
  const results = await Promise.all(CHECKS.map((one) => run(node, one)))
  for (const { name, ok, ms, output } of results) {
    process.stdout.write(`${ok ? 'ok  ' : 'FAIL'}  ${name}  ${(ms / 1000).toFixed(1)} s\n`)
    if (!ok) process.stdout.write(`${output.trim()}\n\n`)
  }
  const passed = results.filter(({ ok }) => ok).length
  return { passed, failed: results.length - passed }
}

function run(node, { name, tool, args }) {
  const started = Date.now()
  return new Promise((resolve) => {
    const child = spawn(node, [join(ROOT, 'node_modules', ...tool), ...args], {
      cwd: ROOT,
      env: environment(node),
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text))
    child.on('error', (error) => resolve({ name, ok: false, ms: Date.now() - started, output: error.message }))
    child.on('close', (code) => resolve({ name, ok: code === 0, ms: Date.now() - started, output }))
  })
}

if (process.argv[1] === join(ROOT, 'scripts', 'check.mjs'))
  command(async () => {
    const { failed } = await check(prepare({ dev: true }))
    process.exitCode = failed > 0 ? 1 : 0
  })

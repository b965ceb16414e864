/**
 * `npm test`: the checks, then every test; arguments go to vitest. The last line is `N passed, N failed`, where each
 * check, and each file that does not load, counts as one; the exit code is 0 only where nothing failed.
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { command, environment, prepare, ROOT } from './bootstrap.mjs'
import { check } from './check.mjs'

command(async () => {
  const node = prepare({ dev: true })
  const checks = await check(node)
  const tests = await runTests(node, process.argv.slice(2))
  const failed = checks.failed + tests.failed
  const skipped = tests.skipped > 0 ? `, ${tests.skipped} skipped` : ''
  process.stdout.write(`\n${checks.passed + tests.passed} passed, ${failed} failed${skipped}\n`)
  process.exitCode = failed > 0 ? 1 : 0
})

async function runTests(node, args) {
  const folder = mkdtempSync(join(tmpdir(), 'rialto-test-'))
  const outputFile = join(folder, 'results.json')
  const vitest = join(ROOT, 'node_modules', 'vitest', 'vitest.mjs')
  const flags = ['run', '--reporter=default', '--reporter=json', `--outputFile.json=${outputFile}`]
  try {
    const code = await new Promise((resolve, reject) => {
      const child = spawn(node, [vitest, ...flags, ...args], { cwd: ROOT, env: environment(node), stdio: ['ignore', 'inherit', 'inherit'] })
      // Ctrl-C reaches the child by itself; whoever stops only this process stops the child with it.
      process.on('SIGINT', () => process.stdin.isTTY || child.kill('SIGINT'))
      process.on('SIGTERM', () => child.kill('SIGTERM'))
      child.on('error', reject)
      child.on('close', (status, signal) => resolve(status ?? signal))
    })
    return count(outputFile, code)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** What vitest's own report says; a run that ended badly without naming a failed test is one failure. */
function count(outputFile, code) {
  let report
  try {
    report = JSON.parse(readFileSync(outputFile, 'utf8'))
  } catch {
    return { passed: 0, failed: 1, skipped: 0 }
  }
  const unloaded = report.testResults.filter(
    (file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed'),
  )
  const failed = report.numFailedTests + unloaded.length
  return {
    passed: report.numPassedTests,
    failed: code !== 0 && failed === 0 ? 1 : failed,
    skipped: report.numPendingTests + report.numTodoTests,
  }
}

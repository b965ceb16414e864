/** `npm run models`: what the operator types, and what is printed. */
import { parseArgs } from 'node:util'
import type { LocalModality } from '../core/local-models.ts'
import type { Installed, ModelStore } from './local-models.ts'
import { listed, listedAsJson } from './listing.ts'
import { isRunning } from './pulls.ts'
import type { Pull, PullStatus } from './pull.ts'
import { modality as modalities } from './settings.ts'
import { Trouble } from './trouble.ts'
import { bytesText, secondsText } from './words.ts'

export const EXIT = { ok: 0, failed: 1, usage: 2, paused: 130 } as const

const DRAW_MS = 200
/** Where nobody watches, a line is enough now and then. */
const LINE_MS = 10_000
const BAR = 24

export type Terminal = {
  readonly isTTY: boolean
  readonly columns: number
  write(text: string): void
}

export type CliWorld = {
  readonly store: ModelStore
  readonly out: Terminal
  readonly err: Terminal
  /** Ctrl-C. */
  readonly signal: AbortSignal
  readonly lineMs?: number
}

const USAGE = `Usage: npm run models -- <command>

  pull <model>     downloads a model, or goes on where an earlier download stopped
      --as <id>      calls it so; a model of the catalogue is served from here when it has its id
      --kind <kind>  text, embedding, tts or asr, where neither the registry nor the file says
      --projector <file>  what turns pictures into what the model reads (mmproj), where its repository on the hub has none:
                     named as a model is
      --copy         copies a file of this machine instead of linking to it
      --force        downloads also what is too large for the memory of this machine
  list             models that are here, and downloads that are not through; --json
      --all          and what the registry has, with the memory that each would need here
  rm <id>          deletes a model, or what has come of one; a file that is linked to stays
  verify [<id>]    reads the files of one model, or all, and compares their hashes

A model is an id of the registry (qwen3-4b), hf.co/org/repo, hf.co/org/repo:Q4_K_M, hf.co/org/repo:file.gguf,
an https address, or the path of a file (./model.gguf). HF_TOKEN is sent to the hub for models that want one.
`

const COMMANDS: ReadonlySet<string> = new Set(['pull', 'list', 'rm', 'verify'])

/** Runs a command; resolves with the exit code. */
export async function runModels(args: readonly string[], world: CliWorld): Promise<number> {
  const { err, out } = world
  try {
    const { positionals, values } = parsed(args)
    const [command, ...rest] = positionals
    if (values.help || command === 'help') {
      out.write(USAGE)
      return EXIT.ok
    }
    const [first, ...more] = rest
    if (command === 'list' && first === undefined) return await list(world, values.all ?? false, values.json ?? false)
    if (command === 'verify' && more.length === 0) return await verify(first ?? null, world)
    if (command === 'rm' && first !== undefined && more.length === 0) return await rm(first, world)
    if (command === 'pull' && first !== undefined && more.length === 0) return await pull(first, values, world)
    err.write(command === undefined || COMMANDS.has(command) ? USAGE : `There is no command ${command}.\n\n${USAGE}`)
    return EXIT.usage
  } catch (error) {
    if (!(error instanceof Trouble || error instanceof UsageError)) throw error
    err.write(`${error.message}\n`)
    return error instanceof UsageError ? EXIT.usage : EXIT.failed
  }
}

class UsageError extends Error {}

type Values = {
  readonly as?: string | undefined
  readonly kind?: string | undefined
  readonly projector?: string | undefined
  readonly copy?: boolean | undefined
  readonly force?: boolean | undefined
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        as: { type: 'string' },
        kind: { type: 'string' },
        projector: { type: 'string' },
        copy: { type: 'boolean' },
        force: { type: 'boolean' },
        all: { type: 'boolean' },
        json: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    })
  } catch {
    throw new UsageError('There is no such option; see npm run models -- help.')
  }
}

async function pull(typed: string, values: Values, world: CliWorld): Promise<number> {
  const { store, err, signal } = world
  await store.look()
  const { as, kind, projector, copy = false, force = false } = values
  const modality = kindOf(kind)
  // What the list shows as not through is called by the name that it has there.
  const begun = as === undefined ? await store.pulls.resume(typed, force) : null
  const download = begun ?? store.pulls.begin({ typed, projector, id: as ?? null, modality, how: copy ? 'copy' : 'link', force })
  const stop = (): void => void download.stop('paused')
  signal.addEventListener('abort', stop)
  if (signal.aborted) stop()
  const drawing = draw(download, world)
  const status = await download.run()
  signal.removeEventListener('abort', stop)
  drawing.end(status)
  const { id } = status
  switch (status.state) {
    case 'done':
      await store.look()
      return report(id, status, world)
    case 'paused':
      err.write(`Paused at ${shareText(status)}. The same command goes on from there: ${commandOf(typed, values)}\n`)
      return EXIT.paused
    default:
      err.write(`${status.say ?? `${id} was not downloaded.`}\n`)
      return EXIT.failed
  }
}

/** As it can be typed again, in any shell. */
function commandOf(typed: string, { as, kind, projector, copy, force }: Values): string {
  const options = [
    as === undefined ? [] : ['--as', as],
    kind === undefined ? [] : ['--kind', kind],
    projector === undefined ? [] : ['--projector', projector],
    copy ? '--copy' : [],
    force ? '--force' : [],
  ]
  return ['npm run models -- pull', ...[typed, ...options.flat()].map(quoted)].join(' ')
}

const quoted = (word: string): string => (/^[\w./:@%+=,-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`)

function report(id: string, status: PullStatus, { store, out }: CliWorld): number {
  const found = store.installed.find(({ model }) => model.id === id)
  if (!found) return EXIT.failed
  out.write(`${status.say ?? `${id} is here: ${bytesText(found.model.sizeBytes)}, checked.`}\n`)
  const { announced, total } = countAnnounced(found)
  if (status.say === null && announced < total)
    out.write(`${announced} of its ${total} files were announced with a hash; the others were taken as they came.\n`)
  out.write(`${memoryText(found, store.budgetBytes)}\n`)
  return found.shelved.problem === null ? EXIT.ok : EXIT.failed
}

function countAnnounced({ shelved: { manifest } }: Installed): { announced: number; total: number } {
  const files = manifest.files.filter(({ linkedTo }) => linkedTo === null)
  return { announced: files.filter(({ announced }) => announced).length, total: files.length }
}

function memoryText({ model, shelved }: Installed, budgetBytes: number): string {
  if (shelved.problem !== null) return `But ${shelved.problem}.`
  const needs = `It needs ${bytesText(model.memoryBytes)} of memory`
  const context = model.contextTokens === null ? '' : ` with ${model.parallel} × ${model.contextTokens} tokens of context`
  const fits = model.memoryBytes <= budgetBytes ? '; the budget here is' : ', which is more than the budget here of'
  return `${needs}${context}${fits} ${bytesText(budgetBytes)}.`
}

async function list({ store, out }: CliWorld, all: boolean, json: boolean): Promise<number> {
  await store.look()
  out.write(await (json ? listedAsJson : listed)(store, all))
  return EXIT.ok
}

async function rm(id: string, { store, out, err }: CliWorld): Promise<number> {
  if (await store.remove(id)) {
    out.write(`${id} is deleted.\n`)
    return EXIT.ok
  }
  err.write(`There is no model ${id} here.\n`)
  return EXIT.failed
}

async function verify(only: string | null, { store, out, err, signal }: CliWorld): Promise<number> {
  await store.look()
  const ids = only === null ? store.installed.map(({ model }) => model.id) : [only]
  let good = true
  for (const id of ids) {
    if (signal.aborted) return EXIT.paused
    const files = await store.verify(id, signal).catch((error: unknown) => {
      if (signal.aborted) return []
      throw error
    })
    if (signal.aborted) return EXIT.paused
    if (files === null) {
      err.write(`There is no model ${id} here.\n`)
      return EXIT.failed
    }
    const wrong = files.filter(({ ok }) => !ok)
    if (wrong.length === 0) out.write(`${id}: all is as it came.\n`)
    for (const { path, why } of wrong) err.write(`${id}: ${path} ${why ?? ''}; npm run models -- rm ${id}, and pull it again.\n`)
    good &&= wrong.length === 0
  }
  if (ids.length === 0) out.write('No models are here.\n')
  return good ? EXIT.ok : EXIT.failed
}

function kindOf(kind: string | undefined): LocalModality | null {
  if (kind === undefined) return null
  const known = modalities.safeParse(kind)
  if (!known.success) throw new UsageError(`--kind takes ${modalities.options.join(', ')}.`)
  return known.data
}

/** A bar that moves on a terminal; elsewhere a line now and then. */
function draw(download: Pull, { err, lineMs }: CliWorld): { end(status: PullStatus): void } {
  const timer = setInterval(
    () => {
      if (!isRunning(download)) return
      if (err.isTTY) err.write(`\r\u001b[K${fitted(lineOf(download.status, BAR), err.columns)}`)
      else err.write(`${lineOf(download.status, 0)}\n`)
    },
    err.isTTY ? DRAW_MS : (lineMs ?? LINE_MS),
  )
  return {
    end(status) {
      clearInterval(timer)
      if (err.isTTY) err.write(`\r\u001b[K${status.state === 'done' ? '' : `${fitted(lineOf(status, BAR), err.columns)}\n`}`)
    },
  }
}

/** `qwen3-4b  [#####…]  43 %  1.07 of 2.50 GB  24.1 MB/s  1 min 2 s left`. */
export function lineOf(status: PullStatus, bar: number): string {
  const { id, state, sizeBytes, doneBytes, bytesPerSecond, secondsLeft, files, filesDone } = status
  const share = sizeBytes === null || sizeBytes === 0 ? null : Math.min(1, doneBytes / sizeBytes)
  const filled = Math.floor((share ?? 0) * bar)
  const parts = [
    id,
    bar > 0 && share !== null ? `[${'#'.repeat(filled)}${'.'.repeat(bar - filled)}]` : '',
    state === 'downloading' ? shareText(status) : state === 'listing' ? 'asking what there is' : `${state} ${shareText(status)}`,
    files > 1 ? `file ${Math.min(files, filesDone + 1)} of ${files}` : '',
    state === 'downloading' && bytesPerSecond !== null ? `${bytesText(bytesPerSecond)}/s` : '',
    state === 'downloading' && secondsLeft !== null ? `${secondsText(secondsLeft)} left` : '',
  ]
  return parts.filter((part) => part !== '').join('  ')
}

function shareText({ sizeBytes, doneBytes }: PullStatus): string {
  if (sizeBytes === null || sizeBytes === 0) return bytesText(doneBytes)
  return `${Math.floor((doneBytes / sizeBytes) * 100)} %  ${bytesText(doneBytes)} of ${bytesText(sizeBytes)}`
}

const fitted = (line: string, columns: number): string => (columns > 0 ? line.slice(0, columns - 1) : line)

/** `/admin/local-models`: the model files of this machine. What they do is in the room local-models. */
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import type { Audit } from '../../accounts/audit.ts'
import type { Signal } from '../../core/cancel.ts'
import { fail, failField } from '../../core/errors.ts'
import type { ModelStore } from '../../local-models/local-models.ts'
import type { Pull, PullStatus } from '../../local-models/pull.ts'
import { isRunning } from '../../local-models/pulls.ts'
import { modality, modelId } from '../../local-models/settings.ts'
import { Trouble } from '../../local-models/trouble.ts'
import { type AnyEndpoint, type EventSink, endpoint, json } from '../endpoint.ts'
import {
  type Download,
  NEW,
  OFFERED,
  RUNNING,
  download,
  installed,
  memory,
  offer,
  shown,
  shownModel,
  shownOffer,
} from './local-model-wire.ts'
import { TAG } from './wire.ts'

/** How often a reader of progress hears of it. */
const TELL_MS = 500

export type LocalModelSources = { readonly models: ModelStore; readonly audit: Pick<Audit, 'done'> }

export const localModelEndpoints = (of: LocalModelSources): AnyEndpoint[] => [
  listLocal(of),
  beginPull(of),
  progress(of),
  act(of, 'pause', 'Pause a download', 'Stops it and keeps what has come. Resume it here, by the command, or after a restart.'),
  act(
    of,
    'resume',
    'Resume a download',
    'Goes on from the bytes that are here with one that was paused, failed, or ended with its process.',
  ),
  verify(of),
  remove(of),
]

const listLocal = ({ models }: LocalModelSources): AnyEndpoint =>
  endpoint({
    method: 'GET',
    path: '/admin/local-models',
    tag: TAG,
    summary: 'List local models',
    description:
      'The models whose files are on this machine, downloads that are not through, the memory they share, and what the registry has.',
    scope: 'OPERATOR',
    answers: {
      'application/json': {
        description: 'In the order of their ids.',
        schema: z.object({
          object: z.literal('list'),
          data: z.array(installed),
          downloads: z.array(download),
          memory,
          registry: z.array(offer),
        }),
      },
    },
    example: {
      answer: {
        object: 'list',
        data: [],
        downloads: [RUNNING],
        memory: { budgetBytes: 13_400_000_000, usedBytes: 0 },
        registry: [OFFERED],
      },
    },
    errors: [],
    async handle() {
      const loaded = new Set(models.memory.loaded)
      const orders = await models.orders()
      const known = new Map(models.pulls.statuses.filter(isUnfinished).map((status) => [status.id, shown(status)]))
      for (const { id, sizeBytes } of orders) if (!known.has(id)) known.set(id, { ...NEW, id, state: 'paused', sizeBytes })
      return json({
        object: 'list',
        data: models.installed.map((one) => shownModel(one, loaded.has(one.model.id))),
        downloads: [...known.values()],
        memory: { budgetBytes: models.budgetBytes, usedBytes: models.memory.usedBytes },
        registry: models.offers.map(shownOffer),
      })
    },
  })

const pullBody = z.strictObject({
  source: z
    .string()
    .min(1)
    .max(2048)
    .describe('An id of the registry, `hf.co/org/repo`, `hf.co/org/repo:Q4_K_M`, `hf.co/org/repo:file.gguf`, or an https address.'),
  id: modelId.optional().describe('What it shall be called; its name in the catalogue, to be served from here.'),
  kind: modality.optional().describe('Where neither the registry nor the file says.'),
  force: z.boolean().optional().describe('Downloads also what is too large for the memory of this machine.'),
  projector: z
    .string()
    .min(1)
    .max(2048)
    .optional()
    .describe('What turns pictures into what the model reads (mmproj), where its repository has none: a file of the hub, or an address.'),
  begin: z.boolean().default(true).describe('False: says only what there is of it, and begins nothing.'),
})

const beginPull = ({ models, audit }: LocalModelSources): AnyEndpoint =>
  endpoint({
    method: 'POST',
    path: '/admin/local-models',
    tag: TAG,
    summary: 'Download a model',
    description: [
      'Begins a download, joins the one under way for the same model, or goes on where one stopped, and answers at once; with',
      '`Accept: text/event-stream` it tells the progress until the end, and a reader that leaves does not stop the download.',
      'Files of this machine are for the command alone: a key of the API opens no path.',
    ].join('\n'),
    scope: 'OPERATOR',
    body: pullBody,
    answers: {
      'application/json': { description: 'How far it is.', schema: z.object({ data: download }) },
      'text/event-stream': { description: 'Events with the same, twice a second, and `[DONE]`.' },
    },
    example: { body: { source: 'qwen3-4b', begin: false }, answer: { data: NEW } },
    errors: [],
    async handle({ body: { begin, ...asked }, headers }, { caller, signal }) {
      const { source, id, projector } = asked
      for (const [field, value] of Object.entries({ source, projector }))
        if (/^(\/|\.\.?\/|[A-Za-z]:\\)/.test(value?.trim() ?? ''))
          throw failField(field, 'a file of this machine is linked by: npm run models -- pull')
      if (!begin) return json({ data: await stateOf(models, id ?? source) })
      const details = { source: source.replace(/[?#].*$/, '') }
      const pull = await audit.done(caller, 'local_model.pull', id ?? details.source, details, async () => begun(models, asked))
      if (!wantsEvents(headers['accept'])) return json({ data: shown(pull.status) })
      return { type: 'events', write: (out) => tell(pull, out, signal) }
    },
  })

const progress = ({ models }: LocalModelSources): AnyEndpoint =>
  endpoint({
    method: 'GET',
    path: '/admin/local-models/{id}/progress',
    tag: TAG,
    summary: 'Follow a download',
    description: 'Events until the download ends, is paused or fails; one where none is under way. A slash in an id is written `%2F` here.',
    scope: 'OPERATOR',
    answers: { 'text/event-stream': { description: 'Events as of the download, and `[DONE]`.' } },
    example: { params: { id: 'qwen3-4b' }, answer: `data: ${JSON.stringify(RUNNING)}\n\ndata: [DONE]\n\n` },
    errors: ['MODEL_NOT_FOUND'],
    async handle({ params: { id = '' } }, { signal }) {
      const state = await stateOf(models, id)
      const pull = models.pulls.get(id)
      if (pull) return { type: 'events', write: (out) => tell(pull, out, signal) }
      return { type: 'events', write: async (out) => out.send(`${eventOf(state)}data: [DONE]\n\n`) }
    },
  })

const act = ({ models, audit }: LocalModelSources, what: 'pause' | 'resume', summary: string, description: string): AnyEndpoint =>
  endpoint({
    method: 'POST',
    path: `/admin/local-models/{id}/${what}`,
    tag: TAG,
    summary,
    description: `${description} Without effect where there is nothing to ${what}.`,
    scope: 'OPERATOR',
    answers: { 'application/json': { description: 'How far it is.', schema: z.object({ data: download }) } },
    example: { params: { id: 'qwen3-4b' }, answer: { data: { ...RUNNING, state: what === 'pause' ? 'paused' : 'listing' } } },
    errors: ['MODEL_NOT_FOUND'],
    async handle({ params: { id = '' } }, { caller }) {
      await stateOf(models, id)
      await audit.done(caller, `local_model.${what}`, id, {}, async () => {
        if (what === 'pause') await models.pulls.get(id)?.stop('paused')
        else await understood('id', () => models.pulls.resume(id))
      })
      return json({ data: await stateOf(models, id) })
    },
  })

const verify = ({ models }: LocalModelSources): AnyEndpoint =>
  endpoint({
    method: 'POST',
    path: '/admin/local-models/{id}/verify',
    tag: TAG,
    summary: 'Verify a model',
    description: 'Reads its files and compares their hashes with those they came with: about a minute for twenty gigabytes.',
    scope: 'OPERATOR',
    answers: {
      'application/json': {
        description: 'By file; none where the model is not here.',
        schema: z.object({
          data: z.object({
            id: z.string(),
            ok: z.boolean(),
            files: z.array(z.object({ path: z.string(), ok: z.boolean(), message: z.string().nullable() })),
          }),
        }),
      },
    },
    example: {
      params: { id: 'qwen3-4b' },
      answer: { data: { id: 'qwen3-4b', ok: true, files: [{ path: 'model.gguf', ok: true, message: null }] } },
    },
    errors: ['MODEL_NOT_FOUND'],
    async handle({ params: { id = '' } }, { signal }) {
      const stop = new AbortController()
      const abort = (): void => stop.abort()
      signal.addEventListener('abort', abort)
      await stateOf(models, id)
      const files = (await models.verify(id, stop.signal).finally(() => signal.removeEventListener('abort', abort))) ?? []
      const listed = files.map(({ path, ok, why }) => ({ path, ok, message: why }))
      return json({ data: { id, ok: files.every(({ ok }) => ok), files: listed } })
    },
  })

const remove = ({ models, audit }: LocalModelSources): AnyEndpoint =>
  endpoint({
    method: 'DELETE',
    path: '/admin/local-models/{id}',
    tag: TAG,
    summary: 'Delete a model',
    description: 'Deletes its files, or calls off its download and deletes what has come. A file that is only linked to stays.',
    scope: 'OPERATOR',
    answers: {
      'application/json': {
        description: 'Whether there was something to delete.',
        schema: z.object({ data: z.object({ id: z.string(), deleted: z.boolean() }) }),
      },
    },
    example: { params: { id: 'qwen3-4b' }, answer: { data: { id: 'qwen3-4b', deleted: true } } },
    errors: ['MODEL_NOT_FOUND'],
    async handle({ params: { id = '' } }, { caller }) {
      await stateOf(models, id)
      const deleted = await audit.done(caller, 'local_model.delete', id, {}, () => understood('id', () => models.remove(id)))
      return json({ data: { id, deleted } })
    },
  })

async function begun(models: ModelStore, { source, projector, id, kind, force }: Omit<z.infer<typeof pullBody>, 'begin'>): Promise<Pull> {
  return understood('source', async () =>
    models.pulls.begin({ typed: source, projector, id: id ?? null, modality: kind ?? null, how: 'link', force: force ?? false }),
  )
}

/** What cannot be understood is the request's fault. */
async function understood<T>(field: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw error instanceof Trouble ? failField(field, error.message) : error
  }
}

/** What there is of a model: its download where one was begun, else whether it is here. Throws where nobody knows the name. */
async function stateOf(models: ModelStore, id: string): Promise<Download> {
  const pull = models.pulls.get(id)
  if (pull && isUnfinished(pull.status)) return shown(pull.status)
  const order = (await models.orders()).find((one) => one.id === id)
  if (order) return { ...NEW, id, state: 'paused', sizeBytes: order.sizeBytes }
  const here = models.installed.find(({ model }) => model.id === id)
  if (here) {
    const { sizeBytes } = here.model
    const files = here.shelved.manifest.files.length
    return { ...NEW, id, source: here.shelved.manifest.source, state: 'here', sizeBytes, doneBytes: sizeBytes, files, filesDone: files }
  }
  if (pull) return shown(pull.status)
  if (models.isBroken(id)) return { ...NEW, id, state: 'failed', message: 'Its manifest cannot be read: download it again, or delete it' }
  if (models.settings.models.some((entry) => entry.id === id)) return { ...NEW, id }
  throw fail('MODEL_NOT_FOUND', { say: 'There is no such local model', param: 'id' })
}

/** Sends how far a download is until it ends. */
async function tell(pull: Pull, out: EventSink, signal: Signal): Promise<void> {
  const stop = new AbortController()
  const abort = (): void => stop.abort()
  signal.addEventListener('abort', abort)
  try {
    while (isRunning(pull) && !signal.aborted) {
      await out.send(eventOf(shown(pull.status)))
      await Promise.race([pull.run(), sleep(TELL_MS, undefined, { signal: stop.signal }).catch(() => undefined)])
    }
    await out.send(`${eventOf(shown(pull.status))}data: [DONE]\n\n`)
  } finally {
    signal.removeEventListener('abort', abort)
    stop.abort()
  }
}

const eventOf = (state: Download): string => Buffer.from(`data: ${JSON.stringify(state)}\n\n`, 'utf8').toString('latin1')

const isUnfinished = ({ state }: PullStatus): boolean => state !== 'done' && state !== 'cancelled'

const wantsEvents = (accept: string | readonly string[] | undefined): boolean => String(accept ?? '').includes('text/event-stream')

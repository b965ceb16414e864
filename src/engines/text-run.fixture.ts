/** What tests of chat engines share: a plain request, reading what came out of a run, and waiting without sleeping. */
import type { Choice, Delta, TextPart, TextRequest, ToolCallDelta } from '../core/modalities/text.ts'
import { textOf } from '../core/modalities/text.ts'

/** What is waited for must have come by then. */
export const LIMIT_MS = 10_000

/** A request with nothing special about it. */
export const PLAIN: TextRequest = {
  messages: [{ role: 'user', content: 'Tell me in some sentences what a heron is.' }],
  stream: true,
  choices: 1,
  maxTokens: null,
  sampling: {},
  stop: [],
  tools: [],
  toolChoice: null,
  parallelToolCalls: null,
  format: null,
  logprobs: null,
  effort: null,
  reasoningSummary: null,
  cacheKey: null,
  cacheRetention: null,
  verbosity: null,
  sandbox: null,
  sizeBytes: 100,
  media: 0,
}

export function contentOf(parts: readonly TextPart[], choice: number): string {
  let content = ''
  for (const part of parts) {
    if (part.type === 'text' && part.choice === choice) content += textOf(part.json)
    else if (part.type === 'delta' && part.choice === choice) content += part.delta.content ?? ''
  }
  return content
}

export const endsOf = (parts: readonly TextPart[]): { choice: number; reason: string }[] =>
  parts.flatMap((part) => (part.type === 'end' ? [{ choice: part.choice, reason: part.reason }] : []))

export function onlyChoice(parts: readonly TextPart[]): Choice {
  const [part] = parts
  const choice = part?.type === 'whole' ? part.choices[0] : undefined
  if (!choice) throw new Error('the only part is no whole answer with a choice')
  return choice
}

type Assembled = { index: number; id: string; type: string; name: string; arguments: string }

/** Adds calls up as the official clients do: by index; what a first delta leaves out stays out. */
export function callsOf(parts: readonly TextPart[]): Assembled[] {
  const calls: Assembled[] = []
  const deltas = parts.flatMap((part): Delta[] => (part.type === 'delta' ? [part.delta] : []))
  for (const delta of deltas.flatMap((one): readonly ToolCallDelta[] => one.tool_calls ?? [])) {
    const there = calls[delta.index]
    const text = delta.function?.arguments ?? ''
    if (there) there.arguments += text
    else {
      calls[delta.index] = {
        index: delta.index,
        id: delta.id ?? '',
        type: delta.type ?? '',
        name: delta.function?.name ?? '',
        arguments: text,
      }
    }
  }
  return calls
}

export function promised(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = (): void => undefined
  const promise = new Promise<void>((done) => {
    resolve = done
  })
  return { promise, resolve }
}

/** Lets everything that is ready to happen, sockets included, happen so many times over. */
export async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise(setImmediate)
}

export async function within(what: Promise<void>, name: string): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${name} did not come`)), LIMIT_MS)
  })
  await Promise.race([what, late]).finally(() => clearTimeout(timer))
}

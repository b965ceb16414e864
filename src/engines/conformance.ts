/**
 * What every engine guarantees, as one suite that each engine's own test runs. What an engine cannot do is skipped by
 * the name of the case, with a reason that the report shows. Imported by tests only.
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Finish, Sink } from '../core/call.ts'
import type { Ability, Engine, Task } from '../core/engine.ts'
import type { EmbeddingPart, EmbeddingRequest } from '../core/modalities/embedding.ts'
import type { TextPart, TextRequest, Tool } from '../core/modalities/text.ts'
import { LIMIT_MS, PLAIN, callsOf, contentOf, endsOf, onlyChoice, promised, turns, within } from './text-run.fixture.ts'

export type Subject = {
  readonly engine: Engine
  readonly text?: {
    readonly model: string
    /** A run that goes on for long enough to be left: another model, or what is to be different in the request. */
    readonly endless: { readonly model?: string; readonly request?: Partial<TextRequest> }
    /** Resolves when the engine's upstream has seen its caller go, for engines that have one. */
    readonly upstreamLeft?: () => Promise<void>
  }
  readonly embedding?: { readonly model: string }
  /** Called after each case, once the engine is closed. */
  readonly dispose?: () => Promise<void>
}

export const CASES = {
  streams: 'a stream sends text and then exactly one end, which is its last part',
  choices: 'each of several choices has its own text and exactly one end',
  whole: 'a run that does not stream sends exactly one part, the whole answer',
  usage: 'the finish says what was used, streamed or not',
  tools: 'streamed tool calls are indexed from 0, named on their first delta, and have valid arguments',
  wholeTools: 'a whole answer has complete tool calls',
  schema: 'an answer to a JSON schema is JSON that fits it',
  stop: 'nothing comes from a stop sequence on',
  maxTokens: 'an answer that reaches its most tokens ends for its length',
  abort: 'a caller that leaves ends the run and its upstream, and nothing more reaches the sink',
  abortedBefore: 'a run whose caller has already left sends nothing',
  backpressure: 'while the sink is busy no further parts come, and afterwards all of them do',
  sinkFails: 'a sink that wants no more ends the run with its own reason, and the upstream',
  refuses: 'a plain request is not refused',
  embeds: 'each input gets one vector of the same length, in the order of the inputs',
  embedUsage: 'the finish of an embedding says how many input tokens there were',
  probe: 'it says that it is there, and its models where it lists them',
  probeAborted: 'a probe that is cut off says so and does not reject',
} as const
export type Case = keyof typeof CASES

/** Runs the suite on engines that `make` builds, a new one per case. */
export function describeEngine(name: string, make: () => Promise<Subject>, skips: Partial<Record<Case, string>> = {}): void {
  describe(`${name}: what every engine guarantees`, () => {
    let subject: Subject

    beforeEach(async () => {
      subject = await make()
    })

    afterEach(async () => {
      await subject.engine.close()
      await subject.dispose?.()
    })

    const guarantee = (key: Case, check: (subject: Subject) => Promise<void>): void => {
      const reason = skips[key]
      // The assertions are in the checks below.
      // oxlint-disable-next-line vitest/expect-expect
      if (reason === undefined) test(CASES[key], () => check(subject))
      else test.skip(`${CASES[key]} (not here: ${reason})`, () => undefined)
    }
    answerCases(guarantee)
    shapeCases(guarantee)
    endingCases(guarantee)
    embeddingCases(guarantee)
    probeCases(guarantee)
  })
}

type Guarantee = (key: Case, check: (subject: Subject) => Promise<void>) => void

function answerCases(guarantee: Guarantee): void {
  guarantee('streams', async (subject) => {
    const { parts } = await chat(subject, { stream: true })

    expect(contentOf(parts, 0)).not.toBe('')
    expect(endsOf(parts)).toEqual([{ choice: 0, reason: 'stop' }])
    expect(parts.at(-1)?.type).toBe('end')
  })

  guarantee('choices', async (subject) => {
    const { parts } = await chat(subject, { stream: true, choices: 2 })

    expect(contentOf(parts, 0)).not.toBe('')
    expect(contentOf(parts, 1)).not.toBe('')
    expect(new Set(endsOf(parts).map(({ choice }) => choice))).toEqual(new Set([0, 1]))
    expect(endsOf(parts)).toHaveLength(2)
  })

  guarantee('whole', async (subject) => {
    const { parts } = await chat(subject, { stream: false })

    expect(parts).toHaveLength(1)
    expect(onlyChoice(parts)).toMatchObject({ index: 0, finishReason: 'stop', message: { role: 'assistant' } })
    expect(onlyChoice(parts).message['content']).toEqual(expect.stringMatching(/./))
  })

  guarantee('usage', async (subject) => {
    for (const stream of [true, false]) {
      const { finish } = await chat(subject, { stream })

      expect(finish.usage?.inputToken).toBeGreaterThan(0)
      expect(finish.usage?.outputToken).toBeGreaterThan(0)
    }
  })
}

function shapeCases(guarantee: Guarantee): void {
  guarantee('tools', async (subject) => {
    const { parts } = await chat(subject, { stream: true, tools: [WEATHER], toolChoice: 'required' })

    const calls = callsOf(parts)
    expect(calls.length).toBeGreaterThan(0)
    for (const [index, call] of calls.entries()) {
      expect(call).toMatchObject({ index, type: 'function', name: 'weather', id: expect.stringMatching(/./) })
      expect(JSON.parse(call.arguments)).toEqual({ city: expect.any(String) })
    }
    expect(new Set(calls.map(({ id }) => id)).size).toBe(calls.length)
    expect(endsOf(parts)).toEqual([{ choice: 0, reason: 'tool_calls' }])
  })

  guarantee('wholeTools', async (subject) => {
    const { parts } = await chat(subject, { stream: false, tools: [WEATHER], toolChoice: 'required' })

    const choice = onlyChoice(parts)
    expect(choice.finishReason).toBe('tool_calls')
    expect(choice.message['tool_calls']).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ id: expect.any(String), type: 'function', function: expect.objectContaining({ name: 'weather' }) }),
      ]),
    )
    for (const call of Object(choice.message['tool_calls']))
      expect(JSON.parse(call.function.arguments)).toEqual({ city: expect.any(String) })
  })

  guarantee('schema', async (subject) => {
    const format = { type: 'json_schema', name: 'place', strict: true, schema: PLACE } as const
    const { parts } = await chat(subject, { stream: true, format })

    expect(JSON.parse(contentOf(parts, 0))).toEqual({ city: expect.any(String), people: expect.any(Number) })
  })

  guarantee('stop', async (subject) => {
    const { parts: before } = await chat(subject, { stream: true })
    const word = contentOf(before, 0).split(' ').at(1)
    if (!word) throw new Error('the answer has no second word to stop at')

    const { parts } = await chat(subject, { stream: true, stop: [word] })

    expect(contentOf(parts, 0)).not.toContain(word)
    expect(endsOf(parts)).toEqual([{ choice: 0, reason: 'stop' }])
  })

  guarantee('maxTokens', async (subject) => {
    const { parts, finish } = await chat(subject, { stream: true, maxTokens: 2 })

    expect(endsOf(parts)).toEqual([{ choice: 0, reason: 'length' }])
    expect(finish.usage?.outputToken ?? 0).toBeLessThanOrEqual(2)
  })
}

function endingCases(guarantee: Guarantee): void {
  guarantee('abort', async (subject) => {
    const leave = new AbortController()
    const first = promised()
    const seen: TextPart[] = []
    const run = endless(subject, leave.signal, (parts) => {
      seen.push(...parts)
      first.resolve()
    })
    const rejected = expect(run).rejects.toBeDefined()
    await within(first.promise, 'the first part')

    leave.abort()
    const count = seen.length

    await within(rejected, 'the end of the run')
    await within(textOfSubject(subject).upstreamLeft?.() ?? Promise.resolve(), 'the end of the upstream')
    expect(seen).toHaveLength(count)
  })

  guarantee('abortedBefore', async (subject) => {
    const seen: TextPart[] = []

    const run = endless(subject, AbortSignal.abort(), (parts) => void seen.push(...parts))

    await expect(run).rejects.toBeDefined()
    expect(seen).toEqual([])
  })

  guarantee('backpressure', async (subject) => {
    const { parts: all } = await chat(subject, { stream: true })
    const busy = promised()
    const first = promised()
    const pushes: (readonly TextPart[])[] = []
    const run = abilityOf(subject).run(taskOf(subject, { stream: true }), (parts) => {
      pushes.push(parts)
      first.resolve()
      return pushes.length === 1 ? busy.promise : undefined
    })
    await within(first.promise, 'the first part')

    await turns(100)
    expect(pushes).toHaveLength(1)
    busy.resolve()
    await run

    expect(contentOf(pushes.flat(), 0)).toBe(contentOf(all, 0))
    expect(endsOf(pushes.flat())).toHaveLength(1)
  })

  guarantee('sinkFails', async (subject) => {
    const reason = new Error('enough')
    let pushes = 0
    const run = endless(subject, new AbortController().signal, () => {
      pushes++
      throw reason
    })

    await expect(run).rejects.toBe(reason)
    await within(textOfSubject(subject).upstreamLeft?.() ?? Promise.resolve(), 'the end of the upstream')
    expect(pushes).toBe(1)
  })

  guarantee('refuses', async (subject) => {
    expect(abilityOf(subject).refuses(PLAIN, textOfSubject(subject).model)).toBeNull()
  })
}

function embeddingCases(guarantee: Guarantee): void {
  guarantee('embeds', async (subject) => {
    const { parts } = await embed(subject, { inputs: ['a heron', 'a long walk by the sea', 'a heron'], dimensions: null })

    expect(parts.map(({ index }) => index)).toEqual([0, 1, 2])
    const [first = [], second = [], third = []] = parts.map(({ vector }) => Array.from(vector))
    expect(first.length).toBeGreaterThan(1)
    expect(second).toHaveLength(first.length)
    expect(similarity(first, third)).toBeCloseTo(1, 2)
    expect(similarity(first, second)).toBeLessThan(similarity(first, third))
  })

  guarantee('embedUsage', async (subject) => {
    const { finish } = await embed(subject, { inputs: ['a heron'], dimensions: null })

    expect(finish.usage?.inputToken).toBeGreaterThan(0)
    expect(finish.usage?.outputToken ?? 0).toBe(0)
  })
}

function probeCases(guarantee: Guarantee): void {
  guarantee('probe', async (subject) => {
    const reach = await subject.engine.probe(new AbortController().signal)

    expect(reach.up).toBe(true)
    const names = reach.up ? reach.models?.map(({ name }) => name) : undefined
    if (names && subject.text) expect(names).toContain(subject.text.model)
  })

  guarantee('probeAborted', async (subject) => {
    const reach = await subject.engine.probe(AbortSignal.abort())

    expect(reach.up ? 'up' : reach.why).toMatch(/^[a-z_]+$/)
  })
}

const PLACE = {
  type: 'object',
  properties: { city: { type: 'string' }, people: { type: 'integer' } },
  required: ['city', 'people'],
  additionalProperties: false,
} as const

const WEATHER: Tool = {
  type: 'function',
  function: {
    name: 'weather',
    description: 'The weather of a city',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'], additionalProperties: false },
  },
}

async function chat(subject: Subject, different: Partial<TextRequest>): Promise<{ parts: TextPart[]; finish: Finish }> {
  const parts: TextPart[] = []
  const finish = await abilityOf(subject).run(taskOf(subject, different), (more) => void parts.push(...more))
  return { parts, finish }
}

function endless(subject: Subject, signal: AbortSignal, sink: Sink<TextPart>): Promise<Finish> {
  const text = textOfSubject(subject)
  const task = taskOf(subject, { stream: true, ...text.endless.request })
  return abilityOf(subject).run({ ...task, model: text.endless.model ?? text.model, signal }, sink)
}

async function embed(subject: Subject, request: EmbeddingRequest): Promise<{ parts: EmbeddingPart[]; finish: Finish }> {
  const ability = subject.engine.abilities.embedding
  if (!ability || !subject.embedding) throw new Error('the engine has no embeddings; skip the case by its name')
  const parts: EmbeddingPart[] = []
  const task = { model: subject.embedding.model, request, signal: new AbortController().signal, firstByteMs: LIMIT_MS, stallMs: LIMIT_MS }
  const finish = await ability.run(task, (more) => void parts.push(...more))
  return { parts, finish }
}

function taskOf(subject: Subject, different: Partial<TextRequest>): Task<TextRequest> {
  return {
    model: textOfSubject(subject).model,
    request: { ...PLAIN, ...different },
    signal: new AbortController().signal,
    firstByteMs: LIMIT_MS,
    stallMs: LIMIT_MS,
  }
}

function textOfSubject({ text }: Subject): NonNullable<Subject['text']> {
  if (!text) throw new Error('the engine has no text; skip the case by its name')
  return text
}

function abilityOf({ engine }: Subject): Ability<'text'> {
  const ability = engine.abilities.text
  if (!ability) throw new Error('the engine has no text; skip the case by its name')
  return ability
}

function similarity(a: readonly number[], b: readonly number[]): number {
  const dot = (x: readonly number[], y: readonly number[]): number => x.reduce((sum, value, at) => sum + value * (y[at] ?? 0), 0)
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b))
}

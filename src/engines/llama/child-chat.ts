/** Chats in one loaded model: many at once in one context, each in a sequence of its own. Runs in the child only. */
import { randomInt } from 'node:crypto'
import { LlamaGrammarEvaluationState } from 'node-llama-cpp'
import type { Llama, LlamaContext, LlamaContextSequence, LlamaGrammar, LlamaModel, SequenceEvaluateOptions, Token } from 'node-llama-cpp'
import { ChildFailure } from '../process-child.ts'
import type { ChildCall } from '../process-child.ts'
import { Decoder } from './child-decoder.ts'
import { Prompter } from './child-prompt.ts'
import type { Prompt } from './child-prompt.ts'
import { Sequences } from './child-sequences.ts'
import { type Seat, Steps } from './child-steps.ts'
import { Writer } from './child-writer.ts'
import { DEFAULTS, MAX_SEED, PUNISHED_TOKENS, choose, randomOf } from './choose.ts'
import { callsGrammar, forcedTools, formatGrammar } from './grammar.ts'
import { HarmonyReader } from './harmony.ts'
import { TagReader } from './reader.ts'
import type { Reader } from './reader.ts'
import { marksOf } from './style.ts'
import type { ChatBody, ChatEnd } from './wire.ts'

/** Grammars are read once; this many are kept. */
const MAX_GRAMMARS = 32
/** The library keeps the last cell of a sequence free, and begins to drop tokens after it. */
const SPARE_TOKENS = 1
/** How often a choice that sends nothing says that it goes on. */
const BEAT_MS = 1_000

export type ChatModel = { readonly llama: Llama; readonly model: LlamaModel; readonly context: LlamaContext; readonly parallel: number }

export class Chats {
  readonly #llama: Llama
  readonly #model: LlamaModel
  readonly #sequences: Sequences
  readonly #prompter: Prompter
  readonly #marks: ReadonlySet<Token>
  readonly #limit: number
  readonly #steps: Steps
  readonly #grammars = new Map<string, Promise<LlamaGrammar>>()

  constructor({ llama, model, context, parallel }: ChatModel) {
    this.#llama = llama
    this.#model = model
    this.#sequences = new Sequences(context, parallel)
    const template = model.fileInfo.metadata.tokenizer.chat_template ?? null
    this.#prompter = new Prompter(template, { bos: model.tokens.bosString ?? '', eos: model.tokens.eosString ?? '' })
    const marks = marksOf(this.#prompter.style).flatMap((mark) => {
      const tokens = model.tokenize(mark, true)
      return tokens.length === 1 ? tokens : []
    })
    this.#marks = new Set(marks)
    this.#limit = context.contextSize - SPARE_TOKENS
    this.#steps = new Steps(context.batchSize)
  }

  async chat(body: ChatBody, call: ChildCall): Promise<ChatEnd> {
    const { tools, toolChoice, effort } = body
    const forced = forcedTools(body)
    const told = toolChoice === 'none' ? [] : forced.length > 0 ? forced : tools
    const thinks = effort !== 'none' && forced.length === 0
    const asked = { messages: body.messages, tools: told, forced: forced.length > 0, effort, thinks }
    const first = this.#prompter.render(asked)
    // A grammar leaves no room for a thought that the model would have to begin itself: it is told that it has thought.
    const prompt = body.format !== null && !first.thinking && thinks ? this.#prompter.render({ ...asked, thinks: false }) : first
    const tokens = this.#tokensOf(prompt)
    // One token must fit, or there is no answer.
    if (tokens.length >= this.#limit) throw new ChildFailure('too_many_tokens', { asked: tokens.length, limit: this.#limit - 1 })
    const grammar = await this.#grammar(body)
    const taken = await this.#sequences.take(tokens, body.cacheKey, call.left)
    const seat = this.#steps.join()
    const place = { sequence: taken.sequence, seat }
    try {
      return await this.#answer(body, call, { tokens, prompt, grammar, offered: told.length > 0, forced: forced.length > 0 }, place)
    } catch (error) {
      // What state it is in nobody knows.
      if (!call.left.aborted) await taken.sequence.clearHistory()
      throw error
    } finally {
      seat.leave()
      taken.giveBack()
    }
  }

  async #answer(body: ChatBody, call: ChildCall, plan: Plan, place: Place): Promise<ChatEnd> {
    const { left } = call
    const writer = new Writer(body.stream ? (piece) => call.part(piece) : null)
    const reader = this.#reader(body, plan, writer)
    const { last, cachedTokens } = await this.#read(plan.tokens, place, call)
    const decoder = new Decoder(this.#model, this.#marks)
    const most = body.maxTokens ?? Infinity
    const stopIds = new Set(body.sampling.stop_token_ids ?? [])
    const said: Token[] = []
    let reasoningTokens = 0
    let reason: ChatEnd['reason'] = 'length'
    let beatAt = performance.now()
    for await (const { token, scored } of this.#tokens(body, last, place, plan.grammar, reader, said)) {
      left.throwIfAborted()
      said.push(token)
      if (reader.thinking) reasoningTokens++
      if (this.#model.isEogToken(token) || stopIds.has(token)) {
        reason = 'stop'
        break
      }
      if (scored !== null) writer.score(this.#scoreOf(token, scored, body.logprobs ?? 0))
      const text = decoder.push(token)
      if (text !== '' && !reader.feed(text)) {
        reason = 'stop'
        break
      }
      if (body.parallelToolCalls === false && writer.calls > 0) {
        reason = 'stop'
        break
      }
      if (said.length >= most || plan.tokens.length + said.length >= this.#limit) break
      if (performance.now() - beatAt > BEAT_MS) {
        beatAt = performance.now()
        call.beat()
      }
    }
    const rest = decoder.end()
    if (rest !== '') reader.feed(rest)
    reader.end()
    if (writer.calls > 0 && reason === 'stop') reason = 'tool_calls'
    const counted = { promptTokens: plan.tokens.length, cachedTokens, outputTokens: said.length, reasoningTokens }
    return { reason, ...counted, pieces: writer.collected() }
  }

  /** Reads the prompt but for what goes into one step with its last token; a caller that leaves is heard between the steps. */
  async #read(tokens: readonly Token[], { sequence, seat }: Place, call: ChildCall): Promise<{ last: Token[]; cachedTokens: number }> {
    const kept = Math.min(sequence.compareContextTokens([...tokens]).firstDifferentIndex, tokens.length - 1)
    const before = sequence.tokenMeter.usedInputTokens
    if (sequence.nextTokenIndex > kept) await sequence.eraseContextTokenRanges([{ start: kept, end: sequence.nextTokenIndex }])
    // Of some kinds of models a prefix cannot be kept; the library reads it again then.
    const again = sequence.tokenMeter.usedInputTokens - before
    const cachedTokens = Math.max(0, sequence.nextTokenIndex - again)
    for (;;) {
      call.left.throwIfAborted()
      const rest = tokens.slice(sequence.nextTokenIndex)
      const share = await seat.turn(rest.length)
      if (share === rest.length) return { last: rest, cachedTokens }
      await sequence.evaluateWithoutGeneratingNewTokens(rest.slice(0, share))
      call.beat()
    }
  }

  /** The tokens of the answer, its end token included, one at a time. The turn for the first has come already. */
  async *#tokens(
    { sampling, logprobs, choice }: ChatBody,
    last: Token[],
    { sequence, seat }: Place,
    grammar: LlamaGrammar | null,
    reader: Reader,
    said: readonly Token[],
  ): AsyncGenerator<{ token: Token; scored: ReadonlyMap<Token, number> | null }, void, void> {
    const seed = sampling.seed === undefined ? randomInt(MAX_SEED) : (Math.abs(sampling.seed) + choice) % MAX_SEED
    const options = logprobs === null ? optionsOf(sampling, seed, said) : { temperature: 0, yieldEogToken: true }
    if (grammar !== null) {
      const state = new LlamaGrammarEvaluationState({ model: this.#model, grammar })
      // Thoughts are free; what comes after them is held to the grammar.
      options.grammarEvaluationState = () => (reader.thinking ? undefined : state)
    }
    const random = randomOf(seed)
    // The library gives no probabilities where it is not asked for them, whatever its type says.
    const steps: Computed = sequence.evaluateWithMetadata(last, logprobs === null ? {} : { probabilities: true }, options)
    try {
      for (let step = await steps.next(); !step.done; ) {
        const { token: likeliest, probabilities = null } = step.value
        // The keys of the map are tokens, and one of them is chosen.
        const token = probabilities === null ? likeliest : (choose(probabilities, sampling, said, random) as Token)
        yield { token, scored: probabilities }
        await seat.turn(1)
        step = await steps.next(token)
      }
    } finally {
      await steps.return()
    }
  }

  #reader({ stop }: ChatBody, { prompt, offered, forced }: Plan, writer: Writer): Reader {
    const { style } = this.#prompter
    if (style.harmony && !forced) return new HarmonyReader(writer, stop)
    return new TagReader(writer, {
      think: forced ? null : style.think,
      thinking: prompt.thinking,
      calls: offered ? style.calls : null,
      calling: forced,
      stop,
    })
  }

  /** What a caller wrote is text, whatever marks are in it: only the template's own become control tokens. */
  #tokensOf({ text, foreign }: Prompt): Token[] {
    const model = this.#model
    const tokens: Token[] = []
    let at = 0
    for (const content of foreign) {
      const plain = content.trim()
      if (!(plain.includes('<') || plain.includes('[')) || !model.tokenize(plain, true).some((token) => model.isSpecialToken(token)))
        continue
      const from = text.indexOf(plain, at)
      if (from === -1) continue
      tokens.push(...model.tokenize(text.slice(at, from), true), ...model.tokenize(plain, false, 'trimLeadingSpace'))
      at = from + plain.length
    }
    tokens.push(...model.tokenize(text.slice(at), true, ...(at > 0 ? (['trimLeadingSpace'] as const) : [])))
    const { bos, shouldPrependBosToken } = model.tokens
    if (bos !== null && shouldPrependBosToken && tokens[0] !== bos) tokens.unshift(bos)
    return tokens
  }

  #grammar(body: ChatBody): Promise<LlamaGrammar> | null {
    const forced = forcedTools(body)
    if (forced.length === 0 && body.format === null) return null
    const parallel = body.toolChoice === 'required' && body.parallelToolCalls !== false
    const text =
      forced.length > 0
        ? callsGrammar(forced, this.#prompter.style.calls, parallel)
        : body.format === null
          ? ''
          : formatGrammar(body.format)
    const known = this.#grammars.get(text)
    if (known !== undefined) return known
    const made = this.#llama.createGrammar({ grammar: text }).catch(() => {
      throw new ChildFailure('bad_schema')
    })
    const [oldest] = this.#grammars.keys()
    if (oldest !== undefined && this.#grammars.size >= MAX_GRAMMARS) this.#grammars.delete(oldest)
    this.#grammars.set(text, made)
    return made
  }

  #scoreOf(token: Token, probabilities: ReadonlyMap<Token, number>, count: number): Score {
    const top: [string, number][] = []
    for (const [other, probability] of probabilities) {
      if (top.length >= count) break
      top.push([this.#model.detokenize([other], true), probability])
    }
    return { text: this.#model.detokenize([token], true), probability: probabilities.get(token) ?? 0, top }
  }
}

type Score = Parameters<Writer['score']>[0]

type Computed = AsyncGenerator<{ readonly token: Token; readonly probabilities?: ReadonlyMap<Token, number> }, void, Token>

/** Where a choice is computed. */
type Place = { readonly sequence: LlamaContextSequence; readonly seat: Seat }

type Plan = {
  readonly tokens: readonly Token[]
  readonly prompt: Prompt
  readonly grammar: LlamaGrammar | null
  /** Whether the model knows of tools, and whether it must call one. */
  readonly offered: boolean
  readonly forced: boolean
}

function optionsOf(sampling: ChatBody['sampling'], seed: number, said: readonly Token[]): SequenceEvaluateOptions {
  const { frequency_penalty: frequency = 0, presence_penalty: presence = 0, repetition_penalty: repetition = 1 } = sampling
  const punishes = frequency !== 0 || presence !== 0 || repetition !== 1
  return {
    temperature: sampling.temperature ?? DEFAULTS.temperature,
    topK: Math.max(0, sampling.top_k ?? DEFAULTS.topK),
    topP: sampling.top_p ?? DEFAULTS.topP,
    minP: sampling.min_p ?? DEFAULTS.minP,
    seed,
    yieldEogToken: true,
    ...(punishes && {
      repeatPenalty: {
        punishTokens: () => said.slice(-PUNISHED_TOKENS),
        maxPunishTokens: PUNISHED_TOKENS,
        penalty: repetition,
        frequencyPenalty: frequency,
        presencePenalty: presence,
      },
    }),
  }
}

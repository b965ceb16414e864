/**
 * The library alone: what node-llama-cpp computes with nothing around it, for comparison with the same model behind Rialto's API.
 *
 *   node bench/local-bare.ts --model FILE [--chats 8] [--tokens 128] [--prompt 512] [--threads 2] [--context 2048] [--rounds 3]
 *
 * Prints one line of JSON with medians: tokens a second of reading and of writing, over all chats, and the time to the first token.
 */
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { getLlama } from 'node-llama-cpp'
import type { LlamaContextSequence, Token } from 'node-llama-cpp'

const BATCH_TOKENS = 512
const SEED = 7

const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    chats: { type: 'string', default: '1' },
    tokens: { type: 'string', default: '128' },
    prompt: { type: 'string', default: '512' },
    threads: { type: 'string', default: String(availableParallelism()) },
    context: { type: 'string', default: '2048' },
    rounds: { type: 'string', default: '3' },
  },
})
const [chats, tokens, prompt, threads, context, rounds] = [
  values.chats,
  values.tokens,
  values.prompt,
  values.threads,
  values.context,
  values.rounds,
].map(Number)

type Round = { readonly firstTokenMs: number; readonly prefillPerSecond: number; readonly decodePerSecond: number }

async function main(): Promise<void> {
  if (!values.model || !chats || !tokens || !prompt || !threads || !context || !rounds)
    throw new Error('--model takes a file; the others take numbers from 1')
  const llama = await getLlama({ gpu: false, build: 'never', skipDownload: true, progressLogs: false, maxThreads: threads })
  const model = await llama.loadModel({ modelPath: values.model, gpuLayers: 0 })
  const made = await model.createContext({ contextSize: context, sequences: chats, threads, batchSize: BATCH_TOKENS })
  const sequences = Array.from({ length: chats }, () => made.getSequence())
  const vocabulary = [...model.iterateAllTokens()].filter((token) => !model.isSpecialToken(token) && !model.isEogToken(token))
  const results: Round[] = []
  for (let round = 0; round < rounds; round++) results.push(await one(sequences, vocabulary, { prompt, tokens, round }))
  const median = (of: (round: Round) => number): number =>
    Math.round((results.map(of).toSorted((a, b) => a - b)[rounds >> 1] ?? 0) * 10) / 10
  const says = {
    chats,
    threads,
    prefillPerSecond: median((round) => round.prefillPerSecond),
    decodePerSecond: median((round) => round.decodePerSecond),
    firstTokenMs: median((round) => round.firstTokenMs),
  }
  process.stdout.write(`${JSON.stringify(says)}\n`)
  await llama.dispose()
}

/** All chats at once, from nothing: each reads its prompt and writes until it has so many tokens, whatever they are. */
async function one(
  sequences: readonly LlamaContextSequence[],
  vocabulary: readonly Token[],
  size: { prompt: number; tokens: number; round: number },
): Promise<Round> {
  await Promise.all(sequences.map((sequence) => sequence.clearHistory()))
  const start = performance.now()
  const times = await Promise.all(
    sequences.map(async (sequence, at) => {
      const words = Array.from(
        { length: size.prompt },
        (_, i) => vocabulary[(i * 31 + at * 977 + size.round * 7919) % vocabulary.length] ?? vocabulary[0],
      )
      let [first, last, count] = [0, 0, 0]
      const options = { temperature: 0.8, topK: 40, topP: 0.95, minP: 0.05, seed: SEED + at, yieldEogToken: true }
      for await (const _token of sequence.evaluate(
        words.filter((word) => word !== undefined),
        options,
      )) {
        last = performance.now()
        if (first === 0) first = last
        if (++count >= size.tokens) break
      }
      return { first, last }
    }),
  )
  const firsts = Math.max(...times.map(({ first }) => first))
  const end = Math.max(...times.map(({ last }) => last))
  return {
    firstTokenMs: Math.min(...times.map(({ first }) => first)) - start,
    prefillPerSecond: (sequences.length * size.prompt) / ((firsts - start) / 1000),
    decodePerSecond: (sequences.length * (size.tokens - 1)) / ((end - firsts) / 1000),
  }
}

await main()

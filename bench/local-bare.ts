/**
 * The library alone: what node-llama-cpp computes with nothing around it, for comparison with the same model behind Rialto's API.
 *
 *   node bench/local-bare.ts --model FILE [--chats 8] [--tokens 128] [--prompt 512] [--threads 2] [--context 2048] [--rounds 3] [--gpu]
 *
 * Prints one line of JSON with medians; `Figures` says of what. `--gpu` computes on one where there is one. With `--serve` it prints `listening PORT` instead, and computes one
 * round for each POST with a `BareOrder`, answered with its `Figures`: so it takes turns with a server.
 */
import { createServer } from 'node:http'
import { availableParallelism } from 'node:os'
import { json } from 'node:stream/consumers'
import { parseArgs } from 'node:util'
import { getLlama } from 'node-llama-cpp'
import type { LlamaContextSequence, Token } from 'node-llama-cpp'
import { type Figures, figuresOf, median } from './local-times.ts'

const BATCH_TOKENS = 512
const SEED = 7

/** How many tokens each chat reads and writes; rounds with different numbers read different ones. */
export type BareOrder = { readonly prompt: number; readonly tokens: number; readonly round: number }

const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    chats: { type: 'string', default: '1' },
    tokens: { type: 'string', default: '128' },
    prompt: { type: 'string', default: '512' },
    threads: { type: 'string', default: String(availableParallelism()) },
    context: { type: 'string', default: '2048' },
    rounds: { type: 'string', default: '3' },
    gpu: { type: 'boolean', default: false },
    serve: { type: 'boolean', default: false },
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

async function main(): Promise<void> {
  if (!values.model || !chats || !tokens || !prompt || !threads || !context || !rounds)
    throw new Error('--model takes a file; the others take numbers from 1')
  const gpu = values.gpu ? 'auto' : false
  const llama = await getLlama({ gpu, build: 'never', skipDownload: true, progressLogs: false, maxThreads: threads })
  const model = await llama.loadModel({ modelPath: values.model, ...(llama.gpu === false && { gpuLayers: 0 }) })
  const made = await model.createContext({ contextSize: context, sequences: chats, threads, batchSize: BATCH_TOKENS })
  const sequences = Array.from({ length: chats }, () => made.getSequence())
  const vocabulary = [...model.iterateAllTokens()].filter((token) => !model.isSpecialToken(token) && !model.isEogToken(token))
  if (values.serve) {
    serve((order) => one(sequences, vocabulary, order))
    return
  }
  const results: Figures[] = []
  for (let round = 0; round < rounds; round++) results.push(await one(sequences, vocabulary, { prompt, tokens, round }))
  const middle = (of: (figures: Figures) => number): number => Math.round((median(results.map(of)) ?? 0) * 10) / 10
  const says = {
    chats,
    threads,
    prefillPerSecond: middle((figures) => figures.prefillPerSecond),
    decodePerSecond: middle((figures) => figures.decodePerSecond),
    allPerSecond: middle((figures) => figures.allPerSecond),
    firstTokenMs: middle((figures) => figures.firstTokenMs),
  }
  process.stdout.write(`${JSON.stringify(says)}\n`)
  await llama.dispose()
}

function serve(compute: (order: BareOrder) => Promise<Figures>): void {
  const server = createServer((request, response) => {
    void json(request)
      // The benchmark wrote it: it is what its type says.
      .then((body) => compute(body as BareOrder))
      .then(
        (figures) => response.end(JSON.stringify(figures)),
        () => response.writeHead(500).end(),
      )
  })
  server.listen(0, '127.0.0.1', () => {
    const address = server.address()
    if (address !== null && typeof address === 'object') process.stdout.write(`listening ${address.port}\n`)
  })
}

/** All chats at once, from nothing: each reads its prompt and writes until it has so many tokens, whatever they are. */
async function one(sequences: readonly LlamaContextSequence[], vocabulary: readonly Token[], order: BareOrder): Promise<Figures> {
  await Promise.all(sequences.map((sequence) => sequence.clearHistory()))
  const prompts = sequences.map((_, at) => wordsOf(vocabulary, at, order))
  const start = performance.now()
  const times = await Promise.all(
    sequences.map(async (sequence, at) => {
      const pieces: number[] = []
      const options = { temperature: 0.8, topK: 40, topP: 0.95, minP: 0.05, seed: SEED + at, yieldEogToken: true }
      for await (const _token of sequence.evaluate(prompts[at] ?? [], options)) {
        pieces.push(performance.now())
        if (pieces.length >= order.tokens) break
      }
      return { promptTokens: order.prompt, tokens: pieces.length, pieces }
    }),
  )
  return figuresOf(start, times)
}

function wordsOf(vocabulary: readonly Token[], chat: number, { prompt: length, round }: BareOrder): Token[] {
  return Array.from({ length }, (_, i) => vocabulary[(i * 31 + chat * 977 + round * 7919) % vocabulary.length]).filter(
    (word) => word !== undefined,
  )
}

await main()

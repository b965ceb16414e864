/** The sherpa child: one model, speaking or listening. The only script that loads the library. */
import { constants, setPriority } from 'node:os'
import { ChildFailure, serveParent } from '../process-child.ts'
import type { ChildCall, ChildHandler } from '../process-child.ts'
import { type Cutter, QuietCutter, SpeechCutter, type Stretch, WINDOW } from './cuts.ts'
import { type Detector, type Recognizer, type Sherpa, type Speaker, loadSherpa } from './library.ts'
import { LISTEN_RATE, childStart, forgetBody, hearBody, speakBody } from './wire.ts'
import type { ChildStart, Heard, HeardSegment } from './wire.ts'
import { rounded, wordsOf } from './words.ts'

/** The longest stretch of speech that is understood at once, and what the detector keeps of a recording. */
const LONGEST_SPEECH_SECONDS = 24
const DETECTOR_SECONDS = 60
/** Recordings at once, most of them waiting for their turn or for their callers. Each has a detector, of some megabytes. */
const MAX_RECORDINGS = 128

const start = childStart.parse(JSON.parse(process.argv[2] ?? ''))

await serveParent(async () => {
  // The gateway answers everybody; what computes can wait a moment.
  setPriority(constants.priority.PRIORITY_BELOW_NORMAL)
  const sherpa = known('no_library', loadSherpa)
  return Promise.resolve(start.modality === 'tts' ? speaking(sherpa, start) : listening(sherpa, start))
})

type Opened = { readonly info: unknown; readonly handle: ChildHandler }

function speaking(sherpa: Sherpa, { file, others, threads }: ChildStart): Opened {
  const kokoro = {
    model: file,
    voices: needed(others, 'voices'),
    tokens: needed(others, 'tokens'),
    dataDir: others['data'] ?? '',
    // Chinese and American words; a British one has the American's sounds.
    lexicon: ['lexicon', 'lexiconUs', 'lexiconZh'].flatMap((role) => others[role] ?? []).join(','),
    dictDir: others['dict'] ?? '',
    lengthScale: 1,
  }
  const config = { model: { kokoro, numThreads: threads, provider: 'cpu', debug: 0 }, maxNumSentences: 1 }
  const speaker = known('bad_file', () => new sherpa.OfflineTts(config))
  return {
    info: { speakers: speaker.numSpeakers, sampleRate: speaker.sampleRate },
    handle: (call) => {
      if (call.method !== 'speak') throw new ChildFailure('wrong_modality')
      return speak(speaker, call)
    },
  }
}

async function speak(speaker: Speaker, { body, left }: ChildCall): Promise<{ value: unknown; bytes: Uint8Array }> {
  const { text, speaker: sid, speed } = speakBody.parse(body)
  const { samples } = await speaker.generateAsync({ text, sid, speed, enableExternalBuffer: false, onProgress: () => !left.aborted })
  const integers = new Int16Array(samples.length)
  for (let at = 0; at < samples.length; at++) integers[at] = Math.round(Math.max(-1, Math.min(1, samples[at] ?? 0)) * 32_767)
  return { value: null, bytes: new Uint8Array(integers.buffer) }
}

function listening(sherpa: Sherpa, { file, others, threads }: ChildStart): Opened {
  const transducer = { encoder: others['encoder'] ?? file, decoder: needed(others, 'decoder'), joiner: needed(others, 'joiner') }
  const recognizer = known(
    'bad_file',
    () =>
      new sherpa.OfflineRecognizer({
        featConfig: { sampleRate: LISTEN_RATE, featureDim: 80 },
        modelConfig: {
          transducer,
          tokens: needed(others, 'tokens'),
          numThreads: threads,
          provider: 'cpu',
          debug: 0,
          modelType: 'nemo_transducer',
        },
      }),
  )
  const vad = others['vad']
  const cutter = (): Cutter => (vad === undefined ? new QuietCutter() : new SpeechCutter(known('bad_file', () => detector(sherpa, vad))))
  // A detector that is no good shows at the start, not at the first request.
  cutter()
  const recordings = new Map<number, { readonly cutter: Cutter; count: number }>()
  return {
    info: { speakers: 0, sampleRate: LISTEN_RATE },
    async handle(call) {
      if (call.method === 'forget') {
        recordings.delete(forgetBody.parse(call.body).id)
        return { value: null }
      }
      if (call.method !== 'hear') throw new ChildFailure('wrong_modality')
      const { id, from, last } = hearBody.parse(call.body)
      if (from === 0 && recordings.size >= MAX_RECORDINGS) throw new ChildFailure('busy')
      const recording = from === 0 ? { cutter: cutter(), count: 0 } : recordings.get(id)
      // What was heard before went with another child: half a transcript is none.
      if (recording?.count !== from) throw new ChildFailure('lost')
      const samples = floatsOf(call.bytes ?? Buffer.alloc(0))
      recording.count += samples.length
      if (last) recordings.delete(id)
      else recordings.set(id, recording)
      const stretches = [...recording.cutter.feed(samples), ...(last ? recording.cutter.end() : [])]
      return { value: await understand(recognizer, stretches, call) }
    },
  }
}

/** A declaration, because the module waits above while it is used. */
function detector(sherpa: Sherpa, model: string): Detector {
  const sileroVad = {
    model,
    threshold: 0.5,
    minSilenceDuration: 0.5,
    minSpeechDuration: 0.1,
    windowSize: WINDOW,
    maxSpeechDuration: LONGEST_SPEECH_SECONDS,
  }
  return new sherpa.Vad({ sileroVad, sampleRate: LISTEN_RATE, numThreads: 1, provider: 'cpu', debug: 0 }, DETECTOR_SECONDS)
}

async function understand(recognizer: Recognizer, stretches: readonly Stretch[], { left, beat }: ChildCall): Promise<Heard> {
  const segments: HeardSegment[] = []
  for (const { start: first, samples } of stretches) {
    if (left.aborted) break
    const stream = recognizer.createStream()
    stream.acceptWaveform({ samples, sampleRate: LISTEN_RATE })
    const result = await recognizer.decodeAsync(stream)
    beat()
    const offset = first / LISTEN_RATE
    const text = result.text.trim()
    if (text === '') continue
    segments.push({ text, start: rounded(offset), end: rounded(offset + samples.length / LISTEN_RATE), words: wordsOf(result, offset) })
  }
  return { segments }
}

function floatsOf(bytes: Buffer): Float32Array {
  const floats = new Float32Array(Math.floor(bytes.length / 2))
  for (let at = 0; at < floats.length; at++) floats[at] = bytes.readInt16LE(at * 2) / 32_768
  return floats
}

function needed(others: Readonly<Record<string, string>>, role: string): string {
  const path = others[role]
  if (path === undefined) throw new ChildFailure('bad_file')
  return path
}

/** What the library throws quotes paths and files: only what it means goes on. */
function known<T>(reason: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw error instanceof ChildFailure ? error : new ChildFailure(reason)
  }
}

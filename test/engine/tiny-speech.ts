/**
 * Models of the kinds that sherpa-onnx runs, a few kilobytes each, so that the real engine can be tested without weights: a
 * detector of speech that hears loudness, a transducer that turns the colour of a sound into letters, and a voice that sings a
 * tone per phoneme.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { FLOAT, INT32, INT64, node, onnx, tensor, value } from './onnx-file.ts'

const floats = (...values: number[]): Float32Array => Float32Array.from(values)
const integers = (...values: number[]): BigInt64Array => BigInt64Array.from(values.map(BigInt))

const FEATURES = 80
const TOKENS = [' ', ...Array.from('abcdefghijklmnopqrstuvwxyz'), '.', "'", '▁the']
const DURATIONS = 5
const HIDDEN = 8

/** Speech is whatever is louder than a whisper. */
const detector = (): Buffer =>
  onnx({
    nodes: [
      node('Mul', ['input', 'input'], ['square']),
      node('ReduceMean', ['square'], ['mean'], { axes: [1], keepdims: 1 }),
      node('Mul', ['mean', 'gain'], ['loud']),
      node('Clip', ['loud', 'none', 'all'], ['output']),
      node('Identity', ['h'], ['hn']),
      node('Identity', ['c'], ['cn']),
    ],
    constants: [tensor('gain', [1], floats(400)), tensor('none', [], floats(0)), tensor('all', [], floats(1))],
    inputs: [value('input', FLOAT, [1, 'n']), value('sr', INT64, [1]), value('h', FLOAT, [2, 1, 64]), value('c', FLOAT, [2, 1, 64])],
    outputs: [value('output', FLOAT, [1, 1]), value('hn', FLOAT, [2, 1, 64]), value('cn', FLOAT, [2, 1, 64])],
  })

/** Eight frames become one: their mean. */
const encoder = (): Buffer =>
  onnx({
    meta: {
      vocab_size: TOKENS.length,
      subsampling_factor: 8,
      normalize_type: 'per_feature',
      pred_rnn_layers: 1,
      pred_hidden: HIDDEN,
      model_type: 'EncDecRNNTBPEModel',
      version: 2,
      model_author: 'tests',
      url: 'https://example.invalid/tiny-tdt',
      feat_dim: FEATURES,
    },
    nodes: [
      node('AveragePool', ['audio_signal'], ['outputs'], { kernel_shape: [8], strides: [8], ceil_mode: 1 }),
      node('Add', ['length', 'seven'], ['rounded']),
      node('Div', ['rounded', 'eight'], ['encoded_lengths']),
    ],
    constants: [tensor('seven', [1], integers(7)), tensor('eight', [1], integers(8))],
    inputs: [value('audio_signal', FLOAT, ['B', FEATURES, 'T']), value('length', INT64, ['B'])],
    outputs: [value('outputs', FLOAT, ['B', FEATURES, 'T2']), value('encoded_lengths', INT64, ['B'])],
  })

const decoder = (): Buffer =>
  onnx({
    nodes: [
      node('Cast', ['targets'], ['numbers'], { to: FLOAT }),
      node('Unsqueeze', ['numbers', 'axis'], ['wide']),
      node('Mul', ['wide', 'ones'], ['outputs']),
      node('Identity', ['target_length'], ['prednet_lengths']),
      node('Identity', ['states.1'], ['n1']),
      node('Identity', ['states.2'], ['n2']),
    ],
    constants: [tensor('axis', [1], integers(2)), tensor('ones', [1, HIDDEN, 1], new Float32Array(HIDDEN).fill(1 / 30))],
    inputs: [
      value('targets', INT32, ['B', 'U']),
      value('target_length', INT32, ['B']),
      value('states.1', FLOAT, [1, 'B', HIDDEN]),
      value('states.2', FLOAT, [1, 'B', HIDDEN]),
    ],
    outputs: [
      value('outputs', FLOAT, ['B', HIDDEN, 'U']),
      value('prednet_lengths', INT32, ['B']),
      value('n1', FLOAT, [1, 'B', HIDDEN]),
      value('n2', FLOAT, [1, 'B', HIDDEN]),
    ],
  })

/** Random weights, the same each time; every token lasts one frame. */
function joiner(): Buffer {
  const blank = TOKENS.length
  const width = blank + 1 + DURATIONS
  let seed = 7
  const random = (): number => {
    seed = (seed * 1_103_515_245 + 12_345) & 0x7fffffff
    return seed / 0x7fffffff - 0.5
  }
  const fromSound = new Float32Array(FEATURES * width)
  for (let feature = 0; feature < FEATURES; feature++)
    for (let token = 0; token <= blank; token++) fromSound[feature * width + token] = random()
  const fromToken = new Float32Array(HIDDEN * width)
  for (let hidden = 0; hidden < HIDDEN; hidden++)
    for (let token = 0; token < blank; token++) fromToken[hidden * width + token] = random() * 2
  const bias = new Float32Array(width)
  bias[blank] = 1.5
  bias.set([-5, 5, -5, -5, -5], blank + 1)
  return onnx({
    nodes: [
      node('Transpose', ['encoder_outputs'], ['e'], { perm: [0, 2, 1] }),
      node('MatMul', ['e', 'W'], ['ew']),
      node('Transpose', ['decoder_outputs'], ['d'], { perm: [0, 2, 1] }),
      node('MatMul', ['d', 'U'], ['du']),
      node('Add', ['ew', 'du'], ['sum']),
      node('Add', ['sum', 'bias'], ['biased']),
      node('Unsqueeze', ['biased', 'axis'], ['outputs']),
    ],
    constants: [
      tensor('W', [FEATURES, width], fromSound),
      tensor('U', [HIDDEN, width], fromToken),
      tensor('bias', [width], bias),
      tensor('axis', [1], integers(2)),
    ],
    inputs: [value('encoder_outputs', FLOAT, ['B', FEATURES, 'T']), value('decoder_outputs', FLOAT, ['B', HIDDEN, 'U'])],
    outputs: [value('outputs', FLOAT, ['B', 'T', 'U', width])],
  })
}

export const VOICE_RATE = 24_000
/** What each phoneme lasts. */
const PHONEME_SAMPLES = 1_200
const SPEAKERS = 3
const STYLES = 64
const STYLE_WIDTH = 16
const PHONEMES = [...new Set(' !"\'(),-.:;?abcdefghijklmnopqrstuvwxyzæçðøŋœɐɑɒɔəɚɛɜɡɪɫɬɹɾʃʊʌʒʔˈˌːθᵻʲ—…“”')]

/** A tone per phoneme, higher for later letters and for later speakers. */
function voice(): Buffer {
  const times = Float32Array.from({ length: PHONEME_SAMPLES }, (_, at) => (at / VOICE_RATE) * 2 * Math.PI)
  return onnx({
    meta: {
      sample_rate: VOICE_RATE,
      n_speakers: SPEAKERS,
      has_espeak: 1,
      voice: 'en-us',
      style_dim: `${STYLES},1,${STYLE_WIDTH}`,
      version: 1,
      speaker_names: 'a,b,c',
      model_type: 'kokoro',
      maintainer: 'tests',
      comment: 'tests',
    },
    nodes: [
      node('Cast', ['tokens'], ['numbers'], { to: FLOAT }),
      node('Transpose', ['numbers'], ['column'], { perm: [1, 0] }),
      node('Mul', ['column', 'hertz'], ['pitch']),
      node('ReduceMean', ['style'], ['shift'], { axes: [1], keepdims: 1 }),
      node('Add', ['pitch', 'shift'], ['shifted']),
      node('MatMul', ['shifted', 'times'], ['phase']),
      node('Sin', ['phase'], ['tone']),
      node('Mul', ['tone', 'loudness'], ['quiet']),
      node('Reshape', ['quiet', 'flat'], ['audio']),
    ],
    constants: [
      tensor('hertz', [1], floats(12)),
      tensor('times', [1, PHONEME_SAMPLES], times),
      tensor('loudness', [1], floats(0.3)),
      tensor('flat', [1], integers(-1)),
    ],
    inputs: [value('tokens', INT64, [1, 'n']), value('style', FLOAT, [1, STYLE_WIDTH]), value('speed', FLOAT, [1])],
    outputs: [value('audio', FLOAT, ['m'])],
  })
}

const styles = (): Buffer =>
  Buffer.from(
    Float32Array.from({ length: SPEAKERS * STYLES * STYLE_WIDTH }, (_, at) => Math.floor(at / (STYLES * STYLE_WIDTH)) * 60).buffer,
  )

export type Files = { readonly file: string; readonly others: Readonly<Record<string, string>> }

/** Writes a transducer with its detector into the folder. */
export async function writeListener(folder: string): Promise<Files> {
  await mkdir(folder, { recursive: true })
  const at = (name: string): string => join(folder, name)
  const tokens = TOKENS.map((token, number) => `${token === ' ' ? '▁' : token} ${number}\n`).join('')
  await Promise.all([
    writeFile(at('encoder.onnx'), encoder()),
    writeFile(at('decoder.onnx'), decoder()),
    writeFile(at('joiner.onnx'), joiner()),
    writeFile(at('vad.onnx'), detector()),
    writeFile(at('tokens.txt'), `${tokens}<blk> ${TOKENS.length}\n`),
  ])
  return {
    file: at('encoder.onnx'),
    others: { decoder: at('decoder.onnx'), joiner: at('joiner.onnx'), tokens: at('tokens.txt'), vad: at('vad.onnx') },
  }
}

/** Writes a voice with three speakers into the folder, beside the pronunciations that espeak-ng brings. */
export async function writeVoice(folder: string): Promise<Files> {
  await mkdir(folder, { recursive: true })
  const at = (name: string): string => join(folder, name)
  await Promise.all([
    writeFile(at('model.onnx'), voice()),
    writeFile(at('voices.bin'), styles()),
    writeFile(at('tokens.txt'), PHONEMES.map((sign, number) => `${sign} ${number + 1}\n`).join('')),
    writePronunciations(at('espeak-ng-data')),
  ])
  return { file: at('model.onnx'), others: { voices: at('voices.bin'), tokens: at('tokens.txt'), data: at('espeak-ng-data') } }
}

/** What of the WebAssembly's own file system is used. */
type Disk = {
  readdir(path: string): string[]
  stat(path: string): { readonly mode: number }
  isDir(mode: number): boolean
  readFile(path: string): Uint8Array
}

async function writePronunciations(folder: string): Promise<void> {
  // It has no types of its own, and is not installed everywhere; what is used of it is above.
  const library = 'espeak-ng'
  const { default: espeak } = (await import(library)) as { default: (options: object) => Promise<{ FS: Disk }> }
  const { FS } = await espeak({ arguments: ['--version'], print: () => undefined, printErr: () => undefined })
  await copy(FS, '/usr/local/share/espeak-ng-data', folder)
}

async function copy(disk: Disk, from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true })
  for (const name of disk.readdir(from)) {
    if (name === '.' || name === '..') continue
    const path = `${from}/${name}`
    if (disk.isDir(disk.stat(path).mode)) await copy(disk, path, join(to, name))
    // English is enough, and the others are large.
    else if (!name.endsWith('_dict') || name === 'en_dict') await writeFile(join(to, name), disk.readFile(path))
  }
}

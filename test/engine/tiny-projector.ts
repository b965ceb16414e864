/**
 * Makes a projector for the tiny chat model: what llama.cpp puts in front of a model that sees (`--mmproj`). Its weights are written by
 * hand, too: every patch of a picture becomes a vector that says `Hello` as loudly as the patch is bright. So the model welcomes who
 * shows it something bright, and says the same as ever in the dark; only an engine that really looks at the picture knows which.
 */
import { writeGguf } from './gguf-file.ts'
import type { Meta, Tensor } from './gguf-file.ts'
import { DIMENSIONS, dimensionOf } from './tiny-gguf.ts'

const SIDE = 32
const PATCH = 8
/** How many vectors a picture becomes, and so how many tokens it counts as. */
export const PICTURE_TOKENS = (SIDE / PATCH) ** 2

const WIDTH = 32
const FEED_FORWARD = 64
const LAYERS = 2
const COLOURS = 3
/** So loud that it is heard among the other words of a prompt. */
const LOUDNESS = 4

export async function writeTinyProjector(path: string): Promise<void> {
  const eye = filled('v.patch_embd.weight', WIDTH, PATCH * PATCH * COLOURS, 0)
  // The first number of a patch is its brightness, from -1 to 1; the others are nothing.
  eye.values.fill(1 / (PATCH * PATCH * COLOURS), 0, PATCH * PATCH * COLOURS)
  const hear = filled('mm.0.weight', DIMENSIONS, WIDTH, 0)
  hear.values[0] = LOUDNESS
  const say = filled('mm.2.weight', DIMENSIONS, DIMENSIONS, 0)
  say.values[dimensionOf('Hello') * DIMENSIONS] = 1
  const always = row('mm.2.bias', DIMENSIONS, 0)
  // A vector of nothing would be blown up to something by the model's norm.
  always.values[dimensionOf('system')] = 1

  await writeGguf(path, META, [
    { ...eye, shape: [PATCH, PATCH, COLOURS, WIDTH] },
    filled('v.position_embd.weight', PICTURE_TOKENS, WIDTH, 0),
    ...Array.from({ length: LAYERS }, (_, layer) => silentLayer(layer)).flat(),
    hear,
    row('mm.0.bias', DIMENSIONS, 0),
    say,
    always,
  ])
}

const flag = (value: boolean): Meta => ({ kind: 'bool', value })
const text = (value: string): Meta => ({ kind: 'string', value })
const count = (value: number): Meta => ({ kind: 'u32', value })
const halves: Meta = { kind: 'f32s', value: [0.5, 0.5, 0.5] }

const META: Readonly<Record<string, Meta>> = {
  'general.architecture': text('clip'),
  'general.name': text('tiny-projector'),
  'general.file_type': count(0),
  'clip.has_vision_encoder': flag(true),
  'clip.has_text_encoder': flag(false),
  'clip.has_llava_projector': flag(true),
  'clip.projector_type': text('mlp'),
  'clip.use_gelu': flag(false),
  'clip.vision.image_size': count(SIDE),
  'clip.vision.patch_size': count(PATCH),
  'clip.vision.embedding_length': count(WIDTH),
  'clip.vision.feed_forward_length': count(FEED_FORWARD),
  'clip.vision.projection_dim': count(DIMENSIONS),
  'clip.vision.attention.head_count': count(2),
  'clip.vision.attention.layer_norm_epsilon': { kind: 'f32', value: 1e-5 },
  'clip.vision.block_count': count(LAYERS),
  'clip.vision.image_mean': halves,
  'clip.vision.image_std': halves,
}

/** A layer that lets everything pass as it is. */
function silentLayer(layer: number): Tensor[] {
  const at = `v.blk.${layer}.`
  const looks = ['attn_q', 'attn_k', 'attn_v', 'attn_out'].flatMap((name) => [
    filled(`${at}${name}.weight`, WIDTH, WIDTH, 0),
    row(`${at}${name}.bias`, WIDTH, 0),
  ])
  const norms = ['ln1', 'ln2'].flatMap((name) => [row(`${at}${name}.weight`, WIDTH, 1), row(`${at}${name}.bias`, WIDTH, 0)])
  return [
    ...looks,
    ...norms,
    filled(`${at}ffn_up.weight`, FEED_FORWARD, WIDTH, 0),
    row(`${at}ffn_up.bias`, FEED_FORWARD, 0),
    filled(`${at}ffn_down.weight`, WIDTH, FEED_FORWARD, 0),
    row(`${at}ffn_down.bias`, WIDTH, 0),
  ]
}

const filled = (name: string, rows: number, columns: number, value: number): Tensor => ({
  name,
  rows,
  columns,
  values: new Float32Array(rows * columns).fill(value),
})

const row = (name: string, columns: number, value: number): Tensor => filled(name, 1, columns, value)

/** What a priced unit is called and counted in on a bill: `llama-3.3-70b-llm-output-mtoken` in millions of tokens, and so on. */
import type { Modality } from '../core/modality.ts'
import type { Unit } from '../core/usage.ts'

/** The word for a modality in the middle of a SKU. */
const WORDS: Readonly<Record<Modality, string>> = {
  text: 'llm',
  embedding: 'embedding',
  image: 'image',
  inpaint: 'inpaint',
  upscale: 'upscale',
  tts: 'tts',
  asr: 'asr',
  music: 'music',
  video: 'video',
}

/** The end of a SKU, and how many of our units make one of a bill's. Tokens and characters are sold by the million. */
const BILLED: Readonly<Record<Unit, { readonly end: string; readonly size: number }>> = {
  inputToken: { end: 'input-mtoken', size: 1_000_000 },
  cacheReadToken: { end: 'cache-input-mtoken', size: 1_000_000 },
  cacheWriteToken: { end: 'cache-write-mtoken', size: 1_000_000 },
  outputToken: { end: 'output-mtoken', size: 1_000_000 },
  image: { end: 'unit', size: 1 },
  character: { end: 'mcharacter', size: 1_000_000 },
  audioSecond: { end: 'second', size: 1 },
  videoSecond: { end: 'second', size: 1 },
  call: { end: 'call', size: 1 },
}

/** The catalogue's id of the model, as it is, then what of it was used. */
export const skuOf = (model: string, modality: Modality, unit: Unit): string => `${model}-${WORDS[modality]}-${BILLED[unit].end}`

/** How many of a unit make one on a bill: a million tokens, one image. */
export const billedSize = (unit: Unit): number => BILLED[unit].size

/**
 * Which number a voice has in a Kokoro file. The files do not hold names; this is the order in which sherpa-onnx's own script
 * (`scripts/kokoro/v1.0/generate_voices_bin.py`) writes the voices of Kokoro 1.0, and that of 0.19 as its documentation has it.
 */
const KOKORO_1_0 = [
  'af_alloy',
  'af_aoede',
  'af_bella',
  'af_heart',
  'af_jessica',
  'af_kore',
  'af_nicole',
  'af_nova',
  'af_river',
  'af_sarah',
  'af_sky',
  'am_adam',
  'am_echo',
  'am_eric',
  'am_fenrir',
  'am_liam',
  'am_michael',
  'am_onyx',
  'am_puck',
  'am_santa',
  'bf_alice',
  'bf_emma',
  'bf_isabella',
  'bf_lily',
  'bm_daniel',
  'bm_fable',
  'bm_george',
  'bm_lewis',
  'ef_dora',
  'em_alex',
  'ff_siwis',
  'hf_alpha',
  'hf_beta',
  'hm_omega',
  'hm_psi',
  'if_sara',
  'im_nicola',
  'jf_alpha',
  'jf_gongitsune',
  'jf_nezumi',
  'jf_tebukuro',
  'jm_kumo',
  'pf_dora',
  'pm_alex',
  'pm_santa',
  'zf_xiaobei',
  'zf_xiaoni',
  'zf_xiaoxiao',
  'zf_xiaoyi',
  'zm_yunjian',
  'zm_yunxi',
  'zm_yunxia',
  'zm_yunyang',
] as const
const KOKORO_0_19 = [
  'af',
  'af_bella',
  'af_nicole',
  'af_sarah',
  'af_sky',
  'am_adam',
  'am_michael',
  'bf_emma',
  'bf_isabella',
  'bm_george',
  'bm_lewis',
] as const

/** Where nobody asks for one. */
const DEFAULT_VOICE = 'af_sky'

/** Whether any file has a voice of this name: what can be said before one is opened. */
export const isVoice = (voice: string | null): boolean =>
  voice === null || position(KOKORO_1_0, voice) !== null || position(KOKORO_0_19, voice) !== null

/** The number of a voice in a file with so many; null where it has none of this name. A file of a kind of its own begins as 1.0 does. */
export function speakerOf(voice: string | null, speakers: number): number | null {
  const names: readonly string[] = speakers === KOKORO_0_19.length ? KOKORO_0_19 : KOKORO_1_0
  if (voice === null) return Math.min(position(names, DEFAULT_VOICE) ?? 0, speakers - 1)
  const number = position(names, voice)
  return number !== null && number < speakers ? number : null
}

function position(names: readonly string[], voice: string): number | null {
  const at = names.indexOf(voice)
  return at === -1 ? null : at
}

/**
 * Chooses a token by hand. Log probabilities are those of the model, before temperature and cuts; the library gives only those
 * after them. So where they are asked for it is left to give the model's own, and the choice is made here, by the same rules.
 */
import type { Sampling } from '../../core/modalities/text.ts'

/** What a request leaves open: llama.cpp's own defaults. */
export const DEFAULTS = { temperature: 0.8, topK: 40, topP: 0.95, minP: 0.05 } as const

/** Seeds are of 32 bits. */
export const MAX_SEED = 2 ** 32

/** How many of the newest tokens are punished for being repeated. */
export const PUNISHED_TOKENS = 256

export type Candidates = ReadonlyMap<number, number>

/** Numbers from 0 to 1 that are the same for the same seed (mulberry32). */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** `candidates` are sorted, the likeliest first, with the model's probabilities. `recent` are tokens to be punished. */
export function choose(candidates: Candidates, sampling: Sampling, recent: readonly number[], random: () => number): number {
  const punished = punish(candidates, sampling, recent)
  const temperature = sampling.temperature ?? DEFAULTS.temperature
  const [best] = punished
  if (best === undefined) throw new RangeError('no candidates')
  if (temperature <= 0) return best.token
  const topK = sampling.top_k ?? DEFAULTS.topK
  const kept = cut(topK > 0 ? punished.slice(0, topK) : punished, sampling.top_p ?? DEFAULTS.topP, sampling.min_p ?? DEFAULTS.minP)
  const weights = kept.map(({ score }) => Math.exp((score - best.score) / temperature))
  let left = random() * weights.reduce((sum, weight) => sum + weight, 0)
  for (const [at, weight] of weights.entries()) {
    left -= weight
    if (left <= 0) return kept[at]?.token ?? best.token
  }
  return kept.at(-1)?.token ?? best.token
}

type Scored = { readonly token: number; readonly score: number }

function punish(candidates: Candidates, sampling: Sampling, recent: readonly number[]): Scored[] {
  const scored = Array.from(candidates, ([token, probability]) => ({ token, score: Math.log(probability) }))
  const { frequency_penalty: frequency = 0, presence_penalty: presence = 0, repetition_penalty: repetition = 1 } = sampling
  if (recent.length === 0 || (frequency === 0 && presence === 0 && repetition === 1)) return scored
  const counts = new Map<number, number>()
  for (const token of recent.slice(-PUNISHED_TOKENS)) counts.set(token, (counts.get(token) ?? 0) + 1)
  const out = scored.map(({ token, score }) => {
    const count = counts.get(token)
    // Log probabilities are never positive, so that dividing them would favour the token.
    return count === undefined ? { token, score } : { token, score: score * repetition - count * frequency - presence }
  })
  return out.sort((a, b) => b.score - a.score)
}

function cut(scored: readonly Scored[], topP: number, minP: number): readonly Scored[] {
  const best = scored[0]?.score ?? 0
  const total = scored.reduce((sum, { score }) => sum + Math.exp(score), 0)
  let sum = 0
  let count = 0
  for (const { score } of scored) {
    if (count > 0 && (sum >= topP * total || Math.exp(score - best) < minP)) break
    sum += Math.exp(score)
    count++
  }
  return scored.slice(0, Math.max(1, count))
}

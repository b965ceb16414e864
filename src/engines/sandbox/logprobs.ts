/** Log probabilities in the shape of the OpenAI chat API: made up, but well-formed, ordered and always the same. */
import { hashOf } from './hash.ts'

/** As many alternatives per token as the OpenAI API gives at most. */
export const MOST_ALTERNATIVES = 20

type Entry = { readonly token: string; readonly logprob: number; readonly bytes: readonly number[] }

/** With `alternatives` per token; the token itself comes first, as the most likely one. */
export const logprobsOf = (tokens: readonly string[], alternatives: number): unknown => ({
  content: tokens.map((token) => {
    const logprob = -(hashOf(token) % 500) / 1000
    const others = Array.from({ length: alternatives }, (_, i) => (i === 0 ? entry(token, logprob) : entry(`${token}~${i}`, logprob - i)))
    return { ...entry(token, logprob), top_logprobs: others }
  }),
  refusal: null,
})

const entry = (token: string, logprob: number): Entry => ({
  token,
  logprob: logprob === 0 ? 0 : logprob,
  bytes: [...Buffer.from(token, 'utf8')],
})

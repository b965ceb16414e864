import { expect, test } from 'vitest'
import { childFailure } from './failure.ts'

test('what the dialect made of a refusal keeps its code, its sentence and its word for the log', () => {
  const said = { code: 'TOO_MANY_TOKENS', say: 'The request has 7 tokens; the model takes 5', internal: 'upstream_400' }

  expect(childFailure('failed', said)).toMatchObject({ code: said.code, message: said.say, internal: said.internal })
})

test.each([['what somebody said'], ['upstream_400\nSECRET'], ['x'.repeat(65)], [7]])(
  'nothing but a word of ours gets into the log: %j',
  (internal) => {
    expect(childFailure('failed', { code: 'NO_SUCH_CODE', internal })).toMatchObject({ code: 'INFERENCE_FAILED', internal: 'llama_defect' })
  },
)

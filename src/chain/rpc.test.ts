import { describe, expect, it } from 'vitest'
import { Failure } from '../core/errors.ts'
import type { Outside } from '../core/outside.ts'
import { Rpc } from './rpc.ts'

const SECRET_URL = 'https://node.example/v1/the-operators-key'

/** A node that answers with this text, or not at all. */
const nodeOf = (answer: string | Error, status = 200): Rpc => {
  const outside: Outside = {
    post: () => (answer instanceof Error ? Promise.reject(answer) : Promise.resolve({ status, body: Buffer.from(answer) })),
  }
  return new Rpc(outside, SECRET_URL, 1_000)
}
const results = (...items: unknown[]): string => JSON.stringify(items.map((item, id) => ({ jsonrpc: '2.0', id, ...Object(item) })))
const CALLS = [
  { method: 'eth_call', params: [] },
  { method: 'eth_call', params: [] },
]

describe('a node', () => {
  it('is understood whatever the order of its answers', async () => {
    const rpc = nodeOf(
      JSON.stringify([
        { id: 1, result: '0x2' },
        { id: 0, result: '0x1' },
      ]),
    )

    expect(await rpc.batch(CALLS)).toEqual([
      { type: 'value', value: '0x1' },
      { type: 'value', value: '0x2' },
    ])
  })

  it.each([
    ['reverted', { code: 3, message: 'execution reverted' }],
    ['reverted', { code: -32_000, message: 'execution reverted: broken' }],
    ['reverted', { code: -32_000, message: 'invalid opcode: INVALID' }],
    ['refused', { code: -32_005, message: 'limit exceeded' }],
    ['refused', { code: -32_603, message: 'internal error' }],
  ])('that says an error is %s as it means it', async (type, error) => {
    expect(await nodeOf(results({ error }, { result: '0x' })).batch(CALLS)).toEqual([{ type }, { type: 'value', value: '0x' }])
  })

  it('that leaves an answer out has not answered that call', async () => {
    expect(await nodeOf(results({ result: '0x1' })).batch(CALLS)).toEqual([{ type: 'value', value: '0x1' }, { type: 'refused' }])
  })

  it.each<[string, Rpc]>([
    ['does not answer', nodeOf(new Error(`connect ${SECRET_URL}`))],
    ['answers with an error status', nodeOf(results({ result: '0x1' }), 500)],
    ['answers with no JSON', nodeOf('<html>')],
    ['answers with other JSON', nodeOf('{"answer":42}')],
    ['takes no batches', nodeOf('{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"no batches"}}')],
  ])('that %s is unavailable, and its address and words are in no error', async (_, rpc) => {
    const error: unknown = await rpc.batch(CALLS).catch((caught: unknown) => caught)

    expect(error).toMatchObject({ code: 'CHAIN_UNAVAILABLE', status: 503 })
    expect(error).toBeInstanceOf(Failure)
    expect(JSON.stringify([error, String(error), error instanceof Error ? error.cause : null])).not.toMatch(/operators|html|42|batches/)
  })
})

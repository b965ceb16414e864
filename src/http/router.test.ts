import { describe, expect, it } from 'vitest'
import { type Method, endpoint, json } from '../endpoints/endpoint.ts'
import { Router } from './router.ts'

const at = (method: Method, path: string) =>
  endpoint({
    method,
    path,
    tag: 't',
    summary: 's',
    description: 'd',
    scope: 'public',
    answers: {},
    example: { answer: null },
    errors: [],
    handle: () => json(null),
  })

const router = new Router([at('GET', '/models'), at('GET', '/models/traits'), at('GET', '/models/{id}'), at('POST', '/keys/{id}/limits')])

const found = (method: string, path: string): unknown => {
  const match = router.match(method, path)
  return match && [match.endpoint.path, match.params]
}

describe('the router', () => {
  it('finds an endpoint under every base', () => {
    for (const base of ['/api/v1', '/v1', '']) expect(found('GET', `${base}/models`)).toEqual(['/models', {}])
  })

  it('prefers an exact path to a pattern, and forgives a slash at the end', () => {
    expect(found('GET', '/v1/models/traits/')).toEqual(['/models/traits', {}])
  })

  it('gives a name at the end of a path the rest of it, decoded', () => {
    expect(found('GET', '/models/nvidia/parakeet%20v3')).toEqual(['/models/{id}', { id: 'nvidia/parakeet v3' }])
    expect(found('POST', '/keys/k1/limits')).toEqual(['/keys/{id}/limits', { id: 'k1' }])
  })

  it('finds nothing for a broken escape, an empty name, a longer path or another method, and says which methods there are', () => {
    expect(found('GET', '/models/%zz')).toBeNull()
    expect(found('GET', '/models//')).toBeNull()
    expect(found('POST', '/keys/k1/limits/more')).toBeNull()
    expect(found('DELETE', '/models')).toBeNull()
    expect(router.methods('/api/v1/models')).toEqual(['GET'])
    expect(router.methods('/nowhere')).toEqual([])
  })

  it('refuses two endpoints on one path', () => {
    expect(() => new Router([at('GET', '/a'), at('GET', '/a')])).toThrow('Two endpoints')
  })
})

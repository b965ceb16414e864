import { describe, expect, test } from 'vitest'
import { Egress } from './egress.ts'
import { ask, egressTo, ignore, rawUpstream, upstreamThat } from './egress.fixture.ts'
import { Heads } from './egress-head.ts'

const headsOf = (baseUrl: string, headers: Readonly<Record<string, string>> = {}): Heads => new Heads(new URL(baseUrl), headers)
const GET = { method: 'GET', path: '/models', accept: 'a/b' } as const

describe('the head of a request', () => {
  test.each([
    ['http://engine.example/v1', 'engine.example'],
    ['http://engine.example:80/v1', 'engine.example'],
    ['http://engine.example:8080/v1', 'engine.example:8080'],
    ['https://engine.example:443/v1', 'engine.example'],
    ['http://[::1]:9/v1', '[::1]:9'],
  ])('names the host of %s', (baseUrl, host) => {
    expect(headsOf(baseUrl).of(GET).split('\r\n').slice(0, 2)).toEqual(['GET /v1/models HTTP/1.1', `host: ${host}`])
  })

  test('ends where there is no body, and asks for its length where there is one', () => {
    const heads = headsOf('http://engine.example')
    const post = { ...GET, method: 'POST' } as const

    expect(heads.of(GET)).toMatch(/identity\r\n\r\n$/)
    expect(heads.of(post)).toMatch(/\r\ncontent-length: 0\r\n\r\n$/)
    expect(heads.of({ ...post, body: '{}' })).toMatch(/\r\ncontent-length: $/)
  })

  test('is one for each kind of request, and there are never more than a few', () => {
    const heads = headsOf('http://engine.example/v1')
    const kinds = [GET, { ...GET, method: 'POST' }, { ...GET, accept: 'c/d' }, { ...GET, fromRoot: true }, { ...GET, body: '' }] as const

    expect(new Set(kinds.map((kind) => heads.of(kind))).size).toBe(kinds.length)
    for (let count = 0; count < 1000; count++) {
      expect(heads.of({ ...GET, path: `/${count}` })).toContain(`GET /v1/${count} HTTP/1.1\r\n`)
      expect(heads.of(GET)).toContain('GET /v1/models HTTP/1.1\r\n')
    }
  })

  test.each(['/models\r\nhost: other', '/a b', '/a#b', '/é', 'models\n'])('has no path such as %j', async (path) => {
    const upstream = await upstreamThat(({ response }) => void response.end())

    await expect(egressTo(upstream.baseUrl).send(ask({ path }), ignore)).rejects.toMatchObject({ internal: 'upstream_request' })
    await expect(egressTo(upstream.baseUrl).send(ask({ accept: 'a\r\nb: c' }), ignore)).rejects.toMatchObject({
      internal: 'upstream_request',
    })
    expect(upstream.asked).toEqual([])
  })

  test.each<[string, Readonly<Record<string, string>>]>([
    ['a value of two lines', { authorization: 'Bearer secret\r\nx: y' }],
    ['a value with a NUL', { authorization: 'secret\0x' }],
    ['a value beyond ASCII', { authorization: 'sécret' }],
    ['a name with a blank', { 'secret name': 'x' }],
    ['a name of nothing', { '': 'secret' }],
    ['a length', { 'Content-Length': 'secret' }],
    ['a coding', { 'transfer-encoding': 'secret' }],
    ['an expectation', { Expect: 'secret' }],
    ['another host', { host: 'secret' }],
  ])('never has %s, and who asks for it is told without quoting it', (_what, headers) => {
    const made = (): Egress => new Egress({ baseUrl: 'http://127.0.0.1:1', headers, allowPrivateAddresses: true })

    expect(made).toThrow(TypeError)
    expect(made).not.toThrow('secret')
    expect(made).not.toThrow('sécret')
  })

  test('takes the operator’s word for its own, and a key from a file', () => {
    const head = headsOf('http://engine.example', { 'User-Agent': 'mine', Authorization: 'Bearer k\n' }).of(GET)

    expect(head).toContain('\r\nuser-agent: mine\r\n')
    expect(head).toContain('\r\nauthorization: Bearer k\r\n')
    expect(head.match(/user-agent/g)).toHaveLength(1)
  })

  test.each(['http://user:secret@engine.example', 'http://user@engine.example', 'ftp://engine.example', 'engine.example', ''])(
    'is not made for %j',
    (baseUrl) => {
      const made = (): Egress => new Egress({ baseUrl, headers: {}, allowPrivateAddresses: true })

      expect(made).toThrow(TypeError)
      expect(made).not.toThrow('secret')
    },
  )
})

describe('the body of a request', () => {
  test.each<[string, string | Buffer]>([
    ['ASCII', '{"a":"b"}'],
    ['Latin-1', '{"a":"é"}'],
    ['all of Unicode', '{"a":"日本 🦩"}'],
    ['half of a character', '{"a":"\ud83e"}'],
    ['nothing', ''],
    ['bytes', Buffer.from([0, 255, 13, 10, 13, 10])],
    ['more than a system takes at once', 'ß'.repeat(4 * 1024 * 1024)],
    ['more bytes than a system takes at once', Buffer.alloc(8 * 1024 * 1024, 'ab')],
  ])('of %s arrives as it is', async (_what, body) => {
    const upstream = await upstreamThat(({ response }) => void response.end())

    await egressTo(upstream.baseUrl).send(ask({ body }), ignore)

    expect(upstream.asked[0]?.body === Buffer.from(body).toString('utf8')).toBe(true)
  })

  test('leaves with its head in one packet', async () => {
    const packets: string[] = []
    const upstream = await rawUpstream((socket, count) => {
      if (count === 0) socket.on('data', (bytes) => packets.push(String(bytes)))
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n')
    })
    const egress = egressTo(upstream.baseUrl)
    await egress.send(ask(), ignore)

    await egress.send(ask({ body: '{"a":"é"}' }), ignore)
    await egress.send(ask({ body: Buffer.from('{}') }), ignore)

    expect(packets.map((packet) => packet.slice(0, 5) + packet.slice(packet.indexOf('\r\n\r\n')))).toEqual([
      'POST \r\n\r\n{"a":"é"}',
      'POST \r\n\r\n{}',
    ])
  })
})

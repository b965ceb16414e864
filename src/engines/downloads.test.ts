import { describe, expect, test } from 'vitest'
import { Failure } from '../core/errors.ts'
import type { DownloadAsk, DownloadHead, DownloadTaker } from '../core/downloads.ts'
import { DownloadDoor } from './downloads.ts'
import { opened, upstreamThat } from './egress.fixture.ts'

const ask = (different: Partial<DownloadAsk> = {}): DownloadAsk => ({
  from: 0,
  to: null,
  ifRange: null,
  accept: '*/*',
  token: null,
  signal: new AbortController().signal,
  stallMs: 5000,
  ...different,
})

class Taken implements DownloadTaker {
  heads: DownloadHead[] = []
  text = ''

  head(head: DownloadHead): void {
    this.heads.push(head)
  }

  data(chunk: Buffer): void {
    this.text += chunk.toString('latin1')
  }
}

function door(allowPrivateAddresses = true): DownloadDoor {
  const made = new DownloadDoor({ allowPrivateAddresses })
  opened.push(made)
  return made
}

const reasonOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.catch((error: unknown) => error instanceof Failure && error.internal)

describe('the door for files', () => {
  test('asks for a range of a version, and says which version and which part came', async () => {
    const upstream = await upstreamThat(({ response }) => {
      const headers = { etag: '"v1"', 'last-modified': 'Thu, 01 Jan 2026 00:00:00 GMT', 'content-range': 'bytes 5-9/100', 'x-other': 'no' }
      response.writeHead(206, { ...headers, 'content-length': 5 }).end('56789')
    })
    const taken = new Taken()

    await door().get(
      `${upstream.baseUrl}/a%20file?sig=1`,
      ask({ from: 5, to: 9, ifRange: '"v1"', token: { reveal: () => 't0ken' } }),
      taken,
    )

    const { url, headers } = upstream.asked[0] ?? {}
    expect(url).toBe('/v1/a%20file?sig=1')
    expect(headers).toMatchObject({ range: 'bytes=5-9', 'if-range': '"v1"', authorization: 'Bearer t0ken', 'accept-encoding': 'identity' })
    expect(taken.text).toBe('56789')
    expect(taken.heads).toMatchObject([
      { status: 206, elsewhere: false, headers: { etag: '"v1"', 'content-range': 'bytes 5-9/100', 'content-length': '5' } },
    ])
    expect(taken.heads[0]?.headers['x-other']).toBeUndefined()
  })

  test('hands over answers of any status', async () => {
    const upstream = await upstreamThat(({ response }) => void response.writeHead(404).end('their words'))
    const taken = new Taken()

    await door().get(upstream.baseUrl, ask(), taken)

    expect(taken.heads).toMatchObject([{ status: 404 }])
    expect(upstream.asked[0]?.headers.range).toBeUndefined()
  })

  test('follows redirects on the same host with its token, relative ones too', async () => {
    const upstream = await upstreamThat(({ asked, response }) => {
      if (asked.url === '/v1/old') response.writeHead(307, { location: 'new' }).end()
      else response.end('it')
    })
    const taken = new Taken()

    await door().get(`${upstream.baseUrl}/old`, ask({ token: { reveal: () => 't' } }), taken)

    expect(upstream.asked.map(({ url, headers }) => [url, headers.authorization])).toEqual([
      ['/v1/old', 'Bearer t'],
      ['/v1/new', 'Bearer t'],
    ])
    expect(taken.text).toBe('it')
  })

  test('ends where redirects have no end', async () => {
    const upstream = await upstreamThat(({ response }) => void response.writeHead(302, { location: '/again' }).end())

    expect(await reasonOf(door().get(upstream.baseUrl, ask(), new Taken()))).toBe('download_redirects')
    expect(upstream.asked.length).toBe(6)
  })

  test.each(['ftp://127.0.0.1/a', 'http://user:password@127.0.0.1/a', 'file:///etc/passwd', 'http://[bad'])(
    'is not led to %s',
    async (location) => {
      const upstream = await upstreamThat(({ response }) => void response.writeHead(302, { location }).end())

      expect(await reasonOf(door().get(upstream.baseUrl, ask(), new Taken()))).toBe('download_address')
    },
  )

  test('opens no socket to this machine or its network unless that is allowed', async () => {
    expect(await reasonOf(door(false).get('http://127.0.0.1:1/a', ask(), new Taken()))).toBe('download_address')
    expect(await reasonOf(door(false).get('https://127.0.0.1:1/a', ask(), new Taken()))).toBe('upstream_address_refused')
    expect(await reasonOf(door(false).get('https://localhost:1/a', ask(), new Taken()))).toBe('upstream_address_refused')
  })

  test('writes nothing into a head that could begin another line', async () => {
    const upstream = await upstreamThat(({ response }) => void response.end())

    const bad = door().get(upstream.baseUrl, ask({ token: { reveal: () => 'a\r\nx: y' } }), new Taken())

    expect(await reasonOf(bad)).toBe('upstream_request')
    expect(upstream.asked).toEqual([])
  })
})

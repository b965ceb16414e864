/** The codecs' child: recordings and speech under way, each by the number that it was opened under. */
import { setFlagsFromString } from 'node:v8'
import { z } from 'zod'
import { CONTAINERS } from '../core/audio.ts'
import { ChildFailure, serveParent } from '../engines/process-child.ts'
import { Decoding } from './decoding.ts'
import { Encoding } from './encoding.ts'
import { bytesOfSamples, samplesOfBytes } from './samples.ts'

// A file that claims to be endless must not take the machine's memory before it is found out.
setFlagsFromString('--max-old-space-size=512')

const rate = z.int().min(8_000).max(192_000)
const openDecoder = z.object({ container: z.enum(CONTAINERS), sampleRate: rate })
const openEncoder = z.object({ format: z.enum(['mp3', 'opus', 'aac', 'flac']), sampleRate: rate })
const nextOfDecoder = z.object({ last: z.boolean() })
const byId = z.object({ id: z.int() })

const decodings = new Map<number, Decoding>()
const encodings = new Map<number, Encoding>()
let lastId = 0

async function handle({
  method,
  body,
  bytes,
}: {
  method: string
  body: unknown
  bytes: Buffer | null
}): Promise<{ value: unknown; bytes?: Uint8Array }> {
  switch (method) {
    case 'decode': {
      const { container, sampleRate } = openDecoder.parse(body)
      decodings.set(++lastId, new Decoding(container, sampleRate))
      return { value: lastId }
    }
    case 'decode.next': {
      const samples = await known(() => find(decodings, body).next(bytes, nextOfDecoder.parse(body).last))
      return { value: null, ...(samples && { bytes: bytesOfSamples(samples) }) }
    }
    case 'encode': {
      const { format, sampleRate } = openEncoder.parse(body)
      encodings.set(++lastId, await Encoding.open(format, sampleRate))
      return { value: lastId }
    }
    case 'encode.next':
      return { value: null, bytes: await find(encodings, body).encode(samplesOfBytes(bytes ?? Buffer.alloc(0))) }
    case 'encode.end': {
      const encoding = find(encodings, body)
      encodings.delete(byId.parse(body).id)
      return { value: null, bytes: await encoding.end() }
    }
    case 'close':
      close(byId.parse(body).id)
      return { value: null }
    default:
      throw new ChildFailure('no_such_method')
  }
}

/** Whatever a decoder throws is about the file. */
async function known<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw error instanceof ChildFailure ? error : new ChildFailure('corrupt')
  }
}

function find<T>(map: ReadonlyMap<number, T>, body: unknown): T {
  const found = map.get(byId.parse(body).id)
  if (found === undefined) throw new ChildFailure('not_open')
  return found
}

function close(id: number): void {
  decodings.get(id)?.close()
  encodings.get(id)?.close()
  decodings.delete(id)
  encodings.delete(id)
}

await serveParent(() => Promise.resolve({ info: null, handle }))

/** A child that says of itself what one says that found a GPU of eight gigabytes. */
import { serveParent } from '../process-child.ts'
import type { ChildInfo } from './wire.ts'

const info: ChildInfo = { gpuMemoryBytes: 8_000_000_000, contextTokens: 512 }

await serveParent(() => Promise.resolve({ info, handle: () => Promise.reject(new TypeError('nobody calls it')) }))

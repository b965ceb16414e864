/** Samples as bytes and as numbers: signed 16-bit, little-endian, one channel. */

/** The bytes of samples, not copied. */
export const bytesOfSamples = (samples: Int16Array): Buffer => Buffer.from(samples.buffer, samples.byteOffset, samples.byteLength)

/** The samples in some bytes; copied only where they lie at an odd place. */
export function samplesOfBytes(bytes: Buffer): Int16Array {
  const length = Math.floor(bytes.length / 2)
  if (bytes.byteOffset % 2 === 0) return new Int16Array(bytes.buffer, bytes.byteOffset, length)
  const samples = new Int16Array(length)
  bytes.copy(new Uint8Array(samples.buffer), 0, 0, length * 2)
  return samples
}

/** From -1 to 1; what is louder is cut. */
export function integersOf(floats: Float32Array): Int16Array {
  const samples = new Int16Array(floats.length)
  for (let at = 0; at < floats.length; at++) samples[at] = Math.round(Math.max(-1, Math.min(1, floats[at] ?? 0)) * 32_767)
  return samples
}

export function floatsOf(samples: Int16Array): Float32Array {
  const floats = new Float32Array(samples.length)
  for (let at = 0; at < samples.length; at++) floats[at] = (samples[at] ?? 0) / 32_768
  return floats
}

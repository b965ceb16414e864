/** Something to transcribe, without a microphone. */
import { completeWav, wavHead } from '../../src/audio/wav.ts'

/** One second of sound, one of silence, and so on. */
export function recording(seconds: number, rate = 16_000): Buffer {
  const samples = Int16Array.from({ length: seconds * rate }, (_, at) =>
    Math.floor(at / rate) % 2 === 0 ? Math.round(8_000 * Math.sin((at / rate) * 2 * Math.PI * 440)) : 0,
  )
  return completeWav(Buffer.concat([wavHead(rate, null), Buffer.from(samples.buffer)]))
}

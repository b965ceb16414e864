/** Speech by a Kokoro model, sentence by sentence. */
import type { Ability } from '../../core/engine.ts'
import { fail, failField } from '../../core/errors.ts'
import { countCharacters, sentencesOf } from '../../core/modalities/tts.ts'
import type { Loaded } from '../loaded.ts'
import { isVoice, speakerOf } from './voices.ts'
import { childInfo } from './wire.ts'

/** `loaded` gives the model's child, or throws a `Failure` where there is no such model. */
export const ttsAbility = (loaded: (model: string) => Loaded): Ability<'tts'> => ({
  refuses: ({ voice }) => (isVoice(voice) ? null : 'voice'),

  async run({ model, request, signal, firstByteMs, stallMs }, sink) {
    const child = loaded(model)
    const waits = { signal, firstByteMs, stallMs }
    const { speakers, sampleRate } = childInfo.parse(await child.info(waits))
    const speaker = speakerOf(request.voice, speakers)
    if (speaker === null) throw failField('voice', 'is not in the files of this model')
    let spoken = false
    // What nobody can speak is paid with the sentence after it, or not at all.
    let characters = 0
    for (const sentence of sentencesOf(request.text)) {
      characters += countCharacters(sentence)
      const text = sentence.trim()
      if (!/[\p{L}\p{N}]/u.test(text)) continue
      const { bytes } = await child.call('speak', { text, speaker, speed: request.speed }, waits)
      if (!bytes || bytes.length < 2) continue
      // Who gets all or nothing has nothing to pay before the end.
      await sink([{ type: 'samples', samples: samplesOf(bytes), sampleRate, characters: request.stream ? characters : 0 }])
      characters = 0
      spoken = true
    }
    if (!spoken)
      throw fail('INVALID_REQUEST', { say: 'Invalid request parameters: input: there is nothing in it that can be spoken', param: 'input' })
    return { usage: { character: request.characters } }
  },
})

/** A copy: the bytes need not lie where numbers may. */
const samplesOf = (bytes: Buffer): Int16Array => new Int16Array(Uint8Array.from(bytes).buffer, 0, Math.floor(bytes.length / 2))

/** Pictures in the messages for a model of this machine. They come with the request: nothing is fetched for it. */
import { fail, failField } from '../../core/errors.ts'
import type { Failure } from '../../core/errors.ts'
import { type ContentPart, type TextRequest, partsOf } from '../../core/modalities/text.ts'
import { isFields } from '../fields.ts'

export type Picture = ContentPart & { readonly image_url: { readonly url: string } }

/** The beginning of a picture that is in the request itself; what follows is not looked at. */
const INLINE = /^data:image\/[a-z0-9.+-]{1,64};base64,/i
const INLINE_CHARS = 128

/** Whether a part is a picture that came with the request. */
export function isPicture(part: ContentPart): part is Picture {
  const { type, image_url: image } = part
  return type === 'image_url' && isFields(image) && typeof image['url'] === 'string' && INLINE.test(image['url'].slice(0, INLINE_CHARS))
}

/** What in the messages a model that sees cannot be shown; null where there is nothing. */
export function unseen({ messages, ownMessages = 0 }: TextRequest): Failure | null {
  for (const [index, message] of messages.entries()) {
    for (const [at, part] of partsOf(message).entries()) {
      const field = `messages.${index - ownMessages}.content.${at}`
      if (part.type === 'image_url' && !isPicture(part))
        return failField(`${field}.image_url.url`, 'a model on this machine takes pictures as data:image/…;base64,… only')
      if (part.type === 'video_url' || part.type === 'input_audio')
        return failField(`${field}.type`, 'a model on this machine takes pictures only')
    }
  }
  return null
}

/** The model has no projector, so nothing here can show it a picture. */
export const sightless = (model: string): Failure =>
  failField('messages', `${model} has no projector (mmproj) on this machine and takes no pictures; pull it again with one`)

/** It would see, if there were the program that shows it pictures. */
export const noProgram = (model: string): Failure =>
  fail('MODEL_OFFLINE', {
    say: `${model} needs llama.cpp's program llama-server for pictures: its operator can install it on the PATH or set RIALTO_LLAMA_SERVER, and restart`,
    param: 'messages',
    internal: 'llama_no_server',
  })

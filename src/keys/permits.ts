/** Which models a key may use: asked once a name has become a model, before anything is held and before anything leaves. */
import type { Caller } from '../core/call.ts'
import { type Failure, fail } from '../core/errors.ts'
import type { Model } from '../core/model.ts'

type Asker = Pick<Caller, 'modelPrivacy' | 'models'>
type Asked = Pick<Model, 'id' | 'modality' | 'privacy'>

/** Throws `UNAUTHORIZED`, in words that name the model and the rule of the key, unless this caller's key may use the model. */
export function requirePermit(caller: Asker, model: Asked): void {
  if (caller.models !== null && !caller.models.has(model.id)) throw refused(model, 'its list of `models` does not have it')
  if (!isPrivateEnough(caller, model))
    throw refused(model, `its \`modelPrivacy\` is ${caller.modelPrivacy}, and this model is ${model.privacy}`)
}

function isPrivateEnough({ modelPrivacy }: Asker, { modality, privacy }: Asked): boolean {
  switch (modelPrivacy) {
    case 'ALL':
      return true
    case 'PRIVATE_TEXT':
      return privacy === 'private' || (modality !== 'text' && modality !== 'embedding')
    case 'PRIVATE_ONLY':
      return privacy === 'private'
  }
}

const refused = (model: Asked, why: string): Failure =>
  fail('UNAUTHORIZED', {
    say: `Unauthorized access: this API key may not use the model ${model.id}: ${why}`,
    param: 'model',
    internal: 'model not permitted',
  })

/** The shapes of keys for other doors to them: the operator's, who sees and makes those of any account. */
import { CREATE_EXAMPLE, LISTED_EXAMPLE, MADE_EXAMPLE } from './examples.ts'
import { createBody, EXAMPLE_KEY_ID, listedKey, madeKey } from './schema.ts'
import { newKeyOf, showListed, showMade } from './wire.ts'

export const keyShapes = {
  createBody,
  madeKey,
  listedKey,
  newKeyOf,
  showMade,
  showListed,
  examples: { create: CREATE_EXAMPLE, made: MADE_EXAMPLE, listed: LISTED_EXAMPLE, keyId: EXAMPLE_KEY_ID },
}

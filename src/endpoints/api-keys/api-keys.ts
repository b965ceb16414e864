/** The endpoints of an account's own keys, over the keyring. */
import type { Keyring } from '../../keys/keyring.ts'
import type { AnyEndpoint } from '../endpoint.ts'
import { changeKey } from './change.ts'
import { createKey } from './create.ts'
import { getKey, listKeys } from './read.ts'
import { revokeKey } from './revoke.ts'
import { rotateKey } from './rotate.ts'

export const apiKeyEndpoints = (keyring: Keyring): AnyEndpoint[] => [
  createKey(keyring),
  listKeys(keyring),
  getKey(keyring),
  ...changeKey(keyring),
  ...revokeKey(keyring),
  rotateKey(keyring),
]

/** What the documentation says besides the declarations: facts of this installation, given by who puts it together. */
import type { PlansFile } from '../../catalog/entry.ts'
import type { Failure } from '../../core/errors.ts'

export type About = {
  readonly version: string
  /** The limits of each plan, as they are enforced. */
  readonly plans: PlansFile
  /** The body that a failure becomes on the wire. */
  readonly errorBody: (failure: Failure, requestId: string) => unknown
}

export const TITLE = 'Rialto API'

export const SUMMARY =
  'A self-hosted, private AI API. Any OpenAI client works with it: change the base URL and the key. What is said is never stored and never logged.'

/** Where the documented paths are mounted. */
export const BASE_PATH = '/api/v1'

/** What stands for a key in examples. */
export const KEY_VARIABLE = 'RIALTO_API_KEY'

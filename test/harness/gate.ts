/** A gate that an upstream's script waits at until the test opens it; all open by themselves when the test is over. */
import { afterEach } from 'vitest'

export type Gate = { readonly until: Promise<void>; readonly open: () => void }

const closed: (() => void)[] = []
// What a failed test left closed would hold up everything after it.
afterEach(() => closed.splice(0).forEach((open) => open()))

export function gate(): Gate {
  const { promise, resolve } = Promise.withResolvers<void>()
  closed.push(resolve)
  return { until: promise, open: resolve }
}

/** In which order deployments are tried: by their order, and among equals by chance in proportion to their weight. */
import type { Deployment } from '../core/model.ts'

/** Whether any two of these, sorted by order, stand in the same place. */
export function hasEquals(sorted: readonly Deployment[]): boolean {
  return sorted.some((deployment, at) => deployment.order === sorted[at + 1]?.order)
}

/** Draws the deployments of each order without putting back. `random` is in [0, 1). */
export function shuffled(sorted: readonly Deployment[], random: () => number): Deployment[] {
  const left = [...sorted]
  const out: Deployment[] = []
  for (let first = left[0]; first; first = left[0]) {
    const { order } = first
    const equals = left.filter((deployment) => deployment.order === order)
    const taken = draw(equals, random)
    out.push(taken ?? first)
    left.splice(left.indexOf(taken ?? first), 1)
  }
  return out
}

function draw(equals: readonly Deployment[], random: () => number): Deployment | undefined {
  let total = 0
  for (const { weight } of equals) total += weight
  let point = random() * total
  for (const deployment of equals) {
    point -= deployment.weight
    if (point < 0) return deployment
  }
  return equals.at(-1)
}

/**
 * Those who are there at the moment, in no order, coming and going thousands of times a second.
 *
 * Not a `Set`: where much comes and goes it is made anew every hundred steps or so, and what it was made from keeps pointing at
 * all who were in it then. Once that is old, the garbage collection of the young takes all of them for alive, and what they point
 * at, until it looks at what is old as well: every other request was copied twice for nothing.
 */

/** Whoever comes knows its place, so that it can go without being looked for. */
export type Member = { place: number }

/** The place of who is in no crowd. */
export const NOWHERE = -1

export class Crowd<M extends Member> {
  readonly #members: M[] = []

  get size(): number {
    return this.#members.length
  }

  /** To be called with who is in no crowd. */
  add(member: M): void {
    member.place = this.#members.length
    this.#members.push(member)
  }

  /** Without effect for who has gone. */
  delete(member: M): void {
    const { place } = member
    if (place === NOWHERE) return
    member.place = NOWHERE
    const last = this.#members.pop()
    if (last === undefined || last === member) return
    this.#members[place] = last
    last.place = place
  }

  /** Calls back with each, as they are now: who goes meanwhile is called all the same. */
  forEach(work: (member: M) => void): void {
    for (const member of this.#members.slice()) work(member)
  }
}

/**
 * Pieces of the last minute, by the second: what is too many to remember one by one. What was taken in a second counts until
 * 60 s after that second is over. So no 60 s ever hold more than `limit` of what was taken, and an even use of 60/61 of the
 * limit (98.4 %) is never refused. What turns out afterwards to have been used beyond that is a debt: it takes the place of
 * what leaves, so it is waited for; up to a minute's worth of it, the rest is forgiven.
 * Invariant: 0 ≤ debt ≤ limit, and there is debt only while nothing is left.
 */
import type { LimitState } from '../core/call.ts'

const CELL_MS = 1_000
const CELLS = 61

export class Window {
  #limit: number
  #slot: number
  #now: number
  /** What was taken in each of the last seconds, by the number of the second modulo their count; and the sum of them. */
  readonly #cells: number[] = Array.from({ length: CELLS }, () => 0)
  #sum = 0
  #debt = 0
  /** The latest second that has something in it. */
  #last: number

  constructor(limit: number, now: number) {
    this.#limit = limit
    this.#now = now
    this.#slot = Math.floor(now / CELL_MS)
    this.#last = this.#slot
  }

  /** Brings it up to date. `now` never runs backwards. Nothing that was counted is forgotten when the limit changes. */
  update(limit: number, now: number): void {
    this.#limit = limit
    this.#now = now
    const slot = Math.floor(now / CELL_MS)
    if (slot === this.#slot) return
    // By then a debt, too, has come and gone.
    if (slot - this.#slot > 2 * CELLS) {
      if (this.#sum > 0) this.#cells.fill(0)
      this.#sum = 0
      this.#debt = 0
    } else {
      for (let at = this.#slot + 1; at <= slot && this.#sum > 0; at++) this.#leave(at)
    }
    this.#slot = slot
  }

  /** How long until `pieces` are admitted, if nobody else comes; 0 is now. More than the limit is admitted when nothing is used. */
  waitMs(pieces: number): number {
    const room = this.#limit - Math.min(pieces, this.#limit)
    if (this.#sum <= room) return 0
    const cells = this.#cells.slice()
    let sum = this.#sum
    let debt = this.#debt
    let slot = this.#slot
    while (sum > room && slot < this.#slot + 2 * CELLS) {
      slot++
      const cell = cells[slot % CELLS] ?? 0
      const paid = Math.min(cell, debt)
      cells[slot % CELLS] = paid
      debt -= paid
      sum -= cell - paid
    }
    return Math.ceil(slot * CELL_MS - this.#now)
  }

  /** Takes pieces, after `waitMs` was 0. Returns how many were taken, for `correct`. */
  take(pieces: number): number {
    const taken = Math.min(pieces, this.#limit)
    if (taken > 0) this.#add(taken)
    return taken
  }

  /** The second that is being counted in, for `correct`. */
  get slot(): number {
    return this.#slot
  }

  /**
   * Replaces what was taken in a second by what was used, at `now`. What was not used is free again at once; what was used
   * beyond it counts from now on, because it was not known before.
   */
  correct(slot: number, taken: number, used: number, now: number): void {
    this.update(this.#limit, now)
    if (used > taken) this.#add(used - taken)
    else if (this.#slot - slot < CELLS) this.#giveBack(slot % CELLS, taken - used)
  }

  /** `resetMs` is until the whole limit is free again. */
  state(): LimitState {
    const turns = this.#debt > 0 ? 2 : 1
    const resetMs = this.#sum === 0 ? 0 : Math.ceil((this.#last + turns * CELLS) * CELL_MS - this.#now)
    return { limit: this.#limit, remaining: Math.max(0, this.#limit - this.#sum), resetMs }
  }

  isAtRest(now: number): boolean {
    this.update(this.#limit, now)
    return this.#sum === 0
  }

  #add(pieces: number): void {
    const fits = Math.max(0, Math.min(pieces, this.#limit - this.#sum))
    const index = this.#slot % CELLS
    this.#cells[index] = (this.#cells[index] ?? 0) + fits
    this.#sum += fits
    this.#debt = Math.min(this.#limit, this.#debt + pieces - fits)
    this.#last = this.#slot
  }

  #giveBack(index: number, pieces: number): void {
    const cell = this.#cells[index] ?? 0
    const free = Math.min(pieces, cell)
    const paid = Math.min(free, this.#debt)
    this.#debt -= paid
    this.#cells[index] = cell - free + paid
    this.#sum -= free - paid
  }

  /** A second of a minute ago makes room, first of all for debt. */
  #leave(slot: number): void {
    const cell = this.#cells[slot % CELLS] ?? 0
    if (cell === 0) return
    const paid = Math.min(cell, this.#debt)
    this.#cells[slot % CELLS] = paid
    this.#sum -= cell - paid
    if (paid === 0) return
    this.#debt -= paid
    this.#last = slot
  }
}

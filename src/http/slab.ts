/** Copies small pieces together, in order with the others: a view of each would be larger than it. */

/** Pieces that are smaller are worth copying. */
export const SMALL_BYTES = 1_024
const SLAB_BYTES = 16 * 1024

export class Slab {
  #bytes = Buffer.alloc(0)
  /** What is not in a piece yet. */
  #from = 0
  #end = 0

  /** Copies what is smaller than the slab; what is full goes `into` the pieces. */
  add(small: Buffer, into: Buffer[]): void {
    if (this.#end + small.length > this.#bytes.length) {
      this.close(into)
      this.#bytes = Buffer.allocUnsafeSlow(SLAB_BYTES)
      this.#from = 0
      this.#end = 0
    }
    this.#end += small.copy(this.#bytes, this.#end)
  }

  /** What was copied goes `into` the pieces, before whatever is put there next. */
  close(into: Buffer[]): void {
    if (this.#end === this.#from) return
    into.push(this.#bytes.subarray(this.#from, this.#end))
    this.#from = this.#end
  }
}

/** A body in chunks (RFC 9112, 7.1), taken apart byte for byte, strictly: lines end in CR LF and nothing else. */
import { BadRequest } from './request-head.ts'

/** The sizes of chunks are 4 GiB at most, leading zeros included. */
const SIZE_DIGITS = 8
/** Extensions of all chunks and trailers together: nobody needs them, and they are thrown away. */
const EXTRA_BYTES = 16 * 1024

const SIZE = 0
const EXTENSION = 1
const SIZE_LF = 2
const DATA = 3
const DATA_CR = 4
const DATA_LF = 5
const TRAILER = 6
const TRAILER_LF = 7
const DONE = 8

export class Chunked {
  #state = SIZE
  #left = 0
  #digits = 0
  #extraBytes = 0
  #lineBytes = 0

  get done(): boolean {
    return this.#state === DONE
  }

  /** Takes bytes from `at` on and gives those of the body to `take`; returns up to where the body goes. Throws a `BadRequest`. */
  feed(bytes: Buffer, at: number, take: (bytes: Buffer) => void): number {
    let from = at
    while (from < bytes.length && this.#state !== DONE) {
      if (this.#state === DATA) {
        const end = Math.min(bytes.length, from + this.#left)
        this.#left -= end - from
        if (this.#left === 0) this.#state = DATA_CR
        take(bytes.subarray(from, end))
        from = end
      } else this.#step(bytes[from++] ?? 0)
    }
    return from
  }

  #step(byte: number): void {
    switch (this.#state) {
      case SIZE:
        return this.#size(byte)
      case EXTENSION:
        if (byte === CR) this.#state = SIZE_LF
        else this.#extra(byte)
        return
      case SIZE_LF:
        this.#expect(byte, LF, this.#left === 0 ? TRAILER : DATA)
        this.#lineBytes = 0
        return
      case DATA_CR:
        return this.#expect(byte, CR, DATA_LF)
      case DATA_LF:
        this.#digits = 0
        return this.#expect(byte, LF, SIZE)
      case TRAILER:
        if (byte === CR) this.#state = TRAILER_LF
        else {
          this.#lineBytes++
          this.#extra(byte)
        }
        return
      default:
        this.#expect(byte, LF, this.#lineBytes === 0 ? DONE : TRAILER)
        this.#lineBytes = 0
    }
  }

  #size(byte: number): void {
    const digit = HEX[byte] ?? 0
    if (digit > 0) {
      if (++this.#digits > SIZE_DIGITS) throw new BadRequest(400)
      this.#left = this.#left * 16 + digit - 1
    } else if (this.#digits === 0) throw new BadRequest(400)
    else if (byte === CR) this.#state = SIZE_LF
    else if (byte === SEMICOLON) this.#state = EXTENSION
    else throw new BadRequest(400)
  }

  #extra(byte: number): void {
    if ((byte < 32 && byte !== 9) || byte === 127 || ++this.#extraBytes > EXTRA_BYTES) throw new BadRequest(400)
  }

  #expect(byte: number, wanted: number, next: number): void {
    if (byte !== wanted) throw new BadRequest(400)
    this.#state = next
  }
}

const LF = 10
const CR = 13
const SEMICOLON = 59

/** One more than a hexadecimal digit is worth; 0 for what is none. */
const HEX = new Uint8Array(256)
for (let digit = 0; digit < 16; digit++) {
  HEX[digit.toString(16).charCodeAt(0)] = digit + 1
  HEX[digit.toString(16).toUpperCase().charCodeAt(0)] = digit + 1
}

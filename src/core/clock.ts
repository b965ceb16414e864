/** Time and ids, passed in, so that tests own both. */

export type Clock = {
  /** Milliseconds since 1970, for what people read and what is kept. */
  now(): number
  /** Milliseconds that never run backwards, for durations and limits. */
  tick(): number
  /** A new identifier that nobody can guess: 32 hexadecimal characters, later ones sorting after earlier ones. */
  id(): string
}

/** The way out for rooms that are no engine: a bounded HTTP request, done by the network door (`engines/egress.ts`). */

export type OutsideRequest = {
  /**
   * `content-type` and what the operator is known by there; the same for every request to this address, and nothing in them
   * says who asks.
   */
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  /** For the whole exchange, in milliseconds. */
  readonly timeoutMs: number
  /** A longer answer is refused. */
  readonly maxBytes: number
}

/** What came back. The body of an answer other than 2xx may be left out: an upstream's words on a failure stop at the door. */
export type OutsideAnswer = { readonly status: number; readonly body: Buffer }

export type Outside = {
  /**
   * Sends a POST to an address of the configuration. Resolves with an answer of any status; rejects with a `Failure` where
   * none came in time, or one that is too long. Never sent twice, unless surely nobody received it.
   */
  post(url: string, request: OutsideRequest): Promise<OutsideAnswer>
}

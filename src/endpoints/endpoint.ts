/** What an endpoint is: one method and path, declared whole. Router, scopes, documentation and tests read only this. */
import type { z } from 'zod'
import type { KeyScope } from '../core/call.ts'
import type { ErrorCode } from '../core/errors.ts'
import type { Upload } from '../core/upload.ts'
import type { Desk } from '../pipeline/desk.ts'

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

/**
 * Whom an endpoint serves: anybody, any valid key, keys that administer their own account (`ADMIN`), or of those only the ones of
 * the account that runs the server (`OPERATOR`).
 */
export type Scope = 'public' | KeyScope | 'OPERATOR'

export type Input<Query, Body> = {
  /** Values of the `{names}` in the path, URL-decoded. A name at the end of the path takes the rest, slashes included. */
  readonly params: Readonly<Record<string, string>>
  readonly query: Query
  readonly body: Body
  /** The size of the body as it came, in bytes. */
  readonly bodyBytes: number
  /** Where the endpoint takes a form: what is still to come of it. `body` has the fields that are known when the handler is called. */
  readonly form?: Form<Body>
  /** Whether there are headers of encryption that the caller did itself (`x-venice-tee-…`); absent is no. */
  readonly sealed?: boolean
  /** The request's headers by their lower-case names. Credentials among them have been checked already. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
}

/** A form, of which the end may still be on its way: what is wrong with that aborts the signal of the desk. */
export type Form<Fields> = {
  /** Null where none was sent. */
  readonly file: Upload | null
  /**
   * All fields, once the form has come to its end. To be waited for by who has read the file, because fields may stand after it.
   * Rejects with a 400 that names what is wrong.
   */
  all(): Promise<Fields>
}

/** A form's file: the name of its field, and how large it may be. */
export type FormRules = {
  readonly file: string
  readonly maxBytes: number
  /**
   * The field that the work begins with. Where it stands before the file the handler is called when a part of the file has come,
   * elsewhere when the form has come to its end.
   */
  readonly first: string
}

export type Reply =
  | { readonly type: 'json'; readonly status?: number; readonly body: unknown; readonly headers?: Readonly<Record<string, string>> }
  | {
      readonly type: 'text'
      readonly status?: number
      readonly contentType: string
      readonly body: string
      readonly headers?: Readonly<Record<string, string>>
    }
  | { readonly type: 'file'; readonly contentType: string; readonly path: string }
  | { readonly type: 'bytes'; readonly contentType: string; readonly body: Buffer }
  | {
      readonly type: 'stream'
      readonly contentType: string
      readonly headers?: Readonly<Record<string, string>>
      readonly write: (out: ByteSink) => Promise<void>
    }
  | { readonly type: 'events'; readonly write: (out: EventSink) => Promise<void> }

/**
 * Where a stream of server-sent events goes. Nothing is sent before the first event (or the first ping), so a failure
 * until then still gets its status; one after that becomes an error event and the connection ends without `[DONE]`.
 */
export type EventSink = {
  /**
   * Writes whole events, UTF-8 bytes held as latin1 characters. Returns a promise to wait for when the caller is slow;
   * throws when the caller has gone.
   */
  send(events: string): void | Promise<void>
}

/**
 * Where an answer of unknown length goes, piece by piece. Nothing is sent before the first piece, so a failure until then
 * still gets its status; after one that comes later the connection is cut, which is how a reader learns that it is not whole.
 */
export type ByteSink = {
  /** Text goes out as UTF-8. Returns a promise to wait for when the caller is slow; throws when the caller has gone. */
  send(piece: string | Buffer): void | Promise<void>
}

export type Endpoint<Query = unknown, Body = unknown> = {
  readonly method: Method
  /** Below the base URL, such as `/models/{id}`. */
  readonly path: string
  /** The heading it is documented under. */
  readonly tag: string
  readonly summary: string
  /** Markdown: behaviour, limits, and where Rialto differs from what a client may know from elsewhere. */
  readonly description: string
  readonly scope: Scope
  readonly query?: z.ZodType<Query>
  readonly body?: z.ZodType<Body>
  /**
   * Instead of `body`: takes the body's bytes as they came, whatever their content type, up to so many. For what is signed
   * byte by byte; `input.body` is then a Buffer, empty where none was sent.
   */
  readonly raw?: { readonly maxBytes: number }
  /**
   * Instead of JSON: takes a form (`multipart/form-data`) of text fields, which `body` checks, and one file, which is
   * `input.form`. Of a field whose name ends in `[]` the values are a list.
   */
  readonly form?: FormRules
  /**
   * What the operator sets up for it, in a sentence that names the settings. Until then it answers `NOT_CONFIGURED`, to
   * its example as well.
   */
  readonly needs?: string
  /** Whether it runs models, which costs: then a wallet may pay for it, where wallets may. */
  readonly charged?: true
  /** The successful answers by content type; a schema for the JSON ones. */
  readonly answers: Readonly<Record<string, { readonly description: string; readonly schema?: z.ZodType }>>
  /** A request that works on a fresh installation, and the kind of answer it gets. */
  readonly example: {
    readonly params?: Readonly<Record<string, string>>
    readonly query?: Readonly<Record<string, string>>
    readonly body?: Body
    /** Of a form: its file. */
    readonly file?: { readonly name: string; readonly bytes: Buffer }
    readonly answer: unknown
  }
  /** The codes it can answer with, beyond those that every endpoint of its scope can. */
  readonly errors: readonly ErrorCode[]
  handle(input: Input<Query, Body>, desk: Desk): Reply | Promise<Reply>
}

/** An endpoint of any query and body, as the registry holds it. */
export type AnyEndpoint = Endpoint<unknown, unknown>

/**
 * Declares an endpoint; its only work is to tie the types of schema and handler together. The types are forgotten on
 * the way out, which is safe because the door gives a handler only what that endpoint's own schemas have checked.
 */
export const endpoint = <Query = undefined, Body = undefined>(declaration: Endpoint<Query, Body>): AnyEndpoint => declaration

export const json = (body: unknown, status = 200): Reply => ({ type: 'json', status, body })

/**
 * Puts the tool calls of one choice in order: each call its own index from 0, and id, type and name on its first
 * delta, whatever the upstream leaves out or mixes up. Official clients add up what they get by index and lose
 * arguments, or join two calls into one, when any of that is missing.
 */
import { randomBytes } from 'node:crypto'
import { fail } from '../../core/errors.ts'
import type { ToolCallDelta } from '../../core/modalities/text.ts'
import { type Fields, isFields } from '../fields.ts'

/** More calls than this in one answer are a fault of the upstream. */
const CALLS = 1024
/** Arguments that come before their call has a name are held up to this length. */
const HELD_CHARS = 1024 * 1024

type Call = {
  readonly index: number
  readonly id: string
  /** Whether the upstream gave the id, or we did. */
  readonly given: boolean
  /** Told to the caller: only once the name is known. */
  told: boolean
  hasArguments: boolean
  /** What came before the name. */
  held: string
}

export class ToolCalls {
  readonly #calls: Call[] = []
  readonly #byId = new Map<string, Call>()
  /** The call last seen at an index of the upstream's. */
  readonly #byIndex = new Map<number, Call>()
  #last: Call | null = null

  get any(): boolean {
    return this.#calls.length > 0
  }

  /** The deltas for the caller; a delta that has to wait for its call's name gives none. */
  take(deltas: readonly unknown[]): ToolCallDelta[] {
    const out: ToolCallDelta[] = []
    for (const delta of deltas) {
      if (!isFields(delta)) continue
      const told = this.#tell(this.#callOf(delta), delta)
      if (told) out.push(told)
    }
    return out
  }

  /** Which call a delta belongs to: by its id, then by its index, then the one before. */
  #callOf(delta: Fields): Call {
    const id = typeof delta['id'] === 'string' && delta['id'] !== '' ? delta['id'] : null
    const index = Number.isInteger(delta['index']) ? Number(delta['index']) : null
    let call = id === null ? undefined : this.#byId.get(id)
    if (!call) {
      const there = index === null ? this.#last : this.#byIndex.get(index)
      call = there && !beginsAnother(there, delta, id) ? there : this.#begin(id)
    }
    if (id !== null) this.#byId.set(id, call)
    if (index !== null) this.#byIndex.set(index, call)
    this.#last = call
    return call
  }

  #begin(id: string | null): Call {
    if (this.#calls.length >= CALLS) throw fail('INFERENCE_FAILED', { internal: 'upstream_too_many_calls' })
    const call: Call = {
      index: this.#calls.length,
      id: id ?? newCallId(),
      given: id !== null,
      told: false,
      hasArguments: false,
      held: '',
    }
    this.#calls.push(call)
    this.#byId.set(call.id, call)
    return call
  }

  #tell(call: Call, delta: Fields): ToolCallDelta | null {
    // The parts of a delta that are ours to set; the rest are the vendor's and ride along.
    const { index: _index, id: _id, type: _type, function: of, ...vendor } = delta
    const said = isFields(of) ? of : {}
    const text = argumentsOf(said['arguments'])
    if (text !== '') call.hasArguments = true
    if (call.told) return { ...vendor, index: call.index, function: { arguments: text } }

    const name = said['name']
    if (typeof name !== 'string' || name === '') {
      call.held += text
      if (call.held.length > HELD_CHARS) throw fail('INFERENCE_FAILED', { internal: 'upstream_malformed' })
      return null
    }
    call.told = true
    const held = call.held
    call.held = ''
    return { ...vendor, index: call.index, id: call.id, type: 'function', function: { name, arguments: held + text } }
  }
}

/** The tool calls of a whole message, each with id and type, arguments as text. */
export function wholeCalls(calls: readonly unknown[]): Fields[] {
  const out: Fields[] = []
  for (const call of calls) {
    if (!isFields(call)) continue
    const { index: _index, ...rest } = call
    const said = isFields(call['function']) ? call['function'] : {}
    const id = typeof call['id'] === 'string' && call['id'] !== '' ? call['id'] : newCallId()
    out.push({ ...rest, id, type: 'function', function: { ...said, arguments: argumentsOf(said['arguments']) } })
  }
  return out
}

/** Whether a delta that has the place of a call is the first one of another call. */
function beginsAnother(call: Call, delta: Fields, id: string | null): boolean {
  const said = isFields(delta['function']) ? delta['function'] : {}
  const named = typeof said['name'] === 'string' && said['name'] !== ''
  // A new id is another call, unless it only now names the one that had to begin without.
  if (id !== null) return call.given || named
  // No id: another call has a name, and arguments that are whole although the one before has some already.
  return named && call.hasArguments && isWhole(said['arguments'])
}

function isWhole(said: unknown): boolean {
  if (isFields(said)) return true
  if (typeof said !== 'string' || !said.startsWith('{')) return false
  try {
    return isFields(JSON.parse(said))
  } catch {
    return false
  }
}

const argumentsOf = (said: unknown): string => (typeof said === 'string' ? said : isFields(said) ? JSON.stringify(said) : '')

const newCallId = (): string => `call_${randomBytes(12).toString('hex')}`

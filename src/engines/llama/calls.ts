/** Calls of tools as models write them: JSON objects with a name and arguments, one after another, in any wrapping. */
import { isFields, readFields } from '../fields.ts'

export type ReadCall = { readonly name: string; readonly arguments: string }

/** A call larger than this is none. */
const MAX_CHARS = 1 << 20
const MAX_NAME_CHARS = 256
const ARGUMENTS = '[ARGS]'

/** Takes the objects out of a text that arrives in pieces. What stands between them is dropped. */
export class CallScanner {
  #raw = ''
  #depth = 0
  #inString = false
  #escaped = false
  /** Everything since the last call that was understood, for whoever has to say it as it is. */
  #unread = ''
  /** What stands before the object: some families write the name there. */
  #before = ''

  /** The calls that became whole with this piece. */
  feed(text: string): ReadCall[] {
    const calls: ReadCall[] = []
    this.#unread += text
    for (const character of text) {
      if (this.#depth === 0 && character !== '{') {
        this.#before = (this.#before + character).slice(-MAX_NAME_CHARS)
        continue
      }
      this.#raw += character
      this.#step(character)
      if (this.#depth > 0 && this.#raw.length < MAX_CHARS) continue
      const call = callOf(this.#raw, this.#before)
      this.#raw = ''
      this.#before = ''
      this.#depth = 0
      if (call === null) continue
      calls.push(call)
      this.#unread = ''
    }
    return calls
  }

  /** At the end: the call that was cut off, with as much of its arguments as came; null where there is none. */
  cut(): ReadCall | null {
    return this.#raw === '' ? null : partOf(this.#raw)
  }

  get unread(): string {
    return this.#unread
  }

  #step(character: string): void {
    if (this.#escaped) this.#escaped = false
    else if (this.#inString) {
      if (character === '\\') this.#escaped = true
      else if (character === '"') this.#inString = false
    } else if (character === '"') this.#inString = true
    else if (character === '{') this.#depth++
    else if (character === '}') this.#depth--
  }
}

function callOf(json: string, before: string): ReadCall | null {
  const fields = readFields(json)
  if (fields === null) return null
  const named = nameBefore(before)
  if (named !== null) return { name: named, arguments: JSON.stringify(fields) }
  // Some families wrap a call once more, as OpenAI's own shape does.
  const inner = isFields(fields['function']) ? fields['function'] : fields
  const { name } = inner
  if (typeof name !== 'string' || name === '') return null
  const args = inner['arguments'] ?? inner['parameters'] ?? {}
  return { name, arguments: typeof args === 'string' ? args : JSON.stringify(args) }
}

/** `[TOOL_CALLS]name[ARGS]{…}`, as the younger models of Mistral write it, with an id of theirs in between or without. */
function nameBefore(before: string): string | null {
  if (!before.endsWith(ARGUMENTS)) return null
  const name = before.slice(0, -ARGUMENTS.length).split(']').at(-1)?.split('[', 1)[0]?.trim()
  return name ? name : null
}

/** A call as the grammars write it begins with its name; its arguments are what follows the next key. */
function partOf(raw: string): ReadCall | null {
  const name = raw.indexOf('"name"')
  const from = name === -1 ? -1 : raw.indexOf('"', raw.indexOf(':', name))
  const to = from === -1 ? -1 : raw.indexOf('"', from + 1)
  if (to === -1) return null
  const key = Math.max(raw.indexOf('"arguments"', to), raw.indexOf('"parameters"', to))
  const colon = key === -1 ? -1 : raw.indexOf(':', key)
  return { name: raw.slice(from + 1, to), arguments: colon === -1 ? '' : raw.slice(colon + 1).trimStart() }
}

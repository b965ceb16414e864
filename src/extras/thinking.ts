/** `strip_thinking_response` and `disable_thinking`: answers without the model's thinking, in tags or in fields. */
import { type Choice, type Delta, type TextPart, escaped, textOf } from '../core/modalities/text.ts'
import type { Sink } from '../core/call.ts'

const OPEN = '<think>'
const CLOSE = '</think>'

/** Removes the thinking from every part on its way into the sink. Text that may be the start of a tag waits for the next part. */
export function withoutThinking(sink: Sink<TextPart>): Sink<TextPart> {
  const strippers = new Map<number, TagStripper>()
  const of = (choice: number): TagStripper => {
    const known = strippers.get(choice)
    if (known) return known
    const made = new TagStripper()
    strippers.set(choice, made)
    return made
  }
  return (parts) => {
    const kept: TextPart[] = []
    for (const part of parts) {
      switch (part.type) {
        case 'text':
          pushText(kept, part.choice, of(part.choice).take(textOf(part.json)))
          break
        case 'delta': {
          const delta = stripDelta(part.delta, of(part.choice))
          if (delta) kept.push({ ...part, delta })
          break
        }
        case 'end':
          pushText(kept, part.choice, of(part.choice).rest())
          kept.push(part)
          break
        case 'whole':
          kept.push({ type: 'whole', choices: part.choices.map(stripChoice) })
      }
    }
    if (kept.length > 0) return sink(kept)
  }
}

function pushText(to: TextPart[], choice: number, text: string): void {
  if (text !== '') to.push({ type: 'text', choice, json: escaped(text) })
}

/** Null where nothing but thinking was in it. */
function stripDelta(delta: Delta, tags: TagStripper): Delta | null {
  const { reasoning_content: _content, reasoning_details: _details, ...rest } = delta
  if (typeof rest.content !== 'string') return Object.keys(rest).length > 0 ? rest : null
  const content = tags.take(rest.content)
  if (content !== '' || rest.content === '') return { ...rest, content }
  const { content: _empty, ...others } = rest
  return Object.keys(others).length > 0 ? others : null
}

function stripChoice(choice: Choice): Choice {
  const { reasoning_content: _content, reasoning_details: _details, ...message } = choice.message
  const content = message['content']
  if (typeof content !== 'string') return { ...choice, message }
  const tags = new TagStripper()
  return { ...choice, message: { ...message, content: tags.take(content) + tags.rest() } }
}

/** Cuts `<think>…</think>` and the white space after it out of a text that comes in pieces cut anywhere. Linear. */
class TagStripper {
  #inside = false
  #trim = true
  #held = ''

  /** What of the text so far may go out. */
  take(text: string): string {
    let rest = this.#held + text
    let out = ''
    this.#held = ''
    for (;;) {
      const tag = this.#inside ? CLOSE : OPEN
      const at = rest.indexOf(tag)
      if (at < 0) break
      if (!this.#inside) out += this.#visible(rest.slice(0, at))
      rest = rest.slice(at + tag.length)
      if (this.#inside) this.#trim = true
      this.#inside = !this.#inside
    }
    const held = heldBack(rest, this.#inside ? CLOSE : OPEN)
    this.#held = rest.slice(rest.length - held)
    if (!this.#inside) out += this.#visible(rest.slice(0, rest.length - held))
    return out
  }

  /** What was held back because it might have become a tag. */
  rest(): string {
    const held = this.#held
    this.#held = ''
    return this.#inside ? '' : held
  }

  #visible(text: string): string {
    if (!this.#trim) return text
    const trimmed = text.trimStart()
    if (trimmed !== '') this.#trim = false
    return trimmed
  }
}

/** The length of the longest end of `text` that is a beginning of `tag`. */
function heldBack(text: string, tag: string): number {
  for (let length = Math.min(tag.length - 1, text.length); length > 0; length--) if (text.endsWith(tag.slice(0, length))) return length
  return 0
}

/** Messages and tools → the text that the model was taught to read, by its own chat template. Runs in the child only. */
import { Template } from '@huggingface/jinja'
import type { Effort, Message, Tool } from '../../core/modalities/text.ts'
import { partsOf } from '../../core/modalities/text.ts'
import { isFields, listIn, readFields } from '../fields.ts'
import { ChildFailure } from '../process-child.ts'
import { withTools } from './child-told-tools.ts'
import { inTurns } from './child-turns.ts'
import { forcedOpening, styleOf } from './style.ts'
import type { Style } from './style.ts'

/** For models without a template: the most widely understood one. */
const PLAIN_TEMPLATE =
  "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"

export type PromptRequest = {
  readonly messages: readonly Message[]
  /** Those that the model is told of. */
  readonly tools: readonly Tool[]
  /** Whether it must call one of them. */
  readonly forced: boolean
  readonly effort: Effort | null
  /** Whether it may think before it answers, where it can. */
  readonly thinks: boolean
}

export type Prompt = {
  readonly text: string
  /** Texts of the caller's in it, in the order they stand there. */
  readonly foreign: readonly string[]
  /** Whether the text ends inside of a thought. */
  readonly thinking: boolean
}

type Plain = Record<string, unknown> & { role: string; content: string }

/** The template of one model, read once: that takes longer than a short answer. */
export class Prompter {
  readonly style: Style
  readonly #template: Template
  readonly #tokens: { readonly bos_token: string; readonly eos_token: string }

  constructor(template: string | null, tokens: { readonly bos: string; readonly eos: string }) {
    this.style = styleOf(template)
    this.#template = new Template(template ?? PLAIN_TEMPLATE)
    this.#tokens = { bos_token: tokens.bos, eos_token: tokens.eos }
  }

  render(request: PromptRequest): Prompt {
    const { style } = this
    const messages = this.#messages(request)
    let text = this.#fill(messages, request)
    const open = style.think !== null && text.trimEnd().endsWith(style.think.open)
    if (style.think !== null && open && !request.thinks) text = `${text.trimEnd()}\n${style.think.close}\n\n`
    if (request.forced) text += forcedOpening(style)
    return { text, foreign: messages.map(({ content }) => content), thinking: open && request.thinks && !request.forced }
  }

  #messages({ messages, tools }: PromptRequest): Plain[] {
    const plain = messages.map(plainOf)
    if (tools.length === 0 && !plain.some(({ role, tool_calls }) => role === 'tool' || tool_calls !== undefined)) return plain
    // Texts stay texts.
    return this.style.nativeTools ? plain : (withTools(plain, tools) as Plain[])
  }

  /** A template may refuse what it was not made for; most of it is said otherwise then. */
  #fill(messages: readonly Plain[], request: PromptRequest): string {
    try {
      return this.#render(messages, request)
    } catch {
      // Its words quote the messages. Many templates know no system, or want user and assistant to take turns.
    }
    try {
      // Texts stay texts.
      return this.#render(inTurns(messages) as Plain[], request)
    } catch {
      throw new ChildFailure('bad_messages')
    }
  }

  #render(messages: readonly Plain[], { tools, effort, thinks }: PromptRequest): string {
    return this.#template.render({
      ...this.#tokens,
      messages,
      ...(tools.length > 0 && this.style.nativeTools && { tools }),
      add_generation_prompt: true,
      ...(!thinks && { enable_thinking: false, thinking: false }),
      ...(effort !== null && effort !== 'none' && { reasoning_effort: effortOf(effort) }),
    })
  }
}

/** Templates know three. */
function effortOf(effort: Effort): 'low' | 'medium' | 'high' {
  if (effort === 'minimal' || effort === 'low') return 'low'
  return effort === 'medium' ? 'medium' : 'high'
}

function plainOf(message: Message): Plain {
  const { role, content, tool_calls: calls, ...rest } = message
  const text =
    typeof content === 'string'
      ? content
      : partsOf(message)
          .map(({ text: part }) => (typeof part === 'string' ? part : ''))
          .join('\n')
  const made = listIn(calls).map(callOf)
  return { ...rest, role: role === 'developer' ? 'system' : role, content: text, ...(made.length > 0 && { tool_calls: made }) }
}

/** Templates want the arguments as an object, and write them as JSON themselves. */
function callOf(call: unknown): unknown {
  if (!isFields(call) || !isFields(call['function'])) return call
  const { arguments: args } = call['function']
  return { ...call, function: { ...call['function'], arguments: typeof args === 'string' ? (readFields(args) ?? {}) : args } }
}

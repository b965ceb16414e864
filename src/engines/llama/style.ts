/** How a family of models writes thoughts and calls, read off its own chat template. */
import type { CallStyle } from './grammar.ts'

export type Style = {
  readonly think: { readonly open: string; readonly close: string } | null
  readonly calls: CallStyle
  /** Whether the template itself tells the model of its tools, in a way that is understood here. */
  readonly nativeTools: boolean
  readonly harmony: boolean
}

const TAGGED: CallStyle = {
  opens: '<tool_call>',
  separates: '\n</tool_call>\n<tool_call>\n',
  closes: '\n</tool_call>',
  ends: '</tool_call>',
  argumentsKey: 'arguments',
  several: true,
}
const BRACKETED: CallStyle = { opens: '[TOOL_CALLS]', separates: ', ', closes: ']', ends: '', argumentsKey: 'arguments', several: true }
const BARE: CallStyle = { opens: '', separates: '', closes: '', ends: '', argumentsKey: 'parameters', several: false }

/** `template` is null for a model that has none. */
export function styleOf(template: string | null): Style {
  const has = (mark: string): boolean => template?.includes(mark) ?? false
  const harmony = has('<|channel|>') && has('<|message|>')
  const think = has('<think>') ? { open: '<think>', close: '</think>' } : has('[THINK]') ? { open: '[THINK]', close: '[/THINK]' } : null
  const offers = has('tools')
  if (harmony) return { think: null, calls: TAGGED, nativeTools: offers, harmony }
  if (offers && has('[TOOL_CALLS]')) return { think, calls: BRACKETED, nativeTools: true, harmony }
  // A call in XML has no types; such a model is told to write JSON instead.
  if (offers && has('<tool_call>') && !has('<function=') && !has('<arg_key>')) return { think, calls: TAGGED, nativeTools: true, harmony }
  if (offers && has('"parameters"') && has('ipython')) return { think, calls: BARE, nativeTools: true, harmony }
  return { think, calls: TAGGED, nativeTools: false, harmony }
}

/** Where a forced call begins: the prompt ends with it, so that the model is where it would be had it decided for a call itself. */
export function forcedOpening({ calls, harmony }: Style): string {
  if (harmony) return '<|channel|>commentary<|message|>'
  if (calls.opens === '') return ''
  return calls.opens === BRACKETED.opens ? `${calls.opens}[` : `${calls.opens}\n`
}

/** The marks that a tokenizer has as tokens of their own and that must reach the reader. */
export function marksOf({ think, calls, harmony }: Style): readonly string[] {
  const own = [calls.opens.trim(), calls.ends, think?.open ?? '', think?.close ?? '', '[ARGS]', '[CALL_ID]']
  return harmony
    ? ['<|channel|>', '<|message|>', '<|start|>', '<|end|>', '<|call|>', '<|return|>', '<|constrain|>']
    : own.filter((mark) => mark !== '')
}

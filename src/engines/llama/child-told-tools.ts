/** Tools for a model whose chat template knows none. Runs in children only. */
import type { Tool } from '../../core/modalities/text.ts'
import { isFields, listIn } from '../fields.ts'

/** A message; one whose content is no text has pictures in it, and no calls. */
export type Told = Readonly<Record<string, unknown>> & { readonly role: string; readonly content?: unknown }

/** Tells a model of its tools whose template does not, in the words that most families know. Texts stay texts. */
export function withTools(messages: readonly Told[], tools: readonly Tool[]): Told[] {
  const out: Told[] = []
  for (const { tool_calls: calls, ...message } of messages) {
    const said = listIn(calls).map((call) => `<tool_call>\n${JSON.stringify(isFields(call) ? call['function'] : call)}\n</tool_call>`)
    if (message.role === 'tool') out.push({ role: 'user', content: `<tool_response>\n${String(message.content)}\n</tool_response>` })
    else if (said.length === 0) out.push(message)
    else out.push({ ...message, content: [message.content, ...said].filter((text) => text !== '').join('\n') })
  }
  if (tools.length === 0) return out
  const list = tools.map(({ type, function: { name, description, parameters } }) =>
    JSON.stringify({ type, function: { name, description, parameters } }),
  )
  const words = `You may call one or more functions to assist with the user's query. They are given as JSON:
<tools>
${list.join('\n')}
</tools>
For each call write its name and arguments as JSON between tags, and nothing else:
<tool_call>
{"name": "a name", "arguments": {"a parameter": "its value"}}
</tool_call>`
  const [first, ...others] = out
  if (first?.role === 'system') return [{ ...first, content: `${String(first.content)}\n\n${words}` }, ...others]
  return [{ role: 'system', content: words }, ...out]
}

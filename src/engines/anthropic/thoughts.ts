/**
 * The model's thoughts in chat messages: `reasoning_details`, one entry per block, with the signature by which the API
 * knows its own thoughts again. They must come back unchanged, or tool use with thinking breaks off.
 */
import type { Message } from '../../core/modalities/text.ts'
import { isFields, listIn, textIn } from '../fields.ts'
import type { Fields } from '../fields.ts'

const FORMAT = 'anthropic-claude-v1'

export const thoughtDetail = (text: string, signature: string, index: number): Fields => ({
  type: 'reasoning.text',
  text,
  ...(signature !== '' && { signature }),
  format: FORMAT,
  index,
})

export const encryptedDetail = (data: string, index: number): Fields => ({ type: 'reasoning.encrypted', data, format: FORMAT, index })

/**
 * The blocks that the details of a message once were. Entries of one index that a client collected from several
 * deltas are one block. What other engines thought, and thoughts without a signature, are left out: the API takes
 * none but its own.
 */
export function thoughtBlocks(message: Message): Record<string, unknown>[] {
  const blocks: Record<string, unknown>[] = []
  let open: { index: unknown; thinking: string; signature: string } | null = null
  const close = (): void => {
    if (open && open.signature !== '') blocks.push({ type: 'thinking', thinking: open.thinking, signature: open.signature })
    open = null
  }
  for (const detail of listIn(message['reasoning_details'])) {
    if (!isFields(detail) || (detail['format'] ?? FORMAT) !== FORMAT) continue
    if (detail['type'] === 'reasoning.encrypted') {
      close()
      if (textIn(detail, 'data') !== '') blocks.push({ type: 'redacted_thinking', data: textIn(detail, 'data') })
    } else if (detail['type'] === 'reasoning.text') {
      const index = detail['index']
      if (open === null || index === undefined || open.index !== index) {
        close()
        open = { index, thinking: '', signature: '' }
      }
      open.thinking += textIn(detail, 'text')
      open.signature += textIn(detail, 'signature')
    }
  }
  close()
  return blocks
}

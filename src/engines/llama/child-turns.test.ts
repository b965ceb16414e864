import { expect, test } from 'vitest'
import { inTurns } from './child-turns.ts'

const picture = { type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } }

test('neighbours of one side become one, pictures and all, in their order', () => {
  const turns = inTurns([
    { role: 'system', content: 'be kind' },
    { role: 'user', content: 'look' },
    { role: 'user', content: [picture] },
    { role: 'assistant', content: 'I see' },
    { role: 'tool', content: 'done' },
  ])

  expect(turns).toEqual([
    { role: 'user', content: [{ type: 'text', text: 'be kind\n\nlook' }, picture] },
    { role: 'assistant', content: 'I see' },
    { role: 'user', content: 'done' },
  ])
})

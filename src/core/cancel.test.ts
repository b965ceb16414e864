import { describe, expect, it } from 'vitest'
import { Cancel } from './cancel.ts'

describe('a cancel', () => {
  it('calls each listener once, with the reason to be read, and only the first abort counts', () => {
    const cancel = new Cancel()
    const heard: unknown[] = []
    cancel.addEventListener('abort', () => heard.push(['function', cancel.reason]))
    cancel.addEventListener('abort', { handleEvent: () => heard.push(['object', cancel.reason]) })

    cancel.abort('first')
    cancel.abort('second')

    expect(cancel.aborted).toBe(true)
    expect(heard).toEqual([
      ['function', 'first'],
      ['object', 'first'],
    ])
  })

  it('does not call who has left, and goes on when a listener leaves or comes while it calls', () => {
    const cancel = new Cancel()
    const heard: string[] = []
    const left = (): void => void heard.push('left')
    cancel.addEventListener('abort', left)
    cancel.addEventListener('abort', () => {
      heard.push('a')
      cancel.addEventListener('abort', () => heard.push('late'))
    })
    cancel.addEventListener('abort', () => heard.push('b'))
    cancel.removeEventListener('abort', left)

    cancel.abort(null)

    expect(heard).toEqual(['a', 'b'])
  })
})

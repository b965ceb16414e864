import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Crowd, type Member, NOWHERE } from './crowd.ts'

type Guest = Member & { readonly name: number }

describe('a crowd', () => {
  it('has exactly those who came and have not gone, whatever the order', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(9)), (steps) => {
        const guests: Guest[] = Array.from({ length: 10 }, (_, name) => ({ name, place: NOWHERE }))
        const crowd = new Crowd<Guest>()
        const there = new Set<number>()
        for (const name of steps) {
          const guest = guests[name]
          if (!guest) continue
          if (there.delete(name)) crowd.delete(guest)
          else {
            crowd.add(guest)
            there.add(name)
          }
        }

        const seen: number[] = []
        crowd.forEach(({ name }) => seen.push(name))
        const inOrder = (names: Iterable<number>): number[] => [...names].sort((a, b) => a - b)
        expect([crowd.size, inOrder(seen)]).toEqual([there.size, inOrder(there)])
      }),
    )
  })

  it('lets nobody go twice, and calls on all who were there', () => {
    const [a, b]: Guest[] = [0, 1].map((name) => ({ name, place: NOWHERE }))
    const crowd = new Crowd<Guest>()
    if (!a || !b) throw new Error('no guests')
    crowd.add(a)
    crowd.add(b)

    const seen: number[] = []
    crowd.forEach((guest) => {
      crowd.delete(guest)
      crowd.delete(guest)
      seen.push(guest.name)
    })

    expect([seen, crowd.size]).toEqual([[0, 1], 0])
  })
})

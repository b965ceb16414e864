/** Every movement there is, oldest first, page by page: never more of it in memory than a page. */
import type { Movement, Store } from '../core/store.ts'

/** How many movements are read at once. */
export const EXPORT_PAGE = 500

/** Yields all movements after the place `after` up to those of the moment when it comes to its end. Rejects where the store is away. */
export async function* ledgerPages(store: Pick<Store, 'allMovements'>, after: number): AsyncGenerator<readonly Movement[]> {
  for (let place = after; ; ) {
    const page = await store.allMovements(place, EXPORT_PAGE)
    const last = page.at(-1)
    if (!last) return
    yield page
    if (page.length < EXPORT_PAGE) return
    place = last.seq
  }
}

import { describe, expect, test } from 'vitest'
import { Cancel } from '../core/cancel.ts'
import { failField } from '../core/errors.ts'
import { HELD_BYTES, IncomingForm, type IncomingFormOptions } from './incoming-form.ts'

const RULES = { file: 'file', maxBytes: 4 * HELD_BYTES, first: 'model' }
const field = (name: string, value = '1'): Buffer =>
  Buffer.from(`--X\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`)
const FILE = Buffer.from('--X\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n')
const END = Buffer.from('\r\n--X--\r\n')
const LARGE = Buffer.alloc(HELD_BYTES + 1_000, 7)

type Coming = { readonly form: IncomingForm; readonly cancel: Cancel; readonly held: number[]; readonly ready: () => unknown }

/** A form that only `strange` is wrong in; `ready` says whether the work may begin, or what is wrong. */
function coming(more: Partial<IncomingFormOptions> = {}): Coming {
  const cancel = new Cancel()
  const held: number[] = []
  const form = new IncomingForm({
    rules: RULES,
    boundary: 'X',
    lengthBytes: -1,
    check: (fields) => {
      if ('strange' in fields) throw failField('strange', 'is not a field')
      return fields
    },
    hold: (bytes) => void held.push(bytes),
    cancel,
    goOn: () => undefined,
    ...more,
  })
  let state: unknown = false
  void form.ready.then(
    () => (state = true),
    (reason: unknown) => (state = reason),
  )
  return { form, cancel, held, ready: () => state }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('a form on its way in', () => {
  test('may be begun with when the field that matters stands before its file, and as much of that has come as is held', async () => {
    const { form, ready, held } = coming()
    const went = [form.take(field('model')), form.take(FILE), form.take(LARGE.subarray(0, HELD_BYTES - 100))]
    await turn()
    const before = ready()
    const last = form.take(LARGE.subarray(HELD_BYTES - 100))
    await turn()

    expect([went, before, last, ready()]).toEqual([[true, true, true], false, false, true])
    expect([form.known(), form.file?.arrived, held]).toEqual([{ model: '1' }, false, []])
  })

  test('is kept to its end where that field stands after the file, and what is kept is counted', async () => {
    const { form, ready, held } = coming()
    for (const bytes of [FILE, LARGE, LARGE]) expect(form.take(bytes)).toBe(true)
    await turn()
    const before = ready()
    form.take(Buffer.concat([Buffer.from('\r\n'), field('model'), Buffer.from('--X--')]))
    form.ended()
    await turn()

    expect([before, ready(), form.known(), form.file?.fromStart]).toEqual([false, true, { model: '1' }, true])
    expect(held.at(-1)).toBe(2 * LARGE.length)
  })

  test('that is small is there whole, in whatever order', async () => {
    const { form, ready } = coming()
    form.take(Buffer.concat([field('model'), FILE, Buffer.from('abc'), END]))
    form.ended()
    await turn()

    expect([ready(), form.file?.arrived, form.file?.atMostBytes]).toEqual([true, true, 3])
  })

  test('knows from its announced size how large its file can be at most, before that has come', () => {
    const body = Buffer.concat([field('model'), FILE, LARGE, END])
    const { form } = coming({ lengthBytes: body.length - 2 })
    form.take(body.subarray(0, 1_000))

    expect(form.file?.atMostBytes).toBe(LARGE.length)
  })

  test('does not ask to wait once its file has come, so that what stands after it is known before anybody reads the file', async () => {
    const { form, ready } = coming()
    for (const bytes of [field('model'), FILE]) form.take(bytes)

    expect(form.take(Buffer.concat([LARGE, END.subarray(0, 5)]))).toBe(true)
    form.take(END.subarray(5))
    form.ended()
    await turn()
    expect([ready(), form.file?.arrived, await form.all()]).toEqual([true, true, { model: '1' }])
  })

  test.for([
    ['a field that makes no sense', Buffer.concat([Buffer.from('\r\n'), field('strange'), Buffer.from('--X--')]), 'strange'],
    ['a second file', Buffer.concat([Buffer.from('\r\n'), FILE]), 'file'],
    ['no end', Buffer.from('abc'), undefined],
  ] as const)('calls off what was begun for %s', async ([, rest, param]) => {
    const { form, cancel } = coming()
    for (const bytes of [field('model'), FILE, LARGE]) form.take(bytes)
    await form.ready
    form.take(rest)
    form.ended()

    expect(cancel.reason).toMatchObject({ code: 'INVALID_REQUEST', ...(param && { param }) })
    await expect(form.all()).rejects.toBe(cancel.reason)
  })

  test('with too large a file is refused as soon as that is known, by the name of the field', async () => {
    expect(() => coming({ lengthBytes: 100 * HELD_BYTES })).toThrow(expect.objectContaining({ code: 'PAYLOAD_TOO_LARGE', param: 'file' }))
    const { form, ready, cancel } = coming()
    form.take(FILE)
    for (let count = 0; count < 5; count++) form.take(LARGE)
    await turn()

    expect([ready(), cancel.reason]).toEqual([expect.objectContaining({ code: 'PAYLOAD_TOO_LARGE', param: 'file' }), ready()])
  })
})

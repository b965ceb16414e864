/** A settlement as a line of the journal, and back: a JSON array, its amounts as numbers, which they fit in. */
import type { Amount } from '../../core/money.ts'
import type { Bill, PaidLine, Settlement, Transfer, TransferKind } from '../../core/store.ts'
import { CURRENCIES } from '../../core/money.ts'
import { MODALITIES } from '../../core/modality.ts'
import { UNITS } from '../../core/usage.ts'

const TRANSFER_KINDS: readonly TransferKind[] = ['topup', 'grant', 'takeback', 'allowance', 'refund']

export function lineOf(settlement: Settlement): string {
  return settlement.kind === 'settle' ? billLine(settlement) : transferLine(settlement)
}

/** Null for what is no whole line. */
export function settlementOf(line: string): Settlement | null {
  if (line === '') return null
  let read: unknown
  try {
    read = JSON.parse(line)
  } catch {
    return null
  }
  if (!Array.isArray(read)) return null
  const fields = new Fields(read)
  const found = fields.text() === 'settle' ? billOf(fields) : transferOf(new Fields(read))
  return fields.sound && found.sound ? found.settlement : null
}

type Read = { readonly settlement: Settlement; readonly sound: boolean }

/** Written by hand where nothing needs escaping: a JSON array of it all would take twice as long. */
function billLine(bill: Bill): string {
  const { requestId, at, accountId, keyId, model, modality, executionMs, diemDay, lines } = bill
  let out = `["settle",${quoted(requestId)},${at},${quoted(accountId)},${quoted(keyId)},${quoted(model)},"${modality}",${executionMs},${diemDay}`
  for (const { unit, count, priceNano, amount, currency } of lines)
    out += `,"${unit}",${count},${priceNano},${numeral(amount)},"${currency}"`
  return `${out}]\n`
}

function transferLine({ kind, id, at, currency, fromBook, toBook, amount }: Transfer): string {
  return `["${kind}",${quoted(id)},${at},"${currency}",${quoted(fromBook)},${quoted(toBook)},${numeral(amount)}]\n`
}

function billOf(fields: Fields): Read {
  const bill = {
    kind: 'settle' as const,
    requestId: fields.text(),
    at: fields.whole(),
    accountId: fields.text(),
    keyId: fields.text(),
    model: fields.text(),
    modality: fields.oneOf(MODALITIES),
    executionMs: fields.whole(),
    diemDay: fields.whole(),
  }
  const lines: PaidLine[] = []
  while (fields.left > 0 && fields.sound)
    lines.push({
      unit: fields.oneOf(UNITS),
      count: fields.whole(),
      priceNano: fields.whole(),
      amount: fields.amount(),
      currency: fields.oneOf(CURRENCIES),
    })
  return { settlement: { ...bill, lines }, sound: fields.sound }
}

function transferOf(fields: Fields): Read {
  const settlement: Transfer = {
    kind: fields.oneOf(TRANSFER_KINDS),
    id: fields.text(),
    at: fields.whole(),
    currency: fields.oneOf(CURRENCIES),
    fromBook: fields.text(),
    toBook: fields.text(),
    amount: fields.amount(),
  }
  return { settlement, sound: fields.sound && fields.left === 0 }
}

/** Takes the fields of a line one by one; `sound` as long as each was what was asked for. */
class Fields {
  readonly #fields: readonly unknown[]
  #at = 0
  sound = true

  constructor(fields: readonly unknown[]) {
    this.#fields = fields
  }

  get left(): number {
    return this.#fields.length - this.#at
  }

  text(): string {
    const value = this.#fields[this.#at++]
    if (typeof value === 'string') return value
    this.sound = false
    return ''
  }

  whole(): number {
    const value = this.#fields[this.#at++]
    if (typeof value === 'number' && Number.isSafeInteger(value)) return value
    this.sound = false
    return 0
  }

  amount(): Amount {
    const value = this.#fields[this.#at++]
    if (typeof value === 'number' && Number.isSafeInteger(value)) return BigInt(value)
    if (typeof value === 'string' && WHOLE.test(value)) return BigInt(value)
    this.sound = false
    return 0n
  }

  oneOf<T extends string>(all: readonly [T, ...T[]] | readonly T[]): T {
    const value = this.#fields[this.#at++]
    for (const one of all) if (one === value) return one
    this.sound = false
    const [first] = all
    if (first === undefined) throw new Error('one of none')
    return first
  }
}

const WHOLE = /^-?\d{1,30}$/
const SAFE = BigInt(Number.MAX_SAFE_INTEGER)

/** A text where a number would not be exact. */
const numeral = (amount: Amount): string => (amount <= SAFE && amount >= -SAFE ? `${amount}` : `"${amount}"`)

function quoted(text: string): string {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code < 0x20 || code > 0x7e || code === 0x22 || code === 0x5c) return JSON.stringify(text)
  }
  return `"${text}"`
}

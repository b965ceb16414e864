/** Tables as CSV (RFC 4180), safe to open in a spreadsheet. */

export type Column<Row> = {
  readonly name: string
  /** A number is a decimal string of ours and goes out as it is; everything else is text. */
  readonly type: 'text' | 'number'
  /** Null is an empty cell. */
  readonly of: (row: Row) => string | null
}

export const CSV_CONTENT_TYPE = 'text/csv; charset=utf-8'

/** A head line with the names, then a line per row, each ended by CR and LF. */
export function csvOf<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string {
  const out = [columns.map(({ name }) => textCell(name)).join(',')]
  for (const row of rows) {
    out.push(columns.map(({ type, of }) => (type === 'number' ? (of(row) ?? '') : textCell(of(row) ?? ''))).join(','))
  }
  return `${out.join('\r\n')}\r\n`
}

/** What a spreadsheet would take for a formula, at the start of a cell. */
const FORMULA = /^[=+\-@\t\r\n]/
const SPECIAL = /[",\r\n]/

/** An apostrophe in front makes a spreadsheet show a text instead of computing it. */
function textCell(text: string): string {
  const shown = FORMULA.test(text) ? `'${text}` : text
  return SPECIAL.test(shown) ? `"${shown.replaceAll('"', '""')}"` : shown
}

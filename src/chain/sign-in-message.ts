/**
 * The text that a wallet signs to sign in: EIP-4361 for EVM wallets, and the same with another first line for Solana's
 * (CAIP-122). Read strictly, line by line, because a text that two readers understand differently signs in the wrong one.
 */

export type SignInMessage = {
  readonly chain: 'evm' | 'solana'
  readonly domain: string
  readonly address: string
  readonly statement: string | null
  readonly uri: string
  readonly version: string
  readonly chainId: string
  readonly nonce: string
  /** Milliseconds since 1970. */
  readonly issuedAt: number
  readonly expiresAt: number | null
  readonly notBefore: number | null
}

const FIRST_LINE = /^(?:https?:\/\/)?([^\s/?#@]{1,255}) wants you to sign in with your (Ethereum|Solana) account:$/
/** The fields after the statement, in the order of the standard; those with `?` may be left out. */
const FIELDS = ['URI', 'Version', 'Chain ID', 'Nonce', 'Issued At', 'Expiration Time?', 'Not Before?', 'Request ID?'] as const
const RESOURCES = 'Resources:'
const MAX_RESOURCES = 32
/** RFC 3339, as EIP-4361 has it. */
const TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:Z|[+-]\d{2}:\d{2})$/

/** What the text says, or null where it is no such text. Nothing is judged here but the form. */
export function parseSignInMessage(text: string): SignInMessage | null {
  const lines = text.split('\n')
  const [first = '', address = '', blank, ...rest] = lines
  const head = FIRST_LINE.exec(first)
  if (!head || blank !== '') return null
  const { statement, fields } = statementOf(rest)
  const read = fieldsOf(fields)
  if (!read) return null
  const issuedAt = timeOf(read.get('Issued At'))
  const expiresAt = timeOf(read.get('Expiration Time'))
  const notBefore = timeOf(read.get('Not Before'))
  // `undefined` is a time that is none.
  if (issuedAt == null || expiresAt === undefined || notBefore === undefined) return null
  return {
    chain: head[2] === 'Solana' ? 'solana' : 'evm',
    domain: head[1] ?? '',
    address,
    statement,
    uri: read.get('URI') ?? '',
    version: read.get('Version') ?? '',
    chainId: read.get('Chain ID') ?? '',
    nonce: read.get('Nonce') ?? '',
    issuedAt,
    expiresAt,
    notBefore,
  }
}

/** A statement is one line between two blank ones; where there is none, one or two blank lines stand there. */
function statementOf(lines: readonly string[]): { statement: string | null; fields: readonly string[] } {
  const [first = '', second] = lines
  if (first.startsWith('URI: ')) return { statement: null, fields: lines }
  if (first === '') return { statement: null, fields: lines.slice(1) }
  return second === '' ? { statement: first, fields: lines.slice(2) } : { statement: null, fields: [] }
}

function fieldsOf(lines: readonly string[]): ReadonlyMap<string, string> | null {
  const found = new Map<string, string>()
  let at = 0
  for (const field of FIELDS) {
    const name = field.replace('?', '')
    const line = lines[at]
    if (line?.startsWith(`${name}: `)) {
      found.set(name, line.slice(name.length + 2))
      at++
    } else if (name === field) return null
  }
  return at === lines.length || isResources(lines.slice(at)) ? found : null
}

function isResources([head, ...lines]: readonly string[]): boolean {
  return head === RESOURCES && lines.length <= MAX_RESOURCES && lines.every((line) => line.startsWith('- '))
}

/** Null where there is none, `undefined` for what is none. */
function timeOf(text: string | undefined): number | null | undefined {
  if (text === undefined) return null
  const time = TIME.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(time) ? undefined : time
}

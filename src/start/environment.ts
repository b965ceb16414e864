/** The environment as the interface: which variables there are, what each takes, and one sentence for a wrong one. */
import { homedir } from 'node:os'
import { isAbsolute, join, resolve } from 'node:path'

export type Environment = Readonly<Record<string, string | undefined>>

/** A start that cannot go on. The words are for the operator's terminal and name the variable or file. */
export class StartError extends Error {
  override readonly name = 'StartError'
}

/** Every variable of Rialto's own, in the order `--help` shows them. Keys of engines are documented with the engines. */
export const VARIABLES: readonly { readonly name: string; readonly takes: string }[] = [
  { name: 'PORT', takes: 'the port to listen on, 0 to 65535 (0: any free one); default 8080' },
  { name: 'HOST', takes: 'the address to listen on; default 127.0.0.1' },
  { name: 'RIALTO_HOME', takes: 'the folder for data; default ~/.rialto' },
  { name: 'RIALTO_ADMIN_KEY', takes: 'the first key, 16 to 256 visible ASCII characters; default: one is made and shown once' },
  { name: 'RIALTO_CONFIG', takes: 'a folder of configuration files that is laid over config/' },
  { name: 'RIALTO_PUBLIC_URL', takes: 'the http(s) address that callers reach this server by; default: where it listens' },
  { name: 'STRIPE_SECRET_KEY', takes: 'a key of Stripe, to sell credit by card; default: no cards' },
  { name: 'STRIPE_WEBHOOK_SECRET', takes: 'the secret of its webhook, or two with a comma while one is replaced' },
  { name: 'RIALTO_STRIPE_URL', takes: 'the http(s) address of the Stripe API, for tests; default Stripe’s own' },
  { name: 'RIALTO_RPC_URL', takes: 'the http(s) address of a node of the chain in chain.json; default: none is asked' },
  { name: 'RIALTO_SETTLER_KEY', takes: 'a private key, 0x and 64 hexadecimal digits, that collects x402 payments without a facilitator' },
  { name: 'RIALTO_FACILITATOR_TOKEN', takes: 'the bearer token for the x402 facilitator; default: none' },
  { name: 'HF_TOKEN', takes: 'a token of the hub that models are downloaded from, for those that want one; default: none' },
  { name: 'HF_ENDPOINT', takes: 'the http(s) address of that hub; default https://huggingface.co' },
  { name: 'RIALTO_LLAMA_SERVER', takes: 'the path of llama.cpp’s program llama-server; default: the one on the PATH' },
  { name: 'OTEL_EXPORTER_OTLP_ENDPOINT', takes: 'the http(s) address of an OpenTelemetry collector; default: no traces' },
]

export type Settings = {
  readonly port: number
  readonly host: string
  readonly home: string
  readonly adminKey: string | null
  readonly overlay: string | null
  readonly otlpEndpoint: string | null
  /** Where callers reach this server, without a slash at its end; null where it is only known by where it listens. */
  readonly publicUrl: string | null
  /** What cards are charged with; null where none are taken. */
  readonly stripe: { readonly secretKey: string; readonly webhookSecrets: readonly string[]; readonly url: string | null } | null
  readonly rpcUrl: string | null
  readonly settlerKey: `0x${string}` | null
  readonly facilitatorToken: string | null
  /** Of the hub that models come from; null for what local-models.json says, and for none. */
  readonly hub: string | null
  readonly hubToken: string | null
  /** Absolute path of llama.cpp's own program; null for the one on the PATH. */
  readonly llamaServer: string | null
}

/** Reads Rialto's own variables; throws a `StartError` with one sentence that names the variable and what it takes. */
export function settingsOf(env: Environment): Settings {
  const text = (name: string): string | null => {
    const value = env[name]?.trim()
    return value ? value : null
  }
  const url = (name: string): string | null => mapped(text(name), (value) => httpUrl(name, value))
  return {
    port: portOf(text('PORT')),
    host: hostOf(text('HOST')),
    home: pathOf(text('RIALTO_HOME') ?? join(homedir(), '.rialto')),
    adminKey: keyOf(text('RIALTO_ADMIN_KEY')),
    overlay: mapped(text('RIALTO_CONFIG'), pathOf),
    otlpEndpoint: url('OTEL_EXPORTER_OTLP_ENDPOINT'),
    publicUrl: url('RIALTO_PUBLIC_URL'),
    stripe: stripeOf(text('STRIPE_SECRET_KEY'), text('STRIPE_WEBHOOK_SECRET'), url('RIALTO_STRIPE_URL')),
    rpcUrl: url('RIALTO_RPC_URL'),
    settlerKey: settlerOf(text('RIALTO_SETTLER_KEY')),
    facilitatorToken: text('RIALTO_FACILITATOR_TOKEN'),
    hub: url('HF_ENDPOINT'),
    hubToken: text('HF_TOKEN'),
    llamaServer: mapped(text('RIALTO_LLAMA_SERVER'), pathOf),
  }
}

function stripeOf(secretKey: string | null, webhookSecret: string | null, url: string | null): Settings['stripe'] {
  if (secretKey === null && webhookSecret === null) return null
  if (secretKey === null) throw new StartError('STRIPE_SECRET_KEY takes a key of Stripe; STRIPE_WEBHOOK_SECRET alone sells nothing.')
  const webhookSecrets = (webhookSecret ?? '').split(',').flatMap((secret) => secret.trim() || [])
  if (webhookSecrets.length === 0)
    throw new StartError('STRIPE_WEBHOOK_SECRET takes the secret of the webhook; without it no payment is ever credited.')
  return { secretKey, webhookSecrets, url }
}

/** The value is a secret: the sentence does not repeat it. */
function settlerOf(value: string | null): `0x${string}` | null {
  if (value === null) return null
  if (!/^0x[0-9a-fA-F]{64}$/.test(value)) throw new StartError('RIALTO_SETTLER_KEY takes a private key: 0x and 64 hexadecimal digits.')
  return `0x${value.slice(2)}`
}

/** An http(s) address from a variable, without a slash at its end. */
export function httpUrl(name: string, value: string): string {
  const url = URL.canParse(value) ? new URL(value) : null
  if (!url || (url.protocol !== 'http:' && url.protocol !== 'https:')) throw new StartError(`${name} takes an http:// or https:// address.`)
  return value.replace(/\/+$/, '')
}

function portOf(value: string | null): number {
  if (value === null) return 8080
  const port = Number(value)
  if (!/^\d{1,5}$/.test(value) || port > 65_535) throw new StartError(`PORT takes a whole number from 0 to 65535, not "${value}".`)
  return port
}

function hostOf(value: string | null): string {
  if (value === null) return '127.0.0.1'
  if (/[\s/]/.test(value) || /^\w+:\/\//.test(value))
    throw new StartError(`HOST takes an address or a host name without port or path, not "${value}".`)
  return value.replace(/^\[(.*)\]$/, '$1')
}

/** The value is a secret: the sentence does not repeat it. */
function keyOf(value: string | null): string | null {
  if (value === null) return null
  if (!/^[\x21-\x7e]{16,256}$/.test(value))
    throw new StartError('RIALTO_ADMIN_KEY takes 16 to 256 visible ASCII characters, without spaces.')
  return value
}

function pathOf(value: string): string {
  const expanded = value === '~' || value.startsWith('~/') ? join(homedir(), value.slice(1)) : value
  return isAbsolute(expanded) ? expanded : resolve(expanded)
}

const mapped = <T>(value: string | null, map: (value: string) => T): T | null => (value === null ? null : map(value))

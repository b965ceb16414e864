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
  { name: 'OTEL_EXPORTER_OTLP_ENDPOINT', takes: 'the http(s) address of an OpenTelemetry collector; default: no traces' },
]

export type Settings = {
  readonly port: number
  readonly host: string
  readonly home: string
  readonly adminKey: string | null
  readonly overlay: string | null
  readonly otlpEndpoint: string | null
}

/** Reads Rialto's own variables; throws a `StartError` with one sentence that names the variable and what it takes. */
export function settingsOf(env: Environment): Settings {
  const text = (name: string): string | null => {
    const value = env[name]?.trim()
    return value ? value : null
  }
  return {
    port: portOf(text('PORT')),
    host: hostOf(text('HOST')),
    home: folderOf(text('RIALTO_HOME') ?? join(homedir(), '.rialto')),
    adminKey: keyOf(text('RIALTO_ADMIN_KEY')),
    overlay: mapped(text('RIALTO_CONFIG'), folderOf),
    otlpEndpoint: mapped(text('OTEL_EXPORTER_OTLP_ENDPOINT'), (value) => httpUrl('OTEL_EXPORTER_OTLP_ENDPOINT', value)),
  }
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

function folderOf(value: string): string {
  const expanded = value === '~' || value.startsWith('~/') ? join(homedir(), value.slice(1)) : value
  return isAbsolute(expanded) ? expanded : resolve(expanded)
}

const mapped = <T>(value: string | null, map: (value: string) => T): T | null => (value === null ? null : map(value))

/** From method and path to the endpoint that declared them. Built once; exact paths are one map lookup. */
import type { AnyEndpoint } from '../endpoints/endpoint.ts'
import { type Checker, checkerOf } from './checker.ts'

/** Where the API is mounted: the documented base, the short one, and bare for clients that add neither. */
const PREFIXES = ['/api/v1/', '/v1/']

/** An endpoint with the checks of its schemas, made once. */
type Mounted = { readonly endpoint: AnyEndpoint; readonly query: Checker | null; readonly body: Checker | null }

export type Match = Mounted & { readonly params: Readonly<Record<string, string>> }

type Pattern = Mounted & { readonly segments: readonly string[] }

const NO_PARAMS: Readonly<Record<string, string>> = Object.freeze({})

export class Router {
  readonly #exact = new Map<string, Match>()
  readonly #patterns: Pattern[] = []
  readonly #paths = new Map<string, Set<string>>()

  constructor(endpoints: readonly AnyEndpoint[]) {
    for (const endpoint of endpoints) {
      const key = `${endpoint.method} ${endpoint.path}`
      if (this.#exact.has(key) || this.#patterns.some((other) => `${other.endpoint.method} ${other.endpoint.path}` === key)) {
        throw new Error(`Two endpoints are declared as ${key}`)
      }
      const mounted: Mounted = {
        endpoint,
        query: endpoint.query ? checkerOf(endpoint.query) : null,
        body: endpoint.body ? checkerOf(endpoint.body) : null,
      }
      if (endpoint.path.includes('{')) this.#patterns.push({ ...mounted, segments: endpoint.path.split('/') })
      else {
        this.#exact.set(key, { ...mounted, params: NO_PARAMS })
        const methods = this.#paths.get(endpoint.path) ?? new Set()
        this.#paths.set(endpoint.path, methods.add(endpoint.method))
      }
    }
  }

  /** The endpoint for this request, or null. `path` is without its query. */
  match(method: string, path: string): Match | null {
    const bare = barePath(path)
    const exact = this.#exact.get(`${method} ${bare}`)
    if (exact) return exact
    if (this.#paths.has(bare)) return null
    for (const pattern of this.#fitting(bare)) {
      const params = pattern.endpoint.method === method ? matchSegments(pattern.segments, bare) : null
      if (params) return { endpoint: pattern.endpoint, query: pattern.query, body: pattern.body, params }
    }
    return null
  }

  /** The patterns that a path fits, of all methods. Only the longest: a shorter one would take the rest for a part of its last name. */
  #fitting(path: string): Pattern[] {
    const fitting = this.#patterns.filter(({ segments }) => matchSegments(segments, path))
    const longest = Math.max(0, ...fitting.map(({ segments }) => segments.length))
    return fitting.filter(({ segments }) => segments.length === longest)
  }

  /** The methods that this path takes: empty where there is no such path. */
  methods(path: string): string[] {
    const bare = barePath(path)
    const found = new Set(this.#paths.get(bare))
    if (found.size === 0) for (const { endpoint } of this.#fitting(bare)) found.add(endpoint.method)
    return [...found]
  }
}

function barePath(path: string): string {
  let bare = path
  for (const prefix of PREFIXES) {
    if (path.startsWith(prefix)) {
      bare = path.slice(prefix.length - 1)
      break
    }
  }
  return bare.length > 1 && bare.endsWith('/') ? bare.slice(0, -1) : bare
}

/** A `{name}` takes one segment, and at the end of the path the rest of it, so that ids may contain slashes. */
function matchSegments(segments: readonly string[], path: string): Record<string, string> | null {
  const given = path.split('/')
  if (given.length < segments.length) return null
  const params: Record<string, string> = {}
  for (const [index, segment] of segments.entries()) {
    const last = index === segments.length - 1
    if (segment.startsWith('{')) {
      const raw = last ? given.slice(index).join('/') : (given[index] ?? '')
      const value = decode(raw)
      if (!value) return null
      params[segment.slice(1, -1)] = value
    } else if (segment !== given[index] || (last && given.length > segments.length)) return null
  }
  return params
}

function decode(raw: string): string | null {
  try {
    return decodeURIComponent(raw)
  } catch {
    return null
  }
}

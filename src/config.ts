/** Environment and files → one frozen Config. The only reader of `process.env`. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import {
  type EngineEntry,
  type ModelEntry,
  type NamesFile,
  type PlansFile,
  enginesFile,
  modelsFile,
  namesFile,
  plansFile,
} from './catalog/entry.ts'
import { readFile } from './catalog/read.ts'
import { bareEnvironment } from './engines/process.ts'
import { type ChainFile, chainFile, chainProblem } from './chain/settings.ts'
import { type LocalModelsFile, localModelsFile } from './local-models/settings.ts'
import { StartError, type Environment, type Settings, httpUrl, settingsOf } from './start/environment.ts'
import { type RawFiles, readFiles } from './start/files.ts'

/** Bounds of the server, in bytes and milliseconds: `server.json`. */
const serverFile = z.strictObject({
  maxBodyBytes: z.int().min(1_024).max(1_073_741_824),
  /** All bodies that are worked on together. */
  maxBodiesBytes: z.int().min(1_024),
  /** Requests that are worked on together. */
  maxRequests: z.int().min(1),
  bodyMs: z.int().min(1_000),
  idleMs: z.int().min(1_000),
  pingMs: z.int().min(100),
  firstByteMs: z.int().min(100),
  stallMs: z.int().min(100),
  shutdownMs: z.int().min(0),
  /** For how many days refusals and the audit are kept; 0 is for ever. */
  refusalDays: z.int().min(0),
  auditDays: z.int().min(0),
})
export type ServerBounds = z.infer<typeof serverFile>

/** An engine of the configuration with what the environment says about it. */
export type EngineConfig = Omit<EngineEntry, 'baseUrl' | 'keyEnv' | 'baseUrlEnv'> & {
  readonly baseUrl: string | null
  readonly apiKey: string | null
  /** Whether all that it needs is there: its key, where it takes one. */
  readonly configured: boolean
}

export type Config = Settings & {
  readonly version: string
  /** The value of `x-venice-version`: when this version was released. */
  readonly release: string
  readonly server: ServerBounds
  readonly models: readonly ModelEntry[]
  readonly names: NamesFile
  readonly plans: PlansFile
  readonly chain: ChainFile
  readonly localModels: LocalModelsFile
  readonly engines: readonly EngineConfig[]
  /** What children get to see of the environment. */
  readonly childEnv: Readonly<Record<string, string>>
  readonly systemPrompt: string
}

const packageFile = z.object({ version: z.string(), release: z.string() })

/** The folder that Rialto is installed in. */
const ROOT = join(import.meta.dirname, '..')

/** Version and release of this installation, from its package file. */
export const about = (): z.infer<typeof packageFile> => packageFile.parse(JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')))

/** Reads everything once. Throws with one sentence for the operator where a variable or a file is wrong. */
export function loadConfig(env: Environment = process.env): Config {
  const settings = settingsOf(env)
  const files = readFiles(join(ROOT, 'config'), settings.overlay)
  const read = checked(files)
  const problem = chainProblem(read.chain, settings)
  if (problem !== null) throw new StartError(problem)
  return Object.freeze({
    ...settings,
    ...about(),
    ...read,
    engines: enginesOf(files, env),
    childEnv: bareEnvironment(env),
    systemPrompt: files.systemPrompt,
  })
}

function checked(files: RawFiles): Pick<Config, 'models' | 'names' | 'plans' | 'server' | 'chain' | 'localModels'> {
  return {
    models: readFile(modelsFile, files.models, 'models/*.json'),
    names: readFile(namesFile, files.names, 'names.json'),
    plans: readFile(plansFile, files.plans, 'plans.json'),
    server: readFile(serverFile, files.server, 'server.json'),
    chain: readFile(chainFile, files.chain, 'chain.json'),
    localModels: readFile(localModelsFile, files.localModels, 'local-models.json'),
  }
}

function enginesOf(files: RawFiles, env: Environment): EngineConfig[] {
  return readFile(enginesFile, files.engines, 'engines.json').map(({ baseUrl, baseUrlEnv, keyEnv, ...entry }) => {
    const address = baseUrlEnv === undefined ? undefined : env[baseUrlEnv]?.trim()
    const apiKey = (keyEnv === undefined ? undefined : env[keyEnv]?.trim()) || null
    return {
      ...entry,
      baseUrl: address && baseUrlEnv ? httpUrl(baseUrlEnv, address) : (baseUrl ?? null),
      apiKey,
      configured: keyEnv === undefined || apiKey !== null,
    }
  })
}

/** From the configuration to engines: what house.ts does for rooms, done for everything that computes. */
import { availableParallelism, totalmem } from 'node:os'
import { resolve } from 'node:path'
import { Codecs } from './audio/codecs.ts'
import type { Config, EngineConfig } from './config.ts'
import type { Clock } from './core/clock.ts'
import type { Engine } from './core/engine.ts'
import { sees } from './core/local-models.ts'
import { AnthropicEngine } from './engines/anthropic/anthropic.ts'
import { hasLibrary } from './engines/llama/library.ts'
import { LlamaEngine, type Server } from './engines/llama/llama.ts'
import { OpenAiEngine } from './engines/openai/openai.ts'
import { isProgram, programOn } from './engines/programs.ts'
import { Espeak, hasEspeak } from './engines/sandbox/espeak.ts'
import { sandboxEngine } from './engines/sandbox/sandbox.ts'
import { SherpaEngine } from './engines/sherpa/sherpa.ts'
import { type OpenModels, openModels } from './models.ts'
import { StartError } from './start/environment.ts'

/** The engines, and what those of this machine work with. */
export type Workshop = {
  readonly engines: ReadonlyMap<string, Engine>
  readonly models: OpenModels['store']
  readonly codecs: Codecs
  /** Loads what the configuration wants loaded before anybody asks for it. What cannot be loaded says so when it is asked for. */
  warm(): void
  close(): Promise<void>
}

type Tools = {
  readonly models: OpenModels['store']
  readonly codecs: Codecs
  /** What children get to see of the environment. */
  readonly env: Readonly<Record<string, string>>
  readonly llamaServer: Server | null
}

export async function openWorkshop(config: Config, clock: Clock): Promise<Workshop> {
  const opened = openModels(config, clock, memoryBytes())
  const models = opened.store
  await models.start()
  const codecs = new Codecs({ env: config.childEnv })
  const tools: Tools = { models, codecs, env: config.childEnv, llamaServer: llamaServerOf(config) }
  const configured = config.engines.filter((entry) => entry.configured)
  const engines = new Map(configured.map((entry) => [entry.id, engineOf(entry, tools)]))
  return {
    engines,
    models,
    codecs,
    warm() {
      for (const engine of engines.values()) for (const id of models.preload) engine.warm?.(id).catch(() => undefined)
    },
    async close() {
      await Promise.all([...engines.values()].map((engine) => engine.close()))
      await Promise.all([codecs.close(), opened.close()])
    },
  }
}

/** Of the machine, or of the part of it that this process may use. */
const memoryBytes = (): number => Math.min(totalmem(), process.constrainedMemory() || Number.POSITIVE_INFINITY)

/** Where llama.cpp's own program is installed, and what it runs. Throws a `StartError` for a path that leads to none. */
function llamaServerOf({ llamaServer: path, childEnv, localModels }: Config): Server | null {
  if (path !== null && !isProgram(path))
    throw new StartError('RIALTO_LLAMA_SERVER takes the path of llama.cpp’s program llama-server; there is none that can be started.')
  const program = path ?? programOn(childEnv['PATH'], 'llama-server')
  if (program === null) return null
  const { runs, models } = localModels.llamaServer
  // Where the library does not run, a model without eyes is better run by the program than by nobody.
  const all = runs === 'text' || (runs === 'vision' && !hasLibrary())
  return {
    program: resolve(program),
    script: new URL('./llama-server-child.ts', import.meta.url),
    runs: (model) => models[model.id] ?? (all || (runs === 'vision' && sees(model))),
  }
}

/** A key or an address that cannot be sent stops the start with one sentence; it names the engine and quotes nothing. */
function engineOf(config: EngineConfig, tools: Tools): Engine {
  try {
    return newEngine(config, tools)
  } catch (error) {
    if (error instanceof TypeError) throw new StartError(`engines.json: ${config.id}: ${error.message}.`)
    throw error
  }
}

function newEngine(config: EngineConfig, { models, codecs, env, llamaServer }: Tools): Engine {
  const { id, kind, privacy, lists, baseUrl, apiKey, unsupported, maxTokensField, audioWords } = config
  const threads = availableParallelism()
  if (kind === 'sandbox') return sandboxEngine({ tools: codecs, ...(hasEspeak() && { espeak: new Espeak({ env }) }) })
  if (kind === 'llama') return new LlamaEngine({ id, models, env, threads, gpu: true, server: llamaServer })
  if (kind === 'sherpa') return new SherpaEngine({ id, models, tools: codecs, env, threads })
  if (baseUrl === null) throw new StartError(`engines.json: ${id}: baseUrl is missing.`)
  const remote = { id, privacy, lists, baseUrl, apiKey }
  if (kind === 'anthropic') return new AnthropicEngine(remote)
  return new OpenAiEngine({
    ...remote,
    unsupported: unsupported ?? [],
    maxTokensField: maxTokensField ?? 'max_tokens',
    tools: codecs,
    audioWords: audioWords ?? 'openai',
  })
}

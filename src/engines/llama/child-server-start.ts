/** What llama.cpp's own server is started with. Runs in the child only. */
import type { ServerStart } from './wire.ts'

/**
 * Arguments are what every version since the first that sees has; what came, went or was renamed since is said by variables, of which a
 * version ignores those that it does not know. `contextTokens` is of one run, and the program's is of all.
 */
export function serverStart(
  { file, projector, contextTokens, parallel, threads, gpu, env }: ServerStart,
  { socket, key, folder }: { readonly socket: string; readonly key: string; readonly folder: string },
): { readonly args: readonly string[]; readonly env: Readonly<Record<string, string>> } {
  const args = [
    ['--model', file],
    projector === null ? [] : ['--mmproj', projector],
    ['--host', socket],
    ['--ctx-size', String(contextTokens * parallel)],
    ['--parallel', String(parallel)],
    ['--threads', String(threads)],
    gpu ? [] : ['--n-gpu-layers', '0', '--no-mmproj-offload'],
    ['--jinja', '--reasoning-format', 'deepseek'],
    ['--no-context-shift', '--no-webui', '--log-disable'],
  ].flat()
  return { args, env: { ...env, ...VARIABLES, LLAMA_API_KEY: key, LLAMA_CACHE: folder, XDG_CACHE_HOME: folder, XDG_CONFIG_HOME: folder } }
}

/** No network, no window into others' prompts, no memory beside what was reckoned, and no end of an answer that the caller wrote. */
const VARIABLES = {
  LLAMA_ARG_OFFLINE: '1',
  LLAMA_OFFLINE: '1',
  LLAMA_ARG_ENDPOINT_SLOTS: '0',
  LLAMA_ARG_ENDPOINT_METRICS: '0',
  LLAMA_ARG_CACHE_RAM: '0',
  LLAMA_ARG_CTX_CHECKPOINTS: '0',
  LLAMA_ARG_SWA_FULL: '1',
  LLAMA_ARG_KV_UNIFIED: '0',
  LLAMA_ARG_PREFILL_ASSISTANT: '0',
} as const

/**
 * The child that runs a model by llama.cpp's own server. The room `llama` starts the program and knows what is asked of it, the room
 * `openai` speaks its language; as everything that needs two rooms, it is put together here.
 */
import { serveModel } from './engines/llama/child-server.ts'
import { textAbility } from './engines/openai/text.ts'

await serveModel((egress, extraBody) =>
  textAbility(egress, { unsupported: new Set(['prompt_cache_key', 'prompt_cache_retention']), maxTokensField: 'max_tokens', extraBody }),
)

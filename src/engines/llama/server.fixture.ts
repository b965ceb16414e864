/** The llama engine with llama.cpp's own server, or with what a test puts in its place, in a temporary folder of its own. */
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { TOOL_TEMPLATE, TURNS_TEMPLATE, writeTinyChatModel } from '../../../test/engine/tiny-gguf.ts'
import { writeTinyProjector } from '../../../test/engine/tiny-projector.ts'
import type { Finish } from '../../core/call.ts'
import type { TextPart, TextRequest } from '../../core/modalities/text.ts'
import { bareEnvironment } from '../process.ts'
import { PLAIN } from '../text-run.fixture.ts'
import { ModelsFixture } from './llama.fixture.ts'
import { LlamaEngine } from './llama.ts'

const LIMIT_MS = 30_000

export type Ran = { readonly parts: TextPart[]; readonly finish: Finish }

export type Served = {
  readonly engine: LlamaEngine
  readonly models: ModelsFixture
  /** Where the program's own folders are made. */
  readonly folder: string
  chat(different: Partial<TextRequest>, how?: How): Promise<Ran>
  /** The folders of programs that run. */
  folders(): Promise<string[]>
  close(): Promise<void>
}

export type How = {
  readonly model?: string
  readonly signal?: AbortSignal
  readonly stallMs?: number
  readonly onParts?: (parts: readonly TextPart[]) => unknown
}

/** An executable for the stand-in in `test/engine`; Node is where this one is, whatever the PATH says. */
export async function standIn(folder: string): Promise<string> {
  const path = join(folder, 'llama-server')
  const script = fileURLToPath(new URL('../../../test/engine/stand-in-server.ts', import.meta.url))
  await writeFile(path, `#!/bin/sh\nexec '${process.execPath}' --no-warnings '${script}' "$@"\n`, { mode: 0o755 })
  return path
}

/** `tiny-seer` has a projector, `tiny-chat` has none, `tiny-tools` a template that knows tools,
 * and `tiny-turns` one that wants turns; the program runs all. */
export async function serve(program: string): Promise<Served> {
  const folder = await mkdtemp(join(tmpdir(), 'rialto-served-'))
  const pathOf = (name: string): string => join(folder, `${name}.gguf`)
  await Promise.all([
    writeTinyChatModel(pathOf('chat')),
    writeTinyProjector(pathOf('mmproj')),
    writeTinyChatModel(pathOf('tools'), TOOL_TEMPLATE),
    writeTinyChatModel(pathOf('turns'), TURNS_TEMPLATE),
  ])
  const models = new ModelsFixture()
  await models.add('tiny-chat', 'text', pathOf('chat'))
  await models.add('tiny-seer', 'text', pathOf('chat'), { others: { projector: pathOf('mmproj') }, parallel: 2 })
  await models.add('tiny-tools', 'text', pathOf('tools'))
  await models.add('tiny-turns', 'text', pathOf('turns'))
  const engine = new LlamaEngine({
    id: 'local',
    models,
    env: { ...bareEnvironment(process.env), TMPDIR: folder },
    threads: 1,
    gpu: false,
    server: { program, script: new URL('../../llama-server-child.ts', import.meta.url), runs: () => true },
  })
  return {
    engine,
    models,
    folder,
    async chat(different, { model = 'tiny-seer', signal = new AbortController().signal, stallMs = LIMIT_MS, onParts } = {}) {
      const parts: TextPart[] = []
      const ability = engine.abilities.text
      if (!ability) throw new Error('there is no text')
      const task = { model, request: { ...PLAIN, ...different }, signal, firstByteMs: LIMIT_MS, stallMs }
      const finish = await ability.run(task, (more) => {
        parts.push(...more)
        onParts?.(more)
      })
      return { parts, finish }
    },
    async folders() {
      const names = await readdir(folder)
      return names.filter((name) => name.startsWith('rialto-')).map((name) => join(folder, name))
    },
    async close() {
      await engine.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

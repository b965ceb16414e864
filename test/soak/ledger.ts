/**
 * A million random steps of the ledger against the reference ledger, in worlds of two thousand steps each; prints what it did.
 * `node test/soak/ledger.ts [steps] [first seed]`; a failure names the seed and the step, which come again with them.
 */
import { LedgerWorld } from '../harness/ledger-world.ts'

const WORLD_STEPS = 2_000

const steps = Number(process.argv[2] ?? 1_000_000)
const firstSeed = Number(process.argv[3] ?? 1)
const counts: Record<string, number> = {}
const started = performance.now()

for (let done = 0, seed = firstSeed; done < steps; seed++) {
  const world = new LedgerWorld(seed)
  let step = 0
  try {
    await world.open()
    for (; step < WORLD_STEPS && done < steps; step++, done++) await world.step()
    await world.finish()
  } catch (error) {
    process.stderr.write(`seed ${seed}, step ${step}\n`)
    throw error
  } finally {
    await world.close()
  }
  for (const [name, count] of Object.entries(world.counts)) counts[name] = (counts[name] ?? 0) + count
}

const seconds = (performance.now() - started) / 1_000
const said = Object.entries(counts).map(([name, count]) => `${count.toLocaleString('en')} ${name}`)
process.stdout.write(`${steps.toLocaleString('en')} steps in ${seconds.toFixed(0)} s: ${said.join(', ')}\n`)
process.stdout.write('books of every currency zero after each, no hold ended twice, nothing below zero, lost or doubled\n')

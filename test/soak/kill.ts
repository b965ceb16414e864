/**
 * `kill -9` under load, twenty times on one data folder, and the ledger against what clients saw; prints what it did.
 * `node test/soak/kill.ts [kills] [seed]`
 */
import { killUnderLoad } from '../harness/killed-under-load.ts'

const { kills, requests, seenWhole, cutAndCharged, cutAndFree } = await killUnderLoad({
  kills: Number(process.argv[2] ?? 20),
  clients: 24,
  seed: Number(process.argv[3] ?? 1),
  loadMs: 500,
})
process.stdout.write(
  `${kills} kills, ${requests} answers begun: ${seenWhole} seen whole and charged exactly, ` +
    `${cutAndCharged} cut and charged exactly, ${cutAndFree} cut and free; books zero, no hold left\n`,
)

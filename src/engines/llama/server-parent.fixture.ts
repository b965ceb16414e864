/** A gateway for a test: loads a model into the program it is told, says so, and waits to be killed. */
import { serve } from './server.fixture.ts'

const served = await serve(process.argv[2] ?? '')
await served.engine.warm('tiny-seer')
process.stdout.write(`${served.folder}\n`)

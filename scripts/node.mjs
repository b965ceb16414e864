/** `node scripts/node.mjs …`: like `node …`, but with the packages installed and the Node that Rialto is written for. */
import { become, command, prepare } from './bootstrap.mjs'

command(() => become(prepare({ dev: true }), process.argv.slice(2)))

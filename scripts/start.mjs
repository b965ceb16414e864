/** `npm start`: serves, with whatever arguments were given. */
import { join } from 'node:path'
import { become, command, prepare, ROOT } from './bootstrap.mjs'

command(() => become(prepare({ dev: false }), [join(ROOT, 'src', 'main.ts'), ...process.argv.slice(2)]))

/** Runs one test file of a codec's folder in a process of its own, TypeScript as it is: `node own-tests.js FILE`. */
import { importUserModule } from '../../control/typescript.js';

await importUserModule(process.argv[2] ?? '');

/**
 * `npm run bench -- micro|proxy [options]` and `npm run soak [-- options]`: sets the checkout up where needed, then runs the compiled benchmark.
 */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { root, setUp } from '../src/cli/setup.mjs';

const USAGE = `npm run bench -- micro [NAME...]     each hot operation, native against fallback
npm run bench -- proxy [options]     the proxy against its peers, under load
npm run soak [-- options]            hours of misfortune in ten minutes
With --help each says more.`;

const [command, ...args] = process.argv.slice(2);
if (!['micro', 'proxy', 'soak'].includes(command)) {
  console.log(USAGE);
  process.exitCode = command === undefined || command === '--help' ? 0 : 2;
} else {
  try {
    await setUp();
    process.chdir(root);
    const { main } = await import(pathToFileURL(join(process.env.SLUICE_DIST ?? join(root, 'dist'), `bench/${command}.js`)).href);
    process.exitCode = await main(args);
  } catch (error) {
    console.error(`sluice: ${error.message}`);
    process.exitCode = 1;
  }
}

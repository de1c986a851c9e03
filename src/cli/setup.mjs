/**
 * What `npm start`, `npm test`, `npm run bench` and `npm run soak` do first on a fresh checkout: install, compile and build what is missing or older
 * than its sources, saying so. Needs Node alone, no dependency. Where nothing is to be done it costs a few milliseconds.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The repository. */
export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const SOURCE_FOLDERS = ['src', 'codecs', 'templates', 'bench', 'test'];

function step(what, command, args) {
  console.log(`sluice: ${what} ...`);
  const started = Date.now();
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  if (error !== undefined) throw new Error(`${command}: ${error.message}`);
  if (status !== 0) throw new Error(`${what} failed (${command} ${args.join(' ')} ended with code ${status})`);
  console.log(`sluice: ${what}: done in ${((Date.now() - started) / 1000).toFixed(1)} s`);
}

/** Newest modification time, in ms, of the files below `folder` whose names end in one of `endings`. */
function newestMs(folder, endings) {
  let newest = 0;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) newest = Math.max(newest, newestMs(path, endings));
    else if (endings.some((ending) => entry.name.endsWith(ending))) newest = Math.max(newest, statSync(path).mtimeMs);
  }
  return newest;
}

function isInstalled() {
  const marker = join(root, 'node_modules/.package-lock.json');
  return existsSync(marker) && statSync(marker).mtimeMs >= statSync(join(root, 'package-lock.json')).mtimeMs;
}

function isCompiled() {
  const marker = join(root, 'dist/.compiled');
  if (!existsSync(marker)) return false;
  const compiledMs = statSync(marker).mtimeMs;
  const inputs = [statSync(join(root, 'tsconfig.json')).mtimeMs, ...SOURCE_FOLDERS.map((folder) => newestMs(join(root, folder), ['.ts', '.json']))];
  return inputs.every((inputMs) => inputMs <= compiledMs);
}

/**
 * Makes the checkout runnable. `addon: 'optional'` goes on without the addon where it cannot be built; `'required'` fails where a compiler is there.
 * Throws an Error that says which step failed.
 */
export async function setUp({ addon = 'optional' } = {}) {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19)) throw new Error(`Node 20.19 or newer is needed; this is ${process.versions.node}`);
  if (!isInstalled()) {
    step('installing the dependencies', 'npm', ['ci', '--no-audit', '--no-fund']);
    spawnSync('touch', [join(root, 'node_modules/.package-lock.json')]);
  }
  if (!isCompiled()) {
    const started = new Date();
    step('compiling TypeScript', process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', '.']);
    // What was changed while the compiler ran is newer than the mark.
    const marker = join(root, 'dist/.compiled');
    writeFileSync(marker, '');
    utimesSync(marker, started, started);
  }
  const { compiler, isBuilt } = await import('../../native/build.mjs');
  if (isBuilt()) return;
  const required = addon === 'required' && compiler() !== undefined;
  step('building the addon', process.execPath, ['native/build.mjs', ...(required ? ['--required'] : [])]);
}

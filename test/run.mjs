/**
 * `npm test`: sets the checkout up where needed, then runs every compiled test on the fallback engine and again on the native one (which is required
 * where a C++ compiler is there), and prints the totals of each.
 *
 *   npm test                        all but the real peers of test/interop, which `npm run test:interop` runs
 *   npm test -- route http1         only files whose path holds one of the words
 *   npm test -- --backend native    on one engine
 */
import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, relative, sep } from 'node:path';
import { root, setUp } from '../src/cli/setup.mjs';

const BACKENDS = ['fallback', 'native'];
const TOTALS = ['tests', 'pass', 'fail', 'cancelled', 'skipped', 'todo'];

function testFiles(folder, words) {
  const found = [];
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) found.push(...testFiles(path, words));
    else if (entry.name.endsWith('.test.js') && hasSource(path) && isWanted(relative(join(root, 'dist'), path), words)) found.push(path);
  }
  return found.sort();
}

/** Real peers take minutes and things of their own: they are run where they are asked for. */
function isWanted(path, words) {
  const named = words.filter((word) => path.includes(word));
  return path.includes(`${sep}interop${sep}`) ? named.some((word) => word.includes('interop')) : words.length === 0 || named.length > 0;
}

/** A test whose TypeScript was renamed or deleted leaves its old output behind. */
const hasSource = (path) => existsSync(join(root, relative(join(root, 'dist'), path).replace(/\.js$/, '.ts')));

/** Runs the files on one backend; gives the numbers of the runner's summary and the exit code. */
function runOn(backend, files) {
  return new Promise((resolve, reject) => {
    // Most tests wait more than they work: one file for each processor, where the runner would leave one idle.
    const child = spawn(process.execPath, ['--test', '--test-reporter=spec', `--test-concurrency=${availableParallelism()}`, ...files], {
      cwd: root,
      env: { ...process.env, SLUICE_BACKEND: backend },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const totals = { backend, code: 1 };
    let tail = '';
    child.stdout.on('data', (chunk) => {
      process.stdout.write(chunk);
      tail = (tail + chunk).slice(-65_536);
    });
    child.on('error', reject);
    child.on('close', (code) => {
      for (const name of TOTALS)
        totals[name] = Number(
          tail
            .match(new RegExp(`(?:^|\\n)\\S*ℹ ${name} (\\d+)`, 'g'))
            ?.at(-1)
            ?.match(/\d+$/)?.[0] ?? 0,
        );
      totals.code = code ?? 1;
      resolve(totals);
    });
  });
}

async function main() {
  const args = process.argv.slice(2);
  const at = args.indexOf('--backend');
  const wanted = at < 0 ? undefined : args.splice(at, 2)[1];
  if (wanted !== undefined && !BACKENDS.includes(wanted)) throw new Error(`--backend: ${BACKENDS.join(' or ')}, not ${wanted}`);
  await setUp({ addon: 'required' });
  const { isBuilt } = await import('../native/build.mjs');
  const files = testFiles(join(root, 'dist'), args);
  if (files.length === 0) throw new Error(`no test file matches ${args.join(' ')}`);
  const results = [];
  for (const backend of wanted === undefined ? BACKENDS : [wanted]) {
    if (backend === 'native' && !isBuilt()) {
      console.log('sluice: the native engine is not tested: there is no C++ compiler on this machine');
      continue;
    }
    console.log(`\nsluice: ${files.length} test files on the ${backend} engine`);
    results.push(await runOn(backend, files));
  }
  console.log('');
  for (const { backend, tests, pass, fail, cancelled, skipped, todo, code } of results) {
    console.log(
      `sluice: ${backend}: ${pass} of ${tests} passed, ${fail} failed, ${cancelled} cancelled, ${skipped} skipped, ${todo} to do${code === 0 ? '' : ' - FAILED'}`,
    );
  }
  process.exitCode = results.every(({ code }) => code === 0) ? 0 : 1;
}

main().catch((error) => {
  console.error(`sluice: ${error.message}`);
  process.exitCode = 1;
});

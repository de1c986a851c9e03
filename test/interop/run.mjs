/**
 * `npm run test:interop`: builds the Java peers where Java and Maven are there (test/interop/java; offline once Maven has what it needs), then runs
 * test/interop on both engines. Says why the Java peers are left out.
 *
 *   npm run test:interop                        all
 *   npm run test:interop -- --backend native    on one engine
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const project = join(root, 'test/interop/java');
const jar = join(project, 'target/interop.jar');
/** Longest that Maven may take, with everything to fetch. */
const BUILD_MS = 180_000;

const changedMs = (path) =>
  statSync(path).isDirectory() ? Math.max(0, ...readdirSync(path).map((name) => changedMs(join(path, name)))) : statSync(path).mtimeMs;

/** Builds the jar; gives the reason where that cannot be done. */
function buildPeers() {
  for (const [command, option] of [
    ['java', '-version'],
    ['mvn', '--version'],
  ])
    if (spawnSync(command, [option], { stdio: 'ignore' }).status !== 0) return `${command} is not there`;
  if (existsSync(jar) && statSync(jar).mtimeMs > Math.max(changedMs(join(project, 'src')), changedMs(join(project, 'pom.xml')))) return undefined;
  rmSync(jar, { force: true });
  for (const options of [['-o'], []]) {
    const { status } = spawnSync('mvn', ['-q', '-B', ...options, 'package'], {
      cwd: project,
      timeout: BUILD_MS,
      stdio: ['ignore', 'ignore', options.length > 0 ? 'ignore' : 'inherit'],
    });
    if (status === 0) return undefined;
  }
  return 'Maven could not build test/interop/java';
}

const missing = buildPeers();
if (missing !== undefined) console.log(`skipped: the Java peers: ${missing}`);
const { status } = spawnSync(process.execPath, [join(root, 'test/run.mjs'), 'interop', ...process.argv.slice(2)], { cwd: root, stdio: 'inherit' });
process.exitCode = status ?? 1;

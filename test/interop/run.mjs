/**
 * `npm run test:interop`: builds the Java peers where Java and Maven are there (test/interop/java; offline once Maven has what it needs) and the Go programs
 * where Go is (test/interop/go), then runs test/interop on both engines. Says why either is left out.
 *
 *   npm run test:interop                        all
 *   npm run test:interop -- --backend native    on one engine
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const project = join(root, 'test/interop/java');
const jar = join(project, 'target/interop.jar');
const goProject = join(root, 'test/interop/go');
/** Longest that Maven or Go may take, with everything to fetch. */
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

/** Builds the programs in Go that test/interop/go/go.mod names; gives the reason where that cannot be done. */
function buildGoPrograms() {
  if (spawnSync('go', ['version'], { stdio: 'ignore' }).status !== 0) return 'go is not there';
  const packages = readFileSync(join(goProject, 'tools.go'), 'utf8').match(/(?<=_ ")[^"]+/g);
  mkdirSync(join(goProject, 'target'), { recursive: true });
  const { status } = spawnSync('go', ['build', '-o', 'target/', ...packages], {
    cwd: goProject,
    timeout: BUILD_MS,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  return status === 0 ? undefined : 'Go could not build test/interop/go';
}

const missing = buildPeers();
if (missing !== undefined) console.log(`skipped: the Java peers: ${missing}`);
const missingGo = buildGoPrograms();
if (missingGo !== undefined) console.log(`skipped: the Go programs: ${missingGo}`);
const { status } = spawnSync(process.execPath, [join(root, 'test/run.mjs'), 'interop', ...process.argv.slice(2)], { cwd: root, stdio: 'inherit' });
process.exitCode = status ?? 1;

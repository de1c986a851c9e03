/**
 * Builds the addon into build/Release/sluice.node, where node-gyp-build finds it.
 *
 *   node native/build.mjs                  for development: cmake-js, or the C++ compiler alone where CMake is missing; a failure is told and exit code 0
 *   node native/build.mjs --required       the same, but a failure is exit code 1
 *   node native/build.mjs --if-needed      nothing where it is there and newer than its sources
 *   node native/build.mjs install          npm's install script of the published package: a prebuild, else node-gyp, else the compiler; never fails
 *   node native/build.mjs prebuild [arch]  prebuilds/linux-x64 and prebuilds/linux-arm64 (or one of them), then `check`
 *   node native/build.mjs check [file...]  fails where a binary needs a GLIBC newer than 2.28
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fetchHeaders, includeFolders, nodeHeaders } from './headers.mjs';
import { sources } from './sources.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const require = createRequire(import.meta.url);
const output = join(root, 'build/Release/sluice.node');
/** RHEL 8, Debian 10 and everything younger. */
const MAX_GLIBC = [2, 28];

const say = (text) => console.log(`sluice: ${text}`);
const has = (command) => spawnSync('sh', ['-c', `command -v ${command}`], { stdio: 'ignore' }).status === 0;

function run(command, args, options = {}) {
  const { status, signal, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit', ...options });
  if (error !== undefined) throw new Error(`${command}: ${error.message}`);
  if (status !== 0) throw new Error(`${command} ${args[0] ?? ''} ended with ${signal ?? `code ${status}`}`);
}

/** Modification time of the newest source or header of native/, in ms. */
function newestSourceMs() {
  const native = join(root, 'native');
  const files = readdirSync(native).filter((name) => /\.(cc|h)$/.test(name));
  return Math.max(...[...files.map((name) => join(native, name)), join(root, 'CMakeLists.txt')].map((file) => statSync(file).mtimeMs));
}
export const isBuilt = () => existsSync(output) && statSync(output).mtimeMs >= newestSourceMs();

/** A C++ compiler there is; undefined: none. */
export const compiler = () => [process.env.CXX, 'g++', 'clang++', 'c++'].find((name) => name && has(name));

function ensureHeaders() {
  if (nodeHeaders() !== undefined) return;
  say("Node's headers (uv.h) are not on this machine: fetching them from the npm registry");
  fetchHeaders();
}

function withCmake() {
  const cmakeJs = join(root, 'node_modules/.bin/cmake-js');
  run(cmakeJs, ['build', '--config', 'Release', '--log-level', 'warn', ...(has('ninja') || !has('make') ? [] : ['--prefer-make'])]);
}

/** Without CMake, make or python: one compiler call for each file, two at a time. */
async function withCompiler(cxx) {
  const objects = join(root, 'build/objects');
  mkdirSync(objects, { recursive: true });
  mkdirSync(dirname(output), { recursive: true });
  const flags = [
    '-std=c++20',
    '-O3',
    '-DNDEBUG',
    '-fPIC',
    '-fno-exceptions',
    '-fvisibility=hidden',
    '-ffunction-sections',
    '-fdata-sections',
    '-DNAPI_VERSION=9',
    '-DNODE_GYP_MODULE_NAME=sluice',
    '-DNODE_ADDON_API_DISABLE_CPP_EXCEPTIONS',
    ...includeFolders().flatMap((folder) => ['-isystem', folder]),
  ];
  const files = sources('addon');
  const object = (file) => join(objects, `${basename(file, '.cc')}.o`);
  const waiting = [...files];
  const worker = async () => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      const source = file;
      await new Promise((resolve, reject) => {
        const child = spawn(cxx, [...flags, '-c', source, '-o', object(source)], { cwd: root, stdio: 'inherit' });
        child.on('error', reject);
        child.on('exit', (code) => (code === 0 ? resolve() : reject(new Error(`${cxx} could not compile ${source}`))));
      });
    }
  };
  await Promise.all([worker(), worker()]);
  // Under another name first: a half-written file must never be loaded, and a process that has the old one mapped keeps it.
  const fresh = `${output}.new`;
  run(cxx, ['-shared', '-static-libstdc++', '-static-libgcc', '-Wl,--gc-sections', '-Wl,--exclude-libs,ALL', ...files.map(object), '-o', fresh]);
  renameSync(fresh, output);
}

async function build() {
  const cxx = compiler();
  if (cxx === undefined) throw new Error('no C++ compiler (Debian: apt-get install g++)');
  ensureHeaders();
  const canCmake = has('cmake') && (has('ninja') || has('make')) && existsSync(join(root, 'node_modules/.bin/cmake-js'));
  say(`building the addon with ${canCmake ? 'cmake-js' : cxx}`);
  if (canCmake) withCmake();
  else await withCompiler(cxx);
  // make leaves an unchanged file alone; its time is how isBuilt knows that nothing is left to do.
  if (!isBuilt()) run('touch', [output]);
  // A module with an unresolved symbol links, and fails only here. In a process of its own: this one may go on with the fallback.
  run(process.execPath, ['-e', "require('node-gyp-build')(process.cwd())"]);
}

const loads = () => {
  try {
    require('node-gyp-build')(root);
    return true;
  } catch {
    return false; // Absent or for another platform: what follows builds it, or the fallback runs.
  }
};

/** node-gyp as npm brings it; false where it, make or python is missing or it fails. */
function withNodeGyp() {
  const nodeGyp = process.env.npm_config_node_gyp;
  if (nodeGyp === undefined || !has('make') || !has('python3')) return false;
  say('no prebuilt addon for this platform: compiling with node-gyp');
  // Headers that are here spare the download from nodejs.org, which many networks do not allow.
  const nodedir = dirname(dirname(nodeHeaders()));
  const local = existsSync(join(nodedir, 'include/node/common.gypi')) ? [`--nodedir=${nodedir}`] : [];
  try {
    run(process.execPath, [nodeGyp, 'rebuild', '--loglevel=error', ...local]);
  } catch (error) {
    say(`${error.message}: trying the compiler alone`);
    return false;
  }
  return true;
}

async function install() {
  // A checkout is built by `npm run build`, `npm start` and `npm test`, which have the development dependencies.
  if (existsSync(join(root, 'tsconfig.json'))) return;
  if (loads()) return;
  const cxx = compiler();
  if (cxx === undefined) throw new Error('no prebuilt addon for this platform and no C++ compiler');
  ensureHeaders();
  if (!withNodeGyp()) await withCompiler(cxx);
  if (!loads()) throw new Error('the addon was built but does not load');
}

/** The highest GLIBC version a binary asks for, as numbers; throws where a needed one is too new, naming the symbols. */
export function checkGlibc(file) {
  const symbols = execFileSync('readelf', ['--wide', '--dyn-syms', file], { encoding: 'utf8' });
  let highest = [0, 0];
  const tooNew = [];
  for (const [, name, major, minor] of symbols.matchAll(/\sUND\s+(\S+?)@GLIBC_(\d+)\.(\d+)/g)) {
    const version = [Number(major), Number(minor)];
    const above = (a, b) => a[0] > b[0] || (a[0] === b[0] && a[1] > b[1]);
    if (above(version, highest)) highest = version;
    if (above(version, MAX_GLIBC)) tooNew.push(`${name}@${version.join('.')}`);
  }
  if (tooNew.length > 0) throw new Error(`${file} needs a GLIBC newer than ${MAX_GLIBC.join('.')}: ${tooNew.join(', ')} (native/glibc_compat.cc)`);
  const needed = [...execFileSync('readelf', ['-d', file], { encoding: 'utf8' }).matchAll(/NEEDED.*\[(.+)\]/g)].map(([, name]) => name);
  const foreign = needed.filter((name) => !/^(libc|libm|libpthread|libdl|ld-linux-[\w-]+)\.so/.test(name));
  if (foreign.length > 0) throw new Error(`${file} needs ${foreign.join(', ')}: link them statically`);
  say(`${file}: needs GLIBC ${highest.join('.')} (at most ${MAX_GLIBC.join('.')}) and ${needed.join(', ')}`);
}

const PREBUILDS = { x64: [], arm64: ['--CDCMAKE_TOOLCHAIN_FILE=native/toolchain-aarch64.cmake'] };

function prebuild(arches) {
  ensureHeaders();
  const shim = join(root, 'native/prebuild-shim.mjs');
  // cmake-js always works in build/: the addon built for this machine is put back afterwards.
  const kept = join(root, 'prebuilds/.kept');
  rmSync(kept, { recursive: true, force: true });
  mkdirSync(dirname(kept), { recursive: true });
  if (existsSync(join(root, 'build'))) renameSync(join(root, 'build'), kept);
  try {
    for (const arch of arches) {
      if (arch === 'arm64' && !has('aarch64-linux-gnu-g++'))
        throw new Error('aarch64-linux-gnu-g++ is missing (Debian: apt-get install g++-aarch64-linux-gnu)');
      say(`prebuilding linux-${arch}`);
      run(join(root, 'node_modules/.bin/prebuildify'), ['--napi', '--platform=linux', `--arch=${arch}`, '--strip'], {
        env: {
          ...process.env,
          PREBUILD_NODE_GYP: shim,
          PREBUILD_STRIP_BIN: arch === 'arm64' ? 'aarch64-linux-gnu-strip' : 'strip',
          SLUICE_CMAKE_ARGS: JSON.stringify(PREBUILDS[arch]),
        },
      });
    }
  } finally {
    rmSync(join(root, 'build'), { recursive: true, force: true });
    if (existsSync(kept)) renameSync(kept, join(root, 'build'));
  }
  for (const arch of arches) for (const file of prebuilt(arch)) checkGlibc(file);
}

function prebuilt(arch) {
  const folder = join(root, 'prebuilds', `linux-${arch}`);
  return existsSync(folder) ? readdirSync(folder).map((name) => join('prebuilds', `linux-${arch}`, name)) : [];
}

async function main() {
  const args = process.argv.slice(2);
  const [command] = args;
  if (command === 'check') {
    const files = args.length > 1 ? args.slice(1) : [...prebuilt('x64'), ...prebuilt('arm64')];
    if (files.length === 0) throw new Error('nothing to check: run `npm run prebuild` first');
    for (const file of files) checkGlibc(file);
    return;
  }
  if (command === 'prebuild') {
    const wanted = args.slice(1);
    const unknown = wanted.find((arch) => PREBUILDS[arch] === undefined);
    if (unknown !== undefined) throw new Error(`prebuild: x64 or arm64, not ${unknown}`);
    prebuild(wanted.length > 0 ? wanted : Object.keys(PREBUILDS));
    return;
  }
  if (args.includes('--if-needed') && isBuilt()) return;
  try {
    await (command === 'install' ? install() : build());
  } catch (error) {
    if (args.includes('--required')) throw error;
    say(
      `${error.message}. The addon is not there: the fallback engine (TypeScript) will run. It is slower, and has no SO_ORIGINAL_DST, IP_TRANSPARENT and SO_MARK.`,
    );
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  main().catch((error) => {
    console.error(`sluice: ${error.message}`);
    process.exitCode = 1;
  });
}

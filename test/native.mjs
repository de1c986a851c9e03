/**
 * `npm run test:native`: the C++ unit tests and a short fuzz of each framer, under the address and undefined behaviour sanitizers.
 *
 *   npm run test:native                     unit tests, then 15 s of each fuzzer
 *   npm run test:native -- --fuzz-s 60      longer; 0: unit tests only
 *   npm run test:native -- --plain          without sanitizers
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, join } from 'node:path';
import { sources } from '../native/sources.mjs';
import { root } from '../src/cli/setup.mjs';

const args = process.argv.slice(2);
const fuzzS = Number(args.includes('--fuzz-s') ? args[args.indexOf('--fuzz-s') + 1] : 15);
const isPlain = args.includes('--plain');
const build = join(root, 'build', isPlain ? 'native-plain' : 'native-sanitized');

function run(command, commandArgs) {
  console.log(`> ${command} ${commandArgs.join(' ')}`);
  const { status, signal, error } = spawnSync(command, commandArgs, {
    cwd: build,
    stdio: 'inherit',
    env: { ...process.env, ASAN_OPTIONS: 'detect_leaks=1:strict_string_checks=1', UBSAN_OPTIONS: 'print_stacktrace=1' },
  });
  if (error !== undefined) throw new Error(`${command}: ${error.message} (Debian: apt-get install cmake make g++ libgtest-dev)`);
  if (status !== 0) throw new Error(`${basename(command)} ended with ${signal ?? `code ${status}`}`);
}

try {
  mkdirSync(build, { recursive: true });
  run('cmake', ['-S', root, '-B', build, `-DSLUICE_SANITIZE=${isPlain ? 'OFF' : 'ON'}`, '-DSLUICE_ADDON=OFF']);
  run('cmake', ['--build', build, '--parallel', String(availableParallelism())]);
  if (sources('test').length > 0) {
    if (!existsSync(join(build, 'native_tests'))) throw new Error('native_tests was not built (Debian: apt-get install libgtest-dev)');
    run(join(build, 'native_tests'), ['--gtest_brief=1']);
  }
  if (fuzzS > 0) {
    for (const file of sources('fuzz')) {
      const name = basename(file, '.cc');
      const corpus = join(root, 'native/fuzz/corpus', name);
      // libFuzzer writes what it finds into the first folder: never into the checked-in corpus.
      const found = join(build, `${name}.found`);
      rmSync(found, { recursive: true, force: true });
      mkdirSync(found);
      run(join(build, name), [`-max_total_time=${fuzzS}`, '-max_len=4096', found, ...(existsSync(corpus) ? [corpus] : [])]);
    }
  }
} catch (error) {
  console.error(`sluice: ${error.message}`);
  process.exitCode = 1;
}

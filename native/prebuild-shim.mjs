#!/usr/bin/env node
/**
 * prebuildify calls this where it would call node-gyp (PREBUILD_NODE_GYP): `rebuild --target=.. --devdir=.. --arch=.. --release`.
 * What it says is turned into a cmake-js call; CMake's own arguments come in SLUICE_CMAKE_ARGS (JSON array).
 */
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const arch = process.argv.find((arg) => arg.startsWith('--arch='))?.slice('--arch='.length) ?? process.arch;
const cmakeJs = join(root, 'node_modules/.bin/cmake-js');
const args = ['rebuild', '--config', 'Release', '--log-level', 'warn', '--arch', arch, ...JSON.parse(process.env.SLUICE_CMAKE_ARGS ?? '[]')];
const { status, error } = spawnSync(cmakeJs, args, { cwd: root, stdio: 'inherit' });
if (error !== undefined) console.error(`prebuild-shim: ${error.message}`);
process.exitCode = status ?? 1;

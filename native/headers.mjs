/**
 * Where the headers are that the addon needs: Node-API's (node-api-headers), node-addon-api's, and Node's own, for uv.h.
 *
 *   node native/headers.mjs       prints the folders, one a line; a sentence and exit code 1 where one cannot be found
 *
 * uv.h is looked for in `npm_config_nodedir` (also from .npmrc), beside the running Node, in the folders where Debian puts it, and in the caches of
 * node-gyp and cmake-js. Where it is nowhere, `fetchHeaders` gets the oldest supported Node from the npm registry.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import { homedir, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const require = createRequire(import.meta.url);

/** The oldest Node that is supported: its uv.h is the contract. */
export const OLDEST_NODE = '20';
const fetchedHeaders = join(tmpdir(), `sluice-node-headers-${OLDEST_NODE}-${process.getuid?.() ?? 0}`);

function npmrcNodedir() {
  for (const file of [join(root, '.npmrc'), join(homedir(), '.npmrc')]) {
    if (!existsSync(file)) continue;
    const found = /^\s*nodedir\s*=\s*(.+?)\s*$/m.exec(readFileSync(file, 'utf8'));
    if (found) return found[1];
  }
  return undefined;
}

function subfolders(folder) {
  return existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : [];
}

/** Folder that holds uv.h, or undefined. */
export function nodeHeaders() {
  const prefix = dirname(dirname(realpathSync(process.execPath)));
  const nodedirs = [process.env.npm_config_nodedir, process.env.npm_package_config_node_gyp_nodedir, npmrcNodedir(), prefix].filter(Boolean);
  const folders = [
    ...nodedirs.flatMap((folder) => [join(folder, 'include/node'), join(folder, 'include/nodejs'), join(folder, 'deps/uv/include')]),
    ...subfolders(join(homedir(), '.cache/node-gyp')).map((folder) => join(folder, 'include/node')),
    ...subfolders(join(homedir(), `.cmake-js/node-${process.arch}`)).map((folder) => join(folder, 'include/node')),
    join(fetchedHeaders, 'package/include/node'),
  ];
  return folders.find((folder) => existsSync(join(folder, 'uv.h')));
}

/** Gets Node's headers from the npm registry into the temporary folder. Throws where that fails. */
export function fetchHeaders() {
  mkdirSync(fetchedHeaders, { recursive: true });
  const name = `node-linux-${process.arch === 'arm64' ? 'arm64' : 'x64'}@${OLDEST_NODE}`;
  const packed = execFileSync('npm', ['pack', name, '--silent'], { cwd: fetchedHeaders, encoding: 'utf8' }).trim().split('\n').pop();
  execFileSync('tar', ['xzf', packed], { cwd: fetchedHeaders });
}

/** The three include folders, uv.h's last: node-api-headers must win over Node's own node_api.h. */
export function includeFolders() {
  const uv = nodeHeaders();
  if (uv === undefined)
    throw new Error('uv.h not found: set npm_config_nodedir to a Node installation with include/node, or run native/build.mjs, which fetches it');
  const folders = [dirname(require.resolve('node-addon-api/napi.h')), uv];
  try {
    folders.splice(1, 0, require('node-api-headers').include_dir);
  } catch {
    // A development dependency: a plain `npm install sluice` compiles with Node's own node_api.h, which is beside uv.h.
  }
  return folders;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    process.stdout.write(`${includeFolders().join('\n')}\n`);
  } catch (error) {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  }
}

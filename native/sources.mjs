/**
 * The one list of C++ sources: CMakeLists.txt, binding.gyp and build.mjs all ask here, so that a new file needs no edit.
 *
 *   node native/sources.mjs core | addon | test | fuzz     prints paths relative to the repository, one a line
 *
 * `core` knows neither Node nor libuv (it is unit-tested and fuzzed alone); `addon` is core and the glue. A file is glue when it, or one of our
 * headers that it includes, includes napi.h, node_api.h or uv.h.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const native = dirname(fileURLToPath(import.meta.url));
const root = dirname(native);

/** Paths of the C++ files directly in `folder`, sorted, relative to the repository. */
function listed(folder, suffix) {
  const at = join(native, folder);
  if (!existsSync(at)) return [];
  return readdirSync(at)
    .filter((name) => name.endsWith(suffix))
    .sort()
    .map((name) => relative(root, join(at, name)));
}

function isGlue(file, seen = new Set()) {
  if (seen.has(file) || !existsSync(file)) return false;
  seen.add(file);
  for (const [, name] of readFileSync(file, 'utf8').matchAll(/^\s*#\s*include\s*[<"]([^>"]+)[>"]/gm)) {
    if (name === 'napi.h' || name === 'node_api.h' || name === 'uv.h') return true;
    if (isGlue(resolve(dirname(file), name), seen)) return true;
  }
  return false;
}

/** Sources by kind; paths relative to the repository. */
export function sources(kind) {
  const all = listed('.', '.cc');
  if (kind === 'addon') return all;
  if (kind === 'core') return all.filter((file) => !isGlue(join(root, file)));
  if (kind === 'test') return listed('test', '_test.cc');
  if (kind === 'fuzz') return listed('fuzz', '_fuzz.cc');
  throw new Error(`sources.mjs: core, addon, test or fuzz, not ${kind}`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.stdout.write(`${sources(process.argv[2]).join('\n')}\n`);

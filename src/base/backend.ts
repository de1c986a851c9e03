import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** What the addon exports; the parts that use it say what each function takes. */
export type Addon = Readonly<Record<string, (...args: never[]) => unknown>>;

/** Which implementation runs, and why. */
export interface Backend {
  /** Undefined: the TypeScript fallback runs. */
  readonly addon: Addon | undefined;
  readonly reason: string;
}

/** The folder that holds package.json, seen from the sources and from dist/ alike. */
export function packageRoot(from = import.meta.url): string {
  let folder = dirname(fileURLToPath(from));
  while (!existsSync(join(folder, 'package.json'))) {
    const parent = dirname(folder);
    if (parent === folder) throw new Error(`no package.json above ${fileURLToPath(from)}`);
    folder = parent;
  }
  return folder;
}

/** Loads the addon from `prebuilds/` or `build/`. Throws with the loader's reason where there is none that fits. */
export function loadAddon(): Addon {
  const require = createRequire(import.meta.url);
  const load = require('node-gyp-build') as (folder: string) => Addon;
  return load(packageRoot());
}

/**
 * Chooses the implementation, once, at load (STYLE §4). `wanted` is SLUICE_BACKEND: `auto` (default), `native` (a failure to load throws), `fallback`.
 * Throws RangeError for any other word.
 */
export function selectBackend(wanted: string = process.env.SLUICE_BACKEND ?? 'auto', load: () => Addon = loadAddon): Backend {
  if (wanted !== 'auto' && wanted !== 'native' && wanted !== 'fallback')
    throw new RangeError(`SLUICE_BACKEND=${wanted}: use auto, native or fallback`);
  if (wanted === 'fallback') return { addon: undefined, reason: 'asked for' };
  try {
    return { addon: load(), reason: 'loaded' };
  } catch (cause) {
    if (wanted === 'native') throw cause;
    return { addon: undefined, reason: cause instanceof Error ? (cause.message.split('\n')[0] ?? '') : String(cause) };
  }
}

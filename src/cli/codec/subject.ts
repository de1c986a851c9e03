import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { packageRoot } from '../../base/backend.js';
import { ConfigError } from '../../base/errors.js';
import { loadCodec, loadCodecs } from '../../control/codecs.js';
import type { Codec } from '../../protocol/codec.js';
import { readVectors, type Vector } from './vectors.js';

/** The codec that a command is about. */
export interface Subject {
  readonly codec: Codec;
  /** What it was called by. */
  readonly path: string;
  /** The folder of its vectors and tests. */
  readonly folder: string;
  readonly isBuiltIn: boolean;
  /** The built-in codecs that are not this one. */
  readonly others: readonly Codec[];
}
/** A codec that comes with the package, and its folder. */
export interface BuiltIn {
  readonly codec: Codec;
  readonly folder: string;
}

/** The built-in RPC codecs by name. `codecs`: the folder of the compiled ones. */
export async function builtInCodecs(codecs: URL): Promise<BuiltIn[]> {
  const { codecs: found } = await loadCodecs({ folder: codecs, paths: [] });
  const folders = readdirSync(codecs, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const byName = new Map<string, string>();
  for (const { name } of folders) {
    const { default: codec } = (await import(new URL(`${name}/index.js`, codecs).href)) as { default?: Codec };
    if (codec !== undefined) byName.set(codec.name, join(packageRoot(), 'codecs', name));
  }
  return [...found.values()].map((codec) => ({ codec, folder: byName.get(codec.name) ?? '' }));
}

/** Finds the codec that `path` means: a folder or a module, else the name of a built-in one. Throws ConfigError where there is none, or where it cannot be loaded. */
export async function findSubject(path: string, codecs: URL): Promise<Subject> {
  const builtIn = await builtInCodecs(codecs);
  if (!existsSync(path)) {
    const found = builtIn.find(({ codec, folder }) => codec.name === path || folder === join(packageRoot(), 'codecs', path));
    if (found === undefined) throw new ConfigError(`there is no folder or module ${path}, and no built-in codec of that name (sluice codec list)`);
    return { ...found, path, isBuiltIn: true, others: othersOf(found.codec, builtIn) };
  }
  const codec = await loadCodec({ path });
  const folder = statSync(path).isDirectory() ? resolve(path) : dirname(resolve(path));
  // One of this package, named by its folder, stands in for itself.
  const inPlace = builtIn.find((known) => known.folder === folder);
  return { codec, path, folder, isBuiltIn: false, others: othersOf(inPlace?.codec ?? codec, builtIn) };
}
const othersOf = (codec: Codec, builtIn: readonly BuiltIn[]): Codec[] => builtIn.map((other) => other.codec).filter((other) => other !== codec);

/** The vectors of a codec's folder. Throws ConfigError where they are missing or malformed. */
export function vectorsOf({ folder }: Subject): readonly Vector[] {
  const file = join(folder, 'vectors.json');
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new ConfigError(`the codec has no vectors: ${(cause as Error).message}`, { cause });
  }
  try {
    return readVectors(JSON.parse(text));
  } catch (cause) {
    if (cause instanceof SyntaxError) throw new ConfigError(`${file}: ${cause.message}`, { cause });
    throw cause;
  }
}
/** The codec's own tests, beside it. */
export const testFilesOf = ({ folder, isBuiltIn }: Subject): string[] =>
  isBuiltIn
    ? []
    : readdirSync(folder)
        .filter((name) => /\.test\.(?:ts|mts|js|mjs)$/.test(name))
        .sort()
        .map((name) => join(folder, name));

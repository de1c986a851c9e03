import { readdir, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { ConfigError } from '../base/errors.js';
import type { Codec } from '../protocol/codec.js';
import type { Framing } from '../protocol/framing.js';
import type { StreamFraming } from '../protocol/stream-framing.js';
import { importUserModule } from './typescript.js';

/** Where a codec of the user's is: a folder or module, or an npm package; found from the working directory. */
export type CodecReference = { readonly path: string } | { readonly package: string };

/** The RPC protocols that a configuration may name. */
export interface CodecSet {
  readonly codecs: ReadonlyMap<string, Codec>;
  /** What references of the configuration lead to (`referenceKey`): a codec, or why there is none. */
  readonly referenced: ReadonlyMap<string, Codec | Error>;
}
/** Where codecs are found. */
export interface CodecPlaces {
  /** Of the built-in ones, a folder each. */
  readonly folder: URL;
  /** Folders or modules of further ones (`--codec`). */
  readonly paths: readonly string[];
}
export const NO_CODECS: CodecSet = { codecs: new Map(), referenced: new Map() };
export const referenceKey = (reference: CodecReference): string => JSON.stringify(reference);

/** The state machine of messages that the built-in folder `name` exports under that name. */
export async function loadFraming<F extends Framing | StreamFraming>(folder: URL, name: string): Promise<F> {
  const module = (await import(new URL(`${name}/index.js`, folder).href)) as Record<string, F | undefined>;
  return module[name] ?? fail(`codec ${name} exports no framing of that name`);
}

/** What a configuration needs, for which nothing is loaded where it has no RPC listener. Throws ConfigError for a broken one of the user's paths. */
export async function codecsFor(configuration: unknown, places: CodecPlaces): Promise<CodecSet> {
  const { hasRpc, references } = needsOf(configuration);
  return hasRpc || places.paths.length > 0 ? loadCodecs(places, references) : NO_CODECS;
}

/**
 * Loads all codecs: the built-in ones (the default export of a folder, where it is a codec), then the user's: those of `paths` take their place among the
 * named ones, `references` are found by what the configuration calls them. Throws ConfigError for a broken one of `paths`.
 */
export async function loadCodecs({ folder, paths }: CodecPlaces, references: readonly CodecReference[] = []): Promise<CodecSet> {
  const codecs = new Map<string, Codec>();
  for (const entry of (await readdir(folder, { withFileTypes: true })).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (!entry.isDirectory()) continue;
    const { default: codec } = (await import(new URL(`${entry.name}/index.js`, folder).href)) as { default?: Codec };
    if (codec !== undefined && 'framing' in codec) codecs.set(codec.name, codec);
  }
  for (const path of paths) {
    const codec = await loadCodec({ path });
    codecs.set(codec.name, codec);
  }
  const referenced = new Map<string, Codec | Error>();
  for (const reference of references) {
    const key = referenceKey(reference);
    if (!referenced.has(key))
      referenced.set(key, await loadCodec(reference).catch((cause: unknown) => (cause instanceof Error ? cause : new Error(String(cause)))));
  }
  return { codecs, referenced };
}

/** Loads one codec of the user's: the default export of a module, TypeScript or JavaScript, or of the `index.ts` or `index.js` of a folder. Throws ConfigError. */
export async function loadCodec(reference: CodecReference): Promise<Codec> {
  const what = 'path' in reference ? reference.path : reference.package;
  let file: string;
  try {
    file =
      'path' in reference ? await moduleOf(resolve(reference.path)) : createRequire(join(process.cwd(), 'package.json')).resolve(reference.package);
  } catch (cause) {
    throw new ConfigError(`there is no codec at ${what}: ${(cause as Error).message}`, { cause });
  }
  let codec: Partial<Codec> | undefined;
  try {
    codec = (await importUserModule(file)).default as Partial<Codec> | undefined;
  } catch (cause) {
    throw new ConfigError(`codec ${what} cannot be loaded: ${(cause as Error).message}`, { cause });
  }
  if (codec === undefined) throw new ConfigError(`codec ${what}: ${file} has no default export`);
  const missing = (['name', 'pool', 'framing'] as const).filter((ability) => codec[ability] === undefined);
  if (missing.length > 0) throw new ConfigError(`codec ${what}: its default export lacks ${missing.join(', ')}`);
  return codec as Codec;
}
async function moduleOf(path: string): Promise<string> {
  if (!(await stat(path)).isDirectory()) return path;
  const entries = await readdir(path);
  const index = ['index.ts', 'index.mts', 'index.js', 'index.mjs'].find((name) => entries.includes(name));
  if (index === undefined) throw new Error(`${path} has no index.ts or index.js`);
  return join(path, index);
}

/** Whether a configuration has RPC listeners, and the codecs that it names by path or package, wherever they stand in it. */
function needsOf(configuration: unknown): { hasRpc: boolean; references: CodecReference[] } {
  const needs = { hasRpc: false, references: [] as CodecReference[] };
  const visit = (value: unknown): void => {
    if (Array.isArray(value)) value.forEach(visit);
    else if (typeof value === 'object' && value !== null) {
      const message = value as Record<string, unknown>;
      if (typeof message['@type'] === 'string' && message['@type'].endsWith('.RpcProxy')) {
        needs.hasRpc = true;
        // A bootstrap with mistakes may have anything here.
        const named = Array.isArray(message.downstreamProtocols) ? message.downstreamProtocols : [];
        for (const { path, package: name } of named as { path?: string; package?: string }[]) {
          if (path !== undefined) needs.references.push({ path });
          else if (name !== undefined) needs.references.push({ package: name });
        }
      }
      Object.values(message).forEach(visit);
    }
  };
  visit(configuration);
  return needs;
}
const fail = (detail: string): never => {
  throw new ConfigError(detail);
};

import { readdir, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { ConfigError } from '../base/errors.js';
import type { Codec } from '../protocol/codec.js';
import type { Framing, StreamFraming } from '../protocol/framing.js';
import { importUserModule } from './typescript.js';

/** Where a codec of the user's is: a folder or module, or an npm package; found from the working directory. */
export type CodecReference = { readonly path: string } | { readonly package: string };

/** Every protocol that is there. */
export interface CodecSet {
  /** State machines of messages that the engines have built in, by name: HTTP. */
  readonly framings: ReadonlyMap<string, Framing>;
  /** The same for those of which a connection carries many messages at once. */
  readonly streamFramings?: ReadonlyMap<string, StreamFraming>;
  /** RPC protocols by name. */
  readonly codecs: ReadonlyMap<string, Codec>;
  /** What references of the configuration lead to (`referenceKey`): a codec, or why there is none. */
  readonly referenced: ReadonlyMap<string, Codec | Error>;
}
export const NO_CODECS: CodecSet = { framings: new Map(), codecs: new Map(), referenced: new Map() };
export const referenceKey = (reference: CodecReference): string => JSON.stringify(reference);

/**
 * Loads the built-in codecs (each folder of `folder` exports its codec, or its framing, as default or under its own name), then the user's: those of
 * `paths` take their place among the named ones, `references` are found by what the configuration calls them. Throws ConfigError for a broken one of `paths`.
 */
export async function loadCodecs(folder: URL, paths: readonly string[] = [], references: readonly CodecReference[] = []): Promise<CodecSet> {
  const framings = new Map<string, Framing>();
  const streamFramings = new Map<string, StreamFraming>();
  const codecs = new Map<string, Codec>();
  for (const entry of (await readdir(folder, { withFileTypes: true })).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (!entry.isDirectory()) continue;
    const module = (await import(new URL(`${entry.name}/index.js`, folder).href)) as Record<string, Framing | StreamFraming | Codec>;
    const found = module.default ?? module[entry.name];
    if (found === undefined) throw new ConfigError(`codec ${entry.name}: no default export`);
    if ('open' in found) framings.set(found.name, found);
    else if ('connect' in found) streamFramings.set(found.name, found);
    else codecs.set(found.name, found);
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
  return { framings, streamFramings, codecs, referenced };
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

/** Codecs that a configuration names by path or package, wherever they stand in it. */
export function codecReferences(configuration: unknown): CodecReference[] {
  const found: CodecReference[] = [];
  const visit = (value: unknown): void => {
    if (Array.isArray(value)) value.forEach(visit);
    else if (typeof value === 'object' && value !== null) {
      const message = value as Record<string, unknown>;
      if (typeof message['@type'] === 'string' && message['@type'].endsWith('.RpcProxy') && Array.isArray(message.downstreamProtocols)) {
        for (const { path, package: name } of message.downstreamProtocols as { path?: string; package?: string }[]) {
          if (path !== undefined) found.push({ path });
          else if (name !== undefined) found.push({ package: name });
        }
      }
      Object.values(message).forEach(visit);
    }
  };
  visit(configuration);
  return found;
}

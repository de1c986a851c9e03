/**
 * Module hooks for codecs of the user's: what a marked module imports relatively is marked, too, and of marked modules TypeScript is loaded without its types,
 * and `sluice/codec` is the running package. Other modules of the process are left alone. The functions serve `registerHooks` (in the thread itself) and, before
 * Node 22.15, `register` (in a thread of Node's own), which differ only in whether `next` answers a promise.
 */
import { existsSync, readFileSync } from 'node:fs';
import { createRequire, type LoadHookContext, type ResolveHookContext } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { packageRoot } from '../base/backend.js';

/** The query of a marked module's URL. */
const MARK = '?sluice';
/** The URL of a user's module; importing it, once the hooks are there, loads it and what it imports as described above. */
export const markedUrl = (file: string): string => pathToFileURL(file).href + MARK;

/** What users' codecs may import of this package, and where that is. */
const PUBLIC: ReadonlyMap<string, URL> = new Map([
  ['sluice/codec', new URL('../codec.js', import.meta.url)],
  ['sluice/codec/testing', new URL('../codec-testing.js', import.meta.url)],
]);
/** Endings that a relative import may have in place of the file's own: as TypeScript writes them. */
const SOURCE_OF: readonly (readonly [written: string, source: string])[] = [
  ['.js', '.ts'],
  ['.mjs', '.mts'],
];

/** A hook of `node:module`. */
export function resolve<T>(specifier: string, context: ResolveHookContext, next: (specifier: string, context: ResolveHookContext) => T) {
  const { parentURL } = context;
  if (parentURL?.endsWith(MARK) !== true) return next(specifier, context);
  const own = PUBLIC.get(specifier);
  if (own !== undefined) return { url: own.href, shortCircuit: true };
  if (!specifier.startsWith('./') && !specifier.startsWith('../')) return next(specifier, context);
  const file = fileURLToPath(new URL(specifier, parentURL));
  const found = compiledOf(file) ?? sourceOf(file);
  return found === undefined ? next(specifier, context) : { url: found, shortCircuit: true, importAttributes: context.importAttributes };
}

/** A codec folder of this package's own checkout imports its sources: they are running already, compiled, and there must not be two of them. */
function compiledOf(file: string): string | undefined {
  const root = packageRoot();
  for (const folder of ['src', 'test']) {
    if (!file.startsWith(`${root}/${folder}/`)) continue;
    const compiled = `${root}/dist${file.slice(root.length).replace(/\.ts$/, '.js')}`;
    return existsSync(compiled) ? pathToFileURL(compiled).href : undefined;
  }
  return undefined;
}
function sourceOf(file: string): string | undefined {
  for (const [written, source] of SOURCE_OF) {
    const candidate = file.slice(0, -written.length) + source;
    if (file.endsWith(written) && existsSync(candidate)) return markedUrl(candidate);
  }
  return existsSync(file) ? markedUrl(file) : undefined;
}

/** A hook of `node:module`. Throws SyntaxError, with the place, for what is not TypeScript or has more than types to take out (`enum`). */
export function load<T>(url: string, context: LoadHookContext, next: (url: string, context: LoadHookContext) => T) {
  if (!url.endsWith(`.ts${MARK}`) && !url.endsWith(`.mts${MARK}`)) return next(url, context);
  const file = fileURLToPath(url);
  return { format: 'module', source: stripTypes(readFileSync(file, 'utf8'), file), shortCircuit: true };
}

/** What @swc/wasm-typescript (the stripper of Node itself) throws. */
interface StripFault {
  readonly message: string;
  readonly startLine?: number;
  readonly startColumn?: number;
}
/** TypeScript with blanks where its types were, so that lines and columns stay. Throws SyntaxError. */
export function stripTypes(source: string, file: string): string {
  // Loaded here, because it is 4 MB that only users of TypeScript need.
  const { transformSync } = createRequire(import.meta.url)('@swc/wasm-typescript') as {
    transformSync(text: string, options: { readonly mode: 'strip-only'; readonly filename: string }): { readonly code: string };
  };
  try {
    return transformSync(source, { mode: 'strip-only', filename: file }).code;
  } catch (cause) {
    const { message, startLine = 1, startColumn = 0 } = cause as StripFault;
    throw new SyntaxError(`${file}:${startLine}:${startColumn + 1}: ${message}`);
  }
}

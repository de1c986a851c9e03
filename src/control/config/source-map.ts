import type { LineCounter } from 'yaml';
import { lowerCamel } from './descriptors.js';
import type { Problem } from './problem.js';

/** One text that a configuration was read from. */
export interface Source {
  readonly file: string;
  readonly lines: LineCounter;
}

/** Where a value stands in its text, and where its parts do; the tree mirrors the decoded object. */
export class Origin {
  #parts: Map<string, Origin> | undefined;
  constructor(
    readonly source: Source,
    /** Of the value, in UTF-16 units. */
    readonly offset: number,
    /** Of the field's name, or of the value where it has none. */
    readonly keyOffset: number = offset,
  ) {}
  /** The part with this JSON name, map key or list index. */
  part(key: string): Origin | undefined {
    return this.#parts?.get(key);
  }
  set(key: string, origin: Origin): void {
    this.#parts ??= new Map();
    this.#parts.set(key, origin);
  }
  delete(key: string): void {
    this.#parts?.delete(key);
  }
  get parts(): Iterable<[string, Origin]> {
    return this.#parts ?? [];
  }
}

/** Finds the place in the text for a field path of the decoded configuration. */
export class SourceMap {
  readonly #root: Origin;
  constructor(root: Origin) {
    this.#root = root;
  }
  /**
   * File, line and column (1-based) of the value at a path such as `static_resources.clusters[0].name` or `typed_per_filter_config["envoy.filters.http.cors"]`;
   * fields in snake_case or lowerCamelCase. Where the path leads on past what the text has (a default, a missing field): the nearest value above it.
   */
  locate(path: string): { readonly file: string; readonly line: number; readonly column: number } {
    let origin = this.#root;
    for (const { key, quoted } of segments(path)) {
      const part: Origin | undefined = origin.part(key) ?? (quoted ? undefined : origin.part(lowerCamel(key)));
      if (part === undefined) break;
      origin = part;
    }
    return placeOf(origin.source, origin.offset);
  }
  /** A problem at a path, for a stage that works on the decoded object. */
  report(path: string, message: string, code = 'INVALID', suggestion?: string): Problem {
    return { ...this.locate(path), path, code, message, ...(suggestion === undefined ? {} : { suggestion }) };
  }
}

/** Line and column of an offset. */
export function placeOf(source: Source, offset: number): { readonly file: string; readonly line: number; readonly column: number } {
  const { line, col } = source.lines.linePos(offset);
  // An empty text has no line to count.
  return { file: source.file, line: Math.max(1, line), column: Math.max(1, col) };
}

/** `path` with one more field. */
export const fieldPath = (path: string, name: string): string => (path === '' ? name : `${path}.${name}`);
/** `path` with a list index. */
export const itemPath = (path: string, index: number): string => `${path}[${index}]`;
/** `path` with a map key. */
export const keyPath = (path: string, key: string): string => `${path}[${JSON.stringify(key)}]`;

function* segments(path: string): Iterable<{ key: string; quoted: boolean }> {
  const pattern = /\["((?:[^"\\]|\\.)*)"\]|\[(\d+)\]|([^.[\]]+)/g;
  for (const [, quoted, index, name] of path.matchAll(pattern)) {
    if (quoted !== undefined) yield { key: unquote(quoted), quoted: true };
    else yield { key: index ?? name, quoted: false };
  }
}
function unquote(text: string): string {
  try {
    return JSON.parse(`"${text}"`) as string;
  } catch {
    return text; // not written by keyPath: taken as it stands, and it will match nothing or the plain key
  }
}

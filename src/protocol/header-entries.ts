import type { HeaderMap } from './codec.js';

/** One entry of a header map. */
export type HeaderEntry = readonly [name: string, value: string];

/** A header map over entries that are read when somebody asks. Of several entries with one name `get` gives the last, as peers that keep them in a map do. */
export class HeaderEntries implements HeaderMap {
  readonly #read: () => Iterable<HeaderEntry>;
  #entries: readonly HeaderEntry[] | undefined;

  constructor(read: () => Iterable<HeaderEntry>) {
    this.#read = read;
  }
  get(name: string): string | undefined {
    let found: string | undefined;
    for (const [key, value] of this.entries()) if (key === name) found = value;
    return found;
  }
  entries(): readonly HeaderEntry[] {
    this.#entries ??= [...this.#read()];
    return this.#entries;
  }
}

/** The entries with `changes` made: removed (undefined), replaced where the first stood, or appended. */
export function changedEntries(entries: Iterable<HeaderEntry>, changes: ReadonlyMap<string, string | undefined>): HeaderEntry[] {
  const out: HeaderEntry[] = [];
  const written = new Set<string>();
  for (const entry of entries) {
    const [name] = entry;
    if (!changes.has(name)) out.push(entry);
    else {
      const value = changes.get(name);
      if (value !== undefined && !written.has(name)) out.push([name, value]);
      written.add(name);
    }
  }
  for (const [name, value] of changes) if (value !== undefined && !written.has(name)) out.push([name, value]);
  return out;
}

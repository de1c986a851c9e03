import type { HeaderEntry } from '../../src/protocol/header-entries.js';

/** Entries of a meta block: `key LF value LF key LF value`. A key without a value is left out. */
export function readMeta(bytes: Uint8Array): HeaderEntry[] {
  if (bytes.length === 0) return [];
  const parts = Buffer.from(bytes).toString('utf8').split('\n');
  const entries: HeaderEntry[] = [];
  for (let i = 0; i + 1 < parts.length; i += 2) if (parts[i] !== '') entries.push([parts[i], parts[i + 1]]);
  return entries;
}
/** The block of such entries. Those that it cannot hold (empty, or with an LF) are left out, as Motan's own writers do. */
export function encodeMeta(entries: Iterable<HeaderEntry>): Uint8Array {
  const lines: string[] = [];
  for (const [key, value] of entries) if (key !== '' && value !== '' && !`${key}${value}`.includes('\n')) lines.push(key, value);
  return Buffer.from(lines.join('\n'), 'utf8');
}

import { isLowerText } from './chars.js';
import { KNOWN_NAMES } from './head-layout.js';

const NAMES: readonly Uint8Array[] = KNOWN_NAMES.map((name) => Buffer.from(name, 'latin1'));
const BUCKETS = 256;

/** Length, first and last letter tell most names apart; what is left is compared byte by byte. */
const bucketOf = (length: number, first: number, last: number): number =>
  ((length * 37) ^ ((first | 0x20) * 5) ^ ((last | 0x20) << 2)) & (BUCKETS - 1);

/** Ids of the well-known names in each bucket. */
const IDS: readonly (readonly number[])[] = Array.from({ length: BUCKETS }, (_, bucket) =>
  NAMES.map((name, index) => (bucketOf(name.length, name[0], name[name.length - 1]) === bucket ? index + 1 : 0)).filter((id) => id !== 0),
);

/** Id of a well-known header name (head-layout.ts) in any case, or 0; makes no strings. */
export function knownIdOf(bytes: Uint8Array, start: number, end: number): number {
  const ids = IDS[bucketOf(end - start, bytes[start], bytes[end - 1])];
  for (let i = 0; i < ids.length; i++) if (isLowerText(NAMES[ids[i] - 1], bytes, start, end)) return ids[i];
  return 0;
}

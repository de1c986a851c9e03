/** Header maps that a description is enough for: a section of key–value pairs, each text with its length in front. */
import type { HeaderMap } from './codec.js';
import type { Frame } from './frame.js';
import { reencodeFrame } from './frame-encoder.js';
import { changedEntries, HeaderEntries, type HeaderEntry } from './header-entries.js';

/** How pairs are written: `length, key, length, value`, again and again; big-endian lengths, texts in UTF-8. */
export interface PairFormat {
  /** Bytes of a key's length, and of a value's; default: as of the key. */
  readonly keyLength: 1 | 2 | 4;
  readonly valueLength?: 1 | 2 | 4;
  /** A count of pairs stands in front, in so many bytes; default: the pairs end with the section. */
  readonly count?: 1 | 2 | 4;
}
/** A section of pairs. */
export interface KeyValueDescription extends PairFormat {
  /** Name of the section. */
  readonly section: string;
}

/** What `keyValueSection` gives to a codec. */
export interface KeyValueAbilities {
  headers(frame: Frame): HeaderMap;
  withHeaders(frame: Frame, changes: ReadonlyMap<string, string | undefined>): Uint8Array;
}

/**
 * The abilities `headers` and `withHeaders` of a codec whose layout has a section of pairs: spread them into the codec. A pair that is not whole ends
 * the map. Of a key that is there twice the last value counts. A changed frame is put together anew, lengths and checksum included; texts too long for
 * their length fields throw RangeError.
 */
export function keyValueSection(description: KeyValueDescription): KeyValueAbilities {
  const { section } = description;
  return {
    headers: (frame) => new HeaderEntries(() => readPairs(frame.section(section), description)),
    withHeaders: (frame, changes) =>
      reencodeFrame(frame, {
        sections: { [section]: writePairs(changedEntries(readPairs(frame.section(section), description), changes), description) },
      }),
  };
}

/** The pairs of a section, as far as they are whole. */
export function* readPairs(bytes: Uint8Array, { keyLength, valueLength = keyLength, count }: PairFormat): Iterable<HeaderEntry> {
  let at = count ?? 0;
  if (at > bytes.length) return;
  let left = count === undefined ? Number.POSITIVE_INFINITY : numberAt(bytes, 0, count);
  /** The text at `at`; undefined: it is not all there. */
  const text = (width: number): string | undefined => {
    if (at + width > bytes.length) return undefined;
    const end = at + width + numberAt(bytes, at, width);
    if (end > bytes.length) return undefined;
    const found = Buffer.from(bytes.buffer, bytes.byteOffset + at + width, end - at - width).toString('utf8');
    at = end;
    return found;
  };
  for (; left > 0 && at < bytes.length; left--) {
    const key = text(keyLength);
    const value = key === undefined ? undefined : text(valueLength);
    if (key === undefined || value === undefined) return;
    yield [key, value];
  }
}
/** The bytes of a section with these pairs. Throws RangeError for a text, or a number of pairs, that is too large for its field. */
export function writePairs(entries: readonly HeaderEntry[], { keyLength, valueLength = keyLength, count }: PairFormat): Uint8Array {
  const parts: Uint8Array[] = count === undefined ? [] : [numberOf(entries.length, count)];
  for (const [key, value] of entries) {
    for (const [text, width] of [
      [key, keyLength],
      [value, valueLength],
    ] as const) {
      const bytes = Buffer.from(text, 'utf8');
      parts.push(numberOf(bytes.length, width), bytes);
    }
  }
  return Buffer.concat(parts);
}

const numberAt = (bytes: Uint8Array, at: number, width: number): number => {
  let value = 0;
  for (let i = 0; i < width; i++) value = value * 256 + bytes[at + i];
  return value;
};
function numberOf(value: number, width: number): Uint8Array {
  if (value >= 256 ** width) throw new RangeError(`${value} does not fit ${width} bytes`);
  return Uint8Array.from({ length: width }, (_, i) => Math.floor(value / 256 ** (width - 1 - i)) % 256);
}

import type { HeaderMap } from '../../src/protocol/codec.js';

/**
 * The header block of a Bolt frame ("simple map"): `i32 length, key, i32 length, value`, again and again until the block is used up; UTF-8.
 *
 * Reads what SOFARPC's SimpleMapSerializer reads, because it decides what a request means; where Java would fill up with zeros, they are left out:
 * - a negative length is null: key and value are both read, and a pair with a null is no entry;
 * - of a key that is there twice the last value counts;
 * - a value longer than the block is what is there of it; a key longer than the block has a null value; bytes behind the last pair, too few for a length, are nothing.
 *
 * Nothing is decoded before somebody asks.
 */
export class BoltHeaderMap implements HeaderMap {
  readonly #block: Uint8Array;

  constructor(block: Uint8Array) {
    this.#block = block;
  }

  get(name: string): string | undefined {
    const wanted = isAscii(name) ? undefined : Buffer.from(name, 'utf8');
    const wantedBytes = wanted?.length ?? name.length;
    const pairs = new Pairs(this.#block);
    let start = -1;
    let end = -1;
    while (pairs.next()) {
      if (pairs.keyEnd - pairs.keyStart !== wantedBytes) continue;
      let i = 0;
      while (i < wantedBytes && this.#block[pairs.keyStart + i] === (wanted === undefined ? name.charCodeAt(i) : wanted[i])) i++;
      if (i < wantedBytes) continue;
      start = pairs.valueStart;
      end = pairs.valueEnd;
    }
    return start < 0 ? undefined : utf8(this.#block, start, end);
  }
  /** Each name once, with the value that counts, where it first stood. */
  entries(): Map<string, string> {
    const entries = new Map<string, string>();
    const pairs = new Pairs(this.#block);
    while (pairs.next()) entries.set(utf8(this.#block, pairs.keyStart, pairs.keyEnd), utf8(this.#block, pairs.valueStart, pairs.valueEnd));
    return entries;
  }
}

/**
 * The block with entries set (a string) or removed (undefined): a set name keeps its place, a new one comes last. Entries nobody changed keep their bytes; what is
 * no entry (nulls, repeated keys, loose bytes) goes, so that every reader of the new block finds the same in it.
 */
export function editHeaderBlock(block: Uint8Array, changes: ReadonlyMap<string, string | undefined>): Uint8Array {
  /** By key, one character for each byte: keys that are not UTF-8 stay apart. */
  const kept = new Map<string, { readonly key: Uint8Array; readonly value: Uint8Array }>();
  const pairs = new Pairs(block);
  while (pairs.next()) {
    const key = block.subarray(pairs.keyStart, pairs.keyEnd);
    kept.set(latin1(key), { key, value: block.subarray(pairs.valueStart, pairs.valueEnd) });
  }
  for (const [name, value] of changes) {
    const key = Buffer.from(name, 'utf8');
    if (value === undefined) kept.delete(latin1(key));
    else kept.set(latin1(key), { key, value: Buffer.from(value, 'utf8') });
  }
  let length = 0;
  for (const { key, value } of kept.values()) length += 8 + key.length + value.length;
  const edited = new Uint8Array(length);
  const view = new DataView(edited.buffer);
  let at = 0;
  const write = (text: Uint8Array): void => {
    view.setInt32(at, text.length);
    edited.set(text, at + 4);
    at += 4 + text.length;
  };
  for (const { key, value } of kept.values()) {
    write(key);
    write(value);
  }
  return edited;
}

/** Walks over the entries of a block. Every step takes at least 8 bytes, so that there are at most 4,095 of them in a block. */
class Pairs {
  keyStart = 0;
  keyEnd = 0;
  valueStart = 0;
  valueEnd = 0;
  readonly #block: Uint8Array;
  #at = 0;
  #isNull = false;

  constructor(block: Uint8Array) {
    this.#block = block;
  }

  /** Goes to the next entry; false: there is none. */
  next(): boolean {
    for (;;) {
      if (!this.#text()) return false;
      const isNullKey = this.#isNull;
      this.keyStart = this.valueStart;
      this.keyEnd = this.valueEnd;
      if (!this.#text()) return false;
      if (!isNullKey && !this.#isNull) return true;
    }
  }
  /** Reads a length and what it counts; false: there is no length. */
  #text(): boolean {
    const block = this.#block;
    const at = this.#at;
    if (at + 4 > block.length) return false;
    const length = (block[at] << 24) | (block[at + 1] << 16) | (block[at + 2] << 8) | block[at + 3];
    this.#isNull = length < 0;
    this.valueStart = at + 4;
    this.valueEnd = Math.min(block.length, at + 4 + Math.max(0, length));
    this.#at = this.valueEnd;
    return true;
  }
}

/** Buffer's methods for any array of bytes, looked up once. */
const { latin1Slice, utf8Slice } = Buffer.prototype;
const latin1 = (bytes: Uint8Array): string => latin1Slice.call(bytes, 0, bytes.length);
const utf8 = (bytes: Uint8Array, start: number, end: number): string => utf8Slice.call(bytes, start, end);
function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0x7f) return false;
  return true;
}

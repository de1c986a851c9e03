import { ByteWriter } from '../../src/protocol/byte-writer.js';
import type { Frame } from '../../src/protocol/frame.js';
import type { HeaderEntry } from '../../src/protocol/header-entries.js';
import { COUNTED_FIELD_BYTES, HEADER_AT, INFO, INTEGER_PREFIX } from './spec.js';

/** The info blocks of a header. */
export interface HeaderBlocks {
  readonly integers: Map<number, string>;
  readonly strings: Map<string, string>;
  readonly aclToken: string | undefined;
}

/** Reads the info blocks; what is broken, and everything behind it, is left out: the frame itself goes on as it is. */
export function readBlocks(frame: Frame): HeaderBlocks {
  const integers = new Map<number, string>();
  const strings = new Map<string, string>();
  let aclToken: string | undefined;
  const bytes = frame.section('header');
  let at = frame.field('transforms');
  const u16 = (): number => {
    const value = at + 2 <= bytes.length ? (bytes[at] << 8) | bytes[at + 1] : Number.NaN;
    at += 2;
    return value;
  };
  /** NaN lengths end up in an undefined text. */
  const text = (): string | undefined => {
    const length = u16();
    const from = at;
    if (Number.isNaN(length) || from + length > bytes.length) return undefined;
    at += length;
    return Buffer.from(bytes.buffer, bytes.byteOffset + from, length).toString('utf8');
  };
  while (at < bytes.length) {
    const block = bytes[at++];
    if (block === INFO.PADDING) continue;
    if (block === INFO.ACL_TOKEN) {
      aclToken = text();
      if (aclToken === undefined) break;
      continue;
    }
    if (block !== INFO.STRINGS && block !== INFO.INTEGERS) break;
    let left = u16();
    for (; left > 0; left--) {
      const key = block === INFO.STRINGS ? text() : u16();
      const value = text();
      if (key === undefined || value === undefined || Number.isNaN(key)) break;
      if (typeof key === 'string') strings.set(key, value);
      else integers.set(key, value);
    }
    if (left !== 0) break;
  }
  return { integers, strings, aclToken };
}

/** All entries as one map: integer keys as `int:<key>`, then strings. */
export function* entriesOf({ integers, strings }: HeaderBlocks): Iterable<HeaderEntry> {
  for (const [key, value] of integers) yield [`${INTEGER_PREFIX}${key}`, value];
  yield* strings;
}
/** The blocks of such entries; the token is kept. */
export function blocksOf(entries: Iterable<HeaderEntry>, aclToken: string | undefined): HeaderBlocks {
  const blocks = { integers: new Map<number, string>(), strings: new Map<string, string>(), aclToken };
  for (const [name, value] of entries) {
    const key = name.startsWith(INTEGER_PREFIX) ? Number(name.slice(INTEGER_PREFIX.length)) : Number.NaN;
    if (Number.isInteger(key) && key >= 0 && key <= 0xffff) blocks.integers.set(key, value);
    else blocks.strings.set(name, value);
  }
  return blocks;
}

/** A whole frame. Throws RangeError for a header of more than 65,535 words, or a text of more than 65,535 bytes. */
export function encodeWithBlocks(
  { flags, seqid, protocol, transforms }: { flags: number; seqid: number; protocol: number; transforms: Uint8Array },
  { integers, strings, aclToken }: HeaderBlocks,
  payload: Uint8Array,
): Uint8Array {
  const info = new ByteWriter().bytes(transforms);
  const text = (value: string): void => {
    const bytes = Buffer.from(value, 'utf8');
    if (bytes.length > 0xffff) throw new RangeError(`a header value of ${bytes.length} bytes`);
    info.u16(bytes.length).bytes(bytes);
  };
  if (integers.size > 0) info.u8(INFO.INTEGERS).u16(integers.size);
  for (const [key, value] of integers) {
    info.u16(key);
    text(value);
  }
  if (strings.size > 0) info.u8(INFO.STRINGS).u16(strings.size);
  for (const [key, value] of strings) {
    text(key);
    text(value);
  }
  if (aclToken !== undefined) {
    info.u8(INFO.ACL_TOKEN);
    text(aclToken);
  }
  while ((COUNTED_FIELD_BYTES + info.length) % 4 !== 0) info.u8(INFO.PADDING);
  const words = (COUNTED_FIELD_BYTES + info.length) / 4;
  if (words > 0xffff) throw new RangeError(`a header of ${words} words`);
  const out = new ByteWriter()
    .u32(HEADER_AT - 4 + info.length + payload.length)
    .u16(0x1000)
    .u16(flags)
    .u32(seqid)
    .u16(words);
  return out.u8(protocol).u8(transforms.length).bytes(info.take()).bytes(payload).take();
}

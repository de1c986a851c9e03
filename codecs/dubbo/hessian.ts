/**
 * Hessian 2 (http://hessian.caucho.com/doc/hessian-serialization.html), as far as a proxy needs it: values are skipped, not made. Skipping needs no classes, but it is
 * stateful: how many values an object has, its class definition said, which came earlier and may have been inside of anything.
 */
import { CodecError } from '../../src/base/errors.js';

/** Bounds of one body. A value takes at least one byte, so that work is linear in the bytes; these keep it and the memory for it small. */
export const HESSIAN_LIMIT = { VALUES: 1 << 20, DEPTH: 1024, DEFINITIONS: 4096 } as const;

const TAG = {
  BINARY_CHUNK: 0x41,
  BINARY: 0x42,
  DEFINITION: 0x43,
  DOUBLE: 0x44,
  FALSE: 0x46,
  MAP_UNTYPED: 0x48,
  INT: 0x49,
  DATE: 0x4a,
  DATE_MINUTES: 0x4b,
  LONG: 0x4c,
  MAP: 0x4d,
  NULL: 0x4e,
  OBJECT: 0x4f,
  REFERENCE: 0x51,
  STRING_CHUNK: 0x52,
  STRING: 0x53,
  TRUE: 0x54,
  LIST_VARIABLE: 0x55,
  LIST: 0x56,
  LIST_VARIABLE_UNTYPED: 0x57,
  LIST_UNTYPED: 0x58,
  LONG_INT: 0x59,
  END: 0x5a,
  DOUBLE_ZERO: 0x5b,
  DOUBLE_ONE: 0x5c,
  DOUBLE_BYTE: 0x5d,
  DOUBLE_SHORT: 0x5e,
  DOUBLE_MILL: 0x5f,
} as const;
export const HESSIAN_NULL = TAG.NULL;
export const HESSIAN_MAP = TAG.MAP_UNTYPED;
export const HESSIAN_END = TAG.END;

/** What is left to read of something open: a number of values, or, until `END`, values; or pairs, of which a key or a value is next. */
const UNTIL_END = -1;
const NEXT_KEY = -2;
const NEXT_VALUE = -3;

/**
 * Reads one stream of values. Every method throws CodecError `BAD_HESSIAN`, of scope `stream`, for bytes that are none, that are over, or beyond a limit; the reader is of no
 * use then. Offsets are those of `bytes`.
 */
export class HessianReader {
  readonly bytes: Uint8Array;
  readonly end: number;
  at: number;
  /** Values of an object, by the number of its class definition. */
  readonly #fieldCounts: number[] = [];
  #values = 0;

  constructor(bytes: Uint8Array, at = 0, end = bytes.length) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
  }

  get isOver(): boolean {
    return this.at >= this.end;
  }
  get isAtString(): boolean {
    return isString(this.next);
  }
  /** The next byte, which is not taken; -1 at the end. */
  get next(): number {
    return this.at < this.end ? this.bytes[this.at] : -1;
  }

  /**
   * Skips a value and all that is in it. True where it is plain: it is no list, map, object or reference, nor holds one. Those have numbers, in order of their appearance, by
   * which later values refer to them.
   */
  skipValue(): boolean {
    if (this.isAtString) {
      // The short way of the most frequent value.
      this.#countValue();
      this.#skipString(this.#byte());
      return true;
    }
    let isPlain = true;
    const open: number[] = [1];
    while (open.length > 0) {
      const left = open[open.length - 1];
      if (left === 0) {
        open.pop();
        continue;
      }
      const tag = this.#byte();
      if (tag === TAG.END && (left === UNTIL_END || left === NEXT_KEY)) {
        open.pop();
        continue;
      }
      this.#countValue();
      if (tag === TAG.DEFINITION) {
        // Stands in front of a value, and is none.
        this.#definition();
        isPlain = false;
        continue;
      }
      if (left > 0) open[open.length - 1] = left - 1;
      else if (left !== UNTIL_END) open[open.length - 1] = left === NEXT_KEY ? NEXT_VALUE : NEXT_KEY;
      const inside = this.#inside(tag);
      if (inside === NOTHING) continue;
      isPlain = false;
      if (inside === 0) continue;
      if (open.length >= HESSIAN_LIMIT.DEPTH) this.#bad(`deeper than ${HESSIAN_LIMIT.DEPTH}`);
      open.push(inside);
    }
    return isPlain;
  }

  /** A string; null for a null. */
  string(): string | null {
    const tag = this.#byte();
    return tag === TAG.NULL ? null : this.#string(tag);
  }
  /** Skips a string, or a null. */
  skipString(): void {
    const tag = this.#byte();
    if (tag !== TAG.NULL) this.#skipString(tag);
  }
  /** A whole number of 32 bits, if that is what comes next; nothing is taken else. */
  int(): number | undefined {
    const tag = this.next;
    if (tag !== TAG.INT && !(tag >= 0x80 && tag <= 0xd7)) return undefined;
    this.at++;
    return this.#int(tag);
  }
  /** The text of a value that is one: a string, a number, `true` or `false`. Undefined for everything else, which is skipped. */
  text(): string | undefined {
    const tag = this.next;
    if (tag === TAG.INT || (tag >= 0x80 && tag <= 0xd7)) return String(this.int());
    if (isString(tag)) return this.string() as string;
    if (tag === TAG.TRUE || tag === TAG.FALSE) {
      this.at++;
      return String(tag === TAG.TRUE);
    }
    const start = this.at;
    this.skipValue();
    return numberText(new DataView(this.bytes.buffer, this.bytes.byteOffset + start, this.at - start));
  }
  /** Skips the tag, and the type, of a map; false: what comes next is not a map, and nothing is taken. Pairs follow, then `END`. */
  enterMap(): boolean {
    const tag = this.next;
    if (tag !== TAG.MAP_UNTYPED && tag !== TAG.MAP) return false;
    this.at++;
    if (tag === TAG.MAP) this.#type();
    return true;
  }

  /** Skips the rest of a plain value; else takes what stands in front of the values inside and answers how many there are. */
  #inside(tag: number): number {
    if (tag >= 0x80) {
      this.#take(FIXED_BYTES[tag]);
      return NOTHING;
    }
    if (isString(tag)) {
      this.#skipString(tag);
      return NOTHING;
    }
    if (tag >= 0x78) return tag - 0x78;
    if (tag >= 0x70) {
      this.#type();
      return tag - 0x70;
    }
    if (tag >= 0x60) return this.#fieldsOf(tag - 0x60);
    switch (tag) {
      case TAG.OBJECT:
        return this.#fieldsOf(this.#int(this.#byte()));
      case TAG.MAP:
        this.#type();
        return NEXT_KEY;
      case TAG.MAP_UNTYPED:
        return NEXT_KEY;
      case TAG.LIST_VARIABLE:
        this.#type();
        return UNTIL_END;
      case TAG.LIST_VARIABLE_UNTYPED:
        return UNTIL_END;
      case TAG.LIST:
        this.#type();
        return this.#count();
      case TAG.LIST_UNTYPED:
        return this.#count();
      case TAG.REFERENCE:
        this.#int(this.#byte());
        return 0;
      case TAG.BINARY:
      case TAG.BINARY_CHUNK:
        this.#skipBinary(tag);
        return NOTHING;
    }
    if (tag >= 0x34 && tag <= 0x37) this.#take(((tag - 0x34) << 8) | this.#byte());
    else if (tag >= 0x20 && tag <= 0x2f) this.#take(tag - 0x20);
    else if (FIXED_BYTES[tag] === NOT_A_VALUE) this.#bad(`0x${tag.toString(16)} begins no value`, 1);
    else this.#take(FIXED_BYTES[tag]);
    return NOTHING;
  }
  /** `type ::= string | int`: the name of a type, or the number of an earlier one. */
  #type(): void {
    const tag = this.#byte();
    if (isString(tag)) this.#skipString(tag);
    else this.#int(tag);
  }
  #definition(): void {
    if (this.#fieldCounts.length >= HESSIAN_LIMIT.DEFINITIONS) this.#bad(`more than ${HESSIAN_LIMIT.DEFINITIONS} class definitions`);
    this.#skipString(this.#byte());
    const count = this.#count();
    for (let i = 0; i < count; i++) this.#skipString(this.#byte());
    this.#fieldCounts.push(count);
  }
  #fieldsOf(definition: number): number {
    const count = this.#fieldCounts[definition];
    if (count === undefined) this.#bad(`class ${definition} is not defined`);
    return count;
  }
  /** A number of values, each of which takes a byte or more. */
  #count(): number {
    const count = this.#int(this.#byte());
    if (count < 0 || count > this.end - this.at) this.#bad(`${count} values in ${this.end - this.at} bytes`);
    return count;
  }
  #int(tag: number): number {
    if (tag >= 0x80 && tag <= 0xbf) return tag - 0x90;
    if (tag >= 0xc0 && tag <= 0xcf) return ((tag - 0xc8) << 8) + this.#byte();
    if (tag >= 0xd0 && tag <= 0xd7) return ((tag - 0xd4) << 16) + this.#short();
    if (tag === TAG.INT) return (this.#short() << 16) | this.#short();
    return this.#bad(`0x${tag.toString(16)} is not a whole number`, 1);
  }

  #string(first: number): string {
    let text = '';
    for (let tag = first; ; tag = this.#byte()) {
      const count = this.#stringCount(tag);
      const start = this.at;
      this.#skipChars(count);
      text += this.at - start === count ? latin1Slice.call(this.bytes, start, this.at) : this.#chars(start, count);
      if (tag !== TAG.STRING_CHUNK) return text;
    }
  }
  #skipString(first: number): void {
    for (let tag = first; ; tag = this.#byte()) {
      this.#skipChars(this.#stringCount(tag));
      if (tag !== TAG.STRING_CHUNK) return;
    }
  }
  /** UTF-16 units of a string, or of a part of one. */
  #stringCount(tag: number): number {
    if (tag <= 0x1f) return tag;
    if (tag >= 0x30 && tag <= 0x33) return ((tag - 0x30) << 8) | this.#byte();
    if (tag === TAG.STRING || tag === TAG.STRING_CHUNK) return this.#short();
    return this.#bad(`0x${tag.toString(16)} begins no string`, 1);
  }
  /** Every unit is 1 to 3 bytes: characters beyond 0xffff are two units of 3 bytes, not one of 4. */
  #skipChars(count: number): void {
    const { bytes, end } = this;
    let { at } = this;
    for (let left = count; left > 0; left--) {
      if (at >= end) this.#bad('a string is longer than the body');
      const lead = bytes[at];
      if (lead < 0x80) at++;
      else if (lead >= 0xc0 && lead < 0xe0) at += 2;
      else if (lead >= 0xe0 && lead < 0xf0) at += 3;
      else this.#bad(`0x${lead.toString(16)} begins no character`);
    }
    if (at > end) this.#bad('a string is longer than the body');
    this.at = at;
  }
  #chars(start: number, count: number): string {
    const { bytes } = this;
    const units = new Uint16Array(count);
    for (let i = 0, at = start; i < count; i++) {
      const lead = bytes[at++];
      if (lead < 0x80) units[i] = lead;
      else if (lead < 0xe0) units[i] = ((lead & 0x1f) << 6) | (bytes[at++] & 0x3f);
      else units[i] = ((lead & 0x0f) << 12) | ((bytes[at++] & 0x3f) << 6) | (bytes[at++] & 0x3f);
    }
    let text = '';
    for (let i = 0; i < count; i += 4096) text += String.fromCharCode(...units.subarray(i, i + 4096));
    return text;
  }
  #skipBinary(first: number): void {
    for (let tag = first; ; tag = this.#byte()) {
      if (tag === TAG.BINARY || tag === TAG.BINARY_CHUNK) this.#take(this.#short());
      else if (tag >= 0x34 && tag <= 0x37) this.#take(((tag - 0x34) << 8) | this.#byte());
      else if (tag >= 0x20 && tag <= 0x2f) this.#take(tag - 0x20);
      else this.#bad(`0x${tag.toString(16)} begins no part of a binary`, 1);
      if (tag !== TAG.BINARY_CHUNK) return;
    }
  }

  #countValue(): void {
    if (++this.#values > HESSIAN_LIMIT.VALUES) this.#bad(`more than ${HESSIAN_LIMIT.VALUES} values`);
  }
  #byte(): number {
    if (this.at >= this.end) this.#bad('a value is longer than the body');
    return this.bytes[this.at++];
  }
  #short(): number {
    return (this.#byte() << 8) | this.#byte();
  }
  #take(count: number): void {
    if (count > this.end - this.at) this.#bad('a value is longer than the body');
    this.at += count;
  }
  #bad(detail: string, back = 0): never {
    throw new CodecError('dubbo', 'BAD_HESSIAN', this.at - back, detail, 'stream');
  }
}

/** A string in its shortest form; one of more than 65,535 UTF-16 units in parts, which do not split a character. */
export function encodeHessianString(text: string): Uint8Array {
  const parts: Uint8Array[] = [];
  let at = 0;
  while (text.length - at > 0xffff) {
    let end = at + 0x8000;
    if ((text.charCodeAt(end - 1) & 0xfc00) === 0xd800) end--;
    parts.push(chunkOf(Uint8Array.of(TAG.STRING_CHUNK, (end - at) >> 8, (end - at) & 0xff), text, at, end));
    at = end;
  }
  const count = text.length - at;
  const head = count < 0x20 ? [count] : count < 0x400 ? [0x30 + (count >> 8), count & 0xff] : [TAG.STRING, count >> 8, count & 0xff];
  parts.push(chunkOf(Uint8Array.from(head), text, at, text.length));
  return parts.length === 1 ? parts[0] : Buffer.concat(parts);
}
function chunkOf(head: Uint8Array, text: string, from: number, to: number): Uint8Array {
  const bytes = new Uint8Array(head.length + 3 * (to - from));
  bytes.set(head);
  let at = head.length;
  for (let i = from; i < to; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) bytes[at++] = unit;
    else if (unit < 0x800) {
      bytes[at++] = 0xc0 | (unit >> 6);
      bytes[at++] = 0x80 | (unit & 0x3f);
    } else {
      bytes[at++] = 0xe0 | (unit >> 12);
      bytes[at++] = 0x80 | ((unit >> 6) & 0x3f);
      bytes[at++] = 0x80 | (unit & 0x3f);
    }
  }
  return bytes.subarray(0, at);
}

/** The number that a whole value is, as text; undefined for a value that is none, or that has no text. */
function numberText(value: DataView): string | undefined {
  const tag = value.getUint8(0);
  if (tag >= 0xd8 && tag <= 0xef) return String(tag - 0xe0);
  if (tag >= 0xf0) return String(((tag - 0xf8) << 8) + value.getUint8(1));
  if (tag >= 0x38 && tag <= 0x3f) return String(((tag - 0x3c) << 16) + value.getUint16(1));
  switch (tag) {
    case TAG.LONG_INT:
      return String(value.getInt32(1));
    case TAG.LONG:
      return String(value.getBigInt64(1));
    case TAG.DOUBLE_ZERO:
      return '0';
    case TAG.DOUBLE_ONE:
      return '1';
    case TAG.DOUBLE_BYTE:
      return String(value.getInt8(1));
    case TAG.DOUBLE_SHORT:
      return String(value.getInt16(1));
    case TAG.DOUBLE_MILL:
      return String(value.getInt32(1) / 1000);
    case TAG.DOUBLE:
      return String(value.getFloat64(1));
    default:
      return undefined;
  }
}

const isString = (tag: number): boolean =>
  (tag >= 0 && tag <= 0x1f) || (tag >= 0x30 && tag <= 0x33) || tag === TAG.STRING || tag === TAG.STRING_CHUNK;

/** Nothing is inside: the value is plain. */
const NOTHING = -4;
const NOT_A_VALUE = 0xff;
/** Bytes behind the tag of a value of fixed length. */
const FIXED_BYTES = Uint8Array.from({ length: 256 }, (_, tag) => {
  if (tag >= 0xd8) return tag >= 0xf0 ? 1 : 0;
  if (tag >= 0x80) return tag >= 0xd0 ? 2 : tag >= 0xc0 ? 1 : 0;
  if (tag >= 0x38 && tag <= 0x3f) return 2;
  switch (tag) {
    case TAG.NULL:
    case TAG.TRUE:
    case TAG.FALSE:
    case TAG.DOUBLE_ZERO:
    case TAG.DOUBLE_ONE:
      return 0;
    case TAG.DOUBLE_BYTE:
      return 1;
    case TAG.DOUBLE_SHORT:
      return 2;
    case TAG.INT:
    case TAG.LONG_INT:
    case TAG.DOUBLE_MILL:
    case TAG.DATE_MINUTES:
      return 4;
    case TAG.DOUBLE:
    case TAG.LONG:
    case TAG.DATE:
      return 8;
    default:
      return NOT_A_VALUE;
  }
});
const { latin1Slice } = Buffer.prototype;

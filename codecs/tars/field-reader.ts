import { CodecError } from '../../src/base/errors.js';
import { MAX_DEPTH, TYPE } from './spec.js';

/**
 * Walks the fields of a struct within `end`. Every step moves forward and every count is bounded by the bytes that are there, so that the work is
 * linear in the bytes whatever they claim. Throws CodecError with offsets from the start of the frame.
 */
export class FieldReader {
  tag = 0;
  type = 0;
  /** Where the field begins: its head. */
  at = 0;
  /** The field's value; of strings and byte arrays their content. */
  from = 0;
  to = 0;
  readonly #bytes: Uint8Array;
  readonly #frame: number;
  readonly #end: number;
  #next: number;

  /** `frame`: where the frame starts in `bytes`; fields are read from `start` to `end`. */
  constructor(bytes: Uint8Array, frame: number, start: number, end: number) {
    this.#bytes = bytes;
    this.#frame = frame;
    this.#next = start;
    this.#end = end;
  }

  /** Moves to the next field; false at the end. */
  next(): boolean {
    if (this.#next === this.#end) return false;
    this.#head();
    this.#value(0);
    return true;
  }
  get isNumber(): boolean {
    return this.type === TYPE.ZERO || this.type <= TYPE.LONG;
  }
  get isText(): boolean {
    return this.type === TYPE.STRING1 || this.type === TYPE.STRING4;
  }
  /** A number of any width up to 32 bits (of 64 bits: its lower half). A writer takes the narrowest that fits. */
  get number(): number {
    return this.#numberAt(this.type, this.from);
  }
  get text(): string {
    return Buffer.from(this.#bytes.buffer, this.#bytes.byteOffset + this.from, this.to - this.from).toString('utf8');
  }
  /** Entries of a field that is a map of strings. Throws CodecError where it is something else. */
  textEntries(): [string, string][] {
    if (this.type !== TYPE.MAP) throw this.#bad('BAD_MAP', this.at, `type ${this.type}`);
    const inside = new FieldReader(this.#bytes, this.#frame, this.from, this.to);
    inside.next();
    const entries: [string, string][] = [];
    while (inside.next()) {
      const key = inside.isText ? inside.text : '';
      if (!inside.next()) break;
      if (inside.isText) entries.push([key, inside.text]);
    }
    return entries;
  }

  #bad(code: string, at: number, detail: string): CodecError {
    return new CodecError('tars', code, at - this.#frame, detail);
  }
  #take(bytes: number): number {
    const at = this.#next;
    if (bytes > this.#end - at) throw this.#bad('BAD_LENGTH', this.at, `${bytes} bytes at ${at - this.#frame} go past the end`);
    this.#next = at + bytes;
    return at;
  }
  #head(): void {
    this.at = this.#next;
    const head = this.#bytes[this.#take(1)];
    this.type = head & 0x0f;
    this.tag = head >>> 4;
    if (this.tag === 0x0f) this.tag = this.#bytes[this.#take(1)];
  }
  #value(depth: number): void {
    this.from = this.#next;
    switch (this.type) {
      case TYPE.ZERO:
      case TYPE.STRUCT_END:
        break;
      case TYPE.BYTE:
        this.#take(1);
        break;
      case TYPE.SHORT:
        this.#take(2);
        break;
      case TYPE.INT:
      case TYPE.FLOAT:
        this.#take(4);
        break;
      case TYPE.LONG:
      case TYPE.DOUBLE:
        this.#take(8);
        break;
      case TYPE.STRING1:
        this.from = this.#take(1) + 1;
        this.#take(this.#bytes[this.from - 1]);
        break;
      case TYPE.STRING4: {
        const at = this.#take(4);
        this.from = at + 4;
        this.#take(this.#numberAt(TYPE.INT, at) >>> 0);
        break;
      }
      case TYPE.SIMPLE_LIST: {
        if (this.#bytes[this.#take(1)] !== TYPE.BYTE) throw this.#bad('BAD_FIELD', this.at, 'a byte array of another type');
        const bytes = this.#count();
        this.from = this.#next;
        this.#take(bytes);
        break;
      }
      case TYPE.MAP:
      case TYPE.LIST:
      case TYPE.STRUCT_BEGIN:
        this.#skipInside(depth);
        break;
      default:
        throw this.#bad('BAD_FIELD', this.at, `type ${this.type}`);
    }
    this.to = this.#next;
  }
  /** Skips what a map, list or struct holds, and comes back to the field. */
  #skipInside(depth: number): void {
    const { at, tag, type, from } = this;
    if (depth === MAX_DEPTH) throw this.#bad('TOO_DEEP', at, `more than ${MAX_DEPTH} levels`);
    if (type === TYPE.STRUCT_BEGIN) {
      do {
        this.#head();
        this.#value(depth + 1);
      } while (this.type !== TYPE.STRUCT_END);
    } else {
      const count = this.#count() * (type === TYPE.MAP ? 2 : 1);
      for (let i = 0; i < count; i++) {
        this.#head();
        if (this.type === TYPE.STRUCT_END) throw this.#bad('BAD_FIELD', this.at, 'a struct ends that never began');
        this.#value(depth + 1);
      }
    }
    [this.at, this.tag, this.type, this.from] = [at, tag, type, from];
  }
  /** A count: a number with a head of its own, tag 0. Each thing counted takes a byte at least. */
  #count(): number {
    const at = this.#next;
    const head = this.#bytes[this.#take(1)];
    const width = WIDTHS[head];
    if (width === undefined) throw this.#bad('BAD_FIELD', at, `a count of type 0x${head.toString(16)}`);
    const count = this.#numberAt(head, this.#take(width));
    if (count < 0 || count > this.#end - this.#next) throw this.#bad('BAD_LENGTH', at, `a count of ${count}`);
    return count;
  }
  #numberAt(type: number, at: number): number {
    const bytes = this.#bytes;
    if (type === TYPE.ZERO) return 0;
    if (type === TYPE.BYTE) return (bytes[at] << 24) >> 24;
    if (type === TYPE.SHORT) return ((bytes[at] << 24) | (bytes[at + 1] << 16)) >> 16;
    const low = type === TYPE.LONG ? at + 4 : at;
    return (bytes[low] << 24) | (bytes[low + 1] << 16) | (bytes[low + 2] << 8) | bytes[low + 3];
  }
}
/** Bytes of the numbers that a count may be, by their heads with tag 0. */
const WIDTHS: Readonly<Record<number, number>> = { [TYPE.BYTE]: 1, [TYPE.SHORT]: 2, [TYPE.INT]: 4, [TYPE.ZERO]: 0 };

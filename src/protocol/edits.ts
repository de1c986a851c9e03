import { EDIT, LINE_WORDS } from './head-layout.js';

/** Bytes that the changes of one head may take. */
export const EDIT_BYTES = 256 * 1024;
const MAX_LINES = 1024;

/**
 * The changes made to a head when it is sent on (`Engine.forward`), or a head made here (`Engine.reply`). One instance is reused for every
 * message: call `reset()` first. The engine itself removes hop-by-hop lines, and writes `connection`, `transfer-encoding` and, where needed, `content-length`.
 * Throws RangeError when more is added than `EDIT_BYTES` or 1,024 changed lines.
 */
export class Edits {
  readonly bytes: Uint8Array;
  readonly ints: Int32Array;
  #end = 0;

  constructor(bytes = new Uint8Array(EDIT_BYTES), ints = new Int32Array(EDIT.LINES + MAX_LINES * LINE_WORDS)) {
    this.bytes = bytes;
    this.ints = ints;
    this.reset();
  }

  reset(): this {
    const { ints } = this;
    ints[EDIT.FLAGS] = 0;
    ints[EDIT.STATUS] = 0;
    ints[EDIT.METHOD_BYTES] = -1;
    ints[EDIT.TARGET_BYTES] = -1;
    ints[EDIT.APPEND] = 0;
    ints[EDIT.APPEND_BYTES] = 0;
    ints[EDIT.COUNT] = 0;
    this.#end = 0;
    return this;
  }
  /** Adds bits of `EDIT_FLAG`. */
  flag(bits: number): this {
    this.ints[EDIT.FLAGS] |= bits;
    return this;
  }
  status(status: number): this {
    this.ints[EDIT.STATUS] = status;
    return this;
  }
  /** Replaces the method (request) or the reason phrase (response). Call before `append*`. */
  method(method: string): this {
    this.ints[EDIT.METHOD] = this.#end;
    this.ints[EDIT.METHOD_BYTES] = this.#put(method);
    return this;
  }
  /** Replaces the request target. Call before `append*`. */
  target(target: string): this {
    this.ints[EDIT.TARGET] = this.#end;
    this.ints[EDIT.TARGET_BYTES] = this.#put(target);
    return this;
  }
  /** Drops line `index`. Lines may be named in any order; naming one twice keeps the later change. Call before `append*`. */
  drop(index: number): this {
    this.#line(index, 0, -1);
    return this;
  }
  /** Gives line `index` another value, in its place. Call before `append*`. */
  replace(index: number, value: string): this {
    const start = this.#end;
    this.#line(index, start, this.#put(value));
    return this;
  }
  /** Adds a line at the end. Nothing else may be put in between two appends. */
  append(name: string, value: string): this {
    this.#openAppend();
    const { bytes } = this;
    if (this.#end + name.length + value.length + 4 > bytes.length) throw new RangeError('head changes too large');
    let at = this.#end;
    for (let i = 0; i < name.length; i++) bytes[at++] = name.charCodeAt(i);
    bytes[at++] = 0x3a;
    bytes[at++] = 0x20;
    for (let i = 0; i < value.length; i++) bytes[at++] = value.charCodeAt(i);
    bytes[at++] = 0x0d;
    bytes[at++] = 0x0a;
    this.#end = at;
    this.ints[EDIT.APPEND_BYTES] = at - this.ints[EDIT.APPEND];
    return this;
  }
  /** Adds ready-made lines, each with its CRLF. */
  appendBytes(lines: Uint8Array): this {
    this.#openAppend();
    if (this.#end + lines.length > this.bytes.length) throw new RangeError('head changes too large');
    this.bytes.set(lines, this.#end);
    this.#end += lines.length;
    this.ints[EDIT.APPEND_BYTES] = this.#end - this.ints[EDIT.APPEND];
    return this;
  }

  #openAppend(): void {
    if (this.ints[EDIT.APPEND_BYTES] === 0) this.ints[EDIT.APPEND] = this.#end;
  }
  #put(text: string): number {
    const { bytes } = this;
    if (this.ints[EDIT.APPEND_BYTES] !== 0) throw new Error('Edits: change lines before appending');
    if (this.#end + text.length > bytes.length) throw new RangeError('head changes too large');
    for (let i = 0; i < text.length; i++) bytes[this.#end + i] = text.charCodeAt(i);
    this.#end += text.length;
    return text.length;
  }
  #line(index: number, start: number, length: number): void {
    const { ints } = this;
    let count = ints[EDIT.COUNT];
    let at = EDIT.LINES + count * LINE_WORDS;
    while (at > EDIT.LINES && ints[at - LINE_WORDS] > index) at -= LINE_WORDS;
    const known = at > EDIT.LINES && ints[at - LINE_WORDS] === index;
    if (known) at -= LINE_WORDS;
    else {
      if (count === MAX_LINES) throw new RangeError('too many changed lines');
      const end = EDIT.LINES + count * LINE_WORDS;
      if (at < end) ints.copyWithin(at + LINE_WORDS, at, end);
      ints[EDIT.COUNT] = ++count;
    }
    ints[at] = index;
    ints[at + 1] = start;
    ints[at + 2] = length;
  }
}

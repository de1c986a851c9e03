import type { FrameLayout } from './frame-layout.js';
import { FRAME } from './frame-table.js';

/**
 * One frame as offsets (DESIGN §2): its fields are numbers in a table, its sections are views. Valid during the callback that got it; `retain()`
 * copies it. Numbers of 64 bits are `bigint`, or two words.
 */
export class Frame {
  readonly layout: FrameLayout;
  /** What the offsets point into. */
  bytes: Uint8Array;
  /** The table, from word `base` on (frame-table.ts). @internal */
  ints: Int32Array;
  /** @internal */
  base: number;
  /** What a codec has read of this frame, so that it reads it once however often it is asked; undefined for every new frame. */
  memo: unknown = undefined;

  constructor(layout: FrameLayout, bytes: Uint8Array, ints: Int32Array, base = 0) {
    this.layout = layout;
    this.bytes = bytes;
    this.ints = ints;
    this.base = base;
  }

  /** Bytes on the wire. */
  get length(): number {
    return this.ints[this.base + FRAME.BYTES];
  }
  /** True where the last section has not been received, and never will be in one piece: the frame is cut through. */
  get isPartial(): boolean {
    return this.ints[this.base + FRAME.SHOWN] < this.ints[this.base + FRAME.BYTES];
  }
  /** A number of `FRAME_KIND`. */
  get kind(): number {
    return this.ints[this.base + FRAME.KIND];
  }
  /** Name of the layout's variant; empty where it has only one. */
  get variant(): string {
    return this.layout.variants[this.ints[this.base + FRAME.VARIANT]].name;
  }
  get hasId(): boolean {
    return this.ints[this.base + FRAME.ID_AT] >= 0;
  }
  get idLow(): number {
    return this.ints[this.base + FRAME.ID_LOW];
  }
  get idHigh(): number {
    return this.ints[this.base + FRAME.ID_HIGH];
  }
  /** The id as an unsigned number of 64 bits. */
  get id(): bigint {
    return (BigInt(this.idHigh >>> 0) << 32n) | BigInt(this.idLow >>> 0);
  }
  /** All bytes that can be looked at. */
  get raw(): Uint8Array {
    const start = this.ints[this.base + FRAME.START];
    return this.bytes.subarray(start, start + this.ints[this.base + FRAME.SHOWN]);
  }

  /** Value of a field of at most 32 bits, by its slot (`layout.slot(name)`): for what is read of every frame. 0 where the variant has no such field. */
  at(slot: number): number {
    const { ints } = this;
    const word = this.base + FRAME.SECTIONS + 2 * this.layout.sectionCount + 2 * slot;
    return ints[word + 1] === 0 ? ints[word] >>> 0 : ints[word];
  }
  /** Value of a field of at most 32 bits. Throws RangeError for a name that the layout has not. */
  field(name: string): number {
    return this.at(this.layout.slot(name));
  }
  /** Value of a field of any width; signed as declared. */
  bigField(name: string): bigint {
    const { ints, layout } = this;
    const word = this.base + FRAME.SECTIONS + 2 * layout.sectionCount + 2 * layout.slot(name);
    const value = (BigInt(ints[word + 1]) << 32n) | BigInt(ints[word] >>> 0);
    return layout.isSigned(name) ? value : BigInt.asUintN(64, value);
  }
  /** Where a section starts in the frame. */
  sectionStart(name: string): number {
    return this.ints[this.base + FRAME.SECTIONS + 2 * this.layout.section(name)];
  }
  /** Length of a section in bytes, also of one that was cut off. */
  sectionBytes(name: string): number {
    return this.ints[this.base + FRAME.SECTIONS + 2 * this.layout.section(name) + 1];
  }
  /** A view of a section, as far as it can be looked at. */
  section(name: string): Uint8Array {
    const at = this.base + FRAME.SECTIONS + 2 * this.layout.section(name);
    const shown = this.ints[this.base + FRAME.SHOWN];
    const start = Math.min(shown, this.ints[at]);
    const end = Math.min(shown, this.ints[at] + this.ints[at + 1]);
    const frame = this.ints[this.base + FRAME.START];
    return this.bytes.subarray(frame + start, frame + end);
  }

  /** Copies the table and the first `maxBytes` bytes into another frame of the same layout, which is reused for it: what a local reply may ask of a request. @internal */
  copyHead(to: Frame, maxBytes: number): void {
    const { ints, base, layout } = this;
    const words = layout.tableWords;
    for (let word = 0; word < words; word++) to.ints[to.base + word] = ints[base + word];
    const start = ints[base + FRAME.START];
    const shown = Math.min(ints[base + FRAME.SHOWN], maxBytes, to.bytes.length);
    to.bytes.set(this.bytes.subarray(start, start + shown));
    to.ints[to.base + FRAME.START] = 0;
    to.ints[to.base + FRAME.SHOWN] = shown;
    to.memo = undefined;
  }
  /** A copy that outlives the callback. */
  retain(): Frame {
    const ints = this.ints.slice(this.base, this.base + this.layout.tableWords);
    ints[FRAME.START] = 0;
    return new Frame(this.layout, new Uint8Array(this.raw), ints);
  }
}

/** What a scripted session (`FrameSession`) needs to fill a frame's table as a described layout would. */
import { type Field, type FrameLayout, fixed, frameLayout, KIND_NUMBER, type KindName } from './frame-layout.js';
import { FRAME } from './frame-table.js';

/** What the frames of a scripted framing are called by. */
export interface ScriptedNames {
  /** Width and sign of each field; their places are not used: `u32(0)`. */
  readonly fields: Readonly<Record<string, Field>>;
  /** Parts of the frame that are looked at. */
  readonly sections: readonly string[];
  /** The field that pairs a response with its request. */
  readonly id?: string;
  /** Names of variants; absent: one without a name. */
  readonly variants?: readonly string[];
}
/** The layout of a scripted framing: names, slots and signs. */
export const scriptedLayout = ({ fields, sections, id, variants = [''] }: ScriptedNames): FrameLayout => {
  const parts = Object.fromEntries(sections.map((section) => [section, fixed(0)]));
  return frameLayout({ prefix: {}, variants: variants.map((name) => ({ name, fields, sections: parts, length: fixed(0), id })) });
};

/** Fills the table of one frame after the other. */
export class FrameFiller {
  readonly #layout: FrameLayout;
  readonly #fieldsAt: number;
  #ints: Int32Array = new Int32Array(0);
  #base = 0;

  constructor(layout: FrameLayout) {
    this.#layout = layout;
    this.#fieldsAt = FRAME.SECTIONS + 2 * layout.sectionCount;
  }
  /** Starts the table of a whole frame of `bytes` bytes that stands at `start`; its fields are 0, its sections empty, and it has no id. */
  begin(ints: Int32Array, base: number, start: number, bytes: number, kind: KindName, variant = 0): this {
    this.#ints = ints;
    this.#base = base;
    ints.fill(0, base, base + this.#layout.tableWords);
    ints[base + FRAME.BYTES] = bytes;
    ints[base + FRAME.SHOWN] = bytes;
    ints[base + FRAME.START] = start;
    ints[base + FRAME.KIND] = KIND_NUMBER[kind];
    ints[base + FRAME.VARIANT] = variant;
    ints[base + FRAME.ID_AT] = -1;
    return this;
  }
  /** The id, and where its bytes stand in the frame. */
  id(at: number, low: number, high: number): this {
    this.#ints[this.#base + FRAME.ID_AT] = at;
    this.#ints[this.#base + FRAME.ID_LOW] = low;
    this.#ints[this.#base + FRAME.ID_HIGH] = high;
    return this;
  }
  /** A field by its slot. `high`: the upper word; of a narrower number it follows from the sign. */
  field(slot: number, low: number, high = low < 0 ? -1 : 0): this {
    const word = this.#base + this.#fieldsAt + 2 * slot;
    this.#ints[word] = low;
    this.#ints[word + 1] = high;
    return this;
  }
  /** A section by its number (`layout.section(name)`): where it starts in the frame, and its length. */
  section(index: number, at: number, bytes: number): this {
    const word = this.#base + FRAME.SECTIONS + 2 * index;
    this.#ints[word] = at;
    this.#ints[word + 1] = bytes;
    return this;
  }
}

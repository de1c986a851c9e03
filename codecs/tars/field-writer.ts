import { ByteWriter } from '../../src/protocol/byte-writer.js';
import { TYPE } from './spec.js';

/** Writes fields as Tars peers do: each number in the narrowest type that holds it. */
export class FieldWriter {
  readonly out: ByteWriter;

  constructor(out = new ByteWriter()) {
    this.out = out;
  }

  #head(tag: number, type: number): this {
    if (tag < 15) this.out.u8((tag << 4) | type);
    else this.out.u8(0xf0 | type).u8(tag);
    return this;
  }
  /** A signed number of 32 bits. */
  number(tag: number, value: number): this {
    if (value === 0) return this.#head(tag, TYPE.ZERO);
    if (value === (value << 24) >> 24) this.#head(tag, TYPE.BYTE).out.u8(value);
    else if (value === (value << 16) >> 16) this.#head(tag, TYPE.SHORT).out.u16(value);
    else this.#head(tag, TYPE.INT).out.u32(value);
    return this;
  }
  text(tag: number, text: string | Uint8Array): this {
    const bytes = typeof text === 'string' ? Buffer.from(text, 'utf8') : text;
    if (bytes.length < 256) this.#head(tag, TYPE.STRING1).out.u8(bytes.length).bytes(bytes);
    else this.#head(tag, TYPE.STRING4).out.u32(bytes.length).bytes(bytes);
    return this;
  }
  /** An empty byte array. */
  noBytes(tag: number): this {
    return this.#head(tag, TYPE.SIMPLE_LIST).#head(0, TYPE.BYTE).number(0, 0);
  }
  map(tag: number, entries: readonly (readonly [string, string])[]): this {
    this.#head(tag, TYPE.MAP).number(0, entries.length);
    for (const [key, value] of entries) this.text(0, key).text(1, value);
    return this;
  }
}
/** A frame: the fields behind their length. */
export function frameOf(fields: FieldWriter): Uint8Array {
  const bytes = fields.out.take();
  return new ByteWriter()
    .u32(4 + bytes.length)
    .bytes(bytes)
    .take();
}

/**
 * Walks the fields of one Protocol Buffers message without a schema, in one pass and within its bytes: for RPC heads of which a proxy needs a few
 * numbers and names. Sub-messages are walked with a reader of their own.
 */
export class ProtobufReader {
  /** Number of the field that `next` found. */
  number = 0;
  wireType = 0;
  /** Where the field starts, its tag included. */
  at = 0;
  /** The value's bytes: of a varint or a fixed number its digits, of a length-delimited field its content. */
  from = 0;
  to = 0;
  /** A varint's value, two words of 32 bits. */
  low = 0;
  high = 0;
  /** True where the bytes are no message: `next` answered false before the end. */
  isBroken = false;
  readonly #bytes: Uint8Array;
  readonly #end: number;

  constructor(bytes: Uint8Array, start: number, end: number) {
    this.#bytes = bytes;
    this.#end = end;
    this.to = start;
  }

  /** Moves to the next field; false at the end, or where the bytes are broken. Groups are not read: no protocol here has them. */
  next(): boolean {
    if (this.isBroken || this.to === this.#end) return false;
    this.at = this.to;
    this.from = this.to;
    if (!this.#varint()) return false;
    const tag = this.low;
    this.wireType = tag & 7;
    this.number = tag >>> 3;
    if (this.number === 0 || this.high !== 0) return this.#broken();
    this.from = this.to;
    if (this.wireType === WIRE.VARINT) return this.#varint();
    if (this.wireType === WIRE.FIXED64) return this.#skip(8);
    if (this.wireType === WIRE.FIXED32) return this.#skip(4);
    if (this.wireType !== WIRE.BYTES || !this.#varint()) return this.#broken();
    const length = this.low >>> 0;
    this.from = this.to;
    return this.high === 0 ? this.#skip(length) : this.#broken();
  }
  /** Content of a length-delimited field. */
  get content(): Uint8Array {
    return this.#bytes.subarray(this.from, this.to);
  }
  /** The same as text. */
  get text(): string {
    return Buffer.from(this.#bytes.buffer, this.#bytes.byteOffset + this.from, this.to - this.from).toString('utf8');
  }
  /** A reader of this field's content. */
  inside(): ProtobufReader {
    return new ProtobufReader(this.#bytes, this.from, this.to);
  }

  #skip(bytes: number): boolean {
    if (this.from + bytes > this.#end) return this.#broken();
    this.to = this.from + bytes;
    return true;
  }
  #varint(): boolean {
    this.low = 0;
    this.high = 0;
    for (let i = 0; i < VARINT_MAX_BYTES; i++) {
      if (this.to === this.#end) return this.#broken();
      const byte = this.#bytes[this.to++];
      const shift = 7 * i;
      if (shift < 32) this.low |= (byte & 0x7f) << shift;
      if (shift > 24) this.high |= shift < 32 ? (byte & 0x7f) >>> (32 - shift) : (byte & 0x7f) << (shift - 32);
      if (byte < 0x80) return true;
    }
    return this.#broken();
  }
  #broken(): false {
    this.isBroken = true;
    return false;
  }
}
/** Wire types of the encoding's document. */
export const WIRE = { VARINT: 0, FIXED64: 1, BYTES: 2, FIXED32: 5 } as const;
const VARINT_MAX_BYTES = 10;

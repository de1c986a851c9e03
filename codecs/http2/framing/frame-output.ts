import { FRAME_FLAG, FRAME_TYPE, LIMIT } from '../spec.js';

const FIRST_BYTES = 512;
const NO_BYTES = new Uint8Array(0);

/** Frames that wait to be written, one behind the other. Its owner takes the bytes; an empty one has no memory. */
export class FrameOutput {
  #bytes: Uint8Array = NO_BYTES;
  #length = 0;

  get length(): number {
    return this.#length;
  }
  /** What waits; good until the next frame. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }
  /** What waits, for good: the output is empty afterwards. */
  take(): Uint8Array {
    const bytes = this.bytes;
    this.#bytes = NO_BYTES;
    this.#length = 0;
    return bytes;
  }

  header(length: number, type: number, flags: number, stream: number): void {
    this.#reserve(LIMIT.FRAME_HEADER_BYTES + length);
    const bytes = this.#bytes;
    const at = this.#length;
    bytes[at] = length >>> 16;
    bytes[at + 1] = length >>> 8;
    bytes[at + 2] = length;
    bytes[at + 3] = type;
    bytes[at + 4] = flags;
    this.#length = at + 5;
    this.u32(stream);
  }
  u16(value: number): void {
    this.#reserve(2);
    this.#bytes[this.#length++] = value >>> 8;
    this.#bytes[this.#length++] = value;
  }
  u32(value: number): void {
    this.u16(value >>> 16);
    this.u16(value);
  }
  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }
  /** A field block in HEADERS and as many CONTINUATION frames as it takes. */
  fields(block: Uint8Array, stream: number, ends: boolean, maxFrameBytes: number): void {
    let type: number = FRAME_TYPE.HEADERS;
    let at = 0;
    do {
      const end = Math.min(at + maxFrameBytes, block.length);
      const flags = (end === block.length ? FRAME_FLAG.END_HEADERS : 0) | (type === FRAME_TYPE.HEADERS && ends ? FRAME_FLAG.END_STREAM : 0);
      this.header(end - at, type, flags, stream);
      this.raw(block.subarray(at, end));
      type = FRAME_TYPE.CONTINUATION;
      at = end;
    } while (at < block.length);
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(FIRST_BYTES, 2 * this.#bytes.length, this.#length + bytes));
    larger.set(this.bytes);
    this.#bytes = larger;
  }
}

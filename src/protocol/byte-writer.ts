const FIRST_BYTES = 256;

/** Big-endian bytes, appended one after the other: for frames that are made here (local replies, heartbeats, changed headers). Not for the fast path. */
export class ByteWriter {
  #bytes = new Uint8Array(FIRST_BYTES);
  #at = 0;

  get length(): number {
    return this.#at;
  }
  u8(value: number): this {
    this.#room(1);
    this.#bytes[this.#at++] = value;
    return this;
  }
  u16(value: number): this {
    return this.u8(value >>> 8).u8(value);
  }
  u32(value: number): this {
    return this.u16(value >>> 16).u16(value);
  }
  /** The 8 bytes of two words of 32 bits. */
  u64(low: number, high: number): this {
    return this.u32(high).u32(low);
  }
  /** Groups of 7 bits, lowest first, as in Protocol Buffers and Thrift's compact protocol: 1 to 10 bytes. */
  varint(low: number, high = 0): this {
    let [lower, upper] = [low >>> 0, high >>> 0];
    while (upper !== 0 || lower > 0x7f) {
      this.u8((lower & 0x7f) | 0x80);
      lower = ((lower >>> 7) | (upper << 25)) >>> 0;
      upper >>>= 7;
    }
    return this.u8(lower);
  }
  bytes(bytes: Uint8Array): this {
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
    return this;
  }
  /** The UTF-8 bytes of a text, no length before them. */
  text(text: string): this {
    return this.bytes(Buffer.from(text, 'utf8'));
  }
  /** Overwrites 4 bytes written before. Throws RangeError where none are. */
  setU32(at: number, value: number): this {
    if (at < 0 || at + 4 > this.#at) throw new RangeError(`no 4 bytes at ${at} of ${this.#at}`);
    this.#bytes[at] = value >>> 24;
    this.#bytes[at + 1] = value >>> 16;
    this.#bytes[at + 2] = value >>> 8;
    this.#bytes[at + 3] = value;
    return this;
  }
  /** Forgets what was written, and keeps the memory. */
  reset(): this {
    this.#at = 0;
    return this;
  }
  /** What was written, good until the next change. */
  get view(): Uint8Array {
    return this.#bytes.subarray(0, this.#at);
  }
  /** A copy of what was written. */
  take(): Uint8Array {
    return this.#bytes.slice(0, this.#at);
  }

  #room(bytes: number): void {
    if (this.#at + bytes <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(2 * this.#bytes.length, this.#at + bytes));
    larger.set(this.#bytes);
    this.#bytes = larger;
  }
}

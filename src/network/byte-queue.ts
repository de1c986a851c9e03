/** Small pieces are copied together into stores of so many bytes, and larger ones kept as they are. */
const STORE_BYTES = 4096;

/** Bytes that wait, in order. Many small pieces take no more memory than a few large ones. */
export class ByteQueue {
  #pieces: Uint8Array[] = [];
  /** The last piece, where it has room behind it. */
  #store: Buffer | undefined;
  #length = 0;

  get length(): number {
    return this.#length;
  }
  /** The bytes of the next piece; undefined where nothing waits. Good until they are taken, or more comes. */
  get first(): Uint8Array | undefined {
    return this.#pieces[0];
  }
  /** The next piece is the last one. */
  get isLast(): boolean {
    return this.#pieces.length === 1;
  }

  /** `isLent`: the bytes may change after the call. */
  push(bytes: Uint8Array, isLent: boolean): void {
    const { length } = bytes;
    if (length === 0) return;
    this.#length += length;
    const pieces = this.#pieces;
    if (length >= STORE_BYTES) {
      this.#store = undefined;
      pieces.push(isLent ? Buffer.from(bytes) : bytes);
      return;
    }
    const last = pieces[pieces.length - 1];
    if (this.#store !== undefined && last !== undefined) {
      const end = last.byteOffset - this.#store.byteOffset + last.length;
      if (end + length <= this.#store.length) {
        this.#store.set(bytes, end);
        pieces[pieces.length - 1] = this.#store.subarray(end - last.length, end + length);
        return;
      }
    }
    // A single small piece takes what it needs.
    const store = Buffer.allocUnsafeSlow(pieces.length === 0 ? Math.max(2 * length, 64) : STORE_BYTES);
    store.set(bytes, 0);
    this.#store = store;
    pieces.push(store.subarray(0, length));
  }
  /** Takes `bytes` of the first piece. */
  drop(bytes: number): void {
    const first = this.#pieces[0];
    if (first === undefined) return;
    this.#length -= bytes;
    if (bytes < first.length) this.#pieces[0] = first.subarray(bytes);
    else {
      this.#pieces.shift();
      if (this.#pieces.length === 0) this.#store = undefined;
    }
  }
  clear(): void {
    this.#pieces = [];
    this.#store = undefined;
    this.#length = 0;
  }
}

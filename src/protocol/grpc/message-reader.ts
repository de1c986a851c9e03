const PREFIX_BYTES = 5;

/** What `MessageReader` stands at. */
const AT = { PREFIX: 0, MESSAGE: 1 } as const;

/**
 * Counts the messages of a gRPC body as it streams by: `flag u8, length u32, bytes`, over and over, however the pieces fall. Keeps nothing but the prefix.
 * gRPC-Web's trailers (flag 0x80) are no message.
 */
export class MessageReader {
  /** Messages of which the first byte was seen. */
  messages = 0;
  #state: number = AT.PREFIX;
  /** Bytes of the prefix that were seen, and its length so far. */
  #seen = 0;
  #length = 0;
  /** Bytes of the message that are still to come. */
  #left = 0;

  /** True where the bytes seen so far end with a whole message. */
  get isWhole(): boolean {
    return this.#state === AT.PREFIX && this.#seen === 0;
  }
  push(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length) {
      if (this.#state === AT.MESSAGE) {
        const taken = Math.min(this.#left, bytes.length - at);
        this.#left -= taken;
        at += taken;
        if (this.#left === 0) this.#state = AT.PREFIX;
        continue;
      }
      const byte = bytes[at++];
      if (this.#seen === 0) {
        if ((byte & 0x80) === 0) this.messages++;
      } else this.#length = this.#length * 256 + byte;
      if (++this.#seen < PREFIX_BYTES) continue;
      this.#left = this.#length;
      this.#seen = 0;
      this.#length = 0;
      if (this.#left > 0) this.#state = AT.MESSAGE;
    }
  }
}

/** A message with its prefix, uncompressed. `flag`: 0x80 for gRPC-Web's trailers. */
export function grpcFrame(message: Uint8Array, flag = 0): Uint8Array {
  const frame = new Uint8Array(PREFIX_BYTES + message.length);
  frame[0] = flag;
  new DataView(frame.buffer).setUint32(1, message.length);
  frame.set(message, PREFIX_BYTES);
  return frame;
}

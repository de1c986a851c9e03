import { readGrpcStatus } from './status.js';

/** Walks trailers as an engine shows them (`name: value CRLF`, name by name) without copying: one object is reused for all. */
export class TrailerLines {
  /** The line that `next` found: its name, and its value without surrounding white space. */
  nameStart = 0;
  nameEnd = 0;
  valueStart = 0;
  valueEnd = 0;
  #bytes: Uint8Array = new Uint8Array(0);
  #at = 0;

  begin(bytes: Uint8Array): this {
    this.#bytes = bytes;
    this.#at = 0;
    return this;
  }
  /** Moves to the next line; false at the end. A line without a colon is passed over. */
  next(): boolean {
    const bytes = this.#bytes;
    while (this.#at < bytes.length) {
      const start = this.#at;
      let end = bytes.indexOf(0x0a, start);
      if (end < 0) end = bytes.length;
      this.#at = end + 1;
      let last = end > start && bytes[end - 1] === 0x0d ? end - 1 : end;
      let colon = start;
      while (colon < last && bytes[colon] !== 0x3a) colon++;
      if (colon === last) continue;
      let from = colon + 1;
      while (from < last && isSpace(bytes[from])) from++;
      while (last > from && isSpace(bytes[last - 1])) last--;
      this.nameStart = start;
      this.nameEnd = colon;
      this.valueStart = from;
      this.valueEnd = last;
      return true;
    }
    return false;
  }
  /** True where the line has this name, which is given in lower case. */
  is(name: string): boolean {
    if (this.nameEnd - this.nameStart !== name.length) return false;
    for (let i = 0; i < name.length; i++) {
      const byte = this.#bytes[this.nameStart + i];
      if ((byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte) !== name.charCodeAt(i)) return false;
    }
    return true;
  }
  get name(): string {
    return latin1(this.#bytes, this.nameStart, this.nameEnd);
  }
  get value(): string {
    return latin1(this.#bytes, this.valueStart, this.valueEnd);
  }

  /** First value of a name in lower case. */
  get(bytes: Uint8Array, name: string): string | undefined {
    this.begin(bytes);
    while (this.next()) if (this.is(name)) return this.value;
    return undefined;
  }
  /** The grpc-status in trailers; -1 where there is none that is a number. */
  grpcStatus(bytes: Uint8Array): number {
    this.begin(bytes);
    while (this.next()) if (this.is('grpc-status')) return readGrpcStatus(bytes, this.valueStart, this.valueEnd - this.valueStart);
    return -1;
  }
}

const isSpace = (byte: number) => byte === 0x20 || byte === 0x09;
const latin1 = (bytes: Uint8Array, start: number, end: number) => Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('latin1');

import { randomFillSync } from 'node:crypto';

const POOL_BYTES = 16_384;
const NAME = 'x-request-id: ';
/** Places of the 16 bytes' first digits in `xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx`. */
const PLACES = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34] as const;

/** Makes random UUIDs (version 4, RFC 9562) straight into a ready-made header line: no string unless somebody asks. The randomness is the system's, fetched 1,024 ids at a time. */
export class RequestIds {
  readonly #random = new Uint8Array(POOL_BYTES);
  #used = POOL_BYTES;
  readonly #digits = Buffer.from('0123456789abcdef', 'latin1');
  /** `x-request-id: <the last id>\r\n`. */
  readonly line = Uint8Array.from(Buffer.from(`${NAME}00000000-0000-4000-8000-000000000000\r\n`, 'latin1'));

  /** Puts a new id into `line`. */
  next(): void {
    if (this.#used === POOL_BYTES) {
      randomFillSync(this.#random);
      this.#used = 0;
    }
    const random = this.#random;
    const from = this.#used;
    const { line } = this;
    const digits = this.#digits;
    for (let i = 0; i < 16; i++) {
      let byte = random[from + i];
      if (i === 6) byte = (byte & 0x0f) | 0x40;
      else if (i === 8) byte = (byte & 0x3f) | 0x80;
      const at = NAME.length + PLACES[i];
      line[at] = digits[byte >> 4];
      line[at + 1] = digits[byte & 15];
    }
    this.#used = from + 16;
  }
  /** The last id as text. */
  get text(): string {
    return Buffer.prototype.latin1Slice.call(this.line, NAME.length, NAME.length + 36);
  }
}

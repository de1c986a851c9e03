const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const NOT = 0xff;
const PAD = 0xfe;
const VALUES = new Uint8Array(256).fill(NOT);
for (let i = 0; i < 64; i++) VALUES[ALPHABET.charCodeAt(i)] = i;
VALUES[0x3d] = PAD;
const CODES = Uint8Array.from(ALPHABET, (letter) => letter.charCodeAt(0));
const NONE = new Uint8Array(0);

/**
 * Decodes base64 (RFC 4648 §4) that comes in pieces. A sender may end a piece with padding and go on: each group of four letters stands alone ("gRPC-Web:
 * application/grpc-web-text").
 */
export class Base64Decoder {
  #bits = 0;
  /** Letters of the present group. */
  #letters = 0;
  #pads = 0;

  /** The bytes of all groups that are whole now; undefined where the text is no base64. */
  push(text: Uint8Array): Uint8Array | undefined {
    const out = new Uint8Array(Math.floor(((this.#letters + this.#pads + text.length) * 3) / 4));
    let length = 0;
    for (let at = 0; at < text.length; at++) {
      const value = VALUES[text[at]];
      if (value === NOT) return undefined;
      if (value === PAD) {
        // `=` only as the third and fourth of a group.
        if (this.#letters < 2) return undefined;
        this.#pads++;
      } else {
        if (this.#pads > 0) return undefined;
        this.#bits = (this.#bits << 6) | value;
        this.#letters++;
      }
      if (this.#letters + this.#pads < 4) continue;
      const bits = this.#bits << (6 * this.#pads);
      const bytes = 3 - this.#pads;
      out[length++] = bits >> 16;
      if (bytes > 1) out[length++] = bits >> 8;
      if (bytes > 2) out[length++] = bits;
      this.#bits = 0;
      this.#letters = 0;
      this.#pads = 0;
    }
    return out.subarray(0, length);
  }
  /** True where no group is left unfinished. */
  get isWhole(): boolean {
    return this.#letters === 0;
  }
}

/** Encodes bytes that come in pieces; what does not fill a group of three waits for the next piece. */
export class Base64Encoder {
  #held = NONE;

  push(bytes: Uint8Array): Uint8Array {
    const whole = this.#held.length === 0 ? bytes : joined(this.#held, bytes);
    const rest = whole.length % 3;
    this.#held = rest === 0 ? NONE : whole.slice(whole.length - rest);
    return encode(whole, whole.length - rest);
  }
  /** What is left, padded. */
  end(): Uint8Array {
    const text = encode(this.#held, this.#held.length);
    this.#held = NONE;
    return text;
  }
}

function encode(bytes: Uint8Array, length: number): Uint8Array {
  const out = new Uint8Array(Math.ceil(length / 3) * 4);
  let at = 0;
  for (let i = 0; i < length; i += 3) {
    const bits = (bytes[i] << 16) | ((i + 1 < length ? bytes[i + 1] : 0) << 8) | (i + 2 < length ? bytes[i + 2] : 0);
    out[at++] = CODES[bits >> 18];
    out[at++] = CODES[(bits >> 12) & 63];
    out[at++] = i + 1 < length ? CODES[(bits >> 6) & 63] : 0x3d;
    out[at++] = i + 2 < length ? CODES[bits & 63] : 0x3d;
  }
  return out;
}
function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const out = new Uint8Array(a.length + b.length);
  out.set(a);
  out.set(b, a.length);
  return out;
}

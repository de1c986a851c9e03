import { HUFFMAN_BITS } from './tables.js';

const EOS = 256;
/** Code of each symbol, right-aligned. */
const CODES: Readonly<Uint32Array> = canonicalCodes();
const BITS: Readonly<Uint8Array> = Uint8Array.from(HUFFMAN_BITS);

/** Codes of one length are consecutive in the order of their symbols, and begin where those of the next shorter length end (RFC 7541 Appendix B). */
function canonicalCodes(): Uint32Array {
  const codes = new Uint32Array(EOS + 1);
  const symbols = Array.from(codes.keys()).sort((a, b) => HUFFMAN_BITS[a] - HUFFMAN_BITS[b] || a - b);
  let code = 0;
  let bits = 0;
  for (const symbol of symbols) {
    code *= 2 ** (HUFFMAN_BITS[symbol] - bits);
    bits = HUFFMAN_BITS[symbol];
    codes[symbol] = code++;
  }
  return codes;
}

// What four more bits do in each state: next state << 16 | flags | symbol. A state is an inner node of the code's tree.
const EMIT = 1 << 8;
const FAIL = 1 << 9;
const NIBBLES: Readonly<Int32Array> = stateTable();
/** 1 where an input may end: at the root, or after at most 7 bits, all ones (RFC 7541 §5.2). */
const ACCEPTS: Readonly<Uint8Array> = acceptingStates();

/** The two children of every inner node: an inner node's number, or -1 - symbol. The root is 0. */
function tree(): number[][] {
  const nodes: number[][] = [[0, 0]];
  for (let symbol = 0; symbol <= EOS; symbol++) {
    let at = 0;
    for (let bit = HUFFMAN_BITS[symbol] - 1; bit > 0; bit--) {
      const side = (CODES[symbol] >>> bit) & 1;
      if (nodes[at][side] === 0) nodes[at][side] = nodes.push([0, 0]) - 1;
      at = nodes[at][side];
    }
    nodes[at][CODES[symbol] & 1] = -1 - symbol;
  }
  return nodes;
}

function stateTable(): Int32Array {
  const nodes = tree();
  const table = new Int32Array(nodes.length * 16);
  for (let state = 0; state < nodes.length; state++) {
    for (let nibble = 0; nibble < 16; nibble++) {
      let at = state;
      let entry = 0;
      for (let bit = 3; bit >= 0; bit--) {
        at = nodes[at][(nibble >> bit) & 1];
        if (at >= 0) continue;
        const symbol = -1 - at;
        // The shortest code has 5 bits, so four of them finish one symbol at most.
        entry |= symbol === EOS ? FAIL : EMIT | symbol;
        at = 0;
      }
      table[state * 16 + nibble] = (at << 16) | entry;
    }
  }
  return table;
}

function acceptingStates(): Uint8Array {
  const nodes = tree();
  const accepts = new Uint8Array(nodes.length);
  for (let at = 0, bits = 0; bits <= 7; bits++, at = nodes[at][1]) accepts[at] = 1;
  return accepts;
}

/**
 * Decodes `bytes[start, end)` to `out` from `at` on, which must have room for 8/5 of them, and gives the end of what was written; -1 for EOS inside, or
 * padding of more than 7 bits or with a zero (RFC 7541 §5.2).
 */
export function huffmanDecode(bytes: Uint8Array, start: number, end: number, out: Uint8Array, at: number): number {
  let state = 0;
  let to = at;
  for (let i = start; i < end; i++) {
    const byte = bytes[i];
    let step = NIBBLES[state * 16 + (byte >> 4)];
    if ((step & (EMIT | FAIL)) !== 0) {
      if ((step & FAIL) !== 0) return -1;
      out[to++] = step;
    }
    step = NIBBLES[(step >> 16) * 16 + (byte & 15)];
    if ((step & (EMIT | FAIL)) !== 0) {
      if ((step & FAIL) !== 0) return -1;
      out[to++] = step;
    }
    state = step >> 16;
  }
  return ACCEPTS[state] === 1 ? to : -1;
}

/** Most bytes that `length` coded ones become. */
export const mostDecodedBytes = (length: number): number => Math.floor((length * 8) / 5);

/** Bytes that `bytes[start, start + length)` take when coded. */
export function huffmanLength(bytes: Uint8Array, start: number, length: number): number {
  let bits = 0;
  for (let i = start; i < start + length; i++) bits += BITS[bytes[i]];
  return (bits + 7) >>> 3;
}

/** Codes `bytes[start, start + length)` to `out` from `at` on, padded with ones; gives the end. `huffmanLength` says how much room it takes. */
export function huffmanEncode(bytes: Uint8Array, start: number, length: number, out: Uint8Array, at: number): number {
  // At most 7 bits wait, and a code has at most 30: they are put in two steps so that 32 bits are enough.
  let waiting = 0;
  let count = 0;
  let to = at;
  for (let i = start; i < start + length; i++) {
    const code = CODES[bytes[i]];
    let bits = BITS[bytes[i]];
    if (bits > 16) {
      bits -= 16;
      waiting = (waiting << bits) | (code >>> 16);
      count += bits;
      for (; count >= 8; count -= 8) out[to++] = waiting >>> (count - 8);
      waiting = (waiting << 16) | (code & 0xffff);
      count += 16;
    } else {
      waiting = (waiting << bits) | code;
      count += bits;
    }
    for (; count >= 8; count -= 8) out[to++] = waiting >>> (count - 8);
    // Only the low bits that still wait are meant.
    waiting &= 0xff;
  }
  if (count > 0) out[to++] = (waiting << (8 - count)) | (0xff >>> count);
  return to;
}

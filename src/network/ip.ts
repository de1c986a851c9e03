import { isIP } from 'node:net';

/** A range of addresses: `bits` leading bits of `bytes` are fixed. 4 bytes for IPv4, 16 for IPv6. */
export interface CidrRange {
  readonly bytes: Uint8Array;
  readonly bits: number;
}

/** Bytes of an IP address in network order, 4 or 16; IPv4 mapped into IPv6 counts as IPv4. Undefined where the text is no address. */
export function parseIp(text: string): Uint8Array | undefined {
  const version = isIP(text);
  if (version === 4) return Uint8Array.from(text.split('.'), Number);
  if (version === 0) return undefined;
  const [withoutZone] = text.split('%');
  // The last 32 bits may be written as an IPv4 address.
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(withoutZone);
  const plain =
    dotted === null
      ? withoutZone
      : `${dotted[1]}${(Number(dotted[2]) * 256 + Number(dotted[3])).toString(16)}:${(Number(dotted[4]) * 256 + Number(dotted[5])).toString(16)}`;
  const [head, tail] = plain.split('::');
  const groups = (part: string | undefined) => (part === undefined || part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16)));
  const [front, back] = [groups(head), groups(tail)];
  const words = [...front, ...new Array<number>(8 - front.length - back.length).fill(0), ...back];
  const bytes = new Uint8Array(16);
  words.forEach((word, i) => {
    bytes[2 * i] = word >> 8;
    bytes[2 * i + 1] = word & 0xff;
  });
  const isMapped = words.slice(0, 5).every((word) => word === 0) && words[5] === 0xffff;
  return isMapped ? bytes.slice(12) : bytes;
}

/** A range from its prefix and length in bits, host bits cleared. Undefined where the text is no address or the length too large for it. */
export function parseCidr(prefix: string, bits: number): CidrRange | undefined {
  const bytes = parseIp(prefix);
  if (bytes === undefined || bits < 0 || bits > bytes.length * 8 || !Number.isInteger(bits)) return undefined;
  bytes.forEach((byte, i) => {
    const fixed = Math.min(8, Math.max(0, bits - 8 * i));
    bytes[i] = byte & (0xff << (8 - fixed));
  });
  return { bytes, bits };
}

/** True where the address is in the range; never for an address of the other family. */
export function inCidr({ bytes, bits }: CidrRange, address: Uint8Array): boolean {
  if (address.length !== bytes.length) return false;
  const whole = bits >> 3;
  for (let i = 0; i < whole; i++) if (address[i] !== bytes[i]) return false;
  const rest = bits & 7;
  return rest === 0 || ((address[whole] ^ bytes[whole]) & (0xff << (8 - rest)) & 0xff) === 0;
}

/** 127.0.0.0/8 or ::1. */
export const isLoopback = (address: Uint8Array): boolean =>
  address.length === 4 ? address[0] === 127 : address[15] === 1 && address.subarray(0, 15).every((byte) => byte === 0);

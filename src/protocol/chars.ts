/** Character classes of RFC 9110 §5.6.2 and comparisons of bytes without making strings. */

const isLetter = (byte: number): boolean => (byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x7a;
export const isDigit = (byte: number): boolean => byte >= 0x30 && byte <= 0x39;
/** SP or HTAB. */
export const isSpace = (byte: number): boolean => byte === 0x20 || byte === 0x09;
export const isAlpha = isLetter;

/** 1 where a byte may stand in a token: methods, header names, chunk extensions. */
export const TOKEN: Readonly<Uint8Array> = Uint8Array.from({ length: 256 }, (_, byte) =>
  isLetter(byte) || isDigit(byte) || "!#$%&'*+-.^_`|~".includes(String.fromCharCode(byte)) ? 1 : 0,
);
/** HTAB, SP, VCHAR and obs-text: what a field value may hold (RFC 9110 §5.5). */
export const isValueByte = (byte: number): boolean => (byte >= 0x20 && byte !== 0x7f) || byte === 0x09;
/** 1 where `isValueByte` is true: for loops. */
export const VALUE: Readonly<Uint8Array> = Uint8Array.from({ length: 256 }, (_, byte) => (isValueByte(byte) ? 1 : 0));
/** VCHAR but `#`: a request target is a URI reference without fragment. */
export const isTargetByte = (byte: number): boolean => byte > 0x20 && byte < 0x7f && byte !== 0x23;

/** Value of a hexadecimal digit, or -1. */
export function hexValue(byte: number): number {
  if (isDigit(byte)) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x61 + 10 : -1;
}

/** Buffer's method for any array of bytes, looked up once: `Buffer` itself is a getter of the global object. */
const { latin1Slice } = Buffer.prototype;
/** Latin-1 text of a range. */
export const textOf = (bytes: Uint8Array, start: number, end: number): string => latin1Slice.call(bytes, start, end);

/** True where a range holds exactly `text`. */
export function isText(text: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start !== text.length) return false;
  for (let i = 0; i < text.length; i++) if (bytes[start + i] !== text[i]) return false;
  return true;
}
/** True where a range holds one of `texts`. */
export function isOneOf(texts: readonly Uint8Array[], bytes: Uint8Array, start: number, end: number): boolean {
  for (let i = 0; i < texts.length; i++) if (isText(texts[i], bytes, start, end)) return true;
  return false;
}
/** True where a range holds `text`, which is in lower case, in any case. */
export function isLowerText(text: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start !== text.length) return false;
  for (let i = 0; i < text.length; i++) if (LOWER[bytes[start + i]] !== text[i]) return false;
  return true;
}
/** Each byte in lower case. */
const LOWER: Readonly<Uint8Array> = Uint8Array.from({ length: 256 }, (_, byte) => (byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte));

/** True where a lower-case name is one of `patterns`; a pattern that ends with `*` stands for all names that begin so. */
export const matchesName = (name: string, patterns: readonly string[]): boolean =>
  patterns.some((pattern) => (pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern));

import { hexValue, isAlpha, isDigit } from './chars.js';

const COLON = 0x3a;

/** 1 where a byte may stand in a registered name, but for `%` (RFC 3986 §3.2.2), and but for `,`, which would make a list of it. */
const HOST: Readonly<Uint8Array> = Uint8Array.from({ length: 256 }, (_, byte) =>
  isAlpha(byte) || isDigit(byte) || "-._~!$&'()*+;=".includes(String.fromCharCode(byte)) ? 1 : 0,
);

/** `uri-host [ ":" port ]` (RFC 3986 §3.2.2, §3.2.3) without user information and without an empty host. */
export function isAuthority(bytes: Uint8Array, start: number, end: number, needsPort: boolean): boolean {
  let at = start;
  if (start < end && bytes[start] === 0x5b) {
    at++;
    while (at < end && (hexValue(bytes[at]) >= 0 || bytes[at] === COLON || bytes[at] === 0x2e)) at++;
    if (at < start + 3 || at === end || bytes[at] !== 0x5d) return false;
    at++;
  } else {
    for (; at < end && bytes[at] !== COLON; at++) {
      if (HOST[bytes[at]] === 1) continue;
      if (bytes[at] !== 0x25 || at + 2 >= end || hexValue(bytes[at + 1]) < 0 || hexValue(bytes[at + 2]) < 0) return false;
      at += 2;
    }
    if (at === start) return false;
  }
  if (at === end) return !needsPort;
  if (bytes[at] !== COLON) return false;
  if (++at === end) return !needsPort;
  let port = 0;
  for (; at < end; at++) {
    if (!isDigit(bytes[at])) return false;
    port = Math.min(port * 10 + bytes[at] - 0x30, 65536);
  }
  return port <= 65535;
}

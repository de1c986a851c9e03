import type { Head, HeadView } from '../head.js';
import { FIELD_WORDS, HEAD, KNOWN_ID } from '../head-layout.js';

const TYPE = 'application/grpc';

/** True for `application/grpc`, `application/grpc+proto`, `application/grpc;...`; not for gRPC-Web, which is another protocol. Letter case does not matter. */
export function isGrpcType(contentType: string | undefined): boolean {
  if (contentType === undefined || contentType.length < TYPE.length) return false;
  if (contentType.length > TYPE.length) {
    const next = contentType.charCodeAt(TYPE.length);
    // `+`, `;`, or white space before a parameter.
    if (next !== 0x2b && next !== 0x3b && next !== 0x20 && next !== 0x09) return false;
  }
  return contentType.startsWith(TYPE) || contentType.slice(0, TYPE.length).toLowerCase() === TYPE;
}
/** True for the head of a gRPC request or response. */
export const isGrpc = (head: HeadView): boolean => isGrpcType(head.known('content-type'));
/** The same, asked of every request: most are told by a few bytes, without a string. */
export function isGrpcHead(head: Head): boolean {
  const { ints, bytes } = head;
  const line = head.lineOf(KNOWN_ID['content-type']);
  if (line < 0) return false;
  const at = head.base + HEAD.FIELDS + line * FIELD_WORDS + 2;
  // The last letter of `application/grpc`.
  return ints[at + 1] >= TYPE.length && (bytes[ints[at] + TYPE.length - 1] | 0x20) === 0x63 && isGrpcType(head.valueAt(line));
}

/** What a gRPC-Web request or response carries: `binary` messages, `text` (base64), or undefined where it is none. */
export function grpcWebKind(contentType: string | undefined): 'binary' | 'text' | undefined {
  if (contentType === undefined) return undefined;
  const [type] = contentType.toLowerCase().split(';', 1);
  if (/^application\/grpc-web-text(\+|\s*$)/.test(type)) return 'text';
  return /^application\/grpc-web(\+|\s*$)/.test(type) ? 'binary' : undefined;
}

/** Service and method of `/package.Service/Method` with or without a query; undefined where the path is not of that form. */
export function grpcMethodOf(path: string): { readonly service: string; readonly method: string } | undefined {
  const query = path.indexOf('?');
  const end = query < 0 ? path.length : query;
  const slash = path.indexOf('/', 1);
  if (path.charCodeAt(0) !== 0x2f || slash < 2 || slash + 1 >= end) return undefined;
  const method = path.slice(slash + 1, end);
  return method.includes('/') ? undefined : { service: path.slice(1, slash), method };
}

/** Milliseconds of one unit of `grpc-timeout`. */
const UNIT_MS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 0.001, n: 0.000001 };
/** Milliseconds of a `grpc-timeout`: 1 to 8 digits and a unit. Undefined for anything else, which counts as no timeout. Part of a millisecond is a whole one. */
export function parseGrpcTimeout(text: string): number | undefined {
  const digits = text.length - 1;
  if (digits < 1 || digits > 8) return undefined;
  let value = 0;
  for (let at = 0; at < digits; at++) {
    const digit = text.charCodeAt(at) - 0x30;
    if (digit < 0 || digit > 9) return undefined;
    value = value * 10 + digit;
  }
  const unitMs = UNIT_MS[text[digits]];
  return unitMs === undefined ? undefined : Math.ceil(value * unitMs);
}
/** The `grpc-timeout` of so many milliseconds: in the finest unit, of m, S, M and H, in which it has at most 8 digits. */
export function formatGrpcTimeout(ms: number): string {
  const whole = Math.max(0, Math.ceil(ms));
  for (const unit of ['m', 'S', 'M'] as const) {
    const value = Math.ceil(whole / UNIT_MS[unit]);
    if (value < 1e8) return `${value}${unit}`;
  }
  return `${Math.min(99_999_999, Math.ceil(whole / UNIT_MS.H))}H`;
}

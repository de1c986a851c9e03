import type { HeadView } from '../../protocol/head.js';
import type { SafeRegex } from '../regex.js';
import type { RouteInput } from '../runtime.js';

/** A test of one text, as configured (`StringMatcher` and its relatives). Texts are one character for each byte. */
export type StringMatch =
  | { readonly kind: 'exact' | 'prefix' | 'suffix' | 'contains'; readonly value: string; readonly ignoreCase: boolean }
  | { readonly kind: 'regex'; readonly regex: SafeRegex };
/** A compiled test of one text. */
export type StringTest = (text: string) => boolean;

/** Upper-case letters of ASCII become small; other characters, which are bytes here, stay. */
export const lowerAscii = (text: string): string => text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());

/** Compiles a string match. Envoy: `type.matcher.v3.StringMatcher`. */
export function compileStringMatch(match: StringMatch): StringTest {
  if (match.kind === 'regex') return (text) => match.regex.test(text);
  const value = match.ignoreCase ? lowerAscii(match.value) : match.value;
  const plain: StringTest = {
    exact: (text: string) => text === value,
    prefix: (text: string) => text.startsWith(value),
    suffix: (text: string) => text.endsWith(value),
    contains: (text: string) => text.includes(value),
  }[match.kind];
  return match.ignoreCase ? (text) => plain(lowerAscii(text)) : plain;
}

/** A test of a header as configured (`HeaderMatcher`). */
export interface HeaderMatch {
  /** Lower case; also `:method`, `:path`, `:authority`, `:scheme`, `:status`. */
  readonly name: string;
  /** `present`: the header is there (`expected` true) or is not. `range`: an integer with start <= n < end. */
  readonly test:
    | { readonly kind: 'string'; readonly match: StringMatch }
    | { readonly kind: 'present'; readonly expected: boolean }
    | { readonly kind: 'range'; readonly start: number; readonly end: number };
  readonly invert: boolean;
  readonly missingAsEmpty: boolean;
}
/** A compiled test of a head. `request` knows what routing has worked out (normalised path, host); undefined outside of routing. */
export type HeadTest = (head: HeadView, request: RouteInput | undefined) => boolean;

/** Values of a header, several joined with `,`; of a pseudo header what HTTP/2 would carry; undefined where there is none. */
export function headerValue(name: string): (head: HeadView, request: RouteInput | undefined) => string | undefined {
  switch (name) {
    case ':method':
      return (head) => head.method;
    case ':path':
      return (head, request) => request?.path ?? head.path;
    case ':authority':
    case 'host':
      return (head) => head.authority;
    case ':scheme':
      return (_, request) => request?.scheme;
    case ':status':
      return (head) => (head.isResponse ? String(head.status) : undefined);
    default:
      return (head) => head.getAll(name);
  }
}

/**
 * Compiles a header match. An absent header matches nothing but `present: false`, inverted or not, unless it is to be taken as empty
 * (Envoy: `config.route.v3.HeaderMatcher`).
 */
export function compileHeaderMatch({ name, test, invert, missingAsEmpty }: HeaderMatch): HeadTest {
  const valueOf = headerValue(name);
  if (test.kind === 'present') {
    const expected = test.expected !== invert;
    // Asked for as bytes: no string is made of a value nobody reads.
    if (!name.startsWith(':') && name !== 'host') return (head) => (missingAsEmpty || head.indexOf(name) >= 0) === expected;
    return (head, request) => (missingAsEmpty || valueOf(head, request) !== undefined) === expected;
  }
  const matches = test.kind === 'string' ? compileStringMatch(test.match) : inRange(test.start, test.end);
  return (head, request) => {
    const value = valueOf(head, request) ?? (missingAsEmpty ? '' : undefined);
    return value !== undefined && matches(value) !== invert;
  };
}

function inRange(start: number, end: number): StringTest {
  return (text) => {
    if (!/^[+-]?\d+$/.test(text)) return false;
    const value = Number(text);
    return value >= start && value < end;
  };
}

/** A test of a query parameter as configured (`QueryParameterMatcher`). */
export interface QueryMatch {
  readonly name: string;
  readonly test: { readonly kind: 'string'; readonly match: StringMatch } | { readonly kind: 'present'; readonly expected: boolean };
}

/** Compiles a query match. The first parameter with that name counts; names and values are percent-decoded where that is possible. */
export function compileQueryMatch({ name, test }: QueryMatch): (path: string) => boolean {
  if (test.kind === 'present') return (path) => (queryValue(path, name) !== undefined) === test.expected;
  const matches = compileStringMatch(test.match);
  return (path) => {
    const value = queryValue(path, name);
    return value !== undefined && matches(value);
  };
}

/** Value of the first query parameter with this name; empty where it has no `=`; undefined where there is none. */
export function queryValue(path: string, name: string): string | undefined {
  let at = path.indexOf('?');
  while (at >= 0) {
    const start = at + 1;
    at = path.indexOf('&', start);
    const end = at < 0 ? path.length : at;
    const equals = path.indexOf('=', start);
    const nameEnd = equals < 0 || equals > end ? end : equals;
    if (percentDecode(path.slice(start, nameEnd)) === name) return nameEnd === end ? '' : percentDecode(path.slice(nameEnd + 1, end));
  }
  return undefined;
}
/** Escapes that are none stay as they are. */
const percentDecode = (text: string) =>
  text.includes('%') ? text.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))) : text;

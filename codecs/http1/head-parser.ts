import { CodecError } from '../../src/base/errors.js';
import type { FramingLimits } from '../../src/protocol/framing.js';
import { Head } from '../../src/protocol/head.js';
import { FIELD_WORDS, HEAD, HEAD_FLAG, HOP_BY_HOP, KNOWN_ID } from '../../src/protocol/head-layout.js';
import { hexValue, isAlpha, isDigit, isSpace, isTargetByte, isValueByte, matchesName, TOKEN, textOf } from './chars.js';
import type { FaultCode } from './faults.js';
import { BOUNDS, IDEMPOTENT_METHODS, PROTECTED_FIELDS } from './rules.js';

/** The error of a broken message. `offset` counts from its first byte, up to `BOUNDS.maxOffset`. */
export const http1Fault = (code: FaultCode, offset: number): CodecError => new CodecError('http1', code, Math.min(offset, BOUNDS.maxOffset));

const HT = 0x09;
const LF = 0x0a;
const CR = 0x0d;
const SP = 0x20;

const VERSION_PREFIX = Buffer.from('HTTP/', 'latin1');
const VERSION_BYTES = 8;
const STATUS_START = 9;
const STATUS_LAST_DIGIT = 11;
/** `HTTP/1.1 200 `: where a reason phrase starts, be it there or not. */
const REASON_START = 13;

/**
 * ```
 *   start ─> method ─> target ─> version ─> requestCr ─┐                          ┌──────────────────────────────┐
 *   prefix ─> statusEnd ─> reason ─────────────────────┴─> startLineLf ─> lineStart ─> name ─> space ─> value ─> lineLf
 *                                                                             └─> finalLf ─> head
 * ```
 * Every rule is applied when its byte arrives (what concerns a whole line at its LF, the whole head at the last LF), so neither the faults nor
 * their offsets depend on how the input is split.
 */
type State =
  | 'start'
  | 'startLf'
  | 'method'
  | 'target'
  | 'version'
  | 'requestCr'
  | 'prefix'
  | 'statusEnd'
  | 'reason'
  | 'startLineLf'
  | 'lineStart'
  | 'name'
  | 'space'
  | 'value'
  | 'lineLf'
  | 'finalLf'
  | 'head';

/** Reads one head (RFC 9112 §2 to §6); resumes where it stopped, so that every byte is looked at once. All positions count from the first byte of the input. */
export class HeadParser {
  readonly #isResponse: boolean;
  readonly #limits: FramingLimits;
  #state: State = 'start';
  #fault: CodecError | undefined;
  #fixed: number[] = [];
  #fields: number[] = [];
  #options: string[] = [];
  /** Next byte to look at. */
  #at = 0;
  #skipped = 0;
  #nameStart = 0;
  #nameEnd = 0;
  #valueStart = 0;
  /** Header lines on the wire, dropped ones included. */
  #lines = 0;
  /** Where the version of the start line begins. */
  #version = 0;
  #http11 = false;
  #close = false;
  #keepAlive = false;
  #upgrade = false;

  constructor(isResponse: boolean, limits: FramingLimits) {
    this.#isResponse = isResponse;
    this.#limits = limits;
    this.reset();
  }

  /** Makes ready for the next head. */
  reset(): void {
    this.#state = this.#isResponse ? 'prefix' : 'start';
    this.#fault = undefined;
    this.#fixed = new Array<number>(HEAD.FIELDS).fill(0);
    this.#fixed[HEAD.LENGTH_LOW] = -1;
    this.#fixed[HEAD.LENGTH_HIGH] = -1;
    this.#fields = [];
    this.#options = [];
    this.#at = this.#skipped = this.#lines = this.#version = 0;
    this.#http11 = this.#close = this.#keepAlive = this.#upgrade = false;
  }

  /** Bytes of the empty lines before the message. */
  get skipped(): number {
    return this.#skipped;
  }
  /** True once a byte of a message (not of empty lines before it) has been seen. */
  get started(): boolean {
    return this.#state !== 'start' && this.#state !== 'startLf' && this.#at > this.#skipped;
  }

  /**
   * Reads on in a head that begins at `bytes[start]`; all bytes of it so far must be there again. Undefined: more bytes are needed.
   * Throws CodecError (faults.ts), and the same one at every further call.
   */
  parse(bytes: Uint8Array, start: number): Head | undefined {
    if (this.#fault !== undefined) throw this.#fault;
    const input = start === 0 ? bytes : bytes.subarray(start);
    this.#skipEmptyLines(input);
    if (this.#state === 'start' || this.#state === 'startLf') return undefined;
    const { maxHeadBytes } = this.#limits;
    const end = Math.min(input.length, this.#skipped + maxHeadBytes);
    while (this.#at < end) {
      this.#step(input, end);
      if (this.#state === 'head') return this.#table(bytes, start);
    }
    if (this.#at - this.#skipped >= maxHeadBytes) this.#fail('HEAD_TOO_LARGE', this.#skipped + maxHeadBytes);
    return undefined;
  }

  #fail(code: FaultCode, at: number): never {
    const beforeMessage = this.#state === 'start' || this.#state === 'startLf';
    this.#fault = http1Fault(code, beforeMessage ? at : at - this.#skipped);
    throw this.#fault;
  }

  /** RFC 9112 §2.2: a server should ignore at least one empty line before a request line. */
  #skipEmptyLines(input: Uint8Array): void {
    while (this.#at < input.length && (this.#state === 'start' || this.#state === 'startLf')) {
      const byte = input[this.#at];
      if (this.#state === 'startLf') {
        if (byte !== LF) this.#fail('BARE_CR', this.#at - 1);
        this.#skipped = ++this.#at;
        this.#state = 'start';
      } else if (byte === CR) {
        if (this.#skipped === 2 * BOUNDS.maxEmptyLines) this.#fail('EMPTY_LINES', this.#at);
        this.#state = 'startLf';
        this.#at++;
      } else if (byte === LF) this.#fail('BARE_LF', this.#at);
      else this.#state = 'method';
    }
  }

  /** Takes at least one byte, or throws. */
  #step(input: Uint8Array, end: number): void {
    const fixed = this.#fixed;
    switch (this.#state) {
      case 'method': {
        while (this.#at < end && TOKEN[input[this.#at]] === 1) this.#at++;
        const length = this.#at - this.#skipped;
        if (length > BOUNDS.maxMethodBytes) this.#fail('METHOD_TOO_LONG', this.#skipped + BOUNDS.maxMethodBytes);
        if (this.#at === end) return;
        if (input[this.#at] !== SP || length === 0) this.#fail('BAD_METHOD', this.#at);
        fixed[HEAD.METHOD] = this.#skipped;
        fixed[HEAD.METHOD_BYTES] = length;
        fixed[HEAD.TARGET] = ++this.#at;
        this.#state = 'target';
        return;
      }
      case 'target': {
        const { maxTargetBytes } = this.#limits;
        const start = fixed[HEAD.TARGET];
        while (this.#at < end && isTargetByte(input[this.#at])) this.#at++;
        if (this.#at - start > maxTargetBytes) this.#fail('TARGET_TOO_LARGE', start + maxTargetBytes);
        if (this.#at === end) return;
        const byte = input[this.#at];
        if (byte === CR || byte === LF) this.#fail('BAD_REQUEST_LINE', this.#at);
        if (byte !== SP || this.#at === start) this.#fail('BAD_TARGET', this.#at);
        this.#finishTarget(input, this.#at);
        this.#version = ++this.#at;
        this.#state = 'version';
        return;
      }
      case 'version':
      case 'prefix':
        this.#versionByte(input);
        this.#at++;
        return;
      case 'requestCr':
        if (input[this.#at] === LF) this.#fail('BARE_LF', this.#at);
        if (input[this.#at] !== CR) this.#fail('BAD_REQUEST_LINE', this.#at);
        this.#state = 'startLineLf';
        this.#at++;
        return;
      case 'statusEnd': {
        const byte = input[this.#at];
        if (byte === LF) this.#fail('BARE_LF', this.#at);
        // Many servers leave out the space before an empty reason phrase.
        if (byte !== SP && byte !== CR) this.#fail('BAD_STATUS_LINE', this.#at);
        this.#state = byte === SP ? 'reason' : 'startLineLf';
        this.#at++;
        return;
      }
      case 'reason':
        while (this.#at < end && isValueByte(input[this.#at])) this.#at++;
        if (this.#at === end) return;
        if (input[this.#at] === LF) this.#fail('BARE_LF', this.#at);
        if (input[this.#at] !== CR) this.#fail('BAD_STATUS_LINE', this.#at);
        fixed[HEAD.METHOD_BYTES] = this.#at - fixed[HEAD.METHOD];
        this.#state = 'startLineLf';
        this.#at++;
        return;
      case 'startLineLf':
        if (input[this.#at] !== LF) this.#fail('BARE_CR', this.#at - 1);
        this.#state = 'lineStart';
        this.#at++;
        return;
      case 'lineStart': {
        const byte = input[this.#at];
        if (byte === CR) {
          this.#state = 'finalLf';
          this.#at++;
          return;
        }
        if (byte === LF) this.#fail('BARE_LF', this.#at);
        if (isSpace(byte)) this.#fail(this.#lines > 0 ? 'OBS_FOLD' : 'BAD_NAME', this.#at);
        if (this.#lines >= this.#limits.maxHeaders) this.#fail('TOO_MANY_HEADERS', this.#at);
        this.#nameStart = this.#at;
        this.#state = 'name';
        return;
      }
      case 'name': {
        while (this.#at < end && TOKEN[input[this.#at]] === 1) this.#at++;
        const length = this.#at - this.#nameStart;
        if (length > BOUNDS.maxNameBytes) this.#fail('HEAD_TOO_LARGE', this.#nameStart + BOUNDS.maxNameBytes);
        if (this.#at === end) return;
        const byte = input[this.#at];
        if (byte !== 0x3a || length === 0) {
          if (byte === CR || byte === LF) this.#fail('MISSING_COLON', this.#at);
          this.#fail(isSpace(byte) ? 'SPACE_BEFORE_COLON' : 'BAD_NAME', this.#at);
        }
        this.#nameEnd = this.#at++;
        this.#state = 'space';
        return;
      }
      case 'space':
        while (this.#at < end && isSpace(input[this.#at])) this.#at++;
        if (this.#at === end) return;
        this.#valueStart = this.#at;
        this.#state = 'value';
        return;
      case 'value':
        while (this.#at < end && isValueByte(input[this.#at])) this.#at++;
        if (this.#at === end) return;
        if (input[this.#at] === LF) this.#fail('BARE_LF', this.#at);
        if (input[this.#at] !== CR) this.#fail('BAD_VALUE', this.#at);
        this.#state = 'lineLf';
        this.#at++;
        return;
      case 'lineLf': {
        if (input[this.#at] !== LF) this.#fail('BARE_CR', this.#at - 1);
        let valueEnd = this.#at - 1;
        while (valueEnd > this.#valueStart && (input[valueEnd - 1] === SP || input[valueEnd - 1] === HT)) valueEnd--;
        this.#finishLine(input, valueEnd);
        this.#at++;
        this.#state = 'lineStart';
        return;
      }
      case 'finalLf':
        if (input[this.#at] !== LF) this.#fail('BARE_CR', this.#at - 1);
        this.#finishHead(this.#at - 1);
        this.#at++;
        this.#state = 'head';
        return;
      default:
        throw new Error(`http1: step in state ${this.#state}`);
    }
  }

  /** A byte of `HTTP/1.x`; in a response also of ` 200` after it (RFC 9112 §2.3, §4). */
  #versionByte(input: Uint8Array): void {
    const base = this.#state === 'version' ? this.#version : this.#skipped;
    const index = this.#at - base;
    const byte = input[this.#at];
    if (index < VERSION_BYTES) {
      const good = index < VERSION_PREFIX.length ? byte === VERSION_PREFIX[index] : index === 6 ? byte === 0x2e : isDigit(byte);
      if (!good) this.#fail('BAD_VERSION', this.#at);
      if (index < VERSION_BYTES - 1) return;
      this.#finishVersion(input, base);
      if (this.#state === 'version') this.#state = 'requestCr';
    } else if (index < STATUS_START) {
      if (byte !== SP) this.#fail('BAD_STATUS_LINE', this.#at);
    } else {
      if (!isDigit(byte) || (index === STATUS_START && byte === 0x30)) this.#fail('BAD_STATUS_LINE', this.#at);
      this.#fixed[HEAD.STATUS] = this.#fixed[HEAD.STATUS] * 10 + byte - 0x30;
      if (index < STATUS_LAST_DIGIT) return;
      this.#fixed[HEAD.METHOD] = base + REASON_START;
      this.#state = 'statusEnd';
    }
  }

  #finishVersion(input: Uint8Array, base: number): void {
    const major = input[base + 5];
    const minor = input[base + 7];
    if (major !== 0x31) this.#fail('VERSION_NOT_SUPPORTED', base + 5);
    if (minor > 0x31) this.#fail('BAD_VERSION', base + 7);
    this.#http11 = minor === 0x31;
    if (this.#http11) this.#fixed[HEAD.FLAGS] |= HEAD_FLAG.HTTP_11;
    else if (!this.#isResponse && !this.#limits.acceptHttp10) this.#fail('VERSION_NOT_SUPPORTED', base + 5);
  }

  /** The four forms of a request target (RFC 9112 §3.2). */
  #finishTarget(input: Uint8Array, end: number): void {
    const fixed = this.#fixed;
    const start = fixed[HEAD.TARGET];
    const method = textOf(input, this.#skipped, this.#skipped + fixed[HEAD.METHOD_BYTES]);
    const target = textOf(input, start, end);
    fixed[HEAD.TARGET_BYTES] = end - start;
    if ((IDEMPOTENT_METHODS as readonly string[]).includes(method)) fixed[HEAD.FLAGS] |= HEAD_FLAG.IDEMPOTENT;
    if (method === 'HEAD') fixed[HEAD.FLAGS] |= HEAD_FLAG.HEAD_METHOD;
    if (method === 'CONNECT') {
      fixed[HEAD.FLAGS] |= HEAD_FLAG.CONNECT;
      fixed[HEAD.AUTHORITY] = start;
      fixed[HEAD.AUTHORITY_BYTES] = end - start;
      if (isAuthority(target, true)) return;
    } else if (target.startsWith('/') || (target === '*' && method === 'OPTIONS')) {
      fixed[HEAD.PATH] = start;
      fixed[HEAD.PATH_BYTES] = end - start;
      return;
    } else {
      const scheme = /^[A-Za-z][A-Za-z0-9+.-]*:\/\//.exec(target);
      if (scheme !== null) {
        const from = scheme[0].length;
        let path = from;
        while (path < target.length && target[path] !== '/' && target[path] !== '?') path++;
        fixed[HEAD.FLAGS] |= HEAD_FLAG.ABSOLUTE_FORM;
        fixed[HEAD.AUTHORITY] = start + from;
        fixed[HEAD.AUTHORITY_BYTES] = path - from;
        fixed[HEAD.PATH] = start + path;
        fixed[HEAD.PATH_BYTES] = target.length - path;
        if (isAuthority(target.slice(from, path), false)) return;
      }
    }
    this.#fail('BAD_TARGET', start);
  }

  #finishLine(input: Uint8Array, valueEnd: number): void {
    const { underscores } = this.#limits;
    const length = this.#nameEnd - this.#nameStart;
    const name = textOf(input, this.#nameStart, this.#nameEnd).toLowerCase();
    this.#lines++;
    if (underscores !== 'allow' && name.includes('_')) {
      if (underscores === 'drop') return;
      this.#fail('UNDERSCORE_IN_NAME', this.#nameStart + name.indexOf('_'));
    }
    const id = KNOWN_IDS.get(name) ?? 0;
    if (id !== 0) {
      this.#finishKnown(name, input, valueEnd);
      if (this.#known(id) === 0) this.#fixed[HEAD.KNOWN + id - 1] = this.#fixed[HEAD.COUNT] + 1;
    }
    this.#fixed[HEAD.COUNT]++;
    this.#fields.push(
      this.#nameStart,
      length | (id << 16) | (HOP_BY_HOP_NAMES.has(name) ? HOP_BY_HOP : 0),
      this.#valueStart,
      valueEnd - this.#valueStart,
    );
  }

  /** 1 + index of the first line with a well-known name, or 0. */
  #known(id: number): number {
    return this.#fixed[HEAD.KNOWN + id - 1];
  }

  /** What a line means for the message itself. Called before the line is in the table. */
  #finishKnown(name: string, input: Uint8Array, valueEnd: number): void {
    const value = () => textOf(input, this.#valueStart, valueEnd);
    switch (name) {
      case 'host':
        if (this.#isResponse) return;
        if (this.#known(KNOWN_ID.host) !== 0) this.#fail('DUPLICATE_HOST', this.#nameStart);
        if (!isAuthority(value(), false)) this.#fail('BAD_HOST', this.#valueStart);
        return;
      case 'content-length':
        this.#takeLength(value());
        return;
      case 'transfer-encoding':
        this.#takeCoding(value());
        return;
      case 'connection':
        this.#takeOptions(value());
        return;
      case 'expect':
        if (!this.#isResponse && this.#http11 && value().toLowerCase() === '100-continue') this.#fixed[HEAD.FLAGS] |= HEAD_FLAG.EXPECT_CONTINUE;
        return;
    }
  }

  /** RFC 9110 §8.6: 1*DIGIT. */
  #takeLength(value: string): void {
    const fixed = this.#fixed;
    if (this.#known(KNOWN_ID['content-length']) !== 0) this.#fail('DUPLICATE_CONTENT_LENGTH', this.#nameStart);
    if (this.#known(KNOWN_ID['transfer-encoding']) !== 0) this.#fail('CONTENT_LENGTH_AND_TRANSFER_ENCODING', this.#nameStart);
    // Number() rounds, but never a larger value down to a safe one, and it reads leading zeros as decimal.
    const length = /^[0-9]+$/.test(value) ? Number(value) : Number.NaN;
    if (!Number.isSafeInteger(length)) this.#fail('BAD_CONTENT_LENGTH', this.#valueStart);
    // RFC 9110 §9.3.6
    if (length > 0 && (fixed[HEAD.FLAGS] & HEAD_FLAG.CONNECT) !== 0) this.#fail('CONNECT_WITH_BODY', this.#nameStart);
    fixed[HEAD.LENGTH_LOW] = length | 0;
    fixed[HEAD.LENGTH_HIGH] = Math.floor(length / 0x1_0000_0000);
  }

  /** RFC 9112 §6.1. Anything but one plain `chunked` would have to be forwarded unchanged, and is read differently by different servers. */
  #takeCoding(value: string): void {
    const status = this.#fixed[HEAD.STATUS];
    if (!this.#http11) this.#fail('TRANSFER_ENCODING_IN_HTTP10', this.#nameStart);
    if (this.#isResponse && (status < 200 || status === 204)) this.#fail('TRANSFER_ENCODING_WITHOUT_BODY', this.#nameStart);
    if (this.#known(KNOWN_ID['transfer-encoding']) !== 0) this.#fail('DUPLICATE_TRANSFER_ENCODING', this.#nameStart);
    if (this.#known(KNOWN_ID['content-length']) !== 0) this.#fail('CONTENT_LENGTH_AND_TRANSFER_ENCODING', this.#nameStart);
    if (value.toLowerCase() !== 'chunked') this.#fail('BAD_TRANSFER_ENCODING', this.#valueStart);
    if ((this.#fixed[HEAD.FLAGS] & HEAD_FLAG.CONNECT) !== 0) this.#fail('CONNECT_WITH_BODY', this.#nameStart);
  }

  /** RFC 9110 §7.6.1. The fields it names may come later, so they are marked at the end of the head. */
  #takeOptions(value: string): void {
    for (const element of value.toLowerCase().split(',')) {
      const option = trimSpace(element);
      if (option === 'close') this.#close = true;
      else if (option === 'keep-alive') this.#keepAlive = true;
      else if (option === 'upgrade') this.#upgrade = true;
      else if (option !== '') {
        if (this.#options.length === BOUNDS.maxConnectionOptions) this.#fail('TOO_MANY_CONNECTION_OPTIONS', this.#nameStart);
        this.#options.push(option);
      }
    }
  }

  #finishHead(finalCr: number): void {
    const fixed = this.#fixed;
    // RFC 9112 §3.2
    if (!this.#isResponse && this.#http11 && this.#known(KNOWN_ID.host) === 0) this.#fail('MISSING_HOST', finalCr);
    fixed[HEAD.HEAD_BYTES] = finalCr + 2 - this.#skipped;
    let flags = fixed[HEAD.FLAGS];
    if (this.#http11 ? !this.#close : this.#keepAlive && !this.#close) flags |= HEAD_FLAG.KEEP_ALIVE;
    if (this.#upgrade && this.#http11 && this.#known(KNOWN_ID.upgrade) !== 0) flags |= HEAD_FLAG.UPGRADE;
    const isChunked = this.#known(KNOWN_ID['transfer-encoding']) !== 0;
    const hasLength = fixed[HEAD.LENGTH_HIGH] >= 0;
    const isEmpty = hasLength && fixed[HEAD.LENGTH_LOW] === 0 && fixed[HEAD.LENGTH_HIGH] === 0;
    if (this.#isResponse) {
      // RFC 9112 §6.3
      const status = fixed[HEAD.STATUS];
      flags |= HEAD_FLAG.RESPONSE;
      if (status < 200 || status === 204 || status === 304 || isEmpty) flags |= HEAD_FLAG.END;
      else if (isChunked) flags |= HEAD_FLAG.CHUNKED;
      else if (!hasLength) flags |= HEAD_FLAG.UNTIL_CLOSE;
    } else if (isChunked) flags |= HEAD_FLAG.CHUNKED;
    else if (!hasLength || isEmpty) flags |= HEAD_FLAG.END;
    fixed[HEAD.FLAGS] = flags;
  }

  /** The finished table, its offsets turned into those of `bytes`. */
  #table(bytes: Uint8Array, start: number): Head {
    const ints = new Int32Array(HEAD.FIELDS + this.#fields.length);
    ints.set(this.#fixed);
    ints.set(this.#fields, HEAD.FIELDS);
    for (const [at, length] of SPANS) if (ints[at] !== 0 || ints[length] !== 0) ints[at] += start;
    for (let at: number = HEAD.FIELDS; at < ints.length; at += FIELD_WORDS) {
      ints[at] += start;
      ints[at + 2] += start;
    }
    if (this.#options.length > 0) this.#markNamed(bytes, ints);
    return new Head(bytes, ints, 0);
  }

  /** Marks the fields that Connection names (RFC 9110 §7.6.1), but for those that keep the next hop from being misled. */
  #markNamed(bytes: Uint8Array, ints: Int32Array): void {
    const named = new Set(this.#options.filter((option) => !matchesName(option, PROTECTED_FIELDS)));
    for (let at: number = HEAD.FIELDS; at < ints.length; at += FIELD_WORDS) {
      const name = textOf(bytes, ints[at], ints[at] + (ints[at + 1] & 0xffff)).toLowerCase();
      if (!named.has(name)) continue;
      ints[at + 1] |= HOP_BY_HOP;
      // An expectation that is not forwarded will not be answered upstream.
      if (name === 'expect') ints[HEAD.FLAGS] &= ~HEAD_FLAG.EXPECT_CONTINUE;
    }
  }
}

const KNOWN_IDS: ReadonlyMap<string, number> = new Map(Object.entries(KNOWN_ID));
const HOP_BY_HOP_NAMES: ReadonlySet<string> = new Set(['connection', 'transfer-encoding', 'upgrade', 'te', 'keep-alive', 'proxy-connection']);
const SPANS = [
  [HEAD.METHOD, HEAD.METHOD_BYTES],
  [HEAD.TARGET, HEAD.TARGET_BYTES],
  [HEAD.AUTHORITY, HEAD.AUTHORITY_BYTES],
  [HEAD.PATH, HEAD.PATH_BYTES],
] as const;

/** Without SP and HTAB at both ends. Not a regular expression: those take quadratic time on long runs of spaces. */
function trimSpace(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isSpace(text.charCodeAt(start))) start++;
  while (end > start && isSpace(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

/** `uri-host [ ":" port ]` (RFC 3986 §3.2.2, §3.2.3) without user information, without an empty host, and without `,`, which would make a list of it. */
function isAuthority(authority: string, needsPort: boolean): boolean {
  let at = 0;
  if (authority.startsWith('[')) {
    at = 1;
    while (at < authority.length && (hexValue(authority.charCodeAt(at)) >= 0 || authority[at] === ':' || authority[at] === '.')) at++;
    if (at < 3 || authority[at] !== ']') return false;
    at++;
  } else {
    for (; at < authority.length && authority[at] !== ':'; at++) {
      const byte = authority.charCodeAt(at);
      if (byte === 0x25) {
        if (at + 2 >= authority.length || hexValue(authority.charCodeAt(at + 1)) < 0 || hexValue(authority.charCodeAt(at + 2)) < 0) return false;
        at += 2;
      } else if (!isAlpha(byte) && !isDigit(byte) && !"-._~!$&'()*+;=".includes(authority[at])) return false;
    }
    if (at === 0) return false;
  }
  if (at === authority.length) return !needsPort;
  if (authority[at] !== ':') return false;
  const port = authority.slice(at + 1);
  if (port === '') return !needsPort;
  return /^[0-9]+$/.test(port) && Number(port) <= 65535;
}

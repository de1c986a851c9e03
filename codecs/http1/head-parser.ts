import { CodecError } from '../../src/base/errors.js';
import { isAuthority } from '../../src/protocol/authority.js';
import { isDigit, isLowerText, isOneOf, isSpace, isTargetByte, isText, matchesName, TOKEN, textOf, VALUE } from '../../src/protocol/chars.js';
import type { FramingLimits } from '../../src/protocol/framing.js';
import { Head } from '../../src/protocol/head.js';
import { FIELD_WORDS, HEAD, HEAD_FLAG, HOP_BY_HOP, KNOWN_ID, KNOWN_NAMES } from '../../src/protocol/head-layout.js';
import { IDEMPOTENT_METHODS } from '../../src/protocol/http-rules.js';
import { knownIdOf } from '../../src/protocol/known-names.js';
import type { FaultCode } from './faults.js';
import { BOUNDS, PROTECTED_FIELDS } from './rules.js';

/** The error of a broken message. `offset` counts from its first byte, up to `BOUNDS.maxOffset`. */
export const http1Fault = (code: FaultCode, offset: number): CodecError => new CodecError('http1', code, Math.min(offset, BOUNDS.maxOffset));

const LF = 0x0a;
const CR = 0x0d;
const SP = 0x20;
const SLASH = 0x2f;
const COLON = 0x3a;
const UNDERSCORE = 0x5f;
const NO_BYTES = new Uint8Array(0);

const VERSION_PREFIX = Buffer.from('HTTP/', 'latin1');
const VERSION_BYTES = 8;
const STATUS_START = 9;
const STATUS_LAST_DIGIT = 11;
const IDEMPOTENT = IDEMPOTENT_METHODS.map((method) => Buffer.from(method, 'latin1'));
const HEAD_METHOD = Buffer.from('HEAD', 'latin1');
const CONNECT_METHOD = Buffer.from('CONNECT', 'latin1');
const OPTIONS_METHOD = Buffer.from('OPTIONS', 'latin1');
const CHUNKED = Buffer.from('chunked', 'latin1');
const CONTINUE = Buffer.from('100-continue', 'latin1');
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
const STATE = {
  start: 0,
  startLf: 1,
  method: 2,
  target: 3,
  version: 4,
  requestCr: 5,
  prefix: 6,
  statusEnd: 7,
  reason: 8,
  startLineLf: 9,
  lineStart: 10,
  name: 11,
  space: 12,
  value: 13,
  lineLf: 14,
  finalLf: 15,
  head: 16,
} as const;
type State = (typeof STATE)[keyof typeof STATE];

/** Words of a table that is made before the number of lines is known; it grows by doubling. */
const FIRST_WORDS = HEAD.FIELDS + 16 * FIELD_WORDS;

/**
 * Reads one head (RFC 9112 §2 to §6); resumes where it stopped, so that every byte is looked at once. All positions count from the first byte of the input.
 * The head it gives is one object with one table, filled anew for the next message.
 */
export class HeadParser {
  readonly #isResponse: boolean;
  readonly #limits: FramingLimits;
  #state: State = STATE.start;
  #fault: CodecError | undefined;
  #ints = new Int32Array(FIRST_WORDS);
  readonly #head = new Head(NO_BYTES, this.#ints);
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
  /** The table still holds the message before. */
  #isStale = true;

  constructor(isResponse: boolean, limits: FramingLimits) {
    this.#isResponse = isResponse;
    this.#limits = limits;
    this.reset();
  }

  /** Makes ready for the next head. The one before stays good until `parse` is called again. */
  reset(): void {
    this.#state = this.#isResponse ? STATE.prefix : STATE.start;
    this.#fault = undefined;
    if (this.#options.length > 0) this.#options = [];
    this.#at = this.#skipped = this.#lines = this.#version = 0;
    this.#http11 = this.#close = this.#keepAlive = this.#upgrade = false;
    this.#isStale = true;
  }

  /** Bytes of the empty lines before the message. */
  get skipped(): number {
    return this.#skipped;
  }
  /** True once a byte of a message (not of empty lines before it) has been seen. */
  get started(): boolean {
    return this.#state > STATE.startLf && this.#at > this.#skipped;
  }

  /**
   * Reads on in a head that begins at `bytes[start]`; all bytes of it so far must be there again. Undefined: more bytes are needed.
   * Throws CodecError (faults.ts), and the same one at every further call.
   */
  parse(bytes: Uint8Array, start: number): Head | undefined {
    if (this.#fault !== undefined) throw this.#fault;
    if (this.#isStale) {
      this.#isStale = false;
      this.#ints.fill(0, 0, HEAD.FIELDS);
      this.#ints[HEAD.LENGTH_LOW] = -1;
      this.#ints[HEAD.LENGTH_HIGH] = -1;
    }
    const input = start === 0 ? bytes : bytes.subarray(start);
    if (this.#state <= STATE.startLf) {
      this.#skipEmptyLines(input);
      if (this.#state <= STATE.startLf) return undefined;
    }
    const { maxHeadBytes } = this.#limits;
    const end = Math.min(input.length, this.#skipped + maxHeadBytes);
    while (this.#at < end) {
      this.#step(input, end);
      if (this.#state === STATE.head) return this.#table(bytes, start);
    }
    if (this.#at - this.#skipped >= maxHeadBytes) this.#fail('HEAD_TOO_LARGE', this.#skipped + maxHeadBytes);
    return undefined;
  }

  #fail(code: FaultCode, at: number): never {
    const beforeMessage = this.#state <= STATE.startLf;
    this.#fault = http1Fault(code, beforeMessage ? at : at - this.#skipped);
    throw this.#fault;
  }

  /** RFC 9112 §2.2: a server should ignore at least one empty line before a request line. */
  #skipEmptyLines(input: Uint8Array): void {
    while (this.#at < input.length && this.#state <= STATE.startLf) {
      const byte = input[this.#at];
      if (this.#state === STATE.startLf) {
        if (byte !== LF) this.#fail('BARE_CR', this.#at - 1);
        this.#skipped = ++this.#at;
        this.#state = STATE.start;
      } else if (byte === CR) {
        if (this.#skipped === 2 * BOUNDS.maxEmptyLines) this.#fail('EMPTY_LINES', this.#at);
        this.#state = STATE.startLf;
        this.#at++;
      } else if (byte === LF) this.#fail('BARE_LF', this.#at);
      else this.#state = STATE.method;
    }
  }

  /** Moves on by at least one byte or one state, or throws. */
  #step(input: Uint8Array, end: number): void {
    switch (this.#state) {
      case STATE.method: {
        let at = this.#at;
        while (at < end && TOKEN[input[at]] === 1) at++;
        this.#at = at;
        const length = at - this.#skipped;
        if (length > BOUNDS.maxMethodBytes) this.#fail('METHOD_TOO_LONG', this.#skipped + BOUNDS.maxMethodBytes);
        if (at === end) return;
        if (input[at] !== SP || length === 0) this.#fail('BAD_METHOD', at);
        const ints = this.#ints;
        ints[HEAD.METHOD] = this.#skipped;
        ints[HEAD.METHOD_BYTES] = length;
        ints[HEAD.TARGET] = ++this.#at;
        this.#state = STATE.target;
        return;
      }
      case STATE.target: {
        const { maxTargetBytes } = this.#limits;
        const start = this.#ints[HEAD.TARGET];
        let at = this.#at;
        while (at < end && isTargetByte(input[at])) at++;
        this.#at = at;
        if (at - start > maxTargetBytes) this.#fail('TARGET_TOO_LARGE', start + maxTargetBytes);
        if (at === end) return;
        const byte = input[at];
        if (byte === CR || byte === LF) this.#fail('BAD_REQUEST_LINE', at);
        if (byte !== SP || at === start) this.#fail('BAD_TARGET', at);
        this.#finishTarget(input, at);
        this.#version = ++this.#at;
        this.#state = STATE.version;
        return;
      }
      case STATE.version:
      case STATE.prefix:
        this.#versionByte(input);
        this.#at++;
        return;
      case STATE.requestCr:
        if (input[this.#at] === LF) this.#fail('BARE_LF', this.#at);
        if (input[this.#at] !== CR) this.#fail('BAD_REQUEST_LINE', this.#at);
        this.#state = STATE.startLineLf;
        this.#at++;
        return;
      case STATE.statusEnd: {
        const byte = input[this.#at];
        if (byte === LF) this.#fail('BARE_LF', this.#at);
        // Many servers leave out the space before an empty reason phrase.
        if (byte !== SP && byte !== CR) this.#fail('BAD_STATUS_LINE', this.#at);
        this.#state = byte === SP ? STATE.reason : STATE.startLineLf;
        this.#at++;
        return;
      }
      case STATE.reason: {
        let at = this.#at;
        while (at < end && VALUE[input[at]] === 1) at++;
        this.#at = at;
        if (at === end) return;
        if (input[at] === LF) this.#fail('BARE_LF', at);
        if (input[at] !== CR) this.#fail('BAD_STATUS_LINE', at);
        this.#ints[HEAD.METHOD_BYTES] = at - this.#ints[HEAD.METHOD];
        this.#state = STATE.startLineLf;
        this.#at++;
        return;
      }
      case STATE.startLineLf:
        if (input[this.#at] !== LF) this.#fail('BARE_CR', this.#at - 1);
        this.#state = STATE.lineStart;
        this.#at++;
        return;
      case STATE.lineStart: {
        const byte = input[this.#at];
        if (byte === CR) {
          this.#state = STATE.finalLf;
          this.#at++;
          return;
        }
        if (byte === LF) this.#fail('BARE_LF', this.#at);
        if (isSpace(byte)) this.#fail(this.#lines > 0 ? 'OBS_FOLD' : 'BAD_NAME', this.#at);
        if (this.#lines >= this.#limits.maxHeaders) this.#fail('TOO_MANY_HEADERS', this.#at);
        this.#nameStart = this.#at;
        this.#state = STATE.name;
        return;
      }
      case STATE.name: {
        let at = this.#at;
        while (at < end && TOKEN[input[at]] === 1) at++;
        this.#at = at;
        const length = at - this.#nameStart;
        if (length > BOUNDS.maxNameBytes) this.#fail('HEAD_TOO_LARGE', this.#nameStart + BOUNDS.maxNameBytes);
        if (at === end) return;
        const byte = input[at];
        if (byte !== COLON || length === 0) {
          if (byte === CR || byte === LF) this.#fail('MISSING_COLON', at);
          this.#fail(isSpace(byte) ? 'SPACE_BEFORE_COLON' : 'BAD_NAME', at);
        }
        this.#nameEnd = at;
        this.#at = at + 1;
        this.#state = STATE.space;
        return;
      }
      case STATE.space: {
        let at = this.#at;
        while (at < end && isSpace(input[at])) at++;
        this.#at = at;
        if (at === end) return;
        this.#valueStart = at;
        this.#state = STATE.value;
        return;
      }
      case STATE.value: {
        let at = this.#at;
        while (at < end && VALUE[input[at]] === 1) at++;
        this.#at = at;
        if (at === end) return;
        if (input[at] === LF) this.#fail('BARE_LF', at);
        if (input[at] !== CR) this.#fail('BAD_VALUE', at);
        this.#state = STATE.lineLf;
        this.#at = at + 1;
        return;
      }
      case STATE.lineLf: {
        if (input[this.#at] !== LF) this.#fail('BARE_CR', this.#at - 1);
        let valueEnd = this.#at - 1;
        while (valueEnd > this.#valueStart && isSpace(input[valueEnd - 1])) valueEnd--;
        this.#finishLine(input, valueEnd);
        this.#at++;
        this.#state = STATE.lineStart;
        return;
      }
      case STATE.finalLf:
        if (input[this.#at] !== LF) this.#fail('BARE_CR', this.#at - 1);
        this.#finishHead(this.#at - 1);
        this.#at++;
        this.#state = STATE.head;
        return;
      default:
        throw new Error(`http1: step in state ${this.#state}`);
    }
  }

  /** A byte of `HTTP/1.x`; in a response also of ` 200` after it (RFC 9112 §2.3, §4). */
  #versionByte(input: Uint8Array): void {
    const base = this.#state === STATE.version ? this.#version : this.#skipped;
    const index = this.#at - base;
    const byte = input[this.#at];
    if (index < VERSION_BYTES) {
      const good = index < VERSION_PREFIX.length ? byte === VERSION_PREFIX[index] : index === 6 ? byte === 0x2e : isDigit(byte);
      if (!good) this.#fail('BAD_VERSION', this.#at);
      if (index < VERSION_BYTES - 1) return;
      this.#finishVersion(input, base);
      if (this.#state === STATE.version) this.#state = STATE.requestCr;
    } else if (index < STATUS_START) {
      if (byte !== SP) this.#fail('BAD_STATUS_LINE', this.#at);
    } else {
      if (!isDigit(byte) || (index === STATUS_START && byte === 0x30)) this.#fail('BAD_STATUS_LINE', this.#at);
      this.#ints[HEAD.STATUS] = this.#ints[HEAD.STATUS] * 10 + byte - 0x30;
      if (index < STATUS_LAST_DIGIT) return;
      this.#ints[HEAD.METHOD] = base + REASON_START;
      this.#state = STATE.statusEnd;
    }
  }

  #finishVersion(input: Uint8Array, base: number): void {
    const major = input[base + 5];
    const minor = input[base + 7];
    if (major !== 0x31) this.#fail('VERSION_NOT_SUPPORTED', base + 5);
    if (minor > 0x31) this.#fail('BAD_VERSION', base + 7);
    this.#http11 = minor === 0x31;
    if (this.#http11) this.#ints[HEAD.FLAGS] |= HEAD_FLAG.HTTP_11;
    else if (!this.#isResponse && !this.#limits.acceptHttp10) this.#fail('VERSION_NOT_SUPPORTED', base + 5);
  }

  /** The four forms of a request target (RFC 9112 §3.2). */
  #finishTarget(input: Uint8Array, end: number): void {
    const ints = this.#ints;
    const start = ints[HEAD.TARGET];
    const methodEnd = this.#skipped + ints[HEAD.METHOD_BYTES];
    ints[HEAD.TARGET_BYTES] = end - start;
    if (isOneOf(IDEMPOTENT, input, this.#skipped, methodEnd)) ints[HEAD.FLAGS] |= HEAD_FLAG.IDEMPOTENT;
    if (isText(HEAD_METHOD, input, this.#skipped, methodEnd)) ints[HEAD.FLAGS] |= HEAD_FLAG.HEAD_METHOD;
    if (isText(CONNECT_METHOD, input, this.#skipped, methodEnd)) {
      ints[HEAD.FLAGS] |= HEAD_FLAG.CONNECT;
      ints[HEAD.AUTHORITY] = start;
      ints[HEAD.AUTHORITY_BYTES] = end - start;
      if (isAuthority(input, start, end, true)) return;
    } else if (input[start] === SLASH) {
      ints[HEAD.PATH] = start;
      ints[HEAD.PATH_BYTES] = end - start;
      return;
    } else {
      const target = textOf(input, start, end);
      if (target === '*' && isText(OPTIONS_METHOD, input, this.#skipped, methodEnd)) {
        ints[HEAD.PATH] = start;
        ints[HEAD.PATH_BYTES] = end - start;
        return;
      }
      const scheme = /^[A-Za-z][A-Za-z0-9+.-]*:\/\//.exec(target);
      if (scheme !== null) {
        const from = scheme[0].length;
        let path = from;
        while (path < target.length && target[path] !== '/' && target[path] !== '?') path++;
        ints[HEAD.FLAGS] |= HEAD_FLAG.ABSOLUTE_FORM;
        ints[HEAD.AUTHORITY] = start + from;
        ints[HEAD.AUTHORITY_BYTES] = path - from;
        ints[HEAD.PATH] = start + path;
        ints[HEAD.PATH_BYTES] = target.length - path;
        if (isAuthority(input, start + from, start + path, false)) return;
      }
    }
    this.#fail('BAD_TARGET', start);
  }

  #finishLine(input: Uint8Array, valueEnd: number): void {
    const { underscores } = this.#limits;
    const nameStart = this.#nameStart;
    const nameEnd = this.#nameEnd;
    this.#lines++;
    if (underscores !== 'allow') {
      const at = input.subarray(nameStart, nameEnd).indexOf(UNDERSCORE);
      if (at >= 0) {
        if (underscores === 'drop') return;
        this.#fail('UNDERSCORE_IN_NAME', nameStart + at);
      }
    }
    const id = knownIdOf(input, nameStart, nameEnd);
    const count = this.#ints[HEAD.COUNT];
    if (id !== 0) {
      this.#finishKnown(id, input, valueEnd);
      if (this.#known(id) === 0) this.#ints[HEAD.KNOWN + id - 1] = count + 1;
    }
    const at = HEAD.FIELDS + count * FIELD_WORDS;
    if (at === this.#ints.length) this.#grow();
    const ints = this.#ints;
    ints[HEAD.COUNT] = count + 1;
    ints[at] = nameStart;
    ints[at + 1] = (nameEnd - nameStart) | (id << 16) | HOP_BY_HOP_OF[id];
    ints[at + 2] = this.#valueStart;
    ints[at + 3] = valueEnd - this.#valueStart;
  }

  #grow(): void {
    const words = HEAD.FIELDS + 2 * (this.#ints.length - HEAD.FIELDS);
    const ints = new Int32Array(words);
    ints.set(this.#ints);
    this.#ints = ints;
    this.#head.ints = ints;
  }

  /** 1 + index of the first line with a well-known name, or 0. */
  #known(id: number): number {
    return this.#ints[HEAD.KNOWN + id - 1];
  }

  /** What a line means for the message itself. Called before the line is in the table. */
  #finishKnown(id: number, input: Uint8Array, valueEnd: number): void {
    switch (id) {
      case KNOWN_ID.host:
        if (this.#isResponse) return;
        if (this.#known(KNOWN_ID.host) !== 0) this.#fail('DUPLICATE_HOST', this.#nameStart);
        if (!isAuthority(input, this.#valueStart, valueEnd, false)) this.#fail('BAD_HOST', this.#valueStart);
        return;
      case KNOWN_ID['content-length']:
        this.#takeLength(input, valueEnd);
        return;
      case KNOWN_ID['transfer-encoding']:
        this.#takeCoding(input, valueEnd);
        return;
      case KNOWN_ID.connection:
        this.#takeOptions(textOf(input, this.#valueStart, valueEnd));
        return;
      case KNOWN_ID.expect:
        if (!this.#isResponse && this.#http11 && isLowerText(CONTINUE, input, this.#valueStart, valueEnd)) {
          this.#ints[HEAD.FLAGS] |= HEAD_FLAG.EXPECT_CONTINUE;
        }
        return;
    }
  }

  /** RFC 9110 §8.6: 1*DIGIT. */
  #takeLength(input: Uint8Array, valueEnd: number): void {
    const ints = this.#ints;
    if (this.#known(KNOWN_ID['content-length']) !== 0) this.#fail('DUPLICATE_CONTENT_LENGTH', this.#nameStart);
    if (this.#known(KNOWN_ID['transfer-encoding']) !== 0) this.#fail('CONTENT_LENGTH_AND_TRANSFER_ENCODING', this.#nameStart);
    // Exact up to 2^53; beyond that every further digit keeps it unsafe.
    let length = this.#valueStart < valueEnd ? 0 : Number.NaN;
    for (let at = this.#valueStart; at < valueEnd; at++) length = isDigit(input[at]) ? length * 10 + (input[at] - 0x30) : Number.NaN;
    if (!Number.isSafeInteger(length)) this.#fail('BAD_CONTENT_LENGTH', this.#valueStart);
    // RFC 9110 §9.3.6
    if (length > 0 && (ints[HEAD.FLAGS] & HEAD_FLAG.CONNECT) !== 0) this.#fail('CONNECT_WITH_BODY', this.#nameStart);
    ints[HEAD.LENGTH_LOW] = length | 0;
    ints[HEAD.LENGTH_HIGH] = Math.floor(length / 0x1_0000_0000);
  }

  /** RFC 9112 §6.1. Anything but one plain `chunked` would have to be forwarded unchanged, and is read differently by different servers. */
  #takeCoding(input: Uint8Array, valueEnd: number): void {
    const status = this.#ints[HEAD.STATUS];
    if (!this.#http11) this.#fail('TRANSFER_ENCODING_IN_HTTP10', this.#nameStart);
    if (this.#isResponse && (status < 200 || status === 204)) this.#fail('TRANSFER_ENCODING_WITHOUT_BODY', this.#nameStart);
    if (this.#known(KNOWN_ID['transfer-encoding']) !== 0) this.#fail('DUPLICATE_TRANSFER_ENCODING', this.#nameStart);
    if (this.#known(KNOWN_ID['content-length']) !== 0) this.#fail('CONTENT_LENGTH_AND_TRANSFER_ENCODING', this.#nameStart);
    if (!isLowerText(CHUNKED, input, this.#valueStart, valueEnd)) this.#fail('BAD_TRANSFER_ENCODING', this.#valueStart);
    if ((this.#ints[HEAD.FLAGS] & HEAD_FLAG.CONNECT) !== 0) this.#fail('CONNECT_WITH_BODY', this.#nameStart);
  }

  /** RFC 9110 §7.6.1. The fields it names may come later, so they are marked at the end of the head. */
  #takeOptions(value: string): void {
    if (value === 'keep-alive') {
      this.#keepAlive = true;
      return;
    }
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
    const fixed = this.#ints;
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
    const ints = this.#ints;
    const end = HEAD.FIELDS + ints[HEAD.COUNT] * FIELD_WORDS;
    if (start !== 0) {
      for (const [at, length] of SPANS) if (ints[at] !== 0 || ints[length] !== 0) ints[at] += start;
      for (let at: number = HEAD.FIELDS; at < end; at += FIELD_WORDS) {
        ints[at] += start;
        ints[at + 2] += start;
      }
    }
    if (this.#options.length > 0) this.#markNamed(bytes, ints, end);
    this.#head.bytes = bytes;
    return this.#head;
  }

  /** Marks the fields that Connection names (RFC 9110 §7.6.1), but for those that keep the next hop from being misled. */
  #markNamed(bytes: Uint8Array, ints: Int32Array, end: number): void {
    const named = new Set(this.#options.filter((option) => !matchesName(option, PROTECTED_FIELDS)));
    for (let at: number = HEAD.FIELDS; at < end; at += FIELD_WORDS) {
      const name = textOf(bytes, ints[at], ints[at] + (ints[at + 1] & 0xffff)).toLowerCase();
      if (!named.has(name)) continue;
      ints[at + 1] |= HOP_BY_HOP;
      // An expectation that is not forwarded will not be answered upstream.
      if (name === 'expect') ints[HEAD.FLAGS] &= ~HEAD_FLAG.EXPECT_CONTINUE;
    }
  }
}

/** `HOP_BY_HOP` for the ids of the fields that always are (RFC 9110 §7.6.1), 0 for others. */
const HOP_BY_HOP_OF: Readonly<Int32Array> = Int32Array.from({ length: KNOWN_NAMES.length + 1 }, (_, id) =>
  ['connection', 'transfer-encoding', 'upgrade', 'te', 'keep-alive', 'proxy-connection'].includes(KNOWN_NAMES[id - 1] ?? '') ? HOP_BY_HOP : 0,
);
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

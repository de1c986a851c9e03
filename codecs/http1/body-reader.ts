import { hexValue, isSpace, isValueByte, matchesName, TOKEN } from '../../src/protocol/chars.js';
import type { BodyFraming, Input, RequestContext, Step } from '../../src/protocol/framing.js';
import type { Head } from '../../src/protocol/head.js';
import { HEAD_FLAG } from '../../src/protocol/head-layout.js';
import { FORBIDDEN_TRAILERS } from '../../src/protocol/http-rules.js';
import type { FaultCode } from './faults.js';
import { http1Fault } from './head-parser.js';
import { BOUNDS } from './rules.js';

const LF = 0x0a;
const CR = 0x0d;
const MORE: Step = { kind: 'more' };
const END: Step = { kind: 'end', trailers: new Uint8Array(0) };

/**
 * ```
 *   sizeStart ─> size ──────────────────> sizeLf ─> data ─> dataCr ─> dataLf ─> sizeStart
 *                 └─> extension... ─────────┘ └─(size 0)─> trailerStart ─> trailerName ─> trailerValue ─> trailerLf
 *   extension: name ─> rest ─┬────────────────┐                 └─> finalLf ─> idle               (back to trailerStart)
 *                            └─> value ─> token | quoted ─> end
 * ```
 */
type State =
  | 'idle'
  | 'length'
  | 'untilClose'
  | 'sizeStart'
  | 'size'
  | 'extensionName'
  | 'extensionRest'
  | 'extensionValue'
  | 'extensionToken'
  | 'extensionQuoted'
  | 'extensionEscape'
  | 'extensionEnd'
  | 'sizeLf'
  | 'data'
  | 'dataCr'
  | 'dataLf'
  | 'trailerStart'
  | 'trailerName'
  | 'trailerValue'
  | 'trailerLf'
  | 'finalLf';

/** Takes the framing off a body (RFC 9112 §6.3, §7.1). Nothing is kept of a body but its trailers, at most `BOUNDS.maxTrailerBytes`. */
export class BodyReader {
  #state: State = 'idle';
  #fault: Error | undefined;
  /** Bytes left of the body or of the chunk; while a size is read, its value. */
  #remaining = 0;
  /** Bytes of the message before the next input byte. */
  #offset = 0;
  #digits = 0;
  #extensionBytes = 0;
  #trailerBytes = 0;
  #trailerLines = 0;
  #line: number[] = [];
  #nameBytes = 0;
  #trailers: number[] = [];

  /** Decides what follows `head`. For a response `request` says what was asked: HEAD and CONNECT change the answer. */
  start(head: Head, request?: RequestContext): BodyFraming {
    const { flags, status } = head;
    this.#fault = undefined;
    this.#remaining = this.#digits = this.#extensionBytes = this.#trailerBytes = this.#trailerLines = this.#nameBytes = 0;
    if (this.#line.length > 0) this.#line = [];
    if (this.#trailers.length > 0) this.#trailers = [];
    this.#offset = head.wireBytes;
    this.#state = 'idle';
    if (head.isResponse) {
      if (status < 200 || status === 204 || status === 304) return 'none';
      if (request !== undefined && (request.isHead || (request.isConnect && status < 300))) return 'none';
    }
    if ((flags & HEAD_FLAG.CHUNKED) !== 0) {
      this.#state = 'sizeStart';
      return 'chunked';
    }
    if (head.contentLength >= 0) {
      this.#remaining = head.contentLength;
      this.#state = 'length';
      return 'length';
    }
    if (!head.isResponse) return 'none';
    this.#state = 'untilClose';
    return 'until-close';
  }

  /** FIN now would cut the message short. */
  get midMessage(): boolean {
    return this.#state === 'length' ? this.#remaining > 0 : this.#state !== 'idle' && this.#state !== 'untilClose';
  }

  /** The next piece of the body; `end` once, and again whenever asked, when it is over. Throws CodecError, and the same one at every further call. */
  next(input: Input): Step {
    while (true) {
      if (this.#fault !== undefined) throw this.#fault;
      if (this.#state === 'length' && this.#remaining === 0) this.#state = 'idle';
      if (this.#state === 'untilClose' && input.ended && input.offset === input.bytes.length) this.#state = 'idle';
      if (this.#state === 'idle') return this.#trailers.length === 0 ? END : { kind: 'end', trailers: Uint8Array.from(this.#trailers) };
      const available = input.bytes.length - input.offset;
      if (available === 0) return MORE;
      if (this.#state === 'length' || this.#state === 'data' || this.#state === 'untilClose') {
        const count = this.#state === 'untilClose' ? available : Math.min(available, this.#remaining);
        const bytes = input.bytes.subarray(input.offset, input.offset + count);
        if (this.#state !== 'untilClose') this.#remaining -= count;
        if (this.#state === 'data' && this.#remaining === 0) this.#state = 'dataCr';
        this.#offset += count;
        input.offset += count;
        return { kind: 'body', bytes };
      }
      this.#takeFraming(input.bytes[input.offset]);
      this.#offset++;
      input.offset++;
    }
  }

  #fail(code: FaultCode, back = 0): never {
    this.#fault = http1Fault(code, this.#offset - back);
    throw this.#fault;
  }

  #takeFraming(byte: number): void {
    switch (this.#state) {
      case 'sizeStart':
      case 'size':
      case 'sizeLf':
        this.#takeSize(byte);
        return;
      case 'dataCr':
        if (byte !== CR) this.#fail('BAD_CHUNK_END');
        this.#state = 'dataLf';
        return;
      case 'dataLf':
        if (byte !== LF) this.#fail('BAD_CHUNK_END');
        this.#state = 'sizeStart';
        return;
      case 'trailerStart':
      case 'trailerName':
      case 'trailerValue':
      case 'trailerLf':
      case 'finalLf':
        this.#takeTrailer(byte);
        return;
      default:
        this.#takeExtension(byte);
    }
  }

  #takeSize(byte: number): void {
    if (this.#state === 'sizeLf') {
      if (byte !== LF) this.#fail('BARE_CR', 1);
      this.#state = this.#remaining === 0 ? 'trailerStart' : 'data';
      return;
    }
    if (this.#state === 'sizeStart') {
      this.#remaining = 0;
      this.#digits = 0;
      this.#state = 'size';
    }
    const digit = hexValue(byte);
    if (digit >= 0) {
      if (++this.#digits > BOUNDS.maxChunkDigits || this.#remaining > Math.floor((Number.MAX_SAFE_INTEGER - digit) / 16))
        this.#fail('BAD_CHUNK_SIZE');
      this.#remaining = this.#remaining * 16 + digit;
      return;
    }
    if (this.#digits === 0) this.#fail('BAD_CHUNK_SIZE');
    if (byte === CR) this.#state = 'sizeLf';
    else if (byte === LF) this.#fail('BARE_LF');
    else if (byte === 0x3b) this.#state = 'extensionName';
    else this.#fail('BAD_CHUNK_SIZE');
  }

  /** RFC 9112 §7.1.1, without the bad whitespace that it lets recipients accept. */
  #takeExtension(byte: number): void {
    if (this.#extensionBytes++ === BOUNDS.maxExtensionBytes) this.#fail('CHUNK_EXTENSIONS_TOO_LARGE');
    const isToken = TOKEN[byte] === 1;
    switch (this.#state) {
      case 'extensionName':
        if (!isToken) this.#fail('BAD_CHUNK_EXTENSION');
        this.#state = 'extensionRest';
        return;
      case 'extensionValue':
        if (byte !== 0x22 && !isToken) this.#fail('BAD_CHUNK_EXTENSION');
        this.#state = byte === 0x22 ? 'extensionQuoted' : 'extensionToken';
        return;
      case 'extensionQuoted':
        if (!isValueByte(byte)) this.#fail('BAD_CHUNK_EXTENSION');
        if (byte === 0x22) this.#state = 'extensionEnd';
        if (byte === 0x5c) this.#state = 'extensionEscape';
        return;
      case 'extensionEscape':
        if (!isValueByte(byte)) this.#fail('BAD_CHUNK_EXTENSION');
        this.#state = 'extensionQuoted';
        return;
    }
    // extensionRest, extensionToken, extensionEnd: places where an extension may end
    if (isToken && this.#state !== 'extensionEnd') return;
    if (byte === 0x3d && this.#state === 'extensionRest') this.#state = 'extensionValue';
    else if (byte === 0x3b) this.#state = 'extensionName';
    else if (byte === CR) this.#state = 'sizeLf';
    else this.#fail(byte === LF ? 'BARE_LF' : 'BAD_CHUNK_EXTENSION');
  }

  /** RFC 9112 §7.1.2: header lines, by the rules of the head. */
  #takeTrailer(byte: number): void {
    if (this.#trailerBytes++ === BOUNDS.maxTrailerBytes) this.#fail('TRAILERS_TOO_LARGE');
    if (this.#state === 'trailerStart') {
      if (byte === CR) {
        this.#state = 'finalLf';
        return;
      }
      if (byte === LF) this.#fail('BARE_LF');
      if (isSpace(byte)) this.#fail(this.#trailerLines > 0 ? 'OBS_FOLD' : 'BAD_NAME');
      if (this.#trailerLines === BOUNDS.maxTrailers) this.#fail('TOO_MANY_TRAILERS');
      this.#trailerLines++;
      this.#line = [];
      this.#state = 'trailerName';
    }
    switch (this.#state) {
      case 'trailerName':
        if (byte === 0x3a && this.#line.length > 0) {
          this.#nameBytes = this.#line.length;
          this.#state = 'trailerValue';
        } else if (TOKEN[byte] !== 1) {
          if (byte === CR || byte === LF) this.#fail('MISSING_COLON');
          this.#fail(isSpace(byte) ? 'SPACE_BEFORE_COLON' : 'BAD_NAME');
        }
        this.#line.push(byte);
        return;
      case 'trailerValue':
        if (byte === CR) {
          this.#state = 'trailerLf';
          return;
        }
        if (byte === LF) this.#fail('BARE_LF');
        if (!isValueByte(byte)) this.#fail('BAD_VALUE');
        this.#line.push(byte);
        return;
      case 'trailerLf':
        if (byte !== LF) this.#fail('BARE_CR', 1);
        this.#keepTrailer();
        this.#state = 'trailerStart';
        return;
      default: // finalLf
        if (byte !== LF) this.#fail('BARE_CR', 1);
        this.#state = 'idle';
    }
  }

  #keepTrailer(): void {
    const name = String.fromCharCode(...this.#line.slice(0, this.#nameBytes)).toLowerCase();
    if (!matchesName(name, FORBIDDEN_TRAILERS)) this.#trailers.push(...this.#line, CR, LF);
  }
}

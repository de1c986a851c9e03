import { FIELD_WORDS, HEAD, HEAD_FLAG, HOP_BY_HOP, KNOWN_ID, KNOWN_NAMES, type KnownName } from './head-layout.js';

/** What routing, retries and logs ask of a message, whatever its protocol: of HTTP a head, of an RPC frame its service, method and header map. */
export interface HeadView {
  readonly isResponse: boolean;
  /** HTTP status, or what a response of another protocol counts as; 0 for a request. */
  readonly status: number;
  readonly method: string;
  readonly path: string;
  readonly authority: string | undefined;
  readonly version: string;
  /** Bytes on the wire. */
  readonly wireBytes: number;
  /** First value of a header, by its name in lower case. */
  get(name: string): string | undefined;
  /** All values, joined with commas. */
  getAll(name: string): string | undefined;
  /** Index of the first line of that name at or after `from`; -1: none. */
  indexOf(name: string, from?: number): number;
  known(name: KnownName): string | undefined;
}

/**
 * A message head as offsets into an arena (DESIGN §2). A view made by an engine is valid during the callback that got it, and until
 * the head was forwarded through `Engine.head(connection)`; `retain()` copies it. Strings are latin1 and made when asked for.
 */
export class Head implements HeadView {
  /** Header bytes; every offset of the table points into it. */
  bytes: Uint8Array;
  /** The table, from word `base` on (head-layout.ts). */
  ints: Int32Array;
  base: number;

  constructor(bytes: Uint8Array, ints: Int32Array, base = 0) {
    this.bytes = bytes;
    this.ints = ints;
    this.base = base;
  }

  get flags(): number {
    return this.ints[this.base + HEAD.FLAGS];
  }
  get isResponse(): boolean {
    return (this.flags & HEAD_FLAG.RESPONSE) !== 0;
  }
  /** True where no body follows. */
  get ends(): boolean {
    return (this.flags & HEAD_FLAG.END) !== 0;
  }
  get keepAlive(): boolean {
    return (this.flags & HEAD_FLAG.KEEP_ALIVE) !== 0;
  }
  get version(): 'HTTP/2' | 'HTTP/1.1' | 'HTTP/1.0' {
    if ((this.flags & HEAD_FLAG.HTTP_2) !== 0) return 'HTTP/2';
    return (this.flags & HEAD_FLAG.HTTP_11) !== 0 ? 'HTTP/1.1' : 'HTTP/1.0';
  }
  /** Response status, 100..999; 0 for a request. */
  get status(): number {
    return this.ints[this.base + HEAD.STATUS];
  }
  /** Content-Length, or -1. */
  get contentLength(): number {
    const high = this.ints[this.base + HEAD.LENGTH_HIGH];
    return high < 0 ? -1 : high * 0x1_0000_0000 + (this.ints[this.base + HEAD.LENGTH_LOW] >>> 0);
  }
  get method(): string {
    return this.text(this.ints[this.base + HEAD.METHOD], this.ints[this.base + HEAD.METHOD_BYTES]);
  }
  /** Reason phrase of a response. */
  get reason(): string {
    return this.method;
  }
  /** The request target as it was sent. */
  get target(): string {
    return this.text(this.ints[this.base + HEAD.TARGET], this.ints[this.base + HEAD.TARGET_BYTES]);
  }
  /** Path and query in origin form; empty for CONNECT; `*` for `OPTIONS *`. */
  get path(): string {
    return this.text(this.ints[this.base + HEAD.PATH], this.ints[this.base + HEAD.PATH_BYTES]);
  }
  /** The target's authority where it has one (RFC 9112 §3.2.2: it replaces Host), else the Host field; undefined where neither is. */
  get authority(): string | undefined {
    const length = this.ints[this.base + HEAD.AUTHORITY_BYTES];
    return length > 0 ? this.text(this.ints[this.base + HEAD.AUTHORITY], length) : this.known('host');
  }
  /** `:scheme` of an HTTP/2 request; empty where there is none. */
  get scheme(): string {
    return this.text(this.ints[this.base + HEAD.SCHEME], this.ints[this.base + HEAD.SCHEME_BYTES]);
  }
  /** `:protocol` of an extended CONNECT; empty where there is none. */
  get protocol(): string {
    return this.text(this.ints[this.base + HEAD.PROTOCOL], this.ints[this.base + HEAD.PROTOCOL_BYTES]);
  }
  /** Number of header lines. */
  get count(): number {
    return this.ints[this.base + HEAD.COUNT];
  }
  /** Bytes of the head on the wire. */
  get wireBytes(): number {
    return this.ints[this.base + HEAD.HEAD_BYTES];
  }

  /** Index of the first line with this well-known name, or -1. */
  knownIndex(name: KnownName): number {
    return this.ints[this.base + HEAD.KNOWN + KNOWN_ID[name] - 1] - 1;
  }
  /** The same by number (`KNOWN_ID`): no look-up by name, for what is asked of every message. */
  lineOf(id: number): number {
    return this.ints[this.base + HEAD.KNOWN + id - 1] - 1;
  }
  /** Value of the first line with this well-known name. */
  known(name: KnownName): string | undefined {
    const index = this.knownIndex(name);
    return index < 0 ? undefined : this.valueAt(index);
  }
  /** Well-known id of line `index` (`KNOWN_ID`), or 0. */
  knownIdAt(index: number): number {
    return (this.ints[this.base + HEAD.FIELDS + index * FIELD_WORDS + 1] >> 16) & 0xff;
  }
  /** True where the line is hop-by-hop (RFC 9110 §7.6.1): never forwarded. */
  isHopByHop(index: number): boolean {
    return (this.ints[this.base + HEAD.FIELDS + index * FIELD_WORDS + 1] & HOP_BY_HOP) !== 0;
  }
  /** Where the name of line `index` starts in `bytes`. */
  nameStart(index: number): number {
    return this.ints[this.base + HEAD.FIELDS + index * FIELD_WORDS];
  }
  /** Name of line `index` in the case it was sent. */
  nameAt(index: number): string {
    const at = this.base + HEAD.FIELDS + index * FIELD_WORDS;
    return this.text(this.ints[at], this.ints[at + 1] & 0xffff);
  }
  valueAt(index: number): string {
    const at = this.base + HEAD.FIELDS + index * FIELD_WORDS;
    return this.text(this.ints[at + 2], this.ints[at + 3]);
  }

  /** Index of the first line named `name` (lower case) at or after `from`, or -1. Compares bytes without making strings. */
  indexOf(name: string, from = 0): number {
    const { bytes, ints } = this;
    const wanted = name.length;
    for (let index = from, at = this.base + HEAD.FIELDS + from * FIELD_WORDS; index < this.count; index++, at += FIELD_WORDS) {
      if ((ints[at + 1] & 0xffff) !== wanted) continue;
      const start = ints[at];
      let i = 0;
      while (i < wanted && lower(bytes[start + i]) === name.charCodeAt(i)) i++;
      if (i === wanted) return index;
    }
    return -1;
  }
  /** Value of the first line named `name` (lower case). Well-known names take the short way. */
  get(name: string): string | undefined {
    const id = (KNOWN_ID as Record<string, number>)[name];
    const index = id === undefined ? this.indexOf(name) : this.ints[this.base + HEAD.KNOWN + id - 1] - 1;
    return index < 0 ? undefined : this.valueAt(index);
  }
  /** All lines named `name` (lower case), joined with `,` as RFC 9110 §5.3 allows; undefined where there is none. */
  getAll(name: string): string | undefined {
    let found: string | undefined;
    for (let index = this.indexOf(name); index >= 0; index = this.indexOf(name, index + 1)) {
      const value = this.valueAt(index);
      found = found === undefined ? value : `${found},${value}`;
    }
    return found;
  }
  /** Name (as sent) and value of every line, in order. */
  lines(): [name: string, value: string][] {
    return Array.from({ length: this.count }, (_, index) => [this.nameAt(index), this.valueAt(index)]);
  }

  /** A copy that outlives the callback. `into`: an older copy that nobody needs any more, whose space is used again where it is large enough. */
  retain(into?: Head): Head {
    const words = HEAD.FIELDS + this.count * FIELD_WORDS;
    const isHttp2 = (this.flags & HEAD_FLAG.HTTP_2) !== 0;
    const start = isHttp2 ? this.ints[this.base + HEAD.START] : Math.max(0, this.ints[this.base + HEAD.METHOD] - (this.isResponse ? 13 : 0));
    const { wireBytes } = this;
    const copy = into ?? new Head(NO_BYTES, NO_WORDS);
    if (copy.ints.length < words) copy.ints = new Int32Array(words);
    if (copy.bytes.length < wireBytes) copy.bytes = new Uint8Array(wireBytes);
    const { ints, bytes } = copy;
    for (let word = 0; word < words; word++) ints[word] = this.ints[this.base + word];
    for (let at = 0; at < wireBytes; at++) bytes[at] = this.bytes[start + at];
    if (start === 0) return copy;
    ints[HEAD.METHOD] -= start;
    ints[HEAD.TARGET] -= start;
    ints[HEAD.AUTHORITY] -= start;
    ints[HEAD.PATH] -= start;
    if (isHttp2) {
      ints[HEAD.SCHEME] -= start;
      ints[HEAD.PROTOCOL] -= start;
      ints[HEAD.START] = 0;
    }
    for (let at: number = HEAD.FIELDS; at < words; at += FIELD_WORDS) {
      ints[at] -= start;
      ints[at + 2] -= start;
    }
    return copy;
  }

  private text(start: number, length: number): string {
    return latin1(this.bytes, start, length);
  }
}

const NO_BYTES = new Uint8Array(0);
const NO_WORDS = new Int32Array(0);

/** Buffer's method for any array of bytes, looked up once: `Buffer` itself is a getter of the global object. */
const { latin1Slice } = Buffer.prototype;

function latin1(bytes: Uint8Array, start: number, length: number): string {
  return length === 0 ? '' : latin1Slice.call(bytes, start, start + length);
}

const lower = (byte: number): number => (byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte);

/** The well-known name with this id (1-based). */
export const knownName = (id: number): KnownName => KNOWN_NAMES[id - 1];

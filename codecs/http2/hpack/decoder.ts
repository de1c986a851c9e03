import { CodecError } from '../../../src/base/errors.js';
import { isAuthority } from '../../../src/protocol/authority.js';
import { isAlpha, isDigit, isOneOf, isTargetByte, isText, matchesName, TOKEN, VALUE } from '../../../src/protocol/chars.js';
import { Head } from '../../../src/protocol/head.js';
import { FIELD_WORDS, HEAD, HEAD_FLAG, HOP_BY_HOP, KNOWN_ID, NEVER_INDEXED } from '../../../src/protocol/head-layout.js';
import { FORBIDDEN_TRAILERS, IDEMPOTENT_METHODS } from '../../../src/protocol/http-rules.js';
import { knownIdOf } from '../../../src/protocol/known-names.js';
import type { FaultCode } from '../faults.js';
import { BLOCK, LIMIT } from '../spec.js';
import { DynamicTable } from './dynamic-table.js';
import { huffmanDecode, mostDecodedBytes } from './huffman.js';
import { STATIC_BYTES, STATIC_COUNT, STATIC_NAME_BYTES, STATIC_START, STATIC_VALUE_BYTES } from './static-table.js';
import { ENTRY_OVERHEAD } from './tables.js';

export type BlockKind = (typeof BLOCK)[keyof typeof BLOCK];

/** Bounds of a header list; the names are those of src/protocol/framing.ts. */
export interface ListLimits {
  /** Names, values and 32 bytes for each field, pseudo-headers included. */
  readonly maxHeadBytes: number;
  /** Fields without pseudo-headers; each crumb of a cookie counts. */
  readonly maxHeaders: number;
  readonly maxTargetBytes: number;
  readonly underscores: 'allow' | 'reject' | 'drop';
  /** `:protocol` may come (RFC 8441). */
  readonly extendedConnect: boolean;
}

// What is known of a name or value, found once for each entry of a table: known id | pseudo-header << 8 | flags.
const ID = 0xff;
const PSEUDO_SHIFT = 8;
const PSEUDO = 0xf00;
const BAD_NAME = 1 << 12;
const BAD_VALUE = 1 << 13;
/** The name has an underscore. */
const UNDERSCORE = 1 << 14;
/** One of the fields that HTTP/2 does not have (RFC 9113 §8.2.2). */
const CONNECTION = 1 << 15;
const NAME_BITS = ID | PSEUDO | BAD_NAME | UNDERSCORE | CONNECTION;

const PSEUDO_ID = { method: 1, scheme: 2, authority: 3, path: 4, status: 5, protocol: 6, unknown: 7 } as const;
const ascii = (text: string): Uint8Array => Buffer.from(text, 'latin1');
const PSEUDO_NAMES = Object.keys(PSEUDO_ID).map((name) => ascii(`:${name}`));
const CONNECTION_IDS: readonly number[] = (['connection', 'proxy-connection', 'keep-alive', 'transfer-encoding', 'upgrade'] as const).map(
  (name) => KNOWN_ID[name],
);
const IDEMPOTENT = IDEMPOTENT_METHODS.map(ascii);
const [HEAD_METHOD, CONNECT_METHOD, OPTIONS_METHOD] = [ascii('HEAD'), ascii('CONNECT'), ascii('OPTIONS')];
const [TRAILERS, HOST, COOKIE, CONTINUE] = [ascii('trailers'), ascii('host'), ascii('cookie'), '100-continue'];
/** 1 where a byte may stand in a field name: a token character but no capital (RFC 9113 §8.2.1). */
const NAME: Readonly<Uint8Array> = TOKEN.map((isToken, byte) => (byte >= 0x41 && byte <= 0x5a ? 0 : isToken));
const [COLON, SP, HTAB, CR, LF, SEMICOLON, SLASH, STAR] = [0x3a, 0x20, 0x09, 0x0d, 0x0a, 0x3b, 0x2f, 0x2a];

function infoOfName(bytes: Uint8Array, start: number, length: number): number {
  if (length === 0 || length >= LIMIT.MAX_NAME_BYTES) return BAD_NAME;
  if (bytes[start] === COLON) {
    for (let i = 0; i < PSEUDO_NAMES.length; i++) if (isText(PSEUDO_NAMES[i], bytes, start, start + length)) return (i + 1) << PSEUDO_SHIFT;
    return PSEUDO_ID.unknown << PSEUDO_SHIFT;
  }
  let info = 0;
  for (let i = start; i < start + length; i++) {
    if (NAME[bytes[i]] === 0) return BAD_NAME;
    if (bytes[i] === 0x5f) info = UNDERSCORE;
  }
  const id = knownIdOf(bytes, start, start + length);
  return info | id | (CONNECTION_IDS.includes(id) ? CONNECTION : 0);
}

/** No control byte, no space at either end (RFC 9113 §8.2.1, and RFC 9110 §5.5 for what goes on as HTTP/1). */
function infoOfValue(bytes: Uint8Array, start: number, length: number): number {
  if (length === 0) return 0;
  const [first, last] = [bytes[start], bytes[start + length - 1]];
  if (first === SP || first === HTAB || last === SP || last === HTAB) return BAD_VALUE;
  for (let i = start; i < start + length; i++) if (VALUE[bytes[i]] === 0) return BAD_VALUE;
  return 0;
}

const STATIC_INFO: Readonly<Int32Array> = Int32Array.from({ length: STATIC_COUNT + 1 }, (_, index) =>
  index === 0 ? 0 : infoOfName(STATIC_BYTES, STATIC_START[index], STATIC_NAME_BYTES[index]),
);

const FIRST_WORDS = HEAD.FIELDS + 16 * FIELD_WORDS;
const FIRST_BYTES = 1024;

/**
 * Decodes field blocks (RFC 7541) into head tables (head-layout.ts). Names and values are laid into one array, each field as the line
 * `name: value CRLF`, so that a head can be sent on as HTTP/1 without being taken apart again. `:authority` becomes the line `host`; crumbs of a
 * cookie are joined (RFC 9113 §8.2.3). There is one head, filled anew for each block.
 *
 * Two kinds of faults: what breaks the compression of the connection is thrown as CodecError, offset from the block's first byte. What breaks the
 * message only is in `fault`, and the block is decoded to its end all the same, because the table must follow (RFC 9113 §4.3); nothing more is laid out then.
 */
export class HpackDecoder {
  readonly table: DynamicTable;
  /** The message's own fault, and where its field begins; undefined: it has none. */
  fault: FaultCode | undefined;
  faultOffset = 0;
  /** Size of the last header list as RFC 9113 §6.5.2 counts it, as far as it was laid out. */
  listBytes = 0;

  /** SETTINGS_HEADER_TABLE_SIZE as the peer has acknowledged it. */
  #allowedBytes: number;
  /** The next block must take the table to this size at most; -1: it need not. */
  #requiredBytes = -1;
  #block: Uint8Array = STATIC_BYTES;
  #start = 0;
  #at = 0;
  #end = 0;
  /** Where the field begins that is being decoded. */
  #field = 0;
  #kind: BlockKind = BLOCK.FIELDS;
  #limits: ListLimits | undefined;

  #arena = new Uint8Array(0);
  #tail = 0;
  #ints = new Int32Array(0);
  readonly #head = new Head(this.#arena, this.#ints);
  #fields = 0;
  #hasRegular = false;
  #pseudos = 0;
  /** Line of the cookie, or -1; crumbs that do not follow it directly: start and length. */
  #cookie = -1;
  #crumbs: number[] = [];

  /** `maxTableBytes`: SETTINGS_HEADER_TABLE_SIZE, 4,096 until the peer has acknowledged another one. */
  constructor(maxTableBytes: number = LIMIT.DEFAULT_TABLE_SIZE) {
    this.#allowedBytes = maxTableBytes;
    this.table = new DynamicTable(maxTableBytes);
  }

  /** The peer has acknowledged another SETTINGS_HEADER_TABLE_SIZE. After a lower one its next block must say that it follows (RFC 7541 §4.2). */
  setMaxTableBytes(bytes: number): void {
    this.#allowedBytes = bytes;
    if (bytes < this.table.maxSize) this.#requiredBytes = this.#requiredBytes < 0 ? bytes : Math.min(this.#requiredBytes, bytes);
  }

  /** Decodes `block[start, end)`. The head is good until the next call. Throws CodecError with a COMPRESSION_ERROR. */
  decode(block: Uint8Array, start: number, end: number, kind: BlockKind, limits: ListLimits): Head {
    this.#begin(block, start, end, kind, limits);
    let updates = 0;
    let hasFields = false;
    while (this.#at < end) {
      const first = block[this.#at];
      this.#field = this.#at;
      if ((first & 0xe0) === 0x20) {
        if (hasFields || ++updates > 2) this.#break('LATE_TABLE_SIZE', this.#field);
        this.#resize(this.#integer(0x1f));
        continue;
      }
      if (!hasFields && this.#requiredBytes >= 0) this.#break('MISSING_TABLE_SIZE', this.#field);
      hasFields = true;
      if (first >= 0x80) this.#indexed(this.#integer(0x7f));
      else if (first >= 0x40) this.#literal(this.#integer(0x3f), true, false);
      else this.#literal(this.#integer(0x0f), false, first >= 0x10);
    }
    if (kind !== BLOCK.FIELDS && this.fault === undefined) this.#finish();
    this.#ints[HEAD.HEAD_BYTES] = this.#tail;
    this.#head.bytes = this.#arena;
    this.#head.ints = this.#ints;
    return this.#head;
  }

  /** Lets go of the memory of the last head: for a connection that has nothing to read. */
  release(): void {
    this.#arena = new Uint8Array(0);
    this.#ints = new Int32Array(0);
    this.#head.bytes = this.#arena;
    this.#head.ints = this.#ints;
  }

  #begin(block: Uint8Array, start: number, end: number, kind: BlockKind, limits: ListLimits): void {
    if (this.#ints.length === 0) {
      this.#ints = new Int32Array(FIRST_WORDS);
      this.#arena = new Uint8Array(FIRST_BYTES);
    }
    this.#block = block;
    this.#start = start;
    this.#at = start;
    this.#end = end;
    this.#kind = kind;
    this.#limits = limits;
    this.fault = undefined;
    this.faultOffset = 0;
    this.listBytes = 0;
    this.#tail = 0;
    this.#fields = 0;
    this.#hasRegular = false;
    this.#pseudos = 0;
    this.#cookie = -1;
    this.#crumbs.length = 0;
    const ints = this.#ints;
    ints.fill(0, 0, HEAD.FIELDS);
    ints[HEAD.LENGTH_LOW] = -1;
    ints[HEAD.LENGTH_HIGH] = -1;
    ints[HEAD.FLAGS] = HEAD_FLAG.HTTP_2 | HEAD_FLAG.HTTP_11 | HEAD_FLAG.KEEP_ALIVE;
  }

  #break(code: FaultCode, at: number): never {
    throw new CodecError('http2', code, at - this.#start);
  }
  /** The first fault of a message counts. */
  #fail(code: FaultCode, at = this.#field): undefined {
    if (this.fault !== undefined) return;
    this.fault = code;
    this.faultOffset = at - this.#start;
  }

  /** RFC 7541 §5.1. At most 32 bits and 6 octets. */
  #integer(prefix: number): number {
    const start = this.#at;
    const first = this.#block[this.#at++] & prefix;
    if (first < prefix) return first;
    let value = first;
    let scale = 1;
    for (let octets = 0; octets < LIMIT.MAX_INTEGER_OCTETS; octets++) {
      if (this.#at === this.#end) this.#break('TRUNCATED_BLOCK', this.#end);
      const octet = this.#block[this.#at++];
      value += (octet & 0x7f) * scale;
      if (value > 0xffff_ffff) this.#break('BAD_INTEGER', start);
      if (octet < 0x80) return value;
      scale *= 128;
    }
    this.#break('BAD_INTEGER', start);
  }

  /** RFC 7541 §6.3. */
  #resize(bytes: number): void {
    if (bytes > this.#allowedBytes) this.#break('BAD_TABLE_SIZE', this.#field);
    if (bytes <= this.#requiredBytes) this.#requiredBytes = -1;
    this.table.resize(bytes);
  }

  /** Where a dynamic index is in the table's slots. */
  #slotOf(index: number): number {
    const back = index - STATIC_COUNT;
    if (back > this.table.count) this.#break('BAD_INDEX', this.#field);
    return this.table.slot(this.table.inserted - back);
  }

  /** RFC 7541 §6.1. */
  #indexed(index: number): void {
    if (index === 0) this.#break('BAD_INDEX', this.#field);
    if (index <= STATIC_COUNT) {
      this.#copied(STATIC_BYTES, STATIC_START[index], STATIC_NAME_BYTES[index], STATIC_VALUE_BYTES[index], STATIC_INFO[index]);
      return;
    }
    const at = this.#slotOf(index);
    const { bytes, slots } = this.table;
    this.#copied(bytes, slots[at], slots[at + 1], slots[at + 2], slots[at + 3]);
  }

  /** A field whose bytes, name and value, are in a table: counted before they are copied. */
  #copied(bytes: Uint8Array, start: number, nameBytes: number, valueBytes: number, info: number): void {
    if (this.fault !== undefined || !this.#counts(nameBytes, valueBytes, info)) return;
    this.#reserve(nameBytes + valueBytes + 4);
    const arena = this.#arena;
    let at = this.#tail;
    for (let i = start; i < start + nameBytes; i++) arena[at++] = bytes[i];
    arena[at++] = COLON;
    arena[at++] = SP;
    const valueEnd = start + nameBytes + valueBytes;
    for (let i = start + nameBytes; i < valueEnd; i++) arena[at++] = bytes[i];
    this.#take(nameBytes, valueBytes, info, 0);
  }

  /** RFC 7541 §6.2. The line is laid out behind the last one, where it stays if the message takes it. */
  #literal(nameIndex: number, isAdded: boolean, isNever: boolean): void {
    const line = this.#tail;
    let nameBytes: number;
    let info: number;
    if (nameIndex === 0) {
      nameBytes = this.#string(line) - line;
      info = infoOfName(this.#arena, line, nameBytes);
    } else {
      let bytes: Uint8Array = STATIC_BYTES;
      let start: number;
      if (nameIndex <= STATIC_COUNT) {
        start = STATIC_START[nameIndex];
        nameBytes = STATIC_NAME_BYTES[nameIndex];
        info = STATIC_INFO[nameIndex];
      } else {
        const at = this.#slotOf(nameIndex);
        bytes = this.table.bytes;
        start = this.table.slots[at];
        nameBytes = this.table.slots[at + 1];
        info = this.table.slots[at + 3] & NAME_BITS;
      }
      this.#reserve(nameBytes + 4);
      for (let i = 0; i < nameBytes; i++) this.#arena[line + i] = bytes[start + i];
    }
    const value = line + nameBytes + 2;
    const valueBytes = this.#string(value) - value;
    const arena = this.#arena;
    arena[value - 2] = COLON;
    arena[value - 1] = SP;
    info |= infoOfValue(arena, value, valueBytes);
    if (isAdded) this.table.add(arena, line, nameBytes, arena, value, valueBytes, info);
    if (this.fault === undefined && this.#counts(nameBytes, valueBytes, info)) this.#take(nameBytes, valueBytes, info, isNever ? NEVER_INDEXED : 0);
  }

  /** RFC 7541 §5.2: lays a string out at `to` and gives its end. There is room for a line's separators behind it. */
  #string(to: number): number {
    const start = this.#at;
    if (start === this.#end) this.#break('TRUNCATED_BLOCK', this.#end);
    const isHuffman = this.#block[start] >= 0x80;
    const length = this.#integer(0x7f);
    const [from, end] = [this.#at, this.#at + length];
    if (end > this.#end) this.#break('TRUNCATED_BLOCK', this.#end);
    this.#at = end;
    this.#reserve(to - this.#tail + (isHuffman ? mostDecodedBytes(length) : length) + 4);
    const arena = this.#arena;
    if (isHuffman) {
      const decoded = huffmanDecode(this.#block, from, end, arena, to);
      if (decoded < 0) this.#break('BAD_HUFFMAN', start);
      return decoded;
    }
    for (let i = 0; i < length; i++) arena[to + i] = this.#block[from + i];
    return to + length;
  }

  /** Counts a field; false: it is one too many. */
  #counts(nameBytes: number, valueBytes: number, info: number): boolean {
    const limits = this.#limits as ListLimits;
    this.listBytes += nameBytes + valueBytes + ENTRY_OVERHEAD;
    if ((info & PSEUDO) === 0 || this.#kind === BLOCK.FIELDS) this.#fields++;
    if (this.listBytes > limits.maxHeadBytes) this.#fail('HEAD_TOO_LARGE');
    else if (this.#fields > limits.maxHeaders) this.#fail('TOO_MANY_HEADERS');
    return this.fault === undefined;
  }

  #reserve(bytes: number): void {
    const needed = this.#tail + bytes;
    if (needed <= this.#arena.length) return;
    const arena = new Uint8Array(Math.max(2 * this.#arena.length, needed));
    // What is laid out behind the tail, a literal's name, moves along.
    arena.set(this.#arena);
    this.#arena = arena;
  }

  /** The field whose name and value lie at the tail with a colon and a space between them. */
  #take(nameBytes: number, valueBytes: number, info: number, never: number): undefined {
    const line = this.#tail;
    const value = line + nameBytes + 2;
    if (this.#kind === BLOCK.FIELDS) {
      if (nameBytes >= LIMIT.MAX_NAME_BYTES) return this.#fail('BAD_NAME');
      this.#commit(line, nameBytes, value, valueBytes, info & ID, never);
      return;
    }
    if ((info & BAD_NAME) !== 0) return this.#fail('BAD_NAME');
    if ((info & BAD_VALUE) !== 0) return this.#fail('BAD_VALUE');
    if ((info & PSEUDO) !== 0) return this.#pseudo((info & PSEUDO) >> PSEUDO_SHIFT, value, valueBytes, never);
    this.#hasRegular = true;
    if ((info & CONNECTION) !== 0) return this.#fail('CONNECTION_FIELD');
    if ((info & UNDERSCORE) !== 0 && this.#limits?.underscores !== 'allow') {
      if (this.#limits?.underscores === 'reject') this.#fail('UNDERSCORE_IN_NAME');
      return;
    }
    if (this.#kind === BLOCK.TRAILERS) {
      if (matchesName(latin1(this.#arena, line, nameBytes), FORBIDDEN_TRAILERS)) return;
      this.#commit(line, nameBytes, value, valueBytes, info & ID, never);
      return;
    }
    const isRequest = this.#kind === BLOCK.REQUEST;
    switch (info & ID) {
      case KNOWN_ID.te:
        // RFC 9113 §8.2.2
        if (!isText(TRAILERS, this.#arena, value, value + valueBytes)) return this.#fail('BAD_TE');
        never |= HOP_BY_HOP;
        break;
      case KNOWN_ID['content-length']:
        if (!this.#takeLength(value, valueBytes)) return;
        break;
      case KNOWN_ID.expect:
        if (isRequest && latin1(this.#arena, value, valueBytes).toLowerCase() === CONTINUE) this.#ints[HEAD.FLAGS] |= HEAD_FLAG.EXPECT_CONTINUE;
        break;
      case KNOWN_ID.host:
        if (isRequest && !this.#takeHost(value, valueBytes)) return;
        break;
      case KNOWN_ID.cookie:
        if (isRequest && this.#cookie >= 0) return this.#takeCrumb(value, valueBytes, never);
        if (isRequest) this.#cookie = this.#ints[HEAD.COUNT];
        break;
    }
    this.#commit(line, nameBytes, value, valueBytes, info & ID, never);
  }

  /** Puts a line into the table; its bytes stay. */
  #commit(line: number, nameBytes: number, value: number, valueBytes: number, id: number, bits: number): void {
    const count = this.#ints[HEAD.COUNT];
    const at = HEAD.FIELDS + count * FIELD_WORDS;
    if (at === this.#ints.length) {
      const larger = new Int32Array(HEAD.FIELDS + 2 * (at - HEAD.FIELDS));
      larger.set(this.#ints);
      this.#ints = larger;
    }
    const ints = this.#ints;
    ints[HEAD.COUNT] = count + 1;
    ints[at] = line;
    ints[at + 1] = nameBytes | (id << 16) | bits;
    ints[at + 2] = value;
    ints[at + 3] = valueBytes;
    if (id !== 0 && ints[HEAD.KNOWN + id - 1] === 0) ints[HEAD.KNOWN + id - 1] = count + 1;
    this.#keep(value + valueBytes);
  }
  /** What lies before `end` stays. */
  #keep(end: number): void {
    this.#arena[end] = CR;
    this.#arena[end + 1] = LF;
    this.#tail = end + 2;
  }

  /** RFC 9113 §8.3. */
  #pseudo(pseudo: number, value: number, valueBytes: number, never: number): undefined {
    const isResponse = pseudo === PSEUDO_ID.status;
    if (pseudo === PSEUDO_ID.unknown || this.#kind !== (isResponse ? BLOCK.RESPONSE : BLOCK.REQUEST)) return this.#fail('UNKNOWN_PSEUDO');
    if (this.#hasRegular) return this.#fail('LATE_PSEUDO');
    if ((this.#pseudos & (1 << pseudo)) !== 0) return this.#fail('DUPLICATE_PSEUDO');
    this.#pseudos |= 1 << pseudo;
    const [ints, arena, end] = [this.#ints, this.#arena, value + valueBytes];
    switch (pseudo) {
      case PSEUDO_ID.method:
        if (valueBytes > LIMIT.MAX_METHOD_BYTES) return this.#fail('METHOD_TOO_LONG');
        if (!isToken(arena, value, end)) return this.#fail('BAD_METHOD');
        ints[HEAD.METHOD] = value;
        ints[HEAD.METHOD_BYTES] = valueBytes;
        break;
      case PSEUDO_ID.scheme:
        if (!isScheme(arena, value, end)) return this.#fail('BAD_SCHEME');
        ints[HEAD.SCHEME] = value;
        ints[HEAD.SCHEME_BYTES] = valueBytes;
        break;
      case PSEUDO_ID.path:
        if (valueBytes > (this.#limits as ListLimits).maxTargetBytes) return this.#fail('TARGET_TOO_LARGE');
        if (!isPath(arena, value, end)) return this.#fail('BAD_PATH');
        ints[HEAD.PATH] = value;
        ints[HEAD.PATH_BYTES] = valueBytes;
        ints[HEAD.TARGET] = value;
        ints[HEAD.TARGET_BYTES] = valueBytes;
        break;
      case PSEUDO_ID.protocol:
        if (!this.#limits?.extendedConnect) return this.#fail('UNKNOWN_PSEUDO');
        if (!isToken(arena, value, end)) return this.#fail('BAD_CONNECT');
        ints[HEAD.PROTOCOL] = value;
        ints[HEAD.PROTOCOL_BYTES] = valueBytes;
        break;
      case PSEUDO_ID.authority:
        if (!isAuthority(arena, value, end, false)) return this.#fail('BAD_AUTHORITY');
        ints[HEAD.AUTHORITY] = value;
        ints[HEAD.AUTHORITY_BYTES] = valueBytes;
        // The line `host`: its name takes the end of the longer `:authority`.
        arena.set(HOST, value - 2 - HOST.length);
        arena[value - 2] = COLON;
        arena[value - 1] = SP;
        this.#commit(value - 2 - HOST.length, HOST.length, value, valueBytes, KNOWN_ID.host, never);
        return;
      case PSEUDO_ID.status: {
        const status = valueBytes === 3 ? statusOf(arena, value) : 0;
        if (status < 100 || status === 101) return this.#fail('BAD_STATUS');
        ints[HEAD.STATUS] = status;
        return;
      }
    }
    this.#keep(end);
  }

  /** RFC 9110 §8.6: 1*DIGIT. */
  #takeLength(value: number, valueBytes: number): boolean {
    const [ints, arena] = [this.#ints, this.#arena];
    if (ints[HEAD.KNOWN + KNOWN_ID['content-length'] - 1] !== 0) this.#fail('DUPLICATE_CONTENT_LENGTH');
    // Exact up to 2^53; beyond that every further digit keeps it unsafe.
    let length = valueBytes > 0 ? 0 : Number.NaN;
    for (let at = value; at < value + valueBytes; at++) length = isDigit(arena[at]) ? length * 10 + (arena[at] - 0x30) : Number.NaN;
    if (!Number.isSafeInteger(length)) this.#fail('BAD_CONTENT_LENGTH');
    if (this.fault !== undefined) return false;
    ints[HEAD.LENGTH_LOW] = length | 0;
    ints[HEAD.LENGTH_HIGH] = Math.floor(length / 0x1_0000_0000);
    return true;
  }

  /** RFC 9113 §8.3.1: Host must say what `:authority` says, and is then left out. True: it becomes a line. */
  #takeHost(value: number, valueBytes: number): boolean {
    const [ints, arena] = [this.#ints, this.#arena];
    const authority = ints[HEAD.AUTHORITY];
    if ((this.#pseudos & (1 << PSEUDO_ID.authority)) !== 0) {
      let isSame = ints[HEAD.AUTHORITY_BYTES] === valueBytes;
      for (let i = 0; isSame && i < valueBytes; i++) isSame = lower(arena[value + i]) === lower(arena[authority + i]);
      if (!isSame) this.#fail('HOST_MISMATCH');
      return false;
    }
    if (ints[HEAD.KNOWN + KNOWN_ID.host - 1] !== 0) this.#fail('DUPLICATE_HOST');
    else if (!isAuthority(arena, value, value + valueBytes, false)) this.#fail('BAD_HOST');
    return this.fault === undefined;
  }

  /** A further crumb of the cookie: joined where it follows directly, else kept until the end. */
  #takeCrumb(value: number, valueBytes: number, never: number): undefined {
    const [ints, arena] = [this.#ints, this.#arena];
    const at = HEAD.FIELDS + this.#cookie * FIELD_WORDS;
    const end = ints[at + 2] + ints[at + 3];
    ints[at + 1] |= never;
    if (this.#crumbs.length > 0 || end + 2 !== this.#tail) {
      this.#crumbs.push(value, valueBytes);
      this.#keep(value + valueBytes);
      return;
    }
    arena[end] = SEMICOLON;
    arena[end + 1] = SP;
    arena.copyWithin(end + 2, value, value + valueBytes);
    ints[at + 3] += 2 + valueBytes;
    this.#keep(end + 2 + valueBytes);
  }
  #joinCrumbs(): void {
    const at = HEAD.FIELDS + this.#cookie * FIELD_WORDS;
    let bytes = COOKIE.length + 2 + this.#ints[at + 3];
    for (let i = 0; i < this.#crumbs.length; i += 2) bytes += 2 + this.#crumbs[i + 1];
    this.#reserve(bytes + 2);
    const [ints, arena, line] = [this.#ints, this.#arena, this.#tail];
    const value = line + COOKIE.length + 2;
    arena.set(COOKIE, line);
    arena[value - 2] = COLON;
    arena[value - 1] = SP;
    arena.copyWithin(value, ints[at + 2], ints[at + 2] + ints[at + 3]);
    let to = value + ints[at + 3];
    for (let i = 0; i < this.#crumbs.length; i += 2) {
      arena[to++] = SEMICOLON;
      arena[to++] = SP;
      arena.copyWithin(to, this.#crumbs[i], this.#crumbs[i] + this.#crumbs[i + 1]);
      to += this.#crumbs[i + 1];
    }
    ints[at] = line;
    ints[at + 2] = value;
    ints[at + 3] = to - value;
    this.#keep(to);
  }

  /** What only the whole block shows; its faults are at the end of the block. */
  #finish(): undefined {
    if (this.#crumbs.length > 0) this.#joinCrumbs();
    const [ints, arena] = [this.#ints, this.#arena];
    const has = (pseudo: number) => (this.#pseudos & (1 << pseudo)) !== 0;
    if (this.#kind === BLOCK.RESPONSE) {
      ints[HEAD.FLAGS] |= HEAD_FLAG.RESPONSE;
      if (!has(PSEUDO_ID.status)) this.#fail('MISSING_PSEUDO', this.#end);
      return;
    }
    if (this.#kind !== BLOCK.REQUEST) return;
    if (!has(PSEUDO_ID.method)) return this.#fail('MISSING_PSEUDO', this.#end);
    const method = ints[HEAD.METHOD];
    const methodEnd = method + ints[HEAD.METHOD_BYTES];
    const isConnect = isText(CONNECT_METHOD, arena, method, methodEnd);
    if (isConnect && !has(PSEUDO_ID.protocol)) {
      // RFC 9113 §8.5
      if (!has(PSEUDO_ID.authority) || has(PSEUDO_ID.scheme) || has(PSEUDO_ID.path)) return this.#fail('BAD_CONNECT', this.#end);
      if (!isAuthority(arena, ints[HEAD.AUTHORITY], ints[HEAD.AUTHORITY] + ints[HEAD.AUTHORITY_BYTES], true))
        return this.#fail('BAD_CONNECT', this.#end);
      ints[HEAD.TARGET] = ints[HEAD.AUTHORITY];
      ints[HEAD.TARGET_BYTES] = ints[HEAD.AUTHORITY_BYTES];
      ints[HEAD.FLAGS] |= HEAD_FLAG.CONNECT;
      return;
    }
    if (!has(PSEUDO_ID.scheme) || !has(PSEUDO_ID.path)) return this.#fail('MISSING_PSEUDO', this.#end);
    if (has(PSEUDO_ID.protocol)) {
      // RFC 8441 §4
      if (!isConnect || !has(PSEUDO_ID.authority)) return this.#fail('BAD_CONNECT', this.#end);
      ints[HEAD.FLAGS] |= HEAD_FLAG.EXTENDED_CONNECT;
      return;
    }
    if (arena[ints[HEAD.PATH]] === STAR && !isText(OPTIONS_METHOD, arena, method, methodEnd)) return this.#fail('BAD_PATH', this.#end);
    if (isOneOf(IDEMPOTENT, arena, method, methodEnd)) ints[HEAD.FLAGS] |= HEAD_FLAG.IDEMPOTENT;
    if (isText(HEAD_METHOD, arena, method, methodEnd)) ints[HEAD.FLAGS] |= HEAD_FLAG.HEAD_METHOD;
  }
}

const { latin1Slice } = Buffer.prototype;
const latin1 = (bytes: Uint8Array, start: number, length: number): string => latin1Slice.call(bytes, start, start + length);
const lower = (byte: number): number => (byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte);

function isToken(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at++) if (TOKEN[bytes[at]] === 0) return false;
  return end > start;
}
/** RFC 3986 §3.1. */
function isScheme(bytes: Uint8Array, start: number, end: number): boolean {
  if (start === end || !isAlpha(bytes[start])) return false;
  for (let at = start; at < end; at++) {
    const byte = bytes[at];
    if (!isAlpha(byte) && !isDigit(byte) && byte !== 0x2b && byte !== 0x2d && byte !== 0x2e) return false;
  }
  return true;
}
/** Origin form, or `*` (RFC 9113 §8.3.1). */
function isPath(bytes: Uint8Array, start: number, end: number): boolean {
  if (end === start || (bytes[start] !== SLASH && (bytes[start] !== STAR || end !== start + 1))) return false;
  for (let at = start; at < end; at++) if (!isTargetByte(bytes[at])) return false;
  return true;
}
function statusOf(bytes: Uint8Array, at: number): number {
  if (!isDigit(bytes[at]) || !isDigit(bytes[at + 1]) || !isDigit(bytes[at + 2])) return 0;
  return (bytes[at] - 0x30) * 100 + (bytes[at + 1] - 0x30) * 10 + bytes[at + 2] - 0x30;
}

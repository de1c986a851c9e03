import { isSpace } from '../../../src/protocol/chars.js';
import type { Edits } from '../../../src/protocol/edits.js';
import type { Head } from '../../../src/protocol/head.js';
import { EDIT, FIELD_WORDS, HEAD, HEAD_FLAG, HOP_BY_HOP, KNOWN_ID, LINE_WORDS, NEVER_INDEXED } from '../../../src/protocol/head-layout.js';
import { knownIdOf } from '../../../src/protocol/known-names.js';
import type { OutFields } from '../../../src/protocol/stream-framing.js';
import { LIMIT } from '../spec.js';
import { DynamicTable } from './dynamic-table.js';
import { huffmanEncode, huffmanLength } from './huffman.js';
import { STATIC_BYTES, STATIC_COUNT, STATIC_NAME_BYTES, STATIC_START, STATIC_VALUE_BYTES } from './static-table.js';
import { ENTRY_OVERHEAD, MIN_INDEXED_COOKIE_BYTES, NEVER_INDEXED_NAMES, NOT_INDEXED_NAMES, STATIC_TABLE } from './tables.js';

const ascii = (text: string): Uint8Array => Buffer.from(text, 'latin1');
const [METHOD, SCHEME, AUTHORITY, PATH, PROTOCOL, STATUS] = [':method', ':scheme', ':authority', ':path', ':protocol', ':status'].map(ascii);
const [CONTENT_LENGTH, COOKIE, CONNECT, HEAD_METHOD, OPTIONS] = ['content-length', 'cookie', 'CONNECT', 'HEAD', 'OPTIONS'].map(ascii);
const [SLASH, STAR, HTTP, TRAILERS, GRPC] = ['/', '*', 'http', 'trailers', 'application/grpc'].map(ascii);
const NO_BYTES = new Uint8Array(0);

/** What becomes of a field: it is put into the table, or not, or must not be (RFC 7541 §6.2.3). */
const POLICY = { index: 0, not: 1, never: 2 } as const;
const COOKIE_INDEX = STATIC_TABLE.findIndex(([name]) => name === 'cookie') + 1;

// FNV-1a.
const HASH_START = 0x811c9dc5 | 0;
const HASH_PRIME = 0x01000193;
const hashOf = (text: string): number => [...ascii(text)].reduce((hash, byte) => Math.imul(hash ^ byte, HASH_PRIME), HASH_START);
/** Of a long value only so many bytes at either end are hashed: a whole one costs more than the comparison of two that are alike, and a chain is at most the table. */
const [HASHED_FRONT, HASHED_BACK] = [8, 16];
/** Hash of a name and a value, from the name's. */
function pairHashOf(nameHash: number, bytes: Uint8Array, start: number, length: number): number {
  let hash = Math.imul(nameHash ^ (length & 0xff), HASH_PRIME);
  const end = start + length;
  const isLong = length > HASHED_FRONT + HASHED_BACK;
  const front = isLong ? start + HASHED_FRONT : end;
  for (let i = start; i < front; i++) hash = Math.imul(hash ^ bytes[i], HASH_PRIME);
  if (isLong) for (let i = end - HASHED_BACK; i < end; i++) hash = Math.imul(hash ^ bytes[i], HASH_PRIME);
  return hash;
}
const bucketOf = (hash: number, mask: number): number => (hash ^ (hash >>> 15)) & mask;

/** Names of the static table, and others with a policy, by their hash: open addressing. A name's first index counts. */
const NAMES = nameTable();
const NAMES_MASK = 255;
/** Entries of the static table that have a value, by the hash of both. */
const PAIRS = pairTable();
const PAIRS_MASK = 63;

function nameTable() {
  const names = [...new Set([...STATIC_TABLE.map(([name]) => name as string), ...NEVER_INDEXED_NAMES, ...NOT_INDEXED_NAMES])];
  const hashes = new Int32Array(256);
  const texts: (Uint8Array | undefined)[] = Array.from({ length: 256 });
  const indexes = new Uint8Array(256);
  const policies = new Uint8Array(256);
  for (const name of names) {
    const hash = hashOf(name);
    let at = bucketOf(hash, 255);
    while (texts[at] !== undefined) at = (at + 1) & 255;
    hashes[at] = hash;
    texts[at] = ascii(name);
    indexes[at] = STATIC_TABLE.findIndex(([other]) => other === name) + 1;
    if ((NOT_INDEXED_NAMES as readonly string[]).includes(name)) policies[at] = POLICY.not;
    if ((NEVER_INDEXED_NAMES as readonly string[]).includes(name)) policies[at] = POLICY.never;
  }
  return { hashes, texts, indexes, policies };
}
function pairTable(): Uint8Array {
  const indexes = new Uint8Array(64);
  STATIC_TABLE.forEach(([name, value], index) => {
    if (value === '') return;
    let at = bucketOf(pairHashOf(hashOf(name), ascii(value), 0, value.length), 63);
    while (indexes[at] !== 0) at = (at + 1) & 63;
    indexes[at] = index + 1;
  });
  return indexes;
}

const BUCKETS = 128;

/**
 * Writes field blocks (RFC 7541). What is the same for both implementations: strings are Huffman-coded where that is shorter and they are to come again; a field
 * goes into the table unless it is secret, seldom comes again (and its name is there), or takes more than three quarters of it; a cookie is split into its crumbs.
 * What a method gives is good until the next call.
 */
export class HpackEncoder {
  readonly table: DynamicTable;
  /** The method of the last request written is HEAD, or CONNECT without `:protocol`: its response has no body, or is a tunnel. */
  isHead = false;
  isConnect = false;

  readonly #ownBytes: number;
  /** Sizes that the next block must begin with: the smallest since the last one, and the last; -1: none. */
  #smallest = -1;
  #last = -1;
  #out = new Uint8Array(256);
  #at = 0;
  /** The field's name in lower case. */
  #name = new Uint8Array(64);
  // Number of the newest entry whose hash falls into a bucket, and of the next older one for each slot of the ring: by name, and by name and value.
  #byName = NO_IDS;
  #byPair = NO_IDS;
  #olderName = NO_IDS;
  #olderPair = NO_IDS;
  #mask = 0;
  #decimal = new Uint8Array(16);

  /** `ownBytes`: the most that our table takes, whatever the peer offers. The peer's table has 4,096 bytes until it says something else. */
  constructor(ownBytes: number = LIMIT.DEFAULT_TABLE_SIZE) {
    this.#ownBytes = ownBytes;
    this.table = new DynamicTable(LIMIT.DEFAULT_TABLE_SIZE);
    if (ownBytes < LIMIT.DEFAULT_TABLE_SIZE) this.setPeerTableBytes(LIMIT.DEFAULT_TABLE_SIZE);
  }

  /** The peer's SETTINGS_HEADER_TABLE_SIZE. The next block says what we take of it (RFC 7541 §4.2). */
  setPeerTableBytes(bytes: number): void {
    const size = Math.min(bytes, this.#ownBytes);
    if (size === this.table.maxSize) return;
    this.#smallest = this.#smallest < 0 ? size : Math.min(this.#smallest, size);
    this.#last = size;
    this.table.resize(size);
  }

  /** Begins a block. `head`, `lines` and `trailers` do that themselves. */
  begin(): void {
    this.#at = 0;
    if (this.#last < 0) return;
    if (this.#smallest < this.#last) this.#integer(0x20, 0x1f, this.#smallest);
    this.#integer(0x20, 0x1f, this.#last);
    this.#smallest = -1;
    this.#last = -1;
  }
  /** The block that was written. */
  end(): Uint8Array {
    return this.#out.subarray(0, this.#at);
  }

  /**
   * A head as it is sent on, changed by `edits`; without `head` one is made from `edits` alone: a response where it has a status, else a request. The rules are
   * those of HTTP/1 (codecs/http1/encoder.ts); what HTTP/2 does not have is left out (RFC 9113 §8.2.2).
   */
  head(head: Head | undefined, edits: Edits, how: OutFields): Uint8Array {
    const edit = edits.ints;
    this.begin();
    const isResponse = head === undefined ? edit[EDIT.STATUS] !== 0 : head.isResponse;
    const status = edit[EDIT.STATUS] !== 0 ? edit[EDIT.STATUS] : (head?.status ?? 0);
    if (isResponse) {
      const length = this.#number(status);
      this.field(STATUS, 0, STATUS.length, this.#decimal, 0, length, POLICY.index);
    } else this.#request(head, edits, how);
    // RFC 9110 §8.6: no Content-Length in 1xx and 204.
    const writesLength = how.contentLength >= 0 && (!isResponse || (status >= 200 && status !== 204));
    let wroteLength = false;
    if (head !== undefined) wroteLength = this.#lines(head, edits, writesLength ? how.contentLength : -1);
    this.#text(edits.bytes, edit[EDIT.APPEND], edit[EDIT.APPEND] + edit[EDIT.APPEND_BYTES], isResponse);
    if (writesLength && !wroteLength) this.#contentLength(how.contentLength);
    return this.end();
  }

  /** Ready-made lines, each with its CRLF: the trailers of HTTP/1. */
  lines(bytes: Uint8Array): Uint8Array {
    this.begin();
    this.#text(bytes, 0, bytes.length, true);
    return this.end();
  }

  /** The trailers of HTTP/2: the lines of a table, secret ones kept so. */
  trailers(head: Head): Uint8Array {
    this.begin();
    const { bytes, ints, base, count } = head;
    for (let index = 0, at = base + HEAD.FIELDS; index < count; index++, at += FIELD_WORDS) {
      const packed = ints[at + 1];
      this.field(bytes, ints[at], packed & 0xffff, bytes, ints[at + 2], ints[at + 3], (packed & NEVER_INDEXED) !== 0 ? POLICY.never : POLICY.index);
    }
    return this.end();
  }

  #request(head: Head | undefined, edits: Edits, how: OutFields): void {
    const edit = edits.ints;
    const isUpgrade = how.upgrade || (head !== undefined && (head.flags & HEAD_FLAG.EXTENDED_CONNECT) !== 0);
    const word = (index: number) => (head === undefined ? 0 : head.ints[head.base + index]);
    let [bytes, start, length]: [Uint8Array, number, number] = [head?.bytes ?? NO_BYTES, word(HEAD.METHOD), word(HEAD.METHOD_BYTES)];
    if (edit[EDIT.METHOD_BYTES] >= 0) [bytes, start, length] = [edits.bytes, edit[EDIT.METHOD], edit[EDIT.METHOD_BYTES]];
    if (isUpgrade) [bytes, start, length] = [CONNECT, 0, CONNECT.length];
    this.isHead = isSame(bytes, start, length, HEAD_METHOD);
    this.isConnect = !isUpgrade && isSame(bytes, start, length, CONNECT);
    const isOptions = isSame(bytes, start, length, OPTIONS);
    this.field(METHOD, 0, METHOD.length, bytes, start, length, POLICY.index);

    if (!this.isConnect) {
      const scheme = ascii(how.scheme);
      if (scheme.length > 0) this.field(SCHEME, 0, SCHEME.length, scheme, 0, scheme.length, POLICY.index);
      else if (word(HEAD.SCHEME_BYTES) === 0) this.field(SCHEME, 0, SCHEME.length, HTTP, 0, HTTP.length, POLICY.index);
      else this.field(SCHEME, 0, SCHEME.length, (head as Head).bytes, word(HEAD.SCHEME), word(HEAD.SCHEME_BYTES), POLICY.index);
    }
    this.#authority(head, edits);
    if (this.isConnect) return;

    [bytes, start, length] = [head?.bytes ?? NO_BYTES, word(HEAD.TARGET), word(HEAD.TARGET_BYTES)];
    if (edit[EDIT.TARGET_BYTES] >= 0) [bytes, start, length] = [edits.bytes, edit[EDIT.TARGET], edit[EDIT.TARGET_BYTES]];
    else if ((word(HEAD.FLAGS) & HEAD_FLAG.ABSOLUTE_FORM) !== 0) {
      [start, length] = [word(HEAD.PATH), word(HEAD.PATH_BYTES)];
      // RFC 9113 §8.3.1: `:path` is not empty; `*` for OPTIONS without a path.
      if (length === 0) [bytes, start, length] = [isOptions ? STAR : SLASH, 0, 1];
      else if (bytes[start] === 0x3f) {
        const path = new Uint8Array(length + 1);
        path[0] = 0x2f;
        path.set(bytes.subarray(start, start + length), 1);
        [bytes, start, length] = [path, 0, length + 1];
      }
    }
    const type = head === undefined ? -1 : head.lineOf(KNOWN_ID['content-type']);
    const isGrpc = type >= 0 && startsWith(head as Head, type, GRPC);
    this.field(PATH, 0, PATH.length, bytes, start, length, isGrpc ? INDEX_ANYWAY : POLICY.index);

    if (!isUpgrade) return;
    const line = head === undefined ? -1 : head.lineOf(KNOWN_ID.upgrade);
    if (word(HEAD.PROTOCOL_BYTES) > 0)
      this.field(PROTOCOL, 0, PROTOCOL.length, (head as Head).bytes, word(HEAD.PROTOCOL), word(HEAD.PROTOCOL_BYTES), POLICY.index);
    else if (line >= 0) {
      const at = HEAD.FIELDS + line * FIELD_WORDS;
      this.field(PROTOCOL, 0, PROTOCOL.length, (head as Head).bytes, word(at + 2), word(at + 3), POLICY.index);
    }
  }

  /** `:authority`: what the Host line was changed to, the target's own, the Host line, or an added one. */
  #authority(head: Head | undefined, edits: Edits): void {
    const edit = edits.ints;
    const line = head === undefined ? -1 : head.lineOf(KNOWN_ID.host);
    if (head !== undefined && line >= 0) {
      for (let i = 0, at: number = EDIT.LINES; i < edit[EDIT.COUNT]; i++, at += LINE_WORDS) {
        if (edit[at] !== line) continue;
        if (edit[at + 2] >= 0) this.field(AUTHORITY, 0, AUTHORITY.length, edits.bytes, edit[at + 1], edit[at + 2], POLICY.index);
        else this.#addedAuthority(edits);
        return;
      }
    }
    if (head !== undefined && head.ints[head.base + HEAD.AUTHORITY_BYTES] > 0) {
      const { ints, base } = head;
      this.field(AUTHORITY, 0, AUTHORITY.length, head.bytes, ints[base + HEAD.AUTHORITY], ints[base + HEAD.AUTHORITY_BYTES], POLICY.index);
    } else if (head !== undefined && line >= 0) {
      const at = head.base + HEAD.FIELDS + line * FIELD_WORDS;
      this.field(AUTHORITY, 0, AUTHORITY.length, head.bytes, head.ints[at + 2], head.ints[at + 3], POLICY.index);
    } else this.#addedAuthority(edits);
  }
  #addedAuthority(edits: Edits): void {
    const { bytes, ints } = edits;
    const end = ints[EDIT.APPEND] + ints[EDIT.APPEND_BYTES];
    for (let at = ints[EDIT.APPEND]; at < end; ) {
      const line = lineAt(bytes, at, end);
      at = line.next;
      if (line.valueStart < 0 || knownIdOf(bytes, line.start, line.nameEnd) !== KNOWN_ID.host) continue;
      this.field(AUTHORITY, 0, AUTHORITY.length, bytes, line.valueStart, line.valueEnd - line.valueStart, POLICY.index);
      return;
    }
  }

  /** The lines of a head that go on; `contentLength` -1: none of it. True where one of them was the Content-Length. */
  #lines(head: Head, edits: Edits, contentLength: number): boolean {
    const { bytes, ints, count, isResponse } = head;
    const edit = edits.ints;
    const edited = edit[EDIT.COUNT];
    let wroteLength = false;
    for (let index = 0, change = 0, at = head.base + HEAD.FIELDS; index < count; index++, at += FIELD_WORDS) {
      const packed = ints[at + 1];
      const id = (packed >> 16) & 0xff;
      const line = EDIT.LINES + change * LINE_WORDS;
      const isEdited = change < edited && edit[line] === index;
      if (isEdited) {
        change++;
        if (edit[line + 2] < 0) continue;
      }
      if ((packed & HOP_BY_HOP) !== 0 || (id === KNOWN_ID.host && !isResponse)) continue;
      if (id === KNOWN_ID['content-length']) {
        if (contentLength < 0 || wroteLength) continue;
        wroteLength = true;
        this.#contentLength(contentLength);
        continue;
      }
      const policy = (packed & NEVER_INDEXED) !== 0 ? POLICY.never : POLICY.index;
      const [from, start, length] = isEdited ? [edits.bytes, edit[line + 1], edit[line + 2]] : [bytes, ints[at + 2], ints[at + 3]];
      if (id === KNOWN_ID.cookie && !isResponse) this.#cookie(from, start, start + length, policy);
      else this.field(bytes, ints[at], packed & 0xffff, from, start, length, policy);
    }
    return wroteLength;
  }

  /** RFC 9113 §8.2.3. */
  #cookie(bytes: Uint8Array, start: number, end: number, policy: number): void {
    let from = start;
    for (let at = start; at + 1 < end; at++) {
      if (bytes[at] !== 0x3b || bytes[at + 1] !== 0x20) continue;
      this.field(COOKIE, 0, COOKIE.length, bytes, from, at - from, policy);
      from = at + 2;
      at++;
    }
    this.field(COOKIE, 0, COOKIE.length, bytes, from, end - from, policy);
  }

  #contentLength(value: number): void {
    const length = this.#number(value);
    this.field(CONTENT_LENGTH, 0, CONTENT_LENGTH.length, this.#decimal, 0, length, POLICY.index);
  }

  /** Lines as text. Those that HTTP/2 does not have are left out, and of a request the Host, which is `:authority`. */
  #text(bytes: Uint8Array, start: number, end: number, keepsHost: boolean): void {
    for (let at = start; at < end; ) {
      const { start: nameStart, nameEnd, valueStart, valueEnd, next } = lineAt(bytes, at, end);
      at = next;
      if (valueStart < 0 || nameEnd === nameStart) continue;
      const id = knownIdOf(bytes, nameStart, nameEnd);
      if (CONNECTION_IDS.includes(id) || (id === KNOWN_ID.host && !keepsHost)) continue;
      if (id === KNOWN_ID.te && !isSame(bytes, valueStart, valueEnd - valueStart, TRAILERS)) continue;
      if (id === KNOWN_ID.cookie && !keepsHost) this.#cookie(bytes, valueStart, valueEnd, POLICY.index);
      else this.field(bytes, nameStart, nameEnd - nameStart, bytes, valueStart, valueEnd - valueStart, POLICY.index);
    }
  }

  /** Writes one field; capitals of its name become small letters. `policy`: `never` (2) where the value must not be indexed, else 0. */
  field(nameFrom: Uint8Array, nameStart: number, nameBytes: number, bytes: Uint8Array, start: number, length: number, policy = 0): void {
    if (this.#name.length < nameBytes) this.#name = new Uint8Array(2 * nameBytes);
    const name = this.#name;
    let hash = HASH_START;
    for (let i = 0; i < nameBytes; i++) {
      const byte = nameFrom[nameStart + i];
      const small = byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
      name[i] = small;
      hash = Math.imul(hash ^ small, HASH_PRIME);
    }
    let known = bucketOf(hash, NAMES_MASK);
    let text = NAMES.texts[known];
    while (text !== undefined && (NAMES.hashes[known] !== hash || !isSame(name, 0, nameBytes, text))) {
      known = (known + 1) & NAMES_MASK;
      text = NAMES.texts[known];
    }
    let nameIndex = text === undefined ? 0 : NAMES.indexes[known];
    let how: number = text === undefined ? POLICY.index : NAMES.policies[known];
    if (nameIndex === COOKIE_INDEX && length < MIN_INDEXED_COOKIE_BYTES) how = POLICY.never;
    if (policy === POLICY.never) how = POLICY.never;
    else if (policy === INDEX_ANYWAY && how === POLICY.not) how = POLICY.index;

    let pairHash = 0;
    if (how !== POLICY.never) {
      pairHash = pairHashOf(hash, bytes, start, length);
      const index = this.#findPair(pairHash, nameIndex, nameBytes, bytes, start, length);
      if (index > 0) {
        this.#reserve(8);
        this.#integer(0x80, 0x7f, index);
        return;
      }
    }
    if (nameIndex === 0) nameIndex = this.#findName(hash, nameBytes);
    const size = nameBytes + length + ENTRY_OVERHEAD;
    // Of fields that are not indexed the first one is, so that the others have a name to refer to.
    const isAdded = (how === POLICY.index || (how === POLICY.not && nameIndex === 0)) && size <= (this.table.maxSize * 3) / 4;
    this.#reserve(nameBytes + length + 24);
    if (isAdded) this.#integer(0x40, 0x3f, nameIndex);
    else this.#integer(how === POLICY.never ? 0x10 : 0x00, 0x0f, nameIndex);
    if (nameIndex === 0) this.#string(name, 0, nameBytes);
    // Huffman coding of what comes but once costs more than its bytes.
    if (how === POLICY.not) this.#plain(bytes, start, length);
    else this.#string(bytes, start, length);
    if (isAdded) this.#add(hash, pairHash, nameBytes, bytes, start, length);
  }

  /** Index of an entry with this name (the one in `#name`) and value, or 0. `nameIndex`: the name's in the static table. */
  #findPair(hash: number, nameIndex: number, nameBytes: number, bytes: Uint8Array, start: number, length: number): number {
    if (nameIndex > 0 && length > 0) {
      for (let at = bucketOf(hash, PAIRS_MASK); PAIRS[at] !== 0; at = (at + 1) & PAIRS_MASK) {
        const index = PAIRS[at];
        const from = STATIC_START[index];
        const split = from + STATIC_NAME_BYTES[index];
        if (STATIC_NAME_BYTES[index] !== nameBytes || STATIC_VALUE_BYTES[index] !== length) continue;
        if (isEqual(this.#name, 0, STATIC_BYTES, from, nameBytes) && isEqual(bytes, start, STATIC_BYTES, split, length)) return index;
      }
    }
    const { table } = this;
    if (table.count === 0) return 0;
    for (let entry = this.#byPair[bucketOf(hash, BUCKETS - 1)], last = 0; ; entry = this.#olderPair[entry & this.#mask]) {
      const age = this.#ageOf(entry, last);
      if (age === 0) return 0;
      last = age;
      const at = table.slot(entry);
      const from = table.slots[at];
      if (table.slots[at + 1] !== nameBytes || table.slots[at + 2] !== length) continue;
      if (isEqual(this.#name, 0, table.bytes, from, nameBytes) && isEqual(bytes, start, table.bytes, from + nameBytes, length))
        return STATIC_COUNT + age;
    }
  }
  #findName(hash: number, nameBytes: number): number {
    const { table } = this;
    if (table.count === 0) return 0;
    for (let entry = this.#byName[bucketOf(hash, BUCKETS - 1)], last = 0; ; entry = this.#olderName[entry & this.#mask]) {
      const age = this.#ageOf(entry, last);
      if (age === 0) return 0;
      last = age;
      const at = table.slot(entry);
      if (table.slots[at + 1] === nameBytes && isEqual(this.#name, 0, table.bytes, table.slots[at], nameBytes)) return STATIC_COUNT + age;
    }
  }
  /** 1 for the newest entry, and so on; 0 where it has been evicted, or is not older than the `last` one. Numbers are compared modulo 2^32. */
  #ageOf(entry: number, last: number): number {
    const age = (this.table.inserted - entry) >>> 0;
    return age > last && age <= this.table.count ? age : 0;
  }

  #add(hash: number, pairHash: number, nameBytes: number, bytes: Uint8Array, start: number, length: number): void {
    if (this.#byName.length === 0) {
      let slots = 1;
      while (slots * ENTRY_OVERHEAD < this.#ownBytes) slots *= 2;
      this.#mask = slots - 1;
      this.#byName = new Int32Array(BUCKETS).fill(-1);
      this.#byPair = new Int32Array(BUCKETS).fill(-1);
      this.#olderName = new Int32Array(slots);
      this.#olderPair = new Int32Array(slots);
    }
    const entry = this.table.inserted;
    if (!this.table.add(this.#name, 0, nameBytes, bytes, start, length, 0)) return;
    const [nameBucket, pairBucket, slot] = [bucketOf(hash, BUCKETS - 1), bucketOf(pairHash, BUCKETS - 1), entry & this.#mask];
    this.#olderName[slot] = this.#byName[nameBucket];
    this.#olderPair[slot] = this.#byPair[pairBucket];
    this.#byName[nameBucket] = entry;
    this.#byPair[pairBucket] = entry;
  }

  /** RFC 7541 §5.2: Huffman-coded where that is shorter. */
  #string(bytes: Uint8Array, start: number, length: number): void {
    const coded = huffmanLength(bytes, start, length);
    if (coded < length) {
      this.#integer(0x80, 0x7f, coded);
      this.#at = huffmanEncode(bytes, start, length, this.#out, this.#at);
    } else this.#plain(bytes, start, length);
  }
  /** The same, as it is. */
  #plain(bytes: Uint8Array, start: number, length: number): void {
    this.#integer(0, 0x7f, length);
    const out = this.#out;
    let at = this.#at;
    for (let i = start; i < start + length; i++) out[at++] = bytes[i];
    this.#at = at;
  }
  /** RFC 7541 §5.1, behind the bits of `first`. */
  #integer(first: number, prefix: number, value: number): void {
    const out = this.#out;
    if (value < prefix) {
      out[this.#at++] = first | value;
      return;
    }
    out[this.#at++] = first | prefix;
    let rest = value - prefix;
    for (; rest >= 128; rest = Math.floor(rest / 128)) out[this.#at++] = (rest % 128) | 0x80;
    out[this.#at++] = rest;
  }
  #reserve(bytes: number): void {
    if (this.#at + bytes <= this.#out.length) return;
    const larger = new Uint8Array(Math.max(2 * this.#out.length, this.#at + bytes));
    larger.set(this.#out.subarray(0, this.#at));
    this.#out = larger;
  }
  /** Decimal digits of a number up to 2^53; gives how many. */
  #number(value: number): number {
    let length = 1;
    for (let rest = Math.floor(value / 10); rest > 0; rest = Math.floor(rest / 10)) length++;
    for (let i = length - 1, rest = value; i >= 0; i--, rest = Math.floor(rest / 10)) this.#decimal[i] = 0x30 + (rest % 10);
    return length;
  }
}

const NO_IDS = new Int32Array(0);
/** A policy of a caller: indexed even where the name says that it is not. */
const INDEX_ANYWAY = 3;
const CONNECTION_IDS: readonly number[] = (['connection', 'proxy-connection', 'keep-alive', 'transfer-encoding', 'upgrade'] as const).map(
  (name) => KNOWN_ID[name],
);

interface Line {
  start: number;
  nameEnd: number;
  /** -1: no colon. Without spaces around it. */
  valueStart: number;
  valueEnd: number;
  next: number;
}
/** A line of text that ends with CRLF or at `end`. */
function lineAt(bytes: Uint8Array, start: number, end: number): Line {
  let lineEnd = start;
  while (lineEnd < end && bytes[lineEnd] !== 0x0d) lineEnd++;
  let nameEnd = start;
  while (nameEnd < lineEnd && bytes[nameEnd] !== 0x3a) nameEnd++;
  const next = Math.min(lineEnd + 2, end);
  if (nameEnd === lineEnd) return { start, nameEnd, valueStart: -1, valueEnd: -1, next };
  let valueStart = nameEnd + 1;
  let valueEnd = lineEnd;
  while (valueStart < valueEnd && isSpace(bytes[valueStart])) valueStart++;
  while (valueEnd > valueStart && isSpace(bytes[valueEnd - 1])) valueEnd--;
  return { start, nameEnd, valueStart, valueEnd, next };
}

function isEqual(a: Uint8Array, aStart: number, b: Uint8Array, bStart: number, length: number): boolean {
  for (let i = 0; i < length; i++) if (a[aStart + i] !== b[bStart + i]) return false;
  return true;
}
const isSame = (bytes: Uint8Array, start: number, length: number, text: Uint8Array): boolean =>
  length === text.length && isEqual(bytes, start, text, 0, length);
function startsWith(head: Head, line: number, text: Uint8Array): boolean {
  const at = head.base + HEAD.FIELDS + line * FIELD_WORDS;
  return head.ints[at + 3] >= text.length && isEqual(head.bytes, head.ints[at + 2], text, 0, text.length);
}

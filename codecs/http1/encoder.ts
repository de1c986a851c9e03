import { isAlpha, isDigit } from '../../src/protocol/chars.js';
import type { Edits } from '../../src/protocol/edits.js';
import type { BodyFraming, OutHead, Room } from '../../src/protocol/framing.js';
import type { Head } from '../../src/protocol/head.js';
import { EDIT, EDIT_FLAG, FIELD_WORDS, HEAD, HEAD_FLAG, HOP_BY_HOP, KNOWN_ID, LINE_WORDS } from '../../src/protocol/head-layout.js';
import { REASONS } from './rules.js';

const EMPTY = new Uint8Array(0);
const CRLF = Buffer.from('\r\n', 'latin1');
const LAST_CHUNK = Buffer.from('0\r\n\r\n', 'latin1');
/** Our own lines and separators never take more. */
const OWN_BYTES = 256;
/** Up to so many bytes a loop is cheaper than a view and `set`. */
const LOOP_BYTES = 32;

/** Appends to room that was made large enough beforehand (`mostHeadBytes`). */
function putText(room: Room, text: string): void {
  const { bytes } = room;
  let { at } = room;
  for (let i = 0; i < text.length; i++) bytes[at++] = text.charCodeAt(i);
  room.at = at;
}
function putBytes(room: Room, from: Uint8Array, start: number, length: number): void {
  if (length <= 0) return;
  const { bytes, at } = room;
  if (length <= LOOP_BYTES) for (let i = 0; i < length; i++) bytes[at + i] = from[start + i];
  else bytes.set(from.subarray(start, start + length), at);
  room.at = at + length;
}
function putCrlf(room: Room): void {
  room.bytes[room.at++] = 0x0d;
  room.bytes[room.at++] = 0x0a;
}

/** `writeHead` into an array of its own. */
export function encodeHead(head: Head | undefined, edits: Edits, how: OutHead): Uint8Array {
  const room = { bytes: Buffer.allocUnsafe(mostHeadBytes(head, edits)), at: 0 };
  writeHead(head, edits, how, room);
  return room.bytes.subarray(0, room.at);
}

/**
 * Appends the bytes of a head as it is sent on. Without `head` one is made from `edits` alone: a response where it has a status, else a request (method and
 * target). Lines keep order, case and spelling; hop-by-hop lines go; what is said about length and connection comes from `how`; of the edit
 * flags only PROPER_CASE counts. An absolute-form target becomes origin form, and its authority the Host (RFC 9112 §3.2.1, §3.2.2).
 */
export function writeHead(head: Head | undefined, edits: Edits, how: OutHead, room: Room): void {
  const edit = edits.ints;
  const isResponse = head === undefined ? edit[EDIT.STATUS] !== 0 : head.isResponse;
  const status = edit[EDIT.STATUS] !== 0 ? edit[EDIT.STATUS] : (head?.status ?? 0);
  const linesStart = isResponse ? writeStatusLine(head, edits, status, room) : writeRequestLine(head, edits, room);

  // RFC 9110 §8.6: no Content-Length in 1xx and 204.
  const mayHaveLength = !isResponse || (status >= 200 && status !== 204);
  const writesLength = mayHaveLength && how.contentLength >= 0 && (how.framing === 'length' || how.framing === 'none');
  const wroteLength = head !== undefined && writeLines(head, edits, how, writesLength, room);
  putBytes(room, edits.bytes, edit[EDIT.APPEND], edit[EDIT.APPEND_BYTES]);
  if (writesLength && !wroteLength) putText(room, `content-length: ${how.contentLength}\r\n`);
  if (how.framing === 'chunked') putText(room, 'transfer-encoding: chunked\r\n');
  if (how.upgrade) putText(room, 'connection: upgrade\r\n');
  else if (how.close) putText(room, 'connection: close\r\n');
  else if (how.keepAlive) putText(room, 'connection: keep-alive\r\n');
  if ((edit[EDIT.FLAGS] & EDIT_FLAG.PROPER_CASE) !== 0) properCaseLines(room.bytes.subarray(linesStart, room.at));
  putCrlf(room);
}

/**
 * The lines of a head that go on. Lines that stay as they are and lie behind one another are copied in one piece (`runStart` to `runEnd`, without the last CRLF).
 * True where one of them was the Content-Length.
 */
function writeLines(head: Head, edits: Edits, how: OutHead, writesLength: boolean, room: Room): boolean {
  const { bytes, ints, count } = head;
  const edit = edits.ints;
  const edited = edit[EDIT.COUNT];
  const hasAuthority = ints[head.base + HEAD.AUTHORITY_BYTES] > 0;
  let wroteLength = false;
  let change = 0;
  let runStart = 0;
  let runEnd = -1;
  for (let index = 0, at = head.base + HEAD.FIELDS; index < count; index++, at += FIELD_WORDS) {
    const nameStart = ints[at];
    const packed = ints[at + 1];
    const valueStart = ints[at + 2];
    const valueBytes = ints[at + 3];
    const id = (packed >> 16) & 0xff;
    const line = EDIT.LINES + change * LINE_WORDS;
    const isEdited = change < edited && edit[line] === index;
    if (isEdited) {
      change++;
      if (edit[line + 2] < 0) continue;
    }
    if ((packed & HOP_BY_HOP) !== 0 && !(how.upgrade && id === KNOWN_ID.upgrade)) continue;
    let newLength = false;
    if (id === KNOWN_ID['content-length']) {
      if (!writesLength || wroteLength) continue;
      wroteLength = true;
      // A plain number of the same value stays as it is; zeros in front might be read as octal by somebody.
      newLength = how.contentLength !== head.contentLength || (valueBytes > 1 && bytes[valueStart] === 0x30);
    }
    const newValue = id !== KNOWN_ID['content-length'] && (isEdited || (hasAuthority && id === KNOWN_ID.host));
    if (!newLength && !newValue) {
      if (runEnd < 0 || nameStart !== runEnd + 2) {
        putRun(room, bytes, runStart, runEnd);
        runStart = nameStart;
      }
      runEnd = valueStart + valueBytes;
      continue;
    }
    putRun(room, bytes, runStart, runEnd);
    runEnd = -1;
    putBytes(room, bytes, nameStart, packed & 0xffff);
    if (newLength) {
      putText(room, `: ${how.contentLength}\r\n`);
      continue;
    }
    putText(room, ': ');
    if (isEdited) putBytes(room, edits.bytes, edit[line + 1], edit[line + 2]);
    else putBytes(room, bytes, ints[head.base + HEAD.AUTHORITY], ints[head.base + HEAD.AUTHORITY_BYTES]);
    putCrlf(room);
  }
  putRun(room, bytes, runStart, runEnd);
  return wroteLength;
}

function putRun(room: Room, bytes: Uint8Array, start: number, end: number): void {
  if (end < 0) return;
  putBytes(room, bytes, start, end - start);
  putCrlf(room);
}

/** Chunk framing where there is one; nothing for no bytes, which in chunks would say that the body is over. */
export function encodeBody(bytes: Uint8Array, framing: BodyFraming): Uint8Array[] {
  if (bytes.length === 0) return [];
  if (framing === 'none') throw new Error('http1: a body for a message that has none');
  return framing === 'chunked' ? [Buffer.from(`${bytes.length.toString(16)}\r\n`, 'latin1'), bytes, CRLF] : [bytes];
}

/** What ends a message: the last chunk and the trailers; else nothing. */
export function encodeEnd(trailers: Uint8Array, framing: BodyFraming): Uint8Array {
  if (framing !== 'chunked') return EMPTY;
  return trailers.length === 0 ? LAST_CHUNK : Buffer.concat([LAST_CHUNK.subarray(0, 3), trailers, CRLF]);
}

/** Room that `writeHead` takes at most. */
export function mostHeadBytes(head: Head | undefined, edits: Edits): number {
  const edit = edits.ints;
  let most = OWN_BYTES + Math.max(edit[EDIT.METHOD_BYTES], 0) + Math.max(edit[EDIT.TARGET_BYTES], 0) + edit[EDIT.APPEND_BYTES];
  if (head !== undefined) most += head.wireBytes + head.ints[head.base + HEAD.AUTHORITY_BYTES] + head.count * 2;
  for (let i = 0; i < edit[EDIT.COUNT]; i++) most += Math.max(edit[EDIT.LINES + i * LINE_WORDS + 2], 0) + 2;
  return most;
}

/** Gives where the lines start. */
function writeRequestLine(head: Head | undefined, edits: Edits, room: Room): number {
  const edit = edits.ints;
  if (edit[EDIT.METHOD_BYTES] >= 0) putBytes(room, edits.bytes, edit[EDIT.METHOD], edit[EDIT.METHOD_BYTES]);
  else if (head !== undefined) putBytes(room, head.bytes, head.ints[head.base + HEAD.METHOD], head.ints[head.base + HEAD.METHOD_BYTES]);
  room.bytes[room.at++] = 0x20;
  if (edit[EDIT.TARGET_BYTES] >= 0) putBytes(room, edits.bytes, edit[EDIT.TARGET], edit[EDIT.TARGET_BYTES]);
  else if (head !== undefined && (head.flags & HEAD_FLAG.ABSOLUTE_FORM) !== 0) {
    // To an origin server: origin form (RFC 9112 §3.2.1), or asterisk form for OPTIONS without a path (§3.2.4).
    const { path } = head;
    if (path === '') putText(room, head.method === 'OPTIONS' ? '*' : '/');
    else putText(room, path.startsWith('?') ? `/${path}` : path);
  } else if (head !== undefined) putBytes(room, head.bytes, head.ints[head.base + HEAD.TARGET], head.ints[head.base + HEAD.TARGET_BYTES]);
  putText(room, ' HTTP/1.1\r\n');
  return room.at;
}

/** Gives where the lines start. */
function writeStatusLine(head: Head | undefined, edits: Edits, status: number, room: Room): number {
  const edit = edits.ints;
  putText(room, status === 200 ? 'HTTP/1.1 200 ' : `HTTP/1.1 ${status} `);
  if (edit[EDIT.METHOD_BYTES] >= 0) putBytes(room, edits.bytes, edit[EDIT.METHOD], edit[EDIT.METHOD_BYTES]);
  // What came as HTTP/2 has no reason phrase.
  else if (edit[EDIT.STATUS] !== 0 || head === undefined || (head.flags & HEAD_FLAG.HTTP_2) !== 0)
    putText(room, (REASONS as Readonly<Record<number, string>>)[status] ?? '');
  else putBytes(room, head.bytes, head.ints[head.base + HEAD.METHOD], head.ints[head.base + HEAD.METHOD_BYTES]);
  putCrlf(room);
  return room.at;
}

/** `content-TYPE` -> `Content-Type`: a capital at the start and after every byte that is no letter and no digit. */
function properCaseLines(lines: Uint8Array): void {
  let inName = true;
  let capital = true;
  for (let i = 0; i < lines.length; i++) {
    const byte = lines[i];
    if (byte === 0x0a) inName = capital = true;
    else if (byte === 0x3a) inName = false;
    else if (inName) {
      if (isAlpha(byte)) lines[i] = capital ? byte & ~0x20 : byte | 0x20;
      capital = !isAlpha(byte) && !isDigit(byte);
    }
  }
}

import type { Edits } from '../../src/protocol/edits.js';
import type { BodyFraming, OutHead } from '../../src/protocol/framing.js';
import type { Head } from '../../src/protocol/head.js';
import { EDIT, EDIT_FLAG, FIELD_WORDS, HEAD, HEAD_FLAG, HOP_BY_HOP, KNOWN_ID, LINE_WORDS } from '../../src/protocol/head-layout.js';
import { isAlpha, isDigit } from './chars.js';
import { REASONS } from './rules.js';

const EMPTY = new Uint8Array(0);
const CRLF = Buffer.from('\r\n', 'latin1');
/** Our own lines and separators never take more. */
const OWN_BYTES = 256;

/** Fills a buffer that was made large enough beforehand. */
class Writer {
  at = 0;
  constructor(readonly bytes: Buffer) {}
  text(text: string): void {
    this.at += this.bytes.write(text, this.at, 'latin1');
  }
  copy(from: Uint8Array, start: number, length: number): void {
    if (length <= 0) return;
    this.bytes.set(from.subarray(start, start + length), this.at);
    this.at += length;
  }
}

/**
 * The bytes of a head as it is sent on. Without `head` one is made from `edits` alone: a response where it has a status, else a request (method and
 * target). Lines keep order, case and spelling; hop-by-hop lines go; what is said about length and connection comes from `how`; of the edit
 * flags only PROPER_CASE counts. An absolute-form target becomes origin form, and its authority the Host (RFC 9112 §3.2.1, §3.2.2).
 */
export function encodeHead(head: Head | undefined, edits: Edits, how: OutHead): Uint8Array {
  const edit = edits.ints;
  const out = new Writer(Buffer.allocUnsafe(mostBytes(head, edit)));
  const isResponse = head === undefined ? edit[EDIT.STATUS] !== 0 : head.isResponse;
  const status = edit[EDIT.STATUS] !== 0 ? edit[EDIT.STATUS] : (head?.status ?? 0);
  if (isResponse) writeStatusLine(head, edits, status, out);
  else writeRequestLine(head, edits, out);
  const linesStart = out.at;

  // RFC 9110 §8.6: no Content-Length in 1xx and 204.
  const mayHaveLength = !isResponse || (status >= 200 && status !== 204);
  const writesLength = mayHaveLength && how.contentLength >= 0 && (how.framing === 'length' || how.framing === 'none');
  let wroteLength = false;
  let change = 0;
  for (let index = 0, at = (head?.base ?? 0) + HEAD.FIELDS; head !== undefined && index < head.count; index++, at += FIELD_WORDS) {
    const { bytes, ints } = head;
    const [nameStart, packed, valueStart, valueBytes] = [ints[at], ints[at + 1], ints[at + 2], ints[at + 3]];
    const id = (packed >> 16) & 0xff;
    const line = EDIT.LINES + change * LINE_WORDS;
    const isEdited = change < edit[EDIT.COUNT] && edit[line] === index;
    if (isEdited) {
      change++;
      if (edit[line + 2] < 0) continue;
    }
    if ((packed & HOP_BY_HOP) !== 0 && !(how.upgrade && id === KNOWN_ID.upgrade)) continue;
    if (id === KNOWN_ID['content-length']) {
      if (!writesLength || wroteLength) continue;
      wroteLength = true;
      // A plain number of the same value stays as it is; zeros in front might be read as octal by somebody.
      if (how.contentLength !== head.contentLength || (valueBytes > 1 && bytes[valueStart] === 0x30)) {
        out.copy(bytes, nameStart, packed & 0xffff);
        out.text(`: ${how.contentLength}\r\n`);
        continue;
      }
    } else if (isEdited || (id === KNOWN_ID.host && ints[head.base + HEAD.AUTHORITY_BYTES] > 0)) {
      out.copy(bytes, nameStart, packed & 0xffff);
      out.text(': ');
      if (isEdited) out.copy(edits.bytes, edit[line + 1], edit[line + 2]);
      else out.copy(bytes, ints[head.base + HEAD.AUTHORITY], ints[head.base + HEAD.AUTHORITY_BYTES]);
      out.text('\r\n');
      continue;
    }
    out.copy(bytes, nameStart, valueStart + valueBytes - nameStart);
    out.text('\r\n');
  }
  out.copy(edits.bytes, edit[EDIT.APPEND], edit[EDIT.APPEND_BYTES]);
  if (writesLength && !wroteLength) out.text(`content-length: ${how.contentLength}\r\n`);
  if (how.framing === 'chunked') out.text('transfer-encoding: chunked\r\n');
  if (how.upgrade) out.text('connection: upgrade\r\n');
  else if (how.close) out.text('connection: close\r\n');
  else if (how.keepAlive) out.text('connection: keep-alive\r\n');
  if ((edit[EDIT.FLAGS] & EDIT_FLAG.PROPER_CASE) !== 0) properCaseLines(out.bytes.subarray(linesStart, out.at));
  out.text('\r\n');
  return out.bytes.subarray(0, out.at);
}

/** Chunk framing where there is one; nothing for no bytes, which in chunks would say that the body is over. */
export function encodeBody(bytes: Uint8Array, framing: BodyFraming): Uint8Array[] {
  if (bytes.length === 0) return [];
  if (framing === 'none') throw new Error('http1: a body for a message that has none');
  return framing === 'chunked' ? [Buffer.from(`${bytes.length.toString(16)}\r\n`, 'latin1'), bytes, CRLF] : [bytes];
}

/** What ends a message: the last chunk and the trailers; else nothing. */
export function encodeEnd(trailers: Uint8Array, framing: BodyFraming): Uint8Array {
  return framing === 'chunked' ? Buffer.concat([Buffer.from('0\r\n', 'latin1'), trailers, CRLF]) : EMPTY;
}

function mostBytes(head: Head | undefined, edit: Int32Array): number {
  let most = OWN_BYTES + Math.max(edit[EDIT.METHOD_BYTES], 0) + Math.max(edit[EDIT.TARGET_BYTES], 0) + edit[EDIT.APPEND_BYTES];
  if (head !== undefined) most += head.wireBytes + head.ints[head.base + HEAD.AUTHORITY_BYTES] + head.count * 2;
  for (let i = 0; i < edit[EDIT.COUNT]; i++) most += Math.max(edit[EDIT.LINES + i * LINE_WORDS + 2], 0) + 2;
  return most;
}

function writeRequestLine(head: Head | undefined, edits: Edits, out: Writer): void {
  const edit = edits.ints;
  if (edit[EDIT.METHOD_BYTES] >= 0) out.copy(edits.bytes, edit[EDIT.METHOD], edit[EDIT.METHOD_BYTES]);
  else out.text(head?.method ?? '');
  out.text(' ');
  if (edit[EDIT.TARGET_BYTES] >= 0) out.copy(edits.bytes, edit[EDIT.TARGET], edit[EDIT.TARGET_BYTES]);
  else if (head !== undefined && (head.flags & HEAD_FLAG.ABSOLUTE_FORM) !== 0) {
    // To an origin server: origin form (RFC 9112 §3.2.1), or asterisk form for OPTIONS without a path (§3.2.4).
    const { path } = head;
    if (path === '') out.text(head.method === 'OPTIONS' ? '*' : '/');
    else out.text(path.startsWith('?') ? `/${path}` : path);
  } else out.text(head?.target ?? '');
  out.text(' HTTP/1.1\r\n');
}

function writeStatusLine(head: Head | undefined, edits: Edits, status: number, out: Writer): void {
  const edit = edits.ints;
  out.text(`HTTP/1.1 ${status} `);
  if (edit[EDIT.METHOD_BYTES] >= 0) out.copy(edits.bytes, edit[EDIT.METHOD], edit[EDIT.METHOD_BYTES]);
  else if (edit[EDIT.STATUS] !== 0 || head === undefined) out.text((REASONS as Readonly<Record<number, string>>)[status] ?? '');
  else out.text(head.reason);
  out.text('\r\n');
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

/** Frames as objects: for tests, tools and explanations. A connection reads and writes them without making any (connection.ts). */
import { CodecError } from '../../../src/base/errors.js';
import type { FaultCode } from '../faults.js';
import { FRAME_FLAG, FRAME_TYPE, LIMIT } from '../spec.js';
import { FRAME_HEADER_BYTES, type FrameHeader, HEADER_OFFSET, headerFault, readFrameHeader, readU31, readU32, unpad } from './frame-header.js';

/** A frame and what its payload holds. Only the fields of its type are there. */
export interface Http2Frame extends Readonly<FrameHeader> {
  /** DATA, a header block's fragment, PING's 8 bytes, GOAWAY's debug data, or the payload of an unknown type. */
  readonly content?: Uint8Array;
  readonly padding?: Uint8Array;
  readonly priority?: { readonly exclusive: boolean; readonly dependency: number /** 1 to 256 */; readonly weight: number };
  /** RST_STREAM, GOAWAY. */
  readonly error?: number;
  readonly settings?: readonly (readonly [id: number, value: number])[];
  readonly promised?: number;
  readonly lastStream?: number;
  readonly increment?: number;
}

const fail = (code: FaultCode, offset: number): never => {
  throw new CodecError('http2', code, offset);
};

/** Reads one whole frame; undefined where bytes are missing. Throws CodecError for what RFC 9113 §6 forbids whatever came before. */
export function parseFrame(bytes: Uint8Array, maxFrameBytes: number = LIMIT.MIN_FRAME_SIZE): Http2Frame | undefined {
  if (bytes.length < FRAME_HEADER_BYTES) return undefined;
  const header: FrameHeader = { length: 0, type: 0, flags: 0, stream: 0 };
  readFrameHeader(bytes, 0, header);
  const fault = headerFault(header, maxFrameBytes);
  if (fault !== undefined) fail(fault.code, fault.offset);
  const payload = FRAME_HEADER_BYTES;
  const end = payload + header.length;
  if (bytes.length < end) return undefined;
  const { type, flags } = header;
  const padded = (skip: number): { content: Uint8Array; padding?: Uint8Array } => {
    const at = unpad(bytes, payload, header.length, flags, skip) ?? fail('BAD_PADDING', payload);
    const content = bytes.subarray(at.start, at.end);
    return (flags & FRAME_FLAG.PADDED) === 0 ? { content } : { content, padding: bytes.subarray(at.end, end) };
  };
  const priorityAt = (at: number): Http2Frame['priority'] => ({
    exclusive: bytes[at] >= 0x80,
    dependency: readU31(bytes, at),
    weight: bytes[at + 4] + 1,
  });
  switch (type) {
    case FRAME_TYPE.DATA:
      return { ...header, ...padded(0) };
    case FRAME_TYPE.HEADERS: {
      if ((flags & FRAME_FLAG.PRIORITY) === 0) return { ...header, ...padded(0) };
      return { ...header, ...padded(5), priority: priorityAt(payload + ((flags & FRAME_FLAG.PADDED) !== 0 ? 1 : 0)) };
    }
    case FRAME_TYPE.PRIORITY:
      return { ...header, priority: priorityAt(payload) };
    case FRAME_TYPE.RST_STREAM:
      return { ...header, error: readU32(bytes, payload) };
    case FRAME_TYPE.SETTINGS: {
      const settings: [number, number][] = [];
      for (let at = payload; at < end; at += 6) settings.push([(bytes[at] << 8) | bytes[at + 1], readU32(bytes, at + 2)]);
      return { ...header, settings };
    }
    case FRAME_TYPE.PUSH_PROMISE: {
      const at = payload + ((flags & FRAME_FLAG.PADDED) !== 0 ? 1 : 0);
      const promised = readU31(bytes, at);
      // Servers have even ids (RFC 9113 §5.1.1).
      if (promised === 0 || promised % 2 === 1) fail('BAD_STREAM_ID', at);
      return { ...header, ...padded(4), promised };
    }
    case FRAME_TYPE.GOAWAY:
      return { ...header, lastStream: readU31(bytes, payload), error: readU32(bytes, payload + 4), content: bytes.subarray(payload + 8, end) };
    case FRAME_TYPE.WINDOW_UPDATE: {
      const increment = readU31(bytes, payload);
      if (increment === 0) fail('ZERO_INCREMENT', payload);
      return { ...header, increment };
    }
    default:
      return { ...header, content: bytes.subarray(payload, end) };
  }
}

/** The bytes of a frame. `length` is found anew; PADDED and PRIORITY are what `flags` say. */
export function encodeFrame(frame: Omit<Http2Frame, 'length'>): Uint8Array {
  const { type, flags, stream, content = new Uint8Array(0), padding = new Uint8Array(0), priority } = frame;
  const parts: Uint8Array[] = [];
  const u32 = (value: number) => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(value >>> 0);
    parts.push(bytes);
  };
  const isPadded = (flags & FRAME_FLAG.PADDED) !== 0 && (type === FRAME_TYPE.DATA || type === FRAME_TYPE.HEADERS || type === FRAME_TYPE.PUSH_PROMISE);
  if (isPadded) parts.push(Uint8Array.of(padding.length));
  if (priority !== undefined) {
    u32(priority.dependency + (priority.exclusive ? 0x8000_0000 : 0));
    parts.push(Uint8Array.of(priority.weight - 1));
  }
  for (const [id, value] of frame.settings ?? []) {
    parts.push(Uint8Array.of(id >> 8, id));
    u32(value);
  }
  for (const word of [frame.promised, frame.lastStream, frame.error, frame.increment]) if (word !== undefined) u32(word);
  parts.push(content);
  if (isPadded) parts.push(padding);
  const payload = Buffer.concat(parts);
  const header = Buffer.alloc(FRAME_HEADER_BYTES);
  header.writeUIntBE(payload.length, HEADER_OFFSET.LENGTH, 3);
  header[HEADER_OFFSET.TYPE] = type;
  header[HEADER_OFFSET.TYPE + 1] = flags;
  header.writeUInt32BE(stream >>> 0, HEADER_OFFSET.STREAM);
  return Buffer.concat([header, payload]);
}

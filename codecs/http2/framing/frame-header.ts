import type { FaultCode } from '../faults.js';
import { FRAME_FLAG, FRAME_TYPE, LIMIT } from '../spec.js';

/**
 * The nine bytes before every payload (RFC 9113 §4.1):
 * ```
 *   0            3      4       5                     9
 *   | length u24 | type | flags | R stream id u31     | payload ...
 * ```
 */
export interface FrameHeader {
  length: number;
  type: number;
  flags: number;
  stream: number;
}

/** Reads the header at `at`; the caller knows that it is there. The reserved bit is ignored. */
export function readFrameHeader(bytes: Uint8Array, at: number, into: FrameHeader): void {
  into.length = (bytes[at] << 16) | (bytes[at + 1] << 8) | bytes[at + 2];
  into.type = bytes[at + 3];
  into.flags = bytes[at + 4];
  into.stream = readU31(bytes, at + 5);
}
export const readU32 = (bytes: Uint8Array, at: number): number =>
  ((bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]) >>> 0;
export const readU31 = (bytes: Uint8Array, at: number): number => readU32(bytes, at) & 0x7fff_ffff;

/** Where a fault of the header lies: its length, its type or its stream id. */
export const HEADER_OFFSET = { LENGTH: 0, TYPE: 3, STREAM: 5 } as const;

/** A rule of RFC 9113 §6 that the header alone shows to be broken; undefined: none. What depends on streams and on frames before it is not asked here. */
export function headerFault({ length, type, flags, stream }: FrameHeader, maxFrameBytes: number): { code: FaultCode; offset: number } | undefined {
  const { LENGTH, STREAM } = HEADER_OFFSET;
  if (length > maxFrameBytes) return { code: 'FRAME_TOO_LARGE', offset: LENGTH };
  const onConnection = type === FRAME_TYPE.SETTINGS || type === FRAME_TYPE.PING || type === FRAME_TYPE.GOAWAY;
  const onStream = type <= FRAME_TYPE.CONTINUATION && !onConnection && type !== FRAME_TYPE.WINDOW_UPDATE;
  if ((onConnection && stream !== 0) || (onStream && stream === 0)) return { code: 'BAD_STREAM_ID', offset: STREAM };
  return isGoodLength(type, flags, length) ? undefined : { code: 'BAD_FRAME_SIZE', offset: LENGTH };
}

function isGoodLength(type: number, flags: number, length: number): boolean {
  const padding = (flags & FRAME_FLAG.PADDED) !== 0 ? 1 : 0;
  switch (type) {
    case FRAME_TYPE.DATA:
      return length >= padding;
    case FRAME_TYPE.HEADERS:
      return length >= padding + ((flags & FRAME_FLAG.PRIORITY) !== 0 ? 5 : 0);
    case FRAME_TYPE.PRIORITY:
      return length === 5;
    case FRAME_TYPE.RST_STREAM:
    case FRAME_TYPE.WINDOW_UPDATE:
      return length === 4;
    case FRAME_TYPE.SETTINGS:
      return (flags & FRAME_FLAG.ACK) !== 0 ? length === 0 : length % 6 === 0;
    case FRAME_TYPE.PUSH_PROMISE:
      return length >= padding + 4;
    case FRAME_TYPE.PING:
      return length === 8;
    case FRAME_TYPE.GOAWAY:
      return length >= 8;
    default:
      return true;
  }
}

/** Where the content of a padded frame lies, and how much padding follows it; undefined: more padding than there is room for (RFC 9113 §6.1). `skip`: bytes between the pad length and the content. */
export function unpad(bytes: Uint8Array, payload: number, length: number, flags: number, skip: number): { start: number; end: number } | undefined {
  const isPadded = (flags & FRAME_FLAG.PADDED) !== 0;
  const start = payload + (isPadded ? 1 : 0) + skip;
  const end = payload + length - (isPadded ? bytes[payload] : 0);
  return end < start ? undefined : { start, end };
}

export const FRAME_HEADER_BYTES = LIMIT.FRAME_HEADER_BYTES;

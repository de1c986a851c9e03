import { CodecError } from '../../src/base/errors.js';
import type { ByteWriter } from '../../src/protocol/byte-writer.js';
import type { FrameSession } from '../../src/protocol/codec.js';
import type { Frame } from '../../src/protocol/frame.js';
import { DECODED, type FrameLimits } from '../../src/protocol/frame-decoder.js';
import { FrameFiller } from '../../src/protocol/scripted-frame.js';
import { layout, MESSAGE_TYPE, MIN_FRAME_BYTES, PROTOCOL_ID, VERSION } from './spec.js';

const [LENGTH, TYPE, SEQID, NAME_BYTES] = ['length', 'type', 'seqid', 'nameBytes'].map((name) => layout.slot(name));
const [NAME, STRUCT] = [layout.section('name'), layout.section('struct')];
const VARINT_MAX_BYTES = 5;
const bad = (code: string, offset: number, detail: string) => new CodecError('thrift-compact', code, offset, detail);
const u32At = (bytes: Uint8Array, at: number): number => ((bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]) >>> 0;

/** Reads whole frames; the head is checked as far as it is there, the rest when all of the frame is. */
export function openSession({ maxFrameBytes }: FrameLimits): FrameSession {
  const filler = new FrameFiller(layout);
  let value = 0;
  /** Reads a varint of 32 bits into `value`; answers where it ends. */
  const varint = (bytes: Uint8Array, start: number, at: number, end: number): number => {
    value = 0;
    for (let i = 0; i < VARINT_MAX_BYTES; i++) {
      if (at + i >= end) throw bad('BAD_LENGTH', at - start, 'a number goes past the end of the frame');
      value = (value | ((bytes[at + i] & 0x7f) << (7 * i))) >>> 0;
      if (bytes[at + i] < 0x80) return at + i + 1;
    }
    throw bad('BAD_VARINT', at - start, `more than ${VARINT_MAX_BYTES} bytes`);
  };
  return {
    decode(bytes, start, end, ints, base) {
      const there = end - start;
      if (there < 4) return DECODED.MORE;
      const total = 4 + u32At(bytes, start);
      if (total > maxFrameBytes) throw bad('FRAME_TOO_LARGE', 0, `${total} > ${maxFrameBytes}`);
      if (total < MIN_FRAME_BYTES) throw bad('BAD_LENGTH', 0, `${total} < ${MIN_FRAME_BYTES}`);
      if (there > 4 && bytes[start + 4] !== PROTOCOL_ID) throw bad('BAD_PROTOCOL_ID', 4, `0x${bytes[start + 4].toString(16)}`);
      const type = bytes[start + 5] >>> 5;
      if (there > 5) {
        if ((bytes[start + 5] & 0x1f) !== VERSION) throw bad('BAD_VERSION', 5, `${bytes[start + 5] & 0x1f}`);
        if (type < MESSAGE_TYPE.CALL || type > MESSAGE_TYPE.ONEWAY) throw bad('BAD_TYPE', 5, `${type}`);
      }
      if (there < total) return DECODED.MORE;
      const last = start + total;
      const nameLengthAt = varint(bytes, start, start + 6, last);
      const seqid = value;
      const nameAt = varint(bytes, start, nameLengthAt, last);
      const nameBytes = value;
      if (nameBytes > last - nameAt) throw bad('BAD_LENGTH', nameLengthAt - start, `a name of ${nameBytes} bytes in a frame of ${total}`);
      const structAt = nameAt + nameBytes;
      filler
        .begin(ints, base, start, total, type === MESSAGE_TYPE.CALL ? 'request' : type === MESSAGE_TYPE.ONEWAY ? 'oneway' : 'response')
        .id(6, seqid, 0)
        .field(LENGTH, total - 4, 0)
        .field(TYPE, type)
        .field(SEQID, seqid, 0)
        .field(NAME_BYTES, nameBytes)
        .section(NAME, nameAt - start, nameBytes)
        .section(STRUCT, structAt - start, last - structAt);
      return DECODED.WHOLE;
    },
  };
}

/** The frame with another seqid, which is a varint: its width, and so the frame's length, may change. */
export function withId(frame: Frame, low: number, _high: number, to: ByteWriter): void {
  const { raw } = frame;
  let behind = 6;
  while (raw[behind] >= 0x80) behind++;
  to.bytes(raw.subarray(0, 6))
    .varint(low)
    .bytes(raw.subarray(behind + 1));
  to.setU32(0, to.length - 4);
}

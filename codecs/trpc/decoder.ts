import { CodecError } from '../../src/base/errors.js';
import { ByteWriter } from '../../src/protocol/byte-writer.js';
import type { FrameSession, Side } from '../../src/protocol/codec.js';
import type { Frame } from '../../src/protocol/frame.js';
import { DECODED, type FrameLimits } from '../../src/protocol/frame-decoder.js';
import type { KindName } from '../../src/protocol/frame-layout.js';
import { ProtobufReader, WIRE } from '../../src/protocol/protobuf-reader.js';
import { FrameFiller } from '../../src/protocol/scripted-frame.js';
import { CALL_TYPE, FRAME_TYPE, HEAD_BYTES, HEADER, layout, MAGIC, RESPONSE } from './spec.js';

const NAMES = ['frameType', 'streamType', 'totalBytes', 'headerBytes', 'streamId', 'version', 'requestId', 'callType', 'ret', 'funcRet'];
const [FRAME_TYPE_SLOT, STREAM_TYPE, TOTAL, HEADER_BYTES, STREAM_ID, VERSION, REQUEST_ID, CALL, RET, FUNC_RET] = NAMES.map((name) =>
  layout.slot(name),
);
const [HEADER_SECTION, BODY] = [layout.section('header'), layout.section('body')];
const MAX_HEADER_BYTES = 0xffff;
const bad = (code: string, offset: number, detail: string) => new CodecError('trpc', code, offset, detail);
const u32At = (bytes: Uint8Array, at: number): number => ((bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]) >>> 0;

/** Reads whole frames. Requests and responses have the same head: what a frame is, its side tells. */
export function openSession(side: Side, { maxFrameBytes }: FrameLimits): FrameSession {
  const filler = new FrameFiller(layout);
  return {
    decode(bytes, start, end, ints, base) {
      const there = end - start;
      if (there > 0 && bytes[start] !== MAGIC >>> 8) throw bad('BAD_MAGIC', 0, `0x${bytes[start].toString(16)}`);
      if (there > 1 && bytes[start + 1] !== (MAGIC & 0xff)) throw bad('BAD_MAGIC', 1, `0x${bytes[start + 1].toString(16)}`);
      if (there > 2 && bytes[start + 2] > FRAME_TYPE.STREAM) throw bad('BAD_FRAME_TYPE', 2, `${bytes[start + 2]}`);
      if (there < 8) return DECODED.MORE;
      const total = u32At(bytes, start + 4);
      if (total > maxFrameBytes) throw bad('FRAME_TOO_LARGE', 4, `${total} > ${maxFrameBytes}`);
      if (total < HEAD_BYTES) throw bad('BAD_LENGTH', 4, `${total} < ${HEAD_BYTES}`);
      if (there < 10) return DECODED.MORE;
      const headerBytes = (bytes[start + 8] << 8) | bytes[start + 9];
      if (HEAD_BYTES + headerBytes > total) throw bad('BAD_LENGTH', 8, `a header of ${headerBytes} bytes in a frame of ${total}`);
      if (there < total) return DECODED.MORE;

      const isUnary = bytes[start + 2] === FRAME_TYPE.UNARY;
      const headerAt = start + HEAD_BYTES;
      let [idAt, id, callType, ret, funcRet] = [-1, 0, 0, 0, 0];
      if (isUnary) {
        const header = new ProtobufReader(bytes, headerAt, headerAt + headerBytes);
        while (header.next()) {
          if (header.wireType !== WIRE.VARINT) continue;
          // Of a field that comes twice the last counts.
          if (header.number === HEADER.REQUEST_ID) [idAt, id] = [header.at - start, header.low];
          else if (header.number === HEADER.CALL_TYPE) callType = header.low;
          else if (header.number === RESPONSE.RET) ret = header.low;
          else if (header.number === RESPONSE.FUNC_RET) funcRet = header.low;
        }
        if (header.isBroken) throw bad('BAD_HEADER', header.at - start, 'the header is no message');
        // A number that is 0 is not written; its place is in the header.
        if (idAt < 0) idAt = HEAD_BYTES;
      }
      filler
        .begin(ints, base, start, total, kind(isUnary, callType))
        .field(FRAME_TYPE_SLOT, bytes[start + 2])
        .field(STREAM_TYPE, bytes[start + 3])
        .field(TOTAL, total, 0)
        .field(HEADER_BYTES, headerBytes)
        .field(STREAM_ID, u32At(bytes, start + 10) | 0, 0)
        .field(VERSION, bytes[start + 14])
        .field(REQUEST_ID, id, 0)
        .field(CALL, callType, 0)
        .section(HEADER_SECTION, HEAD_BYTES, headerBytes)
        .section(BODY, HEAD_BYTES + headerBytes, total - HEAD_BYTES - headerBytes);
      if (side === 'upstream') filler.field(RET, ret).field(FUNC_RET, funcRet);
      if (idAt >= 0) filler.id(idAt, id, 0);
      return DECODED.WHOLE;
    },
  };
  function kind(isUnary: boolean, callType: number): KindName {
    if (!isUnary) return 'unknown';
    if (side === 'upstream') return 'response';
    return callType === CALL_TYPE.ONEWAY ? 'oneway' : 'request';
  }
}

/** The header without the fields of one number, all else in its order: to be written anew behind it. */
export function headerWithout(header: Uint8Array, number: number, out = new ByteWriter()): ByteWriter {
  const reader = new ProtobufReader(header, 0, header.length);
  while (reader.next()) if (reader.number !== number) out.bytes(header.subarray(reader.at, reader.to));
  return out;
}
/** A frame with the head of another, its lengths set. Throws RangeError for a header that its length field cannot count. */
export function frameLike(frame: Frame, streamId: number, header: Uint8Array, body: Uint8Array, to = new ByteWriter()): ByteWriter {
  if (header.length > MAX_HEADER_BYTES) throw new RangeError(`a header of ${header.length} bytes`);
  const { raw } = frame;
  to.bytes(raw.subarray(0, 4))
    .u32(HEAD_BYTES + header.length + body.length)
    .u16(header.length);
  return to.u32(streamId).bytes(raw.subarray(14, HEAD_BYTES)).bytes(header).bytes(body);
}
/** The frame with another request id, a varint: the frame's length may change. The head's copy of it follows, where there is one. */
export function withId(frame: Frame, low: number, _high: number, to: ByteWriter): void {
  const streamId = frame.at(STREAM_ID) === frame.idLow >>> 0 ? low : frame.at(STREAM_ID);
  const header = headerWithout(frame.section('header'), HEADER.REQUEST_ID);
  if (low !== 0) header.u8((HEADER.REQUEST_ID << 3) | WIRE.VARINT).varint(low);
  frameLike(frame, streamId, header.view, frame.section('body'), to);
}

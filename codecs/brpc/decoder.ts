import { CodecError } from '../../src/base/errors.js';
import { ByteWriter } from '../../src/protocol/byte-writer.js';
import type { FrameSession } from '../../src/protocol/codec.js';
import type { Frame } from '../../src/protocol/frame.js';
import { DECODED, type FrameLimits } from '../../src/protocol/frame-decoder.js';
import { ProtobufReader, WIRE } from '../../src/protocol/protobuf-reader.js';
import { FrameFiller } from '../../src/protocol/scripted-frame.js';
import { HEAD_BYTES, layout, MAGIC, META, RESPONSE } from './spec.js';

const [BODY_BYTES, META_BYTES, CORRELATION_ID, ERROR_CODE] = ['bodyBytes', 'metaBytes', 'correlationId', 'errorCode'].map((name) =>
  layout.slot(name),
);
const [META_SECTION, BODY] = [layout.section('meta'), layout.section('body')];
const bad = (code: string, offset: number, detail: string) => new CodecError('brpc', code, offset, detail);
const u32At = (bytes: Uint8Array, at: number): number => ((bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]) >>> 0;

/** Reads whole frames: the head as far as it is there, the meta when all of the frame is. */
export function openSession({ maxFrameBytes }: FrameLimits): FrameSession {
  const filler = new FrameFiller(layout);
  return {
    decode(bytes, start, end, ints, base) {
      const there = end - start;
      for (let i = 0; i < MAGIC.length; i++) {
        if (i === there) return DECODED.MORE;
        if (bytes[start + i] !== MAGIC[i]) throw bad('BAD_MAGIC', i, `0x${bytes[start + i].toString(16)}`);
      }
      if (there < 8) return DECODED.MORE;
      const bodyBytes = u32At(bytes, start + 4);
      const total = HEAD_BYTES + bodyBytes;
      if (total > maxFrameBytes) throw bad('FRAME_TOO_LARGE', 4, `${total} > ${maxFrameBytes}`);
      if (there < HEAD_BYTES) return DECODED.MORE;
      const metaBytes = u32At(bytes, start + 8);
      if (metaBytes > bodyBytes) throw bad('BAD_LENGTH', 8, `a meta of ${metaBytes} bytes in ${bodyBytes}`);
      if (there < total) return DECODED.MORE;

      const metaAt = start + HEAD_BYTES;
      const meta = new ProtobufReader(bytes, metaAt, metaAt + metaBytes);
      let [isRequest, isResponse, errorCode, idAt, idLow, idHigh] = [false, false, 0, -1, 0, 0];
      while (meta.next()) {
        if (meta.number === META.REQUEST && meta.wireType === WIRE.BYTES) isRequest = true;
        if (meta.number === META.RESPONSE && meta.wireType === WIRE.BYTES) {
          isResponse = true;
          const response = meta.inside();
          while (response.next()) if (response.number === RESPONSE.ERROR_CODE && response.wireType === WIRE.VARINT) errorCode = response.low;
          if (response.isBroken) throw bad('BAD_META', response.at - start, 'the response is no message');
        }
        if (meta.number === META.CORRELATION_ID && meta.wireType === WIRE.VARINT) {
          // Of a field that comes twice the last counts.
          [idAt, idLow, idHigh] = [meta.at - start, meta.low, meta.high];
        }
      }
      if (meta.isBroken) throw bad('BAD_META', meta.at - start, 'the meta is no message');
      filler
        .begin(ints, base, start, total, isRequest ? 'request' : isResponse ? 'response' : 'unknown')
        .field(BODY_BYTES, bodyBytes, 0)
        .field(META_BYTES, metaBytes, 0)
        .field(CORRELATION_ID, idLow, idHigh)
        .field(ERROR_CODE, errorCode)
        .section(META_SECTION, HEAD_BYTES, metaBytes)
        .section(BODY, HEAD_BYTES + metaBytes, bodyBytes - metaBytes);
      // One that is not written is 0; its place is in the meta.
      filler.id(Math.max(idAt, HEAD_BYTES), idLow, idHigh);
      return DECODED.WHOLE;
    },
  };
}

/** A frame of a meta and what follows it. */
export const frameOf = (meta: Uint8Array, body: Uint8Array): Uint8Array =>
  new ByteWriter()
    .bytes(Uint8Array.from(MAGIC))
    .u32(meta.length + body.length)
    .u32(meta.length)
    .bytes(meta)
    .bytes(body)
    .take();
/** The meta without the fields of one number, all else in its order: to be written anew behind it. */
export function metaWithout(meta: Uint8Array, number: number, out = new ByteWriter()): ByteWriter {
  const reader = new ProtobufReader(meta, 0, meta.length);
  while (reader.next()) if (reader.number !== number) out.bytes(meta.subarray(reader.at, reader.to));
  return out;
}
/** The frame with another correlation id, a varint of 1 to 10 bytes: the frame's length may change. */
export function withId(frame: Frame, low: number, high: number, to: ByteWriter): void {
  to.bytes(frame.raw.subarray(0, HEAD_BYTES));
  metaWithout(frame.section('meta'), META.CORRELATION_ID, to)
    .u8((META.CORRELATION_ID << 3) | WIRE.VARINT)
    .varint(low, high);
  const metaBytes = to.length - HEAD_BYTES;
  to.bytes(frame.section('body'));
  to.setU32(4, to.length - HEAD_BYTES).setU32(8, metaBytes);
}

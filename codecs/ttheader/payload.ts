import { ByteWriter } from '../../src/protocol/byte-writer.js';
import type { LocalReply } from '../../src/protocol/codec.js';
import { MESSAGE_TYPE } from './spec.js';

const THRIFT = 0x8001;
/** Upper half of the first word of a Kitex protobuf payload, and what stands behind it: type, name with its length, seqid, message. */
const KITEX_PROTOBUF = 0x9001;
/** Types of TApplicationException, which Kitex uses for both. */
const EXCEPTION_TYPE = { UNKNOWN_METHOD: 1, INTERNAL_ERROR: 6 } as const;

export interface Message {
  readonly magic: number;
  readonly type: number;
  readonly name: Uint8Array;
  readonly seqid: number;
  /** There is a length of 4 bytes before it. */
  readonly isFramed: boolean;
}
/** Head of a payload that is a strict binary Thrift message or Kitex protobuf, framed once more or not. Undefined for all else. */
export function readMessage(payload: Uint8Array): Message | undefined {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  for (const at of [0, 4]) {
    if (payload.length < at + 12) return undefined;
    const magic = view.getUint16(at);
    if (magic !== THRIFT && magic !== KITEX_PROTOBUF) continue;
    const nameBytes = view.getInt32(at + 4);
    if (nameBytes < 0 || at + 12 + nameBytes > payload.length) return undefined;
    return {
      magic,
      type: payload[at + 3],
      name: payload.subarray(at + 8, at + 8 + nameBytes),
      seqid: view.getInt32(at + 8 + nameBytes),
      isFramed: at === 4,
    };
  }
  return undefined;
}

/** A payload that tells of a failure in the same form as `request`; without one, strict binary Thrift. */
export function exceptionPayload(request: Message | undefined, seqid: number, { status, details }: LocalReply): Uint8Array {
  const type = status === 404 ? EXCEPTION_TYPE.UNKNOWN_METHOD : EXCEPTION_TYPE.INTERNAL_ERROR;
  const text = Buffer.from(details, 'utf8');
  const name = request?.name ?? new Uint8Array(0);
  const out = new ByteWriter();
  if (request?.isFramed === true) out.u32(0);
  out
    .u16(request?.magic ?? THRIFT)
    .u8(0)
    .u8(MESSAGE_TYPE.EXCEPTION)
    .u32(name.length)
    .bytes(name)
    .u32(request?.seqid ?? seqid);
  // Kitex's ErrorProto {1: type, 2: message}, or the struct {1: string message, 2: i32 type}.
  if (request?.magic === KITEX_PROTOBUF) out.u8(0x08).varint(type).u8(0x12).varint(text.length).bytes(text);
  else out.u8(11).u16(1).u32(text.length).bytes(text).u8(8).u16(2).u32(type).u8(0);
  return (request?.isFramed === true ? out.setU32(0, out.length - 4) : out).take();
}

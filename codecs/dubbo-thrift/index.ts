import { ByteWriter } from '../../src/protocol/byte-writer.js';
import type { Codec, LocalReply } from '../../src/protocol/codec.js';
import type { Frame } from '../../src/protocol/frame.js';
import { match } from './matcher.js';
import { FIXED_BYTES, framing, HEAD_VERSION, MAGIC, MESSAGE_TYPE, THRIFT_VERSION } from './spec.js';

/** Dubbo's `payload` limit. */
const MAX_FRAME_BYTES = 8 * 1024 * 1024;
/** Types of TApplicationException. */
const EXCEPTION_TYPE = { UNKNOWN_METHOD: 1, INTERNAL_ERROR: 6 } as const;
const TYPE = framing.slot('type');
const NO_BYTES = new Uint8Array(0);
const utf8 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8');

/** Name and seqid of the Thrift message: version, type, name with its length, seqid. Undefined where they are not (all) there. */
function messageOf(frame: Frame): { readonly name: Uint8Array; readonly seqid: number } | undefined {
  const message = frame.section('message');
  if (message.length < 8) return undefined;
  const view = new DataView(message.buffer, message.byteOffset, message.length);
  const nameBytes = view.getInt32(4);
  if (nameBytes < 0 || 12 + nameBytes > message.length) return undefined;
  return { name: message.subarray(8, 8 + nameBytes), seqid: view.getInt32(8 + nameBytes) };
}
/** 1: string message, 2: i32 type. */
function applicationException({ status, details }: LocalReply): Uint8Array {
  const message = Buffer.from(details, 'utf8');
  const type = status === 404 ? EXCEPTION_TYPE.UNKNOWN_METHOD : EXCEPTION_TYPE.INTERNAL_ERROR;
  return new ByteWriter().u8(11).u16(1).u32(message.length).bytes(message).u8(8).u16(2).u32(type).u8(0).take();
}

/** Dubbo's Thrift protocol of 2.5 to 2.7: a head with service and 64-bit id before a Thrift message. */
export default {
  name: 'dubbo-thrift',
  pool: 'multiplex',
  match,
  framing,
  maxFrameBytes: MAX_FRAME_BYTES,
  service: (request) => utf8(request.section('service')),
  method: (request) => {
    const message = messageOf(request);
    return message === undefined ? undefined : utf8(message.name);
  },
  status: (response) => (response.at(TYPE) === MESSAGE_TYPE.EXCEPTION ? 1 : 0),
  respond(request, reply) {
    const service = request.section('service');
    const { name, seqid } = messageOf(request) ?? { name: NO_BYTES, seqid: 0 };
    // Responses carry no path (ThriftCodec.encodeResponse).
    const head = FIXED_BYTES - 4 + service.length + 8;
    const frame = new ByteWriter().u32(0).u16(MAGIC).u32(0).u16(head).u8(HEAD_VERSION);
    frame.u32(service.length).bytes(service).u64(request.idLow, request.idHigh);
    frame.u16(THRIFT_VERSION).u8(0).u8(MESSAGE_TYPE.EXCEPTION).u32(name.length).bytes(name).u32(seqid);
    frame.bytes(applicationException(reply));
    return frame
      .setU32(0, frame.length - 4)
      .setU32(6, frame.length - 4)
      .take();
  },
} satisfies Codec;

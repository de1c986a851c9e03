import { ByteWriter } from '../../src/protocol/byte-writer.js';
import type { Codec, LocalReply } from '../../src/protocol/codec.js';
import type { Frame } from '../../src/protocol/frame.js';
import { openSession, withId } from './decoder.js';
import { match } from './matcher.js';
import { layout, MAX_FRAME_BYTES, MESSAGE_TYPE, PROTOCOL_ID, VERSION } from './spec.js';

/** What a response tells of the call: 0 success, 1 a TApplicationException, 2 an exception that the service declares. */
export const STATUS = { SUCCESS: 0, APPLICATION_EXCEPTION: 1, DECLARED_EXCEPTION: 2 } as const;
/** Types of TApplicationException. */
const EXCEPTION_TYPE = { UNKNOWN_METHOD: 1, INTERNAL_ERROR: 6 } as const;
const TYPE = layout.slot('type');
const nameOf = (frame: Frame): string => Buffer.from(frame.section('name')).toString('utf8');

/** 1: string message, 2: i32 type. A field's head is (id - last id) << 4 | type; numbers are zigzag varints. */
function applicationException({ status, details }: LocalReply): Uint8Array {
  const message = Buffer.from(details, 'utf8');
  const type = status === 404 ? EXCEPTION_TYPE.UNKNOWN_METHOD : EXCEPTION_TYPE.INTERNAL_ERROR;
  return new ByteWriter()
    .u8(0x18)
    .varint(message.length)
    .bytes(message)
    .u8(0x15)
    .varint(type << 1)
    .u8(0)
    .take();
}

/** Apache Thrift: framed transport, compact protocol. */
export default {
  name: 'thrift-compact',
  pool: 'multiplex',
  match,
  framing: { layout, open: (_side, limits) => openSession(limits), withId },
  maxFrameBytes: MAX_FRAME_BYTES,
  // TMultiplexedProtocol writes `service:method`.
  service(request) {
    const name = nameOf(request);
    const colon = name.indexOf(':');
    return colon < 0 ? undefined : name.slice(0, colon);
  },
  method(request) {
    const name = nameOf(request);
    return name.slice(name.indexOf(':') + 1);
  },
  status(response) {
    if (response.at(TYPE) === MESSAGE_TYPE.EXCEPTION) return STATUS.APPLICATION_EXCEPTION;
    // A reply is a struct of one field: id 0, written in full as `0t 00`, is what the method returns; others are its declared exceptions.
    const [head, id] = response.section('struct');
    return head === undefined || head === 0 || (head < 0x10 && id === 0) ? STATUS.SUCCESS : STATUS.DECLARED_EXCEPTION;
  },
  // A declared exception is an answer of a service that works.
  statusClass: (status) => (status === STATUS.APPLICATION_EXCEPTION ? 500 : 200),
  respond(request, reply) {
    const name = request.section('name');
    const out = new ByteWriter()
      .u32(0)
      .u8(PROTOCOL_ID)
      .u8((MESSAGE_TYPE.EXCEPTION << 5) | VERSION);
    out.varint(request.idLow).varint(name.length).bytes(name).bytes(applicationException(reply));
    return out.setU32(0, out.length - 4).take();
  },
} satisfies Codec;

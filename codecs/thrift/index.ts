import { ByteWriter } from '../../src/protocol/byte-writer.js';
import type { Codec } from '../../src/protocol/codec.js';
import type { Frame } from '../../src/protocol/frame.js';
import { encodeFrame } from '../../src/protocol/frame-encoder.js';
import { applicationException } from './application-exception.js';
import { match } from './matcher.js';
import { framing, MAX_FRAME_BYTES, MESSAGE_TYPE, VERSION } from './spec.js';

/** What a response tells of the call: 0 success, 1 a TApplicationException, 2 an exception that the service declares. */
export const STATUS = { SUCCESS: 0, APPLICATION_EXCEPTION: 1, DECLARED_EXCEPTION: 2 } as const;

const TYPE = framing.slot('type');
const NO_BYTES = new Uint8Array(4);
const nameOf = (frame: Frame): string => Buffer.from(frame.section('name')).toString('utf8');

/** Apache Thrift: framed transport, strict binary protocol. */
export default {
  name: 'thrift',
  pool: 'multiplex',
  match,
  framing,
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
    // A reply is a struct of one field: 0 is what the method returns, others are its declared exceptions; a void method's is empty.
    const [type, high, low] = response.section('struct');
    return type === undefined || type === 0 || (high === 0 && low === 0) ? STATUS.SUCCESS : STATUS.DECLARED_EXCEPTION;
  },
  // A declared exception is an answer of a service that works.
  statusClass: (status) => (status === STATUS.APPLICATION_EXCEPTION ? 500 : 200),
  respond(request, reply) {
    const name = request.section('name');
    const head = new ByteWriter().u32(0).u16(VERSION).u8(0).u8(MESSAGE_TYPE.EXCEPTION).u32(name.length).bytes(name).u32(request.idLow);
    const frame = head.bytes(applicationException(reply));
    return frame.setU32(0, frame.length - 4).take();
  },
} satisfies Codec;

/** A call of `name` with the bytes of its arguments' struct: for tests and load generators. */
export const encodeCall = (name: string, seqid: number, struct: Uint8Array, type: number = MESSAGE_TYPE.CALL): Uint8Array =>
  encodeFrame(framing, { fields: { type, seqid }, sections: { name: Buffer.from(name), seqidBytes: NO_BYTES, struct } });

import type { Codec, Side } from '../../src/protocol/codec.js';
import type { Frame } from '../../src/protocol/frame.js';
import { encodeFrame } from '../../src/protocol/frame-encoder.js';
import type { KindName } from '../../src/protocol/frame-layout.js';
import { findAttachment, readBody, readMethod } from './body.js';
import { DubboHeaderMap, serviceOf, withHeaders } from './header-map.js';
import { encodeHessianString } from './hessian.js';
import { matchDubbo } from './matcher.js';
import { framing, HEADER_BYTES, MAX_BODY_BYTES, SERIALIZATION, STATUS } from './spec.js';

const SLOT = {
  request: framing.slot('request'),
  twoWay: framing.slot('twoWay'),
  serialization: framing.slot('serialization'),
  status: framing.slot('status'),
};
/** What an event may carry; Dubbo refuses more. */
const MAX_EVENT_BYTES = 15;
/** Longest text of a local reply, in UTF-16 units. */
const MAX_DETAILS = 1024;

const HESSIAN2_NULL = bytesOf('4e');
const HESSIAN2_READ_ONLY = bytesOf('0152');
const FASTJSON2_NULL = bytesOf('00000001 af');
const FASTJSON2_READ_ONLY = bytesOf('00000002 4a52');

/** Dubbo 2 (the protocol of Dubbo 2.x, and `dubbo://` of 3.x): README.md. */
export default {
  name: 'dubbo',
  pool: 'multiplex',
  match: matchDubbo,
  framing,
  maxFrameBytes: HEADER_BYTES + MAX_BODY_BYTES,

  classify,
  service(request) {
    const body = readBody(request);
    return body === undefined ? undefined : serviceOf(body);
  },
  method: readMethod,
  headers: (frame) => new DubboHeaderMap(frame),
  withHeaders,
  timeoutMs(request) {
    const body = readBody(request);
    const text = body === undefined ? undefined : findAttachment(body, 'timeout');
    return text !== undefined && /^-?\d{1,10}$/.test(text) ? Number(text) : undefined;
  },
  status: (response) => response.at(SLOT.status),
  statusClass,

  respond(request, { status, details }) {
    const serialization = request.at(SLOT.serialization);
    const body = encodeText(serialization, details.slice(0, MAX_DETAILS));
    return body === undefined ? undefined : encodeResponse(request, { event: 0, status: statusFor(status) }, body);
  },
  heartbeat: (idLow, idHigh) => encodeHeartbeat(SERIALIZATION.HESSIAN2, idLow, idHigh),
  heartbeatAck: (heartbeat) => encodeResponse(heartbeat, { event: 1, status: STATUS.OK }, nullOf(heartbeat)),
  goAway: () => encodeReadOnly(SERIALIZATION.HESSIAN2),
  goAwayMeans: 'host',
} satisfies Codec;

/** A heartbeat that wants an answer. */
export function encodeHeartbeat(serialization: 2 | 23, idLow: number, idHigh: number): Uint8Array {
  const fields = { request: 1, twoWay: 1, event: 1, serialization, requestId: idOf(idLow, idHigh) };
  return encodeFrame(framing, { fields, sections: { body: serialization === SERIALIZATION.HESSIAN2 ? HESSIAN2_NULL : FASTJSON2_NULL } });
}
/** The read-only event: its receiver sends no further request on the connection. */
export function encodeReadOnly(serialization: 2 | 23): Uint8Array {
  const body = serialization === SERIALIZATION.HESSIAN2 ? HESSIAN2_READ_ONLY : FASTJSON2_READ_ONLY;
  return encodeFrame(framing, { fields: { request: 1, event: 1, serialization }, sections: { body } });
}

/**
 * What an event is. Only heartbeats are answered: an event that wants an answer is one, and so is the answer, in whatever serialization. The others are one-way: "R" (read-only) is a
 * go-away; "W" (writable again) and what the proxy does not know are left alone.
 */
function classify(event: Frame, _from: Side): KindName {
  if (event.at(SLOT.request) === 0) return 'heartbeat-ack';
  const body = event.section('body');
  const serialization = event.at(SLOT.serialization);
  if (serialization === SERIALIZATION.HESSIAN2 && isEqual(body, HESSIAN2_READ_ONLY)) return 'go-away';
  if (serialization === SERIALIZATION.FASTJSON2 && isEqual(body, FASTJSON2_READ_ONLY)) return 'go-away';
  return event.at(SLOT.twoWay) === 1 && body.length <= MAX_EVENT_BYTES ? 'heartbeat' : 'event';
}
/** Null in the serialization of a heartbeat, which holds one itself: what is sent back of a serialization that is not known here. */
function nullOf(heartbeat: Frame): Uint8Array {
  switch (heartbeat.at(SLOT.serialization)) {
    case SERIALIZATION.HESSIAN2:
      return HESSIAN2_NULL;
    case SERIALIZATION.FASTJSON2:
      return FASTJSON2_NULL;
    default:
      return heartbeat.section('body');
  }
}

/** A response in the serialization of the request: since 3.2 a caller refuses every other. */
function encodeResponse(request: Frame, kind: { readonly event: number; readonly status: number }, body: Uint8Array): Uint8Array {
  const fields = { ...kind, request: 0, twoWay: 0, serialization: request.at(SLOT.serialization), requestId: request.id };
  return encodeFrame(framing, { fields, sections: { body } });
}
/** A text by itself. Undefined for a serialization in which the proxy cannot write one. */
function encodeText(serialization: number, text: string): Uint8Array | undefined {
  if (serialization === SERIALIZATION.HESSIAN2) return encodeHessianString(text);
  if (serialization !== SERIALIZATION.FASTJSON2) return undefined;
  // `i32 length`, then JSONB: the tag of a UTF-8 string, its bytes as a whole number of 1, 2 or 3 bytes, the bytes.
  const utf8 = Buffer.from(text, 'utf8');
  const { length } = utf8;
  const count =
    length < 48 ? [length] : length < 2048 ? [0x38 + (length >> 8), length & 0xff] : [0x44 + (length >> 16), (length >> 8) & 0xff, length & 0xff];
  const value = Buffer.concat([Uint8Array.of(0x7a, ...count), utf8]);
  const head = Buffer.alloc(4);
  head.writeInt32BE(value.length);
  return Buffer.concat([head, value]);
}

/** Status of Dubbo for a failure of the proxy's: the callers' libraries make their exception of it. */
function statusFor(http: number): number {
  switch (http) {
    case 404:
      return STATUS.SERVICE_NOT_FOUND;
    case 429:
    case 503:
      return STATUS.SERVER_THREADPOOL_EXHAUSTED_ERROR;
    case 504:
      return STATUS.SERVER_TIMEOUT;
    case 502:
      return STATUS.CHANNEL_INACTIVE;
    case 400:
      return STATUS.BAD_REQUEST;
    default:
      return STATUS.SERVER_ERROR;
  }
}
function statusClass(status: number): number {
  switch (status) {
    case STATUS.OK:
      return 200;
    case STATUS.BAD_REQUEST:
    case STATUS.CLIENT_ERROR:
      return 400;
    case STATUS.SERVICE_NOT_FOUND:
      return 404;
    case STATUS.CHANNEL_INACTIVE:
      return 502;
    case STATUS.SERVER_THREADPOOL_EXHAUSTED_ERROR:
      return 503;
    case STATUS.CLIENT_TIMEOUT:
    case STATUS.SERVER_TIMEOUT:
      return 504;
    default:
      return 500;
  }
}

const idOf = (low: number, high: number): bigint => (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
function isEqual(bytes: Uint8Array, wanted: Uint8Array): boolean {
  return bytes.length === wanted.length && bytes.every((byte, at) => byte === wanted[at]);
}
function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex.replace(/\s/g, ''), 'hex'));
}

import { CodecError } from '../../src/base/errors.js';
import type { Codec } from '../../src/protocol/codec.js';
import { crc32 } from '../../src/protocol/crc32.js';
import type { Frame } from '../../src/protocol/frame.js';
import { hasChecksum } from '../../src/protocol/frame-decoder.js';
import { encodeFrame } from '../../src/protocol/frame-encoder.js';
import { BoltHeaderMap, editHeaderBlock } from './header-map.js';
import { matchBolt } from './matcher.js';
import { CMDCODE, CODEC_HESSIAN2, framing, MAX_BLOCK_BYTES, PROTO, STATUS, TYPE, VER2 } from './spec.js';

export interface BoltOptions {
  /**
   * Tell peers with a GoAway frame (cmdcode 100) that a connection drains. Only MOSN knows it; a Java peer answers an unknown cmdcode by closing the
   * connection. Default false. One that is received is honoured in any case, and never forwarded.
   */
  readonly sendGoAway?: boolean;
}

const SLOT = {
  proto: framing.slot('proto'),
  ver1: framing.slot('typeOrVer1'),
  codec: framing.slot('codec'),
  timeout: framing.slot('timeout'),
  status: framing.slot('respstatus'),
};
const NO_TIMEOUT = -1;

/** Bolt, versions 1 and 2 (both may be on one connection), as SOFABolt and SOFARPC speak it: README.md. */
export const createBolt = ({ sendGoAway = false }: BoltOptions = {}) =>
  ({
    name: 'bolt',
    pool: 'multiplex',
    match: matchBolt,
    framing,

    service(request) {
      const headers = headersOf(request);
      return headers.get('service') ?? headers.get('sofa_head_target_service');
    },
    method: (request) => headersOf(request).get('sofa_head_method_name'),
    headers: headersOf,
    withHeaders,
    timeoutMs: (request) => request.at(SLOT.timeout),
    status: (response) => response.at(SLOT.status),
    statusClass,

    respond: (request, { status }) => encodeResponse(request, CMDCODE.RESPONSE, statusFor(status)),
    heartbeat: (idLow) => encodeCommand(CMDCODE.HEARTBEAT, idLow),
    heartbeatAck: (heartbeat) => encodeResponse(heartbeat, CMDCODE.HEARTBEAT, STATUS.SUCCESS),
    ...(sendGoAway ? { goAway: () => encodeCommand(CMDCODE.GO_AWAY, 0) } : {}),
  }) satisfies Codec;

export default createBolt();

function headersOf(frame: Frame): BoltHeaderMap {
  return new BoltHeaderMap(frame.section('header'));
}

/** Puts another header block into the frame. Its content may be missing (the frame is cut through): all its lengths but `headerLen` stay. */
function withHeaders(frame: Frame, changes: ReadonlyMap<string, string | undefined>): Uint8Array {
  const { raw } = frame;
  const block = editHeaderBlock(frame.section('header'), changes);
  const start = frame.sectionStart('header');
  const end = frame.sectionStart('content');
  const classBytes = frame.sectionBytes('class');
  if (block.length > MAX_BLOCK_BYTES) throw new CodecError('bolt', 'HEADER_TOO_LARGE', start, `${block.length} > ${MAX_BLOCK_BYTES}`, 'stream');
  const edited = new Uint8Array(raw.length - (end - start) + block.length);
  edited.set(raw.subarray(0, start));
  edited.set(block, start);
  edited.set(raw.subarray(end), start + block.length);
  const view = new DataView(edited.buffer);
  // The three lengths are the last fields before the class name: u16, u16, u32.
  view.setUint16(start - classBytes - 6, block.length);
  if (hasChecksum(frame.layout, frame.ints, frame.base)) view.setUint32(edited.length - 4, crc32(edited, 0, edited.length - 4));
  return edited;
}

/**
 * A response without class, header and content, in the version of the request and with its serializer. No checksum: Java's own exception responses and
 * heartbeat answers have none either, whatever the request has.
 */
function encodeResponse(request: Frame, cmdcode: number, respstatus: number): Uint8Array {
  const fields = { cmdcode, ver2: VER2, requestId: request.idLow >>> 0, codec: request.at(SLOT.codec), respstatus };
  if (request.at(SLOT.proto) === PROTO.V1) return encodeFrame(framing, { variant: 'v1-response', fields });
  return encodeFrame(framing, { variant: 'v2-response', fields: { ...fields, typeOrVer1: request.at(SLOT.ver1) } });
}
/** A request of the protocol itself, in version 1, which every peer reads on any connection. */
function encodeCommand(cmdcode: number, id: number): Uint8Array {
  const fields = { typeOrVer1: TYPE.REQUEST, cmdcode, ver2: VER2, requestId: id >>> 0, codec: CODEC_HESSIAN2, timeout: NO_TIMEOUT };
  return encodeFrame(framing, { variant: 'v1-request', fields });
}

/** Status of Bolt for a failure of the proxy's: the callers' libraries make their exception of it. */
function statusFor(http: number): number {
  switch (http) {
    case 404:
      return STATUS.NO_PROCESSOR;
    case 403:
      return STATUS.SERVER_EXCEPTION;
    case 429:
    case 503:
      return STATUS.SERVER_THREADPOOL_BUSY;
    case 504:
      return STATUS.TIMEOUT;
    case 502:
      return STATUS.CONNECTION_CLOSED;
    case 400:
      return STATUS.CODEC_EXCEPTION;
    default:
      return STATUS.UNKNOWN;
  }
}
function statusClass(status: number): number {
  switch (status) {
    case STATUS.SUCCESS:
      return 200;
    case STATUS.SERVER_THREADPOOL_BUSY:
      return 503;
    case STATUS.TIMEOUT:
      return 504;
    case STATUS.CONNECTION_CLOSED:
      return 502;
    default:
      return 500;
  }
}

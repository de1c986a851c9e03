import type { Codec } from '../../src/protocol/codec.js';
import type { Frame } from '../../src/protocol/frame.js';
import { changedEntries, HeaderEntries } from '../../src/protocol/header-entries.js';
import { openSession, spliced, withId } from './decoder.js';
import { FieldReader } from './field-reader.js';
import { FieldWriter, frameOf } from './field-writer.js';
import { match } from './matcher.js';
import { layout, MAX_FRAME_BYTES, PACKET_TYPE, PING, RECONNECT, REQUEST_TAG, RESPONSE_TAG, RET, STATUS_RESULT, TYPE, VERSION } from './spec.js';

const [VERSION_SLOT, PACKET, RET_SLOT, TIMEOUT] = ['version', 'packetType', 'ret', 'timeout'].map((name) => layout.slot(name));
const PING_TIMEOUT_MS = 3000;
const utf8 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8');

/** Entries of a section that is a whole map field; none where the field is absent or no map of strings. */
function mapEntries(frame: Frame, section: string): [string, string][] {
  const bytes = frame.section(section);
  const reader = new FieldReader(bytes, 0, 0, bytes.length);
  return reader.next() && reader.type === TYPE.MAP ? reader.textEntries() : [];
}
const RET_OF: Readonly<Record<number, number>> = { 404: RET.NO_SERVANT, 502: RET.PROXY_CONNECT, 503: RET.OVERLOAD, 504: RET.CALL_TIMEOUT };
/** iRet as the HTTP status that means the same. */
const CLASS_OF: Readonly<Record<number, number>> = {
  [RET.OK]: 200,
  [RET.NO_FUNCTION]: 404,
  [RET.NO_SERVANT]: 404,
  [RET.QUEUE_TIMEOUT]: 504,
  [RET.CALL_TIMEOUT]: 504,
  [RET.PROXY_CONNECT]: 502,
  [RET.OVERLOAD]: 503,
};

/** Fields 1 to 5 and the empty buffer and status of a ResponsePacket. */
const response = (version: number, id: number, ret: number): FieldWriter =>
  new FieldWriter()
    .number(1, version)
    .number(2, PACKET_TYPE.NORMAL)
    .number(RESPONSE_TAG.REQUEST_ID, id)
    .number(RESPONSE_TAG.MESSAGE_TYPE, 0)
    .number(RESPONSE_TAG.RET, ret)
    .noBytes(RESPONSE_TAG.BUFFER)
    .map(RESPONSE_TAG.STATUS, []);

/** Tars, and TUP: the RPC protocol of TarsCpp, TarsGo and their relatives. */
export default {
  name: 'tars',
  pool: 'multiplex',
  match,
  framing: { layout, open: openSession, withId },
  maxFrameBytes: MAX_FRAME_BYTES,
  service: (request) => utf8(request.section('servant')),
  method: (request) => utf8(request.section('function')),
  timeoutMs: (request) => request.at(TIMEOUT) | 0,
  headers: (frame) => new HeaderEntries(() => mapEntries(frame, 'context')),
  withHeaders(frame, changes) {
    const tag = frame.variant === 'request' ? REQUEST_TAG.CONTEXT : RESPONSE_TAG.CONTEXT;
    const field = new FieldWriter().map(tag, changedEntries(mapEntries(frame, 'context'), changes)).out.take();
    return spliced(frame, frame.sectionStart('context'), frame.sectionBytes('context'), field);
  },
  status(frame) {
    if (frame.variant === 'response') return frame.at(RET_SLOT) | 0;
    const code = mapEntries(frame, 'status').find(([name]) => name === STATUS_RESULT.CODE)?.[1];
    return code === undefined ? RET.OK : Number.parseInt(code, 10) || RET.OK;
  },
  statusClass: (ret) => CLASS_OF[ret] ?? 500,

  respond(request, { status, details }) {
    const [version, ret] = [request.at(VERSION_SLOT), RET_OF[status] ?? RET.UNKNOWN];
    if (version !== VERSION.TUP) return frameOf(response(version, request.idLow, ret).text(RESPONSE_TAG.RESULT_DESC, details));
    // A TUP response is a RequestPacket, its result two entries of the status map.
    return frameOf(
      new FieldWriter()
        .number(1, version)
        .number(2, PACKET_TYPE.NORMAL)
        .number(3, 0)
        .number(REQUEST_TAG.REQUEST_ID, request.idLow)
        .text(REQUEST_TAG.SERVANT, request.section('servant'))
        .text(REQUEST_TAG.FUNCTION, request.section('function'))
        .noBytes(REQUEST_TAG.BUFFER)
        .number(REQUEST_TAG.TIMEOUT, 0)
        .map(REQUEST_TAG.CONTEXT, [])
        .map(REQUEST_TAG.STATUS, [
          [STATUS_RESULT.CODE, `${ret}`],
          [STATUS_RESULT.DESC, details],
        ]),
    );
  },
  heartbeat: (idLow) =>
    frameOf(
      new FieldWriter()
        .number(1, VERSION.TARS)
        .number(2, PACKET_TYPE.NORMAL)
        .number(3, 0)
        .number(REQUEST_TAG.REQUEST_ID, idLow | 0)
        .text(REQUEST_TAG.SERVANT, '')
        .text(REQUEST_TAG.FUNCTION, PING)
        .noBytes(REQUEST_TAG.BUFFER)
        .number(REQUEST_TAG.TIMEOUT, PING_TIMEOUT_MS)
        .map(REQUEST_TAG.CONTEXT, [])
        .map(REQUEST_TAG.STATUS, []),
    ),
  // Servers answer a ping as they answer any call; a one-way ping wants no answer.
  heartbeatAck: (ping) => (ping.at(PACKET) === PACKET_TYPE.ONEWAY ? new Uint8Array(0) : frameOf(response(VERSION.TARS, ping.idLow, RET.OK))),
  goAway: () => frameOf(response(VERSION.TARS, 0, RET.OK).text(RESPONSE_TAG.RESULT_DESC, RECONNECT)),
} satisfies Codec;

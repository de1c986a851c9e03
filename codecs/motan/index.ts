import { ByteWriter } from '../../src/protocol/byte-writer.js';
import type { Codec } from '../../src/protocol/codec.js';
import type { Frame } from '../../src/protocol/frame.js';
import { changedEntries, HeaderEntries } from '../../src/protocol/header-entries.js';
import { match } from './matcher.js';
import { encodeMeta, readMeta } from './meta.js';
import { framing, MAGIC, MESSAGE_TYPE, META, META_AT, SERIALIZE_SIMPLE, STATUS, VERSION } from './spec.js';

/** Motan's maxContentLength. */
const MAX_FRAME_BYTES = 10 * 1024 * 1024;
const [STATUS_SLOT, SERIALIZE] = ['status', 'serialize'].map((name) => framing.slot(name));
const NO_BYTES = new Uint8Array(0);

const metaOf = (frame: Frame): HeaderEntries => new HeaderEntries(() => readMeta(frame.section('meta')));
function encode(messageType: number, status: number, serialize: number, idLow: number, idHigh: number, meta: Uint8Array): Uint8Array {
  const head = new ByteWriter()
    .u16(MAGIC)
    .u8(messageType)
    .u8((VERSION << 3) | status)
    .u8(serialize << 3);
  return head.u64(idLow, idHigh).u32(meta.length).bytes(meta).u32(0).take();
}

/** Motan, version 2 of its protocol. */
export default {
  name: 'motan',
  pool: 'multiplex',
  match,
  framing,
  maxFrameBytes: MAX_FRAME_BYTES,
  service: (request) => metaOf(request).get(META.PATH),
  method: (request) => metaOf(request).get(META.METHOD),
  timeoutMs(request) {
    const timeout = Number.parseInt(metaOf(request).get(META.TIMEOUT) ?? '', 10);
    return Number.isNaN(timeout) ? undefined : timeout;
  },
  headers: metaOf,
  withHeaders(frame, changes) {
    const { raw } = frame;
    const meta = encodeMeta(changedEntries(readMeta(frame.section('meta')), changes));
    const behind = META_AT + frame.sectionBytes('meta');
    return new ByteWriter()
      .bytes(raw.subarray(0, META_AT - 4))
      .u32(meta.length)
      .bytes(meta)
      .bytes(raw.subarray(behind))
      .take();
  },
  status: (response) => response.at(STATUS_SLOT),
  respond(request, { status, details }) {
    const exception = JSON.stringify({ errcode: status, errmsg: details, errtype: 0 });
    const meta = encodeMeta([[META.EXCEPTION, exception]]);
    return encode(MESSAGE_TYPE.RESPONSE, STATUS.EXCEPTION, request.at(SERIALIZE), request.idLow, request.idHigh, meta);
  },
  heartbeat: (idLow, idHigh) => encode(MESSAGE_TYPE.HEARTBEAT | MESSAGE_TYPE.PROXY, STATUS.NORMAL, SERIALIZE_SIMPLE, idLow, idHigh, NO_BYTES),
  heartbeatAck(heartbeat) {
    const type = MESSAGE_TYPE.HEARTBEAT | MESSAGE_TYPE.PROXY | MESSAGE_TYPE.RESPONSE;
    return encode(type, STATUS.NORMAL, heartbeat.at(SERIALIZE), heartbeat.idLow, heartbeat.idHigh, NO_BYTES);
  },
} satisfies Codec;

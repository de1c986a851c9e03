import { ByteWriter } from '../../src/protocol/byte-writer.js';
import type { Codec } from '../../src/protocol/codec.js';
import type { Frame } from '../../src/protocol/frame.js';
import { changedEntries, HeaderEntries, type HeaderEntry } from '../../src/protocol/header-entries.js';
import { ProtobufReader, WIRE } from '../../src/protocol/protobuf-reader.js';
import { frameOf, metaWithout, openSession, withId } from './decoder.js';
import { match } from './matcher.js';
import { ERROR, layout, MAX_FRAME_BYTES, META, REQUEST, RESPONSE } from './spec.js';

const ERROR_CODE = layout.slot('errorCode');
const readerOf = (bytes: Uint8Array): ProtobufReader => new ProtobufReader(bytes, 0, bytes.length);
const tag = (number: number, wireType: number): number => (number << 3) | wireType;

/** A field of RpcRequestMeta. Sub-messages that come twice are merged, and the last value counts: as the server reads it. */
function requestField(frame: Frame, number: number, wireType: number): { readonly text: string; readonly low: number } | undefined {
  const meta = readerOf(frame.section('meta'));
  let found: { readonly text: string; readonly low: number } | undefined;
  while (meta.next()) {
    if (meta.number !== META.REQUEST || meta.wireType !== WIRE.BYTES) continue;
    const request = meta.inside();
    while (request.next()) if (request.number === number && request.wireType === wireType) found = { text: request.text, low: request.low };
  }
  return found;
}
function* userFields(frame: Frame): Iterable<HeaderEntry> {
  const meta = readerOf(frame.section('meta'));
  while (meta.next()) {
    if (meta.number !== META.USER_FIELDS || meta.wireType !== WIRE.BYTES) continue;
    const entry = meta.inside();
    const parts = ['', ''];
    while (entry.next()) if (entry.wireType === WIRE.BYTES && (entry.number === 1 || entry.number === 2)) parts[entry.number - 1] = entry.text;
    yield [parts[0], parts[1]];
  }
}
const ERROR_OF: Readonly<Record<number, number>> = {
  404: ERROR.ENOSERVICE,
  502: ERROR.EFAILEDSOCKET,
  503: ERROR.EHOSTDOWN,
  504: ERROR.ERPCTIMEDOUT,
};
const CLASS_OF: Readonly<Record<number, number>> = {
  0: 200,
  [ERROR.ENOSERVICE]: 404,
  [ERROR.ENOMETHOD]: 404,
  [ERROR.EFAILEDSOCKET]: 502,
  [ERROR.EHOSTDOWN]: 503,
  [ERROR.EOVERCROWDED]: 503,
  [ERROR.ELOGOFF]: 503,
  [ERROR.ELIMIT]: 503,
  [ERROR.ERPCTIMEDOUT]: 504,
};

/** baidu_std, the standard protocol of bRPC. */
export default {
  name: 'brpc',
  pool: 'multiplex',
  match,
  framing: { layout, open: (_side, limits) => openSession(limits), withId },
  maxFrameBytes: MAX_FRAME_BYTES,
  service: (request) => requestField(request, REQUEST.SERVICE_NAME, WIRE.BYTES)?.text,
  method: (request) => requestField(request, REQUEST.METHOD_NAME, WIRE.BYTES)?.text,
  timeoutMs: (request) => requestField(request, REQUEST.TIMEOUT_MS, WIRE.VARINT)?.low,
  headers: (frame) => new HeaderEntries(() => userFields(frame)),
  withHeaders(frame, changes) {
    const meta = metaWithout(frame.section('meta'), META.USER_FIELDS);
    for (const [key, value] of changedEntries(userFields(frame), changes)) {
      const [name, text] = [Buffer.from(key, 'utf8'), Buffer.from(value, 'utf8')];
      const entry = new ByteWriter().u8(tag(1, WIRE.BYTES)).varint(name.length).bytes(name);
      entry.u8(tag(2, WIRE.BYTES)).varint(text.length).bytes(text);
      meta.u8(tag(META.USER_FIELDS, WIRE.BYTES)).varint(entry.length).bytes(entry.take());
    }
    return frameOf(meta.take(), frame.section('body'));
  },
  status: (response) => response.at(ERROR_CODE) | 0,
  statusClass: (code) => CLASS_OF[code] ?? 500,
  respond(request, { status, details }) {
    const text = Buffer.from(details, 'utf8');
    const response = new ByteWriter().u8(tag(RESPONSE.ERROR_CODE, WIRE.VARINT)).varint(ERROR_OF[status] ?? ERROR.EINTERNAL);
    response.u8(tag(RESPONSE.ERROR_TEXT, WIRE.BYTES)).varint(text.length).bytes(text);
    const meta = new ByteWriter().u8(tag(META.RESPONSE, WIRE.BYTES)).varint(response.length).bytes(response.take());
    meta.u8(tag(META.CORRELATION_ID, WIRE.VARINT)).varint(request.idLow, request.idHigh);
    return frameOf(meta.take(), new Uint8Array(0));
  },
} satisfies Codec;

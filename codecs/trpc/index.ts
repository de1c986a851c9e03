import { ByteWriter } from '../../src/protocol/byte-writer.js';
import type { Codec } from '../../src/protocol/codec.js';
import type { Frame } from '../../src/protocol/frame.js';
import { KIND_NUMBER } from '../../src/protocol/frame-layout.js';
import { changedEntries, HeaderEntries, type HeaderEntry } from '../../src/protocol/header-entries.js';
import { ProtobufReader, WIRE } from '../../src/protocol/protobuf-reader.js';
import { frameLike, headerWithout, openSession, withId } from './decoder.js';
import { match } from './matcher.js';
import { HEADER, layout, MAX_FRAME_BYTES, REQUEST, RESPONSE, RET } from './spec.js';

const [RET_SLOT, FUNC_RET] = ['ret', 'funcRet'].map((name) => layout.slot(name));
const tag = (number: number, wireType: number): number => (number << 3) | wireType;

/** The last field of the header with this number and wire type: the one that counts. */
function headerField(frame: Frame, number: number, wireType: number): { readonly text: string; readonly low: number } | undefined {
  const bytes = frame.section('header');
  const reader = new ProtobufReader(bytes, 0, bytes.length);
  let found: { readonly text: string; readonly low: number } | undefined;
  while (reader.next()) if (reader.number === number && reader.wireType === wireType) found = { text: reader.text, low: reader.low };
  return found;
}
const transInfoOf = (frame: Frame): number => (frame.kind === KIND_NUMBER.response ? RESPONSE.TRANS_INFO : REQUEST.TRANS_INFO);
function* transInfo(frame: Frame): Iterable<HeaderEntry> {
  const bytes = frame.section('header');
  const reader = new ProtobufReader(bytes, 0, bytes.length);
  const number = transInfoOf(frame);
  while (reader.next()) {
    if (reader.number !== number || reader.wireType !== WIRE.BYTES) continue;
    const entry = reader.inside();
    const parts = ['', ''];
    while (entry.next()) if (entry.wireType === WIRE.BYTES && (entry.number === 1 || entry.number === 2)) parts[entry.number - 1] = entry.text;
    yield [parts[0], parts[1]];
  }
}
const RET_OF: Readonly<Record<number, number>> = {
  404: RET.SERVER_NOSERVICE,
  502: RET.CLIENT_NETWORK,
  503: RET.CLIENT_ROUTER,
  504: RET.CLIENT_INVOKE_TIMEOUT,
};
const CLASS_OF: Readonly<Record<number, number>> = {
  0: 200,
  [RET.SERVER_NOSERVICE]: 404,
  [RET.SERVER_NOFUNC]: 404,
  [RET.SERVER_TIMEOUT]: 504,
  [RET.SERVER_OVERLOAD]: 503,
  [RET.SERVER_LIMITED]: 503,
  [RET.SERVER_FULL_LINK_TIMEOUT]: 504,
  [RET.CLIENT_INVOKE_TIMEOUT]: 504,
  [RET.CLIENT_FULL_LINK_TIMEOUT]: 504,
  [RET.CLIENT_CONNECT]: 503,
  [RET.CLIENT_LIMITED]: 503,
  [RET.CLIENT_OVERLOAD]: 503,
  [RET.CLIENT_ROUTER]: 503,
  [RET.CLIENT_NETWORK]: 502,
};

/** tRPC, unary and one-way calls. */
export default {
  name: 'trpc',
  pool: 'multiplex',
  match,
  framing: { layout, open: openSession, withId },
  maxFrameBytes: MAX_FRAME_BYTES,
  service: (request) => headerField(request, REQUEST.CALLEE, WIRE.BYTES)?.text,
  method: (request) => headerField(request, REQUEST.FUNC, WIRE.BYTES)?.text,
  timeoutMs: (request) => headerField(request, REQUEST.TIMEOUT, WIRE.VARINT)?.low,
  headers: (frame) => new HeaderEntries(() => transInfo(frame)),
  withHeaders(frame, changes) {
    const number = transInfoOf(frame);
    const header = headerWithout(frame.section('header'), number);
    for (const [key, value] of changedEntries(transInfo(frame), changes)) {
      const [name, text] = [Buffer.from(key, 'utf8'), Buffer.from(value, 'utf8')];
      const entry = new ByteWriter().u8(tag(1, WIRE.BYTES)).varint(name.length).bytes(name);
      entry.u8(tag(2, WIRE.BYTES)).varint(text.length).bytes(text);
      header.u8(tag(number, WIRE.BYTES)).varint(entry.length).bytes(entry.take());
    }
    return frameLike(frame, frame.field('streamId'), header.take(), frame.section('body')).take();
  },
  // `ret` is the framework's; a service's own error (`func_ret`) is an answer, told apart by its sign.
  status: (response) => response.at(RET_SLOT) | 0 || (response.at(FUNC_RET) === 0 ? 0 : -1),
  statusClass: (ret) => (ret === -1 ? 200 : (CLASS_OF[ret] ?? 500)),
  respond(request, { status, details }) {
    const text = Buffer.from(details, 'utf8');
    const header = new ByteWriter();
    const callType = request.field('callType');
    if (callType !== 0) header.u8(tag(HEADER.CALL_TYPE, WIRE.VARINT)).varint(callType);
    if (request.idLow !== 0) header.u8(tag(HEADER.REQUEST_ID, WIRE.VARINT)).varint(request.idLow);
    header.u8(tag(RESPONSE.RET, WIRE.VARINT)).varint(RET_OF[status] ?? RET.SERVER_SYSTEM);
    header.u8(tag(RESPONSE.ERROR_MSG, WIRE.BYTES)).varint(text.length).bytes(text);
    for (const [from, to] of [
      [REQUEST.CONTENT_TYPE, RESPONSE.CONTENT_TYPE],
      [REQUEST.CONTENT_ENCODING, RESPONSE.CONTENT_ENCODING],
    ]) {
      const value = headerField(request, from, WIRE.VARINT)?.low ?? 0;
      if (value !== 0) header.u8(tag(to, WIRE.VARINT)).varint(value);
    }
    return frameLike(request, request.field('streamId'), header.take(), new Uint8Array(0)).take();
  },
} satisfies Codec;

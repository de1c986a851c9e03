import type { Codec } from '../../src/protocol/codec.js';
import type { Frame } from '../../src/protocol/frame.js';
import { changedEntries, HeaderEntries } from '../../src/protocol/header-entries.js';
import { blocksOf, encodeWithBlocks, entriesOf, type HeaderBlocks, readBlocks } from './header-blocks.js';
import { match } from './matcher.js';
import { exceptionPayload, readMessage } from './payload.js';
import { FLAG, framing, IDL_SERVICE, KEY, MESSAGE_TYPE, PROTOCOL, READY_TO_RESET } from './spec.js';

const [FLAGS, SEQID, PROTOCOL_SLOT, TRANSFORMS] = ['flags', 'seqid', 'protocol', 'transforms'].map((name) => framing.slot(name));

/** Type of the message: as the header says, else as the payload does; 0 where neither does. */
function messageType(frame: Frame, { integers }: HeaderBlocks): number {
  const named = Number(integers.get(KEY.MESSAGE_TYPE));
  return Number.isInteger(named) && named > 0 ? named : (readMessage(frame.section('payload'))?.type ?? 0);
}
const isClosing = ({ strings }: HeaderBlocks): boolean => (strings.get(READY_TO_RESET) ?? '') !== '';
const headOf = (frame: Frame) => ({
  flags: frame.at(FLAGS),
  seqid: frame.at(SEQID),
  protocol: frame.at(PROTOCOL_SLOT),
  transforms: frame.section('header').subarray(0, frame.at(TRANSFORMS)),
});

/** TTHeader, the transport of Kitex, with whatever payload. */
export default {
  name: 'ttheader',
  pool: 'multiplex',
  match,
  framing,
  classify(frame, from) {
    // Streams are many frames of one seqid: they cannot be paired one by one.
    if ((frame.at(FLAGS) & FLAG.STREAMING) !== 0) return 'unknown';
    const blocks = readBlocks(frame);
    if (from === 'downstream') return messageType(frame, blocks) === MESSAGE_TYPE.ONEWAY ? 'oneway' : 'request';
    // A control frame answers no call: seqid 0.
    return frame.at(SEQID) === 0 && isClosing(blocks) ? 'go-away' : 'response';
  },
  service(request) {
    const { integers, strings } = readBlocks(request);
    return integers.get(KEY.TO_SERVICE) ?? strings.get(IDL_SERVICE);
  },
  method(request) {
    const method = readBlocks(request).integers.get(KEY.TO_METHOD);
    if (method !== undefined) return method;
    const message = readMessage(request.section('payload'));
    return message === undefined ? undefined : Buffer.from(message.name).toString('utf8');
  },
  timeoutMs(request) {
    const timeout = Number.parseInt(readBlocks(request).integers.get(KEY.RPC_TIMEOUT) ?? '', 10);
    return Number.isNaN(timeout) ? undefined : timeout;
  },
  headers: (frame) => new HeaderEntries(() => entriesOf(readBlocks(frame))),
  withHeaders(frame, changes) {
    const blocks = readBlocks(frame);
    return encodeWithBlocks(headOf(frame), blocksOf(changedEntries(entriesOf(blocks), changes), blocks.aclToken), frame.section('payload'));
  },
  status: (response) => (messageType(response, readBlocks(response)) === MESSAGE_TYPE.EXCEPTION ? 1 : 0),
  endsConnection: (response) => isClosing(readBlocks(response)),
  respond(request, reply) {
    const message = readMessage(request.section('payload'));
    const protocol =
      message !== undefined && request.at(PROTOCOL_SLOT) === PROTOCOL.KITEX_PROTOBUF ? PROTOCOL.KITEX_PROTOBUF : PROTOCOL.THRIFT_BINARY;
    const blocks = { integers: new Map([[KEY.MESSAGE_TYPE as number, `${MESSAGE_TYPE.EXCEPTION}`]]), strings: new Map(), aclToken: undefined };
    const head = { flags: request.at(FLAGS), seqid: request.idLow, protocol, transforms: new Uint8Array(0) };
    return encodeWithBlocks(head, blocks, exceptionPayload(message, request.idLow, reply));
  },
  goAway() {
    const head = { flags: 0, seqid: 0, protocol: PROTOCOL.THRIFT_BINARY, transforms: new Uint8Array(0) };
    const blocks = { integers: new Map<number, string>(), strings: new Map([[READY_TO_RESET, '1']]), aclToken: undefined };
    return encodeWithBlocks(head, blocks, new Uint8Array(0));
  },
} satisfies Codec;

/** Small codecs for tests of pools: what is not in the built-in ones. */
import kv from '../../codecs/example/index.js';
import type { Codec } from '../../src/protocol/codec.js';
import type { Frame } from '../../src/protocol/frame.js';
import { encodeFrame } from '../../src/protocol/frame-encoder.js';
import { fixed, frameLayout, u8, u16 } from '../../src/protocol/frame-layout.js';

/** `kv` with one request at a time on a connection. */
export const pingpong: Codec = { ...kv, name: 'kv-pingpong', pool: 'pingpong' };
/** `kv` with an upstream connection for each downstream one. */
export const bound: Codec = { ...kv, name: 'kv-bound', pool: 'bound' };

const KINDS = ['request', 'response', 'heartbeat', 'heartbeat-ack', 'oneway'] as const;
const fields = { magic: u8(0, { equals: 0x53 }), kind: u8(1, { oneOf: KINDS }), bodyBytes: u16(2) };
const sections = { body: 'bodyBytes' };
/** Four bytes of head, and no id: answers come in order. */
const plainFraming = frameLayout({ fields, length: fixed(4).plus('bodyBytes'), sections, kind: 'kind' });
/** The same with an id of 16 bits. */
const shortFraming = frameLayout({
  fields: { ...fields, id: u16(4) },
  length: fixed(6).plus('bodyBytes'),
  sections,
  id: 'id',
  kind: 'kind',
});

const bodyOf = (frame: Frame): Buffer => Buffer.from(frame.section('body'));
/** A frame of `plain`; with an id one of `short`. */
export const frame = (kind: (typeof KINDS)[number], text = '', id?: number): Uint8Array => {
  const values = { kind: KINDS.indexOf(kind), ...(id === undefined ? {} : { id }) };
  return encodeFrame(id === undefined ? plainFraming : shortFraming, { fields: values, sections: { body: Buffer.from(text) } });
};
export const textOf = (of: Frame): string => bodyOf(of).toString();

/** Without ids: `pingpong`, with heartbeats. */
export const plain: Codec = {
  name: 'plain',
  pool: 'pingpong',
  match: (head) => (head.length === 0 ? 'more' : head[0] === 0x53 ? 'yes' : 'no'),
  framing: plainFraming,
  service: textOf,
  respond: (_, { details }) => frame('response', details),
  heartbeat: () => frame('heartbeat'),
  heartbeatAck: () => frame('heartbeat-ack'),
};
/** Ids of 16 bits, multiplexed. */
export const short: Codec = {
  name: 'short',
  pool: 'multiplex',
  match: plain.match,
  framing: shortFraming,
  service: textOf,
  respond: (request, { details }) => frame('response', details, request.idLow),
  heartbeat: (id) => frame('heartbeat', '', id),
  heartbeatAck: (beat) => frame('heartbeat-ack', '', beat.idLow),
};

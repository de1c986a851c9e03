import { i32, u8, u32 } from '../../src/protocol/frame-layout.js';
import { scriptedLayout } from '../../src/protocol/scripted-frame.js';

// Framed transport and compact protocol (Apache Thrift, doc/specs/thrift-compact-protocol.md).
//   0        4    5                          6
//   | length | 82 | type (3 bits), 1 (5 bits) | seqid varint | name length varint | name | struct ...
//            ^ length counts from here
export const PROTOCOL_ID = 0x82;
export const VERSION = 1;
export const MESSAGE_TYPE = { CALL: 1, REPLY: 2, EXCEPTION: 3, ONEWAY: 4 } as const;
/** Default of the framed transport: DEFAULT_MAX_FRAME_SIZE. */
export const MAX_FRAME_BYTES = 16_384_000;
/** Length, protocol id, type, and one byte each for seqid and the name's length. */
export const MIN_FRAME_BYTES = 8;

export const layout = scriptedLayout({
  fields: { length: u32(0), type: u8(5), seqid: u32(6), nameBytes: i32(7) },
  sections: ['name', 'struct'],
  id: 'seqid',
});

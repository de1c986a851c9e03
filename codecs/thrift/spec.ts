import { fixed, frameLayout, i32, type KindRule, u8, u16, u32 } from '../../src/protocol/frame-layout.js';

// Framed transport and strict binary protocol (Apache Thrift, doc/specs). All integers are big-endian.
//   0        4        6       7      8           12            12+n     16+n
//   | length | 80 01  | any   | type | nameBytes | name (n) .. | seqid  | struct ...
//            ^ length counts from here
export const VERSION = 0x8001;
export const MESSAGE_TYPE = { CALL: 1, REPLY: 2, EXCEPTION: 3, ONEWAY: 4 } as const;
/** Default of the framed transport: DEFAULT_MAX_FRAME_SIZE. */
export const MAX_FRAME_BYTES = 16_384_000;

const KINDS: readonly KindRule[] = [
  { is: 'request', when: { type: MESSAGE_TYPE.CALL } },
  { is: 'oneway', when: { type: MESSAGE_TYPE.ONEWAY } },
  { is: 'response' },
];

export const framing = frameLayout({
  fields: {
    length: u32(0),
    version: u16(4, { equals: VERSION }),
    reserved: u8(6),
    type: u8(7, { oneOf: [MESSAGE_TYPE.CALL, MESSAGE_TYPE.REPLY, MESSAGE_TYPE.EXCEPTION, MESSAGE_TYPE.ONEWAY] }),
    nameBytes: i32(8, { min: 0 }),
    seqid: u32(fixed(12).plus('nameBytes')),
  },
  length: fixed(4).plus('length'),
  sections: { name: 'nameBytes', seqidBytes: fixed(4), struct: 'rest' },
  sectionsAt: fixed(12),
  id: 'seqid',
  kind: KINDS,
});

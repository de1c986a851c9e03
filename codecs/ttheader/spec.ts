import { fixed, frameLayout, u8, u16, u32 } from '../../src/protocol/frame-layout.js';

// TTHeader (Kitex). All integers are big-endian.
//   0        4       6       8       12            14         15           16
//   | length | 10 00 | flags | seqid | headerWords | protocol | transforms | transform ids, info blocks, padding | payload ...
//            ^ length counts from here             ^ headerWords x 4 bytes from here                              ^ up to here
export const MAGIC = 0x1000;
export const FLAG = { OUT_OF_ORDER: 1, STREAMING: 2, DUPLEX_REVERSE: 8, SASL: 0x10 } as const;
export const PROTOCOL = { THRIFT_BINARY: 0, THRIFT_COMPACT: 2, THRIFT_COMPACT_V2: 3, KITEX_PROTOBUF: 4 } as const;
export const INFO = { PADDING: 0, STRINGS: 1, INTEGERS: 0x10, ACL_TOKEN: 0x11 } as const;
/** Keys of the integer block that a proxy looks at. */
export const KEY = { TO_SERVICE: 6, TO_METHOD: 9, RPC_TIMEOUT: 12, MESSAGE_TYPE: 22 } as const;
/** Values of MESSAGE_TYPE, and of the payload's own. */
export const MESSAGE_TYPE = { CALL: 1, REPLY: 2, EXCEPTION: 3, ONEWAY: 4 } as const;
/** In the string block: the sender is about to close the connection. */
export const READY_TO_RESET = 'crrst';
/** In the string block: name of the service in its IDL. */
export const IDL_SERVICE = 'isn';
/** Names of integer entries in the header map: `int:9`. */
export const INTEGER_PREFIX = 'int:';
/** Where the info blocks start: transform ids, of which there are none in practice, come first. */
export const HEADER_AT = 16;
/** Bytes of the counted header that are fields: protocol and transforms. */
export const COUNTED_FIELD_BYTES = 2;

export const framing = frameLayout({
  fields: {
    length: u32(0),
    magic: u16(4, { equals: MAGIC }),
    flags: u16(6),
    seqid: u32(8),
    headerWords: u16(12, { min: 1 }),
    protocol: u8(14),
    transforms: u8(15),
  },
  length: fixed(4).plus('length'),
  // A payload of negative length is BAD_LENGTH: the header is a section inside of the frame.
  sections: { header: fixed(-COUNTED_FIELD_BYTES).plusScaled('headerWords', 4), payload: 'rest' },
  id: 'seqid',
  // Requests and responses have the same head.
  kind: [{ is: 'event' }],
});

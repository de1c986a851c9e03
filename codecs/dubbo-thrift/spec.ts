import { fixed, frameLayout, i16, i32, u8, u16, u32, u64 } from '../../src/protocol/frame-layout.js';

// Dubbo 2.5 to 2.7, `thrift` protocol (ThriftCodec). All integers are big-endian.
//   0          4       6               10          12        13
//   | frameLen | da bc | messageLen    | headerLen | 01      | service: i32 + UTF-8 | [path: i32 + UTF-8] | requestId i64 | Thrift message ...
//              ^ frameLen and headerLen count from here; headerLen ends behind requestId
//
// 2.7 writes `path` in requests but not in responses, older versions never: so requestId is found from the end of the head, 4 + headerLen - 8.
export const MAGIC = 0xdabc;
export const HEAD_VERSION = 1;
export const MESSAGE_TYPE = { CALL: 1, REPLY: 2, EXCEPTION: 3, ONEWAY: 4 } as const;
export const THRIFT_VERSION = 0x8001;
/** Up to and with the length of `service`. */
export const FIXED_BYTES = 17;
const ID_BYTES = 8;

export const framing = frameLayout({
  fields: {
    frameLen: u32(0),
    magic: u16(4, { equals: MAGIC }),
    messageLen: u32(6),
    headerLen: i16(10, { min: FIXED_BYTES - 4 + ID_BYTES }),
    headVersion: u8(12, { equals: HEAD_VERSION }),
    serviceBytes: i32(13, { min: 0 }),
    requestId: u64(fixed(4 - ID_BYTES).plus('headerLen')),
    version: u16(fixed(4).plus('headerLen'), { equals: THRIFT_VERSION }),
    type: u8(fixed(7).plus('headerLen'), { oneOf: [MESSAGE_TYPE.CALL, MESSAGE_TYPE.REPLY, MESSAGE_TYPE.EXCEPTION, MESSAGE_TYPE.ONEWAY] }),
  },
  length: fixed(4).plus('frameLen'),
  sections: {
    service: 'serviceBytes',
    path: fixed(4 - FIXED_BYTES - ID_BYTES)
      .plus('headerLen')
      .plusScaled('serviceBytes', -1),
    requestIdBytes: fixed(ID_BYTES),
    message: 'rest',
  },
  sectionsAt: fixed(FIXED_BYTES),
  id: 'requestId',
  kind: [{ is: 'request', when: { type: MESSAGE_TYPE.CALL } }, { is: 'oneway', when: { type: MESSAGE_TYPE.ONEWAY } }, { is: 'response' }],
});

import { bits, fixed, frameLayout, i32, u8, u16, u64 } from '../../src/protocol/frame-layout.js';

// Names as in Dubbo's ExchangeCodec and its protocol page; README.md draws the frame. All integers are big-endian.
//   0       2       3        4            12           16
//   | da bb | flags | status | requestId  | dataLength | body ...
export const MAGIC = 0xdabb;
export const HEADER_BYTES = 16;
export const FLAG = { REQUEST: 0x80, TWO_WAY: 0x40, EVENT: 0x20, SERIALIZATION: 0x1f } as const;
/** Serializations whose bytes are looked at; all others are passed on untouched. */
export const SERIALIZATION = { HESSIAN2: 2, FASTJSON2: 23 } as const;
/** org.apache.dubbo.remoting.exchange.Response. */
export const STATUS = {
  OK: 20,
  SERIALIZATION_ERROR: 25,
  CLIENT_TIMEOUT: 30,
  SERVER_TIMEOUT: 31,
  CHANNEL_INACTIVE: 35,
  BAD_REQUEST: 40,
  BAD_RESPONSE: 50,
  SERVICE_NOT_FOUND: 60,
  SERVICE_ERROR: 70,
  SERVER_ERROR: 80,
  CLIENT_ERROR: 90,
  SERVER_THREADPOOL_EXHAUSTED_ERROR: 100,
} as const;
/** `payload` of Dubbo: both of its sides refuse a body of more bytes by default. */
export const MAX_BODY_BYTES = 8 * 1024 * 1024;

export const framing = frameLayout({
  fields: {
    magic: u16(0, { equals: MAGIC }),
    request: bits(2, 7, 1),
    twoWay: bits(2, 6, 1),
    event: bits(2, 5, 1),
    serialization: bits(2, 0, 5),
    status: u8(3),
    requestId: u64(4),
    dataLength: i32(12, { min: 0 }),
  },
  length: fixed(HEADER_BYTES).plus('dataLength'),
  // What may be cut through is the last section. The service is in the body, and what decides about it at the body's end: so the body is not the last one.
  sections: { body: 'dataLength', end: fixed(0) },
  id: 'requestId',
  kind: [
    { is: 'event', when: { event: 1 } },
    { is: 'request', when: { request: 1, twoWay: 1 } },
    { is: 'oneway', when: { request: 1 } },
    { is: 'response' },
  ],
});

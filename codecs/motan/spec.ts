import { bits, fixed, frameLayout, u16, u32, u64 } from '../../src/protocol/frame-layout.js';

// Motan v2. All integers are big-endian.
//   0       2             3                   4              5              13          17       17+m        21+m
//   | f1 f1 | messageType | version 5, status 3 | serialize 5, 3 | requestId u64 | metaBytes | meta ... | bodyBytes | body ...
// messageType, from the highest bit: 3 unused, heartbeat, gzip, oneway, proxy, response.
export const MAGIC = 0xf1f1;
/** Motan 1 has 0 there. */
export const VERSION = 1;
export const STATUS = { NORMAL: 0, EXCEPTION: 1 } as const;
export const MESSAGE_TYPE = { RESPONSE: 1, PROXY: 2, ONEWAY: 4, GZIP: 8, HEARTBEAT: 0x10 } as const;
export const SERIALIZE_SIMPLE = 6;
/** Keys of the meta map. */
export const META = { PATH: 'M_p', METHOD: 'M_m', GROUP: 'M_g', EXCEPTION: 'M_e', TIMEOUT: 'M_tmo' } as const;
export const META_AT = 17;

export const framing = frameLayout({
  fields: {
    magic: u16(0, { equals: MAGIC }),
    reserved: bits(2, 5, 3, { equals: 0 }),
    heartbeat: bits(2, 4, 1),
    gzip: bits(2, 3, 1),
    oneway: bits(2, 2, 1),
    proxy: bits(2, 1, 1),
    response: bits(2, 0, 1),
    version: bits(3, 3, 5, { equals: VERSION }),
    status: bits(3, 0, 3),
    serialize: bits(4, 3, 5),
    serializeRest: bits(4, 0, 3),
    requestId: u64(5),
    metaBytes: u32(13),
    bodyBytes: u32(fixed(META_AT).plus('metaBytes')),
  },
  length: fixed(META_AT + 4).plus('metaBytes', 'bodyBytes'),
  sections: { meta: 'metaBytes', bodyLength: fixed(4), body: 'bodyBytes' },
  sectionsAt: fixed(META_AT),
  id: 'requestId',
  kind: [
    { is: 'heartbeat-ack', when: { heartbeat: 1, response: 1 } },
    { is: 'heartbeat', when: { heartbeat: 1 } },
    { is: 'response', when: { response: 1 } },
    { is: 'oneway', when: { oneway: 1 } },
    { is: 'request' },
  ],
});

import { fixed, frameLayout, u8, u16, u32 } from 'sluice/codec';

// Names as in README.md. All integers are big-endian.
//   0       2      3        4        8           10          14
//   | magic | kind | status | id u32 | nameBytes | bodyBytes | name ... | body ...
export const MAGIC = 0xac3e;

/** What a frame is; the number on the wire is the index. `kind` below reads it, so the proxy needs no further rule. */
export const KINDS = ['request', 'response', 'oneway', 'heartbeat', 'heartbeat-ack', 'go-away'] as const;
export const KIND = { REQUEST: 0, RESPONSE: 1, ONEWAY: 2, HEARTBEAT: 3, HEARTBEAT_ACK: 4, GO_AWAY: 5 } as const;

export const STATUS = { OK: 0, NOT_FOUND: 1, FAILED: 2, BUSY: 3, TIMEOUT: 4 } as const;

export const framing = frameLayout({
  fields: {
    magic: u16(0, { equals: MAGIC }),
    kind: u8(2, { oneOf: KINDS }),
    status: u8(3),
    id: u32(4),
    nameBytes: u16(8),
    bodyBytes: u32(10),
  },
  length: fixed(14).plus('nameBytes', 'bodyBytes'), // checked against the limit before a byte is buffered for it
  sections: { name: 'nameBytes', body: 'bodyBytes' },
  id: 'id', // patched in place when a multiplexed pool renumbers the request
  kind: 'kind',
});

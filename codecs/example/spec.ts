import { fixed, frameLayout, u8, u16, u32 } from '../../src/protocol/frame-layout.js';

// Names as in README.md. All integers are big-endian.
//   0       1      2        4        8            12
//   | magic | kind | status | id u32 | bodyBytes  | body ...
export const MAGIC = 0x4b;

/** What a frame is; the number on the wire is the index. `kind` below reads it, so the proxy needs no further rule. */
export const KINDS = ['request', 'response', 'heartbeat', 'heartbeat-ack', 'oneway', 'go-away'] as const;
export const KIND = { REQUEST: 0, RESPONSE: 1, HEARTBEAT: 2, HEARTBEAT_ACK: 3, ONEWAY: 4, GO_AWAY: 5 } as const;

export const STATUS = { OK: 0, NOT_FOUND: 1, FAILED: 2, BUSY: 3, TIMEOUT: 4 } as const;

export const framing = frameLayout({
  fields: { magic: u8(0, { equals: MAGIC }), kind: u8(1, { oneOf: KINDS }), status: u16(2), id: u32(4), bodyBytes: u32(8) },
  length: fixed(12).plus('bodyBytes'), // checked against the limit before a byte is buffered for it
  sections: { body: 'bodyBytes' },
  id: 'id', // patched in place when a multiplexed pool renumbers the request
  kind: 'kind',
});

import { scriptedLayout, u8, u32 } from 'sluice/codec';

// Names as in README.md. Integers are big-endian; varints are groups of 7 bits, lowest first.
//   0       2      3        4        8
//   | magic | kind | status | id u32 | nameBytes varint | bodyBytes varint | name ... | body ...
export const MAGIC = [0xac, 0x5c] as const;
export const HEAD_BYTES = 8;
/** A varint of more bytes is an error: 4 of them hold 28 bits. */
export const VARINT_MAX_BYTES = 4;

/** What a frame is; the number on the wire is the index. */
export const KINDS = ['request', 'response', 'oneway', 'heartbeat', 'heartbeat-ack', 'go-away'] as const;
export const KIND = { REQUEST: 0, RESPONSE: 1, ONEWAY: 2, HEARTBEAT: 3, HEARTBEAT_ACK: 4, GO_AWAY: 5 } as const;

export const STATUS = { OK: 0, NOT_FOUND: 1, FAILED: 2, BUSY: 3, TIMEOUT: 4 } as const;

/** Names of what the decoder finds; places and lengths are the decoder's. */
export const layout = scriptedLayout({
  fields: { kind: u8(0), status: u8(0), id: u32(0), nameBytes: u32(0), bodyBytes: u32(0) },
  sections: ['name', 'body'],
  id: 'id',
});

import { i32, u8, u32 } from '../../src/protocol/frame-layout.js';
import { scriptedLayout } from '../../src/protocol/scripted-frame.js';

// TarsProtocol, tup/RequestF.tars. All integers are big-endian.
//   0                       4
//   | length, itself too    | fields, each: head | value
//   head: (tag << 4) | type, or (0xf0 | type), tag
export const TYPE = {
  BYTE: 0,
  SHORT: 1,
  INT: 2,
  LONG: 3,
  FLOAT: 4,
  DOUBLE: 5,
  STRING1: 6,
  STRING4: 7,
  MAP: 8,
  LIST: 9,
  STRUCT_BEGIN: 10,
  STRUCT_END: 11,
  ZERO: 12,
  SIMPLE_LIST: 13,
} as const;

/** Tags of a RequestPacket. TUP responses are RequestPackets too. */
export const REQUEST_TAG = { REQUEST_ID: 4, SERVANT: 5, FUNCTION: 6, BUFFER: 7, TIMEOUT: 8, CONTEXT: 9, STATUS: 10 } as const;
/** Tags of a ResponsePacket. Version (1) and packet type (2) are the same in both. */
export const RESPONSE_TAG = { REQUEST_ID: 3, MESSAGE_TYPE: 4, RET: 5, BUFFER: 6, STATUS: 7, RESULT_DESC: 8, CONTEXT: 9 } as const;
export const LAST_TAG = 10;

export const VERSION = { TARS: 1, TUP: 3, JSON: 5 } as const;
export const PACKET_TYPE = { NORMAL: 0, ONEWAY: 1 } as const;
/** Values of iRet. */
export const RET = {
  OK: 0,
  NO_FUNCTION: -3,
  NO_SERVANT: -4,
  QUEUE_TIMEOUT: -6,
  CALL_TIMEOUT: -7,
  PROXY_CONNECT: -8,
  OVERLOAD: -9,
  UNKNOWN: -99,
} as const;
export const PING = 'tars_ping';
/** sResultDesc of the push (iRequestId 0) that asks a client to leave the connection. */
export const RECONNECT = '_reconnect_';
/** Entries of a TUP response's status map. */
export const STATUS_RESULT = { CODE: 'STATUS_RESULT_CODE', DESC: 'STATUS_RESULT_DESC' } as const;

/** TarsGo's maxPackageLength. */
export const MAX_FRAME_BYTES = 10 * 1024 * 1024;
/** Length and the shortest field. */
export const MIN_FRAME_BYTES = 5;
/** Structs, maps and lists inside each other. */
export const MAX_DEPTH = 32;

/** Sections `context` and `status` are whole fields, heads included; of a field that is absent they are empty and stand where it would. */
export const layout = scriptedLayout({
  fields: { length: u32(0), version: u8(0), packetType: u8(0), messageType: i32(0), requestId: u32(0), ret: i32(0), timeout: i32(0), idBytes: u8(0) },
  sections: ['servant', 'function', 'buffer', 'context', 'status', 'resultDesc'],
  id: 'requestId',
  variants: ['request', 'response'],
});

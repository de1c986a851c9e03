import { i32, u8, u16, u32 } from '../../src/protocol/frame-layout.js';
import { scriptedLayout } from '../../src/protocol/scripted-frame.js';

// tRPC (trpc-group, trpc.proto). Head big-endian, header in Protocol Buffers.
//   0       2           3            4            8             10         14        15         16           16+h
//   | 09 30 | frameType | streamType | totalBytes | headerBytes | streamId | version | reserved | header (h) | body, attachment ...
// A unary call is paired by `request_id` of its header (trpc-go, codec.go: GetRequestID). Version 1 writes it to streamId as well, version 0 did not.
export const MAGIC = 0x0930;
export const HEAD_BYTES = 16;
export const FRAME_TYPE = { UNARY: 0, STREAM: 1 } as const;
export const CALL_TYPE = { UNARY: 0, ONEWAY: 1 } as const;
/** Field numbers that RequestProtocol and ResponseProtocol share. */
export const HEADER = { VERSION: 1, CALL_TYPE: 2, REQUEST_ID: 3 } as const;
export const REQUEST = { TIMEOUT: 4, CALLEE: 6, FUNC: 7, TRANS_INFO: 9, CONTENT_TYPE: 10, CONTENT_ENCODING: 11 } as const;
export const RESPONSE = { RET: 4, FUNC_RET: 5, ERROR_MSG: 6, TRANS_INFO: 8, CONTENT_TYPE: 9, CONTENT_ENCODING: 10 } as const;
/** Values of `ret` (TrpcRetCode). */
export const RET = {
  SERVER_NOSERVICE: 11,
  SERVER_NOFUNC: 12,
  SERVER_TIMEOUT: 21,
  SERVER_OVERLOAD: 22,
  SERVER_LIMITED: 23,
  SERVER_FULL_LINK_TIMEOUT: 24,
  SERVER_SYSTEM: 31,
  CLIENT_INVOKE_TIMEOUT: 101,
  CLIENT_FULL_LINK_TIMEOUT: 102,
  CLIENT_CONNECT: 111,
  CLIENT_LIMITED: 123,
  CLIENT_OVERLOAD: 124,
  CLIENT_ROUTER: 131,
  CLIENT_NETWORK: 141,
} as const;
/** DefaultMaxFrameSize of trpc-go, agreed between the languages. */
export const MAX_FRAME_BYTES = 10 * 1024 * 1024;

export const layout = scriptedLayout({
  fields: {
    frameType: u8(2),
    streamType: u8(3),
    totalBytes: u32(4),
    headerBytes: u16(8),
    streamId: u32(10),
    version: u8(14),
    requestId: u32(0),
    callType: u32(0),
    ret: i32(0),
    funcRet: i32(0),
  },
  sections: ['header', 'body'],
  id: 'requestId',
});

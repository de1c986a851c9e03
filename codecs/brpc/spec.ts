import { i32, u32, u64 } from '../../src/protocol/frame-layout.js';
import { scriptedLayout } from '../../src/protocol/scripted-frame.js';

// baidu_std (apache/brpc, baidu_rpc_meta.proto). Head big-endian, meta in Protocol Buffers.
//   0        4           8           12            12+m
//   | "PRPC" | bodyBytes | metaBytes | RpcMeta (m) | message, attachment ...
//                                    ^ bodyBytes counts from here
export const MAGIC = [0x50, 0x52, 0x50, 0x43] as const;
export const HEAD_BYTES = 12;
/** Field numbers of RpcMeta. */
export const META = { REQUEST: 1, RESPONSE: 2, COMPRESS_TYPE: 3, CORRELATION_ID: 4, ATTACHMENT_SIZE: 5, USER_FIELDS: 9 } as const;
/** Field numbers of RpcRequestMeta. */
export const REQUEST = { SERVICE_NAME: 1, METHOD_NAME: 2, TIMEOUT_MS: 8 } as const;
/** Field numbers of RpcResponseMeta. */
export const RESPONSE = { ERROR_CODE: 1, ERROR_TEXT: 2 } as const;
/** brpc/errno.proto, and EHOSTDOWN of the system: what brpc's own clients report where no server is left. */
export const ERROR = {
  EHOSTDOWN: 112,
  ENOSERVICE: 1001,
  ENOMETHOD: 1002,
  ERPCTIMEDOUT: 1008,
  EFAILEDSOCKET: 1009,
  EOVERCROWDED: 1011,
  EINTERNAL: 2001,
  ELOGOFF: 2003,
  ELIMIT: 2004,
} as const;
/** Default of max_body_size. */
export const MAX_FRAME_BYTES = 64 * 1024 * 1024;

export const layout = scriptedLayout({
  fields: { bodyBytes: u32(4), metaBytes: u32(8), correlationId: u64(0), errorCode: i32(0) },
  sections: ['meta', 'body'],
  id: 'correlationId',
});

/**
 * Numbers that a framing with streams (HTTP/2) and who drives it both use. `native/generate.mjs` turns this file into a part of `native/http2_rules.h`, so it
 * holds data only.
 */

/** Error codes of a stream or connection (RFC 9113 §7). */
export const STREAM_ERROR = {
  NO_ERROR: 0,
  PROTOCOL_ERROR: 1,
  INTERNAL_ERROR: 2,
  FLOW_CONTROL_ERROR: 3,
  SETTINGS_TIMEOUT: 4,
  STREAM_CLOSED: 5,
  FRAME_SIZE_ERROR: 6,
  REFUSED_STREAM: 7,
  CANCEL: 8,
  COMPRESSION_ERROR: 9,
  CONNECT_ERROR: 10,
  ENHANCE_YOUR_CALM: 11,
  INADEQUATE_SECURITY: 12,
  HTTP_1_1_REQUIRED: 13,
} as const;

/** What the reading half of a connection found. */
export const STREAM_EVENT = {
  /** Nothing whole: more bytes are needed. */
  MORE: 0,
  /** A request head, a final response head or an informational one. */
  HEAD: 1,
  /** A part of a body. */
  DATA: 2,
  /** Trailers; the message is over. */
  TRAILERS: 3,
  /** The stream is gone: reset by the peer (`fault` 0), or by us for a fault of the peer. */
  RESET: 4,
  /** A head beyond our limits, or of which the answer is known: to be answered with `status`, or reset. */
  BAD_HEAD: 5,
  /** The peer lets more be sent: on one stream, or (stream 0) on any. */
  WINDOW: 6,
  SETTINGS: 7,
  SETTINGS_ACK: 8,
  PING_ACK: 9,
  GOAWAY: 10,
  /** The connection is broken; the GOAWAY is in the output. Nothing is read any more. */
  FAULT: 11,
} as const;

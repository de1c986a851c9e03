/** Numbers of RFC 9113 and bounds of ours. `native/generate.mjs` turns this file into a part of `native/http2_rules.h`, so it holds data only. */

/** Frame types (RFC 9113 §6). */
export const FRAME_TYPE = {
  DATA: 0,
  HEADERS: 1,
  PRIORITY: 2,
  RST_STREAM: 3,
  SETTINGS: 4,
  PUSH_PROMISE: 5,
  PING: 6,
  GOAWAY: 7,
  WINDOW_UPDATE: 8,
  CONTINUATION: 9,
} as const;

/** Frame flags. */
export const FRAME_FLAG = {
  END_STREAM: 1,
  ACK: 1,
  END_HEADERS: 4,
  PADDED: 8,
  PRIORITY: 32,
} as const;

/** Settings (RFC 9113 §6.5.2, RFC 8441 §3, RFC 9218 §2.1). */
export const SETTING = {
  HEADER_TABLE_SIZE: 1,
  ENABLE_PUSH: 2,
  MAX_CONCURRENT_STREAMS: 3,
  INITIAL_WINDOW_SIZE: 4,
  MAX_FRAME_SIZE: 5,
  MAX_HEADER_LIST_SIZE: 6,
  ENABLE_CONNECT_PROTOCOL: 8,
  NO_RFC7540_PRIORITIES: 9,
} as const;

export const LIMIT = {
  FRAME_HEADER_BYTES: 9,
  PREFACE_BYTES: 24,
  DEFAULT_WINDOW: 65535,
  MAX_WINDOW: 2147483647,
  MIN_FRAME_SIZE: 16384,
  MAX_FRAME_SIZE: 16777215,
  DEFAULT_TABLE_SIZE: 4096,
  MAX_STREAM_ID: 2147483647,
  /** Streams that are closed but remembered, to tell what was in flight from what is wrong. */
  REMEMBERED_STREAMS: 128,
  /** Longest name of a field: its length has 16 bits in the head table. */
  MAX_NAME_BYTES: 32768,
  MAX_METHOD_BYTES: 64,
  /** Octets that follow the prefix of an HPACK integer. */
  MAX_INTEGER_OCTETS: 5,
} as const;

/**
 * Words of a connection's options, an `Int32Array`. `OPTION_DEFAULTS` has the same order. Rates are token buckets: `*_BURST` at once, refilled
 * evenly over `*_MS`.
 */
export const OPTION = {
  /** Streams that the peer may have open; those that it has reset but that we still work for count as well. */
  MAX_CONCURRENT_STREAMS: 0,
  /** Bytes of DATA that the peer may send on a stream, and on all of them, before some are taken. */
  STREAM_WINDOW: 1,
  CONNECTION_WINDOW: 2,
  /** SETTINGS_MAX_FRAME_SIZE that we offer. */
  MAX_FRAME_SIZE: 3,
  /** HPACK table of what the peer sends (announced), and the most that ours takes of what the peer offers. */
  DECODER_TABLE: 4,
  ENCODER_TABLE: 5,
  /** Header list of a message: names, values and 32 bytes for each field. Fault HEAD_TOO_LARGE. */
  MAX_HEAD_BYTES: 6,
  /** Fields of a message without pseudo-headers; each crumb of a cookie counts. Fault TOO_MANY_HEADERS. */
  MAX_HEADERS: 7,
  MAX_TARGET_BYTES: 8,
  /** Names with an underscore: 0 allow, 1 reject, 2 drop. */
  UNDERSCORES: 9,
  /** 1: extended CONNECT (RFC 8441) is offered. */
  EXTENDED_CONNECT: 10,
  /** Compressed bytes and CONTINUATION frames of one field block. */
  MAX_BLOCK_BYTES: 11,
  MAX_CONTINUATIONS: 12,
  /** Entries of one SETTINGS frame. */
  MAX_SETTINGS: 13,
  /** Streams reset by the peer, or by us for a fault of its. A stream that came to its regular end gives one back. */
  RESETS_BURST: 14,
  RESETS_MS: 15,
  /** DATA, HEADERS and CONTINUATION frames in a row that are empty and end nothing. */
  MAX_EMPTY_FRAMES: 16,
  /** SETTINGS, PING and frames of unknown types. A frame with payload in DATA or HEADERS gives one back. */
  CONTROLS_BURST: 17,
  CONTROLS_MS: 18,
  /** Control frames of ours that wait because the peer does not read. */
  MAX_QUEUED_CONTROLS: 19,
  /** WINDOW_UPDATE frames allowed: 5 + 2 × (streams + this × DATA frames sent). PRIORITY frames: this × (1 + streams). */
  WINDOW_UPDATES_PER_DATA: 20,
  PRIORITIES_PER_STREAM: 21,
  /** Time that the peer has to acknowledge SETTINGS. 0: none. */
  SETTINGS_TIMEOUT_MS: 22,
} as const;
export const OPTION_DEFAULTS = [
  100, 262144, 1048576, 16384, 4096, 4096, 61440, 100, 61440, 0, 0, 65536, 8, 32, 200, 30000, 2, 1000, 10000, 1000, 10, 100, 10000,
] as const;

/** What a header block is: it decides which rules its fields must keep. `FIELDS`: none, pseudo-headers are lines like others. */
export const BLOCK = {
  FIELDS: 0,
  REQUEST: 1,
  RESPONSE: 2,
  TRAILERS: 3,
} as const;

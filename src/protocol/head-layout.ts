/**
 * How a message head lies in an `Int32Array`: the table that the native framer and its TypeScript twin both fill, and that
 * `Head` (head.ts) and `Edits` (edits.ts) read. `native/generate.mjs` turns this file into `native/head_layout.h`.
 * Every offset is a byte offset into the arena the table belongs to.
 */

/** Words of the fixed part. A field table of `FIELD_WORDS` words for each header line follows at `FIELDS`. */
export const HEAD = {
  FLAGS: 0,
  /** Response status; 0 for a request. */
  STATUS: 1,
  /** Content-Length, low 32 bits (unsigned) and high bits; both -1 where there is none. */
  LENGTH_LOW: 2,
  LENGTH_HIGH: 3,
  /** Request method; for a response the reason phrase. */
  METHOD: 4,
  METHOD_BYTES: 5,
  /** Request target as sent. */
  TARGET: 6,
  TARGET_BYTES: 7,
  /** Number of header lines. */
  COUNT: 8,
  /** Bytes of the whole head on the wire, final blank line included. */
  HEAD_BYTES: 9,
  /** Where the authority starts when the target is in absolute form or authority form; its length (0 otherwise). */
  AUTHORITY: 10,
  AUTHORITY_BYTES: 11,
  /** Where the origin-form path starts (for absolute form the part after the authority); its length, 0 for `CONNECT` and for a bare authority. */
  PATH: 12,
  PATH_BYTES: 13,
  /** One word for each well-known name: 1 + index of its first line, 0 where absent. */
  KNOWN: 14,
  /** HTTP/2: `:scheme` and, of an extended CONNECT (RFC 8441), `:protocol`; length 0 where absent. */
  SCHEME: 54,
  SCHEME_BYTES: 55,
  PROTOCOL: 56,
  PROTOCOL_BYTES: 57,
  /** HTTP/2: where the bytes of the head begin; they are `HEAD_BYTES` long. */
  START: 58,
  FIELDS: 59,
} as const;

/** A field: name start, name bytes | known id << 16 | hop-by-hop << 24 | never indexed << 25, value start, value bytes (OWS trimmed). */
export const FIELD_WORDS = 4;
export const HOP_BY_HOP = 1 << 24;
/** The field came as a never-indexed literal (RFC 7541 §6.2.3) and must be sent on as one. */
export const NEVER_INDEXED = 1 << 25;

/** Bits of `HEAD.FLAGS`. */
export const HEAD_FLAG = {
  RESPONSE: 1,
  HTTP_11: 2,
  /** The peer's version and Connection field let the connection live on. */
  KEEP_ALIVE: 4,
  /** No body follows. */
  END: 8,
  CHUNKED: 16,
  /** A response body that ends with the connection. */
  UNTIL_CLOSE: 32,
  /** `Connection: upgrade` and an `Upgrade` field. */
  UPGRADE: 64,
  EXPECT_CONTINUE: 128,
  CONNECT: 256,
  HEAD_METHOD: 512,
  ABSOLUTE_FORM: 1024,
  /** A method that RFC 9110 §9.2.2 calls idempotent. */
  IDEMPOTENT: 2048,
  /** An HTTP/2 message. HTTP_11 and KEEP_ALIVE are set as well: it may be sent on as HTTP/1.1. */
  HTTP_2: 4096,
  /** CONNECT with `:protocol` (RFC 8441): what an Upgrade is in HTTP/1. CONNECT is not set. */
  EXTENDED_CONNECT: 8192,
} as const;

/** Well-known names, lower case; id = index + 1. At most 40. The order is part of the native contract. */
export const KNOWN_NAMES = [
  'host',
  'connection',
  'content-length',
  'transfer-encoding',
  'upgrade',
  'expect',
  'te',
  'trailer',
  'keep-alive',
  'proxy-connection',
  'date',
  'server',
  'user-agent',
  'content-type',
  'authorization',
  'cookie',
  'x-request-id',
  'x-forwarded-for',
  'x-forwarded-proto',
  'x-forwarded-host',
  'x-forwarded-port',
  'x-envoy-upstream-rq-timeout-ms',
  'x-envoy-upstream-rq-per-try-timeout-ms',
  'x-envoy-max-retries',
  'x-envoy-retry-on',
  'x-envoy-expected-rq-timeout-ms',
  'x-envoy-attempt-count',
  'x-envoy-upstream-service-time',
  'x-envoy-internal',
  'x-envoy-external-address',
  'x-envoy-original-path',
  'location',
  'via',
  'grpc-status',
  'retry-after',
  'x-envoy-decorator-operation',
  'x-envoy-upstream-alt-stat-name',
  'x-envoy-retriable-status-codes',
  'x-envoy-hedge-on-per-try-timeout',
  'proxy-authorization',
] as const;
export type KnownName = (typeof KNOWN_NAMES)[number];

/** `KNOWN_ID['host'] === 1`, and so on. */
export const KNOWN_ID = Object.fromEntries(KNOWN_NAMES.map((name, index) => [name, index + 1])) as Readonly<Record<KnownName, number>>;

/** Words of `Edits.ints`: what is to be changed when a head is sent on. */
export const EDIT = {
  FLAGS: 0,
  /** A response's status where the head is made here (`reply`); 0: as received. */
  STATUS: 1,
  /** Replacement of method, target, reason: start and length in `Edits.bytes`; length -1: as received. */
  METHOD: 2,
  METHOD_BYTES: 3,
  TARGET: 4,
  TARGET_BYTES: 5,
  /** Header lines added at the end, each with its CRLF. */
  APPEND: 6,
  APPEND_BYTES: 7,
  /** Number of line changes, `LINE_WORDS` words each from `LINES` on: line index, value start, value bytes (-1: drop the line). Ascending by line. */
  COUNT: 8,
  LINES: 9,
} as const;
export const LINE_WORDS = 3;

/** Bits of `EDIT.FLAGS`. */
export const EDIT_FLAG = {
  /** Say `connection: close`, and close once the exchange is over. */
  CLOSE: 1,
  /** Keep head and body (up to the profile's `maxRetainBytes`) so that `forward` can be called again for a retry. */
  RETAIN: 2,
  /** Send the head only; the body follows when the peer's 100 was forwarded, or on `releaseBody`. */
  HOLD_BODY: 4,
  /** After this head both connections carry opaque bytes (101, or 2xx to CONNECT). */
  TUNNEL: 8,
  /** Keep the `Upgrade` field and `connection: upgrade` (an upgrade request that may go upstream). */
  UPGRADE: 16,
  /** Names of header lines are written in Proper-Case. */
  PROPER_CASE: 32,
  /** The body goes to `onBody` and `onTrailers` instead of moving by itself (Engine.sendBody). */
  SHOW_BODY: 64,
  /** The trailers are shown with `onTrailers`, also where there are none. */
  SHOW_TRAILERS: 128,
} as const;

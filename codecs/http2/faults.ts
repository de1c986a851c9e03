/**
 * What can be wrong with HTTP/2 bytes. `error` is the code of RFC 9113 §7 in the RST_STREAM or GOAWAY that answers it, `status` the answer that a request with a
 * fault in its head may get instead (a broken response is always a 502). Shared with C++: `native/generate.mjs` turns this file into a part of
 * `native/http2_rules.h`, so it holds data only.
 */
export const FAULTS = {
  // Fields (RFC 9113 §8.2)
  BAD_NAME: {
    error: 1,
    status: 400,
    advice: 'A field name is empty, longer than 32,767 bytes, or holds a capital or a byte that is no token character.',
  },
  BAD_VALUE: { error: 1, status: 400, advice: 'A field value holds a control byte, or begins or ends with a space.' },
  UNDERSCORE_IN_NAME: { error: 1, status: 400, advice: 'A field name with an underscore, and underscores is `reject`.' },
  CONNECTION_FIELD: {
    error: 1,
    status: 400,
    advice: 'Connection, Proxy-Connection, Keep-Alive, Transfer-Encoding and Upgrade do not exist in HTTP/2.',
  },
  BAD_TE: { error: 1, status: 400, advice: 'TE may say `trailers` only.' },
  BAD_CONTENT_LENGTH: { error: 1, status: 400, advice: 'Content-Length is not a decimal number up to 2^53 - 1.' },
  DUPLICATE_CONTENT_LENGTH: { error: 1, status: 400, advice: 'Two Content-Length fields, be they equal or not.' },
  HEAD_TOO_LARGE: { error: 11, status: 431, advice: 'Raise maxHeadBytes; each field counts its name, its value and 32 bytes.' },
  TOO_MANY_HEADERS: { error: 11, status: 431, advice: 'Raise maxHeaders; each crumb of a cookie counts.' },
  // Pseudo-headers (RFC 9113 §8.3)
  UNKNOWN_PSEUDO: { error: 1, status: 400, advice: 'A pseudo-header that does not exist, or not in this kind of message.' },
  DUPLICATE_PSEUDO: { error: 1, status: 400, advice: 'A pseudo-header that is there twice.' },
  LATE_PSEUDO: { error: 1, status: 400, advice: 'A pseudo-header after an ordinary field.' },
  MISSING_PSEUDO: { error: 1, status: 400, advice: 'A request needs :method, :scheme and :path, a response :status.' },
  BAD_METHOD: { error: 1, status: 400, advice: 'The method is no token.' },
  METHOD_TOO_LONG: { error: 1, status: 501, advice: 'A method of more than 64 bytes: no known extension has one.' },
  BAD_SCHEME: { error: 1, status: 400, advice: ':scheme is no scheme of a URI.' },
  BAD_PATH: {
    error: 1,
    status: 400,
    advice: ':path does not begin with `/` (or is not `*` for OPTIONS), or holds a space, control, non-ASCII or `#` byte.',
  },
  TARGET_TOO_LARGE: { error: 11, status: 414, advice: 'Raise maxTargetBytes, or move data from the query into the body.' },
  BAD_AUTHORITY: { error: 1, status: 400, advice: ':authority is no host with an optional port.' },
  BAD_HOST: { error: 1, status: 400, advice: 'Host is no host with an optional port.' },
  DUPLICATE_HOST: { error: 1, status: 400, advice: 'Two Host fields: two servers would choose different ones.' },
  HOST_MISMATCH: { error: 1, status: 400, advice: 'Host and :authority differ: two servers would choose different ones.' },
  BAD_CONNECT: {
    error: 1,
    status: 400,
    advice: 'CONNECT has :authority, and neither :scheme nor :path; :protocol is for CONNECT, and only where extended CONNECT is offered.',
  },
  BAD_STATUS: { error: 1, status: 502, advice: ':status is not three digits from 100 to 999, or is 101, which HTTP/2 does not have.' },
  // HPACK (RFC 7541)
  BAD_INDEX: { error: 9, status: 400, advice: 'An index that neither the static nor the dynamic table has: the tables of both sides differ.' },
  BAD_INTEGER: { error: 9, status: 400, advice: 'An integer of more than 32 bits or 6 octets.' },
  BAD_HUFFMAN: { error: 9, status: 400, advice: 'A Huffman code with EOS in it, or padding that is longer than 7 bits or not all ones.' },
  TRUNCATED_BLOCK: { error: 9, status: 400, advice: 'A field block that ends in the middle of a field.' },
  BAD_TABLE_SIZE: { error: 9, status: 400, advice: 'A table size above the one that we announced.' },
  LATE_TABLE_SIZE: { error: 9, status: 400, advice: 'A change of the table size after a field, or a third one.' },
  MISSING_TABLE_SIZE: { error: 9, status: 400, advice: 'We lowered the table size, and the next field block does not say so.' },
  // Frames (RFC 9113 §3.4, §4, §6)
  BAD_PREFACE: { error: 1, status: 400, advice: 'The connection does not begin with the preface and SETTINGS: it may be another protocol.' },
  FRAME_TOO_LARGE: { error: 6, status: 400, advice: 'A frame larger than the SETTINGS_MAX_FRAME_SIZE that we announced.' },
  BAD_FRAME_SIZE: { error: 6, status: 400, advice: 'A frame whose length its type does not allow.' },
  BAD_STREAM_ID: {
    error: 1,
    status: 400,
    advice: 'Stream 0 where a stream must be named, a stream where 0 must be, or an id of the wrong side or below an earlier one.',
  },
  BAD_PADDING: { error: 1, status: 400, advice: 'More padding than payload.' },
  BAD_CONTINUATION: { error: 1, status: 400, advice: 'A field block is not followed by its CONTINUATION, or CONTINUATION follows no field block.' },
  TOO_MANY_CONTINUATIONS: { error: 11, status: 431, advice: 'Raise maxContinuations, if the peer really sends its fields in so many pieces.' },
  BLOCK_TOO_LARGE: { error: 11, status: 431, advice: 'More compressed bytes of fields than maxBlockBytes.' },
  UNEXPECTED_PUSH: { error: 1, status: 502, advice: 'PUSH_PROMISE, which we do not allow.' },
  BAD_SETTING: { error: 1, status: 400, advice: 'A setting with a value it may not have.' },
  BAD_WINDOW_SETTING: { error: 3, status: 400, advice: 'SETTINGS_INITIAL_WINDOW_SIZE above 2^31 - 1, or one that takes a window above it.' },
  UNEXPECTED_ACK: { error: 1, status: 400, advice: 'An acknowledgement of SETTINGS that we did not send.' },
  SETTINGS_TIMEOUT: { error: 4, status: 400, advice: 'The peer does not acknowledge our SETTINGS.' },
  ZERO_INCREMENT: { error: 1, status: 400, advice: 'WINDOW_UPDATE by 0.' },
  WINDOW_OVERFLOW: { error: 3, status: 400, advice: 'WINDOW_UPDATE that takes a window above 2^31 - 1.' },
  WINDOW_EXCEEDED: { error: 3, status: 400, advice: 'More DATA than the window allows.' },
  // Streams (RFC 9113 §5.1, §8.1)
  IDLE_STREAM: { error: 1, status: 400, advice: 'A frame for a stream that was never opened.' },
  STREAM_CLOSED: { error: 5, status: 400, advice: 'A frame for a stream that its sender has ended.' },
  BAD_GOAWAY: { error: 1, status: 502, advice: 'A GOAWAY whose last stream is above that of an earlier one.' },
  BAD_TRAILERS: { error: 1, status: 400, advice: 'Trailers that do not end the stream, or an informational response that does.' },
  EARLY_DATA: { error: 1, status: 502, advice: 'DATA before the head of the final response.' },
  CONTENT_LENGTH_MISMATCH: { error: 1, status: 400, advice: 'The body is not as long as Content-Length says.' },
  TOO_MANY_STREAMS: { error: 7, status: 503, advice: 'More streams at once than we announced.' },
  // Floods (all are counted; the limits are options)
  TOO_MANY_SETTINGS: { error: 11, status: 400, advice: 'More entries in one SETTINGS frame than maxSettings.' },
  RESET_FLOOD: { error: 11, status: 400, advice: 'Most streams are reset instead of being used (rapid reset, MadeYouReset).' },
  EMPTY_FRAME_FLOOD: { error: 11, status: 400, advice: 'Empty frames that end nothing.' },
  CONTROL_FLOOD: { error: 11, status: 400, advice: 'Many SETTINGS, PING or unknown frames without use.' },
  QUEUE_FLOOD: { error: 11, status: 400, advice: 'The peer asks for answers and does not read them.' },
  WINDOW_UPDATE_FLOOD: { error: 11, status: 400, advice: 'More WINDOW_UPDATE frames than the DATA we send can explain.' },
  PRIORITY_FLOOD: { error: 11, status: 400, advice: 'More PRIORITY frames than the streams can explain.' },
} as const;

/** Code of a fault, as `CodecError.code` and the native engine's fault events have it. */
export type FaultCode = keyof typeof FAULTS;

/**
 * What can be wrong with an HTTP/1.x message. `status` is the answer a broken request gets; a broken response always gives 502. Codes and
 * statuses are shared with C++: `native/generate.mjs` turns this file into `native/http1_rules.h`, so it holds data only.
 */
export const FAULTS = {
  // Start line (RFC 9112 §3, §4)
  EMPTY_LINES: { status: 400, advice: 'More than two empty lines before a request line: the client sends extra bytes after a message.' },
  BAD_METHOD: {
    status: 400,
    advice: 'The method is empty or holds a byte that is no token character: often TLS or another protocol on a plain HTTP port.',
  },
  METHOD_TOO_LONG: { status: 501, advice: 'A method of more than 64 bytes: no known extension has one.' },
  BAD_TARGET: {
    status: 400,
    advice: 'The request target has a space, control, non-ASCII or `#` byte, or a form its method may not use: percent-encode it.',
  },
  TARGET_TOO_LARGE: { status: 414, advice: 'Raise maxTargetBytes, or move data from the query into the body.' },
  BAD_REQUEST_LINE: { status: 400, advice: 'Not `method SP target SP HTTP/1.x CRLF`: HTTP/0.9, or text after the version.' },
  BAD_VERSION: { status: 400, advice: 'The version is not HTTP/1.0 or HTTP/1.1.' },
  VERSION_NOT_SUPPORTED: { status: 505, advice: 'Another major version in an HTTP/1 start line, or HTTP/1.0 where acceptHttp10 is off.' },
  BAD_STATUS_LINE: { status: 502, advice: 'The status is not three digits from 100 to 999, or the reason phrase holds a control byte.' },
  // Lines (RFC 9112 §2.2, §5)
  BARE_CR: { status: 400, advice: 'A CR that no LF follows: request smuggling, or a broken line end.' },
  BARE_LF: { status: 400, advice: 'A line that ends with LF alone: send CRLF.' },
  OBS_FOLD: { status: 400, advice: 'A header line that begins with a space continues the one before it (obsolete line folding): send one line.' },
  BAD_NAME: { status: 400, advice: 'A header name is empty or holds a byte that is no token character.' },
  SPACE_BEFORE_COLON: { status: 400, advice: 'No space may stand between a header name and its colon.' },
  MISSING_COLON: { status: 400, advice: 'A header line without a colon.' },
  BAD_VALUE: { status: 400, advice: 'A header value holds NUL, DEL or another control byte.' },
  UNDERSCORE_IN_NAME: { status: 400, advice: 'A header name with an underscore, and underscores is `reject`.' },
  HEAD_TOO_LARGE: { status: 431, advice: 'Raise maxHeadBytes; a single name may have 32,768 bytes.' },
  TOO_MANY_HEADERS: { status: 431, advice: 'Raise maxHeaders.' },
  TOO_MANY_CONNECTION_OPTIONS: { status: 431, advice: 'Connection names more than 32 fields: nobody does that for a good reason.' },
  // Host (RFC 9112 §3.2)
  MISSING_HOST: { status: 400, advice: 'An HTTP/1.1 request needs a Host line.' },
  DUPLICATE_HOST: { status: 400, advice: 'Two Host lines: two servers would choose different ones.' },
  BAD_HOST: { status: 400, advice: 'Host is empty, a list, or no host with an optional port.' },
  // Body length (RFC 9112 §6)
  BAD_CONTENT_LENGTH: { status: 400, advice: 'Content-Length is not a decimal number up to 2^53 - 1.' },
  DUPLICATE_CONTENT_LENGTH: { status: 400, advice: 'Two Content-Length lines, be they equal or not.' },
  BAD_TRANSFER_ENCODING: { status: 400, advice: 'The only transfer coding understood is a single `chunked`.' },
  DUPLICATE_TRANSFER_ENCODING: { status: 400, advice: 'Two Transfer-Encoding lines.' },
  CONTENT_LENGTH_AND_TRANSFER_ENCODING: { status: 400, advice: 'Both Content-Length and Transfer-Encoding: request smuggling, or a broken sender.' },
  TRANSFER_ENCODING_IN_HTTP10: { status: 400, advice: 'HTTP/1.0 has no transfer codings.' },
  TRANSFER_ENCODING_WITHOUT_BODY: { status: 502, advice: 'Transfer-Encoding in a 1xx or 204 response, which has no body.' },
  CONNECT_WITH_BODY: { status: 400, advice: 'CONNECT has no body: what follows its head belongs to the tunnel.' },
  // Chunks (RFC 9112 §7.1)
  BAD_CHUNK_SIZE: { status: 400, advice: 'A chunk size is not 1 to 16 hexadecimal digits up to 2^53 - 1, followed by `;` or CRLF.' },
  BAD_CHUNK_EXTENSION: { status: 400, advice: 'A chunk extension is not `;name`, `;name=token` or `;name="quoted"`.' },
  CHUNK_EXTENSIONS_TOO_LARGE: { status: 413, advice: 'More than 16 KiB of chunk extensions in one message.' },
  BAD_CHUNK_END: { status: 400, advice: 'The data of a chunk is not followed by CRLF: its size is wrong.' },
  TRAILERS_TOO_LARGE: { status: 431, advice: 'More than 16 KiB of trailers.' },
  TOO_MANY_TRAILERS: { status: 431, advice: 'More than 100 trailer lines.' },
} as const;

/** Code of a fault, as `CodecError.code` and the native engine's fault events have it. */
export type FaultCode = keyof typeof FAULTS;

/** Bounds and lists that both implementations need. `native/generate.mjs` turns this file into `native/http1_rules.h`, so it holds data only. */

export const BOUNDS = {
  /** Empty lines skipped before a request line (RFC 9112 §2.2). */
  maxEmptyLines: 2,
  maxMethodBytes: 64,
  /** One header or trailer name. Far above anything real; it keeps a name's length in 16 bits of the head table. */
  maxNameBytes: 32768,
  /** Fields that the Connection lines of one message may name, besides close, keep-alive and upgrade. */
  maxConnectionOptions: 32,
  /** Hexadecimal digits of a chunk size. */
  maxChunkDigits: 16,
  /** All chunk extensions of one message. */
  maxExtensionBytes: 16384,
  /** Trailer section of one message, its final empty line included. */
  maxTrailerBytes: 16384,
  maxTrailers: 100,
  /** Offsets of faults stop here, so that they fit an `Int32Array`. */
  maxOffset: 2147483647,
} as const;

/** Fields that a peer cannot have removed by naming them in Connection: without them the next hop would be misled. */
export const PROTECTED_FIELDS = ['host', 'content-length', 'x-envoy-*', 'x-forwarded-*'] as const;

/** Reason phrases of the statuses in IANA's registry, for responses made here. */
export const REASONS = {
  100: 'Continue',
  101: 'Switching Protocols',
  102: 'Processing',
  103: 'Early Hints',
  200: 'OK',
  201: 'Created',
  202: 'Accepted',
  203: 'Non-Authoritative Information',
  204: 'No Content',
  205: 'Reset Content',
  206: 'Partial Content',
  207: 'Multi-Status',
  208: 'Already Reported',
  226: 'IM Used',
  300: 'Multiple Choices',
  301: 'Moved Permanently',
  302: 'Found',
  303: 'See Other',
  304: 'Not Modified',
  305: 'Use Proxy',
  307: 'Temporary Redirect',
  308: 'Permanent Redirect',
  400: 'Bad Request',
  401: 'Unauthorized',
  402: 'Payment Required',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  406: 'Not Acceptable',
  407: 'Proxy Authentication Required',
  408: 'Request Timeout',
  409: 'Conflict',
  410: 'Gone',
  411: 'Length Required',
  412: 'Precondition Failed',
  413: 'Payload Too Large',
  414: 'URI Too Long',
  415: 'Unsupported Media Type',
  416: 'Range Not Satisfiable',
  417: 'Expectation Failed',
  421: 'Misdirected Request',
  422: 'Unprocessable Entity',
  423: 'Locked',
  424: 'Failed Dependency',
  425: 'Too Early',
  426: 'Upgrade Required',
  428: 'Precondition Required',
  429: 'Too Many Requests',
  431: 'Request Header Fields Too Large',
  451: 'Unavailable For Legal Reasons',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
  505: 'HTTP Version Not Supported',
  506: 'Variant Also Negotiates',
  507: 'Insufficient Storage',
  508: 'Loop Detected',
  510: 'Not Extended',
  511: 'Network Authentication Required',
} as const;

import type { StreamFraming } from '../../src/protocol/framing.js';
import { FAULTS, type FaultCode } from './faults.js';
import { Http2Connection } from './framing/connection.js';

export { FAULTS, type FaultCode } from './faults.js';
export { Http2Connection, type Http2Event, http2Options } from './framing/connection.js';
export { matchHttp2 } from './matcher.js';

/** HTTP/2 (RFC 9113, RFC 7541). `native/http2_connection.h` is the same state machine in C++. */
export const http2 = {
  name: 'http2',
  connect: (side, options, now) => new Http2Connection(side, options, now),
  statusOf: (code, side) => (side === 'upstream' ? 502 : (FAULTS[code as FaultCode]?.status ?? 400)),
} satisfies StreamFraming;

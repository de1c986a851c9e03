import type { Framing } from '../../src/protocol/framing.js';
import { FAULTS, type FaultCode } from './faults.js';
import { Http1Session } from './session.js';

export { FAULTS, type FaultCode } from './faults.js';
export { matchHttp1 } from './matcher.js';

/** HTTP/1.0 and HTTP/1.1 (RFC 9112). The native engine has the same state machine built in under the name `http1`: native/http1.h. */
export const http1: Framing = {
  name: 'http1',
  open: (side, limits) => new Http1Session(side, limits),
  statusOf: (code, side) => (side === 'upstream' ? 502 : (FAULTS[code as FaultCode]?.status ?? 400)),
};

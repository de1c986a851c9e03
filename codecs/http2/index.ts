import type { StreamFraming } from '../../src/protocol/stream-framing.js';
import { FAULTS, type FaultCode } from './faults.js';
import { Http2Connection, http2Options } from './framing/connection.js';
import { PREFACE } from './matcher.js';
import type { OPTION } from './spec.js';

export { FAULTS, type FaultCode } from './faults.js';
export { Http2Connection, http2Options } from './framing/connection.js';
export { matchHttp2 } from './matcher.js';

/** HTTP/2 (RFC 9113, RFC 7541). `native/http2_connection.h` is the same state machine in C++. */
export const http2 = {
  name: 'http2',
  preface: PREFACE,
  options: (limits) =>
    http2Options(
      Object.fromEntries(Object.entries(limits).map(([name, value]) => [screaming(name), value])) as Partial<Record<keyof typeof OPTION, number>>,
    ),
  connect: (side, options, now) => new Http2Connection(side, options, now),
  statusOf: (code, side) => (side === 'upstream' ? 502 : (FAULTS[code as FaultCode]?.status ?? 400)),
} satisfies StreamFraming;

/** `maxHeadBytes` -> `MAX_HEAD_BYTES`. */
const screaming = (name: string): string => name.replace(/[A-Z]/g, '_$&').toUpperCase();

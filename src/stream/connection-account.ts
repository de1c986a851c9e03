import type { CloseReason } from '../network/engine.js';

/** What every pool asks and tells of its connections, and of the requests that wait for one: circuit breakers and statistics. */
export interface ConnectionAccount {
  /** May one more connection be opened? A pool without any connection opens one even so (as Envoy does). */
  mayConnect(): boolean;
  /** A connection was wanted and not allowed. */
  connectionRefused(): void;
  /** May one more request wait? */
  mayWait(): boolean;
  waiting(delta: 1 | -1): void;
  /** A connection attempt has begun. */
  opened(): void;
  connected(connectMs: number): void;
  /** Connection attempt failed. */
  connectFailed(reason: CloseReason): void;
  /** A connection (also a failed attempt) is gone; `lengthMs` since the attempt began; `local`: our doing; `inUse`: with a request on it. */
  closed(lengthMs: number, local: boolean, inUse: boolean): void;
  idleTimeout(): void;
  protocolError(): void;
}

/** What a request sees of the pools: something that carries it to an upstream host, whatever the protocol. */
import type { Address, CloseReason, FramingFault } from '../network/engine.js';
import type { Head } from '../protocol/head.js';

/** What carries one request: an HTTP/1 connection, or a stream of an HTTP/2 one. */
export interface Upstream {
  /** Of the connection, or of the stream: what the engine is given. */
  readonly handle: number;
  readonly isStream: boolean;
  /** It takes a request for an upgrade: a stream, where its peer has offered extended CONNECT (RFC 8441 §3). */
  readonly takesUpgrades: boolean;
  /** Its connection has served requests before, so that it may have died unnoticed. */
  readonly isReused: boolean;
  /** Our end's address. */
  readonly local: Address | undefined;
  /** The request is over, and the engine called it REUSABLE. */
  release(): void;
  /** The request is over, or given up, in a state that nobody knows. `how`: as for `Engine.close`. */
  discard(how?: 'flush' | 'now' | 'reset'): void;
}

/** Who uses an upstream: one request. */
export interface UpstreamUser {
  /** There is one for the request that waited. Never called from inside `enqueue`. */
  onPoolReady(upstream: Upstream): void;
  /** None could be had: the request waits no longer. */
  onPoolFailure(reason: CloseReason, errno: string): void;
  onUpstreamHead(upstream: Upstream, head: Head): void;
  /** See `ConnectionHandler.onBody` and `onTrailers`. */
  onUpstreamBody(upstream: Upstream, bytes: Uint8Array): void;
  onUpstreamTrailers(upstream: Upstream, trailers: Uint8Array): void;
  /** `bytes`: body bytes of the response; `flags`: bits of FORWARD. */
  onUpstreamEnd(upstream: Upstream, bytes: number, flags: number): void;
  onUpstreamFault(upstream: Upstream, fault: FramingFault): void;
  /** It is gone, and belongs to nobody. */
  onUpstreamClosed(upstream: Upstream, reason: CloseReason, errno: string): void;
}

/** Where requests to one host get what carries them. */
export interface UpstreamPool {
  /** One that is free, now `user`'s; undefined where there is none. */
  take(user: UpstreamUser): Upstream | undefined;
  /** Waits for one. False: too many wait (circuit breaker), nothing was done. */
  enqueue(user: UpstreamUser): boolean;
  /** `user` waits no longer. False: it did not wait here. */
  cancel(user: UpstreamUser): boolean;
  /** Takes nothing new into use again; those who wait are still served. */
  drain(): void;
  /** Closes everything now; who waits or uses something is told. */
  destroy(): void;
}

/**
 * The pool of connections to one host that carry one request at a time (`pingpong`, DESIGN §3): an idle stack (the youngest first, so that surplus ones grow
 * old and are closed), a queue of those who wait, and the bounds of both.
 * ```
 *   connecting ──> idle <──> busy          busy ──> closed     answer not REUSABLE, abandoned, too many requests, too old
 *       └──> closed (connect failure: all who wait are told)       idle ──> closed     idle time, peer's FIN, unasked bytes, drain
 * ```
 * Knows no protocol: which connection may be used again is the engine's verdict (FORWARD.REUSABLE).
 */
import type { Address, CloseReason, ConnectionHandler, ConnectOptions, Engine, FramingFault } from '../network/engine.js';
import type { Head } from '../protocol/head.js';
import type { ConnectionAccount } from './connection-account.js';
import type { Upstream, UpstreamPool, UpstreamUser } from './upstream.js';
import { WaitingLine } from './waiting-line.js';

/** Bounds and accounting of a pool: the cluster's circuit breakers and statistics. */
export interface PoolOwner extends ConnectionAccount {
  maxRequests(): void;
  maxDuration(): void;
}

export interface PoolOptions {
  /** How to connect; its profile is an upstream profile with the idle time. */
  readonly connect: ConnectOptions;
  /** Requests a connection may serve; 0: no bound. */
  readonly maxRequestsPerConnection: number;
  /** Age at which a connection takes no further request, ms; 0: no bound. */
  readonly maxConnectionDurationMs: number;
}

/** State of a pooled connection. */
export const POOLED = { CONNECTING: 0, IDLE: 1, BUSY: 2, CLOSING: 3 } as const;

/** One upstream connection. `user` is set while BUSY. */
export class PooledConnection implements ConnectionHandler, Upstream {
  readonly isStream = false;
  readonly takesUpgrades = true;
  readonly pool: Http1Pool;
  handle = 0;
  state: number = POOLED.CONNECTING;
  /** Requests given to it so far, the present one included. */
  requests = 0;
  startedAt: number;
  user: UpstreamUser | undefined = undefined;
  #local: Address | undefined = undefined;

  constructor(pool: Http1Pool, now: number) {
    this.pool = pool;
    this.startedAt = now;
  }

  /** Our end's address; asked of the engine once. */
  get local(): Address | undefined {
    this.#local ??= this.pool.engine.info(this.handle)?.local;
    return this.#local;
  }

  get isReused(): boolean {
    return this.requests > 1;
  }
  release(): void {
    this.pool.release(this);
  }
  discard(how?: 'flush' | 'now' | 'reset'): void {
    this.pool.discard(this, how);
  }

  onConnected(): void {
    this.pool.onConnected(this);
  }
  onHead(_connection: number, head: Head): void {
    if (this.user !== undefined) this.user.onUpstreamHead(this, head);
    else this.pool.discard(this);
  }
  onBody(_connection: number, bytes: Uint8Array): void {
    this.user?.onUpstreamBody(this, bytes);
  }
  onTrailers(_connection: number, trailers: Uint8Array): void {
    this.user?.onUpstreamTrailers(this, trailers);
  }
  onEnd(_connection: number, bytes: number, flags: number): void {
    this.user?.onUpstreamEnd(this, bytes, flags);
  }
  onFault(_connection: number, fault: FramingFault): void {
    this.pool.owner.protocolError();
    if (this.user !== undefined) this.user.onUpstreamFault(this, fault);
    else this.pool.discard(this);
  }
  onTimeout(_connection: number, which: 'idle' | 'head'): void {
    if (which !== 'idle' || this.state !== POOLED.IDLE) return;
    this.pool.owner.idleTimeout();
    this.pool.discard(this);
  }
  onClosed(_connection: number, reason: CloseReason, errno: string): void {
    this.pool.onClosed(this, reason, errno);
  }
}

/** See the head of this file. */
export class Http1Pool implements UpstreamPool {
  readonly engine: Engine;
  readonly owner: PoolOwner;
  readonly #options: PoolOptions;
  /** Idle connections, the one used last on top. */
  readonly #idle: PooledConnection[] = [];
  /** Those who wait, the first in front. */
  readonly #waiting: WaitingLine;
  /** All that are not closed, whatever their state. */
  readonly #open = new Set<PooledConnection>();
  #connecting = 0;
  #draining = false;

  constructor(engine: Engine, owner: PoolOwner, options: PoolOptions) {
    this.engine = engine;
    this.owner = owner;
    this.#waiting = new WaitingLine(owner);
    this.#options = options;
  }

  get openCount(): number {
    return this.#open.size;
  }
  get idleCount(): number {
    return this.#idle.length;
  }
  get waitingCount(): number {
    return this.#waiting.length;
  }

  /** An idle connection, now `user`'s; undefined where there is none. */
  take(user: UpstreamUser): PooledConnection | undefined {
    for (;;) {
      const connection = this.#idle.pop();
      if (connection === undefined) return undefined;
      if (this.#isTooOld(connection)) {
        this.#retire(connection);
        continue;
      }
      this.#assign(connection, user);
      return connection;
    }
  }

  /**
   * Waits for a connection: the first that a finished request gives back, or a new one. False: too many wait (circuit breaker), nothing was done.
   * Idle connections are not looked at: whose reused connection has just died wants none of their age.
   */
  enqueue(user: UpstreamUser): boolean {
    if (!this.#waiting.join(user)) return false;
    this.#connectMore();
    return true;
  }

  /** `user` waits no longer. False: it did not wait here. */
  cancel(user: UpstreamUser): boolean {
    return this.#waiting.leave(user);
  }

  /** A request is over and the engine calls its connection REUSABLE: it serves the next one, or is closed where a bound says so. */
  release(connection: PooledConnection): void {
    connection.user = undefined;
    if (connection.state !== POOLED.BUSY) return;
    if (this.#draining || this.#isSpent(connection) || this.#isTooOld(connection)) {
      this.#retire(connection);
      return;
    }
    this.#offer(connection);
  }

  /** Closes a connection whose state nobody knows: an abandoned request, a response that was not complete. It serves no one again. */
  discard(connection: PooledConnection, how: 'flush' | 'now' | 'reset' = 'now'): void {
    if (connection.state === POOLED.CLOSING) return;
    const { inUse } = this.#forget(connection);
    connection.state = POOLED.CLOSING;
    this.#account(connection, true, inUse);
    this.engine.close(connection.handle, how);
  }

  /** Takes no new connections into use again: idle ones are closed now, busy ones after their request; those who wait are still served. */
  drain(): void {
    this.#draining = true;
    for (const connection of this.#idle.splice(0)) this.#retire(connection);
    this.#afterClose();
  }

  /** Closes everything now; who waits or uses a connection is told. */
  destroy(): void {
    this.#draining = true;
    this.#waiting.fail('local', '');
    for (const connection of [...this.#open]) {
      const { user } = connection;
      this.discard(connection);
      user?.onUpstreamClosed(connection, 'local', '');
    }
  }

  onConnected(connection: PooledConnection): void {
    if (connection.state !== POOLED.CONNECTING) return;
    this.owner.connected(Math.max(0, this.engine.now - connection.startedAt));
    if (this.#draining && this.#waiting.length === 0) {
      this.#retire(connection);
      return;
    }
    this.#connecting--;
    this.#offer(connection);
  }

  onClosed(connection: PooledConnection, reason: CloseReason, errno: string): void {
    if (connection.state === POOLED.CLOSING) return;
    const { wasConnecting, inUse } = this.#forget(connection);
    const { user } = connection;
    connection.state = POOLED.CLOSING;
    connection.user = undefined;
    if (wasConnecting) this.owner.connectFailed(reason);
    this.#account(connection, reason === 'local', inUse, false);
    if (user !== undefined) user.onUpstreamClosed(connection, reason, errno);
    // Who waits was promised this connection; the next attempt would most likely end the same way (Envoy purges its pending streams too).
    if (wasConnecting) this.#waiting.fail(reason, errno);
    this.#afterClose();
  }

  /** Hands a free connection to the first who waits, or keeps it. */
  #offer(connection: PooledConnection): void {
    const user = this.#waiting.shift();
    if (user === undefined) {
      connection.state = POOLED.IDLE;
      this.#idle.push(connection);
      return;
    }
    this.#assign(connection, user);
    user.onPoolReady(connection);
  }

  #assign(connection: PooledConnection, user: UpstreamUser): void {
    connection.state = POOLED.BUSY;
    connection.user = user;
    connection.requests++;
  }

  #connectMore(): void {
    while (this.#connecting < this.#waiting.length) {
      if (!this.owner.mayConnect()) {
        this.owner.connectionRefused();
        if (this.#open.size > 0) return;
      }
      const connection = new PooledConnection(this, this.engine.now);
      this.#open.add(connection);
      this.#connecting++;
      this.owner.opened();
      connection.handle = this.engine.connect(this.#options.connect, connection);
    }
  }

  #isSpent(connection: PooledConnection): boolean {
    const { maxRequestsPerConnection } = this.#options;
    if (maxRequestsPerConnection === 0 || connection.requests < maxRequestsPerConnection) return false;
    this.owner.maxRequests();
    return true;
  }
  #isTooOld(connection: PooledConnection): boolean {
    const { maxConnectionDurationMs } = this.#options;
    if (maxConnectionDurationMs === 0 || this.engine.now - connection.startedAt < maxConnectionDurationMs) return false;
    this.owner.maxDuration();
    return true;
  }

  /** Closes a clean connection that is not needed any more. */
  #retire(connection: PooledConnection): void {
    this.#forget(connection);
    connection.state = POOLED.CLOSING;
    this.#account(connection, true, false);
    this.engine.close(connection.handle, 'flush');
  }

  #forget(connection: PooledConnection): { wasConnecting: boolean; inUse: boolean } {
    const wasConnecting = connection.state === POOLED.CONNECTING;
    const inUse = connection.state === POOLED.BUSY;
    if (wasConnecting) this.#connecting--;
    if (connection.state === POOLED.IDLE) {
      const index = this.#idle.lastIndexOf(connection);
      if (index >= 0) this.#idle.splice(index, 1);
    }
    this.#open.delete(connection);
    return { wasConnecting, inUse };
  }

  #account(connection: PooledConnection, local: boolean, inUse: boolean, goOn = true): void {
    connection.user = undefined;
    this.owner.closed(Math.max(0, this.engine.now - connection.startedAt), local, inUse);
    if (goOn) this.#afterClose();
  }

  #afterClose(): void {
    this.#connectMore();
  }
}

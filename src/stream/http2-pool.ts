/**
 * The pool of HTTP/2 connections to one host: each carries as many requests as its peer and our own bound allow, and a further one is opened where that is not
 * enough. Who finds no room waits, within the circuit breaker.
 * ```
 *   connecting ── its SETTINGS are there ──> ready ── GOAWAY, too many requests, too old, drain ──> leaving ── last stream ends ──> closed
 *       └──> closed (all who wait are told)     └── idle time, broken ──> closed
 * ```
 * A connection takes no request before its peer's SETTINGS have come: they say how many it takes, and whether extended CONNECT is one of them.
 */
import type { Address, CloseReason, ConnectionHandler, ConnectOptions, Engine, FramingFault } from '../network/engine.js';
import type { Head } from '../protocol/head.js';
import { STREAM_ERROR } from '../protocol/stream-table.js';
import type { ConnectionAccount } from './connection-account.js';
import { type KeepAlive, PingWatch } from './ping-watch.js';
import type { TimerWheel } from './timers.js';
import type { Upstream, UpstreamPool, UpstreamUser } from './upstream.js';
import { WaitingLine } from './waiting-line.js';

/** Bounds and accounting of a pool: the cluster's circuit breakers and statistics. */
export interface Http2PoolOwner extends ConnectionAccount {
  maxRequests(): void;
  maxDuration(): void;
  /** The peer takes no further request on a connection. `hostLeaves`: false, it says nothing of others. */
  goAway(hostLeaves: boolean): void;
  keepAliveTimeout(): void;
  /** The peer has broken the protocol; `code`: of the codec's faults. */
  fault(code: string): void;
  /** A stream has ended, as `ConnectionHandler.onClosed` tells it. */
  streamClosed(reason: CloseReason, errno: string): void;
}

export interface Http2PoolOptions {
  /** How to connect; its profile is an upstream profile of HTTP/2 with the idle time. */
  readonly connect: ConnectOptions;
  /** Most requests at once on one connection; the peer's own bound may be smaller. */
  readonly maxStreams: number;
  /** Requests a connection may serve; 0: no bound. */
  readonly maxRequestsPerConnection: number;
  /** Age at which a connection takes no further request, ms; 0: no bound. */
  readonly maxConnectionDurationMs: number;
  /** `connectionIdleMs`: quiet time after which a PING goes ahead of the next request; 0: never. */
  readonly keepAlive: (KeepAlive & { readonly connectionIdleMs: number }) | undefined;
}

/** How many requests a connection that is still connecting is expected to take. */
const EXPECTED_STREAMS = 100;
/** Stream objects kept for further requests. */
const MAX_FREE = 256;

const STATE = { CONNECTING: 0, READY: 1, LEAVING: 2, CLOSED: 3 } as const;

/** One connection. */
class Http2Upstream implements ConnectionHandler {
  readonly pool: Http2Pool;
  readonly startedAt: number;
  handle = 0;
  state: number = STATE.CONNECTING;
  /** Streams that are not gone; and how many there may be. */
  active = 0;
  limit = 0;
  requests = 0;
  takesUpgrades = false;
  /** When its last request began or ended. */
  lastUse = 0;
  /** A request was lost with it. */
  hasLost = false;
  pings: PingWatch | undefined = undefined;
  #local: Address | undefined = undefined;

  constructor(pool: Http2Pool, now: number) {
    this.pool = pool;
    this.startedAt = now;
  }
  get local(): Address | undefined {
    this.#local ??= this.pool.engine.info(this.handle)?.local;
    return this.#local;
  }
  onStreamLimit(_connection: number, streams: number, takesUpgrades: boolean): void {
    this.takesUpgrades = takesUpgrades;
    this.pool.onStreamLimit(this, streams);
  }
  onGoAway(): void {
    this.pool.owner.goAway(false);
    this.pool.goAway(this);
  }
  onPong(): void {
    this.pings?.answered();
  }
  onFault(_connection: number, fault: FramingFault): void {
    this.pool.owner.protocolError();
    this.pool.owner.fault(fault.code);
  }
  onTimeout(): void {
    if (this.active > 0) return;
    this.pool.owner.idleTimeout();
    this.pool.leave(this);
  }
  onClosed(_connection: number, reason: CloseReason, errno: string): void {
    this.pool.onClosed(this, reason, errno);
  }
}

/** One stream of a connection, for one request. */
class UpstreamStream implements ConnectionHandler, Upstream {
  readonly isStream = true;
  handle = 0;
  connection: Http2Upstream;
  user: UpstreamUser | undefined = undefined;

  constructor(connection: Http2Upstream) {
    this.connection = connection;
  }
  get takesUpgrades(): boolean {
    return this.connection.takesUpgrades;
  }
  get isReused(): boolean {
    return this.connection.requests > 1;
  }
  get local(): Address | undefined {
    return this.connection.local;
  }
  release(): void {
    this.user = undefined;
  }
  discard(how: 'flush' | 'now' | 'reset' = 'reset'): void {
    this.user = undefined;
    this.connection.pool.engine.close(this.handle, how);
  }

  onHead(_stream: number, head: Head): void {
    this.user?.onUpstreamHead(this, head);
  }
  onBody(_stream: number, bytes: Uint8Array): void {
    this.user?.onUpstreamBody(this, bytes);
  }
  onTrailers(_stream: number, trailers: Uint8Array): void {
    this.user?.onUpstreamTrailers(this, trailers);
  }
  onEnd(_stream: number, bytes: number, flags: number): void {
    this.user?.onUpstreamEnd(this, bytes, flags);
  }
  onFault(_stream: number, fault: FramingFault): void {
    const { owner } = this.connection.pool;
    owner.protocolError();
    owner.fault(fault.code);
    this.user?.onUpstreamFault(this, fault);
  }
  onClosed(_stream: number, reason: CloseReason, errno: string): void {
    const { user, connection } = this;
    this.user = undefined;
    connection.pool.owner.streamClosed(reason, errno);
    if (user !== undefined && reason !== 'refused' && !(errno in STREAM_ERROR)) connection.hasLost = true;
    user?.onUpstreamClosed(this, reason, errno);
    connection.pool.onStreamClosed(this);
  }
}

/** See the head of this file. */
export class Http2Pool implements UpstreamPool {
  readonly engine: Engine;
  readonly owner: Http2PoolOwner;
  readonly #wheel: TimerWheel;
  readonly #options: Http2PoolOptions;
  readonly #open = new Set<Http2Upstream>();
  /** Those that take requests, the oldest first: what is surplus falls idle. */
  readonly #ready: Http2Upstream[] = [];
  readonly #waiting: WaitingLine;
  readonly #free: UpstreamStream[] = [];
  #connecting = 0;
  #draining = false;

  constructor(engine: Engine, wheel: TimerWheel, owner: Http2PoolOwner, options: Http2PoolOptions) {
    this.engine = engine;
    this.#wheel = wheel;
    this.owner = owner;
    this.#waiting = new WaitingLine(owner);
    this.#options = options;
  }
  get openCount(): number {
    return this.#open.size;
  }
  get waitingCount(): number {
    return this.#waiting.length;
  }

  take(user: UpstreamUser): Upstream | undefined {
    const ready = this.#ready;
    for (let i = 0; i < ready.length; i++) {
      const connection = ready[i];
      if (connection.active >= connection.limit) continue;
      const stream = this.#isTooOld(connection) ? undefined : this.#openStream(connection, user);
      if (stream !== undefined) return stream;
      // Its ids are used up, or it is about to tell that it goes.
      this.leave(connection);
      i--;
    }
    return undefined;
  }

  enqueue(user: UpstreamUser): boolean {
    if (!this.#waiting.join(user)) return false;
    this.#connectMore();
    return true;
  }
  cancel(user: UpstreamUser): boolean {
    return this.#waiting.leave(user);
  }
  drain(): void {
    this.#draining = true;
    for (const connection of [...this.#ready]) this.leave(connection);
    this.#connectMore();
  }
  destroy(): void {
    this.#draining = true;
    this.#waiting.fail('local', '');
    for (const connection of [...this.#open]) this.engine.close(connection.handle, 'now');
  }

  /** A connection takes no further request; the ones on it go on. */
  leave(connection: Http2Upstream): void {
    if (connection.state === STATE.CLOSED) return;
    this.#forget(connection);
    connection.state = STATE.LEAVING;
    if (connection.active === 0) this.engine.close(connection.handle, 'flush');
  }

  /** The peer takes nothing more here: who has waited for room on it needs another connection. */
  goAway(connection: Http2Upstream): void {
    this.leave(connection);
    this.#connectMore();
  }

  onStreamLimit(connection: Http2Upstream, streams: number): void {
    connection.limit = Math.min(streams, this.#options.maxStreams);
    if (connection.state === STATE.CONNECTING) {
      this.#connecting--;
      connection.state = STATE.READY;
      connection.lastUse = this.engine.now;
      this.#ready.push(connection);
      const { keepAlive } = this.#options;
      this.owner.connected(Math.max(0, this.engine.now - connection.startedAt));
      if (keepAlive !== undefined)
        connection.pings = new PingWatch(this.engine, this.#wheel, connection.handle, keepAlive, () => this.owner.keepAliveTimeout());
    }
    this.#serve();
    if (this.#draining) this.leave(connection);
  }
  onStreamClosed(stream: UpstreamStream): void {
    const { connection } = stream;
    connection.active--;
    if (this.#options.keepAlive !== undefined) connection.lastUse = this.engine.now;
    if (this.#free.length < MAX_FREE) this.#free.push(stream);
    if (connection.state === STATE.LEAVING && connection.active === 0) this.engine.close(connection.handle, 'flush');
    this.#serve();
  }
  onClosed(connection: Http2Upstream, reason: CloseReason, errno: string): void {
    const wasConnecting = connection.state === STATE.CONNECTING;
    this.#forget(connection);
    connection.state = STATE.CLOSED;
    connection.pings?.stop();
    this.#open.delete(connection);
    if (wasConnecting) this.owner.connectFailed(reason);
    this.owner.closed(Math.max(0, this.engine.now - connection.startedAt), reason === 'local' || reason === 'linger', connection.hasLost);
    // Who waits was promised this connection; the next attempt would most likely end the same way.
    if (wasConnecting) this.#waiting.fail(reason, errno);
    this.#connectMore();
  }

  /** Gives those who wait what has become free. */
  #serve(): void {
    for (let user = this.#waiting.first; user !== undefined; user = this.#waiting.first) {
      const upstream = this.take(user);
      if (upstream === undefined) break;
      this.#waiting.shift();
      user.onPoolReady(upstream);
    }
    this.#connectMore();
  }

  #openStream(connection: Http2Upstream, user: UpstreamUser): UpstreamStream | undefined {
    const stream = this.#free.pop() ?? new UpstreamStream(connection);
    const handle = this.engine.openStream(connection.handle, stream);
    if (handle === 0) {
      this.#free.push(stream);
      return undefined;
    }
    stream.connection = connection;
    stream.handle = handle;
    stream.user = user;
    this.#use(connection);
    connection.active++;
    connection.requests++;
    const { maxRequestsPerConnection } = this.#options;
    if (maxRequestsPerConnection > 0 && connection.requests >= maxRequestsPerConnection) {
      this.owner.maxRequests();
      this.leave(connection);
    }
    return stream;
  }

  #connectMore(): void {
    if (this.#waiting.length === 0) return;
    const expected = Math.min(EXPECTED_STREAMS, this.#options.maxStreams);
    // One that takes nothing for now is expected to take something later: more of them would not help.
    const hasFull = this.#ready.some((connection) => connection.limit === 0);
    while (!hasFull && this.#connecting * expected < this.#waiting.length) {
      if (!this.owner.mayConnect()) {
        this.owner.connectionRefused();
        if (this.#open.size > 0) return;
      }
      const connection = new Http2Upstream(this, this.engine.now);
      this.#open.add(connection);
      this.#connecting++;
      this.owner.opened();
      connection.handle = this.engine.connect(this.#options.connect, connection);
    }
  }
  /** A connection that was quiet for long is asked whether its peer is still there, together with the request. */
  #use(connection: Http2Upstream): void {
    const { keepAlive } = this.#options;
    if (keepAlive === undefined || keepAlive.connectionIdleMs === 0) return;
    const { now } = this.engine;
    if (connection.active === 0 && now - connection.lastUse >= keepAlive.connectionIdleMs) connection.pings?.ask();
    connection.lastUse = now;
  }
  #isTooOld(connection: Http2Upstream): boolean {
    const { maxConnectionDurationMs } = this.#options;
    if (maxConnectionDurationMs === 0 || this.engine.now - connection.startedAt < maxConnectionDurationMs) return false;
    this.owner.maxDuration();
    return true;
  }
  #forget(connection: Http2Upstream): void {
    if (connection.state === STATE.CONNECTING) this.#connecting--;
    if (connection.state !== STATE.READY) return;
    const index = this.#ready.indexOf(connection);
    if (index >= 0) this.#ready.splice(index, 1);
  }
}

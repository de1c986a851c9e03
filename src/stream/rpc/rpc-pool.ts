/**
 * The pool of connections to one host for the requests of a codec (DESIGN §3): `multiplex` sends many requests on few connections, `pingpong` one at a
 * time on each, `bound` gives each downstream connection one of its own. Those who find no room wait, within the circuit breaker.
 */
import type { CloseReason, ConnectOptions, Engine } from '../../network/engine.js';
import type { Codec } from '../../protocol/codec.js';
import type { ConnectionAccount } from '../connection-account.js';
import type { TimerWheel } from '../timers.js';
import { RpcUpstream, type RpcUser, UPSTREAM } from './rpc-upstream.js';

/** Bounds and accounting of a pool: the cluster's circuit breakers and statistics. */
export interface RpcPoolOwner extends ConnectionAccount {
  /** An answer came for a request that is not there any more. */
  lateResponse(): void;
  goAway(): void;
  heartbeatMissed(): void;
}

export interface HeartbeatOptions {
  /** Quiet time after which a heartbeat is sent; 0: never. */
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** Answers missed in a row after which the connection is given up. */
  readonly failures: number;
}
export interface RpcPoolOptions {
  readonly codec: Codec;
  /** How to connect; its profile is an upstream profile whose idle time is `heartbeat.intervalMs`, or the pool's idle time where that is 0. */
  readonly connect: ConnectOptions;
  /** Connections that a multiplexing pool opens before it shares them, >= 1. */
  readonly connections: number;
  /** Requests in flight on one multiplexed connection. */
  readonly maxInFlight: number;
  readonly heartbeat: HeartbeatOptions;
  /** A connection without requests for so long is closed; 0: never. */
  readonly idleTimeoutMs: number;
  /** Requests a connection may serve; 0: no bound. */
  readonly maxRequestsPerConnection: number;
}

/** See the head of this file. */
export class RpcPool {
  readonly engine: Engine;
  readonly wheel: TimerWheel;
  readonly owner: RpcPoolOwner;
  readonly codec: Codec;
  readonly heartbeat: HeartbeatOptions;
  readonly maxInFlight: number;
  readonly #options: RpcPoolOptions;
  /** All that are not closed. */
  readonly #open = new Set<RpcUpstream>();
  /** Those that may take requests. */
  readonly #ready: RpcUpstream[] = [];
  readonly #waiting: { readonly user: RpcUser; readonly from: number }[] = [];
  /** `bound`: by downstream connection. */
  readonly #bound = new Map<number, RpcUpstream>();
  #connecting = 0;
  #turn = 0;
  #draining = false;

  constructor(engine: Engine, wheel: TimerWheel, owner: RpcPoolOwner, options: RpcPoolOptions) {
    this.engine = engine;
    this.wheel = wheel;
    this.owner = owner;
    this.codec = options.codec;
    this.heartbeat = options.heartbeat;
    this.maxInFlight = options.codec.pool === 'pingpong' ? 1 : options.maxInFlight;
    this.#options = options;
  }
  get openCount(): number {
    return this.#open.size;
  }
  get waitingCount(): number {
    return this.#waiting.length;
  }
  /** A connection for a request that came on downstream connection `from`; undefined: `wait` for one. */
  take(from: number): RpcUpstream | undefined {
    if (this.codec.pool === 'bound') {
      const own = this.#bound.get(from);
      return own?.state === UPSTREAM.OPEN ? own : undefined;
    }
    const ready = this.#ready;
    // Surplus connections of a multiplexing pool are opened as requests come, and serve them in turn.
    if (this.codec.pool === 'multiplex' && this.#connecting === 0 && this.#open.size < this.#options.connections && ready.length > 0)
      this.#connect(from);
    for (let tries = ready.length; tries > 0; tries--) {
      this.#turn = this.#turn + 1 >= ready.length ? 0 : this.#turn + 1;
      const upstream = ready[this.#turn];
      if (upstream.mayTake) return upstream;
    }
    return undefined;
  }
  /** Waits for a connection. False: too many wait (circuit breaker), nothing was done. */
  wait(user: RpcUser, from: number): boolean {
    if (!this.owner.mayWait()) return false;
    this.owner.waiting(1);
    this.#waiting.push({ user, from });
    this.#connectMore();
    return true;
  }
  /** `user` waits no longer. False: it did not wait here. */
  cancel(user: RpcUser): boolean {
    const index = this.#waiting.findIndex((waiting) => waiting.user === user);
    if (index < 0) return false;
    this.#waiting.splice(index, 1);
    this.owner.waiting(-1);
    return true;
  }
  /** A downstream connection is gone: its own upstream connection goes too. */
  unbind(from: number): void {
    const upstream = this.#bound.get(from);
    if (upstream !== undefined) this.discard(upstream, 'flush');
  }

  /** Closes a connection now; who is on it is told. */
  discard(upstream: RpcUpstream, how: 'flush' | 'now' = 'now'): void {
    if (upstream.state === UPSTREAM.CLOSED) return;
    const users = this.#forget(upstream, true);
    this.engine.close(upstream.handle, how);
    for (const user of users) user.onUpstreamLost('local', '', true);
    this.#connectMore();
  }
  /** Takes no new requests: connections close as they fall idle. */
  drain(): void {
    this.#draining = true;
    for (const upstream of [...this.#open]) upstream.drain();
  }
  destroy(): void {
    this.#draining = true;
    this.#failWaiting('local', '');
    for (const upstream of [...this.#open]) this.discard(upstream);
  }

  // ---- from the connections -------------------------------------------------------------------------------------------------------------

  onConnected(upstream: RpcUpstream): void {
    if (upstream.state !== UPSTREAM.CONNECTING) return;
    this.#connecting--;
    this.owner.connected(Math.max(0, this.engine.now - upstream.startedAt));
    upstream.state = UPSTREAM.OPEN;
    if (this.codec.pool !== 'bound') this.#ready.push(upstream);
    this.freed(upstream);
    if (this.#draining) upstream.drain();
  }
  /** There may be room on the connection: those who wait get it. */
  freed(upstream: RpcUpstream): void {
    const { maxRequestsPerConnection } = this.#options;
    if (maxRequestsPerConnection > 0 && upstream.requests >= maxRequestsPerConnection) {
      upstream.drain();
      return;
    }
    while (this.#waiting.length > 0 && upstream.mayTake) {
      const index = this.codec.pool === 'bound' ? this.#waiting.findIndex(({ from }) => this.#bound.get(from) === upstream) : 0;
      if (index < 0) return;
      const [{ user }] = this.#waiting.splice(index, 1);
      this.owner.waiting(-1);
      user.onUpstreamReady(upstream);
    }
  }
  /** A connection takes no further request. */
  left(upstream: RpcUpstream): void {
    const index = this.#ready.indexOf(upstream);
    if (index >= 0) this.#ready.splice(index, 1);
    for (const [from, bound] of this.#bound) if (bound === upstream) this.#bound.delete(from);
    this.#connectMore();
  }
  /** Nothing was sent or received for the profile's idle time. */
  idle(upstream: RpcUpstream): void {
    const { heartbeat, idleTimeoutMs } = this.#options;
    const isUnused = upstream.inFlight === 0 && idleTimeoutMs > 0 && (heartbeat.intervalMs === 0 || idleTimeoutMs <= heartbeat.intervalMs);
    if (isUnused) {
      this.owner.idleTimeout();
      this.discard(upstream, 'flush');
    } else if (heartbeat.intervalMs > 0) upstream.sendHeartbeat();
  }
  onClosed(upstream: RpcUpstream, reason: CloseReason, errno: string): void {
    if (upstream.state === UPSTREAM.CLOSED) return;
    const wasConnecting = upstream.state === UPSTREAM.CONNECTING;
    if (wasConnecting) this.owner.connectFailed(reason);
    for (const user of this.#forget(upstream, reason === 'local')) user.onUpstreamLost(reason, errno, true);
    // Who waits was promised this connection; the next attempt would most likely end the same way.
    if (wasConnecting) this.#failWaiting(reason, errno);
    this.#connectMore();
  }

  #forget(upstream: RpcUpstream, local: boolean): RpcUser[] {
    if (upstream.state === UPSTREAM.CONNECTING) this.#connecting--;
    this.#open.delete(upstream);
    const index = this.#ready.indexOf(upstream);
    if (index >= 0) this.#ready.splice(index, 1);
    for (const [from, bound] of this.#bound) if (bound === upstream) this.#bound.delete(from);
    const users = upstream.end();
    this.owner.closed(Math.max(0, this.engine.now - upstream.startedAt), local, users.length > 0);
    return users;
  }
  #failWaiting(reason: CloseReason, errno: string): void {
    for (const { user } of this.#waiting.splice(0)) {
      this.owner.waiting(-1);
      user.onUpstreamLost(reason, errno, false);
    }
  }
  /** Opens what those who wait need. */
  #connectMore(): void {
    if (this.codec.pool === 'bound') {
      for (const { from } of this.#waiting) if (!this.#bound.has(from) && !this.#connect(from)) return;
      return;
    }
    const wanted = this.codec.pool === 'multiplex' ? Math.min(1, this.#waiting.length) : this.#waiting.length;
    const hasRoom = this.#ready.some((upstream) => upstream.mayTake);
    while (this.#connecting < wanted && !hasRoom) if (!this.#connect(0)) return;
  }
  #connect(from: number): boolean {
    if (!this.owner.mayConnect()) {
      this.owner.connectionRefused();
      if (this.#open.size > 0) return false;
    }
    const upstream = new RpcUpstream(this, this.engine.now);
    this.#open.add(upstream);
    this.#connecting++;
    if (this.codec.pool === 'bound') this.#bound.set(from, upstream);
    this.owner.opened();
    upstream.handle = this.engine.connect(this.#options.connect, upstream);
    return true;
  }
}

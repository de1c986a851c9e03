/**
 * The pool of connections to one host for the requests of a codec (DESIGN §3): `multiplex` sends many requests on few connections, `pingpong` one at a
 * time on each, `bound` gives each downstream connection one of its own. Those who find no room wait, within the circuit breaker.
 */
import type { CloseReason, ConnectOptions, Engine } from '../../network/engine.js';
import { type Codec, isScripted, layoutOf } from '../../protocol/codec.js';
import type { ConnectionAccount } from '../connection-account.js';
import type { TimerWheel } from '../timers.js';
import { RpcUpstream, type RpcUser, UPSTREAM, WIDE_ID } from './rpc-upstream.js';

/** Bounds and accounting of a pool: the cluster's circuit breakers and statistics. */
export interface RpcPoolOwner extends ConnectionAccount {
  /** The codec has thrown on a frame of the connection, which is closed for it. */
  codecFailed(cause: unknown): void;
  /** An answer came for a request that is not there any more. */
  lateResponse(): void;
  /** A connection takes no further request; `hostLeaves`: the host will take none either. */
  goAway(hostLeaves: boolean): void;
  /** A connection has served as many requests as it may. */
  maxRequests(): void;
  /** `bound`: the connection of downstream connection `from` is gone, or takes no further request. */
  boundLeaves(from: number): void;
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
  /** Connections of a multiplexing pool, >= 1; those that drain do not count. */
  readonly connections: number;
  /** Requests in flight on one connection that is not `pingpong`; what is more waits. */
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
  /** Largest id that the protocol can carry. */
  readonly maxId: number;
  /** 0: no bound. */
  readonly maxRequests: number;
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
    this.maxId = maxIdOf(options.codec);
    // One id is left for a heartbeat.
    this.maxInFlight = options.codec.pool === 'pingpong' ? 1 : Math.min(options.maxInFlight, this.maxId - 1);
    this.maxRequests = options.maxRequestsPerConnection;
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
      return own?.mayTake === true ? own : undefined;
    }
    const ready = this.#ready;
    // Surplus connections of a multiplexing pool are opened as requests come, and serve them in turn.
    if (this.codec.pool === 'multiplex' && this.#connecting === 0 && ready.length > 0 && ready.length < this.#options.connections)
      this.#connect(from);
    for (let tries = ready.length; tries > 0; tries--) {
      this.#turn = this.#turn + 1 >= ready.length ? 0 : this.#turn + 1;
      const upstream = ready[this.#turn];
      if (upstream.mayTake) return upstream;
    }
    return undefined;
  }
  /**
   * A connection for a request that is sent as it comes, and that must not hold up others: an unused one, or a new one, which may be connecting still.
   * Nothing else is sent on it until its `sentWhole`. Undefined: there may be none (circuit breaker).
   */
  reserve(): RpcUpstream | undefined {
    let upstream = this.#ready.find((candidate) => candidate.inFlight === 0 && candidate.mayTake);
    if (upstream !== undefined) this.#ready.splice(this.#ready.indexOf(upstream), 1);
    else if (this.owner.mayConnect()) upstream = this.#begin(true);
    else this.owner.connectionRefused();
    if (upstream !== undefined) upstream.isReserved = true;
    return upstream;
  }
  /** One that was reserved serves everybody; what is too much of them closes when it is answered. */
  join(upstream: RpcUpstream): void {
    if (this.#draining || this.#ready.length >= this.#options.connections) upstream.drain();
    else {
      this.#ready.push(upstream);
      this.freed(upstream);
    }
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
    this.#bound.delete(from);
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
    if (!upstream.isOwn) this.#connecting--;
    this.owner.connected(Math.max(0, this.engine.now - upstream.startedAt));
    upstream.state = UPSTREAM.OPEN;
    if (upstream.isOwn) {
      if (!upstream.isReserved) this.join(upstream);
    } else {
      if (this.codec.pool !== 'bound') this.#ready.push(upstream);
      this.freed(upstream);
    }
    if (this.#draining) upstream.drain();
  }
  /** There may be room on the connection: those who wait get it. */
  freed(upstream: RpcUpstream): void {
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
    this.#unbound(upstream);
    this.#connectMore();
  }
  /** Nothing was sent or received for the profile's idle time. */
  idle(upstream: RpcUpstream): void {
    const { heartbeat, idleTimeoutMs } = this.#options;
    if (upstream.isReserved) return;
    // Heartbeats keep the connection from being quiet, but not from being unused.
    const unusedMs = this.engine.now - upstream.usedAt;
    const isUnused = heartbeat.intervalMs === 0 || idleTimeoutMs <= heartbeat.intervalMs || unusedMs >= idleTimeoutMs;
    if (upstream.inFlight === 0 && idleTimeoutMs > 0 && isUnused) {
      this.owner.idleTimeout();
      this.discard(upstream, 'flush');
    } else if (heartbeat.intervalMs > 0) upstream.sendHeartbeat();
  }
  onClosed(upstream: RpcUpstream, reason: CloseReason, errno: string): void {
    if (upstream.state === UPSTREAM.CLOSED) return;
    const wasConnecting = upstream.state === UPSTREAM.CONNECTING;
    if (wasConnecting) this.owner.connectFailed(reason);
    const from = this.#fromOf(upstream);
    for (const user of this.#forget(upstream, reason === 'local')) user.onUpstreamLost(reason, errno, !wasConnecting);
    // Who waits was promised this connection; the next attempt would most likely end the same way.
    if (wasConnecting && !upstream.isOwn) this.#failWaiting(reason, errno, from);
    this.#connectMore();
  }

  #forget(upstream: RpcUpstream, local: boolean): RpcUser[] {
    if (upstream.state === UPSTREAM.CONNECTING && !upstream.isOwn) this.#connecting--;
    this.#open.delete(upstream);
    const index = this.#ready.indexOf(upstream);
    if (index >= 0) this.#ready.splice(index, 1);
    if (upstream.state === UPSTREAM.CONNECTING) this.#bound.delete(this.#fromOf(upstream) ?? 0);
    else this.#unbound(upstream);
    const users = upstream.end();
    this.owner.closed(Math.max(0, this.engine.now - upstream.startedAt), local, users.length > 0);
    return users;
  }
  /** `bound`: the downstream connection that an upstream connection belongs to. */
  #fromOf(upstream: RpcUpstream): number | undefined {
    for (const [from, bound] of this.#bound) if (bound === upstream) return from;
    return undefined;
  }
  #unbound(upstream: RpcUpstream): void {
    const from = this.#fromOf(upstream);
    if (from === undefined) return;
    this.#bound.delete(from);
    this.owner.boundLeaves(from);
  }
  /** `of`: only those of this downstream connection; undefined: all. */
  #failWaiting(reason: CloseReason, errno: string, of?: number): void {
    const failed = this.#waiting.filter(({ from }) => of === undefined || from === of);
    const left = this.#waiting.filter((waiting) => !failed.includes(waiting));
    this.#waiting.splice(0, this.#waiting.length, ...left);
    for (const { user } of failed) {
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
    const isFull = this.codec.pool === 'multiplex' && this.#ready.length >= this.#options.connections;
    const wanted = isFull ? 0 : this.codec.pool === 'multiplex' ? Math.min(1, this.#waiting.length) : this.#waiting.length;
    const hasRoom = this.#ready.some((upstream) => upstream.mayTake);
    while (this.#connecting < wanted && !hasRoom) if (!this.#connect(0)) return;
  }
  #connect(from: number): boolean {
    if (!this.owner.mayConnect()) {
      this.owner.connectionRefused();
      if (this.#open.size > 0) return false;
    }
    this.#connecting++;
    const upstream = this.#begin(false);
    if (this.codec.pool === 'bound') this.#bound.set(from, upstream);
    return true;
  }
  #begin(isOwn: boolean): RpcUpstream {
    const upstream = new RpcUpstream(this, this.engine.now, isOwn);
    this.#open.add(upstream);
    this.owner.opened();
    upstream.handle = this.engine.connect(this.#options.connect, upstream);
    return upstream;
  }
}

/** Ids count up to this; a narrow field wraps early. */
function maxIdOf(codec: Codec): number {
  if (isScripted(codec.framing)) return WIDE_ID;
  const widths = layoutOf(codec).variants.flatMap(({ id }) => (id === undefined ? [] : [id.field.width]));
  return Math.min(WIDE_ID, 2 ** (8 * Math.min(4, ...widths)) - 1);
}

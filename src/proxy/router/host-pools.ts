import type { CloseReason, ConnectOptions, Engine } from '../../network/engine.js';
import type { Codec } from '../../protocol/codec.js';
import type { Framing } from '../../protocol/framing.js';
import type { StreamFraming } from '../../protocol/stream-framing.js';
import { Http1Pool, type PoolOwner } from '../../stream/http1-pool.js';
import { Http2Pool, type Http2PoolOwner } from '../../stream/http2-pool.js';
import { RpcPool, type RpcPoolOwner } from '../../stream/rpc/rpc-pool.js';
import type { TimerWheel } from '../../stream/timers.js';
import type { UpstreamPool } from '../../stream/upstream.js';
import type { CircuitBreakers } from '../cluster/circuit-breaker.js';
import type { Cluster } from '../cluster/cluster.js';
import type { Host } from '../cluster/host.js';
import type { ClusterConfig, ForwardAction, RpcOptions } from '../runtime.js';
import type { Profiles } from './profiles.js';

/** What pools are made with. */
export interface PoolContext {
  readonly engine: Engine;
  readonly profiles: Profiles;
  readonly wheel: TimerWheel;
  readonly log: { error(message: string): void };
  /** The framing of request/response connections. */
  readonly framing: Framing;
  /** The framing of connections with streams. */
  readonly streamFraming: StreamFraming;
}

/** A downstream connection that has upstream connections of its own. */
export interface BoundOwner {
  /** One of them is gone, or takes no further request. */
  upstreamLeaves(): void;
}

/** Circuit breakers and statistics of one host's pool at one priority. */
class HostAccount implements PoolOwner, Http2PoolOwner, RpcPoolOwner {
  readonly #cluster: Cluster;
  readonly #host: Host;
  readonly #breakers: CircuitBreakers;
  readonly #bound: ReadonlyMap<number, BoundOwner>;
  readonly #log: PoolContext['log'];
  readonly #isHttp2: boolean;

  constructor(
    context: PoolContext,
    cluster: Cluster,
    host: Host,
    priority: ForwardAction['priority'],
    bound: ReadonlyMap<number, BoundOwner>,
    isHttp2 = false,
  ) {
    this.#isHttp2 = isHttp2;
    this.#cluster = cluster;
    this.#host = host;
    this.#breakers = cluster.breakers[priority];
    this.#bound = bound;
    this.#log = context.log;
  }
  mayConnect(): boolean {
    return this.#breakers.connections.hasRoom;
  }
  connectionRefused(): void {
    this.#cluster.stats.cxOverflow.inc();
  }
  mayWait(): boolean {
    return this.#breakers.pending.hasRoom;
  }
  waiting(delta: 1 | -1): void {
    const { stats } = this.#cluster;
    stats.rqPendingActive.inc(delta);
    if (delta === 1) {
      this.#breakers.pending.add();
      stats.rqPendingTotal.inc();
    } else this.#breakers.pending.remove();
  }
  opened(): void {
    const { stats } = this.#cluster;
    this.#breakers.connections.add();
    stats.cxTotal.inc();
    stats.cxActive.inc();
    (this.#isHttp2 ? stats.cxHttp2Total : stats.cxHttp1Total).inc();
    this.#host.stats.cxTotal.inc();
    this.#host.stats.cxActive.inc();
  }
  connected(connectMs: number): void {
    this.#cluster.stats.cxConnectMs.record(connectMs);
  }
  connectFailed(reason: CloseReason): void {
    const { stats } = this.#cluster;
    stats.cxConnectFail.inc();
    if (reason === 'connect-timeout') stats.cxConnectTimeout.inc();
    this.#host.stats.cxConnectFail.inc();
  }
  closed(lengthMs: number, local: boolean, inUse: boolean): void {
    const { stats } = this.#cluster;
    this.#breakers.connections.remove();
    stats.cxActive.dec();
    this.#host.stats.cxActive.dec();
    stats.cxLengthMs.record(lengthMs);
    stats.cxDestroy.inc();
    (local ? stats.cxDestroyLocal : stats.cxDestroyRemote).inc();
    if (!inUse) return;
    stats.cxDestroyWithActiveRq.inc();
    (local ? stats.cxDestroyLocalWithActiveRq : stats.cxDestroyRemoteWithActiveRq).inc();
  }
  idleTimeout(): void {
    this.#cluster.stats.cxIdleTimeout.inc();
  }
  maxRequests(): void {
    this.#cluster.stats.cxMaxRequests.inc();
  }
  maxDuration(): void {
    this.#cluster.stats.cxMaxDurationReached.inc();
  }
  protocolError(): void {
    this.#cluster.stats.cxProtocolError.inc();
  }
  codecFailed(cause: unknown): void {
    if (this.#cluster.stats.cxProtocolError.value === 0) this.#log.error(`cluster ${this.#cluster.name}: a codec failed: ${String(cause)}`);
    this.#cluster.stats.cxProtocolError.inc();
  }
  lateResponse(): void {
    this.#cluster.stats.rqLateResponse.inc();
  }
  goAway(hostLeaves: boolean): void {
    this.#cluster.stats.cxCloseNotify.inc();
    if (hostLeaves) this.#cluster.leaves(this.#host);
  }
  boundLeaves(from: number): void {
    this.#bound.get(from)?.upstreamLeaves();
  }
  keepAliveTimeout(): void {
    this.#cluster.http2Stats.keepAliveTimeout.inc();
  }
  fault(code: string): void {
    this.#cluster.http2Stats.count(code);
  }
  streamClosed(reason: CloseReason, errno: string): void {
    this.#cluster.http2Stats.streamClosed(reason, errno);
  }
  heartbeatMissed(): void {
    this.#cluster.stats.cxHeartbeatMissed.inc();
  }
}

/** Pools of one host: one for each priority, since their circuit breakers differ, and for each codec. Kept in `Host.pool`. */
export class HostPools {
  readonly #context: PoolContext;
  readonly #cluster: Cluster;
  readonly #host: Host;
  #default: UpstreamPool | undefined = undefined;
  #high: UpstreamPool | undefined = undefined;
  #defaultHttp2: UpstreamPool | undefined = undefined;
  #highHttp2: UpstreamPool | undefined = undefined;
  readonly #rpc = new Map<string, RpcPool>();
  readonly #bound = new Map<number, BoundOwner>();

  constructor(context: PoolContext, cluster: Cluster, host: Host) {
    this.#context = context;
    this.#cluster = cluster;
    this.#host = host;
  }
  /** The pool for HTTP requests in one of the two versions. */
  get(priority: ForwardAction['priority'], isHttp2: boolean): UpstreamPool {
    if (isHttp2) return this.#http2(priority);
    if (priority === 'HIGH') {
      this.#high ??= this.#make('HIGH');
      return this.#high;
    }
    this.#default ??= this.#make('DEFAULT');
    return this.#default;
  }
  #http2(priority: ForwardAction['priority']): UpstreamPool {
    if (priority === 'HIGH') {
      this.#highHttp2 ??= this.#makeHttp2('HIGH');
      return this.#highHttp2;
    }
    this.#defaultHttp2 ??= this.#makeHttp2('DEFAULT');
    return this.#defaultHttp2;
  }
  /** The pool for the requests of a codec. */
  rpc(codec: Codec, priority: ForwardAction['priority']): RpcPool {
    const key = priority === 'HIGH' ? `${codec.name} high` : codec.name;
    let pool = this.#rpc.get(key);
    if (pool === undefined) {
      pool = this.#makeRpc(codec, priority);
      this.#rpc.set(key, pool);
    }
    return pool;
  }
  /** A downstream connection is to have upstream connections of its own here. */
  bind(from: number, owner: BoundOwner): void {
    this.#bound.set(from, owner);
  }
  /** A downstream connection is gone, and the upstream connections that belong to it alone. */
  unbind(from: number): void {
    this.#bound.delete(from);
    for (const pool of this.#rpc.values()) pool.unbind(from);
  }
  drain(): void {
    for (const pool of this.#all()) pool.drain();
  }
  destroy(): void {
    for (const pool of this.#all()) pool.destroy();
  }
  #all(): { drain(): void; destroy(): void }[] {
    return [this.#default, this.#high, this.#defaultHttp2, this.#highHttp2, ...this.#rpc.values()].filter((pool) => pool !== undefined);
  }
  #makeRpc(codec: Codec, priority: ForwardAction['priority']): RpcPool {
    const { config, stats } = this.#cluster;
    const { engine, wheel, profiles } = this.#context;
    const { connections, maxInFlight, heartbeat, maxFrameBytes } = config.rpc ?? DEFAULT_RPC_OPTIONS;
    const beats = heartbeat.intervalMs > 0 && codec.heartbeat !== undefined;
    const profile = profiles.get({
      framing: codec,
      side: 'upstream',
      bufferLimitBytes: config.bufferLimitBytes,
      idleTimeoutMs: beats ? heartbeat.intervalMs : config.idleTimeoutMs,
      ...(maxFrameBytes === undefined ? {} : { maxFrameBytes }),
      wire: { received: stats.cxRxBytesTotal, sent: stats.cxTxBytesTotal },
    });
    const pool = new RpcPool(engine, wheel, new HostAccount(this.#context, this.#cluster, this.#host, priority, this.#bound), {
      codec,
      connect: connectOptions(config, this.#host, profile),
      connections,
      maxInFlight,
      heartbeat: beats ? heartbeat : { ...heartbeat, intervalMs: 0 },
      idleTimeoutMs: config.idleTimeoutMs,
      maxRequestsPerConnection: config.maxRequestsPerConnection,
    });
    if (this.#host.removed) pool.drain();
    return pool;
  }

  #make(priority: ForwardAction['priority']): Http1Pool {
    const { config } = this.#cluster;
    const account = new HostAccount(this.#context, this.#cluster, this.#host, priority, this.#bound);
    const pool = new Http1Pool(this.#context.engine, account, {
      connect: connectOptions(config, this.#host, this.#context.profiles.get(upstreamProfile(this.#cluster, this.#context.framing))),
      maxRequestsPerConnection: config.maxRequestsPerConnection,
      maxConnectionDurationMs: config.maxConnectionDurationMs,
    });
    if (this.#host.removed) pool.drain();
    return pool;
  }

  #makeHttp2(priority: ForwardAction['priority']): Http2Pool {
    const { config } = this.#cluster;
    const { engine, wheel, profiles, streamFraming } = this.#context;
    const profile = profiles.get({
      ...upstreamProfile(this.#cluster, streamFraming),
      streamOptions: streamFraming.options({ connectionWindow: UPSTREAM_CONNECTION_WINDOW, ...config.http.streams }),
    });
    const pool = new Http2Pool(engine, wheel, new HostAccount(this.#context, this.#cluster, this.#host, priority, this.#bound, true), {
      connect: connectOptions(config, this.#host, profile),
      maxStreams: config.http.maxConcurrentStreams,
      maxRequestsPerConnection: config.maxRequestsPerConnection,
      maxConnectionDurationMs: config.maxConnectionDurationMs,
      keepAlive: config.http.keepAlive,
    });
    if (this.#host.removed) pool.drain();
    return pool;
  }
}

/** How to connect to a host for its health check, in this protocol and on the port that checks have. */
export function probeConnectOptions(
  context: PoolContext,
  cluster: Cluster,
  host: Host,
  protocol: 'http1' | 'http2' | 'tcp',
  altPort: number,
): ConnectOptions {
  const { config } = cluster;
  const { profiles, framing, streamFraming } = context;
  // Not counted with the traffic, and never idle for long: the checks themselves say when it is of no use any more.
  const { wire: _wire, ...shared } = { ...upstreamProfile(cluster, framing), idleTimeoutMs: 0 };
  const profile =
    protocol === 'tcp'
      ? profiles.get({ framing: 'raw', side: 'upstream' })
      : profiles.get(
          protocol === 'http1' ? shared : { ...shared, framing: streamFraming, streamOptions: streamFraming.options(config.http.streams) },
        );
  const options = connectOptions(config, host, profile);
  const { address } = options;
  return altPort === 0 || 'path' in address ? options : { ...options, address: { ...address, port: altPort } };
}

/** The pool for an HTTP request to `host`; made where it is the first. */
export const poolOf = (context: PoolContext, cluster: Cluster, host: Host, priority: ForwardAction['priority'], isHttp2: boolean): UpstreamPool =>
  poolsOf(context, cluster, host).get(priority, isHttp2);

/**
 * Bytes of DATA that a host may send on one connection before some are taken, where nothing is configured. Many clients share it: those who do not read must
 * not use up what the others need, and each of them holds one stream's window at most.
 */
const UPSTREAM_CONNECTION_WINDOW = 16 * 1024 * 1024;

/** All pools of a host. */
export function poolsOf(context: PoolContext, cluster: Cluster, host: Host): HostPools {
  const pools = host.pool;
  if (pools instanceof HostPools) return pools;
  const made = new HostPools(context, cluster, host);
  host.pool = made;
  return made;
}

/** How a cluster's hosts are spoken to in the protocol of a codec, where nothing is configured. */
export const DEFAULT_RPC_OPTIONS: RpcOptions = {
  connections: 1,
  maxInFlight: 65_536,
  heartbeat: { intervalMs: 15_000, timeoutMs: 1000, failures: 3 },
  maxFrameBytes: undefined,
};

/** How to connect to a host of a cluster. */
export const connectOptions = (config: ClusterConfig, host: Host, profile: number): ConnectOptions => ({
  ...config.socket,
  address: host.address,
  profile,
  connectTimeoutMs: config.connectTimeoutMs,
  ...(config.source === undefined ? {} : { source: config.source }),
});

const upstreamProfile = ({ config, stats }: Cluster, framing: Framing | StreamFraming) =>
  ({
    framing,
    side: 'upstream',
    maxHeadBytes: config.maxResponseHeadBytes,
    maxHeaders: config.maxResponseHeaders,
    bufferLimitBytes: config.bufferLimitBytes,
    idleTimeoutMs: config.idleTimeoutMs,
    wire: { received: stats.cxRxBytesTotal, sent: stats.cxTxBytesTotal },
  }) as const;

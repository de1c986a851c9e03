import type { Counter, StatsStore } from '../base/stats.js';
import type { CloseReason, ConnectionHandler, ConnectionInfo, ConnectOptions, Profile } from '../network/engine.js';
import type { TimerOwner } from '../stream/timers.js';
import { RESPONSE_FLAG } from './access-log/response-flags.js';
import type { Cluster } from './cluster/cluster.js';
import type { Host } from './cluster/host.js';
import type { ProxyContext } from './context.js';
import { closeText } from './http/local-reply.js';
import { emptyRecord } from './http/log-record.js';
import { connectOptions } from './router/host-pools.js';
import type { FilterChain, ListenerConfig, TcpProxyConfig } from './runtime.js';

/** Statistics of a TCP proxy, `tcp.<stat_prefix>.` (Envoy, "TCP proxy: statistics"). */
class TcpStats {
  readonly cxTotal: Counter;
  readonly cxNoRoute: Counter;
  readonly cxRxBytesTotal: Counter;
  readonly cxTxBytesTotal: Counter;
  readonly idleTimeout: Counter;
  readonly maxDuration: Counter;

  constructor(stats: StatsStore, statPrefix: string) {
    const prefix = `tcp.${statPrefix}.`;
    this.cxTotal = stats.counter(`${prefix}downstream_cx_total`);
    this.cxNoRoute = stats.counter(`${prefix}downstream_cx_no_route`);
    this.cxRxBytesTotal = stats.counter(`${prefix}downstream_cx_rx_bytes_total`);
    this.cxTxBytesTotal = stats.counter(`${prefix}downstream_cx_tx_bytes_total`);
    this.idleTimeout = stats.counter(`${prefix}idle_timeout`);
    this.maxDuration = stats.counter(`${prefix}max_downstream_connection_duration`);
  }
}

/** A TCP proxy at work: configuration, statistics, profiles. Immutable; a connection keeps the one it began with. */
export class TcpManager {
  readonly kind = 'tcp';
  readonly config: TcpProxyConfig;
  readonly chainName: string;
  readonly stats: TcpStats;
  readonly profile: Profile;
  readonly #context: ProxyContext;
  readonly #connects = new WeakMap<Host, { readonly cluster: Cluster; readonly options: ConnectOptions }>();

  constructor(context: ProxyContext, listener: ListenerConfig, chain: FilterChain, config: TcpProxyConfig) {
    this.#context = context;
    this.config = config;
    this.chainName = chain.name;
    this.stats = new TcpStats(context.stats, config.statPrefix);
    this.profile = context.profiles.get({
      framing: 'raw',
      side: 'downstream',
      bufferLimitBytes: listener.bufferLimitBytes,
      idleTimeoutMs: config.idleTimeoutMs,
      wire: { received: this.stats.cxRxBytesTotal, sent: this.stats.cxTxBytesTotal },
    });
  }

  /** How to connect to a host; put together once. */
  connectOptions(cluster: Cluster, host: Host): ConnectOptions {
    let known = this.#connects.get(host);
    if (known?.cluster !== cluster) {
      const { config, stats } = cluster;
      const profile = this.#context.profiles.get({
        framing: 'raw',
        side: 'upstream',
        bufferLimitBytes: config.bufferLimitBytes,
        wire: { received: stats.cxRxBytesTotal, sent: stats.cxTxBytesTotal },
      });
      known = { cluster, options: connectOptions(config, host, profile) };
      this.#connects.set(host, known);
    }
    return known.options;
  }
}

/** The listener that a TCP connection came from. */
export interface TcpHome {
  closed(connection: TcpConnection, lengthMs: number): void;
}

/** One downstream connection and the upstream connection it is tied to. Every end goes through `#finish`. */
export class TcpConnection implements ConnectionHandler, TimerOwner {
  readonly handle: number;
  readonly #context: ProxyContext;
  readonly #home: TcpHome;
  readonly #manager: TcpManager;
  readonly #startedAt: number;
  readonly #startTime = Date.now();
  readonly #info: ConnectionInfo | undefined;
  readonly #timer: number = 0;
  #cluster: Cluster | undefined = undefined;
  #host: Host | undefined = undefined;
  #upstream: UpstreamSide | undefined = undefined;
  #attempts = 0;
  #flags = 0;
  #details = '';
  #transportFailure = '';
  #upstreamStart = -1;
  #received = 0;
  #sent = 0;
  #finished = false;

  constructor(context: ProxyContext, home: TcpHome, manager: TcpManager, handle: number) {
    this.#context = context;
    this.#home = home;
    this.#manager = manager;
    this.handle = handle;
    this.#startedAt = context.now;
    this.#info = manager.config.accessLogs.length > 0 ? context.engine.info(handle) : undefined;
    manager.stats.cxTotal.inc();
    const { maxConnectionDurationMs } = manager.config;
    if (maxConnectionDurationMs > 0) this.#timer = context.wheel.start(this.#startedAt + maxConnectionDurationMs, this, 0);
  }

  get chainName(): string {
    return this.#manager.chainName;
  }

  /** Chooses a cluster and connects. Called once the listener knows the connection. */
  start(): void {
    const name = this.#manager.config.chooseCluster(Math.random());
    this.#cluster = this.#context.clusters.get(name);
    if (this.#cluster === undefined) {
      this.#manager.stats.cxNoRoute.inc();
      this.#refuse(RESPONSE_FLAG.NC, 'cluster_not_found');
      return;
    }
    this.#connect();
  }

  #connect(): void {
    const cluster = this.#cluster as Cluster;
    const { stats, config } = cluster;
    if (this.#attempts >= this.#manager.config.maxConnectAttempts) {
      stats.cxConnectAttemptsExceeded.inc();
      this.#refuse(RESPONSE_FLAG.URX, this.#details);
      return;
    }
    if (!cluster.breakers.DEFAULT.connections.hasRoom) {
      stats.cxOverflow.inc();
      this.#refuse(RESPONSE_FLAG.UO, 'upstream_overflow');
      return;
    }
    const info = config.discovery === 'ORIGINAL_DST' ? this.#context.engine.info(this.handle) : undefined;
    const host = cluster.choose(info === undefined ? undefined : { originalDst: info.originalDst ?? info.local });
    if (host === undefined) {
      stats.cxNoneHealthy.inc();
      this.#refuse(RESPONSE_FLAG.UH, 'no_healthy_upstream');
      return;
    }
    this.#attempts++;
    this.#host = host;
    cluster.breakers.DEFAULT.connections.add();
    host.active++;
    stats.cxTotal.inc();
    stats.cxActive.inc();
    host.stats.cxTotal.inc();
    host.stats.cxActive.inc();
    const side = new UpstreamSide(this, cluster, host, this.#context);
    this.#upstream = side;
    side.handle = this.#context.engine.connect(this.#manager.connectOptions(cluster, host), side);
  }

  /** From the upstream side: the connection is there. */
  onUpstreamConnected(side: UpstreamSide): void {
    if (side !== this.#upstream) return;
    this.#upstreamStart = this.#context.now;
    this.#context.engine.relay(this.handle, side.handle);
  }
  /** From the upstream side: it is gone. `wasConnected`: not a failed attempt. */
  onUpstreamClosed(side: UpstreamSide, reason: CloseReason, errno: string, wasConnected: boolean): void {
    if (side !== this.#upstream) return;
    this.#upstream = undefined;
    if (wasConnected) {
      if (reason === 'reset') this.#flags |= RESPONSE_FLAG.UC;
      this.#context.engine.close(this.handle, reason === 'reset' ? 'reset' : 'flush');
      return;
    }
    this.#flags |= RESPONSE_FLAG.UF;
    this.#transportFailure = reason === 'connect-timeout' ? '' : `delayed_connect_error:_${closeText(errno)}`;
    this.#details = reason === 'connect-timeout' ? 'connection_timeout' : 'remote_connection_failure';
    this.#connect();
  }

  onTimeout(): void {
    this.#manager.stats.idleTimeout.inc();
    this.#details = 'idle_timeout';
    this.#context.engine.close(this.handle, 'flush');
  }
  onTimer(_kind: number, now: number): void {
    this.#context.timerFired(now);
    this.#manager.stats.maxDuration.inc();
    this.#flags |= RESPONSE_FLAG.DT;
    this.#details = 'max_connection_duration_reached';
    this.#context.engine.close(this.handle, 'flush');
  }
  onClosed(): void {
    this.#readTraffic();
    this.#finish();
  }

  #readTraffic(): void {
    const traffic = this.#context.engine.traffic(this.handle);
    if (traffic === undefined) return;
    this.#received = traffic.received;
    this.#sent = traffic.sent;
  }

  #refuse(flag: number, details: string): void {
    this.#flags |= flag;
    this.#details = details;
    this.#context.engine.close(this.handle, 'flush');
  }

  #finish(): void {
    if (this.#finished) return;
    this.#finished = true;
    const { engine, wheel, now } = this.#context;
    const { config } = this.#manager;
    wheel.stop(this.#timer);
    const side = this.#upstream;
    this.#upstream = undefined;
    if (side !== undefined) engine.close(side.handle, 'flush');
    if (config.accessLogs.length > 0) this.#log(now, side);
    this.#home.closed(this, Math.max(0, now - this.#startedAt));
  }

  #log(now: number, side: UpstreamSide | undefined): void {
    const record = emptyRecord();
    const host = this.#host;
    record.startTime = this.#startTime;
    record.start = this.#startedAt;
    record.end = now;
    record.upstreamStart = this.#upstreamStart;
    record.details = this.#details;
    record.connectionTerminationDetails = this.#details;
    record.flags = this.#flags;
    record.bytesReceived = this.#received;
    record.bytesSent = this.#sent;
    record.upstreamBytesReceived = this.#sent;
    record.upstreamBytesSent = this.#received;
    record.attempts = this.#attempts;
    record.upstreamCluster = this.#cluster?.name ?? '';
    record.upstreamHost = host?.address;
    record.upstreamHostname = host?.hostname ?? '';
    record.upstreamLocal = side?.local;
    record.upstreamTransportFailure = this.#transportFailure;
    record.downstreamLocal = this.#info?.local;
    record.downstreamRemote = this.#info?.remote;
    record.downstreamDirectRemote = this.#info?.remote;
    record.filterChain = this.#manager.chainName;
    record.connectionId = this.#context.nextConnectionId++;
    for (const log of this.#manager.config.accessLogs) log.log(record);
  }
}

/** The upstream end of a TCP connection, with its share of the cluster's accounts. */
class UpstreamSide implements ConnectionHandler {
  handle = 0;
  readonly #owner: TcpConnection;
  readonly #cluster: Cluster;
  readonly #host: Host;
  readonly #context: ProxyContext;
  readonly #startedAt: number;
  #connected = false;

  constructor(owner: TcpConnection, cluster: Cluster, host: Host, context: ProxyContext) {
    this.#owner = owner;
    this.#cluster = cluster;
    this.#host = host;
    this.#context = context;
    this.#startedAt = context.now;
  }
  get local(): ConnectionInfo['local'] | undefined {
    return this.#context.engine.info(this.handle)?.local;
  }
  onConnected(): void {
    this.#connected = true;
    this.#cluster.stats.cxConnectMs.record(Math.max(0, this.#context.now - this.#startedAt));
    this.#owner.onUpstreamConnected(this);
  }
  onClosed(_connection: number, reason: CloseReason, errno: string): void {
    const { stats } = this.#cluster;
    const local = reason === 'local' || reason === 'linger';
    this.#cluster.breakers.DEFAULT.connections.remove();
    this.#host.active--;
    stats.cxActive.dec();
    this.#host.stats.cxActive.dec();
    stats.cxDestroy.inc();
    (local ? stats.cxDestroyLocal : stats.cxDestroyRemote).inc();
    stats.cxLengthMs.record(Math.max(0, this.#context.now - this.#startedAt));
    if (!this.#connected && !local) {
      stats.cxConnectFail.inc();
      if (reason === 'connect-timeout') stats.cxConnectTimeout.inc();
      this.#host.stats.cxConnectFail.inc();
    }
    this.#owner.onUpstreamClosed(this, reason, errno, this.#connected);
  }
}

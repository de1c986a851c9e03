/** The data path of one worker: listeners, connections, pools. What it does is said by `RuntimeConfig`; what carries its bytes is an `Engine`. */
import type { StatsStore } from '../base/stats.js';
import type { Address, Engine } from '../network/engine.js';
import type { BreakerUses } from './cluster/breaker-use.js';
import type { Cluster } from './cluster/cluster.js';
import { ClusterManager } from './cluster/cluster-manager.js';
import type { Host } from './cluster/host.js';
import { type HttpFramings, ProxyContext, type ProxyLog } from './context.js';
import type { DrainStrategy } from './drain-sequence.js';
import { HealthChecker } from './health/health-check.js';
import { MessageProbe } from './health/message-probe.js';
import { grpcQuestion, httpQuestion } from './health/questions.js';
import { TcpProbe } from './health/tcp-probe.js';
import { type ConnectionCounts, ownConnectionCounts } from './listener/connection-count.js';
import { ActiveListener } from './listener/listener.js';
import { HostPools, probeConnectOptions } from './router/host-pools.js';
import type { EndpointConfig, ListenerConfig, RuntimeConfig } from './runtime.js';

export interface ProxyOptions {
  readonly engine: Engine;
  readonly stats: StatsStore;
  readonly log: ProxyLog;
  readonly httpFramings: HttpFramings;
  /** For the one who compiles configurations, which makes the access logs; the proxy itself only writes records to them. */
  readonly createFileLog?: unknown;
  /** Default: counts of its own. */
  readonly connectionCounts?: ConnectionCounts;
  /** What is in use of circuit breakers, over all workers. Default: counts of its own. */
  readonly breakerUses?: BreakerUses;
  /** `--drain-time-s` and `--drain-strategy`. Default: 600,000 and `gradual`. */
  readonly drainTimeMs?: number;
  readonly drainStrategy?: DrainStrategy;
}

export interface DrainOptions {
  /** Only listeners with `traffic_direction: INBOUND`. */
  readonly inboundOnly?: boolean;
  /** Go on accepting until the time is over; responses say `connection: close`, by the drain strategy. */
  readonly graceful?: boolean;
  /** With `graceful`: when the time is over, listeners go on accepting and nothing is closed. */
  readonly skipExit?: boolean;
  /** How long requests in flight may take; then what is left is closed. */
  readonly timeoutMs: number;
}

/** A listener that could not be opened. */
export interface ApplyError {
  readonly name: string;
  readonly error: Error;
}

export interface HostStatus {
  readonly address: Address;
  readonly hostname: string;
  readonly weight: number;
  readonly priority: number;
  readonly locality: EndpointConfig['locality'];
  readonly health: EndpointConfig['health'];
  /** As Envoy's `/clusters` prints it: `healthy`, `/failed_eds_health`, ... */
  readonly healthFlags: string;
  readonly active: number;
}
export interface ClusterStatus {
  readonly name: string;
  readonly hosts: readonly HostStatus[];
}

export interface Proxy {
  readonly stats: StatsStore;
  readonly engine: Engine;
  /**
   * Takes a configuration. Listeners with the same name, addresses and socket options keep their sockets and connections; a request keeps what it started
   * with, the next one on its connection gets the new. Removed listeners drain. Answers the listeners that could not be opened.
   */
  apply(config: RuntimeConfig): Promise<ApplyError[]>;
  /** Endpoints that discovery found. False where there is no such cluster. */
  updateEndpoints(cluster: string, endpoints: readonly EndpointConfig[]): boolean;
  /** Stops taking requests; resolves when the last connection is gone, or its time is over. */
  drain(options: DrainOptions): Promise<void>;
  /** While false, responses of listeners with `drain_type: DEFAULT` say `connection: close`. */
  setHealthy(isHealthy: boolean): void;
  /** Closes everything at once. */
  shutdown(): Promise<void>;
  listenerAddresses(): { readonly name: string; readonly address: Address }[];
  clusterStatus(): ClusterStatus[];
  /** Downstream connections. */
  readonly connections: number;
}

/** Makes the data path of a worker. */
export function createProxy(options: ProxyOptions): Proxy {
  return new WorkerProxy(options);
}

class WorkerProxy implements Proxy {
  readonly stats: StatsStore;
  readonly engine: Engine;
  readonly #context: ProxyContext;
  readonly #clusters: ClusterManager;
  readonly #listeners = new Map<string, ActiveListener>();
  /** Removed from the configuration, with connections left. */
  readonly #leaving = new Set<ActiveListener>();
  readonly #drainTimeMs: number;
  readonly #drainStrategy: DrainStrategy;
  #isHealthy = true;

  constructor(options: ProxyOptions) {
    this.engine = options.engine;
    this.stats = options.stats;
    this.#clusters = new ClusterManager(options.stats, Math.random, options.breakerUses);
    this.#drainTimeMs = options.drainTimeMs ?? 600_000;
    this.#drainStrategy = options.drainStrategy ?? 'gradual';
    const counts = options.connectionCounts ?? ownConnectionCounts();
    this.#context = new ProxyContext(options.engine, options.stats, options.log, this.#clusters, options.httpFramings, counts);
    this.#clusters.onAdded = (cluster) => {
      const checker = this.#healthChecker(cluster);
      cluster.onHostRemoved = (host) => {
        drainHost(host);
        checker?.remove(host);
      };
      if (checker !== undefined) cluster.onHostAdded = (host) => checker.add(host);
    };
  }

  get connections(): number {
    let count = 0;
    for (const listener of [...this.#listeners.values(), ...this.#leaving]) count += listener.connectionCount;
    return count;
  }

  async apply(config: RuntimeConfig): Promise<ApplyError[]> {
    const errors: ApplyError[] = [];
    this.#clusters.apply(config.clusters);
    this.#context.maxConnections = config.maxConnections;
    const wanted = new Map(config.listeners.map((listener) => [listener.name, listener]));
    // Those that go first: another name may want their addresses.
    for (const [name, listener] of [...this.#listeners]) if (!wanted.has(name)) this.#remove(name, listener);
    for (const [name, listener] of wanted) {
      const old = this.#listeners.get(name);
      if (old !== undefined && socketKey(old.config) === socketKey(listener)) {
        old.update(listener);
        continue;
      }
      // The same address with other options cannot be opened twice.
      if (old !== undefined && sharesAddress(old.config, listener)) this.#remove(name, old);
      const made = new ActiveListener(this.#context, listener, (address) => this.#find(address));
      made.setHealthy(this.#isHealthy);
      try {
        await made.open();
      } catch (error) {
        if (!(error instanceof Error)) throw error;
        errors.push({ name, error });
        continue;
      }
      const replaced = this.#listeners.get(name);
      if (replaced !== undefined) this.#remove(name, replaced);
      this.#listeners.set(name, made);
    }
    return errors;
  }

  updateEndpoints(cluster: string, endpoints: readonly EndpointConfig[]): boolean {
    return this.#clusters.updateEndpoints(cluster, endpoints);
  }

  async drain(options: DrainOptions): Promise<void> {
    const listeners = [...this.#listeners.values()].filter(
      (listener) => options.inboundOnly !== true || listener.config.trafficDirection === 'INBOUND',
    );
    if (options.inboundOnly !== true) listeners.push(...this.#leaving);
    if (options.graceful === true) {
      const deadlines = listeners.map((listener) => listener.drainGracefully(this.#drainStrategy, options.timeoutMs));
      const waitMs = Math.max(0, ...deadlines) - this.#context.now;
      await new Promise((resolve) => setTimeout(resolve, listeners.length === 0 ? 0 : Math.max(0, waitMs)));
      if (options.skipExit === true) return;
    } else {
      for (const listener of listeners) {
        listener.stop();
        listener.drain();
      }
      await Promise.all(listeners.map((listener) => this.#empty(listener, options.timeoutMs)));
    }
    for (const listener of listeners) {
      listener.stop();
      listener.closeConnections();
    }
  }

  setHealthy(isHealthy: boolean): void {
    this.#isHealthy = isHealthy;
    for (const listener of this.#listeners.values()) listener.setHealthy(isHealthy);
  }

  async shutdown(): Promise<void> {
    for (const listener of this.#listeners.values()) {
      listener.stop();
      listener.closeConnections();
    }
    this.#context.wheel.close();
    this.#listeners.clear();
    await this.engine.shutdown();
  }

  listenerAddresses(): { name: string; address: Address }[] {
    return [...this.#listeners.values()].flatMap((listener) => listener.addresses.map((address) => ({ name: listener.name, address })));
  }
  clusterStatus(): ClusterStatus[] {
    return [...this.#clusters.values()].map((cluster) => ({ name: cluster.name, hosts: cluster.hosts.map(statusOf) }));
  }

  #healthChecker(cluster: Cluster): HealthChecker | undefined {
    const { healthCheck } = cluster.config;
    if (healthCheck === undefined) return undefined;
    const context = this.#context;
    const { how, altPort, reuseConnection } = healthCheck;
    return new HealthChecker(cluster, healthCheck, this.stats, context.wheel, (host, owner) => {
      if (how.kind === 'tcp') return new TcpProbe(this.engine, probeConnectOptions(context, cluster, host, 'tcp', altPort), owner);
      // A host is asked by its own name where it has one.
      const question = how.kind === 'grpc' ? grpcQuestion(how) : httpQuestion({ ...how, host: how.host || host.hostname || cluster.name });
      const connect = probeConnectOptions(context, cluster, host, question.isHttp2 ? 'http2' : 'http1', altPort);
      return new MessageProbe(this.engine, context.edits, connect, question, reuseConnection, owner);
    });
  }

  #remove(name: string, listener: ActiveListener): void {
    if (this.#listeners.get(name) === listener) this.#listeners.delete(name);
    listener.stop();
    this.#leaving.add(listener);
    if (this.#drainStrategy === 'gradual') listener.drainGracefully('gradual', this.#drainTimeMs);
    else listener.drain();
    const timer = setTimeout(() => listener.closeConnections(), this.#drainTimeMs);
    timer.unref();
    listener.whenEmpty(() => {
      clearTimeout(timer);
      this.#leaving.delete(listener);
    });
  }

  /** Until the listener has no connection, or the time is over. */
  #empty(listener: ActiveListener, timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      listener.whenEmpty(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  /** The listener bound to, or standing for, an original destination: the exact address, else the wildcard of its port. */
  #find(address: Address): ActiveListener | undefined {
    if ('path' in address) return undefined;
    let wildcard: ActiveListener | undefined;
    for (const listener of this.#listeners.values()) {
      for (const own of listener.config.addresses) {
        if ('path' in own || own.port !== address.port) continue;
        if (own.ip === address.ip) return listener;
        if (own.ip === '0.0.0.0' || own.ip === '::') wildcard = listener;
      }
    }
    return wildcard;
  }
}

function drainHost(host: Host): void {
  if (host.pool instanceof HostPools) host.pool.drain();
}

const statusOf = (host: Host): HostStatus => ({
  address: host.address,
  hostname: host.hostname,
  weight: host.weight,
  priority: host.priority,
  locality: host.locality,
  health: host.edsHealth,
  healthFlags: host.healthFlags,
  active: host.active,
});

/** What of a listener is in its sockets. */
const socketKey = (config: ListenerConfig): string => JSON.stringify([config.addresses, config.bindToPort, config.socket]);
const sharesAddress = (a: ListenerConfig, b: ListenerConfig): boolean => {
  const taken = new Set(a.addresses.map((address) => JSON.stringify(address)));
  return b.addresses.some((address) => taken.has(JSON.stringify(address)));
};

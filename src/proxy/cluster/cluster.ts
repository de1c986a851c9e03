import { isIP } from 'node:net';
import type { StatsStore } from '../../base/stats.js';
import type { Address } from '../../network/engine.js';
import type { Random } from '../balance/balancer.js';
import { HostSet } from '../balance/host-set.js';
import { Http2Stats } from '../http2-stats.js';
import type { ClusterConfig, EndpointConfig } from '../runtime.js';
import { type BreakerUse, ownBreakerUse } from './breaker-use.js';
import { CircuitBreakers } from './circuit-breaker.js';
import { ClusterStats } from './cluster-stats.js';
import { addressText, Host } from './host.js';

/** Most hosts an ORIGINAL_DST cluster remembers; beyond it the least recently used one without traffic is forgotten. */
export const MAX_ORIGINAL_DST_HOSTS = 4096;

/** How long a host that said it is about to stop is avoided: longer than Dubbo's providers wait for what is in flight (10 s). */
const LEAVING_MS = 15_000;

/** What the choice of a host may depend on. One object can be reused for every request. */
export interface ChooseContext {
  /** Hosts tried before, avoided while `avoidAttempts` further draws bring another one; undefined: none. */
  readonly tried?: readonly Host[] | undefined;
  readonly avoidAttempts?: number;
  /** Where the downstream connection was going: the host of an ORIGINAL_DST cluster. */
  readonly originalDst?: Address | undefined;
}

/** A cluster at work in one worker: its hosts, the balancer over them, circuit breakers and statistics. */
export class Cluster {
  readonly config: ClusterConfig;
  readonly stats: ClusterStats;
  readonly http2Stats: Http2Stats;
  readonly breakers: { readonly DEFAULT: CircuitBreakers; readonly HIGH: CircuitBreakers };
  readonly #store: StatsStore;
  readonly #prefix: string;
  readonly #random: Random;
  /** By address; insertion order is the order of use in an ORIGINAL_DST cluster. */
  readonly #hosts = new Map<string, Host>();
  #set: HostSet<Host>;
  readonly #onPanic: () => void;
  /** Called with each host that has left the cluster, so that its pool is drained. */
  onHostRemoved: (host: Host) => void = () => {};
  /** Called with each host that has come, so that it is checked. */
  onHostAdded: (host: Host) => void = () => {};

  /** `use`: what is taken of its circuit breakers; default: by this thread alone. */
  constructor(config: ClusterConfig, stats: StatsStore, random: Random = Math.random, use: BreakerUse = ownBreakerUse()) {
    this.config = config;
    this.#store = stats;
    this.#random = random;
    this.#prefix = `cluster.${config.statName}.`;
    this.stats = new ClusterStats(stats, this.#prefix);
    this.http2Stats = new Http2Stats(stats, this.#prefix);
    this.breakers = {
      DEFAULT: new CircuitBreakers(config.breakers.DEFAULT, stats, `${this.#prefix}circuit_breakers.default.`, use, 'DEFAULT'),
      HIGH: new CircuitBreakers(config.breakers.HIGH, stats, `${this.#prefix}circuit_breakers.high.`, use, 'HIGH'),
    };
    this.#onPanic = () => this.stats.lbHealthyPanic.inc();
    this.#set = this.#build([]);
    // Host names of DNS clusters are no addresses: `control/` resolves them, and gives the addresses here or with `update`.
    const endpoints = config.endpoints.filter(({ address }) => 'path' in address || isIP(address.ip) !== 0);
    if (endpoints.length > 0 && config.discovery !== 'ORIGINAL_DST') this.update(endpoints);
  }

  get name(): string {
    return this.config.name;
  }
  get hosts(): readonly Host[] {
    return this.config.discovery === 'ORIGINAL_DST' ? [...this.#hosts.values()] : this.#set.hosts;
  }

  /** The host for a request; undefined where there is none that may be used. */
  choose(context?: ChooseContext): Host | undefined {
    if (this.config.discovery === 'ORIGINAL_DST') return context?.originalDst === undefined ? undefined : this.#originalDstHost(context.originalDst);
    let host = this.#set.pick();
    const tried = context?.tried;
    if (tried === undefined) return host;
    for (let draw = context?.avoidAttempts ?? 1; draw > 0 && host !== undefined && tried.includes(host); draw--) host = this.#set.pick();
    return host;
  }

  /** Takes a new list of endpoints. `Host` objects of addresses that stay are kept, with their pools and counters; an address named twice counts once. */
  update(endpoints: readonly EndpointConfig[]): void {
    const wanted = new Map<string, EndpointConfig>();
    for (const endpoint of endpoints) {
      const key = addressText(endpoint.address);
      if (!wanted.has(key)) wanted.set(key, endpoint);
    }
    const gone = [...this.#hosts.values()].filter((host) => !wanted.has(host.key));
    const added: Host[] = [];
    for (const [key, endpoint] of wanted) {
      const host = this.#hosts.get(key);
      if (host !== undefined) host.update(endpoint);
      else {
        const host = new Host(endpoint, this.#store, this.#prefix);
        // Nobody knows yet: its first check says.
        if (this.config.healthCheck !== undefined) host.setFailedActiveCheck(true);
        this.#hosts.set(key, host);
        added.push(host);
      }
    }
    for (const host of gone) this.#hosts.delete(host.key);
    // In the order of the configuration, whatever was there before.
    this.#set = this.#build([...wanted.keys()].map((key) => this.#hosts.get(key) as Host));
    if (added.length > 0 || gone.length > 0) this.stats.membershipChange.inc();
    this.#countMembers();
    for (const host of gone) this.#remove(host);
    for (const host of added) this.onHostAdded(host);
  }
  /** A host said that it is about to stop: others are chosen while there are enough (panic threshold), for `LEAVING_MS`. By then it is gone, or it was not meant so. */
  leaves(host: Host): void {
    if (host.leaving || host.removed) return;
    host.leaving = true;
    this.refresh();
    const timer = setTimeout(() => {
      host.leaving = false;
      if (!host.removed) this.refresh();
    }, LEAVING_MS);
    timer.unref();
  }
  /** Makes the balancer anew, after the health of a host changed. */
  refresh(): void {
    this.#set = this.#build(this.#set.hosts);
    this.#countMembers();
  }
  /** The cluster has left the configuration: all its hosts are removed, its gauges fall to 0. */
  close(): void {
    const hosts = [...this.#hosts.values()];
    this.#hosts.clear();
    this.#set = this.#build([]);
    this.#countMembers();
    for (const host of hosts) this.#remove(host);
  }

  #remove(host: Host): void {
    host.removed = true;
    this.onHostRemoved(host);
  }
  #build(hosts: readonly Host[]): HostSet<Host> {
    const { lb, choiceCount, panicThreshold } = this.config;
    const kind = lb === 'CLUSTER_PROVIDED' ? 'ROUND_ROBIN' : lb;
    return new HostSet(hosts, { kind, choiceCount, panicThreshold, random: this.#random }, this.#onPanic);
  }
  #countMembers(): void {
    const { stats } = this;
    let [total, healthy, degraded, heaviest] = [0, 0, 0, 0];
    for (const host of this.#hosts.values()) {
      total++;
      if (host.health === 'healthy') healthy++;
      else if (host.health === 'degraded') degraded++;
      if (host.weight > heaviest) heaviest = host.weight;
    }
    stats.membershipTotal.set(total);
    stats.membershipHealthy.set(healthy);
    stats.membershipDegraded.set(degraded);
    stats.maxHostWeight.set(heaviest);
  }
  #originalDstHost(address: Address): Host {
    const key = addressText(address);
    let host = this.#hosts.get(key);
    if (host !== undefined) {
      // Most recently used goes last.
      this.#hosts.delete(key);
      this.#hosts.set(key, host);
      return host;
    }
    if (this.#hosts.size >= MAX_ORIGINAL_DST_HOSTS) this.#forgetOne();
    const locality = { region: '', zone: '', subZone: '' };
    // Without the store: addresses come from the traffic, and cells of the store are never given back.
    host = new Host({ address, hostname: '', weight: 1, priority: 0, locality, health: 'UNKNOWN' }, undefined, this.#prefix);
    this.#hosts.set(key, host);
    this.stats.membershipTotal.set(this.#hosts.size);
    this.stats.membershipHealthy.set(this.#hosts.size);
    return host;
  }
  #forgetOne(): void {
    for (const host of this.#hosts.values()) {
      if (host.active > 0 || host.stats.cxActive.value > 0) continue;
      this.#hosts.delete(host.key);
      this.#remove(host);
      return;
    }
  }
}

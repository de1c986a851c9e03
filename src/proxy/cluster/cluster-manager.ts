import type { Counter, StatsStore } from '../../base/stats.js';
import type { Random } from '../balance/balancer.js';
import type { ClusterConfig, EndpointConfig } from '../runtime.js';
import { type BreakerUses, ownBreakerUse } from './breaker-use.js';
import { Cluster } from './cluster.js';

/** The clusters of a worker by name. */
export class ClusterManager {
  readonly #stats: StatsStore;
  readonly #random: Random;
  readonly #breakerUses: BreakerUses;
  readonly #clusters = new Map<string, Cluster>();
  readonly #active: Counter;
  readonly #added: Counter;
  readonly #modified: Counter;
  readonly #removed: Counter;
  readonly #updated: Counter;
  /** Called with each cluster that was made, before it gets a request, and with each one that has left the configuration. */
  onAdded: (cluster: Cluster) => void = () => {};
  onRemoved: (cluster: Cluster) => void = () => {};

  constructor(stats: StatsStore, random: Random = Math.random, breakerUses: BreakerUses = ownBreakerUse) {
    this.#stats = stats;
    this.#random = random;
    this.#breakerUses = breakerUses;
    this.#active = stats.gauge('cluster_manager.active_clusters');
    stats.gauge('cluster_manager.warming_clusters');
    this.#added = stats.counter('cluster_manager.cluster_added');
    this.#modified = stats.counter('cluster_manager.cluster_modified');
    this.#removed = stats.counter('cluster_manager.cluster_removed');
    this.#updated = stats.counter('cluster_manager.cluster_updated');
  }

  get(name: string): Cluster | undefined {
    return this.#clusters.get(name);
  }
  values(): IterableIterator<Cluster> {
    return this.#clusters.values();
  }

  /**
   * Takes a new set of clusters. One whose configuration is the same stays as it is, with its hosts, pools and counts; one that differs is made anew (its
   * resolved addresses go over, so that it need not wait for DNS), and the old one is closed: what is in flight there ends in peace.
   */
  apply(configs: ReadonlyMap<string, ClusterConfig>): void {
    for (const [name, cluster] of this.#clusters) {
      if (configs.has(name)) continue;
      this.#clusters.delete(name);
      this.#removed.inc();
      this.#retire(cluster);
    }
    for (const [name, config] of configs) {
      const old = this.#clusters.get(name);
      if (old !== undefined && JSON.stringify(old.config.configured) === JSON.stringify(config.configured)) continue;
      const resolved = old !== undefined && sameNames(old.config, config) ? old.hosts.map(endpointOf) : [];
      // The old one first: both write to the same gauges, and what is in use now is what should be seen.
      if (old !== undefined) this.#retire(old);
      const cluster = new Cluster(config, this.#stats, this.#random, this.#breakerUses(name));
      this.#clusters.set(name, cluster);
      this.onAdded(cluster);
      if (resolved.length > 0) cluster.update(resolved);
      (old === undefined ? this.#added : this.#modified).inc();
    }
    this.#active.set(this.#clusters.size);
  }
  /** Endpoints that discovery has found. False where there is no such cluster. */
  updateEndpoints(name: string, endpoints: readonly EndpointConfig[]): boolean {
    const cluster = this.#clusters.get(name);
    if (cluster === undefined) return false;
    cluster.update(endpoints);
    this.#updated.inc();
    return true;
  }

  #retire(cluster: Cluster): void {
    cluster.close();
    this.onRemoved(cluster);
  }
}

const isResolved = (config: ClusterConfig) => config.discovery === 'STRICT_DNS' || config.discovery === 'LOGICAL_DNS' || config.discovery === 'EDS';
/** Discovery would find the same hosts for both. */
const sameNames = (a: ClusterConfig, b: ClusterConfig) =>
  isResolved(a) && a.discovery === b.discovery && JSON.stringify(a.endpoints) === JSON.stringify(b.endpoints);

function endpointOf(host: Cluster['hosts'][number]): EndpointConfig {
  return {
    address: host.address,
    hostname: host.hostname,
    weight: host.weight,
    priority: host.priority,
    locality: host.locality,
    health: host.edsHealth,
  };
}

import type { Logger } from '../base/log.js';
import type { StatsStore } from '../base/stats.js';
import type { ClusterConfig, EndpointConfig } from '../proxy/runtime.js';
import { DnsCluster, type Resolve, systemResolve } from './dns.js';

/** All clusters of the configuration whose hosts come from DNS, over its changes. */
export class DnsClusters {
  readonly #watched = new Map<string, { readonly key: string; readonly cluster: DnsCluster }>();
  readonly #stats: StatsStore;
  readonly #log: Logger;
  readonly #changed: (cluster: string, endpoints: readonly EndpointConfig[]) => void;
  readonly #resolverFor: (withTtl: boolean) => Resolve;

  constructor(
    stats: StatsStore,
    log: Logger,
    changed: (cluster: string, endpoints: readonly EndpointConfig[]) => void,
    resolverFor: (withTtl: boolean) => Resolve = systemResolve,
  ) {
    this.#stats = stats;
    this.#log = log;
    this.#changed = changed;
    this.#resolverFor = resolverFor;
  }

  /** Takes a new set of clusters: those that are as before go on, and of the new ones the first answer, good or bad, is waited for. */
  async apply(clusters: Iterable<ClusterConfig>): Promise<void> {
    const wanted = new Map<string, ClusterConfig>();
    for (const cluster of clusters) if (cluster.discovery === 'STRICT_DNS' || cluster.discovery === 'LOGICAL_DNS') wanted.set(cluster.name, cluster);
    const starting: Promise<void>[] = [];
    for (const [name, { cluster }] of this.#watched) {
      if (wanted.has(name)) continue;
      cluster.stop();
      this.#watched.delete(name);
    }
    for (const [name, config] of wanted) {
      const key = JSON.stringify([config.discovery, config.endpoints, config.dns]);
      const old = this.#watched.get(name);
      if (old?.key === key) continue;
      old?.cluster.stop();
      const prefix = `cluster.${config.statName}.`;
      const stats = {
        attempt: this.#stats.counter(`${prefix}update_attempt`),
        success: this.#stats.counter(`${prefix}update_success`),
        failure: this.#stats.counter(`${prefix}update_failure`),
        empty: this.#stats.counter(`${prefix}update_empty`),
        noRebuild: this.#stats.counter(`${prefix}update_no_rebuild`),
      };
      const cluster = new DnsCluster(config, this.#resolverFor(config.dns.respectTtl), stats, this.#log, (endpoints) =>
        this.#changed(name, endpoints),
      );
      this.#watched.set(name, { key, cluster });
      starting.push(cluster.start());
    }
    await Promise.all(starting);
  }

  /** Hosts of each cluster, as last resolved. */
  endpoints(): [cluster: string, endpoints: readonly EndpointConfig[]][] {
    return [...this.#watched].map(([name, { cluster }]) => [name, cluster.endpoints]);
  }
  stop(): void {
    for (const { cluster } of this.#watched.values()) cluster.stop();
    this.#watched.clear();
  }
}

/**
 * Keeps the hosts of STRICT_DNS and LOGICAL_DNS clusters up to date: resolves, tells of changes, and comes back after the refresh time, the records'
 * TTL, or, after a failure, a growing pause. What was resolved stays in use while the name server fails.
 */
import { promises as dns } from 'node:dns';
import { isIP } from 'node:net';
import type { Logger } from '../base/log.js';
import type { Counter } from '../base/stats.js';
import type { ClusterConfig, EndpointConfig } from '../proxy/runtime.js';

/** One address of a name. `ttlS` undefined: unknown (the hosts file, the system's resolver). */
export interface ResolvedAddress {
  readonly ip: string;
  readonly ttlS?: number;
}
/** Resolves a name to addresses of one IP version. Throws where there is none. */
export type Resolve = (host: string, version: 4 | 6) => Promise<readonly ResolvedAddress[]>;

/** A single answer may take so long; then it counts as failed. */
const RESOLVE_TIMEOUT_MS = 5_000;
/** Addresses of one name; further ones are left out. */
const MAX_ADDRESSES = 1_024;
/** No refresh comes faster than this, whatever TTL or configuration say. */
const MIN_REFRESH_MS = 1_000;

/** Counters of a cluster's resolutions, `cluster.<name>.update_*` and `membership_change`. */
export interface DnsStats {
  readonly attempt: Counter;
  readonly success: Counter;
  readonly failure: Counter;
  readonly empty: Counter;
  readonly noRebuild: Counter;
}

/**
 * The system's resolver. With `withTtl` the name servers are asked for records with their TTL first, and the system's resolver (hosts file, search
 * domains) only where they have none.
 */
export function systemResolve(withTtl: boolean): Resolve {
  const resolver = new dns.Resolver({ timeout: RESOLVE_TIMEOUT_MS / 2, tries: 2 });
  const lookup = async (host: string, version: 4 | 6): Promise<ResolvedAddress[]> =>
    (await dns.lookup(host, { all: true, family: version })).map(({ address }) => ({ ip: address }));
  if (!withTtl) return lookup;
  return async (host, version) => {
    // Names without a dot (`localhost`, a compose service) are the hosts file's or need a search domain: name servers do not know them.
    if (!host.includes('.')) return lookup(host, version);
    try {
      const records = version === 4 ? await resolver.resolve4(host, { ttl: true }) : await resolver.resolve6(host, { ttl: true });
      return records.map(({ address, ttl }) => ({ ip: address, ttlS: ttl }));
    } catch {
      return lookup(host, version); // whose error says more if it fails, too
    }
  };
}

/** Watches one cluster. */
export class DnsCluster {
  readonly #cluster: ClusterConfig;
  readonly #resolve: Resolve;
  readonly #log: Logger;
  readonly #stats: DnsStats;
  readonly #changed: (endpoints: readonly EndpointConfig[]) => void;
  #endpoints: readonly EndpointConfig[] = [];
  #key = '';
  #failures = 0;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  /** `changed` is called with all hosts each time that they differ from before. */
  constructor(cluster: ClusterConfig, resolve: Resolve, stats: DnsStats, log: Logger, changed: (endpoints: readonly EndpointConfig[]) => void) {
    this.#cluster = cluster;
    this.#resolve = resolve;
    this.#stats = stats;
    this.#log = log;
    this.#changed = changed;
  }

  /** Hosts as last resolved. */
  get endpoints(): readonly EndpointConfig[] {
    return this.#endpoints;
  }

  /** Resolves once and goes on by itself. Done after the first answer, good or bad. */
  async start(): Promise<void> {
    await this.#refresh();
  }
  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  async #refresh(): Promise<void> {
    const { name, endpoints, dns: options } = this.#cluster;
    this.#stats.attempt.inc();
    let failed = false;
    let ttlS = Number.POSITIVE_INFINITY;
    const resolved = await Promise.all(
      endpoints.map(async (endpoint) => {
        if ('path' in endpoint.address || isIP(endpoint.address.ip) !== 0) return [endpoint];
        const { ip: host, port } = endpoint.address;
        try {
          const addresses = await this.#addresses(host);
          for (const address of addresses) ttlS = Math.min(ttlS, address.ttlS ?? Number.POSITIVE_INFINITY);
          // LOGICAL_DNS is one logical host: new connections go to the first address of the latest answer.
          const used = this.#cluster.discovery === 'LOGICAL_DNS' ? addresses.slice(0, 1) : addresses.slice(0, MAX_ADDRESSES);
          return used.map(({ ip }): EndpointConfig => ({ ...endpoint, address: { ip, port }, hostname: endpoint.hostname || host }));
        } catch (cause) {
          failed = true;
          this.#log.warning(`DNS resolution for cluster ${name} failed: ${host}: ${(cause as Error).message}`);
          // The addresses of this name from before stay.
          return this.#endpoints.filter(
            (known) => known.hostname === (endpoint.hostname || host) && !('path' in known.address) && known.address.port === port,
          );
        }
      }),
    );
    if (this.#stopped) return;
    this.#take(unique(resolved.flat()), failed);
    const delayMs = this.#delayMs(failed, ttlS, options);
    this.#timer = setTimeout(() => void this.#refresh(), delayMs);
    this.#timer.unref();
  }

  #take(endpoints: readonly EndpointConfig[], failed: boolean): void {
    const { attempt: _, ...stats } = this.#stats;
    (failed ? stats.failure : stats.success).inc();
    if (endpoints.length === 0 && !failed) stats.empty.inc();
    // Name servers rotate their answers: the order is not a change, except for the one host of LOGICAL_DNS.
    const sorted = [...endpoints].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
    const key = sorted.map(keyOf).join();
    if (key === this.#key) {
      stats.noRebuild.inc();
      return;
    }
    this.#key = key;
    this.#endpoints = sorted;
    this.#log.debug(() => `DNS hosts of cluster ${this.#cluster.name}: ${sorted.map(keyOf).join(', ') || 'none'}`);
    this.#changed(sorted);
  }

  #delayMs(failed: boolean, ttlS: number, { refreshMs, respectTtl, failureRefreshMs }: ClusterConfig['dns']): number {
    if (failed) {
      const base = Math.max(failureRefreshMs, MIN_REFRESH_MS);
      const pause = Math.min(base * 2 ** Math.min(this.#failures++, 6), Math.max(base, 60_000));
      return pause / 2 + (Math.random() * pause) / 2; // jitter: the clusters of one name server do not come back together
    }
    this.#failures = 0;
    return Math.max(MIN_REFRESH_MS, respectTtl && Number.isFinite(ttlS) ? ttlS * 1000 : refreshMs);
  }

  /** The addresses that the cluster's family setting wants. Throws where there are none. */
  async #addresses(host: string): Promise<readonly ResolvedAddress[]> {
    const ask = (version: 4 | 6): Promise<readonly ResolvedAddress[]> => limited(this.#resolve(host, version));
    switch (this.#cluster.dns.family) {
      case 'V4_ONLY':
        return ask(4);
      case 'V6_ONLY':
        return ask(6);
      case 'V4_PREFERRED':
        return ask(4).catch(() => ask(6));
      case 'AUTO':
        // Envoy's AUTO: IPv6 first, IPv4 where there is none.
        return ask(6).catch(() => ask(4));
      case 'ALL': {
        const answers = await Promise.allSettled([ask(4), ask(6)]);
        const found = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []));
        if (found.length === 0 && answers[0].status === 'rejected') throw answers[0].reason;
        return found;
      }
    }
  }
}

async function limited<T>(answer: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  try {
    return await Promise.race([
      answer,
      new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Error(`no answer within ${RESOLVE_TIMEOUT_MS} ms`)), RESOLVE_TIMEOUT_MS);
      }),
    ]);
  } finally {
    clearTimeout(timer);
  }
}

const keyOf = ({ address, weight, priority, health }: EndpointConfig): string =>
  `${'path' in address ? address.path : `${address.ip}:${address.port}`}/${weight}/${priority}/${health}`;

function unique(endpoints: readonly EndpointConfig[]): EndpointConfig[] {
  return [...new Map(endpoints.map((endpoint) => [keyOf(endpoint), endpoint])).values()];
}

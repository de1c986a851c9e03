import { Counter, type StatsStore } from '../../base/stats.js';
import type { Address } from '../../network/engine.js';
import type { BalancedHost } from '../balance/host-set.js';
import type { EndpointConfig } from '../runtime.js';

/** `10.0.0.1:80`, `[::1]:80`, or the path of a Unix socket: how a host is named in logs, in `/clusters` and as a key. */
export const addressText = (address: Address): string =>
  'path' in address ? address.path : address.ip.includes(':') ? `[${address.ip}]:${address.port}` : `${address.ip}:${address.port}`;

/** Names of the counters and gauges of a host, as `/clusters` shows them (Envoy, "Administration interface: /clusters"). */
export const HOST_STATS = ['cx_active', 'cx_connect_fail', 'cx_total', 'rq_active', 'rq_error', 'rq_success', 'rq_timeout', 'rq_total'] as const;

/** Counters of one host, in one worker. */
export class HostStats {
  readonly cxActive: Counter;
  readonly cxConnectFail: Counter;
  readonly cxTotal: Counter;
  readonly rqActive: Counter;
  readonly rqError: Counter;
  readonly rqSuccess: Counter;
  readonly rqTimeout: Counter;
  readonly rqTotal: Counter;
  readonly #make: (name: string) => Counter;

  /**
   * `prefix`: `cluster.<name>.endpoint.<address>.`. Without a store, or when it is full, the counters are the worker's own and are seen by nobody else:
   * hosts come and go, and running out of cells must not stop the traffic.
   */
  constructor(stats: StatsStore | undefined, prefix: string) {
    this.#make = (name) => {
      const alone = new Counter(new Float64Array(1), 0);
      if (stats === undefined) return alone;
      try {
        return stats.gauge(prefix + name);
      } catch (error) {
        if (error instanceof RangeError) return alone;
        throw error;
      }
    };
    const own = new Float64Array(HOST_STATS.length);
    const [cxActive, cxConnectFail, cxTotal, rqActive, rqError, rqSuccess, rqTimeout, rqTotal] = HOST_STATS.map((name, index) => {
      if (stats === undefined) return new Counter(own, index);
      try {
        return name.endsWith('_active') ? stats.gauge(prefix + name) : stats.counter(prefix + name);
      } catch (error) {
        if (error instanceof RangeError) return new Counter(own, index);
        throw error;
      }
    });
    this.cxActive = cxActive;
    this.cxConnectFail = cxConnectFail;
    this.cxTotal = cxTotal;
    this.rqActive = rqActive;
    this.rqError = rqError;
    this.rqSuccess = rqSuccess;
    this.rqTimeout = rqTimeout;
    this.rqTotal = rqTotal;
  }
  /** 1 where active health checking has found the host unhealthy; of clusters with health checks only. */
  failedActiveCheck(): Counter {
    return this.#make('failed_active_hc');
  }
}

/** One address of a cluster. The object lives as long as the address is in the cluster: pools and counters hang on it. */
export class Host implements BalancedHost {
  readonly address: Address;
  /** `addressText(address)`. */
  readonly key: string;
  readonly stats: HostStats;
  hostname: string;
  weight: number;
  priority: number;
  locality: EndpointConfig['locality'];
  /** As configured or told by EDS. */
  edsHealth: EndpointConfig['health'];
  /** Requests, and TCP connections, in flight from this worker: what LEAST_REQUEST compares. The router counts it up and down. */
  active = 0;
  /** What active health checking says. */
  #failedActiveCheck = false;
  #failedGauge: Counter | undefined;
  /** It said that it is about to stop: as good as unhealthy, for a while. */
  leaving = false;
  /** Set when the address has left the cluster: its pool closes what is idle and takes no new request. */
  removed = false;
  /** The connection pool of this host; whoever makes it keeps it here, so that the request path needs no look-up. */
  pool: unknown = undefined;

  constructor(endpoint: EndpointConfig, stats: StatsStore | undefined, statPrefix: string) {
    this.address = endpoint.address;
    this.key = addressText(endpoint.address);
    this.hostname = endpoint.hostname;
    this.weight = endpoint.weight;
    this.priority = endpoint.priority;
    this.locality = endpoint.locality;
    this.edsHealth = endpoint.health;
    this.stats = new HostStats(stats, `${statPrefix}endpoint.${this.key.replaceAll(/[.:[\]/]/g, '_')}.`);
  }

  /** Active health checking has not found it healthy. */
  get failedActiveCheck(): boolean {
    return this.#failedActiveCheck;
  }
  setFailedActiveCheck(failed: boolean): void {
    this.#failedActiveCheck = failed;
    this.#failedGauge ??= this.stats.failedActiveCheck();
    this.#failedGauge.set(failed ? 1 : 0);
  }

  get health(): BalancedHost['health'] {
    if (this.leaving || this.#failedActiveCheck) return 'unhealthy';
    switch (this.edsHealth) {
      case 'UNHEALTHY':
      case 'DRAINING':
      case 'TIMEOUT':
        return 'unhealthy';
      case 'DEGRADED':
        return 'degraded';
      default:
        return 'healthy';
    }
  }
  /** Takes over what may change of an endpoint whose address stays. */
  update(endpoint: EndpointConfig): void {
    this.hostname = endpoint.hostname;
    this.weight = endpoint.weight;
    this.priority = endpoint.priority;
    this.locality = endpoint.locality;
    this.edsHealth = endpoint.health;
  }
  /** Health as `/clusters` prints it. */
  get healthFlags(): string {
    if (this.leaving) return '/going_away';
    if (this.#failedActiveCheck) return '/failed_active_hc';
    switch (this.edsHealth) {
      case 'UNHEALTHY':
      case 'DRAINING':
      case 'TIMEOUT':
        return '/failed_eds_health';
      case 'DEGRADED':
        return '/degraded_eds_health';
      default:
        return 'healthy';
    }
  }
}

/**
 * Active health checking of a cluster's hosts (Envoy, "Health checking"), in each worker for itself.
 * ```
 *   added ── initial jitter ──> asking ──> answered ── interval ──> asking ...
 *                                  └─ no answer in time: failed
 * ```
 * A host counts as unhealthy until its first check, which alone makes it healthy; later the thresholds hold. An answer that says unhealthy counts at once, one that
 * does not come counts towards `unhealthy_threshold`.
 */
import type { Counter, StatsStore } from '../../base/stats.js';
import type { TimerOwner, TimerWheel } from '../../stream/timers.js';
import type { Cluster } from '../cluster/cluster.js';
import type { Host } from '../cluster/host.js';
import type { HealthCheckConfig } from '../runtime.js';

/** What a probe found. `network`: there was no answer to judge by. */
export type ProbeResult = 'healthy' | 'unhealthy' | 'network';

/** Asks one host. */
export interface Probe {
  /** Begins a check; `ProbeOwner.probed` follows, never from inside the call. Not called again before that, or `cancel`. */
  start(): void;
  /** The check took too long: nothing more is told of it. */
  cancel(): void;
  /** The host is gone. */
  close(): void;
}
export interface ProbeOwner {
  probed(result: ProbeResult): void;
}
export type MakeProbe = (host: Host, owner: ProbeOwner) => Probe;

/** `cluster.<name>.health_check.` */
class HealthStats {
  readonly attempt: Counter;
  readonly success: Counter;
  readonly failure: Counter;
  readonly networkFailure: Counter;
  readonly healthy: Counter;
  readonly degraded: Counter;

  constructor(stats: StatsStore, prefix: string) {
    const counter = (name: string) => stats.counter(`${prefix}health_check.${name}`);
    this.attempt = counter('attempt');
    this.success = counter('success');
    this.failure = counter('failure');
    counter('passive_failure');
    this.networkFailure = counter('network_failure');
    counter('verify_cluster');
    this.healthy = stats.gauge(`${prefix}health_check.healthy`);
    this.degraded = stats.gauge(`${prefix}health_check.degraded`);
  }
}

/** The checks of one cluster. */
export class HealthChecker {
  readonly config: HealthCheckConfig;
  readonly cluster: Cluster;
  readonly stats: HealthStats;
  readonly wheel: TimerWheel;
  readonly random: () => number;
  readonly #make: MakeProbe;
  readonly #hosts = new Map<Host, HostCheck>();

  constructor(cluster: Cluster, config: HealthCheckConfig, stats: StatsStore, wheel: TimerWheel, make: MakeProbe, random = Math.random) {
    this.cluster = cluster;
    this.config = config;
    this.wheel = wheel;
    this.random = random;
    this.#make = make;
    this.stats = new HealthStats(stats, `cluster.${cluster.config.statName}.`);
    for (const host of cluster.hosts) this.add(host);
  }
  add(host: Host): void {
    if (!this.#hosts.has(host)) this.#hosts.set(host, new HostCheck(this, host, this.#make));
  }
  remove(host: Host): void {
    this.#hosts.get(host)?.stop();
    this.#hosts.delete(host);
    this.count();
  }
  stop(): void {
    for (const check of this.#hosts.values()) check.stop();
    this.#hosts.clear();
    this.count();
  }
  /** The health of a host changed. */
  changed(): void {
    this.cluster.refresh();
    this.count();
  }
  count(): void {
    let healthy = 0;
    for (const host of this.#hosts.keys()) if (!host.failedActiveCheck) healthy++;
    this.stats.healthy.set(healthy);
  }
}

const TIMER = { START: 0, TIMEOUT: 1 } as const;

class HostCheck implements TimerOwner, ProbeOwner {
  readonly #checker: HealthChecker;
  readonly #host: Host;
  readonly #probe: Probe;
  #timer = 0;
  #checked = false;
  #asking = false;
  #stopped = false;
  /** Results in a row. */
  #healthy = 0;
  #unhealthy = 0;

  constructor(checker: HealthChecker, host: Host, make: MakeProbe) {
    this.#checker = checker;
    this.#host = host;
    this.#probe = make(host, this);
    const { wheel, config, random } = checker;
    this.#timer = wheel.start(wheel.now + random() * config.initialJitterMs, this, TIMER.START);
  }
  stop(): void {
    this.#stopped = true;
    this.#checker.wheel.stop(this.#timer);
    this.#probe.close();
  }

  onTimer(kind: number): void {
    const { wheel, config, stats } = this.#checker;
    if (this.#stopped) return;
    if (kind === TIMER.TIMEOUT) {
      this.#probe.cancel();
      this.probed('network');
      return;
    }
    stats.attempt.inc();
    this.#asking = true;
    this.#timer = wheel.start(wheel.now + config.timeoutMs, this, TIMER.TIMEOUT);
    this.#probe.start();
  }
  probed(result: ProbeResult): void {
    if (this.#stopped || !this.#asking) return;
    this.#asking = false;
    const { wheel, stats } = this.#checker;
    wheel.stop(this.#timer);
    if (result === 'healthy') stats.success.inc();
    else {
      stats.failure.inc();
      if (result === 'network') stats.networkFailure.inc();
    }
    const hasChanged = result === 'healthy' ? this.#succeeded() : this.#failed(result === 'unhealthy');
    this.#checked = true;
    this.#timer = wheel.start(wheel.now + this.#intervalMs(hasChanged), this, TIMER.START);
    if (hasChanged) this.#checker.changed();
    else this.#checker.count();
  }
  #succeeded(): boolean {
    this.#unhealthy = 0;
    if (!this.#host.failedActiveCheck) return false;
    this.#healthy++;
    if (this.#checked && this.#healthy < this.#checker.config.healthyThreshold) return false;
    this.#healthy = 0;
    this.#host.setFailedActiveCheck(false);
    return true;
  }
  #failed(atOnce: boolean): boolean {
    this.#healthy = 0;
    if (this.#host.failedActiveCheck) return false;
    this.#unhealthy++;
    if (!atOnce && this.#unhealthy < this.#checker.config.unhealthyThreshold) return false;
    this.#unhealthy = 0;
    this.#host.setFailedActiveCheck(true);
    return true;
  }
  /** Until the next check, by what the last one found, whether there is any traffic, and with jitter. */
  #intervalMs(hasChanged: boolean): number {
    const { config, cluster, random } = this.#checker;
    const isHealthy = !this.#host.failedActiveCheck;
    let ms: number;
    if (cluster.stats.cxTotal.value === 0) ms = isHealthy ? config.noTrafficHealthyIntervalMs : config.noTrafficIntervalMs;
    else if (isHealthy) ms = hasChanged ? config.healthyEdgeIntervalMs : config.intervalMs;
    else ms = hasChanged ? config.unhealthyEdgeIntervalMs : config.unhealthyIntervalMs;
    return ms + random() * config.intervalJitterMs + random() * (ms * config.intervalJitterPercent) * 0.01;
  }
}

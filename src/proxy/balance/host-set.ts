import type { Balancer, BalancerOptions, Candidate } from './balancer.js';
import { leastRequest } from './least-request.js';
import { type LevelLoad, priorityLoad } from './priority-load.js';
import { randomChoice } from './random.js';
import { roundRobin } from './round-robin.js';

/** A host with its place among the priorities and its health. */
export interface BalancedHost extends Candidate {
  /** 0 is the most preferred. */
  readonly priority: number;
  readonly health: 'healthy' | 'degraded' | 'unhealthy';
}

/** `CLUSTER_PROVIDED` has no balancer of its own: the cluster makes the host from the connection. */
export type BalancerKind = 'ROUND_ROBIN' | 'LEAST_REQUEST' | 'RANDOM';
const BALANCERS = { ROUND_ROBIN: roundRobin, LEAST_REQUEST: leastRequest, RANDOM: randomChoice } as const;

interface Level<H extends BalancedHost> {
  readonly load: LevelLoad;
  readonly healthy: Balancer<H>;
  readonly degraded: Balancer<H>;
}

export interface HostSetOptions extends BalancerOptions {
  readonly kind: BalancerKind;
  /** Per cent, 0..100. */
  readonly panicThreshold: number;
}

/** Hosts of a cluster by priority, with the balancers over them. Immutable: made anew when hosts or their health change. */
export class HostSet<H extends BalancedHost> {
  readonly hosts: readonly H[];
  readonly #levels: readonly Level<H>[];
  readonly #options: HostSetOptions;
  /** The whole load goes to one balancer: no draw is needed. */
  readonly #only: Balancer<H> | undefined;
  /** Called for each pick from a level in panic. */
  readonly #onPanic: () => void;

  constructor(hosts: readonly H[], options: HostSetOptions, onPanic: () => void = () => {}) {
    this.hosts = hosts;
    this.#options = options;
    this.#onPanic = onPanic;
    const highest = hosts.reduce((max, host) => Math.max(max, host.priority), 0);
    const byPriority = Array.from({ length: highest + 1 }, (_, priority) => hosts.filter((host) => host.priority === priority));
    const loads = priorityLoad(
      byPriority.map((level) => ({ total: level.length, healthy: count(level, 'healthy'), degraded: count(level, 'degraded') })),
      options.panicThreshold,
    );
    const make = BALANCERS[options.kind];
    this.#levels = byPriority.map((level, priority) => {
      const load = loads[priority];
      const usable = load.panic ? level : level.filter((host) => host.health === 'healthy');
      return {
        load,
        healthy: make(usable, options),
        degraded: load.panic
          ? make(level, options)
          : make(
              level.filter((host) => host.health === 'degraded'),
              options,
            ),
      };
    });
    const full = this.#levels.find((level) => level.load.healthyPercent === 100 && !level.load.panic);
    this.#only = full?.healthy;
  }

  /** A host by priority, health and policy; undefined where none may be used. */
  pick(): H | undefined {
    if (this.#only !== undefined) return this.#only.pick();
    let draw = this.#options.random() * 100;
    for (const { load, healthy } of this.#levels) {
      draw -= load.healthyPercent;
      if (draw < 0) return this.#from(load, healthy);
    }
    for (const { load, degraded } of this.#levels) {
      draw -= load.degradedPercent;
      if (draw < 0) return this.#from(load, degraded);
    }
    return undefined;
  }

  #from(load: LevelLoad, balancer: Balancer<H>): H | undefined {
    if (load.panic) this.#onPanic();
    return balancer.pick();
  }
}

const count = (hosts: readonly BalancedHost[], health: BalancedHost['health']) =>
  hosts.reduce((sum, host) => sum + (host.health === health ? 1 : 0), 0);

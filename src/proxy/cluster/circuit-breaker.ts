import type { Counter, StatsStore } from '../../base/stats.js';
import type { Breakers } from '../runtime.js';

/** One bounded resource: how many are in use, and a gauge that says whether the bound is reached. Bounds hold for each worker. */
export class Breaker {
  readonly max: number;
  readonly #open: Counter;
  #inUse = 0;

  constructor(max: number, open: Counter) {
    this.max = max;
    this.#open = open;
    this.#show();
  }
  get inUse(): number {
    return this.#inUse;
  }
  /** Another one may be taken. */
  get hasRoom(): boolean {
    return this.#inUse < this.max;
  }
  /** Takes one where there is room. */
  tryAdd(): boolean {
    if (this.#inUse >= this.max) return false;
    this.add();
    return true;
  }
  /** Takes one, room or not (what was let in under an older bound). */
  add(): void {
    this.#inUse++;
    if (this.#inUse >= this.max) this.#show();
  }
  /** Gives one back. */
  remove(): void {
    this.#inUse--;
    if (this.#inUse < this.max) this.#show();
  }
  #show(): void {
    this.#open.set(this.#inUse >= this.max ? 1 : 0);
  }
}

/** The circuit breakers of a cluster at one priority (Envoy, "Circuit breaking"). */
export class CircuitBreakers {
  /** Connections to all hosts. */
  readonly connections: Breaker;
  /** Requests that wait for a connection. */
  readonly pending: Breaker;
  /** Requests in flight. */
  readonly requests: Breaker;
  /** Retries in flight. */
  readonly retries: Breaker;

  /** `prefix`: `cluster.<name>.circuit_breakers.<priority>.`. */
  constructor(limits: Breakers, stats: StatsStore, prefix: string) {
    this.connections = new Breaker(limits.maxConnections, stats.gauge(`${prefix}cx_open`));
    this.pending = new Breaker(limits.maxPending, stats.gauge(`${prefix}rq_pending_open`));
    this.requests = new Breaker(limits.maxRequests, stats.gauge(`${prefix}rq_open`));
    this.retries = new Breaker(limits.maxRetries, stats.gauge(`${prefix}rq_retry_open`));
  }
}

import type { Counter, StatsStore } from '../../base/stats.js';
import type { Breakers } from '../runtime.js';
import { type BreakerUse, PRIORITY_CELL, RESOURCE_CELL, ROW_CELLS } from './breaker-use.js';

/** One bounded resource: how many are in use, over all workers, and a gauge that says whether the bound is reached. */
export class Breaker {
  #max: number;
  readonly #open: Counter;
  readonly #cells: Int32Array;
  readonly #own: number;
  /** The cell of the first worker. */
  readonly #first: number;

  /** `cell`: of the resource, in each row of `use`. */
  constructor(max: number, open: Counter, use: BreakerUse, cell: number) {
    this.#max = max;
    this.#open = open;
    this.#cells = use.cells;
    this.#own = use.own + cell;
    this.#first = cell;
    this.#show();
  }
  get max(): number {
    return this.#max;
  }
  get inUse(): number {
    const cells = this.#cells;
    let sum = 0;
    for (let at = this.#first; at < cells.length; at += ROW_CELLS) sum += cells[at];
    return sum;
  }
  /** Another one may be taken. */
  get hasRoom(): boolean {
    return this.inUse < this.#max;
  }
  /** Takes one where there is room. */
  tryAdd(): boolean {
    if (!this.hasRoom) return false;
    this.add();
    return true;
  }
  /** Takes one, room or not (what was let in under an older bound). */
  add(): void {
    this.#cells[this.#own]++;
    if (!this.hasRoom) this.#open.set(1);
  }
  /** Gives one back. */
  remove(): void {
    this.#cells[this.#own]--;
    if (this.#open.value === 1) this.#show();
  }
  /** Sets another bound. */
  setMax(max: number): void {
    this.#max = max;
    this.#show();
  }
  #show(): void {
    this.#open.set(this.hasRoom ? 0 : 1);
  }
}

/** The circuit breakers of a cluster at one priority (Envoy, "Circuit breaking"). */
export class CircuitBreakers {
  /** Connections to all hosts. */
  readonly connections: Breaker;
  /** Requests that wait for a connection. */
  readonly pending: Breaker;
  /** Requests in flight, those that wait included. */
  readonly requests: Breaker;
  /** Retries in flight. */
  readonly retries: Breaker;
  readonly #budget: Breakers['retryBudget'];

  /** `prefix`: `cluster.<name>.circuit_breakers.<priority>.`. */
  constructor(limits: Breakers, stats: StatsStore, prefix: string, use: BreakerUse, priority: 'DEFAULT' | 'HIGH') {
    const breaker = (max: number, gauge: string, resource: keyof typeof RESOURCE_CELL) =>
      new Breaker(max, stats.gauge(prefix + gauge), use, PRIORITY_CELL[priority] + RESOURCE_CELL[resource]);
    this.connections = breaker(limits.maxConnections, 'cx_open', 'connections');
    this.pending = breaker(limits.maxPending, 'rq_pending_open', 'pending');
    this.requests = breaker(limits.maxRequests, 'rq_open', 'requests');
    this.retries = breaker(limits.retryBudget?.minConcurrency ?? limits.maxRetries, 'rq_retry_open', 'retries');
    this.#budget = limits.retryBudget;
  }
  /** Takes one retry where there is room: a fixed number, or with a budget a share of the requests in flight. */
  tryRetry(): boolean {
    const budget = this.#budget;
    if (budget !== undefined) this.retries.setMax(Math.max(budget.minConcurrency, Math.floor((this.requests.inUse * budget.percent) / 100)));
    return this.retries.tryAdd();
  }
}

import type { Counter } from '../../base/stats.js';
import type { ProxyContext } from '../context.js';
import type { ConnectionLimitConfig } from '../runtime.js';
import type { ConnectionCount } from './connection-count.js';

/** `envoy.filters.network.connection_limit` at work: bounds the connections of a filter chain, over all workers. */
export class ConnectionLimit {
  readonly #max: number;
  readonly #count: ConnectionCount;
  readonly #active: Counter;
  readonly #limited: Counter;

  constructor(context: ProxyContext, { key, statPrefix, maxConnections }: ConnectionLimitConfig) {
    const prefix = `connection_limit.${statPrefix}.`;
    this.#max = maxConnections;
    this.#count = context.connectionCounts.of(key);
    this.#active = context.stats.gauge(`${prefix}active_connections`);
    this.#limited = context.stats.counter(`${prefix}limited_connections`);
  }
  /** Counts one more; false, and the refusal counted, where there are as many as may be. */
  take(): boolean {
    if (!this.#count.take(this.#max)) {
      this.#limited.inc();
      return false;
    }
    this.#active.inc();
    return true;
  }
  give(): void {
    this.#count.give();
    this.#active.dec();
  }
}

/** Takes from all of them, or from none. */
export function takeAll(limits: readonly ConnectionLimit[]): boolean {
  for (const [index, limit] of limits.entries()) {
    if (limit.take()) continue;
    for (const taken of limits.slice(0, index)) taken.give();
    return false;
  }
  return true;
}

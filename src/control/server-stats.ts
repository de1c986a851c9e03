import { isDeepStrictEqual } from 'node:util';
import { type Counter, type Histogram, StatsStore } from '../base/stats.js';
import type { ListenerConfig } from '../proxy/runtime.js';
import { SERVER_STATE, type ServerState } from './admin/backend.js';
import type { StatsView } from './stats/stats-view.js';

/** What Envoy shows where no certificate is loaded: the largest uint32. */
const NO_CERTIFICATE_DAYS = 4_294_967_295;
/** The thread number of the main thread's own statistics. */
export const MAIN_THREAD = 0;

/** `server.*`, `listener_manager.*` and `sluice.*`: what the main thread itself knows. */
export class ServerStats {
  readonly store: StatsStore;
  readonly state: Counter;
  readonly live: Counter;
  readonly concurrency: Counter;
  readonly workersStarted: Counter;
  readonly workerReplaced: Counter;
  readonly backend: Counter;
  readonly initializationMs: Histogram;
  readonly #listeners: { readonly active: Counter; readonly added: Counter; readonly modified: Counter; readonly removed: Counter };
  readonly #uptime: Counter;
  readonly #allocated: Counter;
  readonly #heap: Counter;
  readonly #physical: Counter;
  readonly #connections: Counter;
  readonly #view: StatsView;
  readonly #startMs = performance.now();

  /** `versionNumber`: instead of the one made of `version`. */
  constructor(view: StatsView, version: string, versionNumber?: number | bigint) {
    this.#view = view;
    this.store = new StatsStore((definition, slab) => view.attach(MAIN_THREAD, definition, slab));
    const { store } = this;
    this.state = store.gauge('server.state');
    this.live = store.gauge('server.live');
    this.concurrency = store.gauge('server.concurrency');
    this.workersStarted = store.gauge('listener_manager.workers_started');
    this.#listeners = {
      active: store.gauge('listener_manager.total_listeners_active'),
      added: store.counter('listener_manager.listener_added'),
      modified: store.counter('listener_manager.listener_modified'),
      removed: store.counter('listener_manager.listener_removed'),
    };
    this.workerReplaced = store.counter('server.worker_replaced');
    this.backend = store.gauge('sluice.backend');
    this.initializationMs = store.histogram('server.initialization_time_ms');
    this.#uptime = store.gauge('server.uptime');
    this.#allocated = store.gauge('server.memory_allocated');
    this.#heap = store.gauge('server.memory_heap_size');
    this.#physical = store.gauge('server.memory_physical_size');
    this.#connections = store.gauge('server.total_connections');
    const [major, minor, patch] = version.split('.').map((part) => Number.parseInt(part, 10) || 0);
    store.gauge('server.version').set(versionNumber === undefined ? major * 1_000_000 + minor * 1_000 + patch : Number(versionNumber));
    store.gauge('server.parent_connections').set(0);
    store.gauge('server.hot_restart_epoch').set(0);
    store.gauge('server.days_until_first_cert_expiring').set(NO_CERTIFICATE_DAYS);
    this.workersStarted.set(0);
    this.setState('PRE_INITIALIZING');
  }

  /** Counts what a change of the configuration does to listeners. */
  countListeners(before: readonly ListenerConfig[], after: readonly ListenerConfig[]): void {
    const old = new Map(before.map(({ name, source }) => [name, source]));
    for (const { name, source } of after) {
      const known = old.get(name);
      if (known === undefined) this.#listeners.added.inc();
      else if (!isDeepStrictEqual(known, source)) this.#listeners.modified.inc();
      old.delete(name);
    }
    this.#listeners.removed.inc(old.size);
    this.#listeners.active.set(after.length);
  }

  setState(state: ServerState): void {
    this.state.set(SERVER_STATE[state]);
    this.live.set(state === 'LIVE' ? 1 : 0);
  }
  /** Brings what is computed up to date. */
  refresh(): void {
    const { heapUsed, heapTotal, rss, external } = process.memoryUsage();
    this.#uptime.set(Math.floor(this.uptimeS));
    this.#allocated.set(heapUsed + external);
    this.#heap.set(heapTotal + external);
    this.#physical.set(rss);
    this.#connections.set(this.#view.sum(/^listener\.(?:(?!\.worker_).)*\.downstream_cx_active$/));
  }
  /** Seconds since the start. */
  get uptimeS(): number {
    return (performance.now() - this.#startMs) / 1000;
  }
}

/**
 * The main thread's view of all threads' statistics: the cells stay where their threads write them (shared memory, `src/base/stats.ts`), and a read
 * sums them by name. What a thread had counted before it was replaced stays in a base value, so that counters never go back.
 */
import { bucketRange, HISTOGRAM_CELLS, type StatDefinition, type StatKind } from '../../base/stats.js';

/** Quantiles that Envoy's text and JSON show. */
export const QUANTILES = [0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 1] as const;

/** A counter or gauge as read. `used`: a counter that was ever above 0, a gauge that was ever set (to 0, too). */
export interface ScalarStat {
  readonly kind: 'counter' | 'gauge';
  readonly name: string;
  readonly value: number;
  readonly used: boolean;
}

/** A histogram as read: since the start, and during the last whole flush interval. */
export interface HistogramStat {
  readonly kind: 'histogram';
  readonly name: string;
  readonly used: boolean;
  readonly cumulative: HistogramData;
  readonly interval: HistogramData;
}
export type Stat = ScalarStat | HistogramStat;

interface Cell {
  readonly cells: Float64Array;
  readonly index: number;
}

interface Entry {
  readonly name: string;
  readonly kind: StatKind;
  readonly isShown: boolean;
  /** By thread. */
  readonly cells: Map<number, Cell>;
  /** What detached threads had counted, less what `resetCounters` took off; for histograms all cells. */
  base: Float64Array;
  used: boolean;
  /** Histograms: cells at the last two flushes. */
  flushed: Float64Array | undefined;
  previous: Float64Array | undefined;
}

/**
 * Gauges that say the same on every thread (each worker holds all hosts of a cluster): their sum would be the number of workers too large. And counters
 * of events that every worker sees once for the same cause.
 */
const SAME_ON_ALL =
  /^(cluster_manager|listener_manager)\.|^cluster\..*\.(membership_(total|healthy|degraded|excluded|change)|max_host_weight|version|circuit_breakers\.[a-z_]+\.[a-z_]+_open|lb_subsets_active)$|^(listener|http)\..*\.(version|config_reload_time_ms)$/;

/** Values of one histogram, in its buckets. */
export class HistogramData {
  readonly #cells: Float64Array;
  constructor(cells: Float64Array) {
    this.#cells = cells;
  }
  get count(): number {
    return this.#cells[0];
  }
  get sum(): number {
    return this.#cells[1];
  }
  /** What was recorded, by bucket with its lower bound and width; empty buckets are left out. */
  buckets(): { readonly from: number; readonly width: number; readonly count: number }[] {
    const found: { from: number; width: number; count: number }[] = [];
    for (let bucket = 0; bucket < HISTOGRAM_CELLS - 2; bucket++) {
      const count = this.#cells[bucket + 2];
      if (count === 0) continue;
      const [from, width] = bucketRange(bucket);
      found.push({ from, width, count });
    }
    return found;
  }
  /** Number of values in buckets that lie wholly at or below `bound`. */
  countUpTo(bound: number): number {
    let count = 0;
    for (let bucket = 0; bucket < HISTOGRAM_CELLS - 2; bucket++) {
      const [from, width] = bucketRange(bucket);
      if (from + width > bound) break;
      count += this.#cells[bucket + 2];
    }
    return count;
  }
  /**
   * The value below which the part `quantile` (0..1) lies, linear inside its bucket; a bucket of width 1 stands for its lower bound. NaN where nothing
   * was recorded.
   */
  quantile(quantile: number): number {
    const total = this.count;
    if (total <= 0) return Number.NaN;
    const wanted = quantile * total;
    let seen = 0;
    let last = 0;
    for (let bucket = 0; bucket < HISTOGRAM_CELLS - 2; bucket++) {
      const inBucket = this.#cells[bucket + 2];
      if (inBucket === 0) continue;
      const [from, width] = bucketRange(bucket);
      if (seen + inBucket >= wanted) return width === 1 ? from : from + (width * Math.max(0, wanted - seen)) / inBucket;
      seen += inBucket;
      last = from + (width === 1 ? 0 : width);
    }
    return last;
  }
}

/** Sums the threads' slabs by name. Reads are only as fresh as the other threads' writes: plain loads, no locks. */
export class StatsView {
  readonly #entries = new Map<string, Entry>();
  /** Names in order, made anew after a name was added. */
  #sorted: Entry[] | undefined;
  readonly #shows: (name: string) => boolean;
  /** Called before a read, to bring gauges that are computed (uptime, memory) up to date. */
  refresh: () => void = () => {};

  /** `shows`: which statistics `read` gives at all (`stats_matcher`); single values can be asked for in any case. */
  constructor(shows: (name: string) => boolean = () => true) {
    this.#shows = shows;
  }

  /** Adds one thread's part of a statistic. Throws where another thread has the name with another kind. */
  attach(threadId: number, definition: StatDefinition, slab: SharedArrayBuffer): void {
    const { name, kind, index } = definition;
    let entry = this.#entries.get(name);
    if (entry === undefined) {
      const cells = kind === 'histogram' ? HISTOGRAM_CELLS : 1;
      const isShown = this.#shows(name);
      entry = { name, kind, isShown, cells: new Map(), base: new Float64Array(cells), used: false, flushed: undefined, previous: undefined };
      this.#entries.set(name, entry);
      this.#sorted = undefined;
    }
    if (entry.kind !== kind) throw new Error(`statistic ${name} is a ${entry.kind}, not a ${kind}`);
    entry.cells.set(threadId, { cells: new Float64Array(slab), index });
  }

  /** Lets go of a thread. Its counters and histograms are kept in the sum; its gauges (connections that are gone) are not. */
  detach(threadId: number): void {
    for (const entry of this.#entries.values()) {
      const cell = entry.cells.get(threadId);
      if (cell === undefined) continue;
      if (entry.kind === 'gauge') {
        if (!Object.is(cell.cells[cell.index], -0)) entry.used = true;
      } else if (entry.kind === 'counter' && SAME_ON_ALL.test(entry.name)) {
        entry.base[0] = Math.max(entry.base[0], cell.cells[cell.index]);
      } else {
        for (let i = 0; i < entry.base.length; i++) entry.base[i] += cell.cells[cell.index + i];
      }
      entry.cells.delete(threadId);
    }
  }

  /** The value of a counter or gauge; undefined where there is none of that name. */
  value(name: string): number | undefined {
    const entry = this.#entries.get(name);
    return entry === undefined || entry.kind === 'histogram' ? undefined : this.#scalar(entry).value;
  }

  /** Sum of the counters and gauges whose name matches. */
  sum(pattern: RegExp): number {
    let sum = 0;
    for (const entry of this.#entries.values()) if (entry.kind !== 'histogram' && pattern.test(entry.name)) sum += this.#scalar(entry).value;
    return sum;
  }

  /** Number of statistics. */
  get size(): number {
    return this.#entries.size;
  }

  /** All statistics that `wanted` says yes to, sorted by name. */
  read(wanted: (name: string) => boolean = () => true): Stat[] {
    this.refresh();
    this.#sorted ??= [...this.#entries.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
    const stats: Stat[] = [];
    for (const entry of this.#sorted) {
      if (entry.isShown && wanted(entry.name)) stats.push(entry.kind === 'histogram' ? this.#histogram(entry) : this.#scalar(entry));
    }
    return stats;
  }

  /** Ends a flush interval: what was recorded since the last one is what histograms show as `interval` from now on. */
  flush(): void {
    for (const entry of this.#entries.values()) {
      if (entry.kind !== 'histogram') continue;
      entry.previous = entry.flushed;
      entry.flushed = this.#histogramCells(entry);
    }
  }

  /** Sets counters to 0 and empties histograms, as `/reset_counters` does. The threads' cells are not written: their values are taken off. */
  resetCounters(): void {
    for (const entry of this.#entries.values()) {
      if (entry.kind === 'gauge') continue;
      if (entry.kind === 'counter') {
        const value = this.#scalar(entry).value;
        if (value > 0) entry.used = true;
        entry.base[0] -= value;
        continue;
      }
      const now = this.#histogramCells(entry);
      for (let i = 0; i < now.length; i++) entry.base[i] -= now[i];
      entry.flushed = undefined;
      entry.previous = undefined;
    }
  }

  #scalar(entry: Entry): ScalarStat {
    const same = SAME_ON_ALL.test(entry.name);
    let value = 0;
    let used = entry.used;
    for (const { cells, index } of entry.cells.values()) {
      const part = cells[index];
      if (entry.kind === 'gauge' ? !Object.is(part, -0) : part !== 0) used = true;
      value = same ? Math.max(value, part) : value + part;
    }
    if (same && entry.kind === 'counter' && entry.base[0] > 0) value = Math.max(value, entry.base[0]);
    else value += entry.base[0];
    if (value !== 0) used = true;
    entry.used = used;
    return { kind: entry.kind as 'counter' | 'gauge', name: entry.name, value: value + 0, used };
  }

  #histogramCells(entry: Entry): Float64Array {
    const sum = entry.base.slice();
    for (const { cells, index } of entry.cells.values()) for (let i = 0; i < sum.length; i++) sum[i] += cells[index + i];
    return sum;
  }

  #histogram(entry: Entry): HistogramStat {
    const cumulative = this.#histogramCells(entry);
    const interval = new Float64Array(cumulative.length);
    const { flushed, previous } = entry;
    if (flushed !== undefined) for (let i = 0; i < interval.length; i++) interval[i] = flushed[i] - (previous?.[i] ?? 0);
    if (cumulative[0] > 0) entry.used = true;
    return {
      kind: 'histogram',
      name: entry.name,
      used: entry.used,
      cumulative: new HistogramData(cumulative),
      interval: new HistogramData(interval),
    };
  }
}

/**
 * Counters, gauges and histograms in a `SharedArrayBuffer` (DESIGN §5): each thread writes its own slab without atomics, the main thread sums the slabs
 * by name. A statistic is made with the configuration, never per request; on the request path it is an index into a `Float64Array`.
 */
export type StatKind = 'counter' | 'gauge' | 'histogram';

/** What one slab holds, told to the main thread whenever something is added. */
export interface StatDefinition {
  readonly name: string;
  readonly kind: StatKind;
  /** First cell in the slab with that number. */
  readonly slab: number;
  readonly index: number;
}

/** A histogram's cells: count, sum, then its log-linear buckets (2 significant digits, like Envoy's). Cell 0 = count, 1 = sum. */
export const HISTOGRAM_CELLS = 2 + 10 + 90 * 7;

/** Cells of one slab: 64 Ki × 8 bytes; a further slab is added when it is full, up to `MAX_SLABS`. */
export const SLAB_CELLS = 65_536;
export const MAX_SLABS = 256;

/** A statistic on the request path: `counter.cells[counter.index]++`. */
export class Counter {
  constructor(
    readonly cells: Float64Array,
    readonly index: number,
  ) {}
  inc(by = 1): void {
    this.cells[this.index] += by;
  }
  dec(by = 1): void {
    this.cells[this.index] -= by;
  }
  set(value: number): void {
    this.cells[this.index] = value;
  }
  /** The number; -0, which marks a gauge that was never set, reads as 0. */
  get value(): number {
    return this.cells[this.index] + 0;
  }
}

export class Histogram {
  constructor(
    readonly cells: Float64Array,
    readonly index: number,
  ) {}
  /** Records a value >= 0 (milliseconds, bytes, ...). */
  record(value: number): void {
    const { cells, index } = this;
    cells[index]++;
    cells[index + 1] += value;
    cells[index + 2 + bucketOf(value)]++;
  }
}

/** Bucket of a value: 0..9 exact, then 90 buckets for each power of ten up to 10^8. */
export function bucketOf(value: number): number {
  if (value < 10) return value < 0 ? 0 : value | 0;
  let bucket = 10;
  let scale = 1;
  while (value >= 100 * scale && bucket < 10 + 90 * 6) {
    scale *= 10;
    bucket += 90;
  }
  return bucket + Math.min(89, ((value / scale) | 0) - 10);
}
/** Lower bound and width of a bucket. */
export function bucketRange(bucket: number): [from: number, width: number] {
  if (bucket < 10) return [bucket, 1];
  const decade = Math.floor((bucket - 10) / 90);
  const width = 10 ** decade;
  return [(10 + ((bucket - 10) % 90)) * width, width];
}

/** The statistics of one thread. */
export class StatsStore {
  readonly slabs: Float64Array[] = [];
  readonly definitions = new Map<string, StatDefinition>();
  readonly #added: (definition: StatDefinition, slab: SharedArrayBuffer) => void;
  #free = SLAB_CELLS;

  /** `added` is called for each new statistic, so that the main thread can read it (its slab is shared memory). */
  constructor(added: (definition: StatDefinition, slab: SharedArrayBuffer) => void = () => {}) {
    this.#added = added;
  }
  /** Gives the counter with this name, making it where it is new. Throws RangeError when all slabs are full. */
  counter(name: string): Counter {
    const { slab, index } = this.#define(name, 'counter', 1);
    return new Counter(this.slabs[slab], index);
  }
  gauge(name: string): Counter {
    const { slab, index } = this.#define(name, 'gauge', 1);
    return new Counter(this.slabs[slab], index);
  }
  histogram(name: string): Histogram {
    const { slab, index } = this.#define(name, 'histogram', HISTOGRAM_CELLS);
    return new Histogram(this.slabs[slab], index);
  }

  #define(name: string, kind: StatKind, cells: number): StatDefinition {
    const known = this.definitions.get(name);
    if (known !== undefined) {
      if (known.kind !== kind) throw new Error(`statistic ${name} is a ${known.kind}, not a ${kind}`);
      return known;
    }
    if (this.#free + cells > SLAB_CELLS) {
      if (this.slabs.length === MAX_SLABS) throw new RangeError('too many statistics');
      this.slabs.push(new Float64Array(new SharedArrayBuffer(SLAB_CELLS * 8)));
      this.#free = 0;
    }
    const definition = { name, kind, slab: this.slabs.length - 1, index: this.#free };
    this.#free += cells;
    // A gauge starts at -0: any write makes it something else, so a reader can tell "never set" from "set to 0" (Envoy's `usedonly`).
    if (kind === 'gauge') this.slabs[definition.slab][definition.index] = -0;
    this.definitions.set(name, definition);
    this.#added(definition, this.slabs[definition.slab].buffer as SharedArrayBuffer);
    return definition;
  }
}

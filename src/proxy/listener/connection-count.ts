/**
 * Open connections of all workers, counted where all of them can see it, so that a bound holds for the process and not for each thread. Cell 0 holds the
 * sum, cell 1 + n the part of worker n: what a worker that failed had open can be taken off.
 */
export class ConnectionCount {
  readonly #cells: Int32Array;
  readonly #own: number;

  /** `cells`: of `connectionCells`, or of its own (one thread). `worker`: 0.. */
  constructor(cells: Int32Array = new Int32Array(2), worker = 0) {
    this.#cells = cells;
    this.#own = worker + 1;
  }
  /** Counts one more; false, and nothing counted, where `max` are open. */
  take(max: number): boolean {
    if (Atomics.add(this.#cells, 0, 1) >= max) {
      Atomics.sub(this.#cells, 0, 1);
      return false;
    }
    Atomics.add(this.#cells, this.#own, 1);
    return true;
  }
  give(): void {
    Atomics.sub(this.#cells, 0, 1);
    Atomics.sub(this.#cells, this.#own, 1);
  }
  /** Open now, over all workers. */
  get value(): number {
    return Atomics.load(this.#cells, 0);
  }
}

/** Shared memory for the counts of so many workers. */
export const connectionCells = (workers: number): SharedArrayBuffer => new SharedArrayBuffer((workers + 1) * Int32Array.BYTES_PER_ELEMENT);

/** Takes off what a worker that is gone had open. */
export function releaseConnections(memory: SharedArrayBuffer, worker: number): void {
  const cells = new Int32Array(memory);
  if (worker + 1 < cells.length) Atomics.sub(cells, 0, Atomics.exchange(cells, worker + 1, 0));
}

/** Where a worker finds its counts. */
export interface ConnectionCounts {
  /** Connections of all listeners. */
  readonly all: ConnectionCount;
  /** Connections of a listener, or of a filter that bounds them. */
  of(name: string): ConnectionCount;
}

/** Counts of one thread: where there are no other workers. */
export function ownConnectionCounts(): ConnectionCounts {
  const counts = new Map<string, ConnectionCount>();
  return {
    all: new ConnectionCount(),
    of(name) {
      let count = counts.get(name);
      if (count === undefined) {
        count = new ConnectionCount();
        counts.set(name, count);
      }
      return count;
    },
  };
}

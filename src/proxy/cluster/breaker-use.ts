/**
 * What is in use of a cluster's bounded resources, over all workers: circuit breakers hold for the process. A row of cells for each worker in shared memory; a
 * worker writes its own row only, without atomics, and looks at the others' when it asks whether there is room. So two workers that ask at the same moment may
 * both take the last one (Envoy's threads do the same), a request costs no locked instruction, and what a worker that failed had taken is given back by clearing its row.
 */

/** Cells of a row: four resources at two priorities; a cache line of its own for each worker. */
export const ROW_CELLS = 16;
/** Where a priority's resources begin in a row. */
export const PRIORITY_CELL = { DEFAULT: 0, HIGH: 4 } as const;
export const RESOURCE_CELL = { connections: 0, pending: 1, requests: 2, retries: 3 } as const;

/** The rows of one cluster, seen from one worker. */
export interface BreakerUse {
  readonly cells: Int32Array;
  /** First cell of the worker's own row. */
  readonly own: number;
}
/** Where a worker finds the rows of a cluster. */
export type BreakerUses = (cluster: string) => BreakerUse;

/** Rows for one worker only: where there are no others. */
export const ownBreakerUse = (): BreakerUse => ({ cells: new Int32Array(ROW_CELLS), own: 0 });
/** Memory for the rows of so many workers. */
export const breakerMemory = (workers: number): SharedArrayBuffer => new SharedArrayBuffer(workers * ROW_CELLS * Int32Array.BYTES_PER_ELEMENT);
/** The rows in shared memory as worker `worker` (0..) sees them. */
export const sharedBreakerUse = (memory: SharedArrayBuffer, worker: number): BreakerUse => ({
  cells: new Int32Array(memory),
  own: worker * ROW_CELLS,
});
/** Gives back what a worker that is gone had taken. */
export function releaseBreakers(memory: SharedArrayBuffer, worker: number): void {
  new Int32Array(memory).fill(0, worker * ROW_CELLS, (worker + 1) * ROW_CELLS);
}

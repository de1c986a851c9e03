import type { Random } from './balancer.js';

/**
 * Earliest deadline first: entry `i` comes up with a frequency proportional to its weight, and equally heavy entries take turns. A binary heap
 * in typed arrays, O(log n) for each pick, no allocation. Source: Envoy's `EdfScheduler`.
 */
export class EdfScheduler {
  readonly #deadlines: Float64Array;
  /** Order of arrival breaks ties, so that equal entries go round. */
  readonly #turns: Float64Array;
  readonly #heap: Int32Array;
  readonly #weight: (index: number) => number;
  #turn = 0;

  /** `weight(i)` is asked again each time entry `i` was picked; it must be > 0. `random` shifts the start, so that workers do not move in step. */
  constructor(size: number, weight: (index: number) => number, random: Random) {
    this.#weight = weight;
    this.#deadlines = new Float64Array(size);
    this.#turns = new Float64Array(size);
    this.#heap = new Int32Array(size);
    // Every entry starts somewhere in its own first interval: as if the schedule had run for long.
    for (let i = 0; i < size; i++) {
      this.#deadlines[i] = (1 - random()) / weight(i);
      this.#turns[i] = this.#turn++;
      this.#heap[i] = i;
    }
    for (let at = (size >> 1) - 1; at >= 0; at--) this.#sink(at);
  }

  /** The entry whose turn it is, or -1 where there is none. */
  pick(): number {
    if (this.#heap.length === 0) return -1;
    const index = this.#heap[0];
    this.#deadlines[index] += 1 / this.#weight(index);
    this.#turns[index] = this.#turn++;
    this.#sink(0);
    return index;
  }

  #before(a: number, b: number): boolean {
    return this.#deadlines[a] < this.#deadlines[b] || (this.#deadlines[a] === this.#deadlines[b] && this.#turns[a] < this.#turns[b]);
  }
  #sink(from: number): void {
    const heap = this.#heap;
    let at = from;
    for (;;) {
      let next = 2 * at + 1;
      if (next >= heap.length) return;
      if (next + 1 < heap.length && this.#before(heap[next + 1], heap[next])) next++;
      if (!this.#before(heap[next], heap[at])) return;
      const moved = heap[at];
      heap[at] = heap[next];
      heap[next] = moved;
      at = next;
    }
  }
}

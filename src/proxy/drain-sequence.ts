/** `--drain-strategy`: responses say `connection: close` all at once, or with a probability that grows over the drain time. */
export type DrainStrategy = 'gradual' | 'immediate';

/**
 * One graceful drain: for each request it says whether the connection is to end with it. Source: Envoy's `DrainManagerImpl::drainClose`, P(close) = elapsed
 * time / drain time for `gradual`.
 */
export class DrainSequence {
  /** When it is over, on the engine's clock. */
  readonly deadline: number;
  readonly #strategy: DrainStrategy;
  readonly #durationMs: number;
  readonly #random: () => number;

  constructor(strategy: DrainStrategy, now: number, durationMs: number, random: () => number = Math.random) {
    this.#strategy = strategy;
    this.#durationMs = durationMs;
    this.#random = random;
    this.deadline = now + durationMs;
  }
  /** Draws for one request. After the deadline always true. */
  closes(now: number): boolean {
    if (this.#strategy === 'immediate' || now >= this.deadline) return true;
    return this.#random() * this.#durationMs < this.#durationMs - (this.deadline - now);
  }
}

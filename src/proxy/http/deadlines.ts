import type { TimerOwner, TimerWheel } from '../../stream/timers.js';

/** No deadline. */
export const NEVER = Number.POSITIVE_INFINITY;

/** Who acts when a time is over. */
export interface DeadlineOwner {
  /** At least one deadline is not after `now`: the owner clears or moves each of those that it acts on. */
  onDeadline(now: number): void;
}

/**
 * The times of a request, as fields: milliseconds on the engine's clock, `NEVER` where there is none. They share one timer of the wheel, which
 * is armed for the earliest and is left running when that one is cleared: most requests end before any of their times, and so cost no timer of their own.
 */
export class Deadlines implements TimerOwner {
  /** Whole request and response, from the end of the request. */
  route = NEVER;
  /** Head and body of the request. */
  request = NEVER;
  /** The whole stream, from its head. */
  stream = NEVER;
  /** The one of the stream is what the client gave the call (`grpc-timeout`). */
  isGrpc = false;
  /** The response head of the present attempt. */
  attempt = NEVER;
  /** The whole present attempt, its response included. */
  attemptEnd = NEVER;
  /** The next look at whether the present attempt moves. */
  attemptIdle = NEVER;
  /** When the next attempt is made. */
  retry = NEVER;
  /** The next look at whether the stream moves. */
  idle = NEVER;
  readonly #wheel: TimerWheel;
  readonly #owner: DeadlineOwner;
  #timer = 0;
  #armedAt = NEVER;
  #stopped = false;

  constructor(wheel: TimerWheel, owner: DeadlineOwner) {
    this.#wheel = wheel;
    this.#owner = owner;
  }
  /** To be called after a deadline was set. */
  arm(deadline: number): void {
    if (deadline >= this.#armedAt || this.#stopped) return;
    if (this.#timer !== 0) this.#wheel.stop(this.#timer);
    this.#armedAt = deadline;
    this.#timer = this.#wheel.start(deadline, this, 0);
  }
  /** Forgets all of them. */
  clearRequest(): void {
    this.route = NEVER;
    this.request = NEVER;
    this.stream = NEVER;
    this.isGrpc = false;
    this.clearAttempt();
    this.retry = NEVER;
    this.idle = NEVER;
  }
  /** Forgets the times of an attempt. */
  clearAttempt(): void {
    this.attempt = NEVER;
    this.attemptEnd = NEVER;
    this.attemptIdle = NEVER;
  }
  /** The connection is gone. */
  stop(): void {
    this.#stopped = true;
    if (this.#timer !== 0) this.#wheel.stop(this.#timer);
    this.#timer = 0;
  }
  onTimer(_kind: number, now: number): void {
    this.#timer = 0;
    this.#armedAt = NEVER;
    if (this.#stopped) return;
    this.#owner.onDeadline(now);
    const ofRequest = Math.min(this.route, this.request, this.stream, this.retry, this.idle);
    const next = Math.min(ofRequest, this.attempt, this.attemptEnd, this.attemptIdle);
    if (next !== NEVER) this.arm(next);
  }
}

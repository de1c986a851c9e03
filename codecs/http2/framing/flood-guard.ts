import type { FaultCode } from '../faults.js';
import { OPTION } from '../spec.js';

/** Tokens that come back evenly with time, up to `burst`. */
class TokenBucket {
  readonly #burst: number;
  readonly #perMs: number;
  #tokens: number;
  #at = 0;

  constructor(burst: number, ms: number) {
    this.#burst = burst;
    this.#perMs = ms > 0 ? burst / ms : 0;
    this.#tokens = burst;
  }
  /** Takes one; false: there is none. */
  take(now: number): boolean {
    if (now > this.#at) {
      this.#tokens = Math.min(this.#burst, this.#tokens + (now - this.#at) * this.#perMs);
      this.#at = now;
    }
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
  give(): void {
    this.#tokens = Math.min(this.#burst, this.#tokens + 1);
  }
}

/**
 * Counts what costs us more than the peer (CVE-2019-9511 and those after it, CVE-2023-44487, CVE-2025-8671). Each question answers with the fault that is
 * to end the connection, or undefined. Times are milliseconds of the owner's clock.
 */
export class FloodGuard {
  readonly #options: Int32Array;
  readonly #resets: TokenBucket;
  readonly #controls: TokenBucket;
  #empties = 0;
  #queued = 0;
  #streams = 0;
  #dataSent = 0;
  #windowUpdates = 0;
  #priorities = 0;

  constructor(options: Int32Array) {
    this.#options = options;
    this.#resets = new TokenBucket(options[OPTION.RESETS_BURST], options[OPTION.RESETS_MS]);
    this.#controls = new TokenBucket(options[OPTION.CONTROLS_BURST], options[OPTION.CONTROLS_MS]);
  }
  /** A stream was reset by the peer, or by us for a fault of its. */
  reset(now: number): FaultCode | undefined {
    return this.#resets.take(now) ? undefined : 'RESET_FLOOD';
  }
  /** A stream came to its regular end. */
  completed(): void {
    this.#resets.give();
  }
  /** SETTINGS, PING, an unknown frame, or one for a stream that is gone. */
  control(now: number): FaultCode | undefined {
    return this.#controls.take(now) ? undefined : 'CONTROL_FLOOD';
  }
  /** DATA or fields with something in them. */
  useful(): void {
    this.#empties = 0;
    this.#controls.give();
  }
  /** A frame of DATA or fields with nothing in it, that ends nothing. */
  empty(): FaultCode | undefined {
    return ++this.#empties > this.#options[OPTION.MAX_EMPTY_FRAMES] ? 'EMPTY_FRAME_FLOOD' : undefined;
  }
  /** A control frame of ours was put into the output. */
  queued(): FaultCode | undefined {
    return ++this.#queued > this.#options[OPTION.MAX_QUEUED_CONTROLS] ? 'QUEUE_FLOOD' : undefined;
  }
  flushed(): void {
    this.#queued = 0;
  }
  opened(): void {
    this.#streams++;
  }
  sentData(): void {
    this.#dataSent++;
  }
  windowUpdate(): FaultCode | undefined {
    const allowed = 5 + 2 * (this.#streams + this.#options[OPTION.WINDOW_UPDATES_PER_DATA] * this.#dataSent);
    return ++this.#windowUpdates > allowed ? 'WINDOW_UPDATE_FLOOD' : undefined;
  }
  priority(): FaultCode | undefined {
    return ++this.#priorities > this.#options[OPTION.PRIORITIES_PER_STREAM] * (1 + this.#streams) ? 'PRIORITY_FLOOD' : undefined;
  }
}

/**
 * Times of requests: one hashed timing wheel for a worker. Starting and stopping cost O(1) and allocate nothing once the table has grown; the wheel arms
 * a single Node timer, for its earliest slot, and none while it is empty. Coarse: a timer fires at its time or up to one tick later, never earlier.
 */

/** Takes what the wheel fires. */
export interface TimerOwner {
  /** `kind` is the number that was given to `start`; `now` is the time on the engine's clock. */
  onTimer(kind: number, now: number): void;
}

/** Where the time comes from: an engine, whose `now` is read once per wake-up and may be stale outside of one. */
export interface Clock {
  readonly now: number;
}

/** Milliseconds per slot. */
const TICK_MS = 8;
/** Slots; a power of two. A timer further away than 8 s stays in its slot for another round. */
const SLOTS = 1024;
const NONE = -1;

/** See above. All times are milliseconds on the clock's scale. */
export class TimerWheel {
  readonly #clock: Clock;
  /** First entry of each slot. */
  readonly #first = new Int32Array(SLOTS).fill(NONE);
  /** Per entry: neighbours in its slot, tick of its deadline, the caller's number. A free entry uses `next` for the free list. */
  #next = new Int32Array(64);
  #previous = new Int32Array(64);
  #tick = new Float64Array(64);
  #kind = new Int32Array(64);
  #generation = new Int32Array(64);
  readonly #owners: (TimerOwner | undefined)[] = [];
  #free = NONE;
  #used = 0;
  /** Ticks up to this one have been fired. */
  #done: number;
  #armedTick = Number.POSITIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  /** The clock's reading minus `performance.now()`; the largest seen, since a stale reading is too small. */
  #offset: number;
  #closed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#offset = clock.now - performance.now();
    this.#done = Math.floor(this.now / TICK_MS);
  }

  /** The time now, not stale, on the clock's scale. */
  get now(): number {
    const real = performance.now();
    const offset = this.#clock.now - real;
    if (offset > this.#offset) this.#offset = offset;
    return real + this.#offset;
  }
  /** Timers that run. */
  get size(): number {
    return this.#used;
  }

  /** Calls `owner.onTimer(kind)` once the clock has passed `deadline`. Returns a number > 0 for `stop`. */
  start(deadline: number, owner: TimerOwner, kind: number): number {
    const tick = Math.max(Math.ceil(deadline / TICK_MS), this.#done + 1);
    let entry = this.#free;
    if (entry === NONE) {
      entry = this.#owners.length;
      this.#owners.push(undefined);
      if (entry === this.#next.length) this.#grow();
    } else this.#free = this.#next[entry];
    const slot = tick & (SLOTS - 1);
    const first = this.#first[slot];
    this.#next[entry] = first;
    this.#previous[entry] = NONE;
    if (first !== NONE) this.#previous[first] = entry;
    this.#first[slot] = entry;
    this.#tick[entry] = tick;
    this.#kind[entry] = kind;
    this.#owners[entry] = owner;
    this.#used++;
    if (tick < this.#armedTick) this.#arm(tick);
    // 20 bits of entry, 11 of generation: a number kept too long does not stop somebody else's timer.
    return (((this.#generation[entry] & 0x7ff) << 20) | entry) + 1;
  }

  /** Ends a timer; one that has fired or was stopped is left alone. 0 is no timer. */
  stop(id: number): void {
    if (id <= 0) return;
    const entry = (id - 1) & 0xfffff;
    if ((id - 1) >>> 20 !== (this.#generation[entry] & 0x7ff) || this.#owners[entry] === undefined) return;
    this.#remove(entry);
  }

  /** Stops everything. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  #remove(entry: number): void {
    const next = this.#next[entry];
    const previous = this.#previous[entry];
    if (previous === NONE) this.#first[this.#tick[entry] & (SLOTS - 1)] = next;
    else this.#next[previous] = next;
    if (next !== NONE) this.#previous[next] = previous;
    this.#owners[entry] = undefined;
    this.#generation[entry]++;
    this.#next[entry] = this.#free;
    this.#free = entry;
    this.#used--;
  }

  #arm(tick: number): void {
    if (this.#closed) return;
    this.#armedTick = tick;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#wake, Math.max(1, Math.ceil(tick * TICK_MS - this.now)));
    // An open listener or connection keeps the process alive, a timer alone does not.
    this.#timer.unref();
  }

  readonly #wake = (): void => {
    this.#armedTick = Number.POSITIVE_INFINITY;
    const now = this.now;
    const until = Math.floor(now / TICK_MS);
    // After a long pause (a stopped process) one round over all slots is enough. What an owner starts meanwhile comes after `until`.
    const from = Math.max(this.#done + 1, until - SLOTS + 1);
    this.#done = Math.max(this.#done, until);
    for (let tick = from; tick <= until; tick++) this.#fire(tick & (SLOTS - 1), until, now);
    if (this.#used > 0) this.#arm(Math.min(this.#armedTick, this.#earliest()));
  };

  #fire(slot: number, until: number, now: number): void {
    let entry = this.#first[slot];
    while (entry !== NONE) {
      const owner = this.#owners[entry];
      if (this.#tick[entry] > until || owner === undefined) {
        entry = this.#next[entry];
        continue;
      }
      const kind = this.#kind[entry];
      this.#remove(entry);
      owner.onTimer(kind, now);
      // The owner may have changed this list: begin again; what it started is not due yet, so this ends.
      entry = this.#first[slot];
    }
  }

  /** Tick of the next slot that holds anything. */
  #earliest(): number {
    for (let tick = this.#done + 1; tick <= this.#done + SLOTS; tick++) if (this.#first[tick & (SLOTS - 1)] !== NONE) return tick;
    return this.#done + SLOTS;
  }

  #grow(): void {
    const size = this.#next.length * 2;
    if (size > 1 << 20) throw new RangeError('too many timers');
    this.#next = widen(this.#next, new Int32Array(size));
    this.#previous = widen(this.#previous, new Int32Array(size));
    this.#tick = widen(this.#tick, new Float64Array(size));
    this.#kind = widen(this.#kind, new Int32Array(size));
    this.#generation = widen(this.#generation, new Int32Array(size));
  }
}

function widen<T extends Int32Array | Float64Array>(from: T, to: T): T {
  to.set(from);
  return to;
}

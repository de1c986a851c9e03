import { NEVER } from './deadlines.js';

/** Looks per idle time. */
const LOOKS = 4;
/** Part of the idle time after which the bytes so far are noted: not at the start, which would cost every request a look. */
const FIRST_LOOK = 64;

/** Whether anything moves on a connection. Bytes do not pass through here, so their number is looked at a few times in each idle time: it is over up to a quarter late, never early. */
export class QuietWatch {
  #idleMs = 0;
  #since = 0;
  /** Bytes at the last look; -1: there was none yet. */
  #bytes = -1;

  /** Begins to watch. Answers the time of the first look; NEVER where `idleMs` is 0. */
  begin(now: number, idleMs: number): number {
    this.#idleMs = idleMs;
    this.#bytes = -1;
    this.#since = now;
    return idleMs === 0 ? NEVER : now + idleMs / FIRST_LOOK;
  }
  /** Looks: so many bytes have gone over the wire. Answers the time of the next look, or NEVER where nothing has moved for the idle time. */
  look(bytes: number, now: number): number {
    if (bytes !== this.#bytes) {
      if (this.#bytes >= 0) this.#since = now;
      this.#bytes = bytes;
    }
    return now - this.#since < this.#idleMs ? Math.min(now + this.#idleMs / LOOKS, this.#since + this.#idleMs) : NEVER;
  }
}

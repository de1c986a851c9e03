import type { Engine } from '../network/engine.js';
import type { TimerOwner, TimerWheel } from './timers.js';

/** How a connection is asked whether its peer is still there. */
export interface KeepAlive {
  /** Between two PINGs, ms, up to `jitterPercent` of it longer; 0: none in intervals. */
  readonly intervalMs: number;
  readonly jitterPercent: number;
  /** How long an answer may take, ms. */
  readonly timeoutMs: number;
}

const TIMER = { PING: 0, ANSWER: 1 } as const;

/** Keep-alive of one HTTP/2 connection: PINGs at intervals; the connection of a peer that does not answer is closed. */
export class PingWatch implements TimerOwner {
  readonly #engine: Engine;
  readonly #wheel: TimerWheel;
  readonly #connection: number;
  readonly #how: KeepAlive;
  readonly #onDead: () => void;
  #timer = 0;
  #isAsked = false;
  #stopped = false;

  /** `onDead` is called before the connection is closed. */
  constructor(engine: Engine, wheel: TimerWheel, connection: number, how: KeepAlive, onDead: () => void) {
    this.#engine = engine;
    this.#wheel = wheel;
    this.#connection = connection;
    this.#how = how;
    this.#onDead = onDead;
    this.#wait();
  }
  /** Asks now, whenever the next time would be. */
  ask(): void {
    if (this.#isAsked || this.#stopped) return;
    this.#wheel.stop(this.#timer);
    this.#isAsked = true;
    this.#engine.ping(this.#connection);
    this.#timer = this.#wheel.start(this.#wheel.now + this.#how.timeoutMs, this, TIMER.ANSWER);
  }
  /** The peer has answered. */
  answered(): void {
    if (!this.#isAsked || this.#stopped) return;
    this.#isAsked = false;
    this.#wheel.stop(this.#timer);
    this.#wait();
  }
  /** The connection is gone. */
  stop(): void {
    this.#stopped = true;
    this.#wheel.stop(this.#timer);
  }
  onTimer(kind: number): void {
    if (kind === TIMER.PING) {
      this.ask();
      return;
    }
    this.#stopped = true;
    this.#onDead();
    this.#engine.close(this.#connection, 'reset');
  }
  #wait(): void {
    const { intervalMs, jitterPercent } = this.#how;
    this.#timer = 0;
    if (intervalMs > 0) this.#timer = this.#wheel.start(this.#wheel.now + intervalMs * (1 + (jitterPercent / 100) * Math.random()), this, TIMER.PING);
  }
}

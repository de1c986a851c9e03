import type { CloseReason } from '../network/engine.js';
import type { ConnectionAccount } from './connection-account.js';
import type { UpstreamUser } from './upstream.js';

/** Those who wait for a pool to have something for them, the first in front; within the circuit breaker, and counted. */
export class WaitingLine {
  readonly #account: ConnectionAccount;
  readonly #users: UpstreamUser[] = [];

  constructor(account: ConnectionAccount) {
    this.#account = account;
  }
  get length(): number {
    return this.#users.length;
  }
  get first(): UpstreamUser | undefined {
    return this.#users[0];
  }
  /** False: too many wait (circuit breaker). */
  join(user: UpstreamUser): boolean {
    if (!this.#account.mayWait()) return false;
    this.#account.waiting(1);
    this.#users.push(user);
    return true;
  }
  /** False: `user` did not wait here. */
  leave(user: UpstreamUser): boolean {
    const index = this.#users.indexOf(user);
    if (index < 0) return false;
    this.#users.splice(index, 1);
    this.#account.waiting(-1);
    return true;
  }
  /** Takes the first out. */
  shift(): UpstreamUser | undefined {
    const user = this.#users.shift();
    if (user !== undefined) this.#account.waiting(-1);
    return user;
  }
  /** Tells all that there will be nothing. */
  fail(reason: CloseReason, errno: string): void {
    for (const user of this.#users.splice(0)) {
      this.#account.waiting(-1);
      user.onPoolFailure(reason, errno);
    }
  }
}

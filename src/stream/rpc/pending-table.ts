/**
 * Requests in flight on one connection by the id they were sent with. Ids count up and wrap at `maxId`; an id that is still in use is passed over, so
 * that a late answer never meets another request's slot while its own may come. O(1), and nothing is allocated once the table has grown.
 */
export class PendingTable<T> {
  readonly #maxId: number;
  #ids: Int32Array;
  #users: (T | undefined)[];
  #mask: number;
  #next: number;
  #count = 0;

  /** `maxId`: largest id the protocol can carry, at most 2^31 - 1; `first`: where ids begin. */
  constructor(maxId = 0x7fff_ffff, first = 1) {
    this.#maxId = maxId;
    this.#mask = INITIAL - 1;
    this.#ids = new Int32Array(INITIAL);
    this.#users = new Array(INITIAL).fill(undefined);
    this.#next = first;
  }

  /** Requests in flight. */
  get size(): number {
    return this.#count;
  }
  /** Takes a request in and gives its id, 1..maxId. Throws RangeError when every id is in use. */
  add(user: T): number {
    if (2 * this.#count >= this.#users.length) this.#grow();
    for (let tries = 0; tries <= this.#users.length; tries++) {
      const id = this.#next;
      this.#next = id >= this.#maxId ? 1 : id + 1;
      const slot = id & this.#mask;
      if (this.#users[slot] !== undefined) continue;
      this.#ids[slot] = id;
      this.#users[slot] = user;
      this.#count++;
      return id;
    }
    throw new RangeError('no request id is free');
  }
  /** Puts another user under an id that was just taken out. */
  put(id: number, user: T): void {
    const slot = id & this.#mask;
    this.#ids[slot] = id;
    this.#users[slot] = user;
    this.#count++;
  }
  /** The request with this id, which is then out of the table; undefined: there is none (a late answer). */
  take(id: number): T | undefined {
    const slot = id & this.#mask;
    const user = this.#users[slot];
    if (user === undefined || this.#ids[slot] !== id) return undefined;
    this.#users[slot] = undefined;
    this.#count--;
    return user;
  }
  /** Empties the table and gives what was in it. */
  clear(): T[] {
    const users = this.#users.filter((user) => user !== undefined);
    this.#users.fill(undefined);
    this.#count = 0;
    return users;
  }

  #grow(): void {
    // Twice the slots keep every pair of ids apart that was apart before.
    const [ids, users] = [this.#ids, this.#users];
    const size = users.length * 2;
    this.#mask = size - 1;
    this.#ids = new Int32Array(size);
    this.#users = new Array(size).fill(undefined);
    users.forEach((user, at) => {
      const slot = ids[at] & this.#mask;
      this.#ids[slot] = ids[at];
      this.#users[slot] = user;
    });
  }
}

const INITIAL = 64;

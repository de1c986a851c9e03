import { ENTRY_OVERHEAD } from './tables.js';

const NO_BYTES = new Uint8Array(0);
const FIRST_BYTES = 512;
const FIRST_SLOTS = 16;

/**
 * The entries of a dynamic table (RFC 7541 §2.3.2): their bytes one behind the other in one array, their places in another. Entries have running numbers;
 * the newest is `inserted - 1`. Memory is taken when the first entry comes and is at most twice the table's size.
 */
export class DynamicTable {
  bytes: Uint8Array = NO_BYTES;
  /** Words of an entry: start, name bytes, value bytes, and one for the owner. */
  slots = new Int32Array(0);
  /** Entries ever inserted. Not an int32: a busy connection gets beyond it. */
  inserted = 0;
  count = 0;
  /** Size as RFC 7541 §4.1 counts it. */
  size = 0;
  maxSize: number;
  #mask = -1;
  /** End of the newest entry's bytes. */
  #tail = 0;

  constructor(maxSize: number) {
    this.maxSize = maxSize;
  }

  /** Where the words of an entry with this number are. */
  slot(entry: number): number {
    return (entry & this.#mask) * 4;
  }
  /** Number of the oldest entry. */
  get oldest(): number {
    return this.inserted - this.count;
  }
  /** Entries that may lie in the ring. */
  get capacity(): number {
    return this.#mask + 1;
  }

  /** Evicts until the table fits (RFC 7541 §4.3). */
  resize(maxSize: number): void {
    this.maxSize = maxSize;
    this.#evict(maxSize);
    if (this.count > 0) return;
    this.#tail = 0;
  }

  /**
   * Adds an entry; one larger than the table empties it and is not added (RFC 7541 §4.4). False: it was not. `name` and `value` must not be views of `bytes`.
   */
  add(name: Uint8Array, nameStart: number, nameBytes: number, value: Uint8Array, valueStart: number, valueBytes: number, word: number): boolean {
    const size = nameBytes + valueBytes + ENTRY_OVERHEAD;
    this.#evict(Math.max(this.maxSize - size, 0));
    if (size > this.maxSize) {
      this.#tail = 0;
      return false;
    }
    if (this.count === this.capacity) this.#growSlots();
    const length = nameBytes + valueBytes;
    if (this.#tail + length > this.bytes.length) this.#makeRoom(length);
    const at = this.slot(this.inserted);
    const { slots, bytes } = this;
    slots[at] = this.#tail;
    slots[at + 1] = nameBytes;
    slots[at + 2] = valueBytes;
    slots[at + 3] = word;
    let to = this.#tail;
    for (let i = 0; i < nameBytes; i++) bytes[to++] = name[nameStart + i];
    for (let i = 0; i < valueBytes; i++) bytes[to++] = value[valueStart + i];
    this.#tail = to;
    this.inserted++;
    this.count++;
    this.size += size;
    return true;
  }

  #evict(most: number): void {
    while (this.size > most) {
      const at = this.slot(this.oldest);
      this.size -= this.slots[at + 1] + this.slots[at + 2] + ENTRY_OVERHEAD;
      this.count--;
    }
  }

  #growSlots(): void {
    const slots = new Int32Array(Math.max(FIRST_SLOTS, 2 * this.capacity) * 4);
    const mask = slots.length / 4 - 1;
    for (let entry = this.oldest; entry < this.inserted; entry++) {
      const from = this.slot(entry);
      slots.set(this.slots.subarray(from, from + 4), (entry & mask) * 4);
    }
    this.slots = slots;
    this.#mask = mask;
  }

  /** Moves the entries to the front, into more memory where less than half would be free. */
  #makeRoom(length: number): void {
    const start = this.count === 0 ? this.#tail : this.slots[this.slot(this.oldest)];
    const live = this.#tail - start;
    let capacity = Math.max(FIRST_BYTES, this.bytes.length);
    while (capacity < 2 * (live + length)) capacity *= 2;
    if (capacity === this.bytes.length) this.bytes.copyWithin(0, start, this.#tail);
    else {
      const bytes = new Uint8Array(capacity);
      bytes.set(this.bytes.subarray(start, this.#tail));
      this.bytes = bytes;
    }
    for (let entry = this.oldest; entry < this.inserted; entry++) this.slots[this.slot(entry)] -= start;
    this.#tail = live;
  }
}

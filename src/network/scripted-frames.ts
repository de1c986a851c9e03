import type { Codec, Side } from '../protocol/codec.js';
import type { Frame } from '../protocol/frame.js';
import { FrameReader } from './frame-reader.js';

const STORE_BYTES = 64 * 1024;
const FREE_STORES = 64;

/** Memory for frames that are not whole yet, shared by the connections of an engine: an idle connection has none. */
export class StorePool {
  readonly #free: Buffer[] = [];
  take(atLeastBytes: number): Buffer {
    const free = atLeastBytes <= STORE_BYTES ? this.#free.pop() : undefined;
    return free ?? Buffer.allocUnsafeSlow(Math.max(atLeastBytes, STORE_BYTES));
  }
  give(store: Buffer): void {
    if (store.length === STORE_BYTES && this.#free.length < FREE_STORES) this.#free.push(store);
  }
}

/**
 * The frames of one connection whose bytes come to JavaScript as they arrive (native engine, scripted codecs): keeps what is not a whole frame yet,
 * and stops between two frames while somebody holds the connection.
 */
export class ScriptedFrames {
  readonly reader: FrameReader;
  /** `reader.frame` is good: its `onFrame` is running. */
  inFrame = false;
  #isStopped = false;
  #isHeld = false;
  readonly #stores: StorePool;
  #store: Buffer | undefined;
  #start = 0;
  #end = 0;

  constructor(codec: Codec, side: Side, maxFrameBytes: number, stores: StorePool) {
    this.#stores = stores;
    this.reader = new FrameReader(codec, side, maxFrameBytes);
  }
  /** Takes no frame any more: the bytes are broken. */
  stop(): void {
    this.#isStopped = true;
  }
  /** Bytes of a frame that is not whole, or was not handed out yet. */
  get kept(): number {
    return this.#end - this.#start;
  }

  /**
   * Takes bytes that are good only now (none: somebody held the connection, and does not any more); hands out frames until `onFrame` answers that no more
   * are wanted. Throws CodecError, and whatever `onFrame` throws.
   */
  push(bytes: Uint8Array, onFrame: (frame: Frame) => boolean): void {
    if (this.#isStopped) return;
    if (bytes.length === 0) this.#isHeld = false;
    if (this.kept > 0 || this.#isHeld) {
      if (bytes.length > 0) this.#append(bytes);
      this.#run(onFrame);
      return;
    }
    const taken = this.#read(bytes, 0, bytes.length, onFrame);
    if (taken < bytes.length) this.#append(bytes.subarray(taken));
  }
  /** Hands out the frames that are kept. */
  #run(onFrame: (frame: Frame) => boolean): void {
    const store = this.#store;
    if (store === undefined || this.#isHeld) return;
    this.#start = this.#read(store, this.#start, this.#end, onFrame);
    if (this.#start === this.#end) this.release();
  }
  /** Gives the memory back: nothing is kept, or nobody wants it any more. */
  release(): void {
    if (this.#store !== undefined) this.#stores.give(this.#store);
    this.#store = undefined;
    this.#start = this.#end = 0;
  }

  #read(bytes: Uint8Array, from: number, end: number, onFrame: (frame: Frame) => boolean): number {
    const { reader } = this;
    let start = from;
    while (!this.#isHeld) {
      const frameBytes = reader.next(bytes, start, end);
      if (frameBytes === 0) break;
      this.inFrame = true;
      try {
        this.#isHeld = !onFrame(reader.frame);
      } finally {
        this.inFrame = false;
      }
      start += frameBytes;
    }
    return start;
  }
  #append(bytes: Uint8Array): void {
    const { kept } = this;
    let store = this.#store;
    if (store === undefined || this.#end + bytes.length > store.length) {
      const before = store;
      // Twice the size each time, so that a frame that comes byte by byte is not copied once per byte.
      if (store === undefined || 2 * (kept + bytes.length) > store.length) store = this.#stores.take(2 * (kept + bytes.length));
      before?.copy(store, 0, this.#start, this.#end);
      if (before !== undefined && before !== store) this.#stores.give(before);
      this.#store = store;
      this.#start = 0;
      this.#end = kept;
    }
    store.set(bytes, this.#end);
    this.#end += bytes.length;
  }
}

/** One stream of the fallback engine, and what a connection knows of all of its own. Decides nothing; node-streams.ts and node-messages.ts do. */
import type { Edits } from '../protocol/edits.js';
import { Head } from '../protocol/head.js';
import { EDIT_FLAG, HEAD } from '../protocol/head-layout.js';
import type { OutFields, StreamConnection } from '../protocol/stream-framing.js';
import { STREAM_ERROR } from '../protocol/stream-table.js';
import { ByteQueue } from './byte-queue.js';
import type { NodeConnection } from './node-connection.js';
import { Endpoint, NO_BYTES, RX, type Trailers } from './node-endpoint.js';

/** A stream whose turn it is writes at most so many of its waiting bytes before the next one has its turn. */
const TURN_BYTES = 16 * 1024;

/** The streams of one connection. */
export class StreamSet {
  readonly codec: StreamConnection;
  readonly byId = new Map<number, NodeStream>();
  /** Opened here, and their request not sent yet. */
  readonly unsent = new Set<NodeStream>();
  /** Those with bytes that wait for a window or for the connection's output, in the order of their turns. */
  readonly waiting = new Set<NodeStream>();
  /** What `onStreamLimit` said last. */
  limit = -1;
  takesUpgrades = false;
  settingsMs = 0;
  settingsTimer: NodeJS.Timeout | undefined;
  isDraining = false;

  constructor(codec: StreamConnection) {
    this.codec = codec;
  }
  get size(): number {
    return this.byId.size + this.unsent.size;
  }
}

/** The lines of trailers that came as a table. */
export function linesOf({ bytes, ints, base, wireBytes }: Head): Uint8Array {
  const start = ints[base + HEAD.START];
  return bytes.subarray(start, start + wireBytes);
}
const isEmpty = (trailers: Trailers): boolean => (trailers instanceof Head ? trailers.count === 0 : trailers.length === 0);

/** One stream of a connection. */
export class NodeStream extends Endpoint {
  readonly carrier: NodeConnection;
  readonly set: StreamSet;
  /** 0: an upstream stream whose request was not sent yet. */
  id = 0;
  /** Finished because both messages were over. */
  isDone = false;
  /** Nobody but the codec knows of it yet: `onStream` comes first. */
  isNew = false;
  /** What has come and waits for somebody to take it: heads behind the pending one, pieces of the body, trailers. */
  readonly heads: Head[] = [];
  readonly inbox = new ByteQueue();
  trailers: Head | undefined;
  /** END_STREAM has come. */
  ended = false;
  /** Bytes that came and were not given back to the peer's window. */
  unconsumed = 0;
  /** The request asks for a tunnel: its end does not go out before the answer. */
  asksTunnel = false;
  /** Bytes that wait to be put into frames, and the end behind them. */
  readonly #waiting = new ByteQueue();
  #end: Trailers | undefined;
  /** END_STREAM is in the output. */
  endSent = false;
  /** After the waiting bytes the stream is reset with this error; -1: it is not. */
  resetAfter = -1;
  received = 0;
  sent = 0;

  constructor(handle: number, carrier: NodeConnection, set: StreamSet) {
    super(handle);
    this.carrier = carrier;
    this.set = set;
  }

  /** Bytes of a body that wait for a window, or for the connection's output. */
  get waitingBytes(): number {
    return this.#waiting.length;
  }
  get isFull(): boolean {
    return this.waitingBytes > 0 || this.carrier.isFull;
  }

  /** Sends the request. False: the connection takes none. */
  putRequest(head: Head | undefined, edits: Edits, how: OutFields, ends: boolean): boolean {
    const { codec } = this.set;
    const before = codec.output.length;
    const id = codec.request(head, edits, how, ends);
    if (id === 0) return false;
    this.sent += codec.output.length - before;
    this.id = id;
    this.set.unsent.delete(this);
    this.set.byId.set(id, this);
    this.endSent = ends;
    return true;
  }
  /** Sends a response's head. False: the stream is gone. */
  putResponse(head: Head | undefined, edits: Edits, contentLength: number, ends: boolean): boolean {
    const { codec } = this.set;
    const before = codec.output.length;
    if (!codec.respond(this.id, head, edits, { contentLength, scheme: '', upgrade: false }, ends)) return false;
    this.sent += codec.output.length - before;
    this.endSent = ends;
    return true;
  }

  putBody(bytes: Uint8Array, isLent: boolean, ends: boolean): void {
    if (this.endSent) return;
    if (bytes.length === 0) {
      if (ends) this.putEnd(NO_BYTES);
      return;
    }
    let left = bytes;
    if (this.waitingBytes === 0 && !this.carrier.isFull) {
      const taken = this.#frame(bytes, ends);
      if (taken === bytes.length || taken < 0) return;
      left = bytes.subarray(taken);
    }
    this.#waiting.push(left, isLent);
    this.set.waiting.add(this);
    if (ends) this.#end = NO_BYTES;
  }
  putEnd(trailers: Trailers): boolean {
    if (this.endSent) return true;
    if (this.waitingBytes > 0) {
      this.#end ??= isEmpty(trailers) ? NO_BYTES : trailers instanceof Head ? trailers.retain() : trailers.slice();
      return false;
    }
    this.#frameEnd(trailers);
    return true;
  }

  /**
   * Puts a turn's worth of what waits into frames, as far as the peer's windows allow. Gives how many bytes that were; the stream leaves the list of those that
   * wait when nothing does any more.
   */
  flush(): number {
    const { first, isLast } = this.#waiting;
    if (first === undefined) return 0;
    const ends = isLast && first.length <= TURN_BYTES && this.#end !== undefined && isEmpty(this.#end);
    const taken = this.#frame(first.length <= TURN_BYTES ? first : first.subarray(0, TURN_BYTES), ends);
    if (taken < 0) {
      this.dropWaiting();
      return 0;
    }
    this.#waiting.drop(taken);
    if (this.waitingBytes === 0) {
      this.set.waiting.delete(this);
      if (this.#end !== undefined && !this.endSent) this.#frameEnd(this.#end);
      this.#end = undefined;
    }
    return taken;
  }
  dropWaiting(): void {
    this.#waiting.clear();
    this.#end = undefined;
    this.set.waiting.delete(this);
  }

  #frame(bytes: Uint8Array, ends: boolean): number {
    const taken = this.set.codec.data(this.id, bytes, ends);
    if (taken > 0) this.sent += taken;
    if (ends && taken === bytes.length) this.endSent = true;
    return taken;
  }
  #frameEnd(trailers: Trailers): void {
    const { codec } = this.set;
    this.endSent = true;
    if (isEmpty(trailers)) {
      codec.data(this.id, NO_BYTES, true);
      return;
    }
    const before = codec.output.length;
    codec.trailers(this.id, trailers);
    this.sent += codec.output.length - before;
  }

  /** Gives back to the peer's window what has gone on, or was thrown away. */
  settle(): void {
    const { sink } = this;
    const isDirect = (this.shows & EDIT_FLAG.SHOW_BODY) === 0;
    const bytes = this.unconsumed - this.inbox.length - (isDirect && sink instanceof NodeStream ? sink.waitingBytes : 0);
    if (bytes <= 0) return;
    this.unconsumed -= bytes;
    this.set.codec.consume(this.id, bytes);
  }
  /** Gives back all of it: the stream is gone. */
  settleAll(): void {
    if (this.unconsumed > 0) this.set.codec.consume(this.id, this.unconsumed);
    this.unconsumed = 0;
  }

  /** What a close of the stream says to the peer. */
  get closeError(): number {
    return this.isDownstream ? STREAM_ERROR.INTERNAL_ERROR : STREAM_ERROR.CANCEL;
  }
  get isTunnel(): boolean {
    return this.rx === RX.RAW || this.rx === RX.EOF;
  }
}

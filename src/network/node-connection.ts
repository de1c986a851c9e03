/**
 * One connection of the fallback engine: a `net.Socket` with its state, its unread input and its output of the current batch. Decides nothing;
 * node-engine.ts does.
 */
import type { Socket } from 'node:net';
import type { BodyFraming, Framing, FramingLimits, Input, MessageSession, RequestContext } from '../protocol/framing.js';
import type { Head } from '../protocol/head.js';
import { EDIT_FLAG, HEAD_FLAG } from '../protocol/head-layout.js';
import type { CloseReason, ConnectionHandler, ConnectionInfo } from './engine.js';

/** What a connection's input is at (the same states as in native/engine.cc). */
export const RX = {
  /** Upstream: nothing was asked; any byte is unexpected. */
  IDLE: 0,
  /** A head is awaited. */
  HEAD: 1,
  /** A head waits for a decision. */
  PENDING: 2,
  /** The body is moved, held or thrown away. */
  BODY: 3,
  /** The message is over, the exchange is not. */
  DONE: 4,
  /** Opaque bytes. */
  RAW: 5,
  /** Bytes are shown and kept. */
  INSPECT: 6,
  /** Broken: nothing is read any more. */
  FAULTED: 7,
  /** Answered and shut: the rest is thrown away. */
  LINGER: 8,
  /** Raw: the peer's FIN was passed on. */
  EOF: 9,
} as const;
export type Rx = (typeof RX)[keyof typeof RX];

/** What a connection's output is at. */
export const TX = { IDLE: 0, BODY: 1, DONE: 2 } as const;
export type Tx = (typeof TX)[keyof typeof TX];

/** A profile with its defaults filled in. */
export interface NodeProfile {
  readonly kind: 'raw' | 'inspect' | 'message';
  readonly framing: Framing | undefined;
  readonly limits: FramingLimits;
  readonly downstream: boolean;
  readonly highBytes: number;
  readonly maxRetainBytes: number;
  readonly idleMs: number;
  readonly headMs: number;
  readonly lingerMs: number;
  readonly lingerBytes: number;
}

/** What is kept of a request so that it can be sent again. */
export interface Retained {
  readonly head: Head;
  readonly chunks: Uint8Array[];
  bytes: number;
  trailers: Uint8Array;
}

/** Below this many bytes the pieces of a batch are copied together: one write is cheaper than a vector of small ones (bench/micro.ts). */
const JOIN_BYTES = 16 * 1024;
/** Space for bytes still to come behind an unfinished head. */
const MIN_INPUT_BYTES = 4096;
const EMPTY = Buffer.alloc(0);

/** Unread bytes. What was appended stays where it is, so views of it (a head, body pieces on their way out) stay true. */
export class NodeInput implements Input {
  bytes: Uint8Array = EMPTY;
  offset = 0;
  ended = false;
  /** Backing store of `bytes`, where it has room behind it. */
  #store: Buffer | undefined;

  get unread(): number {
    return this.bytes.length - this.offset;
  }
  append(chunk: Buffer): void {
    const unread = this.unread;
    if (unread === 0) {
      this.bytes = chunk;
      this.offset = 0;
      this.#store = undefined;
      return;
    }
    const end = this.bytes.length;
    if (this.#store === undefined || end + chunk.length > this.#store.length) {
      // Twice the size each time, so that a head that comes byte by byte is not copied once per byte.
      const store = Buffer.allocUnsafeSlow(Math.max(2 * (unread + chunk.length), MIN_INPUT_BYTES));
      store.set(this.bytes.subarray(this.offset), 0);
      store.set(chunk, unread);
      this.#store = store;
      this.bytes = store.subarray(0, unread + chunk.length);
      this.offset = 0;
      return;
    }
    this.#store.set(chunk, end);
    this.bytes = this.#store.subarray(0, end + chunk.length);
  }
  clear(): void {
    this.bytes = EMPTY;
    this.offset = 0;
    this.#store = undefined;
  }
}

export class NodeConnection {
  readonly handle: number;
  readonly socket: Socket;
  profile: NodeProfile;
  handler: ConnectionHandler | undefined;
  session: MessageSession | undefined;
  readonly input = new NodeInput();
  rx: Rx = RX.RAW;
  tx: Tx = TX.IDLE;
  connecting = false;
  /** Stopped by `pause`. */
  paused = false;
  /** The other side's output is above its watermark. */
  blocked = false;
  held = false;
  discard = false;
  /** In the list of connections to be run, to be flushed. */
  ready = false;
  dirty = false;
  /** The message just read lets the connection live on. */
  keepAlive = false;
  closeAfter = false;
  closing = false;
  shutAfterFlush = false;
  /** FIN was (or is about to be) sent. */
  shut = false;
  /** `onClosed` is on its way; nothing happens any more. */
  finished = false;
  clientHttp11 = true;
  expectsContinue = false;
  head: Head | undefined;
  retained: Retained | undefined;
  request: RequestContext = NOTHING_ASKED;
  /** Framing of the body being read, and of the one being written. */
  inFraming: BodyFraming = 'none';
  outFraming: BodyFraming = 'none';
  /** Where the body that is read here goes, and where the one that is written here comes from. */
  sink: NodeConnection | undefined;
  source: NodeConnection | undefined;
  messageBytes = 0;
  /** Of the message being read; -1: not known. */
  contentLength = -1;
  received = 0;
  written = 0;
  lingerLeft = 0;
  idleMs: number;
  lastActive = 0;
  idleTimer: NodeJS.Timeout | undefined;
  headTimer: NodeJS.Timeout | undefined;
  /** Connect, flush and linger time: one after the other. */
  endTimer: NodeJS.Timeout | undefined;
  info: ConnectionInfo | undefined;
  closeReason: CloseReason = 'local';
  #out: Uint8Array[] = [];
  #outBytes = 0;
  #reading = true;

  constructor(handle: number, socket: Socket, profile: NodeProfile) {
    this.handle = handle;
    this.socket = socket;
    this.profile = profile;
    this.idleMs = profile.idleMs;
  }

  /** Output bytes that wait in the process. */
  get queued(): number {
    return this.#outBytes + this.socket.writableLength;
  }
  /** Output bytes of this batch, not given to the socket yet. */
  get unsent(): number {
    return this.#outBytes;
  }
  get isDownstream(): boolean {
    return this.profile.downstream;
  }
  /** Nothing is open on the connection, so that its idle time counts. */
  get isBetween(): boolean {
    switch (this.rx) {
      case RX.RAW:
      case RX.IDLE:
      case RX.INSPECT:
        return true;
      case RX.HEAD:
        return this.isDownstream && !this.session?.midMessage;
      default:
        return false;
    }
  }

  put(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#out.push(bytes);
    this.#outBytes += bytes.length;
    this.written += bytes.length;
  }
  /** Gives the output of the batch to the socket; `written` is called when all of it has left the process. */
  send(written: (() => void) | undefined): void {
    const out = this.#out;
    const bytes = this.#outBytes;
    if (bytes === 0) return;
    this.#outBytes = 0;
    const { socket } = this;
    if (out.length === 1) {
      const only = out[0];
      out.length = 0;
      socket.write(only, written);
      return;
    }
    if (bytes <= JOIN_BYTES) {
      const joined = Buffer.allocUnsafe(bytes);
      let at = 0;
      for (const piece of out) {
        joined.set(piece, at);
        at += piece.length;
      }
      out.length = 0;
      socket.write(joined, written);
      return;
    }
    this.#out = [];
    socket.cork();
    for (let i = 0; i < out.length - 1; i++) socket.write(out[i]);
    socket.write(out[out.length - 1], written);
    socket.uncork();
  }
  dropOutput(): void {
    this.#out = [];
    this.#outBytes = 0;
  }
  /** Reads from the socket or stops to, as the state asks for. */
  setReading(wanted: boolean): void {
    if (wanted === this.#reading) return;
    this.#reading = wanted;
    if (wanted) this.socket.resume();
    else this.socket.pause();
  }
  /** What a request asks for, for the framing of its response. */
  static requestOf(head: Head): RequestContext {
    const { flags } = head;
    return {
      isHead: (flags & HEAD_FLAG.HEAD_METHOD) !== 0,
      isConnect: (flags & HEAD_FLAG.CONNECT) !== 0,
      isUpgrade: (flags & HEAD_FLAG.UPGRADE) !== 0,
      isHttp11: (flags & HEAD_FLAG.HTTP_11) !== 0,
    };
  }
  clearTimers(): void {
    clearTimeout(this.idleTimer);
    clearTimeout(this.headTimer);
    clearTimeout(this.endTimer);
    this.idleTimer = this.headTimer = this.endTimer = undefined;
  }
}

const NOTHING_ASKED: RequestContext = { isHead: false, isConnect: false, isUpgrade: false, isHttp11: true };

/** The request as it goes upstream: an upgrade only where the forwarder lets it pass. */
export const requestAsSent = (request: RequestContext, flags: number): RequestContext => {
  const isUpgrade = (flags & EDIT_FLAG.UPGRADE) !== 0;
  return request.isUpgrade === isUpgrade ? request : { ...request, isUpgrade };
};

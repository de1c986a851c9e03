/**
 * What a message of the fallback engine is read from and written to: an HTTP/1 connection (node-connection.ts), which has one message at a time in each direction, or
 * a stream of HTTP/2 (node-stream.ts), which has one in all. node-messages.ts moves messages between any two.
 */

import type { BodyFraming, RequestContext } from '../protocol/framing.js';
import type { Head } from '../protocol/head.js';
import { EDIT_FLAG, HEAD_FLAG } from '../protocol/head-layout.js';
import type { CloseReason, ConnectionHandler, FramingFault } from './engine.js';
import type { NodeConnection } from './node-connection.js';

/** What an endpoint's input is at (the same states as in the native engine). */
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
  /** Opaque bytes: the peer's end was passed on. */
  EOF: 9,
  /** Frames of a codec. */
  FRAMES: 10,
  /** A connection whose messages are streams. */
  STREAMS: 11,
} as const;
export type Rx = (typeof RX)[keyof typeof RX];

/** What an endpoint's output is at. */
export const TX = { IDLE: 0, BODY: 1, DONE: 2 } as const;
export type Tx = (typeof TX)[keyof typeof TX];

/** What is kept of a request so that it can be sent again. */
export interface Retained {
  readonly head: Head;
  readonly chunks: Uint8Array[];
  bytes: number;
  trailers: Trailers;
}

/** Ready-made lines, or the table of a stream's. */
export type Trailers = Uint8Array | Head;

/** Kinds of what is queued for a handler. */
export const EVENT = {
  CONNECTED: 0,
  HEAD: 1,
  PEEK: 2,
  END: 3,
  FAULT: 4,
  TIMEOUT: 5,
  CLOSED: 6,
  PROTOCOL: 7,
  STREAM_LIMIT: 8,
  GO_AWAY: 9,
  PONG: 10,
} as const;

/** What the engine is to its parts. */
export interface EngineCore {
  readonly now: number;
  emit(kind: number, endpoint: Endpoint, number?: number, flags?: number, text?: string, errno?: string, fault?: FramingFault): void;
  /** No event waits to be delivered. */
  readonly isQuiet: boolean;
  /** Runs an endpoint once more in this batch. */
  enqueue(endpoint: Endpoint): void;
  /** The connection has output. */
  markDirty(connection: NodeConnection): void;
  /** Something happened on the connection: its idle time starts anew. */
  touch(connection: NodeConnection): void;
  /** Reads from the socket or stops to, as the state of the connection asks for. */
  updateReading(connection: NodeConnection): void;
  /** Ends a connection once its output has gone. */
  startClosing(connection: NodeConnection, reason: 'local' | 'remote' | 'truncated'): void;
  finish(endpoint: Endpoint, reason: CloseReason, errno: string): void;
  /** See `Engine.drain`. */
  drain(connection: NodeConnection): void;
  /** Delivers events and runs what is ready, unless that is going on already. */
  wake(): void;
}

/** One end of messages: who takes its events, what it reads and writes, and the other side of both. */
export abstract class Endpoint {
  readonly handle: number;
  handler: ConnectionHandler | undefined;
  rx: Rx = RX.RAW;
  tx: Tx = TX.IDLE;
  /** Stopped by `pause`. */
  paused = false;
  /** The other side has enough to do: nothing is read, or given back to the peer's window. */
  blocked = false;
  /** In the list of those that go on when a connection's output has shrunk. */
  isWaiter = false;
  held = false;
  discard = false;
  /** In the list of endpoints to be run. */
  ready = false;
  /** `onClosed` is on its way; nothing happens any more. */
  finished = false;
  /** The message just read lets the connection live on. */
  keepAlive = false;
  clientHttp11 = true;
  expectsContinue = false;
  head: Head | undefined;
  retained: Retained | undefined;
  request: RequestContext = NOTHING_ASKED;
  /** Framing of the body being read, and of the one being written. */
  inFraming: BodyFraming = 'none';
  outFraming: BodyFraming = 'none';
  /** Where the body that is read here goes, and where the one that is written here comes from. */
  sink: Endpoint | undefined;
  source: Endpoint | undefined;
  /** All of the message has been read, and its end waits behind bytes of `sink`. `tellsEnd`: `onEnd` follows. */
  endWaits = false;
  tellsEnd = false;
  /** EDIT_FLAG.SHOW_BODY and SHOW_TRAILERS, of the message being read. `shownEnd`: all of it was shown, and `endBody` is awaited. */
  shows = 0;
  /** A response that nobody but the handler gets (`Engine.show`). */
  isOwn = false;
  shownEnd = false;
  messageBytes = 0;
  /** Of the message being read; -1: not known. */
  contentLength = -1;

  constructor(handle: number) {
    this.handle = handle;
  }

  /** The connection that its bytes go through. */
  abstract readonly carrier: NodeConnection;
  /** Takes no further bytes for now: its peer, or its peer's window, has enough. */
  abstract readonly isFull: boolean;
  /** Queues bytes of a body. `isLent`: they may change after the call. `ends`: they are its last, and no trailers follow. */
  abstract putBody(bytes: Uint8Array, isLent: boolean, ends: boolean): void;
  /** Ends a body, or one direction of a tunnel. False: it waits behind bytes, and `Messages.endGone` follows. */
  abstract putEnd(trailers: Trailers): boolean;

  get isDownstream(): boolean {
    return this.carrier.profile.downstream;
  }
  /** What comes of a body has somewhere to go. */
  get hasSink(): boolean {
    return this.sink !== undefined || this.discard || this.isOwn;
  }
  /** What has come may be moved on. */
  get mayMove(): boolean {
    return !this.held && !this.paused && this.hasSink;
  }
}

/** Nothing in `Trailers`. */
export const NO_BYTES = new Uint8Array(0);
export const NOTHING_ASKED: RequestContext = { isHead: false, isConnect: false, isUpgrade: false, isHttp11: true };

/** What a request asks for, for the framing of its response. */
export const requestOf = ({ flags }: Head): RequestContext => ({
  isHead: (flags & HEAD_FLAG.HEAD_METHOD) !== 0,
  isConnect: (flags & HEAD_FLAG.CONNECT) !== 0,
  isUpgrade: (flags & (HEAD_FLAG.UPGRADE | HEAD_FLAG.EXTENDED_CONNECT)) !== 0,
  isHttp11: (flags & HEAD_FLAG.HTTP_11) !== 0,
});

/** The request as it goes upstream: an upgrade only where the forwarder lets it pass. */
export const requestAsSent = (request: RequestContext, flags: number): RequestContext => {
  const isUpgrade = (flags & EDIT_FLAG.UPGRADE) !== 0;
  return request.isUpgrade === isUpgrade ? request : { ...request, isUpgrade };
};

/**
 * One connection of the fallback engine: a `net.Socket` with its state, its unread input and its output of the current batch. Decides nothing;
 * node-engine.ts, node-messages.ts and node-streams.ts do.
 */
import type { Socket } from 'node:net';
import type { Codec } from '../protocol/codec.js';
import type { Edits } from '../protocol/edits.js';
import type { Framing, FramingLimits, Input, MessageSession, OutHead, Room } from '../protocol/framing.js';
import { Head } from '../protocol/head.js';
import type { StreamFraming } from '../protocol/stream-framing.js';
import type { CloseReason, ConnectionInfo, WireCounters } from './engine.js';
import type { FrameReader } from './frame-reader.js';
import { Endpoint, RX, type Trailers } from './node-endpoint.js';
import type { SocketReader } from './node-reader.js';
import { linesOf, type StreamSet } from './node-stream.js';

/** A profile with its defaults filled in. */
export interface NodeProfile {
  readonly kind: 'raw' | 'inspect' | 'message' | 'frames' | 'streams';
  readonly framing: Framing | undefined;
  readonly streamFraming: StreamFraming | undefined;
  readonly streamOptions: Int32Array;
  /** Number and profile of connections that begin with its preface. */
  readonly preface: { readonly number: number; readonly profile: NodeProfile; readonly bytes: Uint8Array } | undefined;
  readonly codec: Codec | undefined;
  /** 0: it has no frames. */
  readonly maxFrameBytes: number;
  readonly cutThroughBytes: number;
  readonly limits: FramingLimits;
  readonly downstream: boolean;
  readonly highBytes: number;
  readonly maxRetainBytes: number;
  readonly idleMs: number;
  readonly headMs: number;
  readonly lingerMs: number;
  readonly lingerBytes: number;
  readonly wire: WireCounters | undefined;
}

/** Output pieces up to this size are copied together: one write is cheaper than a vector of small ones. */
const JOIN_BYTES = 12 * 1024;
/** Of a room for output, and how many of them an engine keeps. */
const ROOM_BYTES = 16 * 1024;
const FREE_ROOMS = 128;
/** Space for bytes still to come behind an unfinished head. */
const MIN_INPUT_BYTES = 4096;
const EMPTY = Buffer.alloc(0);

/**
 * Output space of an engine, taken by a connection for a batch and given back once the kernel has all of it. So the output of most batches is
 * built in the same few kilobytes.
 */
export class RoomPool {
  readonly #free: Buffer[] = [];
  take(atLeastBytes: number): Buffer {
    const free = atLeastBytes <= ROOM_BYTES ? this.#free.pop() : undefined;
    return free ?? Buffer.allocUnsafeSlow(Math.max(atLeastBytes, ROOM_BYTES));
  }
  give(room: Buffer): void {
    if (room.length === ROOM_BYTES && this.#free.length < FREE_ROOMS) this.#free.push(room);
  }
}

/** Unread bytes. What was appended stays where it is, so views of it (a head, body pieces on their way out) stay true; lent bytes only until `keep`. */
export class NodeInput implements Input {
  bytes: Uint8Array = EMPTY;
  offset = 0;
  ended = false;
  /** `bytes` belongs to somebody else: what is needed after the batch is copied by `keep`. */
  isLent = false;
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
      this.isLent = false;
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
      this.isLent = false;
      return;
    }
    this.#store.set(chunk, end);
    this.bytes = this.#store.subarray(0, end + chunk.length);
  }
  /** As `append`, but the chunk is good for this batch only. */
  lend(chunk: Buffer): void {
    const isAlone = this.unread === 0;
    this.append(chunk);
    this.isLent = isAlone;
  }
  /** Ends the loan: gives a copy of the lent bytes where some are unread or `needed`, else forgets them. */
  keep(needed: boolean): void {
    if (!this.isLent) return;
    if (!needed && this.unread === 0) {
      this.clear();
      return;
    }
    this.bytes = Buffer.from(this.bytes);
    this.isLent = false;
  }
  clear(): void {
    this.bytes = EMPTY;
    this.offset = 0;
    this.isLent = false;
    this.#store = undefined;
  }
}

export class NodeConnection extends Endpoint {
  readonly socket: Socket;
  readonly reader: SocketReader;
  readonly #rooms: RoomPool;
  /** Where the output of this batch is gathered: `start` to `at` of it is not in `#out` yet. */
  readonly #room: Room & { bytes: Uint8Array } = { bytes: EMPTY, at: 0 };
  #roomStart = 0;
  profile: NodeProfile;
  session: MessageSession | undefined;
  /** Of a connection whose messages are streams. */
  streams: StreamSet | undefined;
  /** Its first bytes may still turn out to be the preface of the profile's other protocol. */
  mayBePreface = false;
  /** Of a connection with frames; `frame` of it is good while `onFrame` runs (`inFrame`). */
  frames: FrameReader | undefined;
  inFrame = false;
  /** Bytes of a frame that is cut through to `sink`, or thrown away. */
  frameLeft = 0;
  /** The next frame is not shown before it is whole. */
  wantsWhole = false;
  /** Those that go on when this one's output has shrunk. */
  readonly waiters: Endpoint[] = [];
  readonly input = new NodeInput();
  connecting = false;
  /** In the list of connections to be flushed. */
  dirty = false;
  closeAfter = false;
  closing = false;
  shutAfterFlush = false;
  /** FIN was (or is about to be) sent. */
  shut = false;
  received = 0;
  /** Bytes put into the output of the connection itself; frames of a codec are counted when they are taken over. */
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
  #headCopy: Head | undefined;
  #out: Uint8Array[] = [];
  #outBytes = 0;
  #reading = true;

  constructor(handle: number, socket: Socket, reader: SocketReader, profile: NodeProfile, rooms: RoomPool) {
    super(handle);
    this.socket = socket;
    this.reader = reader;
    this.#rooms = rooms;
    this.profile = profile;
    this.idleMs = profile.idleMs;
  }

  get carrier(): NodeConnection {
    return this;
  }
  /** Output bytes that wait in the process. */
  get queued(): number {
    return this.unsent + this.socket.writableLength;
  }
  /** Output bytes of this batch, not given to the socket yet. */
  get unsent(): number {
    return this.streams === undefined ? this.#outBytes : this.#outBytes + this.streams.codec.output.length;
  }
  /** Bytes that the system has taken. */
  get sent(): number {
    return this.written - this.#outBytes - this.socket.writableLength;
  }
  get isFull(): boolean {
    return this.queued > this.profile.highBytes;
  }
  /** Nothing is open on the connection, so that its idle time counts. */
  get isBetween(): boolean {
    switch (this.rx) {
      case RX.RAW:
      case RX.IDLE:
      case RX.INSPECT:
      case RX.FRAMES:
        return true;
      case RX.HEAD:
        return this.isDownstream && this.headTimer === undefined;
      case RX.STREAMS:
        return this.streams?.size === 0;
      default:
        return false;
    }
  }

  putBody(bytes: Uint8Array, isLent: boolean, _ends: boolean): void {
    if (bytes.length === 0) return;
    if (this.outFraming === 'chunked' && this.session !== undefined) {
      for (const piece of this.session.encodeBody(bytes, 'chunked')) this.put(piece, isLent);
    } else this.put(bytes, isLent);
  }
  putEnd(trailers: Trailers): boolean {
    if (this.rx === RX.RAW || this.rx === RX.EOF) this.shutAfterFlush = true;
    else if (this.outFraming === 'chunked' && this.session !== undefined) {
      this.put(this.session.encodeEnd(trailers instanceof Head ? linesOf(trailers) : trailers, 'chunked'), true);
    }
    return true;
  }

  /** Queues a head (see `MessageSession.writeHead`). */
  putHead(session: MessageSession, head: Head | undefined, edits: Edits, how: OutHead): void {
    const room = this.#roomFor(session.mostHeadBytes(head, edits));
    const from = room.at;
    session.writeHead(head, edits, how, room);
    this.#outBytes += room.at - from;
    this.written += room.at - from;
  }
  /** Queues bytes. `isLent`: they may change after the call; else large ones are not copied. */
  put(bytes: Uint8Array, isLent = false): void {
    const { length } = bytes;
    if (length === 0) return;
    this.#outBytes += length;
    this.written += length;
    if (length > JOIN_BYTES) {
      this.#closeRoom();
      this.#out.push(isLent ? Buffer.from(bytes) : bytes);
      return;
    }
    const room = this.#roomFor(length);
    room.bytes.set(bytes, room.at);
    room.at += length;
  }
  /** Queues the frame in hand with another id, patched where it lies. False: it is large, or its id cannot be patched in place. */
  putFrame(frames: FrameReader, low: number, high: number): boolean {
    const { length } = frames.frame;
    if (length > JOIN_BYTES || !frames.patchesInPlace) return false;
    const room = this.#roomFor(length);
    room.bytes.set(frames.frame.raw, room.at);
    frames.patch(room.bytes, room.at, low, high);
    room.at += length;
    this.#outBytes += length;
    this.written += length;
    return true;
  }
  #roomFor(length: number): Room {
    const room = this.#room;
    if (room.bytes.length - room.at < length) {
      this.#closeRoom();
      room.bytes = this.#rooms.take(length);
      room.at = this.#roomStart = 0;
    }
    return room;
  }
  /** What was gathered becomes a piece of its own. */
  #closeRoom(): void {
    const room = this.#room;
    if (room.at > this.#roomStart) this.#out.push(room.bytes.subarray(this.#roomStart, room.at));
    this.#roomStart = room.at;
  }
  /** Gives the output of the batch to the socket; `written` is called when all of it has left the process. */
  send(written: (() => void) | undefined): void {
    const { streams } = this;
    if (streams !== undefined && streams.codec.output.length > 0) this.put(streams.codec.output.take());
    if (this.#outBytes === 0) return;
    const { socket } = this;
    const out = this.#out;
    const room = this.#room.bytes as Buffer;
    this.profile.wire?.sent.inc(this.#outBytes);
    this.#outBytes = 0;
    if (out.length === 0) {
      // The usual batch: one piece, gone when `write` returns. Where the socket has to keep it, it keeps no more than its bytes.
      const piece = room.subarray(this.#roomStart, this.#room.at);
      const mayGo = socket.writableLength === 0 && !this.connecting;
      socket.write(mayGo ? piece : Buffer.from(piece), written);
      if (!mayGo || socket.writableLength === 0) this.#rooms.give(room);
      this.#leaveRoom();
      return;
    }
    this.#closeRoom();
    this.#leaveRoom();
    this.#out = [];
    if (out.length === 1) {
      socket.write(out[0], written);
      return;
    }
    socket.cork();
    for (let i = 0; i < out.length - 1; i++) socket.write(out[i]);
    socket.write(out[out.length - 1], written);
    socket.uncork();
  }
  #leaveRoom(): void {
    this.#room.bytes = EMPTY;
    this.#room.at = this.#roomStart = 0;
  }
  dropOutput(): void {
    this.streams?.codec.output.take();
    if (this.#outBytes === 0) return;
    this.#out = [];
    this.written -= this.#outBytes;
    this.#outBytes = 0;
    this.#leaveRoom();
  }
  /** A copy of the request's head; the space of the one before is used again. */
  copyHead(head: Head): Head {
    this.#headCopy = head.retain(this.#headCopy);
    return this.#headCopy;
  }
  /** After the batch in which bytes were lent: copies what is still needed of them. */
  keepInput(): void {
    const { input, head } = this;
    if (!input.isLent) return;
    const lent = input.bytes;
    const headIsThere = head !== undefined && head.bytes === lent;
    input.keep(headIsThere);
    if (headIsThere) head.bytes = input.bytes;
  }
  /** Reads from the socket or stops to, as the state asks for. */
  setReading(wanted: boolean): void {
    if (wanted === this.#reading) return;
    this.#reading = wanted;
    if (wanted) this.socket.resume();
    else this.socket.pause();
  }
  clearTimers(): void {
    clearTimeout(this.idleTimer);
    clearTimeout(this.headTimer);
    clearTimeout(this.endTimer);
    clearTimeout(this.streams?.settingsTimer);
    this.idleTimer = this.headTimer = this.endTimer = undefined;
  }
}

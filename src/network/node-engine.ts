/**
 * The fallback engine: the Engine port on `node:net`, with framing in TypeScript. It is the specification of what the native engine does (STYLE §4), so
 * the states and their names are those of native/engine.cc. It cannot do SO_ORIGINAL_DST, IP_TRANSPARENT, IP_FREEBIND and SO_MARK, nor SO_REUSEPORT on Node
 * 20: options that ask for these throw ConfigError.
 *
 * ```
 *   downstream   HEAD -> PENDING -> BODY -> DONE -> HEAD ...        every state may end in FAULTED, or in closing and LINGER
 *   upstream     IDLE -> HEAD -> PENDING -> BODY -> IDLE (reusable) or DONE
 *                         ^--- 1xx ----'
 *   raw          INSPECT -> RAW -> EOF
 * ```
 * What one read of one socket sets off is done at once, in rounds: events are delivered one after the other, then the connections that have become ready
 * are run, until nothing is left. Output is written at the end of the event loop's turn, once for each connection: all that a turn has read is answered
 * before the first write, which saves a third of the system's share of a small request (bench: proxy, scenario small). Much output leaves earlier.
 */
import { connect as netConnect, type Server, type Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import { CodecError, ConfigError } from '../base/errors.js';
import { DEFAULT_MAX_FRAME_BYTES } from '../protocol/codec.js';
import type { Edits } from '../protocol/edits.js';
import type { BodyFraming } from '../protocol/framing.js';
import type { Head } from '../protocol/head.js';
import { EDIT, EDIT_FLAG, HEAD_FLAG } from '../protocol/head-layout.js';
import {
  type CloseReason,
  type ConnectionHandler,
  type ConnectionInfo,
  type ConnectOptions,
  type Engine,
  type EngineCapabilities,
  FORWARD,
  type FramingFault,
  type Listener,
  type ListenOptions,
  type Profile,
  type ProfileOptions,
  type Traffic,
} from './engine.js';
import { FrameReader } from './frame-reader.js';
import { NodeConnection, type NodeProfile, RoomPool, RX, requestAsSent, TX } from './node-connection.js';
import { openListener } from './node-listener.js';
import { checkListenOptions, connectOptions, knowsReusePort, socketInfo } from './node-options.js';
import { ReadBuffers, readInto, SocketReader } from './node-reader.js';

const DEFAULT_HEAD_BYTES = 61_440;
const DEFAULT_HEADERS = 100;
const DEFAULT_BUFFER_BYTES = 1024 * 1024;
const DEFAULT_LINGER_MS = 1000;
const DEFAULT_LINGER_BYTES = 1024 * 1024;
const DEFAULT_CONNECT_MS = 5000;
/** How long the last output of a closing connection may make no progress. */
const FLUSH_MS = 30_000;
/** Output above this is written at once: the next read of the same turn finds room, and the peer has something to do. */
const MUCH_BYTES = 32 * 1024;
/** An upstream connection with frames may have so many times its watermark waiting: many feed it, each until it is stopped. */
const UPSTREAM_WATERMARKS = 16;
/** Most bytes shown to `onPeek`. */
const INSPECT_BYTES = 64 * 1024;

const INDEX_BITS = 20;
const INDEX_MASK = (1 << INDEX_BITS) - 1;
const GENERATION_MASK = (1 << 11) - 1;
const NO_BYTES = new Uint8Array(0);

const EVENT = { CONNECTED: 0, HEAD: 1, PEEK: 2, END: 3, FAULT: 4, TIMEOUT: 5, CLOSED: 6 } as const;
/** One shape for all kinds. `number` is bytes (END), `flags` FORWARD bits (END), `text` a close reason or time-out, `errno` with CLOSED. */
interface QueuedEvent {
  readonly kind: number;
  readonly connection: NodeConnection;
  readonly number: number;
  readonly flags: number;
  readonly text: string;
  readonly errno: string;
  readonly fault: FramingFault | undefined;
}

/** What the input of a new connection is at. */
const FIRST_RX = { raw: RX.RAW, inspect: RX.INSPECT, message: RX.HEAD, frames: RX.FRAMES } as const;
const framesOf = ({ codec, downstream, maxFrameBytes, cutThroughBytes }: NodeProfile): FrameReader | undefined =>
  codec === undefined ? undefined : new FrameReader(codec, downstream ? 'downstream' : 'upstream', maxFrameBytes, cutThroughBytes);

/** Makes the fallback engine of this thread. */
export function createNodeEngine(): Engine {
  return new NodeEngine();
}

class NodeEngine implements Engine {
  readonly name = 'fallback';
  readonly capabilities: EngineCapabilities = { originalDst: false, transparent: false, mark: false, reusePort: knowsReusePort() };
  readonly #profiles: NodeProfile[] = [];
  readonly #slots: (NodeConnection | undefined)[] = [];
  readonly #generations: number[] = [];
  readonly #free: number[] = [];
  readonly #servers = new Map<number, Server>();
  #nextListener = 1;
  #open = 0;
  #now = performance.now();
  /** A queue: from `#nextEvent` to `#lastEvent`. Its array keeps its length, since cutting it costs more than an event does. */
  readonly #events: (QueuedEvent | undefined)[] = [];
  #nextEvent = 0;
  #lastEvent = 0;
  #movedBytes = 0;
  readonly #rooms = new RoomPool();
  readonly #readBuffers = new ReadBuffers();
  readonly #ready: NodeConnection[] = [];
  readonly #dirty: NodeConnection[] = [];
  #draining = false;
  #flushIsScheduled = false;
  /** Some connection's output is not to wait for the end of the turn. */
  #hasMuch = false;
  #scheduled = false;
  #stopped = false;
  readonly #traffic: Traffic = { received: 0, sent: 0, queued: 0 };
  readonly #drainLater = () => {
    this.#scheduled = false;
    this.#wake();
  };

  readonly #flushLater = () => {
    this.#flushIsScheduled = false;
    this.#now = performance.now();
    this.#flushAll();
    this.#wake();
  };

  get now(): number {
    // Between two batches (a timer of the caller, a promise) the time of the last one may be old.
    if (!this.#draining) this.#now = performance.now();
    return this.#now;
  }

  // ---- configuration ----------------------------------------------------------------------------------------------------------------------

  profile(options: ProfileOptions): Profile {
    const { framing } = options;
    if (typeof framing !== 'string' && 'connect' in framing) throw new ConfigError(`the fallback engine has no framing ${framing.name}`);
    const maxHeadBytes = options.maxHeadBytes ?? DEFAULT_HEAD_BYTES;
    const highBytes = options.bufferLimitBytes ?? DEFAULT_BUFFER_BYTES;
    this.#profiles.push({
      kind: framing === 'raw' || framing === 'inspect' ? framing : 'framing' in framing ? 'frames' : 'message',
      framing: framing === 'raw' || framing === 'inspect' || 'framing' in framing ? undefined : framing,
      codec: framing === 'raw' || framing === 'inspect' || !('framing' in framing) ? undefined : framing,
      maxFrameBytes:
        typeof framing !== 'string' && 'framing' in framing ? (options.maxFrameBytes ?? framing.maxFrameBytes ?? DEFAULT_MAX_FRAME_BYTES) : 0,
      cutThroughBytes: options.cutThroughBytes ?? 0,
      limits: {
        maxHeadBytes,
        maxHeaders: options.maxHeaders ?? DEFAULT_HEADERS,
        maxTargetBytes: options.maxTargetBytes ?? maxHeadBytes,
        acceptHttp10: options.acceptHttp10 ?? true,
        underscores: options.underscores ?? 'allow',
      },
      downstream: options.side === 'downstream',
      highBytes,
      maxRetainBytes: options.maxRetainBytes ?? highBytes,
      idleMs: options.idleTimeoutMs ?? 0,
      headMs: options.headTimeoutMs ?? 0,
      lingerMs: options.lingerMs ?? DEFAULT_LINGER_MS,
      lingerBytes: options.lingerBytes ?? DEFAULT_LINGER_BYTES,
      wire: options.wire,
    });
    return this.#profiles.length - 1;
  }

  async listen(options: ListenOptions, accept: (connection: number, listener: number) => ConnectionHandler | undefined): Promise<Listener> {
    checkListenOptions(options);
    const profile = this.#profileOf(options.profile);
    const handle = this.#nextListener++;
    const path = 'path' in options.address ? options.address.path : undefined;
    const { server, address } = await openListener(options, (accepted) => {
      this.#now = performance.now();
      const onChunk = (chunk: Buffer, isLent: boolean) => this.#onData(connection, chunk, isLent);
      const reader = new SocketReader(this.#readBuffers, onChunk);
      const connection = this.#openSlot(readInto(accepted, reader, onChunk), reader, profile);
      const { socket } = connection;
      connection.info = socketInfo(socket, path, true);
      connection.rx = FIRST_RX[profile.kind];
      this.#attach(connection);
      this.#touch(connection);
      const handler = this.#stopped ? undefined : accept(connection.handle, handle);
      if (handler === undefined) this.#finish(connection, 'local', '');
      else connection.handler = handler;
      this.#wake();
    });
    if (this.#stopped) server.close();
    else this.#servers.set(handle, server);
    return { handle, address };
  }

  unlisten(listener: number): void {
    this.#servers.get(listener)?.close();
    this.#servers.delete(listener);
  }

  connect(options: ConnectOptions, handler: ConnectionHandler): number {
    const profile = this.#profileOf(options.profile);
    const reader = new SocketReader(this.#readBuffers, (chunk, isLent) => this.#onData(connection, chunk, isLent));
    const socket = netConnect({ ...connectOptions(options), onread: reader.onread });
    const connection = this.#openSlot(socket, reader, profile);
    connection.handler = handler;
    connection.connecting = true;
    connection.rx = profile.kind === 'message' ? RX.IDLE : FIRST_RX[profile.kind];
    const path = 'path' in options.address ? options.address.path : undefined;
    const limitMs = options.connectTimeoutMs ?? DEFAULT_CONNECT_MS;
    if (limitMs > 0) {
      connection.endTimer = setTimeout(() => {
        this.#finish(connection, 'connect-timeout', 'ETIMEDOUT');
        this.#wake();
      }, limitMs);
    }
    socket.once('connect', () => {
      if (connection.finished) return;
      this.#now = performance.now();
      clearTimeout(connection.endTimer);
      connection.endTimer = undefined;
      connection.connecting = false;
      connection.info = socketInfo(socket, path, false);
      this.#touch(connection);
      this.#emit(EVENT.CONNECTED, connection);
      this.#markDirty(connection);
      this.#wake();
    });
    this.#attach(connection);
    return connection.handle;
  }

  #profileOf(profile: Profile): NodeProfile {
    const found = this.#profiles[profile];
    if (found === undefined) throw new ConfigError(`no profile ${profile}`);
    return found;
  }

  // ---- slots and sockets ------------------------------------------------------------------------------------------------------------------

  #openSlot(socket: Socket, reader: SocketReader, profile: NodeProfile): NodeConnection {
    const index = this.#free.pop() ?? this.#slots.length;
    if (index > INDEX_MASK) throw new RangeError('too many connections');
    const generation = ((this.#generations[index] ?? 0) + 1) & GENERATION_MASK || 1;
    this.#generations[index] = generation;
    const connection = new NodeConnection(generation * (1 << INDEX_BITS) + index, socket, reader, profile, this.#rooms);
    connection.session = profile.framing?.open(profile.downstream ? 'downstream' : 'upstream', profile.limits);
    connection.frames = framesOf(profile);
    this.#slots[index] = connection;
    this.#open++;
    return connection;
  }

  #find(handle: number): NodeConnection | undefined {
    const connection = this.#slots[handle & INDEX_MASK];
    return connection !== undefined && connection.handle === handle && !connection.finished ? connection : undefined;
  }

  #attach(connection: NodeConnection): void {
    const { socket } = connection;
    socket.on('end', () => {
      if (connection.finished) return;
      this.#now = performance.now();
      connection.input.ended = true;
      this.#wakeWith(connection);
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.#now = performance.now();
      this.#failIo(connection, error.code ?? 'EIO');
      this.#wake();
    });
    socket.on('close', () => {
      if (connection.finished) return;
      this.#now = performance.now();
      this.#finish(
        connection,
        connection.rx === RX.EOF ? 'remote' : connection.rx === RX.LINGER ? 'linger' : connection.closing ? connection.closeReason : 'reset',
        '',
      );
      this.#wake();
    });
  }

  /** `isLent`: the chunk is good until this returns. */
  #onData(connection: NodeConnection, chunk: Buffer, isLent: boolean): void {
    if (connection.finished) return;
    this.#now = performance.now();
    connection.received += chunk.length;
    connection.profile.wire?.received.inc(chunk.length);
    if (connection.closing) {
      if (connection.rx !== RX.LINGER) return;
      connection.lingerLeft -= chunk.length;
      if (connection.lingerLeft <= 0) {
        this.#finish(connection, 'linger', '');
        this.#wake();
      }
      return;
    }
    if (isLent) connection.input.lend(chunk);
    else connection.input.append(chunk);
    try {
      this.#wakeWith(connection);
    } finally {
      connection.keepInput();
    }
  }

  // ---- the queue --------------------------------------------------------------------------------------------------------------------------

  #emit(kind: number, connection: NodeConnection, number = 0, flags = 0, text = '', errno = '', fault?: FramingFault): void {
    this.#events[this.#lastEvent++] = { kind, connection, number, flags, text, errno, fault };
    this.#schedule();
  }
  /** Commands given between two batches: a batch of their own follows when the caller has returned. */
  #schedule(): void {
    if (this.#draining || this.#scheduled) return;
    this.#scheduled = true;
    process.nextTick(this.#drainLater);
  }
  #enqueue(connection: NodeConnection): void {
    if (connection.ready || connection.finished) return;
    connection.ready = true;
    this.#ready.push(connection);
    this.#schedule();
  }
  #markDirty(connection: NodeConnection): void {
    if (connection.dirty || connection.finished) return;
    connection.dirty = true;
    this.#dirty.push(connection);
    if (this.#flushIsScheduled) return;
    this.#flushIsScheduled = true;
    setImmediate(this.#flushLater);
  }
  /** Writes what has gathered. Flushing does not call anybody, but it may end connections, so `#wake` follows. */
  #flushAll(): void {
    const dirty = this.#dirty;
    this.#hasMuch = false;
    for (let i = 0; i < dirty.length; i++) {
      dirty[i].dirty = false;
      this.#flush(dirty[i]);
    }
    dirty.length = 0;
  }

  /** Runs a connection for which something has come in, and all that follows from it. */
  #wakeWith(connection: NodeConnection): void {
    if (!connection.ready && !connection.finished) {
      connection.ready = true;
      this.#ready.push(connection);
    }
    this.#wake();
  }
  /** Delivers and runs until nothing is left. An exception of a handler passes through; the rest goes on in the next tick. */
  #wake(): void {
    if (this.#draining) return;
    this.#draining = true;
    let whole = false;
    try {
      while (true) {
        const event = this.#events[this.#nextEvent];
        if (event !== undefined) {
          this.#events[this.#nextEvent++] = undefined;
          if (this.#nextEvent === this.#lastEvent) this.#nextEvent = this.#lastEvent = 0;
          this.#deliver(event);
          continue;
        }
        if (this.#hasMuch) {
          this.#flushAll();
          continue;
        }
        const ready = this.#ready.pop();
        if (ready === undefined) break;
        ready.ready = false;
        this.#run(ready);
      }
      whole = true;
    } finally {
      this.#draining = false;
      if (!whole) this.#schedule();
    }
  }

  #deliver(event: QueuedEvent): void {
    const { connection } = event;
    const { handle, handler } = connection;
    if (event.kind === EVENT.CLOSED) {
      try {
        if (!this.#stopped) handler?.onClosed(handle, event.text as CloseReason, event.errno);
      } finally {
        const index = handle & INDEX_MASK;
        this.#slots[index] = undefined;
        this.#free.push(index);
      }
      return;
    }
    if (connection.finished || (connection.closing && event.kind !== EVENT.END) || handler === undefined) return;
    switch (event.kind) {
      case EVENT.HEAD:
        if (connection.rx === RX.PENDING && connection.head !== undefined) handler.onHead?.(handle, connection.head);
        return;
      case EVENT.END:
        handler.onEnd?.(handle, event.number, event.flags);
        return;
      case EVENT.CONNECTED:
        handler.onConnected?.(handle);
        return;
      case EVENT.PEEK:
        if (connection.rx === RX.INSPECT) handler.onPeek?.(handle, connection.input.bytes.subarray(connection.input.offset), connection.input.ended);
        return;
      case EVENT.FAULT:
        if (event.fault !== undefined) handler.onFault?.(handle, event.fault);
        return;
      default:
        handler.onTimeout?.(handle, event.text as 'idle' | 'head');
    }
  }

  // ---- input ------------------------------------------------------------------------------------------------------------------------------

  /** Acts on what is unread, and on the peer's FIN behind it, as the state of the input asks for. */
  #run(connection: NodeConnection): void {
    const { input } = connection;
    while (!connection.finished && !connection.paused && !connection.closing) {
      const before = connection.rx;
      if (input.unread > 0 || before === RX.INSPECT) this.#consume(connection);
      if (connection.finished || connection.closing) break;
      // A body that ended made room for what follows; anything else waits for more bytes or a command.
      if (connection.rx !== before) continue;
      if (input.ended && !this.#isStuck(connection)) this.#onEof(connection);
      break;
    }
    this.#updateReading(connection);
  }
  /** Unread bytes wait for the other side, so that the FIN behind them does not count yet. */
  #isStuck(connection: NodeConnection): boolean {
    if (connection.rx === RX.HEAD || connection.rx === RX.FRAMES) return connection.blocked;
    if (connection.rx === RX.BODY) return connection.held || connection.blocked || (connection.sink === undefined && !connection.discard);
    return connection.input.unread > 0;
  }

  #consume(connection: NodeConnection): void {
    const { input } = connection;
    switch (connection.rx) {
      case RX.HEAD:
        if (!connection.blocked) this.#readHead(connection);
        return;
      case RX.BODY:
        if (connection.held || connection.blocked || (connection.sink === undefined && !connection.discard)) return;
        this.#pump(connection, true);
        return;
      case RX.RAW: {
        const { sink } = connection;
        if (sink === undefined || connection.blocked) return;
        this.#touch(connection);
        this.#touch(sink);
        sink.put(input.offset === 0 ? input.bytes : input.bytes.subarray(input.offset), input.isLent);
        input.clear();
        this.#markDirty(sink);
        this.#checkWatermark(connection, sink);
        return;
      }
      case RX.INSPECT:
        if (input.unread > 0 || input.ended) this.#emit(EVENT.PEEK, connection);
        return;
      case RX.FRAMES:
        this.#readFrames(connection);
        return;
      case RX.IDLE:
        this.#finish(connection, 'unexpected', '');
        return;
      default:
    }
  }

  #readFrames(connection: NodeConnection): void {
    const { input, frames } = connection;
    if (frames === undefined) return;
    this.#touch(connection);
    while (connection.rx === RX.FRAMES && !connection.blocked && !connection.paused && !connection.finished && !connection.closing) {
      if (connection.frameLeft > 0) {
        if (input.unread === 0) break;
        this.#pumpFrame(connection);
        continue;
      }
      let frameBytes: number;
      try {
        frameBytes = frames.next(input.bytes, input.offset, input.bytes.length, connection.wantsWhole);
      } catch (cause) {
        this.#fault(connection, cause, 'head');
        return;
      }
      if (frameBytes === 0) break;
      const { isPartial } = frames.frame;
      connection.inFrame = true;
      connection.wantsWhole = false;
      try {
        connection.handler?.onFrame?.(connection.handle, frames.frame);
      } finally {
        connection.inFrame = false;
        if (isPartial && connection.frameLeft === 0) connection.wantsWhole = true;
        else input.offset += frameBytes;
      }
      const own = frames.flush();
      if (own !== undefined) this.write(connection.handle, own);
    }
    if (input.unread === 0) input.clear();
  }

  /** Moves what has come of a frame that is cut through. */
  #pumpFrame(connection: NodeConnection): void {
    const { input, sink } = connection;
    const count = Math.min(connection.frameLeft, input.unread);
    connection.frameLeft -= count;
    if (sink !== undefined) {
      this.#touch(sink);
      sink.put(input.bytes.subarray(input.offset, input.offset + count), input.isLent);
      this.#markDirty(sink);
      if (sink.unsent > MUCH_BYTES) this.#hasMuch = true;
      if (connection.frameLeft === 0) {
        sink.source = undefined;
        connection.sink = undefined;
      } else this.#checkWatermark(connection, sink);
    }
    input.offset += count;
    if (connection.frameLeft === 0) connection.handler?.onEnd?.(connection.handle, 0, FORWARD.DONE);
  }

  sendFrame(from: number, to: number, idLow: number, idHigh: number): boolean {
    const source = this.#find(from);
    const target = this.#find(to);
    if (source?.frames === undefined || !source.inFrame || target === undefined || target.closing) return false;
    // In the middle of a frame.
    if (target.source !== undefined || source.frameLeft > 0) return false;
    if (!this.#hasRoom(target)) {
      // The upstream connection serves others as well: it is this request that fails.
      if (target.isDownstream) this.#failIo(target, 'ENOBUFS');
      return false;
    }
    if (!target.putFrame(source.frames, idLow, idHigh)) target.put(source.frames.withId(idLow, idHigh), true);
    this.#touch(target);
    this.#markDirty(target);
    if (target.unsent > MUCH_BYTES) this.#hasMuch = true;
    const { frame } = source.frames;
    if (frame.isPartial) {
      // It ties the two connections together.
      source.frameLeft = frame.length - frame.raw.length;
      source.sink = target;
      target.source = source;
      return true;
    }
    if (target.queued <= target.profile.highBytes) return true;
    // The upstream connection of others is read on: it is the client's own requests that wait.
    const fed = target.isDownstream ? target : source;
    if (!fed.blocked) {
      fed.blocked = true;
      target.waiters.push(fed);
      this.#updateReading(fed);
    }
    return true;
  }

  /** May one more frame be queued? What waits is what the peer has not taken, this frame not counted: the receiver of a large one has done nothing wrong. */
  #hasRoom(target: NodeConnection): boolean {
    const { highBytes, maxFrameBytes } = target.profile;
    if (target.queued <= highBytes) return true;
    this.#flush(target);
    // A client has asked for all that waits for it: two of the largest frames are no reason to give it up.
    return target.queued <= (target.isDownstream ? 2 * (highBytes + maxFrameBytes) : UPSTREAM_WATERMARKS * highBytes);
  }

  /** The peer's FIN, once everything before it has been dealt with. */
  #onEof(connection: NodeConnection): void {
    switch (connection.rx) {
      case RX.FRAMES:
        this.#finishFlushed(connection, connection.input.unread > 0 || connection.frameLeft > 0 ? 'truncated' : 'remote');
        return;
      case RX.HEAD:
        this.#finishFlushed(connection, connection.session?.midMessage ? 'truncated' : 'remote');
        return;
      case RX.IDLE:
        this.#finish(connection, 'remote', '');
        return;
      case RX.DONE:
        if (!connection.isDownstream) this.#finish(connection, 'remote', '');
        return;
      case RX.BODY:
        // A body until close ends here, and the pump has seen it; whatever is still open was cut short.
        this.#pump(connection, true);
        if (connection.rx === RX.BODY && !connection.finished && !this.#isStuck(connection)) this.#finishFlushed(connection, 'truncated');
        return;
      case RX.RAW:
        if (connection.sink === undefined) return;
        connection.rx = RX.EOF;
        connection.sink.shutAfterFlush = true;
        this.#markDirty(connection.sink);
        return;
      default:
    }
  }

  /** Ends a connection whose last answers may still be on their way out. */
  #finishFlushed(connection: NodeConnection, reason: CloseReason): void {
    if (connection.isDownstream && connection.queued > 0) this.#startClosing(connection, reason);
    else this.#finish(connection, reason, '');
  }

  #updateReading(connection: NodeConnection): void {
    if (connection.finished) return;
    // Frames have a bound of their own, and are taken as soon as they are whole.
    const full =
      connection.rx !== RX.FRAMES && connection.input.unread >= (connection.rx === RX.INSPECT ? INSPECT_BYTES : connection.profile.highBytes);
    connection.setReading(connection.closing || !(connection.paused || connection.blocked || full));
  }

  #readHead(connection: NodeConnection): void {
    const { input, session } = connection;
    if (session === undefined) return;
    let head: Head;
    try {
      const step = session.next(input);
      if (step.kind !== 'head') {
        if (connection.isDownstream && session.midMessage && connection.headTimer === undefined) {
          if (connection.profile.headMs > 0) this.#startHeadTimer(connection);
          else this.#touch(connection);
        }
        return;
      }
      head = step.head;
    } catch (cause) {
      this.#fault(connection, cause, 'head');
      return;
    }
    connection.rx = RX.PENDING;
    connection.head = head;
    connection.keepAlive = head.keepAlive;
    connection.messageBytes = 0;
    connection.contentLength = head.contentLength;
    if (connection.headTimer !== undefined) this.#stopHeadTimer(connection);
    if (connection.isDownstream) {
      connection.request = NodeConnection.requestOf(head);
      connection.clientHttp11 = connection.request.isHttp11;
      connection.expectsContinue = (head.flags & HEAD_FLAG.EXPECT_CONTINUE) !== 0;
    }
    this.#emit(EVENT.HEAD, connection);
  }

  #fault(connection: NodeConnection, cause: unknown, where: 'head' | 'body'): void {
    if (!(cause instanceof CodecError)) throw cause;
    connection.rx = RX.FAULTED;
    connection.closeAfter = true;
    connection.input.clear();
    this.#stopHeadTimer(connection);
    const side = connection.isDownstream ? 'downstream' : 'upstream';
    const status = connection.profile.framing?.statusOf(cause.code, side) ?? 400;
    this.#emit(EVENT.FAULT, connection, 0, 0, '', '', { protocol: cause.protocol, code: cause.code, offset: cause.offset, status, where });
  }

  /** Moves the body on as far as there are bytes and the other side takes them. `announce`: an end found here is told by `onEnd`. */
  #pump(connection: NodeConnection, announce: boolean): void {
    const { input, session } = connection;
    if (session === undefined) return;
    while (connection.rx === RX.BODY) {
      if (connection.blocked && input.unread > 0) return;
      let kind: string;
      let bytes: Uint8Array = NO_BYTES;
      try {
        const step = session.next(input);
        kind = step.kind;
        if (step.kind === 'body') bytes = step.bytes;
        else if (step.kind === 'end') bytes = step.trailers;
      } catch (cause) {
        this.#fault(connection, cause, 'body');
        return;
      }
      if (kind === 'end') {
        this.#bodyDone(connection, bytes, announce);
        return;
      }
      if (kind !== 'body') return;
      connection.messageBytes += bytes.length;
      if (connection.retained !== undefined) this.#retain(connection, bytes);
      const { sink } = connection;
      if (sink === undefined) continue;
      this.#putBody(sink, bytes, input.isLent);
      this.#checkWatermark(connection, sink);
    }
  }

  #retain(connection: NodeConnection, bytes: Uint8Array): void {
    const { retained } = connection;
    if (retained === undefined) return;
    retained.bytes += bytes.length;
    if (retained.bytes > connection.profile.maxRetainBytes) connection.retained = undefined;
    else retained.chunks.push(connection.input.isLent ? Buffer.from(bytes) : bytes);
  }

  #putBody(to: NodeConnection, bytes: Uint8Array, isLent: boolean): void {
    if (bytes.length === 0) return;
    if (to.outFraming === 'chunked' && to.session !== undefined) {
      for (const piece of to.session.encodeBody(bytes, 'chunked')) to.put(piece, isLent);
    } else to.put(bytes, isLent);
    this.#markDirty(to);
  }

  /** Above the other side's watermark nothing more is read here. */
  #checkWatermark(from: NodeConnection, to: NodeConnection): void {
    if (to.unsent > MUCH_BYTES) this.#hasMuch = true;
    if (to.queued > to.profile.highBytes) {
      from.blocked = true;
      this.#updateReading(from);
    }
  }

  /** The last byte of a message has been moved, or thrown away. */
  #bodyDone(from: NodeConnection, trailers: Uint8Array, announce: boolean): void {
    from.rx = RX.DONE;
    from.blocked = false;
    from.held = false;
    const thrownAway = from.discard;
    from.discard = false;
    if (from.retained !== undefined) from.retained.trailers = trailers.length === 0 ? NO_BYTES : trailers.slice();
    const to = from.sink;
    if (to !== undefined) {
      this.#putEnd(to, trailers);
      from.sink = undefined;
      if (!from.isDownstream) this.#exchangeDone(to);
    }
    let flags: number = FORWARD.DONE;
    if (from.isDownstream) {
      if (from.tx === TX.DONE) this.#exchangeDone(from);
    } else if (from.tx === TX.DONE && from.keepAlive && !from.input.ended && !from.closeAfter && from.input.unread === 0) {
      from.rx = RX.IDLE;
      from.tx = TX.IDLE;
      this.#touch(from);
      flags |= FORWARD.REUSABLE;
    }
    this.#movedBytes = from.messageBytes;
    if (announce && !thrownAway) this.#emit(EVENT.END, from, from.messageBytes, flags);
  }

  #putEnd(to: NodeConnection, trailers: Uint8Array): void {
    if (to.outFraming === 'chunked' && to.session !== undefined) {
      to.put(to.session.encodeEnd(trailers, 'chunked'));
      this.#markDirty(to);
    }
    to.tx = TX.DONE;
    to.source = undefined;
  }

  /** Downstream: on to the next request, or to the end, once both directions are through. */
  #exchangeDone(connection: NodeConnection): void {
    if (connection.tx !== TX.DONE || connection.finished || connection.closing) return;
    if (connection.rx === RX.BODY && connection.discard && !connection.closeAfter) return;
    connection.retained = undefined;
    if (connection.rx !== RX.DONE || connection.closeAfter) {
      this.#startClosing(connection, 'local');
      return;
    }
    connection.rx = RX.HEAD;
    connection.tx = TX.IDLE;
    connection.head = undefined;
    clearTimeout(connection.endTimer);
    this.#touch(connection);
    if (connection.queued > connection.profile.highBytes) {
      // A client that asks on and on and takes no answer: its next request is not read before its own output has shrunk.
      connection.source = connection;
      connection.blocked = true;
      this.#updateReading(connection);
    } else if (connection.input.unread > 0 || connection.input.ended) this.#enqueue(connection);
    else this.#updateReading(connection);
  }

  // ---- messages ---------------------------------------------------------------------------------------------------------------------------

  head(handle: number): Head | undefined {
    const connection = this.#find(handle);
    if (connection === undefined) return undefined;
    return connection.rx === RX.PENDING ? connection.head : connection.retained?.head;
  }

  get movedBytes(): number {
    return this.#movedBytes;
  }
  forward(fromHandle: number, toHandle: number, edits: Edits): number {
    const from = this.#find(fromHandle);
    const to = this.#find(toHandle);
    if (from?.session === undefined || to?.session === undefined || from.closing || to.closing || from.isDownstream === to.isDownstream)
      return FORWARD.STALE;
    return from.isDownstream ? this.#forwardRequest(from, to, edits) : this.#forwardResponse(from, to, edits);
  }

  #forwardRequest(from: NodeConnection, to: NodeConnection, edits: Edits): number {
    const again = from.rx !== RX.PENDING;
    const { retained } = from;
    const head = again ? retained?.head : from.head;
    if (head === undefined || (again && from.rx !== RX.BODY && from.rx !== RX.DONE)) return FORWARD.STALE;
    if (from.tx !== TX.IDLE || to.rx !== RX.IDLE || to.tx !== TX.IDLE || to.input.ended || from.session === undefined || to.session === undefined)
      return FORWARD.STALE;
    const flags = edits.ints[EDIT.FLAGS];
    const { contentLength } = head;
    if (!again) {
      const framing = from.session.startBody();
      from.inFraming = framing === 'none' && contentLength === 0 ? 'length' : framing;
    }
    const framing = from.inFraming;
    const close = (flags & EDIT_FLAG.CLOSE) !== 0;
    to.putHead(to.session, head, edits, { framing, contentLength, close, keepAlive: false, upgrade: (flags & EDIT_FLAG.UPGRADE) !== 0 });
    this.#markDirty(to);
    to.request = requestAsSent(from.request, flags);
    to.rx = RX.HEAD;
    to.tx = TX.BODY;
    to.outFraming = framing;
    to.closeAfter = close;
    to.source = from;
    if (from.sink !== undefined) from.sink.source = undefined;
    from.sink = to;
    from.blocked = false;
    if (again && retained !== undefined) {
      for (const chunk of retained.chunks) this.#putBody(to, chunk, false);
      if (from.rx === RX.DONE) {
        this.#movedBytes = from.messageBytes;
        this.#putEnd(to, retained.trailers);
        from.sink = undefined;
        return FORWARD.DONE;
      }
      this.#checkWatermark(from, to);
      this.#enqueue(from);
      return FORWARD.OPEN;
    }
    if ((flags & EDIT_FLAG.RETAIN) !== 0) from.retained = { head: from.copyHead(head), chunks: [], bytes: 0, trailers: NO_BYTES };
    from.head = undefined;
    from.rx = RX.BODY;
    from.held = (flags & EDIT_FLAG.HOLD_BODY) !== 0;
    this.#startBody(from, framing === 'none' || contentLength === 0);
    return this.#rxOf(from) === RX.DONE ? FORWARD.DONE : FORWARD.OPEN;
  }

  #forwardResponse(from: NodeConnection, to: NodeConnection, edits: Edits): number {
    const { head } = from;
    if (from.rx !== RX.PENDING || head === undefined || from.session === undefined || to.session === undefined) return FORWARD.STALE;
    if (to.tx !== TX.IDLE || (to.rx !== RX.BODY && to.rx !== RX.DONE)) return FORWARD.STALE;
    const flags = edits.ints[EDIT.FLAGS];
    const received = head.status;
    const status = edits.ints[EDIT.STATUS] || received;
    if (received === 101 && (flags & EDIT_FLAG.TUNNEL) === 0) return FORWARD.STALE;
    if (received < 200 && received !== 101) {
      from.session.startBody(from.request);
      from.session.next(from.input);
      if (to.clientHttp11) {
        to.putHead(to.session, head, edits, HEAD_ALONE);
        this.#markDirty(to);
        to.source = from;
        this.#checkWatermark(from, to);
      }
      from.head = undefined;
      from.rx = RX.HEAD;
      if (from.input.unread > 0 || from.input.ended) this.#enqueue(from);
      if (status === 100) this.#release(to);
      return FORWARD.DONE;
    }
    to.retained = undefined;
    if ((flags & EDIT_FLAG.TUNNEL) !== 0) {
      to.putHead(to.session, head, edits, received === 101 ? UPGRADED : HEAD_ALONE);
      this.#markDirty(to);
      this.#beginTunnel(from, to);
      return FORWARD.DONE;
    }
    const bodyFraming = from.session.startBody(from.request);
    if (bodyFraming === 'until-close') from.keepAlive = false;
    let framing: BodyFraming = bodyFraming === 'until-close' ? 'chunked' : bodyFraming;
    if (framing === 'chunked' && !to.clientHttp11) framing = 'until-close';
    if (to.rx !== RX.DONE || !to.keepAlive || (flags & EDIT_FLAG.CLOSE) !== 0 || framing === 'until-close') to.closeAfter = true;
    const { contentLength } = head;
    to.putHead(to.session, head, edits, {
      framing,
      contentLength,
      close: to.closeAfter,
      keepAlive: !to.closeAfter && !to.clientHttp11,
      upgrade: false,
    });
    this.#markDirty(to);
    to.tx = TX.BODY;
    to.outFraming = framing;
    to.source = from;
    from.sink = to;
    from.head = undefined;
    from.rx = RX.BODY;
    this.#startBody(from, bodyFraming === 'none' || contentLength === 0);
    const rx = this.#rxOf(from);
    if (rx === RX.IDLE) return FORWARD.DONE | FORWARD.REUSABLE;
    return rx === RX.DONE ? FORWARD.DONE : FORWARD.OPEN;
  }
  /** Read anew: what TypeScript has narrowed may have changed in a call. */
  #rxOf(connection: NodeConnection): number {
    return connection.rx;
  }

  /** Moves what has already arrived of a body whose head was just sent. An end found here is told by `forward`'s answer, not by an event. */
  #startBody(from: NodeConnection, isEmpty: boolean): void {
    // No byte is waited for: the end is there at once, also where the body is held back or reading is paused.
    if (!isEmpty && (from.held || from.paused)) return;
    this.#pump(from, false);
    if (from.rx === RX.BODY && from.input.ended) this.#enqueue(from);
    this.#updateReading(from);
  }

  reply(handle: number, edits: Edits, body: Uint8Array = NO_BYTES): boolean {
    const connection = this.#find(handle);
    if (connection?.session === undefined || !connection.isDownstream || connection.tx !== TX.IDLE || connection.closing) return false;
    const status = edits.ints[EDIT.STATUS];
    if (status < 200) {
      if (connection.clientHttp11) {
        connection.putHead(connection.session, undefined, edits, HEAD_ALONE);
        this.#markDirty(connection);
      }
      connection.expectsContinue = false;
      return true;
    }
    if (connection.rx === RX.HEAD) {
      // A time-out while a head was on its way: answered, then closed.
      connection.closeAfter = true;
      connection.rx = RX.FAULTED;
    }
    if (connection.rx !== RX.PENDING && connection.rx !== RX.BODY && connection.rx !== RX.DONE && connection.rx !== RX.FAULTED) return false;
    this.#stopHeadTimer(connection);
    if (connection.sink !== undefined) connection.sink.source = undefined;
    connection.sink = undefined;
    if (connection.rx === RX.PENDING) {
      connection.inFraming = connection.session.startBody();
      connection.rx = RX.BODY;
    }
    connection.retained = undefined;
    if (connection.rx === RX.BODY) this.#discardBody(connection);
    connection.head = undefined;
    if ((edits.ints[EDIT.FLAGS] & EDIT_FLAG.CLOSE) !== 0 || !connection.keepAlive) connection.closeAfter = true;
    const isBodiless = status === 204 || status === 304;
    const close = connection.closeAfter;
    connection.putHead(connection.session, undefined, edits, {
      framing: isBodiless ? 'none' : 'length',
      contentLength: isBodiless ? -1 : body.length,
      close,
      keepAlive: !close && !connection.clientHttp11,
      upgrade: false,
    });
    // The caller's bytes may change once we have returned, and the output waits for the end of the batch.
    if (!isBodiless && !connection.request.isHead) connection.put(body, true);
    this.#markDirty(connection);
    connection.tx = TX.DONE;
    connection.outFraming = 'none';
    this.#exchangeDone(connection);
    return true;
  }

  /** The rest of a request that was answered here: thrown away where that is cheap, else the connection closes after the answer. */
  #discardBody(connection: NodeConnection): void {
    connection.held = false;
    connection.blocked = false;
    connection.discard = true;
    this.#pump(connection, false);
    if (connection.rx !== RX.BODY) return;
    const leftBytes = connection.contentLength - connection.messageBytes;
    if (connection.contentLength < 0 || leftBytes > connection.profile.lingerBytes || connection.expectsContinue) connection.closeAfter = true;
    else {
      this.#startDiscardTimer(connection);
      this.#enqueue(connection);
    }
  }

  #startDiscardTimer(connection: NodeConnection): void {
    const { lingerMs } = connection.profile;
    if (lingerMs <= 0) return;
    connection.endTimer = setTimeout(() => {
      if (connection.finished || connection.closing || !connection.discard) return;
      this.#startClosing(connection, 'local');
      this.#wake();
    }, lingerMs);
  }

  releaseBody(handle: number): void {
    const connection = this.#find(handle);
    if (connection !== undefined) this.#release(connection);
  }
  #release(connection: NodeConnection): void {
    if (!connection.held) return;
    connection.held = false;
    this.#enqueue(connection);
  }
  canReplay(handle: number): boolean {
    const connection = this.#find(handle);
    return connection !== undefined && connection.tx === TX.IDLE && (connection.retained !== undefined || connection.rx === RX.PENDING);
  }

  // ---- streams ----------------------------------------------------------------------------------------------------------------------------

  openStream(_connection: number, _handler: ConnectionHandler): number {
    return 0;
  }
  ping(_connection: number): void {}
  sendBody(_from: number, _bytes: Uint8Array): boolean {
    return false;
  }
  endBody(_from: number, _trailers?: Uint8Array): boolean {
    return false;
  }

  // ---- raw bytes --------------------------------------------------------------------------------------------------------------------------

  relay(a: number, b: number): void {
    const one = this.#find(a);
    const other = this.#find(b);
    if (one === undefined || other === undefined) return;
    this.#beginTunnel(one, other);
  }
  #beginTunnel(a: NodeConnection, b: NodeConnection): void {
    this.#tie(a, b);
    this.#tie(b, a);
  }
  #tie(one: NodeConnection, other: NodeConnection): void {
    one.rx = RX.RAW;
    one.tx = TX.BODY;
    one.sink = other;
    one.source = other;
    one.blocked = false;
    one.held = false;
    one.head = undefined;
    this.#touch(one);
    this.#enqueue(one);
  }

  write(handle: number, bytes: Uint8Array): boolean {
    const connection = this.#find(handle);
    if (connection === undefined || connection.closing) return false;
    const hasFrames = connection.frames !== undefined;
    if (hasFrames && connection.source !== undefined) return false;
    if (hasFrames && !this.#hasRoom(connection)) {
      this.#failIo(connection, 'ENOBUFS');
      return false;
    }
    connection.put(bytes, true);
    this.#markDirty(connection);
    if (!hasFrames && connection.queued > 2 * connection.profile.highBytes) {
      this.#failIo(connection, 'ENOBUFS');
      return false;
    }
    return connection.queued <= connection.profile.highBytes;
  }

  adopt(handle: number, profile: Profile, skip = 0): void {
    const connection = this.#find(handle);
    const adopted = this.#profiles[profile];
    if (connection === undefined || connection.rx !== RX.INSPECT || adopted === undefined) return;
    connection.profile = adopted;
    // What came while it was looked at is its new owner's.
    adopted.wire?.received.inc(connection.received);
    connection.idleMs = adopted.idleMs;
    connection.input.offset += Math.min(skip, connection.input.unread);
    connection.session = adopted.framing?.open(adopted.downstream ? 'downstream' : 'upstream', adopted.limits);
    connection.frames = framesOf(adopted);
    connection.rx = FIRST_RX[adopted.kind === 'inspect' ? 'raw' : adopted.kind];
    this.#touch(connection);
    this.#enqueue(connection);
  }

  // ---- output -----------------------------------------------------------------------------------------------------------------------------

  #flush(connection: NodeConnection): void {
    if (connection.finished) return;
    // The callback is wanted only where somebody waits for the queue to shrink.
    const isWaited = connection.source?.blocked === true || connection.waiters.length > 0;
    if (connection.unsent > 0) connection.send(isWaited ? () => this.#afterWrite(connection) : undefined);
    if (connection.closing) this.#startLinger(connection);
    else if (connection.shutAfterFlush && !connection.shut) {
      connection.shut = true;
      connection.socket.end();
    }
  }

  #afterWrite(connection: NodeConnection): void {
    const { source } = connection;
    if (connection.finished || connection.queued > connection.profile.highBytes / 2) return;
    this.#now = performance.now();
    this.#releaseWaiters(connection);
    if (source === undefined || !source.blocked) return;
    source.blocked = false;
    this.#enqueue(source);
  }

  #releaseWaiters(connection: NodeConnection): void {
    for (const waiter of connection.waiters.splice(0)) {
      waiter.blocked = false;
      this.#enqueue(waiter);
    }
  }

  // ---- ends -------------------------------------------------------------------------------------------------------------------------------

  close(handle: number, how: 'flush' | 'now' | 'reset'): void {
    const connection = this.#find(handle);
    if (connection === undefined) return;
    if (how === 'flush' && !connection.connecting) {
      if (!connection.closing) this.#startClosing(connection, 'local');
      return;
    }
    // Only TCP has a reset; a socket that is still connecting has nobody to send it to.
    const isTcp = connection.info !== undefined && 'ip' in connection.info.local;
    if (how === 'reset' && isTcp && !connection.connecting && !connection.socket.destroyed) connection.socket.resetAndDestroy();
    this.#finish(connection, 'local', '');
  }

  drain(handle: number): void {
    const connection = this.#find(handle);
    if (connection?.session === undefined) return;
    connection.closeAfter = true;
    const isIdle = connection.rx === RX.HEAD && connection.input.unread === 0 && connection.tx === TX.IDLE;
    if (isIdle && connection.isDownstream) this.#startClosing(connection, 'local');
  }

  /** Nothing more is read; once the queue is out the connection lingers. A peer that takes nothing for `FLUSH_MS` is given up. */
  #startClosing(connection: NodeConnection, reason: CloseReason): void {
    const cut = this.#detach(connection);
    if (cut !== undefined) this.#finish(cut, 'truncated', '');
    connection.closing = true;
    connection.closeReason = reason;
    let seen = connection.queued;
    const check = () => {
      const left = connection.queued;
      if (left >= seen) {
        this.#finish(connection, 'linger', '');
        this.#wake();
        return;
      }
      seen = left;
      connection.endTimer = setTimeout(check, FLUSH_MS);
    };
    connection.clearTimers();
    connection.endTimer = setTimeout(check, FLUSH_MS);
    connection.setReading(true);
    this.#markDirty(connection);
  }

  /** FIN, and the peer gets a while to take the answer before unread bytes would turn the close into a reset (RFC 9112 §9.6). */
  #startLinger(connection: NodeConnection): void {
    if (connection.shut && connection.rx === RX.LINGER) return;
    const { input, profile, socket, rx } = connection;
    const nothingUnread = (rx === RX.DONE || rx === RX.EOF || rx === RX.HEAD) && input.unread === 0;
    const isOver = input.ended || nothingUnread || profile.lingerMs <= 0;
    if (!isOver) {
      connection.rx = RX.LINGER;
      connection.lingerLeft = profile.lingerBytes;
    }
    input.clear();
    const shut = () => {
      if (connection.finished) return;
      if (isOver) {
        this.#finish(connection, connection.closeReason, '');
        this.#wake();
        return;
      }
      clearTimeout(connection.endTimer);
      connection.endTimer = setTimeout(() => {
        this.#finish(connection, 'linger', '');
        this.#wake();
      }, profile.lingerMs);
    };
    connection.shut = true;
    if (socket.writableFinished) shut();
    else {
      socket.once('finish', shut);
      socket.end();
    }
  }

  /** Cuts the ties to the connections it exchanges bytes with; they stay, and whoever decides is told by `onClosed`. */
  /** Unties a connection. Answers the one that has the beginning of a frame whose rest does not come: it is of no use any more, and the caller's to end. */
  #detach(connection: NodeConnection): NodeConnection | undefined {
    const { sink, source } = connection;
    const cut = connection.frameLeft > 0 ? sink : undefined;
    connection.frameLeft = 0;
    if (sink?.source === connection) sink.source = undefined;
    if (source?.sink === connection) {
      source.sink = undefined;
      source.blocked = false;
      // What is left is thrown away.
      if (source.frameLeft > 0) this.#enqueue(source);
    }
    connection.sink = undefined;
    connection.source = undefined;
    return cut;
  }

  #finish(connection: NodeConnection, reason: CloseReason, errno: string): void {
    if (connection.finished) return;
    const cut = this.#detach(connection);
    this.#releaseWaiters(connection);
    connection.finished = true;
    connection.clearTimers();
    connection.dropOutput();
    connection.reader.close();
    connection.input.clear();
    connection.retained = undefined;
    connection.head = undefined;
    if (!connection.socket.destroyed) connection.socket.destroy();
    this.#open--;
    this.#emit(EVENT.CLOSED, connection, 0, 0, reason, errno);
    // After the end of the sender itself, which is the cause.
    if (cut !== undefined) this.#finish(cut, 'truncated', '');
  }

  #failIo(connection: NodeConnection, errno: string): void {
    if (connection.connecting) this.#finish(connection, 'connect-failed', errno);
    else this.#finish(connection, connection.rx === RX.LINGER ? 'linger' : 'reset', errno);
  }

  // ---- time -------------------------------------------------------------------------------------------------------------------------------

  /** Something happened on the connection: its idle time starts anew. The timer itself is moved only when it fires. */
  #touch(connection: NodeConnection): void {
    if (connection.idleMs <= 0) return;
    connection.lastActive = this.#now;
    if (connection.idleTimer === undefined) this.#startIdleTimer(connection, connection.idleMs);
  }
  #startIdleTimer(connection: NodeConnection, delayMs: number): void {
    connection.idleTimer = setTimeout(() => {
      connection.idleTimer = undefined;
      if (connection.finished || connection.closing || connection.idleMs <= 0 || !connection.isBetween) return;
      this.#now = performance.now();
      const leftMs = connection.lastActive + connection.idleMs - this.#now;
      if (leftMs > 1) {
        this.#startIdleTimer(connection, leftMs);
        return;
      }
      this.#emit(EVENT.TIMEOUT, connection, 0, 0, 'idle');
      this.#wake();
    }, delayMs);
  }
  #startHeadTimer(connection: NodeConnection): void {
    if (connection.profile.headMs <= 0) return;
    connection.headTimer = setTimeout(() => {
      connection.headTimer = undefined;
      if (connection.finished || connection.closing || connection.rx !== RX.HEAD) return;
      this.#now = performance.now();
      this.#emit(EVENT.TIMEOUT, connection, 0, 0, 'head');
      this.#wake();
    }, connection.profile.headMs);
  }
  #stopHeadTimer(connection: NodeConnection): void {
    clearTimeout(connection.headTimer);
    connection.headTimer = undefined;
  }

  setIdleTimeout(handle: number, timeoutMs: number): void {
    const connection = this.#find(handle);
    if (connection === undefined) return;
    connection.idleMs = timeoutMs;
    clearTimeout(connection.idleTimer);
    connection.idleTimer = undefined;
    if (connection.isBetween && connection.headTimer === undefined) this.#touch(connection);
  }

  // ---- the rest ---------------------------------------------------------------------------------------------------------------------------

  setHandler(handle: number, handler: ConnectionHandler): void {
    const connection = this.#slots[handle & INDEX_MASK];
    if (connection?.handle === handle) connection.handler = handler;
  }
  pause(handle: number): void {
    const connection = this.#find(handle);
    if (connection === undefined) return;
    connection.paused = true;
    this.#updateReading(connection);
  }
  resume(handle: number): void {
    const connection = this.#find(handle);
    if (connection === undefined || !connection.paused) return;
    connection.paused = false;
    this.#enqueue(connection);
  }
  info(handle: number): ConnectionInfo | undefined {
    return this.#find(handle)?.info;
  }
  traffic(handle: number): Traffic | undefined {
    // A finished connection keeps its slot until `onClosed` has returned.
    const connection = this.#slots[handle & INDEX_MASK];
    if (connection === undefined || connection.handle !== handle) return undefined;
    const traffic = this.#traffic;
    traffic.received = connection.received;
    traffic.queued = connection.queued;
    traffic.sent = connection.written - traffic.queued;
    return traffic;
  }
  get connections(): number {
    return this.#open;
  }

  async shutdown(): Promise<void> {
    this.#stopped = true;
    const closed = [...this.#servers.values()].map((server) => new Promise<void>((resolve) => server.close(() => resolve())));
    this.#servers.clear();
    this.#flushAll();
    for (const connection of this.#slots) if (connection !== undefined) this.#finish(connection, 'local', '');
    this.#wake();
    await Promise.all(closed);
  }
}

const HEAD_ALONE = { framing: 'none', contentLength: -1, close: false, keepAlive: false, upgrade: false } as const;
const UPGRADED = { framing: 'none', contentLength: -1, close: false, keepAlive: false, upgrade: true } as const;

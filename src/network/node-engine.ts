/**
 * The fallback engine: the Engine port on `node:net`, with framing in TypeScript. It is the specification of what the native engine does (STYLE §4), so
 * the states and their names are those of native/engine.cc. It cannot do SO_ORIGINAL_DST, IP_TRANSPARENT, IP_FREEBIND and SO_MARK, nor SO_REUSEPORT on Node
 * 20: options that ask for these throw ConfigError.
 *
 * Messages are moved by node-messages.ts, between the endpoints of node-endpoint.ts: connections (node-connection.ts) and streams (node-stream.ts). What is left
 * here are sockets, handles, the queue of events, raw bytes, frames of codecs, ends and times.
 *
 * ```
 *   downstream   HEAD -> PENDING -> BODY -> DONE -> HEAD ...        every state may end in FAULTED, or in closing and LINGER
 *   upstream     IDLE -> HEAD -> PENDING -> BODY -> IDLE (reusable) or DONE
 *                         ^--- 1xx ----'
 *   raw          INSPECT -> RAW -> EOF
 *   HTTP/2       STREAMS, and each stream as above: downstream from PENDING to DONE, upstream from IDLE to DONE
 * ```
 * What one read of one socket sets off is done at once, in rounds: events are delivered one after the other, then the connections that have become ready
 * are run, until nothing is left. Output is written at the end of the event loop's turn, once for each connection: all that a turn has read is answered
 * before the first write, which saves a third of the system's share of a small request (bench: proxy, scenario small). Much output leaves earlier.
 */
import { connect as netConnect, type Server, type Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import { ConfigError } from '../base/errors.js';
import type { Edits } from '../protocol/edits.js';
import type { Head } from '../protocol/head.js';
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
import { NodeConnection, type NodeProfile, RoomPool } from './node-connection.js';
import { type Endpoint, EVENT, NO_BYTES, RX, TX } from './node-endpoint.js';
import { openListener } from './node-listener.js';
import { Messages } from './node-messages.js';
import { checkListenOptions, connectOptions, knowsReusePort, socketInfo } from './node-options.js';
import { nodeProfile } from './node-profile.js';
import { ReadBuffers, readInto, SocketReader } from './node-reader.js';
import { NodeStream, type StreamSet } from './node-stream.js';
import { Streams, type StreamsCore } from './node-streams.js';

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
/** Slots are used anew only where so many are free: a handle comes again after about a million others. */
const SPARE_SLOTS = 512;
/** One shape for all kinds. `number` is bytes (END) or what the kind is about, `flags` FORWARD bits (END), `text` a close reason, time-out or error, `errno` with CLOSED. */
interface QueuedEvent {
  readonly kind: number;
  readonly endpoint: Endpoint;
  readonly number: number;
  readonly flags: number;
  readonly text: string;
  readonly errno: string;
  readonly fault: FramingFault | undefined;
}

/** What the input of a new connection is at. */
const FIRST_RX = { raw: RX.RAW, inspect: RX.INSPECT, message: RX.HEAD, frames: RX.FRAMES, streams: RX.STREAMS } as const;
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
  readonly #slots: (Endpoint | undefined)[] = [];
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
  readonly #messages: Messages;
  readonly #streams: Streams;
  readonly #rooms = new RoomPool();
  readonly #readBuffers = new ReadBuffers();
  readonly #ready: Endpoint[] = [];
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

  constructor() {
    const engine = this;
    const core: StreamsCore = {
      get now() {
        return engine.now;
      },
      get isQuiet() {
        return engine.#nextEvent === engine.#lastEvent;
      },
      emit: (...event) => this.#emit(...event),
      enqueue: (endpoint) => this.#enqueue(endpoint),
      markDirty: (connection) => this.#markDirty(connection),
      touch: (connection) => this.#touch(connection),
      updateReading: (connection) => this.#updateReading(connection),
      startClosing: (connection, reason) => this.#startClosing(connection, reason),
      finish: (endpoint, reason, errno) => this.#finish(endpoint, reason, errno),
      drain: (connection) => this.#streams.drain(connection),
      wake: () => this.#wake(),
      openStream: (connection, set) => this.#openStream(connection, set),
    };
    this.#messages = new Messages(core);
    this.#streams = new Streams(core, this.#messages);
  }

  get now(): number {
    // Between two batches (a timer of the caller, a promise) the time of the last one may be old.
    if (!this.#draining) this.#now = performance.now();
    return this.#now;
  }

  // ---- configuration ----------------------------------------------------------------------------------------------------------------------

  profile(options: ProfileOptions): Profile {
    const { prefaceProfile } = options;
    this.#profiles.push(nodeProfile(options, prefaceProfile === undefined ? undefined : this.#profileOf(prefaceProfile)));
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
      connection.mayBePreface = profile.preface !== undefined;
      this.#streams.begin(connection, profile);
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
    this.#streams.begin(connection, profile);
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
      this.#streams.startSettingsTimer(connection);
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
    const connection = new NodeConnection(this.#newHandle(), socket, reader, profile, this.#rooms);
    connection.session = profile.framing?.open(profile.downstream ? 'downstream' : 'upstream', profile.limits);
    connection.frames = framesOf(profile);
    this.#slots[connection.handle & INDEX_MASK] = connection;
    this.#open++;
    return connection;
  }
  #openStream(connection: NodeConnection, set: StreamSet): NodeStream {
    const stream = new NodeStream(this.#newHandle(), connection, set);
    this.#slots[stream.handle & INDEX_MASK] = stream;
    return stream;
  }
  #newHandle(): number {
    const isGrowing = this.#free.length < SPARE_SLOTS && this.#slots.length <= INDEX_MASK;
    const index = isGrowing ? this.#slots.length : (this.#free.shift() ?? this.#slots.length);
    if (index > INDEX_MASK) throw new RangeError('too many connections');
    const generation = ((this.#generations[index] ?? 0) + 1) & GENERATION_MASK || 1;
    this.#generations[index] = generation;
    // Taken at once: the next one must not get it.
    this.#slots[index] = undefined;
    return generation * (1 << INDEX_BITS) + index;
  }

  #find(handle: number): Endpoint | undefined {
    const endpoint = this.#slots[handle & INDEX_MASK];
    return endpoint !== undefined && endpoint.handle === handle && !endpoint.finished ? endpoint : undefined;
  }
  #findConnection(handle: number): NodeConnection | undefined {
    const endpoint = this.#find(handle);
    return endpoint instanceof NodeConnection ? endpoint : undefined;
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

  #emit(kind: number, endpoint: Endpoint, number = 0, flags = 0, text = '', errno = '', fault?: FramingFault): void {
    this.#events[this.#lastEvent++] = { kind, endpoint, number, flags, text, errno, fault };
    this.#schedule();
  }
  /** Commands given between two batches: a batch of their own follows when the caller has returned. */
  #schedule(): void {
    if (this.#draining || this.#scheduled) return;
    this.#scheduled = true;
    process.nextTick(this.#drainLater);
  }
  #enqueue(endpoint: Endpoint): void {
    if (endpoint.ready || endpoint.finished) return;
    endpoint.ready = true;
    this.#ready.push(endpoint);
    this.#schedule();
  }
  #markDirty(connection: NodeConnection): void {
    if (connection.finished) return;
    if (connection.unsent > MUCH_BYTES) this.#hasMuch = true;
    if (connection.dirty) return;
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
        if (ready instanceof NodeStream) this.#messages.run(ready);
        else this.#run(ready.carrier);
      }
      whole = true;
    } finally {
      this.#draining = false;
      if (!whole) this.#schedule();
    }
  }

  #deliver(event: QueuedEvent): void {
    const { endpoint, kind } = event;
    const { handle } = endpoint;
    if (kind === EVENT.CLOSED) {
      this.#deliverEnd(endpoint, event);
      return;
    }
    const connection = endpoint.carrier;
    // A message that came to its end before its stream did is told of.
    if (endpoint.finished && !(kind === EVENT.END && endpoint instanceof NodeStream && endpoint.isDone)) return;
    if (connection.closing && kind !== EVENT.END && event.fault?.where !== 'connection') return;
    if (endpoint instanceof NodeStream && endpoint.isNew && !this.#introduce(endpoint)) return;
    const { handler } = endpoint;
    if (handler === undefined) return;
    switch (kind) {
      case EVENT.HEAD:
        if (endpoint.rx === RX.PENDING && endpoint.head !== undefined) handler.onHead?.(handle, endpoint.head);
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
      case EVENT.PROTOCOL:
        handler.onProtocol?.(handle, event.number);
        return;
      case EVENT.STREAM_LIMIT:
        handler.onStreamLimit?.(handle, event.number, event.flags === 1);
        return;
      case EVENT.GO_AWAY:
        handler.onGoAway?.(handle, event.text);
        return;
      case EVENT.PONG:
        handler.onPong?.(handle);
        return;
      default:
        handler.onTimeout?.(handle, event.text as 'idle' | 'head');
    }
  }
  #deliverEnd(endpoint: Endpoint, { text, errno }: QueuedEvent): void {
    const { handle, handler } = endpoint;
    const isStream = endpoint instanceof NodeStream;
    try {
      // Of a stream that nobody has been shown nobody hears.
      if (!this.#stopped && !(isStream && endpoint.isNew)) handler?.onClosed(handle, text as CloseReason, errno);
    } finally {
      const index = handle & INDEX_MASK;
      this.#slots[index] = undefined;
      this.#free.push(index);
      if (isStream && endpoint.id > 0) {
        endpoint.set.codec.release(endpoint.id);
        this.#streams.checkDrained(endpoint.carrier);
      }
    }
  }
  /** Asks who takes the events of a new stream. False: nobody does. */
  #introduce(stream: NodeStream): boolean {
    const { carrier } = stream;
    stream.isNew = false;
    stream.handler = carrier.handler?.onStream?.(carrier.handle, stream.handle);
    if (stream.handler !== undefined) return true;
    this.#streams.refuse(stream);
    return false;
  }

  // ---- input ------------------------------------------------------------------------------------------------------------------------------

  /** Acts on what is unread, and on the peer's FIN behind it, as the state of the input asks for. */
  #run(connection: NodeConnection): void {
    const { input } = connection;
    while (!connection.finished && !connection.paused && !connection.closing) {
      const before = connection.rx;
      if (input.unread > 0 || before === RX.INSPECT || connection.shows !== 0) this.#consume(connection);
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
    if (connection.rx === RX.HEAD || connection.rx === RX.FRAMES || connection.rx === RX.STREAMS) return connection.blocked;
    if (connection.rx === RX.BODY) return connection.held || connection.blocked || !connection.hasSink;
    return connection.input.unread > 0;
  }

  #consume(connection: NodeConnection): void {
    const { input } = connection;
    switch (connection.rx) {
      case RX.HEAD:
        if (!connection.blocked) this.#readHead(connection);
        return;
      case RX.BODY:
        if (connection.held || connection.blocked || !connection.hasSink) return;
        this.#messages.pump(connection, true);
        return;
      case RX.STREAMS:
        this.#streams.read(connection);
        return;
      case RX.RAW: {
        const { sink } = connection;
        if (sink === undefined || connection.blocked) return;
        this.#touch(connection);
        this.#touch(sink.carrier);
        sink.putBody(input.offset === 0 ? input.bytes : input.bytes.subarray(input.offset), input.isLent, false);
        input.clear();
        this.#markDirty(sink.carrier);
        this.#messages.throttle(connection, sink);
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
        this.#messages.fault(connection, cause, 'head');
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
    const { input } = connection;
    const sink = connection.sink?.carrier;
    const count = Math.min(connection.frameLeft, input.unread);
    connection.frameLeft -= count;
    if (sink !== undefined) {
      this.#touch(sink);
      sink.put(input.bytes.subarray(input.offset, input.offset + count), input.isLent);
      this.#markDirty(sink);
      if (connection.frameLeft === 0) {
        sink.source = undefined;
        connection.sink = undefined;
      } else this.#messages.throttle(connection, sink);
    }
    input.offset += count;
    if (connection.frameLeft === 0) connection.handler?.onEnd?.(connection.handle, 0, FORWARD.DONE);
  }

  sendFrame(from: number, to: number, idLow: number, idHigh: number): boolean {
    const source = this.#findConnection(from);
    const target = this.#findConnection(to);
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
      this.#messages.throttle(fed, target);
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
        this.#finishFlushed(connection, connection.session?.midMessage || connection.input.unread > 0 ? 'truncated' : 'remote');
        return;
      case RX.STREAMS:
        this.#streams.letGo(connection);
        this.#streams.endAll(connection, 'reset', '');
        this.#finishFlushed(connection, connection.input.unread > 0 ? 'truncated' : 'remote');
        return;
      case RX.IDLE:
        this.#finish(connection, 'remote', '');
        return;
      case RX.DONE:
        if (!connection.isDownstream && !connection.endWaits && !connection.shownEnd) this.#finish(connection, 'remote', '');
        return;
      case RX.BODY:
        // A body until close ends here, and the pump has seen it; whatever is still open was cut short.
        this.#messages.pump(connection, true);
        if (connection.rx === RX.BODY && !connection.finished && !this.#isStuck(connection)) this.#finishFlushed(connection, 'truncated');
        return;
      case RX.RAW:
        this.#messages.endRaw(connection);
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
      connection.rx !== RX.FRAMES &&
      connection.rx !== RX.STREAMS &&
      connection.input.unread >= (connection.rx === RX.INSPECT ? INSPECT_BYTES : connection.profile.highBytes);
    connection.setReading(connection.closing || !(connection.paused || connection.blocked || full));
  }

  #readHead(connection: NodeConnection): void {
    const { input, session } = connection;
    if (session === undefined) return;
    if (connection.mayBePreface && this.#waitsForPreface(connection)) return;
    let head: Head;
    try {
      const step = session.next(input);
      if (step.kind !== 'head') {
        if (session.midMessage) this.#headHasBegun(connection);
        return;
      }
      head = step.head;
    } catch (cause) {
      this.#messages.fault(connection, cause, 'head');
      return;
    }
    if (connection.headTimer !== undefined) this.#stopHeadTimer(connection);
    this.#messages.present(connection, head);
  }
  #headHasBegun(connection: NodeConnection): void {
    if (!connection.isDownstream || connection.headTimer !== undefined) return;
    if (connection.profile.headMs > 0) this.#startHeadTimer(connection);
    else this.#touch(connection);
  }
  /** The first bytes of a connection that may be one of two protocols. True: it is not HTTP/1, or more bytes have to say so. */
  #waitsForPreface(connection: NodeConnection): boolean {
    const { input } = connection;
    const { preface } = connection.profile;
    if (preface === undefined) return false;
    const count = Math.min(input.unread, preface.bytes.length);
    let same = 0;
    while (same < count && input.bytes[input.offset + same] === preface.bytes[same]) same++;
    if (same < count) {
      connection.mayBePreface = false;
      return false;
    }
    if (count < preface.bytes.length) {
      this.#headHasBegun(connection);
      return true;
    }
    connection.mayBePreface = false;
    this.#stopHeadTimer(connection);
    this.#become(connection, preface.profile);
    this.#emit(EVENT.PROTOCOL, connection, preface.number);
    this.#enqueue(connection);
    return true;
  }
  /** A connection goes on as one of another profile. */
  #become(connection: NodeConnection, profile: NodeProfile): void {
    connection.profile = profile;
    connection.idleMs = profile.idleMs;
    connection.session = profile.framing?.open(profile.downstream ? 'downstream' : 'upstream', profile.limits);
    connection.frames = framesOf(profile);
    connection.rx = FIRST_RX[profile.kind === 'inspect' ? 'raw' : profile.kind];
    connection.mayBePreface = profile.preface !== undefined;
    this.#streams.begin(connection, profile);
    this.#touch(connection);
  }

  // ---- messages ---------------------------------------------------------------------------------------------------------------------------

  head(handle: number): Head | undefined {
    const connection = this.#find(handle);
    if (connection === undefined) return undefined;
    return connection.rx === RX.PENDING ? connection.head : connection.retained?.head;
  }

  get movedBytes(): number {
    return this.#messages.movedBytes;
  }
  forward(fromHandle: number, toHandle: number, edits: Edits): number {
    const from = this.#find(fromHandle);
    const to = this.#find(toHandle);
    return from === undefined || to === undefined ? FORWARD.STALE : this.#messages.forward(from, to, edits);
  }
  reply(handle: number, edits: Edits, body: Uint8Array = NO_BYTES): boolean {
    const endpoint = this.#find(handle);
    return endpoint !== undefined && this.#messages.reply(endpoint, edits, body);
  }
  releaseBody(handle: number): void {
    const endpoint = this.#find(handle);
    if (endpoint !== undefined) this.#messages.release(endpoint);
  }
  sendBody(from: number, bytes: Uint8Array): boolean {
    const endpoint = this.#find(from);
    return endpoint !== undefined && this.#messages.send(endpoint, bytes);
  }
  endBody(from: number, trailers: Uint8Array = NO_BYTES): boolean {
    const endpoint = this.#find(from);
    return endpoint !== undefined && this.#messages.endShown(endpoint, trailers);
  }
  canReplay(handle: number): boolean {
    const endpoint = this.#find(handle);
    return endpoint !== undefined && endpoint.tx === TX.IDLE && (endpoint.retained !== undefined || endpoint.rx === RX.PENDING);
  }

  // ---- streams ----------------------------------------------------------------------------------------------------------------------------

  openStream(handle: number, handler: ConnectionHandler): number {
    const connection = this.#findConnection(handle);
    return connection === undefined ? 0 : (this.#streams.open(connection, handler)?.handle ?? 0);
  }
  request(stream: number, edits: Edits, body: Uint8Array = NO_BYTES): boolean {
    const endpoint = this.#find(stream);
    return endpoint !== undefined && this.#messages.request(endpoint, edits, body);
  }
  show(from: number): boolean {
    const endpoint = this.#find(from);
    return endpoint !== undefined && this.#messages.show(endpoint);
  }
  ping(handle: number): void {
    const connection = this.#findConnection(handle);
    if (connection !== undefined) this.#streams.ping(connection);
  }

  // ---- raw bytes --------------------------------------------------------------------------------------------------------------------------

  relay(a: number, b: number): void {
    const one = this.#findConnection(a);
    const other = this.#findConnection(b);
    if (one !== undefined && other !== undefined) this.#messages.tie(one, other);
  }

  write(handle: number, bytes: Uint8Array): boolean {
    const endpoint = this.#find(handle);
    if (endpoint === undefined || endpoint.carrier.closing) return false;
    if (endpoint instanceof NodeStream) return this.#writeStream(endpoint, bytes);
    const connection = endpoint.carrier;
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

  #writeStream(stream: NodeStream, bytes: Uint8Array): boolean {
    if (!stream.isTunnel || stream.endSent) return false;
    stream.putBody(bytes, true, false);
    this.#markDirty(stream.carrier);
    if (stream.waitingBytes <= 2 * stream.carrier.profile.highBytes) return !stream.isFull;
    this.#streams.close(stream, 'reset');
    return false;
  }

  adopt(handle: number, profile: Profile, skip = 0): void {
    const connection = this.#findConnection(handle);
    const adopted = this.#profiles[profile];
    if (connection === undefined || connection.rx !== RX.INSPECT || adopted === undefined) return;
    // What came while it was looked at is its new owner's.
    adopted.wire?.received.inc(connection.received);
    connection.input.offset += Math.min(skip, connection.input.unread);
    this.#become(connection, adopted);
    this.#enqueue(connection);
  }

  // ---- output -----------------------------------------------------------------------------------------------------------------------------

  #flush(connection: NodeConnection): void {
    if (connection.finished) return;
    // The callback is wanted only where somebody waits for the queue to shrink.
    const { streams } = connection;
    const isWaited = connection.waiters.length > 0 || streams !== undefined;
    if (connection.unsent > 0) connection.send(isWaited ? () => this.#afterWrite(connection) : undefined);
    if (connection.closing) this.#startLinger(connection);
    else if (connection.shutAfterFlush && !connection.shut) {
      connection.shut = true;
      connection.socket.end();
    }
  }

  #afterWrite(connection: NodeConnection): void {
    if (connection.finished) return;
    // On a busy connection there is always something that waits: what counts is that the peer reads.
    connection.streams?.codec.flushed();
    if (connection.queued > connection.profile.highBytes / 2) return;
    this.#now = performance.now();
    this.#streams.flushWaiting(connection);
    this.#messages.resumeWaiters(connection);
  }

  // ---- ends -------------------------------------------------------------------------------------------------------------------------------

  close(handle: number, how: 'flush' | 'now' | 'reset'): void {
    const endpoint = this.#find(handle);
    if (endpoint === undefined) return;
    if (endpoint instanceof NodeStream) {
      this.#streams.close(endpoint, how);
      return;
    }
    const connection = endpoint.carrier;
    if (how === 'flush' && !connection.connecting) {
      if (connection.closing) return;
      this.#streams.abort(connection);
      this.#startClosing(connection, 'local');
      return;
    }
    // Only TCP has a reset; a socket that is still connecting has nobody to send it to.
    const isTcp = connection.info !== undefined && 'ip' in connection.info.local;
    if (how === 'reset' && isTcp && !connection.connecting && !connection.socket.destroyed) connection.socket.resetAndDestroy();
    this.#finish(connection, 'local', '');
  }

  drain(handle: number): void {
    const connection = this.#findConnection(handle);
    if (connection?.streams !== undefined) this.#streams.drain(connection);
    if (connection?.session === undefined) return;
    connection.closeAfter = true;
    const isIdle = connection.rx === RX.HEAD && connection.input.unread === 0 && connection.tx === TX.IDLE;
    if (isIdle && connection.isDownstream) this.#startClosing(connection, 'local');
  }

  /** Nothing more is read; once the queue is out the connection lingers. A peer that takes nothing for `FLUSH_MS` is given up. */
  #startClosing(connection: NodeConnection, reason: CloseReason): void {
    this.#streams.endAll(connection, 'local', '');
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

  /**
   * Cuts the ties to the endpoints it exchanges bytes with; they stay, and whoever decides is told by `onClosed`. Answers the connection that has the beginning of
   * a frame whose rest does not come: it is of no use any more, and the caller's to end.
   */
  #detach(endpoint: Endpoint): NodeConnection | undefined {
    const { sink } = endpoint;
    let cut: NodeConnection | undefined;
    if (!(endpoint instanceof NodeStream)) {
      const connection = endpoint.carrier;
      if (connection.frameLeft > 0) cut = sink?.carrier;
      connection.frameLeft = 0;
    }
    if (sink?.source === endpoint) sink.source = undefined;
    endpoint.sink = undefined;
    const { source } = endpoint;
    this.#messages.cut(endpoint);
    // What is left is thrown away.
    if (source !== undefined && !(source instanceof NodeStream) && source.carrier.frameLeft > 0) this.#enqueue(source);
    return cut;
  }

  #finish(endpoint: Endpoint, reason: CloseReason, errno: string): void {
    if (endpoint.finished) return;
    if (endpoint instanceof NodeStream) {
      endpoint.finished = true;
      endpoint.isDone = reason === 'done';
      this.#detach(endpoint);
      endpoint.retained = undefined;
      endpoint.head = undefined;
      this.#streams.remove(endpoint);
      this.#emit(EVENT.CLOSED, endpoint, 0, 0, reason, errno);
      return;
    }
    const connection = endpoint.carrier;
    if (reason !== 'local') this.#streams.letGo(connection);
    this.#streams.endAll(connection, reason === 'remote' || reason === 'truncated' || reason === 'linger' ? 'reset' : reason, errno);
    const cut = this.#detach(connection);
    connection.finished = true;
    this.#messages.resumeWaiters(connection);
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
    const connection = this.#findConnection(handle);
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
    if (connection instanceof NodeConnection) this.#updateReading(connection);
  }
  resume(handle: number): void {
    const connection = this.#find(handle);
    if (connection === undefined || !connection.paused) return;
    connection.paused = false;
    this.#enqueue(connection);
  }
  info(handle: number): ConnectionInfo | undefined {
    return this.#find(handle)?.carrier.info;
  }
  traffic(handle: number): Traffic | undefined {
    // What is finished keeps its slot until `onClosed` has returned.
    const endpoint = this.#slots[handle & INDEX_MASK];
    if (endpoint === undefined || endpoint.handle !== handle) return undefined;
    const traffic = this.#traffic;
    if (endpoint instanceof NodeStream) {
      traffic.received = endpoint.received;
      traffic.queued = endpoint.waitingBytes;
      traffic.sent = endpoint.sent;
    } else {
      traffic.received = endpoint.carrier.received;
      traffic.queued = endpoint.carrier.queued;
      traffic.sent = endpoint.carrier.sent;
    }
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

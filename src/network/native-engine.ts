/**
 * The engine on the addon (native/engine.h). The addon owns the sockets; here its batches of events become calls of handlers, and commands become
 * direct calls. Nothing is allocated per event but what a handler asks for.
 */
import os from 'node:os';
import type { Addon } from '../base/backend.js';
import { CodecError, ConfigError, ListenError } from '../base/errors.js';
import { type Codec, DEFAULT_MAX_FRAME_BYTES, isScripted, layoutOf, type Side } from '../protocol/codec.js';
import type { Edits } from '../protocol/edits.js';
import { Frame } from '../protocol/frame.js';
import { compileFrameProgram, type FrameProgram, frameFaultCode } from '../protocol/frame-program.js';
import { Head } from '../protocol/head.js';
import { STREAM_ERROR } from '../protocol/stream-table.js';
import type {
  Address,
  CloseReason,
  ConnectionHandler,
  ConnectionInfo,
  ConnectOptions,
  Engine,
  EngineCapabilities,
  FramingFault,
  Listener,
  ListenOptions,
  Profile,
  ProfileOptions,
  SocketOptions,
  Traffic,
} from './engine.js';
import { ScriptedFrames, StorePool } from './scripted-frames.js';

const NO_BYTES = new Uint8Array(0);
/** Memory shared with the addon for heads and peeked bytes; a quarter of it bounds one head. Touched pages alone cost memory. */
const ARENA_BYTES = 48 * 1024 * 1024;
/** Engine::kMaxEvents, words per event. */
const MAX_EVENTS = 512;
const EVENT_WORDS = 6;
const EVENT = {
  ACCEPT: 1,
  CONNECTED: 2,
  HEAD: 3,
  PEEK: 4,
  END: 5,
  FAULT: 6,
  TIMEOUT: 7,
  CLOSED: 8,
  BYTES: 9,
  DRAINED: 10,
  FRAME: 11,
  PROTOCOL: 12,
  STREAM: 13,
  STREAM_LIMIT: 14,
  GO_AWAY: 15,
  PONG: 16,
  BODY: 17,
  TRAILERS: 18,
} as const;
const CLOSE_REASONS: readonly CloseReason[] = [
  'local',
  'remote',
  'reset',
  'truncated',
  'connect-failed',
  'connect-timeout',
  'unexpected',
  'linger',
  'done',
  'refused',
];
/** kFaultIn* and kFaultOf* of the addon. */
const FAULT_WHERE = ['head', 'body', 'stream', 'connection'] as const;
const FAULT_OF_STREAMS = 4;
/** kSendAbove of the addon. */
const SENT_ABOVE = 2;
const REMOTE = CLOSE_REASONS.indexOf('remote');
const CLOSE_HOW = { flush: 0, now: 1, reset: 2, refuse: 3 } as const;
const INDEX_MASK = 0xfffff;
/** FramingKind of the addon; 3 and 4 are those of codecs. */
const FRAMING_KIND: Readonly<Record<string, number | undefined>> = { raw: 0, inspect: 1, http1: 2, http2: 5 };

const DEFAULT_HEAD_BYTES = 61_440;
const DEFAULT_HEADERS = 100;
const DEFAULT_BUFFER_BYTES = 1024 * 1024;
const DEFAULT_LINGER_MS = 1000;
const DEFAULT_LINGER_BYTES = 1024 * 1024;
const DEFAULT_CONNECT_MS = 5000;

/** What `createEngine` of the addon gives (native/engine_binding.cc). */
interface NativeEngine {
  forward(from: number, to: number): number;
  reply(connection: number, body: Uint8Array | undefined): boolean;
  head(connection: number): number;
  releaseBody(connection: number): void;
  canReplay(connection: number): boolean;
  relay(a: number, b: number): void;
  openStream(connection: number): number;
  request(stream: number, body: Uint8Array | undefined): boolean;
  show(from: number): boolean;
  ping(connection: number): void;
  sendBody(from: number, bytes: Uint8Array): boolean;
  endBody(from: number, trailers: Uint8Array | undefined): boolean;
  write(connection: number, bytes: Uint8Array): boolean;
  adopt(connection: number, profile: number, skip: number): void;
  pause(connection: number): void;
  resume(connection: number): void;
  setIdleTimeout(connection: number, ms: number): void;
  drain(connection: number): void;
  /** False: stale. */
  close(connection: number, how: number): boolean;
  info(connection: number): string | undefined;
  listenerAddress(listener: number): string | undefined;
  traffic(connection: number): boolean;
  connections(): number;
  clock(): void;
  faultName(number: number): string;
  bindEdits(ints: Int32Array, bytes: Uint8Array): void;
  profile(...options: (number | Float64Array | Int32Array | undefined)[]): number;
  sendFrame(from: number, to: number, table: number, idLow: number, idHigh: number): number;
  wantWhole(connection: number): void;
  listen(...options: (string | number)[]): number | string;
  connect(...options: (string | number)[]): number;
  unlisten(listener: number): void;
  destroy(): void;
}
type CreateEngine = (arena: Uint8Array, events: Int32Array, clock: Float64Array, deliver: (count: number) => void) => NativeEngine;

/** Makes the native engine of this thread. Throws where the addon cannot join the event loop. */
export function createNativeEngine(addon: Addon): Engine {
  return new SocketEngine(addon.createEngine as unknown as CreateEngine);
}

class SocketEngine implements Engine {
  readonly name = 'native';
  readonly capabilities: EngineCapabilities = { originalDst: true, transparent: true, mark: true, reusePort: true };
  /** What the addon gave: the engine lives as long as it does. */
  readonly #addon: NativeEngine;
  /** Its functions. To V8 the addon's own object is a dictionary, in which it looks up every call. */
  readonly #native: NativeEngine;
  readonly #events = new Int32Array(MAX_EVENTS * EVENT_WORDS);
  /** Now; received, sent and queued bytes of `traffic`; `movedBytes`. */
  readonly #clock = new Float64Array(5);
  readonly #bytes: Uint8Array;
  readonly #head: Head;
  /** By the index part of the handle: who takes the events, and the whole handle (0: none). */
  readonly #handlers: (ConnectionHandler | undefined)[] = [];
  readonly #handles: number[] = [];
  /** 1 from a `close` until its `onClosed`: other events of the same batch are not for anybody any more. */
  #closing = new Uint8Array(1024);
  /** Profiles with frames, and their connections by index. */
  readonly #codecs = new Map<Profile, FrameProfile>();
  readonly #framed: (FramedConnection | undefined)[] = [];
  readonly #stores = new StorePool();
  readonly #listenerProfiles = new Map<number, Profile>();
  readonly #accepts = new Map<number, (connection: number, listener: number) => ConnectionHandler | undefined>();
  readonly #faultNames: string[] = [];
  readonly #traffic: Traffic = { received: 0, sent: 0, queued: 0 };
  /** Callers connect with the same options again and again. */
  readonly #socketNumbers = new WeakMap<ConnectOptions, readonly number[]>();
  #edits: Edits | undefined;
  #inBatch = false;
  /** Word of the batch where the next event starts. */
  #next = 0;
  #closed = false;

  constructor(create: CreateEngine) {
    const arena = new ArrayBuffer(ARENA_BYTES);
    this.#bytes = new Uint8Array(arena);
    this.#head = new Head(this.#bytes, new Int32Array(arena));
    this.#addon = create(this.#bytes, this.#events, this.#clock, (count) => this.#deliver(count));
    this.#native = { ...this.#addon };
  }

  get now(): number {
    // Between two batches (a timer of ours, a promise) the last wake-up's time may be old.
    if (!this.#inBatch) this.#native.clock();
    return this.#clock[0];
  }

  /** An exception of a handler passes through, but not before the other events of the batch: they come only once. */
  #deliver(count: number): void {
    const end = count * EVENT_WORDS;
    this.#inBatch = true;
    this.#next = 0;
    let failure: { readonly cause: unknown } | undefined;
    while (this.#next < end) {
      try {
        this.#handle(end);
      } catch (cause) {
        failure ??= { cause };
      }
    }
    this.#inBatch = false;
    if (failure !== undefined) throw failure.cause;
  }

  #handle(end: number): void {
    const events = this.#events;
    const handlers = this.#handlers;
    for (let at = this.#next; at < end; at += EVENT_WORDS) {
      this.#next = at + EVENT_WORDS;
      const kind = events[at];
      const handle = events[at + 1];
      const index = handle & INDEX_MASK;
      let handler = handlers[index];
      if (this.#closing[index] === 1 && kind !== EVENT.CLOSED) continue;
      if (kind === EVENT.FRAME) {
        this.#onFrame(handle, events[at + 2], handler);
      } else if (kind === EVENT.HEAD) {
        const parent = events[at + 3];
        if (parent !== 0) handler = this.#onStream(parent, handle);
        if (handler === undefined) continue;
        this.#head.base = events[at + 2];
        handler.onHead?.(handle, this.#head);
      } else if (kind === EVENT.END) {
        handler?.onEnd?.(handle, events[at + 3] * 0x1_0000_0000 + (events[at + 2] >>> 0), events[at + 4]);
      } else if (kind === EVENT.CLOSED) {
        handlers[index] = undefined;
        this.#handles[index] = 0;
        this.#closing[index] = 0;
        const framed = this.#framed[index];
        const cutShort = framed?.scripted !== undefined && framed.scripted.kept > 0 && events[at + 2] === REMOTE;
        if (framed !== undefined) this.#endFrames(index, framed);
        const name = events[at + 5] === 0 ? errorName(events[at + 3]) : streamErrorName(events[at + 4] >>> 0);
        handler?.onClosed(handle, cutShort ? 'truncated' : CLOSE_REASONS[events[at + 2]], name);
      } else if (kind === EVENT.ACCEPT) {
        this.#accept(handle, events[at + 2]);
      } else if (kind === EVENT.CONNECTED) {
        handler?.onConnected?.(handle);
      } else if (kind === EVENT.PEEK) {
        const start = events[at + 2];
        handler?.onPeek?.(handle, this.#bytes.subarray(start, start + events[at + 3]), events[at + 4] !== 0);
      } else if (kind === EVENT.FAULT) {
        handler?.onFault?.(handle, this.#fault(this.#framed[index], events[at + 2], events[at + 3], events[at + 4], events[at + 5]));
      } else if (kind === EVENT.TIMEOUT) {
        handler?.onTimeout?.(handle, events[at + 2] === 0 ? 'idle' : 'head');
      } else if (kind === EVENT.BYTES) {
        const start = events[at + 2];
        this.#onBytes(handle, this.#bytes.subarray(start, start + events[at + 3]));
      } else if (kind === EVENT.DRAINED) {
        this.#releaseWaiters(this.#framed[index]);
      } else if (kind === EVENT.BODY) {
        const start = events[at + 2];
        handler?.onBody?.(handle, this.#bytes.subarray(start, start + events[at + 3]));
      } else if (kind === EVENT.TRAILERS) {
        const start = events[at + 2];
        handler?.onTrailers?.(handle, this.#bytes.subarray(start, start + events[at + 3]));
      } else if (kind === EVENT.STREAM) {
        this.#onStream(events[at + 2], handle);
      } else if (kind === EVENT.STREAM_LIMIT) {
        handler?.onStreamLimit?.(handle, events[at + 2], events[at + 3] === 1);
      } else if (kind === EVENT.GO_AWAY) {
        handler?.onGoAway?.(handle, streamErrorName(events[at + 2] >>> 0));
      } else if (kind === EVENT.PONG) {
        handler?.onPong?.(handle);
      } else if (kind === EVENT.PROTOCOL) {
        handler?.onProtocol?.(handle, events[at + 2]);
      }
    }
  }

  // ---- streams ----------------------------------------------------------------------------------------------------------------------------

  /** Asks who takes a new stream; nobody: it is refused. A connection that was closed in this batch has lost its streams already. */
  #onStream(connection: number, stream: number): ConnectionHandler | undefined {
    const parent = connection & INDEX_MASK;
    if (this.#closing[parent] === 1 || this.#handles[parent] !== connection) return undefined;
    let handler: ConnectionHandler | undefined;
    try {
      handler = this.#handlers[parent]?.onStream?.(connection, stream);
    } finally {
      if (handler === undefined) this.#close(stream, CLOSE_HOW.refuse);
      else this.#own(stream, handler);
    }
    return handler;
  }

  // ---- frames -----------------------------------------------------------------------------------------------------------------------------

  #startFrames(connection: number, profile: Profile): void {
    const framing = this.#codecs.get(profile);
    this.#framed[connection & INDEX_MASK] = framing === undefined ? undefined : new FramedConnection(framing, this.#stores);
  }
  #endFrames(index: number, framed: FramedConnection): void {
    this.#framed[index] = undefined;
    framed.scripted?.release();
    this.#releaseWaiters(framed);
  }
  #releaseWaiters(framed: FramedConnection | undefined): void {
    for (const waiter of framed?.waiters.splice(0) ?? []) {
      const index = waiter & INDEX_MASK;
      const held = this.#framed[index];
      if (held === undefined || this.#handles[index] !== waiter) continue;
      held.held = false;
      this.#native.resume(waiter);
      if (held.scripted !== undefined) this.#onBytes(waiter, NO_BYTES);
    }
  }
  #onFrame(connection: number, table: number, handler: ConnectionHandler | undefined): void {
    const framed = this.#framed[connection & INDEX_MASK];
    if (framed === undefined) return;
    const { frame } = framed.framing;
    frame.base = table;
    frame.memo = undefined;
    framed.table = table;
    const { isPartial } = frame;
    framed.isCut = false;
    try {
      handler?.onFrame?.(connection, frame);
    } finally {
      framed.table = -1;
      if (isPartial && !framed.isCut) this.#native.wantWhole(connection);
    }
  }
  #onBytes(connection: number, bytes: Uint8Array): void {
    const index = connection & INDEX_MASK;
    const framed = this.#framed[index];
    const scripted = framed?.scripted;
    if (scripted === undefined || this.#closing[index] === 1) return;
    try {
      scripted.push(bytes, (frame) => {
        if (this.#closing[index] === 0) this.#handlers[index]?.onFrame?.(connection, frame);
        return framed?.held !== true;
      });
    } catch (cause) {
      if (!(cause instanceof CodecError)) throw cause;
      scripted.stop();
      this.#native.pause(connection);
      const { protocol, code, offset } = cause;
      this.#handlers[index]?.onFault?.(connection, { protocol, code, offset, status: 400, where: 'head' });
    }
    const own = scripted.reader.flush();
    if (own !== undefined) this.#native.write(connection, own);
  }
  sendFrame(from: number, to: number, idLow: number, idHigh: number): boolean {
    const source = this.#framed[from & INDEX_MASK];
    const target = this.#framed[to & INDEX_MASK];
    if (source === undefined || target === undefined) return false;
    if (source.scripted === undefined) {
      const sent = source.table < 0 ? 0 : this.#native.sendFrame(from, to, source.table, idLow, idHigh);
      source.isCut = sent !== 0;
      if ((sent & SENT_ABOVE) !== 0) this.#hold(from, source, to, target);
      return sent !== 0;
    }
    if (!source.scripted.inFrame || this.#handles[to & INDEX_MASK] !== to || this.#closing[to & INDEX_MASK] === 1) return false;
    if (!this.#native.write(to, source.scripted.reader.withId(idLow, idHigh))) this.#hold(from, source, to, target);
    return true;
  }
  /** More waits for `to` than its watermark allows. The upstream connection of others is read on: it is the client's own requests that wait. */
  #hold(from: number, source: FramedConnection, to: number, target: FramedConnection): void {
    const [fed, framed] = target.framing.side === 'downstream' ? [to, target] : [from, source];
    if (framed.held) return;
    framed.held = true;
    target.waiters.push(fed);
    this.#native.pause(fed);
  }

  #accept(connection: number, listener: number): void {
    let handler: ConnectionHandler | undefined;
    this.#startFrames(connection, this.#listenerProfiles.get(listener) ?? -1);
    try {
      handler = this.#accepts.get(listener)?.(connection, listener);
    } finally {
      if (handler === undefined) this.#native.close(connection, CLOSE_HOW.now);
      else this.#own(connection, handler);
    }
  }
  #own(connection: number, handler: ConnectionHandler): void {
    const index = connection & INDEX_MASK;
    this.#handlers[index] = handler;
    this.#handles[index] = connection;
  }

  #fault(framed: FramedConnection | undefined, number: number, offset: number, status: number, flags: number): FramingFault {
    const where = FAULT_WHERE[flags & 3];
    if (framed !== undefined) {
      const { codec, program } = framed.framing;
      return { protocol: codec.name, code: program === undefined ? '' : frameFaultCode(number, program), offset, status, where };
    }
    this.#faultNames[number] ??= this.#native.faultName(number);
    return { protocol: (flags & FAULT_OF_STREAMS) === 0 ? 'http1' : 'http2', code: this.#faultNames[number], offset, status, where };
  }

  openStream(connection: number, handler: ConnectionHandler): number {
    const stream = this.#native.openStream(connection);
    if (stream !== 0) this.#own(stream, handler);
    return stream;
  }
  request(stream: number, edits: Edits, body?: Uint8Array): boolean {
    if (edits !== this.#edits) this.#bind(edits);
    return this.#native.request(stream, body);
  }
  show(from: number): boolean {
    return this.#native.show(from);
  }
  ping(connection: number): void {
    this.#native.ping(connection);
  }
  sendBody(from: number, bytes: Uint8Array): boolean {
    return this.#native.sendBody(from, bytes);
  }
  endBody(from: number, trailers?: Uint8Array): boolean {
    return this.#native.endBody(from, trailers);
  }

  profile(options: ProfileOptions): Profile {
    const { framing } = options;
    const frames = typeof framing !== 'string' && 'framing' in framing ? this.#frameProfile(framing, options) : undefined;
    const streams = typeof framing !== 'string' && 'connect' in framing ? framing : undefined;
    const kind = frames === undefined ? FRAMING_KIND[typeof framing === 'string' ? framing : framing.name] : frames.program === undefined ? 3 : 4;
    if (kind === undefined || (kind === FRAMING_KIND.http2) !== (streams !== undefined)) {
      throw new ConfigError(`the native engine has no framing ${typeof framing === 'string' ? framing : framing.name}`);
    }
    const maxHeadBytes = options.maxHeadBytes ?? DEFAULT_HEAD_BYTES;
    const bufferBytes = options.bufferLimitBytes ?? DEFAULT_BUFFER_BYTES;
    const profile = this.#native.profile(
      kind,
      options.side === 'downstream' ? 0 : 1,
      maxHeadBytes,
      options.maxHeaders ?? DEFAULT_HEADERS,
      options.maxTargetBytes ?? maxHeadBytes,
      (options.acceptHttp10 ?? true) ? 1 : 0,
      { allow: 0, reject: 1, drop: 2 }[options.underscores ?? 'allow'],
      bufferBytes,
      options.maxRetainBytes ?? bufferBytes,
      options.idleTimeoutMs ?? 0,
      options.headTimeoutMs ?? 0,
      options.lingerMs ?? DEFAULT_LINGER_MS,
      options.lingerBytes ?? DEFAULT_LINGER_BYTES,
      options.wire?.received.cells,
      options.wire?.received.index ?? 0,
      options.wire?.sent.cells,
      options.wire?.sent.index ?? 0,
      frames?.program?.words,
      frames?.program?.codes.length ?? 0,
      frames?.maxFrameBytes ?? 0,
      options.cutThroughBytes ?? 0,
      streams === undefined ? undefined : (options.streamOptions ?? streams.options({})),
      options.prefaceProfile ?? -1,
    );
    if (frames !== undefined) this.#codecs.set(profile, frames);
    if (profile < 0)
      throw new ConfigError(
        `a head or frame of ${Math.max(maxHeadBytes, frames?.maxFrameBytes ?? 0)} bytes is larger than the engine can show (${ARENA_BYTES / 4})`,
      );
    return profile;
  }

  #frameProfile(codec: Codec, { side, maxFrameBytes }: ProfileOptions): FrameProfile {
    const layout = layoutOf(codec);
    return {
      codec,
      side,
      maxFrameBytes: maxFrameBytes ?? codec.maxFrameBytes ?? DEFAULT_MAX_FRAME_BYTES,
      program: isScripted(codec.framing) ? undefined : compileFrameProgram(layout),
      frame: new Frame(layout, this.#bytes, this.#head.ints),
    };
  }

  async listen(options: ListenOptions, accept: (connection: number, listener: number) => ConnectionHandler | undefined): Promise<Listener> {
    const [ip, port, path] = parts(options.address);
    const result = this.#native.listen(
      ip,
      port,
      path,
      options.profile,
      options.originalDst === true ? 1 : 0,
      options.maxAcceptsPerWake ?? 64,
      options.backlog ?? 1024,
      options.reusePort === true ? 1 : 0,
      options.dualStack === true ? 1 : 0,
      options.mode ?? -1,
      ...socketNumbers(options),
    );
    if (typeof result === 'string') {
      const [call, errno] = result.split(' ');
      const code = errorName(Number(errno));
      throw new ListenError(code, ip === '' ? path : `${ip}:${port}`, `${call}: ${systemText(Number(errno))}`);
    }
    this.#accepts.set(result, accept);
    this.#listenerProfiles.set(result, options.profile);
    const [localIp, localPort, localPath] = (this.#native.listenerAddress(result) ?? '').split('\n');
    return {
      handle: result,
      address: localIp === '' || localIp === undefined ? { path: localPort || localPath || path } : { ip: localIp, port: Number(localPort) },
    };
  }

  unlisten(listener: number): void {
    this.#accepts.delete(listener);
    this.#listenerProfiles.delete(listener);
    this.#native.unlisten(listener);
  }

  connect(options: ConnectOptions, handler: ConnectionHandler): number {
    const [ip, port, path] = parts(options.address);
    const connection = this.#native.connect(
      ip,
      port,
      path,
      options.profile,
      options.connectTimeoutMs ?? DEFAULT_CONNECT_MS,
      options.source?.ip ?? '',
      options.source?.port ?? 0,
      ...this.#numbersOf(options),
    );
    if (connection === 0)
      throw new ConfigError(`no connection to ${ip}${path} from ${options.source?.ip ?? 'any'}: not an address, or too many connections and streams`);
    this.#own(connection, handler);
    this.#startFrames(connection, options.profile);
    return connection;
  }

  #numbersOf(options: ConnectOptions): readonly number[] {
    let numbers = this.#socketNumbers.get(options);
    if (numbers === undefined) {
      numbers = socketNumbers(options);
      this.#socketNumbers.set(options, numbers);
    }
    return numbers;
  }

  setHandler(connection: number, handler: ConnectionHandler): void {
    const index = connection & INDEX_MASK;
    if (this.#handles[index] === connection) this.#handlers[index] = handler;
  }

  head(connection: number): Head | undefined {
    const base = this.#native.head(connection);
    return base < 0 ? undefined : new Head(this.#bytes, this.#head.ints, base);
  }

  get movedBytes(): number {
    return this.#clock[4];
  }
  forward(from: number, to: number, edits: Edits): number {
    if (edits !== this.#edits) this.#bind(edits);
    return this.#native.forward(from, to);
  }
  reply(connection: number, edits: Edits, body?: Uint8Array): boolean {
    if (edits !== this.#edits) this.#bind(edits);
    return this.#native.reply(connection, body);
  }
  #bind(edits: Edits): void {
    this.#edits = edits;
    this.#native.bindEdits(edits.ints, edits.bytes);
  }

  releaseBody(from: number): void {
    this.#native.releaseBody(from);
  }
  canReplay(connection: number): boolean {
    return this.#native.canReplay(connection);
  }
  relay(a: number, b: number): void {
    this.#native.relay(a, b);
  }
  write(connection: number, bytes: Uint8Array): boolean {
    return this.#native.write(connection, bytes);
  }
  adopt(connection: number, profile: Profile, skip = 0): void {
    this.#startFrames(connection, profile);
    this.#native.adopt(connection, profile, skip);
  }
  pause(connection: number): void {
    this.#native.pause(connection);
  }
  resume(connection: number): void {
    this.#native.resume(connection);
  }
  setIdleTimeout(connection: number, timeoutMs: number): void {
    this.#native.setIdleTimeout(connection, timeoutMs);
  }
  drain(connection: number): void {
    this.#native.drain(connection);
  }
  close(connection: number, how: 'flush' | 'now' | 'reset'): void {
    this.#close(connection, CLOSE_HOW[how]);
  }
  #close(connection: number, how: number): void {
    const index = connection & INDEX_MASK;
    if (index >= this.#closing.length) {
      const larger = new Uint8Array(2 * index);
      larger.set(this.#closing);
      this.#closing = larger;
    }
    if (this.#native.close(connection, how)) this.#closing[index] = 1;
  }

  info(connection: number): ConnectionInfo | undefined {
    const text = this.#native.info(connection);
    if (text === undefined) return undefined;
    const [localIp, localPort, remoteIp, remotePort, originalIp, originalPort] = text.split('\n');
    return {
      local: address(localIp, localPort),
      remote: address(remoteIp, remotePort),
      ...(originalPort === undefined ? {} : { originalDst: address(originalIp, originalPort) }),
    };
  }

  traffic(connection: number): Traffic | undefined {
    if (!this.#native.traffic(connection)) return undefined;
    this.#traffic.received = this.#clock[1];
    this.#traffic.sent = this.#clock[2];
    this.#traffic.queued = this.#clock[3];
    return this.#traffic;
  }
  get connections(): number {
    return this.#closed ? 0 : this.#native.connections();
  }

  async shutdown(): Promise<void> {
    this.#closed = true;
    this.#addon.destroy();
  }
}

/** A codec's framing as one profile has it. Without `program` it runs in JavaScript. */
interface FrameProfile {
  readonly codec: Codec;
  readonly side: Side;
  readonly maxFrameBytes: number;
  readonly program: FrameProgram | undefined;
  /** The view of every frame in the arena. */
  readonly frame: Frame;
}
/** What is kept of a connection with frames. */
class FramedConnection {
  readonly framing: FrameProfile;
  readonly scripted: ScriptedFrames | undefined;
  /** Word where the table of the frame starts whose `onFrame` runs; -1: none. */
  table = -1;
  /** That frame was sent on. */
  isCut = false;
  /** Not read until the output of another one has shrunk. */
  held = false;
  /** Connections that are held until this one's output has shrunk. */
  readonly waiters: number[] = [];

  constructor(framing: FrameProfile, stores: StorePool) {
    this.framing = framing;
    this.scripted = framing.program === undefined ? new ScriptedFrames(framing.codec, framing.side, framing.maxFrameBytes, stores) : undefined;
  }
}

/** "ip", "port" or "", "path". */
const address = (ip: string, portOrPath: string): Address => (ip === '' ? { path: portOrPath ?? '' } : { ip, port: Number(portOrPath) });

const parts = (target: Address): [ip: string, port: number, path: string] => ('path' in target ? ['', 0, target.path] : [target.ip, target.port, '']);

const socketNumbers = (options: SocketOptions): number[] => [
  options.noDelay === false ? 0 : 1,
  options.keepAlive === undefined ? 0 : 1,
  options.keepAlive?.idleS ?? 0,
  options.keepAlive?.intervalS ?? 0,
  options.keepAlive?.probes ?? 0,
  options.mark ?? -1,
  options.transparent === true ? 1 : 0,
  options.freebind === true ? 1 : 0,
];

const ERROR_NAMES = new Map(Object.entries(os.constants.errno).map(([name, number]) => [number, name]));
/** `ECONNRESET` and so on; empty for 0. */
const errorName = (errno: number): string => (errno === 0 ? '' : (ERROR_NAMES.get(errno) ?? `errno ${errno}`));
const STREAM_ERROR_NAMES = new Map<number, string>(Object.entries(STREAM_ERROR).map(([name, number]) => [number, name]));
/** `CANCEL` and so on. */
const streamErrorName = (error: number): string => STREAM_ERROR_NAMES.get(error) ?? `0x${error.toString(16)}`;
const systemText = (errno: number): string => SYSTEM_TEXT[errorName(errno)] ?? errorName(errno);
/** The few failures of opening a listener that a user meets. */
const SYSTEM_TEXT: Readonly<Record<string, string>> = {
  EADDRINUSE: 'the address is in use by another process',
  EADDRNOTAVAIL: 'no interface of this machine has the address',
  EACCES: 'permission denied (ports below 1024 need CAP_NET_BIND_SERVICE)',
  EPERM: 'operation not permitted (the option needs CAP_NET_ADMIN)',
  EINVAL: 'not a valid address or option',
  ENOENT: 'the folder of the socket file does not exist',
};

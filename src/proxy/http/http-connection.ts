/** A downstream HTTP connection: what its requests share. They themselves are `HttpStream`s, one after the other in HTTP/1, many at the same time in HTTP/2. */
import type { CloseReason, ConnectionHandler, ConnectionInfo, FramingFault, Profile } from '../../network/engine.js';
import type { Head } from '../../protocol/head.js';
import { PingWatch } from '../../stream/ping-watch.js';
import type { TimerOwner } from '../../stream/timers.js';
import type { ProxyContext } from '../context.js';
import type { HttpManager } from './http-manager.js';
import { HttpStream, type StreamOwner } from './http-stream.js';

/** The listener that a connection came from. */
export interface ConnectionHome {
  /** Changes whenever the configuration of the listener does. */
  readonly generation: number;
  /** The manager for a connection under the present configuration; undefined where none fits any more. */
  managerOf(connection: HttpConnection): HttpManager | undefined;
  /** Objects for streams that are over, for the next ones of any connection. */
  readonly freeStreams: HttpStream[];
  closed(connection: HttpConnection, lengthMs: number): void;
  /** While true, `closesAfterResponse` is asked for each request. */
  readonly isDraining: boolean;
  /** Draws whether a request is the last of its connection. */
  closesAfterResponse(): boolean;
}

const TIMER = { LIFE: 0, DRAIN: 1 } as const;
/** Stream objects kept for further requests. */
const MAX_FREE_STREAMS = 512;

/** See the head of this file. */
export class HttpConnection implements ConnectionHandler, StreamOwner, TimerOwner {
  readonly handle: number;
  readonly #context: ProxyContext;
  readonly #home: ConnectionHome;
  #manager: HttpManager;
  #generation: number;
  readonly #startedAt: number;
  #info: ConnectionInfo | undefined = undefined;
  #id = 0;
  #requests = 0;
  /** Old enough: the next response is the last. */
  #isLeaving = false;
  /** HTTP/2: its client knows. To tell it twice would give up on what is on its way to us (`Engine.drain`). */
  #isTold = false;
  #timer = 0;
  /** The requests of HTTP/1. */
  #stream: HttpStream | undefined = undefined;
  /** The version in the statistics; 0: not known yet. */
  #version = 0;
  /** Streams of HTTP/2 that are not gone. */
  #open = 0;
  /** When the last requests were lost with it, and how. */
  #lostAt = -1;
  #pings: PingWatch | undefined = undefined;

  constructor(context: ProxyContext, home: ConnectionHome, manager: HttpManager, handle: number) {
    this.#context = context;
    this.#home = home;
    this.#manager = manager;
    this.#generation = home.generation;
    this.handle = handle;
    this.#startedAt = context.now;
    const { stats, config } = manager;
    stats.cxTotal.inc();
    stats.cxActive.inc();
    if (config.codec !== 'auto') this.#begin(config.codec === 'http2' ? 2 : 1);
    if (config.maxConnectionDurationMs > 0) this.#timer = context.wheel.start(this.#startedAt + config.maxConnectionDurationMs, this, TIMER.LIFE);
  }

  get info(): ConnectionInfo | undefined {
    this.#info ??= this.#context.engine.info(this.handle);
    return this.#info;
  }
  get id(): number {
    if (this.#id === 0) this.#id = this.#context.nextConnectionId++;
    return this.#id;
  }
  get chainName(): string {
    return this.#manager.chainName;
  }
  get manager(): HttpManager {
    return this.#manager;
  }
  get isHttp2(): boolean {
    return this.#version === 2;
  }
  get isActive(): boolean {
    return this.#open > 0 || this.#stream?.isActive === true;
  }

  // ---- events ---------------------------------------------------------------------------------------------------------------------------

  onProtocol(_connection: number, _profile: Profile): void {
    this.#begin(2);
  }
  onStream(_connection: number, stream: number): ConnectionHandler {
    this.#open++;
    return (this.#home.freeStreams.pop() ?? new HttpStream(this.#context, this, stream)).bind(this, stream);
  }
  onHead(connection: number, head: Head): void {
    this.#http1().onHead(connection, head);
  }
  onBody(connection: number, bytes: Uint8Array): void {
    this.#stream?.onBody(connection, bytes);
  }
  onTrailers(connection: number, trailers: Uint8Array): void {
    this.#stream?.onTrailers(connection, trailers);
  }
  onEnd(connection: number, bytes: number): void {
    this.#stream?.onEnd(connection, bytes);
  }
  onFault(connection: number, fault: FramingFault): void {
    if (this.#version !== 2) {
      this.#http1().onFault(connection, fault);
      return;
    }
    // The engine has answered it.
    this.#manager.stats.cxProtocolError.inc();
    this.#manager.http2Stats.count(fault.code);
  }
  onPong(): void {
    this.#pings?.answered();
  }
  onTimeout(_connection: number, which: 'idle' | 'head'): void {
    if (this.isActive) return;
    if (which === 'head') {
      this.#http1().headTimeout();
      return;
    }
    this.#manager.stats.cxIdleTimeout.inc();
    this.#context.engine.close(this.handle, 'flush');
  }
  onClosed(connection: number, reason: CloseReason, errno: string): void {
    const local = reason === 'local' || reason === 'linger';
    this.#stream?.onClosed(connection, reason, errno);
    this.#pings?.stop();
    this.#context.wheel.stop(this.#timer);
    const { stats } = this.#manager;
    const { now } = this.#context;
    stats.cxDestroy.inc();
    (local ? stats.cxDestroyLocal : stats.cxDestroyRemote).inc();
    if (this.#lostAt === now) {
      stats.cxDestroyActiveRq.inc();
      (local ? stats.cxDestroyLocalActiveRq : stats.cxDestroyRemoteActiveRq).inc();
    }
    const lengthMs = Math.max(0, now - this.#startedAt);
    stats.cxActive.dec();
    this.#count(this.#manager, -1);
    stats.cxLengthMs.record(lengthMs);
    this.#home.closed(this, lengthMs);
  }

  /** No further request on this connection. */
  drain(): void {
    if (this.#isTold) return;
    this.#isTold = this.#version === 2;
    this.#manager.stats.cxDrainClose.inc();
    this.#context.engine.drain(this.handle);
  }

  // ---- requests -------------------------------------------------------------------------------------------------------------------------

  #http1(): HttpStream {
    if (this.#version === 0) this.#begin(1);
    this.#stream ??= new HttpStream(this.#context, this, this.handle);
    return this.#stream;
  }
  beginRequest(): HttpManager {
    if (this.#home.generation !== this.#generation) this.#takeNewConfiguration();
    if (this.#home.isDraining && this.#home.closesAfterResponse()) this.drain();
    this.#requests++;
    return this.#manager;
  }
  get isLastRequest(): boolean {
    if (this.#isTold) return false;
    if (this.#isLeaving) return true;
    const { maxRequestsPerConnection } = this.#manager.config;
    if (maxRequestsPerConnection === 0 || this.#requests < maxRequestsPerConnection) return false;
    this.#isTold = this.#version === 2;
    this.#manager.stats.cxMaxRequestsReached.inc();
    return true;
  }
  streamLost(): void {
    this.#lostAt = this.#context.now;
  }
  streamEnded(stream: HttpStream): void {
    this.#open--;
    const { freeStreams } = this.#home;
    if (freeStreams.length < MAX_FREE_STREAMS) freeStreams.push(stream);
  }

  // ---- the connection -------------------------------------------------------------------------------------------------------------------

  /** Its protocol is known. */
  #begin(version: 1 | 2): void {
    const manager = this.#manager;
    this.#version = version;
    this.#count(manager, 1);
    (version === 2 ? manager.stats.cxHttp2Total : manager.stats.cxHttp1Total).inc();
    const { keepAlive } = manager.config;
    if (keepAlive !== undefined && version === 2)
      this.#pings = new PingWatch(this.#context.engine, this.#context.wheel, this.handle, keepAlive, () => manager.http2Stats.keepAliveTimeout.inc());
  }
  #count({ stats }: HttpManager, delta: 1 | -1): void {
    if (this.#version !== 0) (this.#version === 2 ? stats.cxHttp2Active : stats.cxHttp1Active).inc(delta);
  }

  onTimer(kind: number, now: number): void {
    this.#context.timerFired(now);
    this.#timer = 0;
    if (kind === TIMER.LIFE) {
      this.#manager.stats.cxMaxDurationReached.inc();
      this.#isLeaving = true;
      // A request may be on its way to us: an idle connection is told with the next response, or closed when the time to drain is over. That of HTTP/2 is told now.
      if (this.#version === 2) this.drain();
      if (this.#version === 2 || !this.isActive)
        this.#timer = this.#context.wheel.start(now + this.#manager.config.drainTimeoutMs, this, TIMER.DRAIN);
    } else if (this.#version === 2) this.#context.engine.drain(this.handle);
    else if (!this.isActive) this.drain();
  }

  #takeNewConfiguration(): void {
    const old = this.#manager;
    this.#generation = this.#home.generation;
    const manager = this.#home.managerOf(this);
    if (manager === undefined) {
      // Nothing there for it any more: this request is its last.
      this.drain();
      return;
    }
    if (manager === old) return;
    this.#manager = manager;
    if (manager.stats !== old.stats) {
      old.stats.cxActive.dec();
      this.#count(old, -1);
      manager.stats.cxActive.inc();
      this.#count(manager, 1);
    }
    if (manager.config.idleTimeoutMs !== old.config.idleTimeoutMs) this.#context.engine.setIdleTimeout(this.handle, manager.config.idleTimeoutMs);
  }
}

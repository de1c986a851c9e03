import type { StatsStore } from '../base/stats.js';
import type { Engine } from '../network/engine.js';
import { Edits } from '../protocol/edits.js';
import type { Framing } from '../protocol/framing.js';
import { TrailerLines } from '../protocol/grpc/trailer-lines.js';
import type { StreamFraming } from '../protocol/stream-framing.js';
import { TimerWheel } from '../stream/timers.js';
import type { ClusterManager } from './cluster/cluster-manager.js';
import { DateLine } from './http/date-line.js';
import { RequestIds } from './http/request-id.js';
import type { ConnectionCounts } from './listener/connection-count.js';
import type { PoolContext } from './router/host-pools.js';
import { Profiles } from './router/profiles.js';
import { RpcView } from './rpc/rpc-view.js';
import type { RouteInput } from './runtime.js';

/** What the proxy says to the log. */
export interface ProxyLog {
  debug(message: string): void;
  info(message: string): void;
  warning(message: string): void;
  error(message: string): void;
}

/** `RouteInput` that is filled anew for each request. */
export type MutableRouteInput = { -readonly [K in keyof RouteInput]: RouteInput[K] };

/** The built-in state machines of HTTP. */
export interface HttpFramings {
  readonly http1: Framing;
  readonly http2: StreamFraming;
}

/** What all connections of a worker share. */
export class ProxyContext implements PoolContext {
  readonly engine: Engine;
  readonly stats: StatsStore;
  readonly log: ProxyLog;
  readonly clusters: ClusterManager;
  readonly profiles: Profiles;
  readonly wheel: TimerWheel;
  /** Framings of HTTP connections, down and up: of HTTP/1 and of HTTP/2. */
  readonly framing: Framing;
  readonly streamFraming: StreamFraming;
  /** The changes of the message in hand: filled and used within one callback. */
  readonly edits = new Edits();
  /** Reads the trailers in hand. */
  readonly trailerLines = new TrailerLines();
  /** The frame in hand, as routing sees it. */
  readonly rpcView = new RpcView();
  readonly requestIds = new RequestIds();
  readonly date = new DateLine();
  readonly routeInput: MutableRouteInput = { host: '', path: '', scheme: 'http', isConnect: false, upgrade: '', random: 0 };
  /** `x-envoy-upstream-service-time: N\r\n` and the like, made when first needed. */
  readonly lines = new NumberLines();
  nextConnectionId = 1;
  readonly connectionCounts: ConnectionCounts;
  /** Downstream connections of the whole process (`RuntimeConfig.maxConnections`). */
  maxConnections = Number.POSITIVE_INFINITY;
  #timerNow = 0;

  constructor(
    engine: Engine,
    stats: StatsStore,
    log: ProxyLog,
    clusters: ClusterManager,
    framings: HttpFramings,
    connectionCounts: ConnectionCounts,
  ) {
    this.engine = engine;
    this.stats = stats;
    this.log = log;
    this.clusters = clusters;
    this.profiles = new Profiles(engine);
    this.wheel = new TimerWheel(engine);
    this.framing = framings.http1;
    this.streamFraming = framings.http2;
    this.connectionCounts = connectionCounts;
  }

  /** Milliseconds on the engine's clock; also right inside a timer, where the engine has not looked at its clock. */
  get now(): number {
    return Math.max(this.engine.now, this.#timerNow);
  }
  /** Tells the time a timer fired at. */
  timerFired(now: number): void {
    if (now > this.#timerNow) this.#timerNow = now;
  }
}

/** Ready-made header lines with a small number as value. */
export class NumberLines {
  readonly #serviceTime: (Uint8Array | undefined)[] = [];
  readonly #expectedTimeout = new Map<number, Uint8Array>();
  /** The one asked for last: most routes of a worker have the same. */
  #lastTimeout = -1;
  #lastTimeoutLine: Uint8Array = new Uint8Array(0);

  /** `ms`: a whole number >= 0. */
  serviceTime(ms: number): Uint8Array {
    if (ms >= 1024) return encode('x-envoy-upstream-service-time', ms);
    let bytes = this.#serviceTime[ms];
    if (bytes === undefined) {
      bytes = encode('x-envoy-upstream-service-time', ms);
      this.#serviceTime[ms] = bytes;
    }
    return bytes;
  }
  expectedTimeout(ms: number): Uint8Array {
    if (ms !== this.#lastTimeout) {
      this.#lastTimeout = ms;
      this.#lastTimeoutLine = this.#timeoutLine(ms);
    }
    return this.#lastTimeoutLine;
  }
  #timeoutLine(ms: number): Uint8Array {
    let bytes = this.#expectedTimeout.get(ms);
    if (bytes === undefined) {
      bytes = encode('x-envoy-expected-rq-timeout-ms', ms);
      // Bounded: a client may name any timeout.
      if (this.#expectedTimeout.size < 64) this.#expectedTimeout.set(ms, bytes);
    }
    return bytes;
  }
}

const encode = (name: string, value: number) => Uint8Array.from(Buffer.from(`${name}: ${value}\r\n`, 'latin1'));

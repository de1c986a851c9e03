import type { Counter, Histogram } from '../../base/stats.js';
import type { Address, CloseReason, ConnectionHandler, ConnectionInfo, Listener, Profile } from '../../network/engine.js';
import type { Codec } from '../../protocol/codec.js';
import type { Detectable } from '../../protocol/detect.js';
import type { TimerOwner } from '../../stream/timers.js';
import { RESPONSE_FLAG } from '../access-log/response-flags.js';
import type { ProxyContext } from '../context.js';
import { DrainSequence, type DrainStrategy } from '../drain-sequence.js';
import { type ConnectionHome, HttpConnection } from '../http/http-connection.js';
import { HttpManager } from '../http/http-manager.js';
import type { HttpStream } from '../http/http-stream.js';
import { emptyRecord } from '../http/log-record.js';
import { RpcConnection, type RpcHome } from '../rpc/rpc-connection.js';
import { type DetectionHome, RpcDetection } from '../rpc/rpc-detection.js';
import { RpcManager } from '../rpc/rpc-manager.js';
import { HTTP1, TLS } from '../rpc/told-apart.js';
import type { ChainInput, FilterChain, ListenerConfig } from '../runtime.js';
import { TcpConnection, type TcpHome, TcpManager } from '../tcp-proxy.js';
import type { ConnectionCount } from './connection-count.js';
import { ConnectionLimit, takeAll } from './connection-limit.js';
import { readHttpHello } from './http-hello.js';
import { type ClientHello, MAX_CLIENT_HELLO_BYTES, readClientHello } from './tls-hello.js';

/** What a filter chain is at work. */
export type ChainRuntime = HttpManager | TcpManager | RpcManager;
/** A connection that a listener has handed on. */
export type DownstreamConnection = HttpConnection | TcpConnection | RpcConnection;

/** Statistics of a listener, `listener.<address>.` (Envoy, "Listener: statistics"). */
class ListenerStats {
  readonly cxTotal: Counter;
  readonly cxActive: Counter;
  readonly cxDestroy: Counter;
  readonly cxLengthMs: Histogram;
  /** Refused: this listener's bound, and the bound of the process. */
  readonly cxOverflow: Counter;
  readonly globalCxOverflow: Counter;
  readonly noFilterChainMatch: Counter;
  readonly preCxTimeout: Counter;
  readonly preCxActive: Counter;

  constructor(context: ProxyContext, config: ListenerConfig) {
    const prefix = `listener.${config.statPrefix}.`;
    this.cxTotal = context.stats.counter(`${prefix}downstream_cx_total`);
    this.cxActive = context.stats.gauge(`${prefix}downstream_cx_active`);
    this.cxDestroy = context.stats.counter(`${prefix}downstream_cx_destroy`);
    this.cxLengthMs = context.stats.histogram(`${prefix}downstream_cx_length_ms`);
    this.cxOverflow = context.stats.counter(`${prefix}downstream_cx_overflow`);
    this.globalCxOverflow = context.stats.counter(`${prefix}downstream_global_cx_overflow`);
    this.noFilterChainMatch = context.stats.counter(`${prefix}no_filter_chain_match`);
    this.preCxTimeout = context.stats.counter(`${prefix}downstream_pre_cx_timeout`);
    this.preCxActive = context.stats.gauge(`${prefix}downstream_pre_cx_active`);
  }
}

/** What a chain is chosen by. Addresses are asked of the engine only when a matcher looks at them. */
class LazyChainInput implements ChainInput {
  readonly #context: ProxyContext;
  readonly #connection: number;
  #info: ConnectionInfo | undefined = undefined;
  serverName = '';
  transportProtocol: ChainInput['transportProtocol'] = 'raw_buffer';
  applicationProtocols: readonly string[] = [];

  constructor(context: ProxyContext, connection: number) {
    this.#context = context;
    this.#connection = connection;
  }
  get info(): ConnectionInfo | undefined {
    this.#info ??= this.#context.engine.info(this.#connection);
    return this.#info;
  }
  get local(): Address {
    return this.info?.originalDst ?? this.info?.local ?? { path: '' };
  }
  get remote(): Address {
    return this.info?.remote ?? { path: '' };
  }
  get directRemote(): Address {
    return this.remote;
  }
}

const NO_LIMITS: readonly ConnectionLimit[] = [];

/** Finds the listener that a redirected connection was meant for. */
export type FindListener = (address: Address) => ActiveListener | undefined;

/** A listener at work: its sockets, its connections, and the configuration that new connections and next requests get. */
export class ActiveListener implements ConnectionHome, TcpHome, RpcHome, DetectionHome {
  readonly name: string;
  readonly #context: ProxyContext;
  readonly #find: FindListener;
  readonly #stats: ListenerStats;
  readonly #inspectProfile: Profile;
  readonly #connections = new Set<DownstreamConnection>();
  readonly #inspections = new Set<Inspection>();
  readonly #detections = new Map<RpcDetection, readonly ConnectionLimit[]>();
  readonly freeStreams: HttpStream[] = [];
  #config: ListenerConfig;
  #chains: Map<FilterChain, ChainRuntime>;
  /** Limits of chains that have some, and of the connections that count towards them. */
  readonly #limits = new Map<FilterChain, readonly ConnectionLimit[]>();
  readonly #limited = new Map<DownstreamConnection, readonly ConnectionLimit[]>();
  #sockets: Listener[] = [];
  #generation = 1;
  readonly #count: ConnectionCount;
  /** Draining for good: connections end as soon as they can. */
  #draining = false;
  /** A graceful drain: requests draw whether their connection ends with them. */
  #sequence: DrainSequence | undefined;
  #isHealthy = true;
  readonly #onEmpty: (() => void)[] = [];

  constructor(context: ProxyContext, config: ListenerConfig, find: FindListener) {
    this.name = config.name;
    this.#context = context;
    this.#find = find;
    this.#config = config;
    this.#stats = new ListenerStats(context, config);
    this.#count = context.connectionCounts.of(config.name);
    this.#chains = this.#makeChains(config);
    // A socket keeps its profile and outlives configurations: connections begin as inspected ones and become what their chain says.
    this.#inspectProfile = context.profiles.get({
      framing: 'inspect',
      side: 'downstream',
      bufferLimitBytes: Math.max(config.bufferLimitBytes, MAX_CLIENT_HELLO_BYTES),
    });
  }

  get config(): ListenerConfig {
    return this.#config;
  }
  get generation(): number {
    return this.#generation;
  }
  get addresses(): readonly Address[] {
    return this.#sockets.map((socket) => socket.address);
  }
  get connectionCount(): number {
    return this.#connections.size + this.#inspections.size + this.#detections.size;
  }

  /** Opens the sockets; all or none. Throws ListenError or ConfigError. */
  async open(): Promise<void> {
    const { config } = this;
    if (!config.bindToPort) return;
    const { engine } = this.#context;
    try {
      for (const address of config.addresses) {
        // Envoy's default is on; an engine without it runs one worker, which needs none.
        const reusePort = config.socket.reusePort === true && engine.capabilities.reusePort;
        const options = { ...config.socket, reusePort, address, profile: this.#inspectProfile };
        const socket = await engine.listen(options, (connection) => this.#accept(connection));
        this.#sockets.push(socket);
      }
    } catch (error) {
      this.stop();
      throw error;
    }
  }
  /** Takes a new configuration for the same sockets: connections accepted, and requests begun, from now on get it. */
  update(config: ListenerConfig): void {
    this.#chains = this.#makeChains(config);
    this.#limits.clear();
    this.#config = config;
    this.#generation++;
  }
  /** Closes the sockets; connections live on. */
  stop(): void {
    for (const socket of this.#sockets.splice(0)) this.#context.engine.unlisten(socket.handle);
  }
  /** Something may end a connection with its next response: `closesAfterResponse` has to be asked. */
  get isDraining(): boolean {
    return this.#sequence !== undefined || (!this.#isHealthy && this.#config.drainsUnhealthy);
  }
  /** Draws for one request whether it is the last of its connection. */
  closesAfterResponse(): boolean {
    if (!this.#isHealthy && this.#config.drainsUnhealthy) return true;
    return this.#sequence?.closes(this.#context.now) === true;
  }
  /** The health check is made to fail, or passes again. */
  setHealthy(isHealthy: boolean): void {
    this.#isHealthy = isHealthy;
  }
  /**
   * From now on requests are the last of their connection by the strategy; idle connections stay, new ones are taken. A drain that is under way goes on.
   * Answers the deadline on the engine's clock.
   */
  drainGracefully(strategy: DrainStrategy, durationMs: number): number {
    this.#sequence ??= new DrainSequence(strategy, this.#context.now, durationMs);
    // Where many requests share a connection its client can be told between two of them.
    if (strategy === 'immediate') for (const connection of [...this.#connections]) if (isShared(connection)) connection.drain();
    return this.#sequence.deadline;
  }
  /** Tells every connection that its present request is its last; idle ones are closed. */
  drain(): void {
    this.#draining = true;
    for (const connection of [...this.#connections]) if (!(connection instanceof TcpConnection)) connection.drain();
    for (const { handle } of [...this.#inspections, ...this.#detections.keys()]) this.#context.engine.close(handle, 'now');
  }
  /** Calls back once no connection is left. */
  whenEmpty(callback: () => void): void {
    this.#onEmpty.push(callback);
    this.#checkEmpty();
  }
  /** Closes what is still there. */
  closeConnections(): void {
    for (const connection of [...this.#connections]) this.#context.engine.close(connection.handle, 'now');
    for (const { handle } of [...this.#inspections, ...this.#detections.keys()]) this.#context.engine.close(handle, 'now');
  }

  rpcManagerOf(connection: RpcConnection): RpcManager | undefined {
    const runtime = this.#currentRuntime(connection);
    return runtime instanceof RpcManager && runtime.config.codecs.includes(connection.codec) ? runtime : undefined;
  }
  managerOf(connection: HttpConnection): HttpManager | undefined {
    const runtime = this.#currentRuntime(connection);
    if (runtime instanceof RpcManager) return runtime.http;
    return runtime instanceof HttpManager ? runtime : undefined;
  }
  /** What a connection would get now. */
  #currentRuntime(connection: { readonly handle: number; readonly chainName: string }): ChainRuntime | undefined {
    const named = this.#config.chains.filter((chain) => chain.name !== '' && chain.name === connection.chainName);
    const chain = named.length === 1 ? named[0] : this.#config.matchChain(new LazyChainInput(this.#context, connection.handle));
    return chain === undefined ? undefined : this.#runtimeOf(chain);
  }
  closed(connection: DownstreamConnection, lengthMs: number): void {
    this.#connections.delete(connection);
    for (const limit of this.#limited.get(connection) ?? NO_LIMITS) limit.give();
    this.#limited.delete(connection);
    this.#countClosed(lengthMs);
    this.#checkEmpty();
  }

  #limitsOf(chain: FilterChain): readonly ConnectionLimit[] {
    if (chain.connectionLimits.length === 0) return NO_LIMITS;
    let limits = this.#limits.get(chain);
    if (limits === undefined) {
      limits = chain.connectionLimits.map((config) => new ConnectionLimit(this.#context, config));
      this.#limits.set(chain, limits);
    }
    return limits;
  }
  #makeChains(config: ListenerConfig): Map<FilterChain, ChainRuntime> {
    return new Map(config.chains.map((chain) => [chain, this.#makeChain(config, chain)]));
  }
  #makeChain(config: ListenerConfig, chain: FilterChain): ChainRuntime {
    const { filter } = chain;
    if (filter.kind === 'http') return new HttpManager(this.#context, config, chain, filter);
    return filter.kind === 'rpc' ? new RpcManager(this.#context, config, chain, filter) : new TcpManager(this.#context, config, chain, filter);
  }
  /** The runtime of a chain; a default chain need not be listed among the others. */
  #runtimeOf(chain: FilterChain): ChainRuntime {
    let runtime = this.#chains.get(chain);
    if (runtime === undefined) {
      runtime = this.#makeChain(this.#config, chain);
      this.#chains.set(chain, runtime);
    }
    return runtime;
  }

  #accept(connection: number): ConnectionHandler | undefined {
    const { connectionCounts, maxConnections } = this.#context;
    if (!connectionCounts.all.take(this.#config.ignoresGlobalLimit ? Number.POSITIVE_INFINITY : maxConnections)) {
      this.#stats.globalCxOverflow.inc();
      return undefined;
    }
    const input = new LazyChainInput(this.#context, connection);
    // The listener that it was meant for takes it, with its bound and statistics.
    const target = this.#config.useOriginalDst && input.info?.originalDst !== undefined ? this.#find(input.info.originalDst) : undefined;
    return (target ?? this).#take(connection, input);
  }
  #take(connection: number, input: LazyChainInput): ConnectionHandler | undefined {
    const { inspect, maxConnections } = this.#config;
    if (!this.#count.take(maxConnections)) {
      this.#stats.cxOverflow.inc();
      this.#context.connectionCounts.all.give();
      return undefined;
    }
    this.#stats.cxTotal.inc();
    this.#stats.cxActive.inc();
    if (inspect.tls || inspect.http) {
      const inspection = new Inspection(this.#context, this, connection, input, this.#config);
      this.#inspections.add(inspection);
      this.#stats.preCxActive.inc();
      return inspection;
    }
    return this.#openChain(connection, input);
  }

  #openChain(connection: number, input: LazyChainInput): ConnectionHandler | undefined {
    const { engine } = this.#context;
    const chain = this.#config.matchChain(input);
    const runtime = chain === undefined ? undefined : this.#runtimeOf(chain);
    if (runtime === undefined) {
      this.#stats.noFilterChainMatch.inc();
      this.#logRefused(input);
      this.#countClosed(0);
      return undefined;
    }
    const limits = this.#limitsOf(chain as FilterChain);
    if (!takeAll(limits)) {
      this.#countClosed(0);
      return undefined;
    }
    if (runtime instanceof RpcManager) return this.#openRpc(connection, runtime, limits);
    engine.adopt(connection, runtime.profile);
    if (runtime instanceof HttpManager) return this.#begin(new HttpConnection(this.#context, this, runtime, connection), limits);
    const made = this.#begin(new TcpConnection(this.#context, this, runtime, connection), limits);
    made.start();
    return made;
  }
  /** A connection is what it is from now on. */
  #begin<C extends DownstreamConnection>(made: C, limits: readonly ConnectionLimit[]): C {
    this.#connections.add(made);
    if (limits.length > 0) this.#limited.set(made, limits);
    if (this.#draining && !(made instanceof TcpConnection)) made.drain();
    return made;
  }

  #openRpc(connection: number, manager: RpcManager, limits: readonly ConnectionLimit[]): ConnectionHandler {
    if (!manager.detects) return this.#adoptRpc(connection, manager, manager.config.codecs[0], limits);
    const detection = new RpcDetection(this, manager, connection);
    this.#detections.set(detection, limits);
    return detection;
  }
  #adoptRpc(connection: number, manager: RpcManager, codec: Codec, limits: readonly ConnectionLimit[]): RpcConnection {
    this.#context.engine.adopt(connection, manager.profileOf(codec));
    manager.stats.cxOf.get(codec.name)?.inc();
    return this.#begin(new RpcConnection(this, manager, codec, connection), limits);
  }
  detected(detection: RpcDetection, found: Detectable | undefined): void {
    const { engine } = this.#context;
    const { manager, handle } = detection;
    const { http, fallback, stats } = manager;
    const limits = this.#detections.get(detection) ?? NO_LIMITS;
    this.#detections.delete(detection);
    const codec = manager.config.codecs.find((candidate) => candidate === found);
    if (codec !== undefined) {
      engine.setHandler(handle, this.#adoptRpc(handle, manager, codec, limits));
      return;
    }
    if ((found === HTTP1 || found === manager.http2) && http !== undefined) {
      (found === HTTP1 ? stats.cxHttp1 : stats.cxHttp2).inc();
      engine.adopt(handle, http.profile);
      engine.setHandler(handle, this.#begin(new HttpConnection(this.#context, this, http, handle), limits));
      return;
    }
    (found === TLS ? stats.cxTls : stats.cxUndetected).inc();
    if (fallback === undefined) {
      this.#detections.set(detection, limits);
      this.detectionEnded(detection);
      engine.close(handle, 'now');
      return;
    }
    engine.adopt(handle, fallback.profile);
    const made = this.#begin(new TcpConnection(this.#context, this, fallback, handle), limits);
    engine.setHandler(handle, made);
    made.start();
  }
  detectionEnded(detection: RpcDetection): void {
    for (const limit of this.#detections.get(detection) ?? NO_LIMITS) limit.give();
    this.#detections.delete(detection);
    this.#countClosed(0);
    this.#checkEmpty();
  }

  /** From an inspection: what the connection is has been found out (or its time is over). */
  inspected(inspection: Inspection, input: LazyChainInput): void {
    this.#forget(inspection);
    const handler = this.#openChain(inspection.handle, input);
    if (handler === undefined) this.#context.engine.close(inspection.handle, 'now');
    else this.#context.engine.setHandler(inspection.handle, handler);
  }
  /** From an inspection: the connection is gone, or was given up. */
  inspectionEnded(inspection: Inspection, timedOut: boolean): void {
    this.#forget(inspection);
    if (timedOut) this.#stats.preCxTimeout.inc();
    this.#countClosed(0);
    this.#checkEmpty();
  }
  #forget(inspection: Inspection): void {
    if (this.#inspections.delete(inspection)) this.#stats.preCxActive.dec();
  }

  #countClosed(lengthMs: number): void {
    this.#count.give();
    this.#context.connectionCounts.all.give();
    this.#stats.cxActive.dec();
    this.#stats.cxDestroy.inc();
    this.#stats.cxLengthMs.record(lengthMs);
  }
  #checkEmpty(): void {
    if (this.connectionCount > 0) return;
    for (const callback of this.#onEmpty.splice(0)) callback();
  }
  #logRefused(input: LazyChainInput): void {
    if (this.#config.accessLogs.length === 0) return;
    const record = emptyRecord();
    record.startTime = Date.now();
    record.start = this.#context.now;
    record.end = record.start;
    record.flags = RESPONSE_FLAG.NR;
    record.details = 'filter_chain_not_found';
    record.downstreamLocal = input.local;
    record.downstreamRemote = input.remote;
    record.downstreamDirectRemote = input.directRemote;
    for (const log of this.#config.accessLogs) log.log(record);
  }
}

/** A connection that carries many requests at once, and has a word for its end. */
const isShared = (connection: DownstreamConnection): connection is RpcConnection | HttpConnection =>
  connection instanceof RpcConnection || (connection instanceof HttpConnection && connection.isHttp2);

/** A connection whose first bytes are looked at: TLS by its ClientHello, HTTP by its request line. Bounded in bytes and time, and by the peer's FIN. */
class Inspection implements ConnectionHandler, TimerOwner {
  readonly handle: number;
  readonly #context: ProxyContext;
  readonly #listener: ActiveListener;
  readonly #input: LazyChainInput;
  readonly #config: ListenerConfig;
  #timer = 0;
  #done = false;

  constructor(context: ProxyContext, listener: ActiveListener, handle: number, input: LazyChainInput, config: ListenerConfig) {
    this.#context = context;
    this.#listener = listener;
    this.handle = handle;
    this.#input = input;
    this.#config = config;
    if (config.inspect.timeoutMs > 0) this.#timer = context.wheel.start(context.now + config.inspect.timeoutMs, this, 0);
  }

  onPeek(_connection: number, bytes: Uint8Array, ended: boolean): void {
    if (this.#done) return;
    const { inspect } = this.#config;
    const isFull = ended || bytes.length >= MAX_CLIENT_HELLO_BYTES;
    let hello: ClientHello | 'more' | undefined;
    if (inspect.tls) {
      hello = readClientHello(bytes);
      if (hello === 'more' && !isFull) return;
      if (hello !== undefined && hello !== 'more') {
        this.#input.transportProtocol = 'tls';
        this.#input.serverName = hello.serverName;
        this.#input.applicationProtocols = hello.applicationProtocols;
        this.#finish();
        return;
      }
    }
    if (inspect.http) {
      const protocol = readHttpHello(bytes);
      if (protocol === 'more' && !isFull) return;
      if (protocol !== undefined && protocol !== 'more') this.#input.applicationProtocols = [protocol];
    }
    this.#finish();
  }
  onTimer(_kind: number, now: number): void {
    this.#context.timerFired(now);
    this.#timer = 0;
    if (this.#done) return;
    if (this.#config.inspect.continueOnTimeout) {
      this.#finish();
      return;
    }
    this.#done = true;
    this.#listener.inspectionEnded(this, true);
    this.#context.engine.close(this.handle, 'now');
  }
  onClosed(_connection: number, _reason: CloseReason): void {
    this.#context.wheel.stop(this.#timer);
    if (this.#done) return;
    this.#done = true;
    this.#listener.inspectionEnded(this, false);
  }
  #finish(): void {
    this.#done = true;
    this.#context.wheel.stop(this.#timer);
    this.#listener.inspected(this, this.#input);
  }
}

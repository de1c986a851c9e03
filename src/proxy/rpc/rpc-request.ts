/**
 * The life of one RPC request:
 * ```
 *   begin ─ route ─ cluster ─ host ─┬─> SENT ── onResponse ──> answered           onUpstreamLost, timeout ──> BACKOFF ──> host, or a local reply
 *                                   └─> WAITING (for a connection) ──> SENT
 * ```
 * Hot path: objects are reused; no closure, promise or object is made for a request that meets an open connection.
 * Every end goes through `#end`: counted once, logged once, its place on the upstream connection given back.
 */
import type { CloseReason } from '../../network/engine.js';
import { frameWithId, layoutOf } from '../../protocol/codec.js';
import { Frame } from '../../protocol/frame.js';
import type { RpcUpstream, RpcUser } from '../../stream/rpc/rpc-upstream.js';
import type { TimerOwner } from '../../stream/timers.js';
import type { LogRecord } from '../access-log/access-log.js';
import { RESPONSE_FLAG } from '../access-log/response-flags.js';
import type { Cluster } from '../cluster/cluster.js';
import type { Host } from '../cluster/host.js';
import { closeText } from '../http/local-reply.js';
import { emptyRecord } from '../http/log-record.js';
import { lowerAscii } from '../route/matchers.js';
import { poolsOf } from '../router/host-pools.js';
import { type ResetKind, RetryState } from '../router/retry.js';
import type { ClusterChoice, ForwardAction, MirrorPolicy, Route } from '../runtime.js';
import type { RpcConnection } from './rpc-connection.js';
import type { RpcManager } from './rpc-manager.js';
import { RpcMirror } from './rpc-mirror.js';
import type { RpcView } from './rpc-view.js';
import { statusOf } from './status-of.js';

const PHASE = { IDLE: 0, WAITING: 1, BACKOFF: 2, SENT: 3 } as const;
const TIMER = { ROUTE: 1, TRY: 2, RETRY: 3 } as const;
/** What a local reply may look at of its request. */
const HEAD_BYTES = 512;

/** See the head of this file. */
export class RpcRequest implements RpcUser, TimerOwner {
  readonly #manager: RpcManager;
  readonly #retry = new RetryState();
  #connection: RpcConnection | undefined = undefined;
  idLow = 0;
  idHigh = 0;
  upstreamId = 0;
  #phase: number = PHASE.IDLE;
  #oneway = false;
  #start = 0;
  #bytes = 0;
  #responseBytes = 0;
  /** Of the response as it came. */
  #upstreamBytes = 0;
  /** The request's fields, and the first of its bytes. */
  #head: Frame | undefined = undefined;
  /** All of it, where it may have to be sent later or again. */
  #kept: Frame | undefined = undefined;
  /** For the access log. */
  #service = '';
  #method = '';
  #view: RpcView | undefined = undefined;
  #responseView: RpcView | undefined = undefined;
  #route: Route | undefined = undefined;
  #action: ForwardAction | undefined = undefined;
  #choice: ClusterChoice | undefined = undefined;
  #cluster: Cluster | undefined = undefined;
  #host: Host | undefined = undefined;
  #upstream: RpcUpstream | undefined = undefined;
  #attempts = 0;
  #attemptOpen = false;
  #retryHeld = false;
  #tried: Host[] | undefined = undefined;
  #routeTimer = 0;
  #tryTimer = 0;
  #upstreamStart = -1;
  #details = '';
  #flags = 0;
  #transportFailure = '';

  constructor(manager: RpcManager) {
    this.#manager = manager;
  }

  /** Begins with the frame whose callback runs. */
  begin(connection: RpcConnection, frame: Frame, oneway: boolean): void {
    const manager = this.#manager;
    const { context } = manager;
    this.#take(connection, frame, oneway);
    this.#count(frame);
    let timeoutMs: number;
    try {
      timeoutMs = this.#decide(frame);
    } catch (cause) {
      // The codec, asked about the bytes of a peer.
      manager.codecFailed(connection.codec, cause);
      this.#reply(500, 'codec_error', RESPONSE_FLAG.DPE);
      return;
    }
    if (this.#cluster === undefined) {
      this.#refuse();
      return;
    }
    if (timeoutMs > 0) this.#routeTimer = context.wheel.start(this.#start + timeoutMs, this, TIMER.ROUTE);
    const { mirrors } = this.#action as ForwardAction;
    if (mirrors !== undefined) this.#mirror(mirrors, frame, timeoutMs);
    this.#attempt(this.#kept === undefined ? frame : undefined);
  }
  /**
   * Begins with a frame that is not whole, and sends it on as it comes, on a connection of its own. False: it cannot be, and nothing was done: what is to be
   * answered here, kept or changed comes again when it is whole.
   */
  beginCut(connection: RpcConnection, frame: Frame, oneway: boolean): boolean {
    const { context } = this.#manager;
    this.#take(connection, frame, oneway);
    let timeoutMs = 0;
    try {
      timeoutMs = this.#decide(frame);
    } catch {
      // It will throw again, and be answered, when the frame is whole.
      this.#cluster = undefined;
    }
    const upstream = this.#sendCut(connection, frame);
    if (upstream === undefined) {
      this.#forget();
      return false;
    }
    connection.cutsTo(upstream);
    this.#count(frame);
    this.#openAttempt(this.#cluster as Cluster, this.#host as Host);
    (this.#cluster as Cluster).breakers[(this.#action as ForwardAction).priority].requests.add();
    this.#upstreamStart = context.now;
    if (oneway) {
      this.#endAttempt(true);
      this.#end(0);
      return true;
    }
    this.#upstream = upstream;
    this.#phase = PHASE.SENT;
    if (timeoutMs > 0) this.#routeTimer = context.wheel.start(this.#start + timeoutMs, this, TIMER.ROUTE);
    return true;
  }
  #sendCut(connection: RpcConnection, frame: Frame): RpcUpstream | undefined {
    const cluster = this.#cluster;
    const action = this.#action;
    if (cluster === undefined || action === undefined || this.#retry.on !== 0 || action.mirrors !== undefined) return undefined;
    if (this.#route?.requestHeaders !== undefined || this.#choice?.requestHeaders !== undefined) return undefined;
    const host = cluster.breakers[action.priority].requests.hasRoom ? this.#choose(cluster) : undefined;
    if (host === undefined) return undefined;
    const pool = poolsOf(this.#manager.context, cluster, host).rpc(connection.codec, action.priority);
    const upstream = pool.reserve();
    if (upstream === undefined) return undefined;
    this.#host = host;
    if (upstream.forward(this.#oneway ? undefined : this, connection.handle, frame)) return upstream;
    pool.discard(upstream);
    return undefined;
  }
  #take(connection: RpcConnection, frame: Frame, oneway: boolean): void {
    this.#connection = connection;
    this.idLow = frame.idLow;
    this.idHigh = frame.idHigh;
    this.#oneway = oneway;
    this.#start = this.#manager.context.now;
    this.#bytes = frame.length;
    this.#responseBytes = 0;
    this.#upstreamBytes = 0;
    this.#attempts = 0;
    this.#upstreamStart = -1;
    this.#details = '';
    this.#flags = 0;
    this.#transportFailure = '';
    this.#phase = PHASE.WAITING;
  }
  #count(frame: Frame): void {
    const { stats } = this.#manager;
    stats.rqTotal.inc();
    stats.rqActive.inc();
    if (this.#oneway) stats.rqOneway.inc();
    else this.#keepHead(frame);
  }
  /** Finds route and cluster, and makes the changes of the route: everything that asks the codec. Answers how long the request may take; 0: no bound. */
  #decide(frame: Frame): number {
    const manager = this.#manager;
    const { context, config } = manager;
    const { codec } = this.#connection as RpcConnection;
    const { routeInput } = context;
    const view = context.rpcView.of(codec, frame, false, 0);
    if (manager.logs) {
      this.#service = view.service;
      this.#method = view.method;
      if (manager.wantsRequestHead) this.#view = view.retain();
    }
    let route = config.routes.only;
    routeInput.random = Math.random();
    if (route === undefined) {
      routeInput.host = lowerAscii(view.service);
      routeInput.path = view.path;
      routeInput.isConnect = false;
      routeInput.upgrade = '';
      route = config.routes.match(view, routeInput);
    }
    this.#route = route;
    if (route?.action.kind !== 'forward') return 0;
    const { action } = route;
    this.#action = action;
    const choice = action.chooseCluster(view, routeInput.random);
    this.#choice = choice;
    const cluster = choice === undefined ? undefined : context.clusters.get(choice.name);
    if (cluster === undefined || choice === undefined) return 0;
    this.#retry.begin(this.#oneway ? undefined : action.retry, view, false);
    const timeoutMs = this.#oneway ? 0 : timeoutOf(action.timeoutMs, action.maxStreamDurationMs, codec.timeoutMs?.(frame));
    const changesRequest = route.requestHeaders !== undefined || choice.requestHeaders !== undefined;
    const changesResponse = route.responseHeaders !== undefined || choice.responseHeaders !== undefined;
    if (changesRequest || changesResponse) {
      // Operators in the values may ask for them.
      this.#service = view.service;
      this.#method = view.method;
      if (changesResponse) this.#view ??= view.retain();
    }
    if (changesRequest && !frame.isPartial) {
      const record = this.#record(0, context.now);
      record.requestHead = view;
      this.#kept = manager.editor.change(codec, 'downstream', frame, [choice.requestHeaders, route.requestHeaders], record);
    }
    if (this.#retry.on !== 0 && !frame.isPartial) this.#kept ??= frame.retain();
    this.#cluster = cluster;
    return timeoutMs;
  }
  /** Answers what has no cluster to go to. */
  #refuse(): void {
    const route = this.#route;
    if (route === undefined) {
      this.#manager.stats.rqNoRoute.inc();
      this.#reply(404, 'route_not_found', RESPONSE_FLAG.NR);
    } else if (route.action.kind === 'forward') this.#reply(route.action.clusterNotFoundStatus, 'cluster_not_found', RESPONSE_FLAG.NC);
    else {
      const text = route.action.kind === 'direct' ? Buffer.from(route.action.body).toString() : '';
      this.#reply(route.action.status, 'direct_response', 0, text);
    }
  }
  #mirror(mirrors: readonly MirrorPolicy[], frame: Frame, timeoutMs: number): void {
    const { context } = this.#manager;
    const connection = this.#connection as RpcConnection;
    const view = context.rpcView.of(connection.codec, frame, false, 0);
    for (const { share, chooseCluster } of mirrors) {
      if (share < 1 && Math.random() >= share) continue;
      const name = chooseCluster(view);
      const cluster = name === undefined ? undefined : context.clusters.get(name);
      if (cluster === undefined) continue;
      this.#kept ??= frame.retain();
      new RpcMirror(this.#manager, connection, cluster, this.#kept, this.#oneway).start((this.#action as ForwardAction).priority, timeoutMs);
    }
  }

  // ---- upstream -------------------------------------------------------------------------------------------------------------------------

  /** Chooses a host and sends, or waits. `frame`: the request, while its callback runs. */
  #attempt(frame: Frame | undefined): void {
    const connection = this.#connection as RpcConnection;
    const cluster = this.#cluster as Cluster;
    const action = this.#action as ForwardAction;
    const { context } = this.#manager;
    const { stats } = cluster;
    const isBound = connection.codec.pool === 'bound';
    const own = isBound ? connection.boundHost(cluster) : undefined;
    const host = own ?? this.#choose(cluster);
    if (host === undefined) {
      stats.cxNoneHealthy.inc();
      this.#reply(503, 'no_healthy_upstream', RESPONSE_FLAG.UH);
      return;
    }
    if (!cluster.breakers[action.priority].requests.tryAdd()) {
      this.#overflow();
      return;
    }
    this.#openAttempt(cluster, host);
    const pools = poolsOf(context, cluster, host);
    const pool = pools.rpc(connection.codec, action.priority);
    if (isBound) connection.bind(cluster, host, pools);
    const upstream = pool.take(connection.handle);
    if (upstream !== undefined) {
      this.#send(upstream, frame);
      return;
    }
    this.#phase = PHASE.WAITING;
    this.#kept ??= (frame as Frame).retain();
    if (!pool.wait(this, connection.handle)) {
      this.#endAttempt(false);
      this.#overflow();
    }
  }
  #choose(cluster: Cluster): Host | undefined {
    if (this.#tried === undefined && cluster.config.discovery !== 'ORIGINAL_DST') return cluster.choose(undefined);
    const { info } = this.#connection as RpcConnection;
    return cluster.choose({ tried: this.#tried, avoidAttempts: this.#retry.hostAttempts, originalDst: info?.originalDst ?? info?.local });
  }
  #openAttempt({ stats }: Cluster, host: Host): void {
    this.#attemptOpen = true;
    this.#attempts++;
    this.#host = host;
    host.active++;
    host.stats.rqTotal.inc();
    host.stats.rqActive.inc();
    stats.rqTotal.inc();
    stats.rqActive.inc();
  }
  onUpstreamReady(upstream: RpcUpstream): void {
    this.#send(upstream, undefined);
  }
  #send(upstream: RpcUpstream, frame: Frame | undefined): void {
    const connection = this.#connection as RpcConnection;
    const { context } = this.#manager;
    const user = this.#oneway ? undefined : this;
    this.#upstream = upstream;
    this.#phase = PHASE.SENT;
    this.#upstreamStart = context.now;
    const kept = this.#kept;
    const isSent =
      frame !== undefined
        ? upstream.forward(user, connection.handle, frame)
        : kept !== undefined && upstream.send(user, (low, high) => frameWithId(connection.codec, kept, low, high));
    if (!isSent) {
      this.#upstream = undefined;
      this.#failed('unsent', 'connection_termination', RESPONSE_FLAG.UC, '');
      return;
    }
    if (this.#oneway) {
      this.#endAttempt(true);
      this.#end(0);
      return;
    }
    if (this.#retry.perTryTimeoutMs > 0) this.#tryTimer = context.wheel.start(this.#upstreamStart + this.#retry.perTryTimeoutMs, this, TIMER.TRY);
  }

  onResponse(upstream: RpcUpstream, frame: Frame): void {
    const connection = this.#connection as RpcConnection;
    const { context } = this.#manager;
    this.#upstream = undefined;
    let status: number;
    let wantsOther = false;
    let changed: Frame | undefined;
    try {
      status = statusOf(connection.codec, frame);
      const view = context.rpcView.of(connection.codec, frame, true, status);
      wantsOther = this.#retry.on !== 0 && this.#retry.wantsOther(status, view);
      if (this.#manager.wantsResponseHead) this.#responseView = view.retain();
      changed = this.#changeResponse(frame, status, view);
    } catch (cause) {
      this.#manager.codecFailed(connection.codec, cause);
      this.#reply(502, 'codec_error', RESPONSE_FLAG.UPE);
      return;
    }
    if (wantsOther && this.#mayRetry()) {
      const askedMs = this.#retry.nextAsked(context.rpcView, Date.now() / 1000, Math.random());
      this.#answered(status);
      this.#scheduleRetry(askedMs);
      return;
    }
    if (this.#retry.made > 0 && !wantsOther) this.#cluster?.stats.rqRetrySuccess.inc();
    this.#details = 'via_upstream';
    if (changed === undefined) {
      this.#responseBytes = frame.length;
      context.engine.sendFrame(upstream.handle, connection.handle, this.idLow, this.idHigh);
    } else {
      const bytes = frameWithId(connection.codec, changed, this.idLow, this.idHigh);
      this.#responseBytes = bytes.length;
      context.engine.write(connection.handle, bytes);
    }
    this.#upstreamBytes = frame.length;
    this.#answered(status);
    this.#end(status);
  }
  /** The response with the changes of the route; undefined: it goes as it is. `view`: what operators see of it, where it is one of an upstream. */
  #changeResponse(frame: Frame, status: number, view: RpcView | undefined): Frame | undefined {
    const ofRoute = this.#route?.responseHeaders;
    const ofChoice = this.#choice?.responseHeaders;
    if (ofRoute === undefined && ofChoice === undefined) return undefined;
    const manager = this.#manager;
    const { codec } = this.#connection as RpcConnection;
    const record = this.#record(status, manager.context.now);
    record.responseHead = view;
    return manager.editor.change(codec, 'upstream', frame, [ofChoice, ofRoute], record);
  }
  onUpstreamLost(reason: CloseReason, errno: string, wasSent: boolean): void {
    const connection = this.#connection as RpcConnection;
    this.#upstream = undefined;
    if (wasSent) {
      const isReset = reason === 'reset' || reason === 'truncated';
      this.#cluster?.stats.rqRxReset.inc();
      this.#failed('reset', isReset ? 'connection_termination' : 'remote_reset', RESPONSE_FLAG.UC, '');
    } else {
      const isTimeout = reason === 'connect-timeout';
      // Nothing was said there.
      if (connection.codec.pool === 'bound') connection.unbind(this.#cluster as Cluster);
      this.#failed(
        'connect',
        isTimeout ? 'connection_timeout' : 'remote_connection_failure',
        RESPONSE_FLAG.UF,
        isTimeout ? '' : `delayed_connect_error:_${closeText(errno)}`,
      );
    }
  }

  onTimer(kind: number, now: number): void {
    const { context } = this.#manager;
    context.timerFired(now);
    if (kind === TIMER.ROUTE) {
      this.#routeTimer = 0;
      this.#cluster?.stats.rqTimeout.inc();
      this.#host?.stats.rqTimeout.inc();
      this.#reply(504, 'response_timeout', RESPONSE_FLAG.UT);
      return;
    }
    this.#tryTimer = 0;
    if (kind === TIMER.RETRY) {
      this.#attempt(undefined);
      return;
    }
    this.#cluster?.stats.rqPerTryTimeout.inc();
    this.#leaveUpstream();
    this.#failed('timeout', 'upstream_per_try_timeout', RESPONSE_FLAG.UT, '');
  }

  /** The client is gone. */
  cancel(): void {
    if (this.#phase === PHASE.IDLE) return;
    this.#manager.stats.rqCancelled.inc();
    this.#cluster?.stats.rqCancelled.inc();
    this.#details = 'downstream_remote_disconnect';
    this.#flags |= RESPONSE_FLAG.DC;
    this.#leaveUpstream();
    this.#endAttempt(false);
    this.#end(0);
  }

  // ---- failures -------------------------------------------------------------------------------------------------------------------------

  #failed(kind: ResetKind, why: string, flag: number, transport: string): void {
    this.#transportFailure = transport;
    this.#endAttempt(false);
    if (this.#retry.on !== 0 && this.#retry.wantsAfter(kind) && this.#mayRetry()) {
      this.#scheduleRetry();
      return;
    }
    if (kind === 'timeout') this.#reply(504, why, flag);
    else this.#reply(503, `upstream_reset_before_response_started{${why}}`, flag);
  }
  #mayRetry(): boolean {
    const { stats, breakers } = this.#cluster as Cluster;
    if (this.#kept === undefined || this.#connection?.isClosed !== false) return false;
    if (this.#retry.left <= 0) {
      stats.rqRetryLimitExceeded.inc();
      this.#flags |= RESPONSE_FLAG.URX;
      return false;
    }
    if (this.#retryHeld) return true;
    if (!breakers[(this.#action as ForwardAction).priority].tryRetry()) {
      stats.rqRetryOverflow.inc();
      return false;
    }
    this.#retryHeld = true;
    return true;
  }
  #scheduleRetry(askedMs?: number): void {
    const { context } = this.#manager;
    const { stats } = this.#cluster as Cluster;
    stats.rqRetry.inc();
    (askedMs === undefined ? stats.rqRetryBackoffExponential : stats.rqRetryBackoffRatelimited).inc();
    if (this.#retry.avoidsPreviousHosts && this.#host !== undefined) {
      this.#tried ??= [];
      this.#tried.push(this.#host);
    }
    context.wheel.stop(this.#tryTimer);
    this.#phase = PHASE.BACKOFF;
    this.#tryTimer = context.wheel.start(context.now + (askedMs ?? this.#retry.next(Math.random())), this, TIMER.RETRY);
  }
  #overflow(): void {
    this.#cluster?.stats.rqPendingOverflow.inc();
    this.#reply(503, 'upstream_reset_before_response_started{overflow}', RESPONSE_FLAG.UO);
  }
  /** Answers the request here; a one-way one ends without a word. A protocol that cannot answer for itself loses the connection. */
  #reply(status: number, details: string, flag: number, text = ''): void {
    const connection = this.#connection as RpcConnection;
    const { context, stats } = this.#manager;
    this.#details = details;
    this.#flags |= flag;
    this.#leaveUpstream();
    this.#endAttempt(false);
    if (!this.#oneway) {
      stats.rqLocalReply.inc();
      const bytes = this.#localReply(status, text || details);
      if (bytes !== undefined) {
        this.#responseBytes = bytes.length;
        context.engine.write(connection.handle, bytes);
      }
      this.#end(status);
      if (bytes === undefined) context.engine.close(connection.handle, 'flush');
      return;
    }
    this.#end(status);
  }

  #localReply(status: number, details: string): Uint8Array | undefined {
    const { codec } = this.#connection as RpcConnection;
    const manager = this.#manager;
    try {
      const bytes = codec.respond?.(this.#head as Frame, { status, details });
      if (bytes === undefined || (this.#route?.responseHeaders === undefined && this.#choice?.responseHeaders === undefined)) return bytes;
      return this.#changeResponse(manager.editor.read(codec, 'upstream', bytes), status, undefined)?.raw ?? bytes;
    } catch (cause) {
      manager.codecFailed(codec, cause);
      return undefined;
    }
  }

  // ---- ends -----------------------------------------------------------------------------------------------------------------------------

  /** Nobody waits for the answer any more. */
  #leaveUpstream(): void {
    const upstream = this.#upstream;
    this.#upstream = undefined;
    if (upstream !== undefined) upstream.abandon(this);
    else if (this.#phase === PHASE.WAITING && this.#attemptOpen && this.#host !== undefined) {
      const { context } = this.#manager;
      const connection = this.#connection as RpcConnection;
      poolsOf(context, this.#cluster as Cluster, this.#host)
        .rpc(connection.codec, (this.#action as ForwardAction).priority)
        .cancel(this);
    }
  }
  #answered(status: number): void {
    this.#cluster?.stats.countResponse(status, false);
    this.#endAttempt(status < 500);
  }
  #endAttempt(success: boolean): void {
    if (!this.#attemptOpen) return;
    this.#attemptOpen = false;
    const cluster = this.#cluster as Cluster;
    const host = this.#host as Host;
    cluster.breakers[(this.#action as ForwardAction).priority].requests.remove();
    cluster.stats.rqActive.dec();
    host.active--;
    host.stats.rqActive.dec();
    (success ? host.stats.rqSuccess : host.stats.rqError).inc();
  }
  #end(status: number): void {
    const manager = this.#manager;
    const connection = this.#connection as RpcConnection;
    const { context, stats } = manager;
    const { now } = context;
    this.#phase = PHASE.IDLE;
    context.wheel.stop(this.#routeTimer);
    context.wheel.stop(this.#tryTimer);
    this.#routeTimer = this.#tryTimer = 0;
    stats.rqActive.dec();
    stats.rqTime.record(Math.max(0, now - this.#start));
    if (this.#upstreamStart >= 0 && !this.#oneway) this.#cluster?.stats.rqTime.record(Math.max(0, now - this.#upstreamStart));
    if (status > 0) manager.countCompleted(status);
    if (this.#retryHeld) {
      this.#retryHeld = false;
      (this.#cluster as Cluster).breakers[(this.#action as ForwardAction).priority].retries.remove();
    }
    if (manager.logs) {
      const record = this.#record(status, now);
      for (const log of manager.config.accessLogs) log.log(record);
    }
    this.#forget();
    manager.giveRequest(this);
    connection.ended(this);
  }
  /** Holds nothing of the request any more. */
  #forget(): void {
    this.#phase = PHASE.IDLE;
    this.#connection = undefined;
    this.#kept = undefined;
    this.#view = undefined;
    this.#responseView = undefined;
    this.#service = this.#method = '';
    this.#route = undefined;
    this.#action = undefined;
    this.#choice = undefined;
    this.#cluster = undefined;
    this.#host = undefined;
    this.#upstream = undefined;
    this.#tried = undefined;
  }

  #keepHead(frame: Frame): void {
    let head = this.#head;
    if (head === undefined || head.layout !== frame.layout) {
      head = new Frame(frame.layout, new Uint8Array(HEAD_BYTES), new Int32Array(layoutOf((this.#connection as RpcConnection).codec).tableWords));
      this.#head = head;
    }
    frame.copyHead(head, HEAD_BYTES);
  }
  /** What is known of the request by now: for access logs and operators in header values. */
  #record(status: number, now: number): LogRecord {
    const record = emptyRecord();
    const connection = this.#connection as RpcConnection;
    const { info } = connection;
    record.startTime = Date.now() - Math.round(now - this.#start);
    record.start = this.#start;
    record.end = now;
    record.requestEnd = this.#start;
    record.upstreamStart = this.#upstreamStart;
    record.firstUpstreamByte = record.lastUpstreamByte = record.firstDownstreamByte = this.#details === 'via_upstream' ? now : -1;
    record.method = this.#method;
    record.authority = this.#service;
    record.path = record.originalPath = `/${this.#service}/${this.#method}`;
    record.requestHead = this.#view;
    record.responseHead = this.#responseView;
    record.protocol = connection.codec.name;
    record.responseCode = status;
    record.details = this.#details;
    record.flags = this.#flags;
    record.bytesReceived = this.#bytes;
    record.bytesSent = this.#responseBytes;
    record.upstreamBytesReceived = this.#upstreamBytes;
    record.upstreamBytesSent = this.#attempts * (this.#kept?.length ?? this.#bytes);
    record.attempts = this.#attempts;
    record.routeName = this.#route?.name ?? '';
    record.virtualHost = this.#route?.virtualHost ?? '';
    record.upstreamCluster = this.#cluster?.name ?? '';
    record.upstreamHost = this.#host?.address;
    record.upstreamHostname = this.#host?.hostname ?? '';
    record.upstreamTransportFailure = this.#transportFailure;
    record.downstreamLocal = info?.local;
    record.downstreamRemote = record.downstreamDirectRemote = info?.remote;
    record.filterChain = this.#manager.chainName;
    record.connectionId = connection.number;
    return record;
  }
}

/** The shortest of what the route and the caller say; 0: no bound. */
function timeoutOf(routeMs: number, streamMs: number | undefined, callerMs: number | undefined): number {
  let shortest = routeMs > 0 ? routeMs : Number.POSITIVE_INFINITY;
  if (streamMs !== undefined && streamMs > 0 && streamMs < shortest) shortest = streamMs;
  if (callerMs !== undefined && callerMs > 0 && callerMs < shortest) shortest = callerMs;
  return shortest === Number.POSITIVE_INFINITY ? 0 : shortest;
}

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
import { RESPONSE_FLAG } from '../access-log/response-flags.js';
import type { Cluster } from '../cluster/cluster.js';
import type { Host } from '../cluster/host.js';
import { closeText } from '../http/local-reply.js';
import { emptyRecord } from '../http/log-record.js';
import { poolsOf } from '../router/host-pools.js';
import { type ResetKind, RetryState } from '../router/retry.js';
import type { ForwardAction, Route } from '../runtime.js';
import type { RpcConnection } from './rpc-connection.js';
import type { RpcManager } from './rpc-manager.js';
import type { RpcView } from './rpc-view.js';

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
  /** The request's fields, and the first of its bytes. */
  #head: Frame | undefined = undefined;
  /** All of it, where it may have to be sent later or again. */
  #kept: Frame | undefined = undefined;
  #view: RpcView | undefined = undefined;
  #responseView: RpcView | undefined = undefined;
  #route: Route | undefined = undefined;
  #action: ForwardAction | undefined = undefined;
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
    const { context, config, stats } = manager;
    this.#connection = connection;
    this.idLow = frame.idLow;
    this.idHigh = frame.idHigh;
    this.#oneway = oneway;
    this.#start = context.now;
    this.#bytes = frame.length;
    this.#responseBytes = 0;
    this.#attempts = 0;
    this.#upstreamStart = -1;
    this.#details = '';
    this.#flags = 0;
    this.#transportFailure = '';
    this.#phase = PHASE.WAITING;
    stats.rqTotal.inc();
    stats.rqActive.inc();
    if (oneway) stats.rqOneway.inc();
    else this.#keepHead(frame);

    const { routeInput } = context;
    const view = context.rpcView.of(connection.codec, frame, false, 0);
    if (manager.logs) this.#view = view.retain();
    const only = config.routes.only;
    let route = only;
    if (only === undefined) {
      routeInput.host = view.service.toLowerCase();
      routeInput.path = view.path;
      routeInput.isConnect = false;
      routeInput.upgrade = '';
      routeInput.random = Math.random();
      route = config.routes.match(view, routeInput);
    } else routeInput.random = Math.random();
    if (route === undefined) {
      stats.rqNoRoute.inc();
      this.#reply(404, 'route_not_found', RESPONSE_FLAG.NR);
      return;
    }
    this.#route = route;
    const { action } = route;
    if (action.kind !== 'forward') {
      this.#reply(action.status, 'direct_response', 0);
      return;
    }
    this.#action = action;
    const choice = action.chooseCluster(view, routeInput.random);
    const cluster = choice === undefined ? undefined : context.clusters.get(choice.name);
    if (cluster === undefined) {
      this.#reply(action.clusterNotFoundStatus, 'cluster_not_found', RESPONSE_FLAG.NC);
      return;
    }
    this.#cluster = cluster;
    this.#retry.begin(oneway ? undefined : action.retry, view, false);
    if (this.#retry.on !== 0) this.#kept = frame.retain();
    if (!oneway) {
      const timeoutMs = timeoutOf(action.timeoutMs, connection.codec.timeoutMs?.(frame));
      if (timeoutMs > 0) this.#routeTimer = context.wheel.start(this.#start + timeoutMs, this, TIMER.ROUTE);
    }
    this.#attempt(frame);
  }

  // ---- upstream -------------------------------------------------------------------------------------------------------------------------

  /** Chooses a host and sends, or waits. `frame`: the request, while its callback runs. */
  #attempt(frame: Frame | undefined): void {
    const connection = this.#connection as RpcConnection;
    const cluster = this.#cluster as Cluster;
    const action = this.#action as ForwardAction;
    const { context } = this.#manager;
    const { stats } = cluster;
    const host = cluster.choose(
      this.#tried === undefined && cluster.config.discovery !== 'ORIGINAL_DST'
        ? undefined
        : { tried: this.#tried, avoidAttempts: this.#retry.hostAttempts, originalDst: connection.info?.originalDst ?? connection.info?.local },
    );
    if (host === undefined) {
      stats.cxNoneHealthy.inc();
      this.#reply(503, 'no_healthy_upstream', RESPONSE_FLAG.UH);
      return;
    }
    if (!cluster.breakers[action.priority].requests.tryAdd()) {
      this.#overflow();
      return;
    }
    this.#attemptOpen = true;
    this.#attempts++;
    this.#host = host;
    host.active++;
    host.stats.rqTotal.inc();
    host.stats.rqActive.inc();
    stats.rqTotal.inc();
    stats.rqActive.inc();
    const pools = poolsOf(context, cluster, host);
    const pool = pools.rpc(connection.codec, action.priority);
    if (connection.codec.pool === 'bound') connection.bind(pools);
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
    const { codec } = connection;
    const { context } = this.#manager;
    this.#upstream = undefined;
    const raw = codec.status?.(frame) ?? 0;
    const status = codec.statusClass === undefined ? (raw === 0 ? 200 : 500) : codec.statusClass(raw);
    const wantsOther = this.#retry.on !== 0 && this.#retry.wantsOther(status, context.rpcView.of(codec, frame, true, status));
    if (wantsOther && this.#mayRetry()) {
      this.#answered(status);
      this.#scheduleRetry();
      return;
    }
    if (this.#retry.made > 0 && !wantsOther) this.#cluster?.stats.rqRetrySuccess.inc();
    if (this.#manager.wantsResponseHead) this.#responseView = context.rpcView.of(codec, frame, true, status).retain();
    this.#responseBytes = frame.length;
    this.#details = 'via_upstream';
    context.engine.sendFrame(upstream.handle, connection.handle, this.idLow, this.idHigh);
    this.#answered(status);
    this.#end(status);
  }
  onUpstreamLost(reason: CloseReason, errno: string, wasSent: boolean): void {
    this.#upstream = undefined;
    if (wasSent) {
      const isReset = reason === 'reset' || reason === 'truncated';
      this.#cluster?.stats.rqRxReset.inc();
      this.#failed('reset', isReset ? 'connection_termination' : 'remote_reset', RESPONSE_FLAG.UC, '');
    } else {
      const isTimeout = reason === 'connect-timeout';
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
  #scheduleRetry(): void {
    const { context } = this.#manager;
    const { stats } = this.#cluster as Cluster;
    stats.rqRetry.inc();
    stats.rqRetryBackoffExponential.inc();
    if (this.#retry.avoidsPreviousHosts && this.#host !== undefined) {
      this.#tried ??= [];
      this.#tried.push(this.#host);
    }
    context.wheel.stop(this.#tryTimer);
    this.#phase = PHASE.BACKOFF;
    this.#tryTimer = context.wheel.start(context.now + this.#retry.next(Math.random()), this, TIMER.RETRY);
  }
  #overflow(): void {
    this.#cluster?.stats.rqPendingOverflow.inc();
    this.#reply(503, 'upstream_reset_before_response_started{overflow}', RESPONSE_FLAG.UO);
  }
  /** Answers the request here; a one-way one ends without a word. A protocol that cannot answer for itself loses the connection. */
  #reply(status: number, details: string, flag: number): void {
    const connection = this.#connection as RpcConnection;
    const { context, stats } = this.#manager;
    this.#details = details;
    this.#flags |= flag;
    this.#leaveUpstream();
    this.#endAttempt(false);
    if (!this.#oneway) {
      stats.rqLocalReply.inc();
      const bytes = connection.codec.respond?.(this.#head as Frame, { status, details });
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
    if (manager.logs) this.#log(connection, status, now);
    this.#connection = undefined;
    this.#kept = undefined;
    this.#view = undefined;
    this.#responseView = undefined;
    this.#route = undefined;
    this.#action = undefined;
    this.#cluster = undefined;
    this.#host = undefined;
    this.#upstream = undefined;
    this.#tried = undefined;
    manager.giveRequest(this);
    connection.ended(this);
  }

  #keepHead(frame: Frame): void {
    let head = this.#head;
    if (head === undefined || head.layout !== frame.layout) {
      head = new Frame(frame.layout, new Uint8Array(HEAD_BYTES), new Int32Array(layoutOf((this.#connection as RpcConnection).codec).tableWords));
      this.#head = head;
    }
    frame.copyHead(head, HEAD_BYTES);
  }
  #log(connection: RpcConnection, status: number, now: number): void {
    const record = emptyRecord();
    const view = this.#view;
    const { info } = connection;
    record.startTime = Date.now() - Math.round(now - this.#start);
    record.start = this.#start;
    record.end = now;
    record.requestEnd = this.#start;
    record.upstreamStart = this.#upstreamStart;
    record.firstUpstreamByte = record.lastUpstreamByte = record.firstDownstreamByte = this.#details === 'via_upstream' ? now : -1;
    if (view !== undefined) {
      record.method = view.method;
      record.path = record.originalPath = view.path;
      record.authority = view.service;
      if (this.#manager.wantsRequestHead) record.requestHead = view;
    }
    record.responseHead = this.#responseView;
    record.protocol = connection.codec.name;
    record.responseCode = status;
    record.details = this.#details;
    record.flags = this.#flags;
    record.bytesReceived = this.#bytes;
    record.bytesSent = this.#responseBytes;
    record.upstreamBytesReceived = this.#responseBytes;
    record.upstreamBytesSent = this.#attempts > 0 ? this.#bytes : 0;
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
    for (const log of this.#manager.config.accessLogs) log.log(record);
  }
}

/** The shorter of what the route and the caller say; 0: no bound. */
function timeoutOf(routeMs: number, callerMs: number | undefined): number {
  if (callerMs === undefined || callerMs <= 0) return routeMs;
  return routeMs > 0 ? Math.min(routeMs, callerMs) : callerMs;
}

/**
 * One downstream HTTP connection and the request that is on it: the life of a request.
 * ```
 *   IDLE ── onHead ─ route ─ cluster ─ host ─┬─> SENT ── onUpstreamHead ──> RESPONDING ── response and request over ──> IDLE
 *     ^                                      └─> WAITING (for a connection) ──> SENT                101, CONNECT 2xx ──> TUNNEL
 *     └── local reply (404, 503, 504, ...)       BACKOFF (before a retry) ──> host
 * ```
 * Hot path: one object per connection, reused for each of its requests; no closure, promise or object is made per request by default filters.
 * Every end of a request goes through `#complete`: counted once, logged once, its upstream connection given back or closed.
 */
import type { CloseReason, ConnectionHandler, ConnectionInfo, FramingFault } from '../../network/engine.js';
import { FORWARD } from '../../network/engine.js';
import type { Edits } from '../../protocol/edits.js';
import { Head } from '../../protocol/head.js';
import { EDIT_FLAG, HEAD, HEAD_FLAG, KNOWN_ID } from '../../protocol/head-layout.js';
import type { Http1Pool, PooledConnection, UpstreamUser } from '../../stream/http1-pool.js';
import type { TimerOwner } from '../../stream/timers.js';
import type { LogRecord } from '../access-log/access-log.js';
import { RESPONSE_FLAG } from '../access-log/response-flags.js';
import type { Cluster } from '../cluster/cluster.js';
import type { Host } from '../cluster/host.js';
import type { ProxyContext } from '../context.js';
import { poolOf } from '../router/host-pools.js';
import { type ResetKind, RetryState, wholeNumber } from '../router/retry.js';
import type { ClusterChoice, ForwardAction, Route } from '../runtime.js';
import type { HttpManager } from './http-manager.js';
import { BODY, closeText, resetBody } from './local-reply.js';
import { emptyRecord, resetRecord } from './log-record.js';
import { isPlainPath, normalizePath } from './path.js';
import { findOrigin, type Origin, sanitize, stripPort } from './request-head.js';

const PHASE = { IDLE: 0, WAITING: 1, BACKOFF: 2, SENT: 3, RESPONDING: 4, TUNNEL: 5 } as const;
/** Numbers of the well-known names that are looked at in every message. */
const LINE = {
  DATE: KNOWN_ID.date,
  HOST: KNOWN_ID.host,
  SERVER: KNOWN_ID.server,
  X_ENVOY_ATTEMPT_COUNT: KNOWN_ID['x-envoy-attempt-count'],
  X_ENVOY_EXPECTED_RQ_TIMEOUT_MS: KNOWN_ID['x-envoy-expected-rq-timeout-ms'],
  X_ENVOY_INTERNAL: KNOWN_ID['x-envoy-internal'],
  X_ENVOY_ORIGINAL_PATH: KNOWN_ID['x-envoy-original-path'],
  X_ENVOY_UPSTREAM_SERVICE_TIME: KNOWN_ID['x-envoy-upstream-service-time'],
  X_FORWARDED_FOR: KNOWN_ID['x-forwarded-for'],
  X_FORWARDED_HOST: KNOWN_ID['x-forwarded-host'],
  X_FORWARDED_PROTO: KNOWN_ID['x-forwarded-proto'],
  X_REQUEST_ID: KNOWN_ID['x-request-id'],
} as const;
const NEVER = Number.POSITIVE_INFINITY;
/** Sends of one request to connections that turn out to be gone, before it fails. */
const MAX_STALE_SENDS = 3;
/** An idle stream is looked at so many times per idle time, since bytes are not seen here. */
const IDLE_CHECKS = 4;

/** The listener that a connection came from. */
export interface ConnectionHome {
  /** Changes whenever the configuration of the listener does. */
  readonly generation: number;
  /** The manager for a connection under the present configuration; undefined where none fits any more. */
  managerOf(connection: HttpConnection): HttpManager | undefined;
  closed(connection: HttpConnection, lengthMs: number): void;
}

/** See the head of this file. */
export class HttpConnection implements ConnectionHandler, UpstreamUser, TimerOwner {
  readonly handle: number;
  readonly #context: ProxyContext;
  readonly #home: ConnectionHome;
  #manager: HttpManager;
  #generation: number;
  readonly #startedAt: number;
  #info: ConnectionInfo | undefined = undefined;
  #record: LogRecord | undefined = undefined;
  #requests = 0;
  #closed = false;
  /** Wire bytes already counted. */
  #received = 0;
  #sent = 0;

  // the request
  #phase: number = PHASE.IDLE;
  #start = 0;
  #flags = 0;
  #host = '';
  /** The host that is forwarded; differs from the received one where its port was stripped or a default stepped in. */
  #hostChanged = false;
  #path = '';
  #pathChanged = false;
  #upgrade = '';
  readonly #origin: Origin = { internal: false, edge: false, remote: undefined };
  #madeRequestId = false;
  #requestId = '';
  #continued = false;
  #requestDone = false;
  #requestBytes = 0;
  #responseBytes = 0;
  #status = 0;
  #details = '';
  #responseFlags = 0;
  #requestEnd = -1;

  // its way
  #route: Route | undefined = undefined;
  #action: ForwardAction | undefined = undefined;
  #choice: ClusterChoice | undefined = undefined;
  #cluster: Cluster | undefined = undefined;
  #upstreamHost: Host | undefined = undefined;
  #pool: Http1Pool | undefined = undefined;
  #upstream: PooledConnection | undefined = undefined;
  #timeoutMs = 0;
  readonly #retry = new RetryState();
  #retryHeld = false;
  #attempts = 0;
  #attemptOpen = false;
  #freshTried = false;
  #staleSends = 0;
  #replayable = false;
  #tried: Host[] | undefined = undefined;
  #upstreamStart = -1;
  #firstUpstreamByte = -1;
  #responseEndsWithConnection = false;

  // its times: one timer for the connection, deadlines as fields
  #timer = 0;
  #armedAt = NEVER;
  #routeAt = NEVER;
  #tryAt = NEVER;
  #retryAt = NEVER;
  #requestAt = NEVER;
  #idleAt = NEVER;
  #idleMs = 0;
  #quietSince = 0;
  #quietBytes = -1;
  #lifeAt = NEVER;

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
    stats.cxHttp1Total.inc();
    stats.cxHttp1Active.inc();
    if (config.maxConnectionDurationMs > 0) {
      this.#lifeAt = this.#startedAt + config.maxConnectionDurationMs;
      this.#arm(this.#lifeAt);
    }
  }

  /** Addresses of the connection; asked of the engine once. */
  get info(): ConnectionInfo | undefined {
    this.#info ??= this.#context.engine.info(this.handle);
    return this.#info;
  }
  get chainName(): string {
    return this.#manager.chainName;
  }
  get manager(): HttpManager {
    return this.#manager;
  }
  get isActive(): boolean {
    return this.#phase !== PHASE.IDLE;
  }

  // ---- downstream -----------------------------------------------------------------------------------------------------------------------

  onHead(_connection: number, head: Head): void {
    if (this.#home.generation !== this.#generation) this.#takeNewConfiguration();
    const manager = this.#manager;
    const { config, stats } = manager;
    const now = this.#context.now;
    const { flags } = head;
    stats.rqTotal.inc();
    stats.rqHttp1Total.inc();
    stats.rqActive.inc();
    this.#begin(head, now, flags);
    if (config.requestTimeoutMs > 0 && !this.#requestDone) {
      this.#requestAt = now + config.requestTimeoutMs;
      this.#arm(this.#requestAt);
    }
    if (config.streamIdleTimeoutMs > 0) this.#watchIdle(config.streamIdleTimeoutMs, now);

    if (!this.#readTarget(head)) return;
    if (manager.needsAddress || config.xffTrustedHops > 0 || head.lineOf(LINE.X_FORWARDED_FOR) >= 0) {
      findOrigin(head, config, this.info?.remote, this.#origin);
    } else {
      this.#origin.internal = false;
      this.#origin.edge = false;
      this.#origin.remote = undefined;
    }
    if (config.generateRequestId && (head.lineOf(LINE.X_REQUEST_ID) < 0 || (this.#origin.edge && !config.preserveExternalRequestId))) {
      this.#context.requestIds.next();
      this.#madeRequestId = true;
      // The line is the worker's: kept as text only where it is needed after this callback.
      if (config.alwaysSetRequestIdInResponse) this.#requestId = this.#context.requestIds.text;
    } else if (config.alwaysSetRequestIdInResponse) this.#requestId = head.known('x-request-id') ?? '';
    if (manager.logs) this.#beginRecord(head);

    const { routeInput } = this.#context;
    routeInput.host = this.#host.toLowerCase();
    routeInput.path = this.#path;
    routeInput.isConnect = (flags & HEAD_FLAG.CONNECT) !== 0;
    routeInput.upgrade = this.#upgrade;
    routeInput.random = Math.random();
    const route = config.routes.match(head, routeInput);
    if (route === undefined) {
      stats.noRoute.inc();
      this.#reply(404, 'route_not_found', RESPONSE_FLAG.NR, undefined);
      return;
    }
    this.#route = route;
    const { action } = route;
    if (action.kind === 'forward') this.#forward(head, action, routeInput.random);
    else if (action.kind === 'redirect') {
      stats.rqRedirect.inc();
      this.#reply(action.status, 'direct_response', 0, undefined, 'location', action.location(routeInput.scheme, this.#host, this.#path));
    } else {
      stats.rqDirectResponse.inc();
      this.#reply(action.status, 'direct_response', 0, action.body);
    }
  }

  onEnd(_connection: number, bytes: number): void {
    if (this.#phase === PHASE.IDLE || this.#requestDone) return;
    this.#requestBytes = bytes;
    this.#requestIsDone(this.#context.now);
    // The response was over before: the exchange has only waited for this.
  }

  onFault(_connection: number, fault: FramingFault): void {
    const { stats } = this.#manager;
    stats.cxProtocolError.inc();
    if (fault.code === 'HEAD_TOO_LARGE' || fault.code === 'TOO_MANY_HEADERS') stats.rqTooLarge.inc();
    if (this.#phase === PHASE.IDLE) {
      stats.rqTotal.inc();
      stats.rqHttp1Total.inc();
      stats.rqActive.inc();
      this.#begin(undefined, this.#context.now, 0);
      if (this.#manager.logs) this.#beginRecord(undefined);
    }
    if (this.#phase === PHASE.TUNNEL || this.#responseStarted) {
      this.#abort('codec_error', RESPONSE_FLAG.DPE);
      return;
    }
    this.#reply(fault.status, `http1.codec_error:${fault.code.toLowerCase()}`, RESPONSE_FLAG.DPE, BODY.of(statusText(fault.status)));
  }

  onTimeout(_connection: number, which: 'idle' | 'head'): void {
    const { stats } = this.#manager;
    if (this.#phase !== PHASE.IDLE) return;
    if (which === 'idle') {
      stats.cxIdleTimeout.inc();
      this.#context.engine.close(this.handle, 'flush');
      return;
    }
    stats.rqHeaderTimeout.inc();
    stats.rqTotal.inc();
    stats.rqHttp1Total.inc();
    stats.rqActive.inc();
    this.#begin(undefined, this.#context.now, 0);
    if (this.#manager.logs) this.#beginRecord(undefined);
    this.#reply(408, 'request_header_timeout', RESPONSE_FLAG.DT, BODY.of('request header timeout'), '', '', true);
  }

  onClosed(_connection: number, reason: CloseReason): void {
    this.#closed = true;
    const { stats } = this.#manager;
    const local = reason === 'local' || reason === 'linger';
    const wasActive = this.#phase !== PHASE.IDLE;
    stats.cxDestroy.inc();
    (local ? stats.cxDestroyLocal : stats.cxDestroyRemote).inc();
    if (this.#phase === PHASE.TUNNEL) this.#endTunnel();
    else if (wasActive) {
      stats.cxDestroyActiveRq.inc();
      (local ? stats.cxDestroyLocalActiveRq : stats.cxDestroyRemoteActiveRq).inc();
      if (!local) stats.rqRxReset.inc();
      // Envoy logs 0 where the client left before the answer.
      if (!this.#responseStarted) this.#status = 0;
      this.#details = local ? this.#details || 'local_close' : 'downstream_remote_disconnect';
      this.#responseFlags |= local ? RESPONSE_FLAG.LR : RESPONSE_FLAG.DC;
      this.#dropUpstream();
      this.#complete();
    }
    if (this.#timer !== 0) this.#context.wheel.stop(this.#timer);
    this.#timer = 0;
    this.#countTraffic();
    const lengthMs = Math.max(0, this.#context.now - this.#startedAt);
    stats.cxActive.dec();
    stats.cxHttp1Active.dec();
    stats.cxLengthMs.record(lengthMs);
    this.#home.closed(this, lengthMs);
  }

  /** No further request on this connection. */
  drain(): void {
    this.#manager.stats.cxDrainClose.inc();
    this.#context.engine.drain(this.handle);
  }

  // ---- the request's head ---------------------------------------------------------------------------------------------------------------

  #begin(head: Head | undefined, now: number, flags: number): void {
    this.#requests++;
    this.#start = now;
    this.#flags = flags;
    this.#host = '';
    this.#path = '';
    this.#hostChanged = false;
    this.#pathChanged = false;
    this.#upgrade = '';
    this.#madeRequestId = false;
    this.#requestId = '';
    this.#continued = false;
    this.#requestDone = head === undefined || (flags & HEAD_FLAG.END) !== 0;
    this.#requestBytes = 0;
    this.#responseBytes = 0;
    this.#quietBytes = this.#received + this.#sent + (head === undefined ? 0 : head.wireBytes);
    this.#status = 0;
    this.#details = '';
    this.#responseFlags = 0;
    this.#requestEnd = this.#requestDone ? now : -1;
    this.#attempts = 0;
    this.#freshTried = false;
    this.#staleSends = 0;
    this.#replayable = false;
    this.#upstreamStart = -1;
    this.#firstUpstreamByte = -1;
    this.#retry.made = 0;
    this.#phase = PHASE.WAITING;
  }

  /** Host, path and upgrade token. False: the request has been answered. */
  #readTarget(head: Head): boolean {
    const { config, normalizes, localPort } = this.#manager;
    const flags = this.#flags;
    let host = head.authority;
    if (host === undefined || (host === '' && (flags & HEAD_FLAG.HTTP_11) === 0)) {
      if (config.defaultHostForHttp10 === '') {
        this.#reply(400, 'missing_host_header', RESPONSE_FLAG.DPE, BODY.of('missing host header'));
        return false;
      }
      host = config.defaultHostForHttp10;
      this.#hostChanged = true;
    }
    if (config.stripHostPort !== 'none') {
      const stripped = stripPort(host, config.stripHostPort, localPort);
      if (stripped !== host) this.#hostChanged = true;
      host = stripped;
    }
    this.#host = host;
    let { path } = head;
    if (path === '' && (flags & HEAD_FLAG.CONNECT) === 0) path = '/';
    if (normalizes && !isPlainPath(path)) {
      const normal = normalizePath(path, config);
      if (normal.kind === 'reject') {
        this.#path = path;
        this.#reply(400, 'path_normalization_failed', 0, undefined);
        return false;
      }
      if (normal.kind === 'redirect') {
        this.#path = path;
        this.#manager.stats.rqRedirectedWithNormalizedPath.inc();
        this.#reply(307, 'path_normalization_failed', 0, undefined, 'location', normal.path);
        return false;
      }
      this.#pathChanged = normal.path !== path;
      path = normal.path;
    }
    this.#path = path;
    if ((flags & HEAD_FLAG.UPGRADE) !== 0) {
      const token = (head.known('upgrade') ?? '').trim().toLowerCase();
      // An offer of h2c may be ignored (RFC 9110 §7.8); passing it on would let the client speak past us.
      if (token !== 'h2c' && !/(?:^|,)\s*h2c\s*(?:,|$)/.test(token)) this.#upgrade = token;
    }
    return true;
  }

  #forward(head: Head, action: ForwardAction, random: number): void {
    const { config, stats } = this.#manager;
    this.#action = action;
    const isConnect = (this.#flags & HEAD_FLAG.CONNECT) !== 0;
    if (this.#upgrade !== '' || isConnect) {
      const token = isConnect ? 'connect' : this.#upgrade;
      const allowed = action.upgrades?.get(token) ?? config.upgrades.has(token);
      if (!allowed) {
        stats.rqWsOnNonWsRoute.inc();
        this.#reply(403, 'upgrade_failed', 0, undefined);
        return;
      }
    }
    stats.routedTotal.inc();
    const choice = action.chooseCluster(head, random);
    this.#choice = choice;
    const cluster = choice === undefined ? undefined : this.#context.clusters.get(choice.name);
    if (cluster === undefined) {
      stats.noCluster.inc();
      this.#reply(action.clusterNotFoundStatus, 'cluster_not_found', RESPONSE_FLAG.NC, undefined);
      return;
    }
    this.#cluster = cluster;
    const trusted = this.#origin.internal;
    this.#timeoutMs = action.timeoutMs;
    if (trusted) {
      const named = head.known('x-envoy-upstream-rq-timeout-ms');
      if (named !== undefined) this.#timeoutMs = wholeNumber(named) ?? this.#timeoutMs;
    }
    if (action.retry !== undefined || trusted) {
      this.#retry.begin(action.retry, head, trusted);
      // A try cannot have more time than the whole.
      if (this.#timeoutMs > 0 && this.#retry.perTryTimeoutMs >= this.#timeoutMs) this.#retry.perTryTimeoutMs = 0;
    } else {
      this.#retry.on = 0;
      this.#retry.perTryTimeoutMs = 0;
    }
    if (action.idleTimeoutMs !== undefined) this.#watchIdle(action.idleTimeoutMs, this.#start);
    if (this.#requestDone) this.#startRouteTimer(this.#start);
    this.#attempt(head, false);
  }

  /** Chooses a host and a connection for the next attempt. `head`: where it is at hand. */
  #attempt(head: Head | undefined, fresh: boolean): void {
    const cluster = this.#cluster as Cluster;
    const action = this.#action as ForwardAction;
    const { stats } = cluster;
    const host = cluster.choose(this.#tried === undefined && cluster.config.discovery !== 'ORIGINAL_DST' ? undefined : this.#chooseContext());
    if (host === undefined) {
      stats.cxNoneHealthy.inc();
      this.#reply(503, 'no_healthy_upstream', RESPONSE_FLAG.UH, BODY.NO_HEALTHY_UPSTREAM);
      return;
    }
    const breakers = cluster.breakers[action.priority];
    if (!breakers.requests.tryAdd()) {
      this.#overflow();
      return;
    }
    this.#attemptOpen = true;
    this.#attempts++;
    this.#upstreamHost = host;
    host.active++;
    host.stats.rqTotal.inc();
    host.stats.rqActive.inc();
    stats.rqTotal.inc();
    stats.rqActive.inc();
    const pool = poolOf(this.#context, cluster, host, action.priority);
    this.#pool = pool;
    const connection = fresh ? undefined : pool.take(this);
    if (connection !== undefined) {
      this.#send(connection, head);
      return;
    }
    this.#phase = PHASE.WAITING;
    if (this.#madeRequestId && this.#requestId === '') this.#requestId = this.#context.requestIds.text;
    if (!pool.enqueue(this)) {
      this.#endAttempt(false);
      this.#overflow();
    }
  }

  #chooseContext() {
    return { tried: this.#tried, avoidAttempts: this.#retry.hostAttempts, originalDst: this.info?.originalDst ?? this.info?.local };
  }

  #overflow(): void {
    this.#cluster?.stats.rqPendingOverflow.inc();
    this.#reply(503, 'upstream_reset_before_response_started{overflow}', RESPONSE_FLAG.UO, resetBody('overflow'), 'x-envoy-overloaded', 'true');
  }

  // ---- upstream -------------------------------------------------------------------------------------------------------------------------

  onPoolReady(connection: PooledConnection): void {
    this.#send(connection, undefined);
  }

  onPoolFailure(reason: CloseReason, errno: string): void {
    const why = reason === 'connect-timeout' ? 'connection_timeout' : 'remote_connection_failure';
    this.#upstreamFailed('connect', why, RESPONSE_FLAG.UF, reason === 'connect-timeout' ? '' : `delayed_connect_error:_${closeText(errno)}`);
  }

  #send(connection: PooledConnection, known: Head | undefined): void {
    const { engine } = this.#context;
    const head = known ?? engine.head(this.handle);
    this.#upstream = connection;
    if (head === undefined) {
      // The request is not there any more: its connection is about to be told closed.
      this.#dropUpstream();
      return;
    }
    const now = this.#context.now;
    if (!this.#continued && (this.#flags & HEAD_FLAG.EXPECT_CONTINUE) !== 0 && !this.#manager.config.proxy100Continue) {
      this.#continued = true;
      engine.reply(this.handle, this.#context.edits.reset().status(100));
    }
    const edits = this.#requestEdits(head, connection, now);
    this.#upstreamStart = now;
    this.#firstUpstreamByte = -1;
    this.#phase = PHASE.SENT;
    const result = engine.forward(this.handle, connection.handle, edits);
    if (result === FORWARD.STALE) {
      this.#sendFailed(connection);
      return;
    }
    if ((result & FORWARD.DONE) !== 0 && !this.#requestDone) {
      this.#requestBytes = engine.movedBytes;
      this.#requestIsDone(now);
    }
    if (this.#retry.perTryTimeoutMs > 0) {
      this.#tryAt = now + this.#retry.perTryTimeoutMs;
      this.#arm(this.#tryAt);
    }
  }

  /** Nothing went out: one of the two ends is gone already, and its event is on the way. */
  #sendFailed(connection: PooledConnection): void {
    const { engine } = this.#context;
    this.#upstream = undefined;
    connection.pool.discard(connection);
    if (engine.head(this.handle) === undefined) {
      this.#endAttempt(false);
      engine.close(this.handle, 'flush');
      return;
    }
    this.#endAttempt(false);
    if (++this.#staleSends < MAX_STALE_SENDS) this.#attempt(undefined, true);
    else this.#upstreamFailed('unsent', 'connection_termination', RESPONSE_FLAG.UC, '');
  }

  onUpstreamHead(connection: PooledConnection, head: Head): void {
    if (connection !== this.#upstream) return;
    const { engine, edits } = this.#context;
    const { status } = head;
    if (status < 200 && status !== 101) {
      // The engine keeps it from a client that speaks HTTP/1.0.
      engine.forward(connection.handle, this.handle, edits.reset());
      return;
    }
    if (status === 101 && this.#upgrade === '') {
      this.#dropUpstream();
      this.#upstreamFailed('reset', 'protocol_error', RESPONSE_FLAG.UPE, '');
      return;
    }
    const now = this.#context.now;
    this.#firstUpstreamByte = now;
    this.#tryAt = NEVER;
    if (this.#retry.on !== 0 && this.#retry.wantsOther(status, head) && this.#mayRetry()) {
      this.#cluster?.stats.countResponse(status, this.#origin.internal);
      this.#hostAnswered(status);
      this.#dropUpstream();
      this.#scheduleRetry(now);
      return;
    }
    this.#respond(connection, head, status, now);
  }

  #respond(connection: PooledConnection, head: Head, status: number, now: number): void {
    const { engine } = this.#context;
    const manager = this.#manager;
    if (this.#retry.made > 0 && !this.#retry.wantsOther(status, head)) this.#cluster?.stats.rqRetrySuccess.inc();
    this.#status = status;
    this.#details = 'via_upstream';
    this.#hostAnswered(status);
    if (manager.wantsResponseHead) (this.#record as LogRecord).responseHead = head.retain();
    const isConnect = (this.#flags & HEAD_FLAG.CONNECT) !== 0;
    const tunnels = status === 101 || (isConnect && status < 300);
    // A client of HTTP/1.0 learns the end of a body of unknown length from our FIN alone: a broken one must end with RST.
    this.#responseEndsWithConnection = head.contentLength < 0 && (this.#flags & HEAD_FLAG.HTTP_11) === 0;
    const edits = this.#responseEdits(head, now);
    if (tunnels) edits.flag(EDIT_FLAG.TUNNEL | (status === 101 ? EDIT_FLAG.UPGRADE : 0));
    const result = engine.forward(connection.handle, this.handle, edits);
    this.#phase = PHASE.RESPONDING;
    if (result === FORWARD.STALE) {
      // Downstream is gone (its event follows) or cannot take a response any more.
      this.#dropUpstream();
      engine.close(this.handle, 'flush');
      return;
    }
    if (tunnels) {
      this.#beginTunnel();
      return;
    }
    if ((result & FORWARD.DONE) !== 0) {
      this.#responseBytes = engine.movedBytes;
      this.#responseIsDone(connection, result);
    }
  }

  onUpstreamEnd(connection: PooledConnection, bytes: number, flags: number): void {
    if (connection !== this.#upstream) return;
    this.#responseBytes = bytes;
    this.#responseIsDone(connection, flags);
  }

  onUpstreamFault(connection: PooledConnection, fault: FramingFault): void {
    if (connection !== this.#upstream) return;
    this.#context.log.debug(`upstream protocol error: ${fault.code} at byte ${fault.offset}`);
    this.#dropUpstream();
    if (this.#responseStarted) {
      this.#details = 'upstream_reset_after_response_started{protocol_error}';
      this.#abort(this.#details, RESPONSE_FLAG.UPE);
      return;
    }
    this.#upstreamFailed('reset', 'protocol_error', RESPONSE_FLAG.UPE, '');
  }

  onUpstreamClosed(connection: PooledConnection, reason: CloseReason, _errno: string): void {
    if (connection !== this.#upstream) return;
    this.#upstream = undefined;
    if (this.#phase === PHASE.TUNNEL) {
      // What it sent last still goes out; the end of the client's connection ends the tunnel.
      this.#context.engine.close(this.handle, 'flush');
      return;
    }
    this.#cluster?.stats.rqRxReset.inc();
    if (this.#responseStarted) {
      this.#endAttempt(true);
      this.#manager.stats.rqResetAfterResponseStarted.inc();
      this.#abort('upstream_reset_after_response_started{connection_termination}', RESPONSE_FLAG.UC);
      return;
    }
    const wasReused = connection.requests > 1;
    if (wasReused && !this.#freshTried && reason !== 'truncated' && this.#replayable && this.#context.engine.canReplay(this.handle)) {
      // RFC 9112 §9.3.1: an idempotent request may be sent again where a kept connection was closed before any byte of the answer.
      this.#freshTried = true;
      this.#endAttempt(false);
      this.#attempt(undefined, true);
      return;
    }
    this.#upstreamFailed('reset', 'connection_termination', RESPONSE_FLAG.UC, '');
  }

  /** An attempt ended without a response: again, or the error to the client. */
  #upstreamFailed(kind: ResetKind, why: string, flag: number, transport: string): void {
    this.#endAttempt(false, kind === 'timeout');
    this.#tryAt = NEVER;
    if (this.#retry.on !== 0 && this.#retry.wantsAfter(kind) && this.#mayRetry()) {
      this.#scheduleRetry(this.#context.now);
      return;
    }
    if (transport !== '' && this.#manager.logs) (this.#record as LogRecord).upstreamTransportFailure = transport;
    if (kind === 'timeout') {
      this.#reply(504, 'upstream_per_try_timeout', RESPONSE_FLAG.UT, BODY.UPSTREAM_TIMEOUT);
      return;
    }
    const details = `upstream_reset_before_response_started{${why}${transport === '' ? '' : `|${transport}`}}`;
    this.#reply(why === 'protocol_error' ? 502 : 503, details, flag, resetBody(why.replaceAll('_', ' '), transport.replaceAll('_', ' ')));
  }

  // ---- retries --------------------------------------------------------------------------------------------------------------------------

  /** Room for one more retry: the policy's number, the cluster's circuit breaker, and a request that was kept. */
  #mayRetry(): boolean {
    const cluster = this.#cluster as Cluster;
    const { retry: _retry, priority } = this.#action as ForwardAction;
    if (this.#retry.left <= 0) {
      cluster.stats.rqRetryLimitExceeded.inc();
      this.#responseFlags |= RESPONSE_FLAG.URX;
      return false;
    }
    if (!this.#context.engine.canReplay(this.handle) && this.#upstreamStart >= 0) {
      this.#manager.stats.rqRetrySkipped.inc();
      return false;
    }
    if (!this.#retryHeld) {
      if (!cluster.breakers[priority].retries.tryAdd()) {
        cluster.stats.rqRetryOverflow.inc();
        return false;
      }
      this.#retryHeld = true;
    }
    return true;
  }

  #scheduleRetry(now: number): void {
    const { stats } = this.#cluster as Cluster;
    stats.rqRetry.inc();
    stats.rqRetryBackoffExponential.inc();
    if (this.#retry.avoidsPreviousHosts && this.#upstreamHost !== undefined) {
      this.#tried ??= [];
      this.#tried.push(this.#upstreamHost);
    }
    this.#phase = PHASE.BACKOFF;
    this.#retryAt = now + this.#retry.next(Math.random());
    this.#arm(this.#retryAt);
  }

  // ---- ends -----------------------------------------------------------------------------------------------------------------------------

  #requestIsDone(now: number): void {
    this.#requestDone = true;
    this.#requestEnd = now;
    this.#requestAt = NEVER;
    if (this.#phase === PHASE.SENT) this.#startRouteTimer(now);
  }

  #responseIsDone(connection: PooledConnection, flags: number): void {
    this.#upstream = undefined;
    // After an attempt to upgrade nobody knows what the other side takes the connection for.
    if ((flags & FORWARD.REUSABLE) !== 0 && this.#upgrade === '') {
      connection.user = undefined;
      this.#finishUpstream();
      this.#complete();
      connection.pool.release(connection);
      return;
    }
    connection.pool.discard(connection);
    this.#finishUpstream();
    if (!this.#requestDone) this.#manager.stats.rqResponseBeforeRqComplete.inc();
    this.#complete();
  }

  #finishUpstream(): void {
    const cluster = this.#cluster as Cluster;
    cluster.stats.recordTime(Math.max(0, this.#context.now - this.#upstreamStart), this.#origin.internal);
    this.#endAttempt(true);
  }

  /** The attempt's share of the accounts. */
  #endAttempt(answered: boolean, timedOut = false): void {
    if (!this.#attemptOpen) return;
    this.#attemptOpen = false;
    const cluster = this.#cluster as Cluster;
    const host = this.#upstreamHost as Host;
    cluster.breakers[(this.#action as ForwardAction).priority].requests.remove();
    cluster.stats.rqActive.dec();
    host.active--;
    host.stats.rqActive.dec();
    if (timedOut) host.stats.rqTimeout.inc();
    else if (!answered) host.stats.rqError.inc();
  }
  #hostAnswered(status: number): void {
    const host = this.#upstreamHost as Host;
    (status >= 500 ? host.stats.rqError : host.stats.rqSuccess).inc();
  }

  /** Lets go of the upstream side, whatever it is at; its connection is never used again. */
  #dropUpstream(): void {
    const connection = this.#upstream;
    if (connection !== undefined) {
      this.#upstream = undefined;
      connection.pool.discard(connection);
      this.#cluster?.stats.rqTxReset.inc();
      this.#endAttempt(this.#firstUpstreamByte >= 0);
    } else if (this.#attemptOpen) {
      if (this.#pool?.cancel(this) === true) this.#cluster?.stats.rqCancelled.inc();
      this.#endAttempt(true);
    }
  }

  get #responseStarted(): boolean {
    return this.#phase === PHASE.RESPONDING;
  }

  /** A response that has begun cannot be finished: the client must see it broken. */
  #abort(details: string, flag: number): void {
    this.#details = details;
    this.#responseFlags |= flag;
    this.#manager.stats.rqTxReset.inc();
    this.#dropUpstream();
    this.#context.engine.close(this.handle, this.#responseEndsWithConnection ? 'reset' : 'flush');
    this.#complete();
  }

  #beginTunnel(): void {
    this.#phase = PHASE.TUNNEL;
    this.#routeAt = NEVER;
    this.#requestAt = NEVER;
    this.#manager.stats.cxUpgradesTotal.inc();
    this.#manager.stats.cxUpgradesActive.inc();
  }
  #endTunnel(): void {
    this.#manager.stats.cxUpgradesActive.dec();
    const connection = this.#upstream;
    this.#upstream = undefined;
    const traffic = this.#context.engine.traffic(this.handle);
    if (traffic !== undefined) {
      this.#requestBytes = traffic.received - this.#received;
      this.#responseBytes = traffic.sent - this.#sent;
    }
    // What the client sent last still goes up.
    if (connection !== undefined) connection.pool.discard(connection, 'flush');
    this.#finishUpstream();
    this.#complete();
  }

  /** Answers the request here. `body`: text; `name`, `value`: one more header. Envoy's local reply: plain text, the route's response headers. */
  #reply(status: number, details: string, flags: number, body: Uint8Array | undefined, name = '', value = '', close = false): void {
    const { engine, edits } = this.#context;
    const manager = this.#manager;
    this.#dropUpstream();
    this.#status = status;
    this.#details = details;
    this.#responseFlags |= flags;
    edits.reset().status(status);
    const responseHeaders = this.#route?.responseHeaders;
    const chosen = this.#choice?.responseHeaders;
    if (responseHeaders !== undefined || chosen !== undefined) {
      const record = this.#currentRecord();
      const head = new Head(new Uint8Array(0), emptyHeadTable());
      responseHeaders?.change(head, edits, record);
      chosen?.change(head, edits, record);
      if (name !== '') edits.append(name, value);
      chosen?.append(head, edits, record);
      responseHeaders?.append(head, edits, record);
    } else if (name !== '') edits.append(name, value);
    if (body !== undefined && body.length > 0) edits.appendBytes(BODY.PLAIN_TEXT);
    if (manager.config.alwaysSetRequestIdInResponse) this.#appendRequestId(edits);
    edits.appendBytes(this.#context.date.at(this.#context.now));
    if (manager.config.serverHeader !== 'PASS_THROUGH') edits.appendBytes(manager.serverLine);
    if (manager.viaLine !== undefined) edits.appendBytes(manager.viaLine);
    if (close || this.#isLastRequest) edits.flag(EDIT_FLAG.CLOSE);
    this.#responseBytes = body !== undefined && (this.#flags & HEAD_FLAG.HEAD_METHOD) === 0 ? body.length : 0;
    if (!this.#closed && !engine.reply(this.handle, edits, body)) engine.close(this.handle, 'flush');
    if (this.#cluster !== undefined && this.#route?.action.kind === 'forward') this.#cluster.stats.countResponse(status, this.#origin.internal);
    this.#complete(true);
  }

  /** The one end of every request. */
  #complete(counted = false): void {
    const manager = this.#manager;
    const { stats } = manager;
    const now = this.#context.now;
    const status = this.#status;
    this.#phase = PHASE.IDLE;
    stats.rqActive.dec();
    stats.rqTime.record(Math.max(0, now - this.#start));
    if (status > 0) {
      stats.rqCompleted.inc();
      stats.rqClass[(status / 100) | 0]?.inc();
      if (!counted) this.#cluster?.stats.countResponse(status, this.#origin.internal);
    }
    if (this.#retryHeld) {
      this.#retryHeld = false;
      (this.#cluster as Cluster).breakers[(this.#action as ForwardAction).priority].retries.remove();
    }
    if (manager.logs) this.#log(now);
    this.#countTraffic();
    this.#route = undefined;
    this.#action = undefined;
    this.#choice = undefined;
    this.#cluster = undefined;
    this.#upstreamHost = undefined;
    this.#pool = undefined;
    this.#tried = undefined;
    this.#routeAt = NEVER;
    this.#tryAt = NEVER;
    this.#retryAt = NEVER;
    this.#requestAt = NEVER;
    this.#idleAt = NEVER;
  }

  get #isLastRequest(): boolean {
    const { maxRequestsPerConnection } = this.#manager.config;
    if (maxRequestsPerConnection === 0 || this.#requests < maxRequestsPerConnection) return false;
    this.#manager.stats.cxMaxRequestsReached.inc();
    return true;
  }

  // ---- times ----------------------------------------------------------------------------------------------------------------------------

  #arm(deadline: number): void {
    if (deadline >= this.#armedAt || this.#closed) return;
    if (this.#timer !== 0) this.#context.wheel.stop(this.#timer);
    this.#armedAt = deadline;
    this.#timer = this.#context.wheel.start(deadline, this, 0);
  }
  #startRouteTimer(now: number): void {
    // The request of an upgrade has no end: like Envoy, no time for its response.
    if (this.#timeoutMs === 0 || this.#upgrade !== '' || (this.#flags & HEAD_FLAG.CONNECT) !== 0) return;
    this.#routeAt = now + this.#timeoutMs;
    this.#arm(this.#routeAt);
  }
  #watchIdle(idleMs: number, now: number): void {
    this.#idleMs = idleMs;
    if (idleMs === 0) {
      this.#idleAt = NEVER;
      return;
    }
    this.#quietSince = now;
    this.#idleAt = now + idleMs / IDLE_CHECKS;
    this.#arm(this.#idleAt);
  }

  onTimer(_kind: number, now: number): void {
    this.#context.timerFired(now);
    this.#timer = 0;
    this.#armedAt = NEVER;
    if (this.#closed) return;
    if (this.#lifeAt <= now) {
      this.#lifeAt = NEVER;
      this.#manager.stats.cxMaxDurationReached.inc();
      this.drain();
    }
    if (this.#phase !== PHASE.IDLE) this.#fire(now);
    const next = Math.min(this.#routeAt, this.#tryAt, this.#retryAt, this.#requestAt, this.#idleAt, this.#lifeAt);
    if (next !== NEVER) this.#arm(next);
  }

  #fire(now: number): void {
    if (this.#routeAt <= now) this.#routeTimeout();
    else if (this.#requestAt <= now) this.#requestTimeout();
    else if (this.#tryAt <= now) this.#tryTimeout();
    else if (this.#retryAt <= now) {
      this.#retryAt = NEVER;
      this.#attempt(undefined, false);
    } else if (this.#idleAt <= now) this.#checkIdle(now);
  }
  #routeTimeout(): void {
    this.#cluster?.stats.rqTimeout.inc();
    this.#upstreamHost?.stats.rqTimeout.inc();
    if (this.#responseStarted) this.#abort('response_timeout', RESPONSE_FLAG.UT);
    else this.#reply(504, 'response_timeout', RESPONSE_FLAG.UT, BODY.UPSTREAM_TIMEOUT);
  }
  #requestTimeout(): void {
    this.#manager.stats.rqTimeout.inc();
    if (this.#responseStarted) this.#abort('request_overall_timeout', RESPONSE_FLAG.DT);
    else this.#reply(408, 'request_overall_timeout', RESPONSE_FLAG.DT, BODY.of('request timeout'), '', '', true);
  }
  #tryTimeout(): void {
    this.#tryAt = NEVER;
    this.#cluster?.stats.rqPerTryTimeout.inc();
    const connection = this.#upstream;
    if (connection !== undefined) {
      this.#upstream = undefined;
      connection.pool.discard(connection);
      this.#cluster?.stats.rqTxReset.inc();
    }
    this.#upstreamFailed('timeout', '', RESPONSE_FLAG.UT, '');
  }
  #checkIdle(now: number): void {
    const { engine } = this.#context;
    const traffic = engine.traffic(this.handle);
    const bytes = traffic === undefined ? this.#quietBytes : traffic.received + traffic.sent;
    if (bytes !== this.#quietBytes) {
      this.#quietSince = now;
      this.#quietBytes = bytes;
    }
    if (now - this.#quietSince < this.#idleMs) {
      this.#idleAt = Math.min(now + this.#idleMs / IDLE_CHECKS, this.#quietSince + this.#idleMs);
      return;
    }
    this.#manager.stats.rqIdleTimeout.inc();
    if (this.#phase === PHASE.TUNNEL) {
      this.#responseFlags |= RESPONSE_FLAG.SI;
      this.#idleAt = NEVER;
      engine.close(this.handle, 'flush');
    } else if (this.#responseStarted) this.#abort('stream_idle_timeout', RESPONSE_FLAG.SI);
    else this.#reply(this.#requestDone ? 504 : 408, 'stream_idle_timeout', RESPONSE_FLAG.SI, BODY.of('stream timeout'), '', '', !this.#requestDone);
  }

  // ---- header changes -------------------------------------------------------------------------------------------------------------------

  #requestEdits(head: Head, connection: PooledConnection, now: number): Edits {
    const { config, viaLine } = this.#manager;
    const { edits, lines } = this.#context;
    const route = this.#route as Route;
    const action = this.#action as ForwardAction;
    const cluster = this.#cluster as Cluster;
    const origin = this.#origin;
    const flags = this.#flags;
    const choiceHeaders = this.#choice?.requestHeaders;
    const record = route.requestHeaders !== undefined || choiceHeaders !== undefined ? this.#currentRecord() : undefined;
    edits.reset();

    // Changes of what is there come first; `append` closes that part.
    const path = action.rewritePath === undefined ? undefined : action.rewritePath(this.#path);
    if (path !== undefined && path !== this.#path) edits.target(path);
    else if (this.#pathChanged) edits.target(this.#path);
    const isRewritten = path !== undefined && path !== this.#path;
    const hostIndex = head.lineOf(LINE.HOST);
    const host = this.#forwardedHost(action, head);
    if (host !== undefined && hostIndex >= 0) edits.replace(hostIndex, host);
    sanitize(head, origin, edits);
    if ((flags & HEAD_FLAG.EXPECT_CONTINUE) !== 0 && !config.proxy100Continue) dropAll(head, edits, 'expect');
    const requestIdIndex = head.lineOf(LINE.X_REQUEST_ID);
    if (this.#madeRequestId && requestIdIndex >= 0) edits.replace(requestIdIndex, this.#requestIdText());
    const serial = this.#attempts;
    const attemptIndex = head.lineOf(LINE.X_ENVOY_ATTEMPT_COUNT);
    if (action.includeAttemptCount && attemptIndex >= 0) edits.replace(attemptIndex, `${serial}`);
    const protoIndex = head.lineOf(LINE.X_FORWARDED_PROTO);
    if (protoIndex >= 0 && config.useRemoteAddress && config.xffTrustedHops === 0) edits.replace(protoIndex, 'http');
    const forIndex = head.lineOf(LINE.X_FORWARDED_FOR);
    const forwardedFor = this.#forwardedFor();
    if (forwardedFor !== '' && forIndex >= 0) {
      edits.replace(forIndex, `${head.getAll('x-forwarded-for')},${forwardedFor}`);
      for (let index = head.indexOf('x-forwarded-for', forIndex + 1); index >= 0; index = head.indexOf('x-forwarded-for', index + 1))
        edits.drop(index);
    }
    const originalIndex = head.lineOf(LINE.X_ENVOY_ORIGINAL_PATH);
    if (isRewritten && !config.suppressEnvoyHeaders && originalIndex >= 0) edits.drop(originalIndex);
    const forwardedHostIndex = head.lineOf(LINE.X_FORWARDED_HOST);
    const forwardsHost = action.appendForwardedHost && host !== undefined;
    if (forwardsHost && forwardedHostIndex >= 0) edits.replace(forwardedHostIndex, `${head.getAll('x-forwarded-host')},${this.#host}`);
    const internalIndex = head.lineOf(LINE.X_ENVOY_INTERNAL);
    if (origin.internal && internalIndex >= 0) edits.replace(internalIndex, 'true');
    const expectedIndex = head.lineOf(LINE.X_ENVOY_EXPECTED_RQ_TIMEOUT_MS);
    if (origin.internal && expectedIndex >= 0) edits.drop(expectedIndex);
    if (record !== undefined) {
      choiceHeaders?.change(head, edits, record);
      route.requestHeaders?.change(head, edits, record);
    }

    if (hostIndex < 0 && (host !== undefined || this.#hostChanged)) edits.append('host', host ?? this.#host);
    else if (hostIndex < 0 && this.#host !== '' && (flags & HEAD_FLAG.HTTP_11) === 0) edits.append('host', this.#host);
    if (forwardedFor !== '' && forIndex < 0) edits.append('x-forwarded-for', forwardedFor);
    if (protoIndex < 0) edits.appendBytes(BODY.FORWARDED_PROTO);
    if (this.#madeRequestId && requestIdIndex < 0) this.#appendMadeId(edits);
    if (forwardsHost && forwardedHostIndex < 0) edits.append('x-forwarded-host', this.#host);
    if (origin.internal && internalIndex < 0) edits.append('x-envoy-internal', 'true');
    else if (origin.edge && origin.remote !== undefined && 'ip' in origin.remote) edits.append('x-envoy-external-address', origin.remote.ip);
    if (!config.suppressEnvoyHeaders) {
      if (isRewritten) edits.append('x-envoy-original-path', this.#path);
      const expected = this.#expectedTimeout(now);
      if (expected > 0) edits.appendBytes(lines.expectedTimeout(expected));
    }
    if (action.includeAttemptCount && attemptIndex < 0) edits.append('x-envoy-attempt-count', `${serial}`);
    if (viaLine !== undefined) edits.appendBytes(viaLine);
    if (record !== undefined) {
      choiceHeaders?.append(head, edits, record);
      route.requestHeaders?.append(head, edits, record);
    }

    let bits = 0;
    if (this.#upgrade !== '') bits |= EDIT_FLAG.UPGRADE;
    if (cluster.config.properCase) bits |= EDIT_FLAG.PROPER_CASE;
    if ((flags & HEAD_FLAG.EXPECT_CONTINUE) !== 0 && config.proxy100Continue) bits |= EDIT_FLAG.HOLD_BODY;
    this.#replayable = (flags & (HEAD_FLAG.IDEMPOTENT | HEAD_FLAG.END)) === (HEAD_FLAG.IDEMPOTENT | HEAD_FLAG.END) && this.#upgrade === '';
    if (this.#retry.on !== 0 || (this.#replayable && connection.requests > 1)) bits |= EDIT_FLAG.RETAIN;
    if (bits !== 0) edits.flag(bits);
    return edits;
  }

  #forwardedHost(action: ForwardAction, head: Head): string | undefined {
    const { rewriteHost } = action;
    if (rewriteHost !== undefined) {
      const host = rewriteHost === 'auto' ? this.#upstreamHost?.hostname : rewriteHost(this.#host, this.#path, head);
      if (host !== undefined && host !== '') return host;
    }
    return this.#hostChanged ? this.#host : undefined;
  }
  #forwardedFor(): string {
    const { config } = this.#manager;
    if (!config.useRemoteAddress || config.skipXffAppend) return '';
    const remote = this.info?.remote;
    return remote !== undefined && 'ip' in remote ? remote.ip : '';
  }
  /** What is left for the upstream: the try's time or the whole's; 0: no bound. */
  #expectedTimeout(now: number): number {
    const perTry = this.#retry.perTryTimeoutMs;
    let left = this.#timeoutMs;
    if (left > 0 && this.#routeAt !== NEVER && this.#attempts > 1) left = Math.max(1, Math.round(this.#routeAt - now));
    return perTry > 0 && (left === 0 || perTry < left) ? perTry : left;
  }
  /** The id made for this request. Where it was not kept as text and other requests have come since, nobody has seen it: a new one does. */
  #appendMadeId(edits: Edits): void {
    const { requestIds } = this.#context;
    if (this.#requestId !== '') {
      edits.append('x-request-id', this.#requestId);
      return;
    }
    if (this.#attempts > 1) requestIds.next();
    if (this.#retry.on !== 0) this.#requestId = requestIds.text;
    edits.appendBytes(requestIds.line);
  }
  #requestIdText(): string {
    if (this.#requestId === '') this.#requestId = this.#context.requestIds.text;
    return this.#requestId;
  }
  #appendRequestId(edits: Edits): void {
    if (this.#requestId !== '') edits.append('x-request-id', this.#requestId);
  }

  #responseEdits(head: Head, now: number): Edits {
    const { edits, date, lines } = this.#context;
    const manager = this.#manager;
    const { config } = manager;
    const action = this.#action as ForwardAction;
    const routeHeaders = this.#route?.responseHeaders;
    const choiceHeaders = this.#choice?.responseHeaders;
    const record = routeHeaders !== undefined || choiceHeaders !== undefined ? this.#currentRecord() : undefined;
    edits.reset();
    const serverIndex = head.lineOf(LINE.SERVER);
    if (serverIndex >= 0 && config.serverHeader === 'OVERWRITE') edits.replace(serverIndex, config.serverName);
    const serviceIndex = head.lineOf(LINE.X_ENVOY_UPSTREAM_SERVICE_TIME);
    const serviceMs = Math.max(0, Math.floor(now - Math.max(this.#requestEnd, this.#upstreamStart)));
    if (serviceIndex >= 0 && !config.suppressEnvoyHeaders) edits.replace(serviceIndex, `${serviceMs}`);
    const attemptIndex = head.lineOf(LINE.X_ENVOY_ATTEMPT_COUNT);
    if (action.includeAttemptCountInResponse && attemptIndex >= 0) edits.replace(attemptIndex, `${this.#attempts}`);
    const requestIdIndex = config.alwaysSetRequestIdInResponse ? head.lineOf(LINE.X_REQUEST_ID) : -1;
    if (requestIdIndex >= 0 && this.#requestId !== '') edits.replace(requestIdIndex, this.#requestId);
    if (record !== undefined) {
      choiceHeaders?.change(head, edits, record);
      routeHeaders?.change(head, edits, record);
    }
    if (head.lineOf(LINE.DATE) < 0) edits.appendBytes(date.at(now));
    if (serverIndex < 0 && config.serverHeader !== 'PASS_THROUGH') edits.appendBytes(manager.serverLine);
    if (serviceIndex < 0 && !config.suppressEnvoyHeaders) edits.appendBytes(lines.serviceTime(serviceMs));
    if (action.includeAttemptCountInResponse && attemptIndex < 0) edits.append('x-envoy-attempt-count', `${this.#attempts}`);
    if (config.alwaysSetRequestIdInResponse && requestIdIndex < 0) this.#appendRequestId(edits);
    if (manager.viaLine !== undefined) edits.appendBytes(manager.viaLine);
    if (record !== undefined) {
      choiceHeaders?.append(head, edits, record);
      routeHeaders?.append(head, edits, record);
    }
    if (this.#isLastRequest) edits.flag(EDIT_FLAG.CLOSE);
    if (config.properCase) edits.flag(EDIT_FLAG.PROPER_CASE);
    return edits;
  }

  // ---- the record -----------------------------------------------------------------------------------------------------------------------

  /** Begins the record of a request that will be logged: its strings are made now, while the head is there. */
  #beginRecord(head: Head | undefined): void {
    const record = this.#newRecord();
    if (head === undefined) return;
    if (this.#madeRequestId) record.requestId = this.#requestIdText();
    else record.requestId = head.known('x-request-id') ?? '';
    record.method = head.method;
    record.protocol = head.version;
    record.authority = this.#host;
    record.originalPath = head.path;
    record.path = this.#path;
    if (this.#manager.wantsRequestHead) record.requestHead = head.retain();
  }
  #newRecord(): LogRecord {
    this.#record ??= emptyRecord();
    const record = this.#record;
    resetRecord(record);
    record.startTime = Date.now();
    record.start = this.#start;
    record.scheme = 'http';
    record.filterChain = this.#manager.chainName;
    if (record.connectionId === 0) {
      record.connectionId = this.#context.nextConnectionId++;
      record.downstreamLocal = this.info?.local;
      record.downstreamDirectRemote = this.info?.remote;
    }
    record.downstreamRemote = this.#origin.remote ?? this.info?.remote;
    return record;
  }
  /** The record as far as it is known: for substitutions in header values. */
  #currentRecord(): LogRecord {
    if (!this.#manager.logs) {
      const head = this.#context.engine.head(this.handle);
      if (this.#record === undefined || this.#record.start !== this.#start) {
        const record = this.#newRecord();
        if (this.#madeRequestId) record.requestId = this.#requestIdText();
        record.authority = this.#host;
        record.path = this.#path;
        record.originalPath = this.#path;
        if (head !== undefined) {
          record.method = head.method;
          record.protocol = head.version;
          record.requestHead = head.retain();
        }
      }
    }
    const record = this.#record as LogRecord;
    this.#fill(record);
    return record;
  }
  #fill(record: LogRecord): void {
    const route = this.#route;
    const host = this.#upstreamHost;
    record.requestEnd = this.#requestEnd;
    record.upstreamStart = this.#upstreamStart;
    record.firstUpstreamByte = this.#firstUpstreamByte;
    record.responseCode = this.#status;
    record.details = this.#details;
    record.flags = this.#responseFlags;
    record.attempts = this.#attempts;
    record.bytesReceived = this.#requestBytes;
    record.bytesSent = this.#responseBytes;
    if (route !== undefined) {
      record.routeName = route.name;
      record.virtualHost = route.virtualHost;
    }
    if (this.#cluster !== undefined) record.upstreamCluster = this.#cluster.name;
    if (host !== undefined) {
      record.upstreamHost = host.address;
      record.upstreamHostname = host.hostname;
    }
    if (this.#upstream !== undefined) record.upstreamLocal = this.#upstream.local;
  }
  #log(now: number): void {
    const record = this.#record as LogRecord;
    this.#fill(record);
    record.end = now;
    record.firstDownstreamByte = this.#firstUpstreamByte;
    record.lastUpstreamByte = this.#firstUpstreamByte >= 0 ? now : -1;
    record.upstreamBytesReceived = this.#responseBytes;
    record.upstreamBytesSent = this.#requestBytes;
    for (const log of this.#manager.config.accessLogs) log.log(record);
  }

  #countTraffic(): void {
    const traffic = this.#context.engine.traffic(this.handle);
    if (traffic === undefined) return;
    const { stats } = this.#manager;
    stats.cxRxBytesTotal.inc(traffic.received - this.#received);
    stats.cxTxBytesTotal.inc(traffic.sent - this.#sent);
    this.#received = traffic.received;
    this.#sent = traffic.sent;
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
      old.stats.cxHttp1Active.dec();
      manager.stats.cxActive.inc();
      manager.stats.cxHttp1Active.inc();
    }
    if (manager.config.idleTimeoutMs !== old.config.idleTimeoutMs) this.#context.engine.setIdleTimeout(this.handle, manager.config.idleTimeoutMs);
  }
}

function dropAll(head: Head, edits: Edits, name: string): void {
  for (let index = head.indexOf(name); index >= 0; index = head.indexOf(name, index + 1)) edits.drop(index);
}
/** The table of a response head without lines: what mutations of a local reply look at. */
function emptyHeadTable(): Int32Array {
  const ints = new Int32Array(HEAD.FIELDS);
  ints[HEAD.FLAGS] = HEAD_FLAG.RESPONSE | HEAD_FLAG.HTTP_11;
  ints[HEAD.LENGTH_LOW] = -1;
  ints[HEAD.LENGTH_HIGH] = -1;
  return ints;
}
const STATUS_TEXTS: ReadonlyMap<number, string> = new Map([
  [400, 'Bad Request'],
  [408, 'Request Timeout'],
  [413, 'Payload Too Large'],
  [414, 'URI Too Long'],
  [417, 'Expectation Failed'],
  [426, 'Upgrade Required'],
  [431, 'Request Header Fields Too Large'],
  [501, 'Not Implemented'],
  [505, 'HTTP Version Not Supported'],
]);
const statusText = (status: number) => STATUS_TEXTS.get(status) ?? 'Bad Request';

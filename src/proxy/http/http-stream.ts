/**
 * The life of a request: what a client's HTTP/1 connection carries one after the other, and an HTTP/2 connection at the same time.
 * ```
 *   IDLE ── onHead ─ route ─ cluster ─ host ─┬─> SENT ── onUpstreamHead ──> RESPONDING ── response and request over ──> IDLE
 *     ^                                      └─> WAITING (for a connection) ──> SENT                101, CONNECT 2xx ──> TUNNEL
 *     └── local reply (404, 503, 504, ...)       BACKOFF (before a retry) ──> host
 * ```
 * Hot path: one object per HTTP/1 connection, or per stream from a pool, reused for each request; no closure, promise or object is made per request by default
 * filters. Every end of a request goes through `#complete`: counted once, logged once, its upstream given back or closed.
 */
import type { CloseReason, ConnectionHandler, Engine, FramingFault } from '../../network/engine.js';
import { FORWARD } from '../../network/engine.js';
import { isGrpcHead, parseGrpcTimeout } from '../../protocol/grpc/request.js';
import { GRPC, grpcOfReset, httpOfGrpc, parseGrpcStatus } from '../../protocol/grpc/status.js';
import type { Head } from '../../protocol/head.js';
import { EDIT_FLAG, HEAD_FLAG, KNOWN_ID } from '../../protocol/head-layout.js';
import { STREAM_ERROR } from '../../protocol/stream-table.js';
import type { Upstream, UpstreamPool, UpstreamUser } from '../../stream/upstream.js';
import { RESPONSE_FLAG } from '../access-log/response-flags.js';
import type { Cluster } from '../cluster/cluster.js';
import type { Host } from '../cluster/host.js';
import type { ProxyContext } from '../context.js';
import { poolOf } from '../router/host-pools.js';
import { type ResetKind, wholeNumber } from '../router/retry.js';
import type { ForwardAction, Route, RouteTable } from '../runtime.js';
import { type DeadlineOwner, Deadlines, NEVER } from './deadlines.js';
import { Exchange, type ExchangeConnection } from './exchange.js';
import { ExchangeRecord } from './exchange-record.js';
import { ActiveFilters, type FilterOwner, type LocalReply } from './filters/chain.js';
import type { HttpManager } from './http-manager.js';
import { BODY, closeText, localReply, resetBody, statusText, toGrpcReply } from './local-reply.js';
import { QuietWatch } from './quiet-watch.js';
import { requestEdits } from './request-edits.js';
import { findOrigin } from './request-head.js';
import { readTarget } from './request-target.js';
import { replyEdits, responseEdits } from './response-edits.js';
import { acceptUpgrade } from './upgrade.js';

const PHASE = { IDLE: 0, WAITING: 1, BACKOFF: 2, SENT: 3, RESPONDING: 4, TUNNEL: 5 } as const;
/** Numbers of the well-known names that are looked at in every message. */
const LINE = { X_FORWARDED_FOR: KNOWN_ID['x-forwarded-for'], X_REQUEST_ID: KNOWN_ID['x-request-id'] } as const;
const SLASH = 0x2f;
/** Flags of a request that may be sent twice without asking. */
const REPLAYABLE = HEAD_FLAG.IDEMPOTENT | HEAD_FLAG.END;
/** Sends of one request to connections that turn out to be gone, before it fails. */
const MAX_STALE_SENDS = 3;

/** How often one request is sent anew because a peer has not processed it (RFC 9113 §8.7). */
const MAX_REFUSALS = 3;
/** 1xx heads before the response: no server needs as many, and a hostile one would go on for ever. */
const MAX_INFORMATIONAL = 100;

/** The connection that a request came on. */
export interface StreamOwner extends ExchangeConnection {
  /** A request has begun: answers the manager that it goes by. */
  beginRequest(): HttpManager;
  /** The manager of the last request. */
  readonly manager: HttpManager;
  /** The response in hand is to be the last of the connection. */
  readonly isLastRequest: boolean;
  /** A request that was on the connection when its peer or its end took it along. */
  streamLost(isLocal: boolean): void;
  /** A stream of HTTP/2 is gone, and the object free for another one. */
  streamEnded(stream: HttpStream): void;
}

/** See the head of this file. */
export class HttpStream implements ConnectionHandler, UpstreamUser, DeadlineOwner, FilterOwner {
  readonly #context: ProxyContext;
  #owner: StreamOwner;
  #manager: HttpManager;
  readonly exchange: Exchange;
  readonly #record: ExchangeRecord;
  readonly #deadlines: Deadlines;
  /** Of HTTP/2: it ends alone, and its connection goes on. */
  #isStream = false;
  #closed = false;
  /** 1xx heads of the present attempt. */
  #informational = 0;
  /** Wire bytes before the tunnel began. */
  #tunnelReceived = 0;
  #tunnelSent = 0;

  // the request
  #phase: number = PHASE.IDLE;
  #continued = false;

  // its way
  #pool: UpstreamPool | undefined = undefined;
  #retryHeld = false;
  #attemptOpen = false;
  #freshTried = false;
  #staleSends = 0;
  #refusals = 0;
  #tried: Host[] | undefined = undefined;
  #responseEndsWithConnection = false;

  // whether it moves
  readonly #stream = new QuietWatch();
  /** Made where a route bounds the silence of an attempt. */
  #try: QuietWatch | undefined = undefined;

  /** The requests of a connection of HTTP/1; `bind` makes it one of HTTP/2. */
  constructor(context: ProxyContext, owner: StreamOwner, handle: number) {
    this.#context = context;
    this.#owner = owner;
    this.#manager = owner.manager;
    this.exchange = new Exchange(context, owner, handle);
    this.#record = new ExchangeRecord(this.exchange);
    this.#deadlines = new Deadlines(context.wheel, this);
  }
  /** From now on it is a stream of HTTP/2, for one request. */
  bind(owner: StreamOwner, handle: number): this {
    this.#owner = owner;
    this.exchange.bind(owner, handle);
    this.#isStream = true;
    this.#closed = false;
    return this;
  }

  get handle(): number {
    return this.exchange.handle;
  }
  get isActive(): boolean {
    return this.#phase !== PHASE.IDLE;
  }

  // ---- downstream -----------------------------------------------------------------------------------------------------------------------

  onHead(_connection: number, head: Head): void {
    const now = this.#context.now;
    const { flags } = head;
    this.#begin(head, now, flags);
    this.exchange.isGrpc = isGrpcHead(head);
    const manager = this.#manager;
    const { config } = manager;
    if (config.requestTimeoutMs > 0 && !this.exchange.requestDone) {
      this.#deadlines.request = now + config.requestTimeoutMs;
      this.#deadlines.arm(this.#deadlines.request);
    }
    if (config.streamIdleTimeoutMs > 0) this.#watchIdle(config.streamIdleTimeoutMs, now);
    if (config.maxStreamDurationMs > 0) this.#boundStream(config.maxStreamDurationMs);

    if (manager.needsAddress || config.xffTrustedHops > 0 || head.lineOf(LINE.X_FORWARDED_FOR) >= 0) {
      findOrigin(head, config, this.exchange.info?.remote, this.exchange.origin);
    }
    const refusal = readTarget(manager, this.exchange, head);
    if (refusal !== undefined) {
      if (manager.logs) this.#record.begin(manager, head);
      const { status, details, location } = refusal;
      this.#reply(status, details, 0, undefined, location === '' ? '' : 'location', location);
      return;
    }
    if (config.generateRequestId && (head.lineOf(LINE.X_REQUEST_ID) < 0 || (this.exchange.origin.edge && !config.preserveExternalRequestId))) {
      this.#context.requestIds.next();
      this.exchange.madeRequestId = true;
      // The line is the worker's: kept as text only where it is needed after this callback.
      if (config.alwaysSetRequestIdInResponse) this.exchange.requestId = this.#context.requestIds.text;
    } else if (config.alwaysSetRequestIdInResponse) this.exchange.requestId = head.known('x-request-id') ?? '';
    if (manager.logs) this.#record.begin(manager, head);

    const random = Math.random();
    const route = this.#match(config.routes, head, random);
    this.exchange.route = route;
    const chain = manager.filters.of(route?.filters);
    if (chain !== undefined && !this.#filter(chain, head)) return;
    this.#route(head, random);
  }
  /** Looks the route up; most tables of a sidecar have one, and nothing to look up. */
  #match(routes: RouteTable, head: Head, random: number): Route | undefined {
    const { host, path, flags, upgrade } = this.exchange;
    if (routes.only !== undefined && path.charCodeAt(0) === SLASH) return routes.only;
    const { routeInput } = this.#context;
    routeInput.host = host.toLowerCase();
    routeInput.path = path;
    routeInput.isConnect = (flags & HEAD_FLAG.CONNECT) !== 0;
    routeInput.upgrade = upgrade;
    routeInput.random = random;
    return routes.match(head, routeInput);
  }

  /** The request's head has passed its filters. */
  #route(head: Head, random: number): void {
    const { stats } = this.#manager;
    const { route } = this.exchange;
    const { routeInput } = this.#context;
    if (route === undefined) {
      stats.noRoute.inc();
      this.#reply(404, 'route_not_found', RESPONSE_FLAG.NR, undefined);
      return;
    }
    const { action } = route;
    if (action.kind === 'forward') this.#forward(head, action, random);
    else if (action.kind === 'redirect') {
      stats.rqRedirect.inc();
      this.#reply(
        action.status,
        'direct_response',
        0,
        undefined,
        'location',
        action.location(routeInput.scheme, this.exchange.host, this.exchange.path),
      );
    } else {
      stats.rqDirectResponse.inc();
      this.#reply(action.status, 'direct_response', 0, action.body);
    }
  }

  // ---- filters --------------------------------------------------------------------------------------------------------------------------

  /** Shows the head to the filters of the route. True: it may go on. */
  #filter(chain: Parameters<typeof ActiveFilters.open>[0], head: Head): boolean {
    const filters = ActiveFilters.open(chain, this, head);
    if (filters === undefined) return true;
    this.exchange.filters = filters;
    if (this.exchange.madeRequestId && this.exchange.requestId === '') this.exchange.requestId = this.#context.requestIds.text;
    return filters.requestHead(head);
  }
  filtersResumed(): void {
    const head = this.#context.engine.head(this.handle);
    // Without a head the client is gone: its event is on the way.
    if (head !== undefined && this.exchange.filters?.requestHead(head) === true) this.#route(head, Math.random());
  }
  filterReplies(reply: LocalReply, details: string): void {
    if (this.#phase === PHASE.IDLE) return;
    if (this.#responseStarted || this.#phase === PHASE.TUNNEL) this.#abort(details, 0);
    else this.#answer(reply, details, 0, -1, false);
  }
  onBody(_connection: number, bytes: Uint8Array): void {
    const shown = this.exchange.filters?.requestBody(bytes);
    if (shown !== undefined && shown.length > 0) this.#context.engine.sendBody(this.handle, shown);
  }
  onTrailers(_connection: number, trailers: Uint8Array): void {
    const { filters } = this.exchange;
    if (filters === undefined) return;
    const last = filters.requestEnd(trailers);
    // A filter may have answered.
    if (!filters.wantsRequestBody || this.exchange.filters !== filters) return;
    if (last !== undefined && last.length > 0) this.#context.engine.sendBody(this.handle, last);
    this.#context.engine.endBody(this.handle, filters.trailers);
  }
  onUpstreamBody(connection: Upstream, bytes: Uint8Array): void {
    if (connection !== this.exchange.upstream) return;
    const shown = this.exchange.filters?.responseBody(bytes);
    if (shown !== undefined && shown.length > 0 && this.#responseStarted) this.#context.engine.sendBody(connection.handle, shown);
  }
  onUpstreamTrailers(connection: Upstream, trailers: Uint8Array): void {
    const exchange = this.exchange;
    if (connection !== exchange.upstream) return;
    if (this.#manager.wantsTrailers) this.#record.keepTrailers(trailers);
    if (exchange.isGrpc) {
      const status = this.#context.trailerLines.grpcStatus(trailers);
      if (status >= 0) exchange.grpcStatus = status;
    }
    const { filters } = exchange;
    if (filters === undefined) return;
    const last = filters.responseEnd(trailers);
    if (!filters.wantsResponseBody || exchange.filters !== filters || !this.#responseStarted) return;
    if (last !== undefined && last.length > 0) this.#context.engine.sendBody(connection.handle, last);
    this.#context.engine.endBody(connection.handle, filters.trailers);
  }

  // ---- ends of the request's side -------------------------------------------------------------------------------------------------------

  onEnd(_connection: number, bytes: number): void {
    if (this.#phase === PHASE.IDLE || this.exchange.requestDone) return;
    this.exchange.requestBytes = bytes;
    this.#requestIsDone(this.#context.now);
    // The response was over before: the exchange has only waited for this.
  }

  onFault(_connection: number, fault: FramingFault): void {
    const { stats, http2Stats } = this.#owner.manager;
    stats.cxProtocolError.inc();
    if (this.#isStream) http2Stats.count(fault.code);
    if (fault.code === 'HEAD_TOO_LARGE' || fault.code === 'TOO_MANY_HEADERS') stats.rqTooLarge.inc();
    if (this.#phase === PHASE.IDLE) this.#beginWithoutHead();
    if (this.#phase === PHASE.TUNNEL || this.#responseStarted) {
      this.#abort('codec_error', RESPONSE_FLAG.DPE);
      return;
    }
    this.#reply(fault.status, `${fault.protocol}.codec_error:${fault.code.toLowerCase()}`, RESPONSE_FLAG.DPE, BODY.of(statusText(fault.status)));
  }

  /** The head of an HTTP/1 request has not become whole in time. */
  headTimeout(): void {
    this.#beginWithoutHead();
    this.#manager.stats.rqHeaderTimeout.inc();
    this.#reply(408, 'request_header_timeout', 0, BODY.of('request header timeout'), '', '', true);
  }

  onClosed(_handle: number, reason: CloseReason, errno: string): void {
    this.#closed = true;
    if (this.#phase === PHASE.TUNNEL) this.#endTunnel();
    else if (this.#phase !== PHASE.IDLE) this.#lose(reason, errno);
    if (this.#isStream) {
      this.#deadlines.clearRequest();
      this.#owner.manager.http2Stats.streamClosed(reason, errno);
      this.#owner.streamEnded(this);
    } else this.#deadlines.stop();
  }

  /** The client has gone, or its connection was closed, before the response was whole. */
  #lose(reason: CloseReason, errno: string): void {
    const exchange = this.exchange;
    const local = reason === 'local' || reason === 'linger';
    if (!local) this.#manager.stats.rqRxReset.inc();
    this.#owner.streamLost(local);
    // Envoy logs 0 where the client left before the answer.
    if (!this.#responseStarted) exchange.status = 0;
    const wasReset = errno in STREAM_ERROR;
    if (local) exchange.details ||= 'local_close';
    else exchange.details = wasReset ? 'http2.remote_reset' : 'downstream_remote_disconnect';
    exchange.responseFlags |= local ? RESPONSE_FLAG.LR : wasReset ? RESPONSE_FLAG.DR : RESPONSE_FLAG.DC;
    this.#dropUpstream();
    this.#complete();
  }

  // ---- the request's head ---------------------------------------------------------------------------------------------------------------

  #beginWithoutHead(): void {
    this.#begin(undefined, this.#context.now, 0);
    if (this.#manager.logs) this.#record.begin(this.#manager, undefined);
  }
  #begin(head: Head | undefined, now: number, flags: number): void {
    const manager = this.#owner.beginRequest();
    this.#manager = manager;
    const { stats } = manager;
    stats.rqTotal.inc();
    (this.#isStream ? stats.rqHttp2Total : stats.rqHttp1Total).inc();
    stats.rqActive.inc();
    this.exchange.begin(now, flags, head === undefined || (flags & HEAD_FLAG.END) !== 0);
    this.#continued = false;
    this.#freshTried = false;
    this.#staleSends = 0;
    this.#refusals = 0;
    this.#phase = PHASE.WAITING;
  }

  #forward(head: Head, action: ForwardAction, random: number): void {
    const { config, stats } = this.#manager;
    this.exchange.action = action;
    const isConnect = (this.exchange.flags & HEAD_FLAG.CONNECT) !== 0;
    if (this.exchange.upgrade !== '' || isConnect) {
      const token = isConnect ? 'connect' : this.exchange.upgrade;
      const allowed = action.upgrades?.get(token) ?? config.upgrades.has(token);
      if (!allowed) {
        stats.rqWsOnNonWsRoute.inc();
        this.#reply(403, 'upgrade_failed', 0, undefined);
        return;
      }
    }
    stats.routedTotal.inc();
    const choice = action.chooseCluster(head, random);
    this.exchange.choice = choice;
    const cluster = choice === undefined ? undefined : this.#context.clusters.get(choice.name);
    if (cluster === undefined) {
      stats.noCluster.inc();
      this.#reply(action.clusterNotFoundStatus, 'cluster_not_found', RESPONSE_FLAG.NC, undefined);
      return;
    }
    this.exchange.cluster = cluster;
    if (this.exchange.isGrpc && this.#isStream && cluster.config.http.protocol === 'http1') {
      // A call that lost its trailers on the way would look as if it had no status.
      this.#reply(503, 'grpc_needs_http2', 0, BODY.of(`gRPC needs HTTP/2: cluster ${cluster.name} is spoken to in HTTP/1 (HttpProtocolOptions)`));
      return;
    }
    const trusted = this.exchange.origin.internal;
    this.exchange.timeoutMs = action.timeoutMs;
    if (trusted) {
      const named = head.known('x-envoy-upstream-rq-timeout-ms');
      if (named !== undefined) this.exchange.timeoutMs = wholeNumber(named) ?? this.exchange.timeoutMs;
    }
    if (action.retry !== undefined || trusted) {
      this.exchange.retry.begin(action.retry, head, trusted);
      // A try cannot have more time than the whole.
      if (this.exchange.timeoutMs > 0 && this.exchange.retry.perTryTimeoutMs >= this.exchange.timeoutMs) this.exchange.retry.perTryTimeoutMs = 0;
    } else this.exchange.retry.switchOff();
    if (action.idleTimeoutMs !== undefined) this.#watchIdle(action.idleTimeoutMs, this.exchange.start);
    if (action.maxStreamDurationMs !== undefined) this.#boundStream(action.maxStreamDurationMs);
    if (this.exchange.isGrpc) this.#takeGrpcTimeout(head, action);
    if (this.exchange.requestDone) this.#startRouteTimer(this.exchange.start);
    this.#attempt(head, false);
  }

  /** Chooses a host and a connection for the next attempt. `head`: where it is at hand. */
  #attempt(head: Head | undefined, fresh: boolean): void {
    const cluster = this.exchange.cluster as Cluster;
    const action = this.exchange.action as ForwardAction;
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
    this.exchange.attempts++;
    this.exchange.upstreamHost = host;
    host.active++;
    host.stats.rqTotal.inc();
    host.stats.rqActive.inc();
    stats.rqTotal.inc();
    stats.rqActive.inc();
    const { protocol } = cluster.config.http;
    const pool = poolOf(this.#context, cluster, host, action.priority, protocol === 'downstream' ? this.#isStream : protocol === 'http2');
    this.#pool = pool;
    const connection = fresh ? undefined : pool.take(this);
    if (connection !== undefined) {
      this.#send(connection, head);
      return;
    }
    this.#phase = PHASE.WAITING;
    if (this.exchange.madeRequestId && this.exchange.requestId === '') this.exchange.requestId = this.#context.requestIds.text;
    if (!pool.enqueue(this)) {
      this.#endAttempt(false);
      this.#overflow();
    }
  }

  #chooseContext() {
    return {
      tried: this.#tried,
      avoidAttempts: this.exchange.retry.hostAttempts,
      originalDst: this.exchange.info?.originalDst ?? this.exchange.info?.local,
    };
  }

  #overflow(): void {
    this.exchange.cluster?.stats.rqPendingOverflow.inc();
    this.#reply(503, 'upstream_reset_before_response_started{overflow}', RESPONSE_FLAG.UO, resetBody('overflow'), 'x-envoy-overloaded', 'true');
  }

  // ---- upstream -------------------------------------------------------------------------------------------------------------------------

  onPoolReady(connection: Upstream): void {
    this.#send(connection, undefined);
  }

  onPoolFailure(reason: CloseReason, errno: string): void {
    const why = reason === 'connect-timeout' ? 'connection_timeout' : 'remote_connection_failure';
    this.#upstreamFailed('connect', why, RESPONSE_FLAG.UF, reason === 'connect-timeout' ? '' : `delayed_connect_error:_${closeText(errno)}`);
  }

  #send(connection: Upstream, known: Head | undefined): void {
    const { engine } = this.#context;
    const head = known ?? engine.head(this.handle);
    this.exchange.upstream = connection;
    if (head === undefined) {
      // The request is not there any more: its connection is about to be told closed, if not already by its own end.
      this.#dropUpstream();
      engine.close(this.handle, 'flush');
      return;
    }
    if (this.exchange.upgrade !== '' && !connection.takesUpgrades) {
      this.#reply(503, 'upgrade_not_offered', RESPONSE_FLAG.UPE, BODY.of('the upstream does not take upgrades: it has not offered extended CONNECT'));
      return;
    }
    const now = this.#context.now;
    if (!this.#continued && (this.exchange.flags & HEAD_FLAG.EXPECT_CONTINUE) !== 0 && !this.#manager.config.proxy100Continue) {
      this.#continued = true;
      engine.reply(this.handle, this.#context.edits.reset().status(100));
    }
    const exchange = this.exchange;
    exchange.replayable = (exchange.flags & REPLAYABLE) === REPLAYABLE && exchange.upgrade === '';
    if (exchange.attempts > 1 && this.#deadlines.isGrpc) exchange.grpcTimeoutMs = Math.max(1, this.#deadlines.stream - now);
    const edits = requestEdits(this.#manager, this.exchange, this.#record, head, this.#expectedTimeout(now));
    // A stream that its peer refuses, or that comes too late for it, was not processed, whatever its method.
    if (exchange.retry.on !== 0 || connection.isStream || (connection.isReused && exchange.replayable)) edits.flag(EDIT_FLAG.RETAIN);
    if (this.#manager.logs) this.#record.keepUpstream(connection);
    this.exchange.upstreamStart = now;
    this.exchange.firstUpstreamByte = -1;
    this.#phase = PHASE.SENT;
    this.#informational = 0;
    const result = engine.forward(this.handle, connection.handle, edits);
    if (result === FORWARD.STALE) {
      this.#sendFailed(connection);
      return;
    }
    if ((result & FORWARD.DONE) !== 0 && !this.exchange.requestDone) {
      this.exchange.requestBytes = engine.movedBytes;
      this.#requestIsDone(now);
    }
    const { perTryTimeoutMs, perTryIdleTimeoutMs } = exchange.retry;
    const maxStreamDurationMs = exchange.cluster?.config.maxStreamDurationMs ?? 0;
    if (perTryTimeoutMs > 0) {
      this.#deadlines.attempt = now + perTryTimeoutMs;
      this.#deadlines.arm(this.#deadlines.attempt);
    }
    if (perTryIdleTimeoutMs > 0) this.#watchAttempt(perTryIdleTimeoutMs, now);
    if (maxStreamDurationMs > 0) {
      this.#deadlines.attemptEnd = now + maxStreamDurationMs;
      this.#deadlines.arm(this.#deadlines.attemptEnd);
    }
  }

  /** Nothing went out: one of the two ends is gone already, and its event is on the way. */
  #sendFailed(connection: Upstream): void {
    const { engine } = this.#context;
    this.exchange.upstream = undefined;
    connection.discard();
    if (engine.head(this.handle) === undefined) {
      this.#endAttempt(false);
      engine.close(this.handle, 'flush');
      return;
    }
    this.#endAttempt(false);
    if (++this.#staleSends < MAX_STALE_SENDS) this.#attempt(undefined, true);
    else this.#upstreamFailed('unsent', 'connection_termination', RESPONSE_FLAG.UC, '');
  }

  /** What is left for the upstream: the try's time or the whole's; 0: no bound. */
  #expectedTimeout(now: number): number {
    const perTry = this.exchange.retry.perTryTimeoutMs;
    let left = this.exchange.timeoutMs;
    if (left > 0 && this.#deadlines.route !== NEVER && this.exchange.attempts > 1) left = Math.max(1, Math.round(this.#deadlines.route - now));
    return perTry > 0 && (left === 0 || perTry < left) ? perTry : left;
  }

  onUpstreamHead(connection: Upstream, head: Head): void {
    if (connection !== this.exchange.upstream) return;
    const { engine, edits } = this.#context;
    const { status } = head;
    const { upgrade } = this.exchange;
    if (status < 200 && (status !== 101 || connection.isStream)) {
      if (++this.#informational > MAX_INFORMATIONAL) {
        this.exchange.cluster?.stats.cxProtocolError.inc();
        this.#dropUpstream();
        this.#upstreamFailed('reset', 'protocol_error', RESPONSE_FLAG.UPE, '');
        return;
      }
      // The engine keeps it from a client that speaks HTTP/1.0.
      engine.forward(connection.handle, this.handle, edits.reset());
      return;
    }
    if (status === 101 && upgrade === '') {
      this.#dropUpstream();
      this.#upstreamFailed('reset', 'protocol_error', RESPONSE_FLAG.UPE, '');
      return;
    }
    if (upgrade !== '' && this.#isStream && !connection.isStream && status >= 200 && status < 300) {
      // RFC 8441 §5: to a client of HTTP/2 it would say that the tunnel is there.
      this.#dropUpstream();
      this.#reply(502, 'upgrade_failed', RESPONSE_FLAG.UPE, BODY.of('the upstream answered without the upgrade'));
      return;
    }
    const now = this.#context.now;
    this.exchange.firstUpstreamByte = now;
    if (this.exchange.isGrpc) this.exchange.grpcStatus = parseGrpcStatus(head.known('grpc-status'));
    this.#deadlines.attempt = NEVER;
    if (this.exchange.retry.on !== 0 && this.exchange.retry.wantsOther(status, head) && this.#mayRetry()) {
      this.exchange.cluster?.stats.countResponse(status, this.exchange.origin.internal);
      this.#hostAnswered(status);
      const askedMs = this.exchange.retry.nextAsked(head, Date.now() / 1000, Math.random());
      this.#dropUpstream();
      this.#scheduleRetry(now, askedMs);
      return;
    }
    this.#respond(connection, head, status, now);
  }

  #respond(connection: Upstream, head: Head, status: number, now: number): void {
    const { engine } = this.#context;
    const manager = this.#manager;
    if (this.exchange.retry.made > 0 && !this.exchange.retry.wantsOther(status, head)) this.exchange.cluster?.stats.rqRetrySuccess.inc();
    this.exchange.status = status;
    this.exchange.details = 'via_upstream';
    this.#hostAnswered(status);
    if (manager.wantsResponseHead) this.#record.keepResponseHead(head);
    if (this.exchange.filters?.responseHead(head) === false) {
      // All of it goes to the filter; the client gets what comes of it when it is over.
      engine.show(connection.handle);
      return;
    }
    const isConnect = (this.exchange.flags & HEAD_FLAG.CONNECT) !== 0;
    // RFC 8441 §5: where the one is answered with 101 the other is with 200.
    const isUpgraded = this.exchange.upgrade !== '' && (connection.isStream ? status < 300 : status === 101);
    const tunnels = isUpgraded || (isConnect && status < 300);
    // A client of HTTP/1.0 learns the end of a body of unknown length from our FIN alone: a broken one must end with RST, as a broken stream does.
    this.#responseEndsWithConnection = this.#isStream || (head.contentLength < 0 && (this.exchange.flags & HEAD_FLAG.HTTP_11) === 0);
    const edits = responseEdits(manager, this.exchange, this.#record, head, now);
    if (isUpgraded) acceptUpgrade(this.exchange, head, edits, connection.isStream, this.#isStream);
    if (this.#owner.isLastRequest) edits.flag(EDIT_FLAG.CLOSE);
    if (tunnels) edits.flag(EDIT_FLAG.TUNNEL | (isUpgraded && !this.#isStream ? EDIT_FLAG.UPGRADE : 0));
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
      this.exchange.responseBytes = engine.movedBytes;
      this.#responseIsDone(connection, result);
    }
  }

  onUpstreamEnd(connection: Upstream, bytes: number, flags: number): void {
    if (connection !== this.exchange.upstream) return;
    this.exchange.responseBytes = bytes;
    this.#responseIsDone(connection, flags);
  }

  onUpstreamFault(connection: Upstream, fault: FramingFault): void {
    if (connection !== this.exchange.upstream) return;
    this.#context.log.debug(`upstream protocol error: ${fault.code} at byte ${fault.offset}`);
    this.#dropUpstream();
    if (this.#responseStarted) {
      this.exchange.details = 'upstream_reset_after_response_started{protocol_error}';
      this.#abort(this.exchange.details, RESPONSE_FLAG.UPE);
      return;
    }
    this.#upstreamFailed('reset', 'protocol_error', RESPONSE_FLAG.UPE, '');
  }

  onUpstreamClosed(connection: Upstream, reason: CloseReason, errno: string): void {
    if (connection !== this.exchange.upstream) return;
    this.exchange.upstream = undefined;
    if (this.#phase === PHASE.TUNNEL) {
      // What it sent last still goes out; the end of the client's connection ends the tunnel.
      this.#context.engine.close(this.handle, 'flush');
      return;
    }
    this.exchange.cluster?.stats.rqRxReset.inc();
    // The stream alone, or the connection.
    const wasReset = errno in STREAM_ERROR || reason === 'refused';
    const why = wasReset ? 'remote_reset' : 'connection_termination';
    const flag = wasReset ? RESPONSE_FLAG.UR : RESPONSE_FLAG.UC;
    if (this.#responseStarted) {
      this.#endAttempt(true);
      this.#manager.stats.rqResetAfterResponseStarted.inc();
      this.#abort(`upstream_reset_after_response_started{${why}}`, flag);
      return;
    }
    if (this.#maySendAnew(connection, reason)) {
      this.#endAttempt(false);
      this.#attempt(undefined, reason !== 'refused');
      return;
    }
    // What a GOAWAY leaves behind was not processed, whatever the error in it.
    const isRefused = reason === 'refused';
    this.#upstreamFailed(isRefused ? 'refused' : 'reset', why, flag, '', isRefused ? 'REFUSED_STREAM' : errno);
  }
  /** Whether a request may be sent once more although nobody has configured a retry: the peer has not processed it, or cannot be harmed by a second one. */
  #maySendAnew(connection: Upstream, reason: CloseReason): boolean {
    if (!this.#context.engine.canReplay(this.handle)) return false;
    // RFC 9113 §8.7
    if (reason === 'refused') return this.#refusals++ < MAX_REFUSALS;
    // RFC 9112 §9.3.1: an idempotent request, where a kept connection was closed before any byte of the answer.
    if (!connection.isReused || this.#freshTried || reason === 'truncated' || !this.exchange.replayable) return false;
    this.#freshTried = true;
    return true;
  }

  /** An attempt ended without a response: again, or the error to the client. */
  #upstreamFailed(kind: ResetKind, why: string, flag: number, transport: string, error = ''): void {
    this.#endAttempt(false, kind === 'timeout');
    if (this.#retryAfter(kind)) return;
    if (transport !== '' && this.#manager.logs) this.#record.setTransportFailure(transport);
    if (kind === 'timeout') {
      this.#reply(504, why, flag, BODY.UPSTREAM_TIMEOUT);
      return;
    }
    // What the client would have seen of the reset itself.
    const grpcStatus = error in STREAM_ERROR ? grpcOfReset(error) : -1;
    const details = `upstream_reset_before_response_started{${why}${transport === '' ? '' : `|${transport}`}}`;
    this.#reply(
      why === 'protocol_error' ? 502 : 503,
      details,
      flag,
      resetBody(why.replaceAll('_', ' '), transport.replaceAll('_', ' ')),
      '',
      '',
      false,
      grpcStatus,
    );
  }

  // ---- retries --------------------------------------------------------------------------------------------------------------------------

  /** Sets another attempt where an attempt without a response is a reason for it. */
  #retryAfter(kind: ResetKind): boolean {
    const { retry } = this.exchange;
    if (retry.on === 0 || !retry.wantsAfter(kind) || !this.#mayRetry()) return false;
    this.#scheduleRetry(this.#context.now);
    return true;
  }
  /** Room for one more retry: the policy's number, the cluster's circuit breaker, and a request that was kept. */
  #mayRetry(): boolean {
    const cluster = this.exchange.cluster as Cluster;
    const { retry: _retry, priority } = this.exchange.action as ForwardAction;
    if (this.exchange.retry.left <= 0) {
      cluster.stats.rqRetryLimitExceeded.inc();
      this.exchange.responseFlags |= RESPONSE_FLAG.URX;
      return false;
    }
    if (!this.#context.engine.canReplay(this.handle) && this.exchange.upstreamStart >= 0) {
      this.#manager.stats.rqRetrySkipped.inc();
      return false;
    }
    if (!this.#retryHeld) {
      if (!cluster.breakers[priority].tryRetry()) {
        cluster.stats.rqRetryOverflow.inc();
        this.exchange.responseFlags |= RESPONSE_FLAG.UO;
        return false;
      }
      this.#retryHeld = true;
    }
    return true;
  }

  /** `askedMs`: the wait that the response asked for; it is counted as a retry already. */
  #scheduleRetry(now: number, askedMs?: number): void {
    const { stats } = this.exchange.cluster as Cluster;
    stats.rqRetry.inc();
    (askedMs === undefined ? stats.rqRetryBackoffExponential : stats.rqRetryBackoffRatelimited).inc();
    if (this.exchange.retry.avoidsPreviousHosts && this.exchange.upstreamHost !== undefined) {
      this.#tried ??= [];
      this.#tried.push(this.exchange.upstreamHost);
    }
    // What the attempt before has brought is nobody's any more.
    this.exchange.firstUpstreamByte = -1;
    this.exchange.grpcStatus = -1;
    this.#phase = PHASE.BACKOFF;
    this.#deadlines.retry = now + (askedMs ?? this.exchange.retry.next(Math.random()));
    this.#deadlines.arm(this.#deadlines.retry);
  }

  // ---- ends -----------------------------------------------------------------------------------------------------------------------------

  #requestIsDone(now: number): void {
    this.exchange.requestDone = true;
    this.exchange.requestEnd = now;
    this.#deadlines.request = NEVER;
    if (this.#phase === PHASE.SENT) this.#startRouteTimer(now);
  }

  #responseIsDone(connection: Upstream, flags: number): void {
    this.exchange.upstream = undefined;
    if (!this.#responseStarted) {
      this.#keptResponseIsDone(connection, flags);
      return;
    }
    // After an attempt to upgrade nobody knows what the other side takes the connection for.
    if ((flags & FORWARD.REUSABLE) !== 0 && this.exchange.upgrade === '') {
      this.#finishUpstream();
      this.#complete();
      connection.release();
      return;
    }
    connection.discard();
    this.#finishUpstream();
    if (!this.exchange.requestDone) this.#manager.stats.rqResponseBeforeRqComplete.inc();
    this.#complete();
  }

  /** A response that a filter has kept is over: now what it made of it goes to the client. */
  #keptResponseIsDone(connection: Upstream, flags: number): void {
    const { filters, status } = this.exchange;
    this.#finishUpstream();
    if ((flags & FORWARD.REUSABLE) !== 0) connection.release();
    else connection.discard();
    this.#answer(filters?.response ?? localReply(status, undefined), this.exchange.details, 0, -1, false);
  }
  #finishUpstream(): void {
    const cluster = this.exchange.cluster as Cluster;
    cluster.stats.recordTime(Math.max(0, this.#context.now - this.exchange.upstreamStart), this.exchange.origin.internal);
    this.#endAttempt(true);
  }

  /** The attempt's share of the accounts. */
  #endAttempt(answered: boolean, timedOut = false): void {
    if (!this.#attemptOpen) return;
    this.#attemptOpen = false;
    this.#deadlines.clearAttempt();
    const cluster = this.exchange.cluster as Cluster;
    const host = this.exchange.upstreamHost as Host;
    cluster.breakers[(this.exchange.action as ForwardAction).priority].requests.remove();
    cluster.stats.rqActive.dec();
    host.active--;
    host.stats.rqActive.dec();
    if (timedOut) host.stats.rqTimeout.inc();
    else if (!answered) host.stats.rqError.inc();
  }
  #hostAnswered(status: number): void {
    const { grpcStatus } = this.exchange;
    const host = this.exchange.upstreamHost as Host;
    ((grpcStatus > 0 ? httpOfGrpc(grpcStatus) : status) >= 500 ? host.stats.rqError : host.stats.rqSuccess).inc();
  }

  /** Lets go of the upstream side, whatever it is at; its connection is never used again. */
  #dropUpstream(): void {
    const connection = this.exchange.upstream;
    if (connection !== undefined) {
      this.exchange.upstream = undefined;
      connection.discard();
      this.exchange.cluster?.stats.rqTxReset.inc();
      this.#endAttempt(this.exchange.firstUpstreamByte >= 0);
    } else if (this.#attemptOpen) {
      if (this.#pool?.cancel(this) === true) this.exchange.cluster?.stats.rqCancelled.inc();
      this.#endAttempt(true);
    }
  }

  get #responseStarted(): boolean {
    return this.#phase === PHASE.RESPONDING;
  }

  /** A response that has begun cannot be finished: the client must see it broken. */
  #abort(details: string, flag: number): void {
    this.exchange.details = details;
    this.exchange.responseFlags |= flag;
    this.#manager.stats.rqTxReset.inc();
    if (this.#phase === PHASE.TUNNEL) this.#manager.stats.cxUpgradesActive.dec();
    this.#dropUpstream();
    this.#context.engine.close(this.handle, this.#responseEndsWithConnection ? 'reset' : 'flush');
    this.#complete();
  }

  #beginTunnel(): void {
    this.#phase = PHASE.TUNNEL;
    this.#deadlines.route = NEVER;
    this.#deadlines.request = NEVER;
    this.#manager.stats.cxUpgradesTotal.inc();
    this.#manager.stats.cxUpgradesActive.inc();
    const traffic = this.#context.engine.traffic(this.handle);
    this.#tunnelReceived = traffic?.received ?? 0;
    this.#tunnelSent = traffic === undefined ? 0 : traffic.sent + traffic.queued;
  }
  #endTunnel(): void {
    this.#manager.stats.cxUpgradesActive.dec();
    const connection = this.exchange.upstream;
    this.exchange.upstream = undefined;
    const traffic = this.#context.engine.traffic(this.handle);
    if (traffic !== undefined) {
      this.exchange.requestBytes = traffic.received - this.#tunnelReceived;
      this.exchange.responseBytes = traffic.sent - this.#tunnelSent;
    }
    // What the client sent last still goes up.
    if (connection !== undefined) connection.discard('flush');
    this.#finishUpstream();
    this.#complete();
  }

  /**
   * Answers the request here. `body`: text; `name`, `value`: one more header; `grpcStatus`: for a gRPC client; -1: what the HTTP status stands for. Envoy's local
   * reply: plain text, the route's response headers.
   */
  #reply(status: number, details: string, flags: number, body: Uint8Array | undefined, name = '', value = '', close = false, grpcStatus = -1): void {
    const reply = localReply(status, body);
    if (name !== '') reply.headers.push([name, value]);
    this.#answer(reply, details, flags, grpcStatus, close);
  }
  #answer(reply: LocalReply, details: string, flags: number, grpcStatus: number, close: boolean): void {
    const { engine } = this.#context;
    const manager = this.#manager;
    const { status } = reply;
    const { filters } = this.exchange;
    this.#dropUpstream();
    // What a filter made of a response goes out as it is.
    if (filters === undefined || reply !== filters.response) {
      if (this.exchange.isGrpc) {
        toGrpcReply(reply, reply.grpcStatus >= 0 ? reply.grpcStatus : grpcStatus);
        this.exchange.grpcStatus = reply.grpcStatus;
      }
      filters?.localReply(reply);
    }
    const { body } = reply;
    this.exchange.status = reply.status;
    this.exchange.details = details;
    this.exchange.responseFlags |= flags;
    const edits = replyEdits(manager, this.exchange, this.#record, reply);
    if ((close && !this.#isStream) || this.#owner.isLastRequest) edits.flag(EDIT_FLAG.CLOSE);
    this.exchange.responseBytes = body !== undefined && (this.exchange.flags & HEAD_FLAG.HEAD_METHOD) === 0 ? body.length : 0;
    if (!this.#closed && !engine.reply(this.handle, edits, body)) engine.close(this.handle, 'flush');
    const isCounted = !this.exchange.isGrpc || !manager.config.suppressGrpcFailureCodes;
    if (isCounted && this.exchange.cluster !== undefined && this.exchange.route?.action.kind === 'forward')
      this.exchange.cluster.stats.countResponse(status, this.exchange.origin.internal);
    this.#complete(true);
    // A client that opens no window would hold the answer, and the stream, for as long as it likes.
    if (this.#isStream && !this.#closed) this.#watchIdle(manager.config.streamIdleTimeoutMs, this.#context.now);
  }

  /** The one end of every request. */
  #complete(counted = false): void {
    const manager = this.#manager;
    const { stats } = manager;
    const now = this.#context.now;
    const status = this.exchange.status;
    this.#phase = PHASE.IDLE;
    stats.rqActive.dec();
    stats.rqTime.record(Math.max(0, now - this.exchange.start));
    if (status > 0) {
      this.#manager.countCompleted(status);
      if (!counted) this.exchange.cluster?.stats.countResponse(status, this.exchange.origin.internal);
    }
    if (this.#retryHeld) {
      this.#retryHeld = false;
      (this.exchange.cluster as Cluster).breakers[(this.exchange.action as ForwardAction).priority].retries.remove();
    }
    this.exchange.filters?.streamEnd();
    if (manager.logs) this.#record.log(manager, now);
    this.exchange.end();
    this.#pool = undefined;
    this.#tried = undefined;
    this.#deadlines.clearRequest();
  }

  // ---- times ----------------------------------------------------------------------------------------------------------------------------

  #startRouteTimer(now: number): void {
    // The request of an upgrade has no end: like Envoy, no time for its response.
    if (this.exchange.timeoutMs === 0 || this.exchange.upgrade !== '' || (this.exchange.flags & HEAD_FLAG.CONNECT) !== 0) return;
    this.#deadlines.route = now + this.exchange.timeoutMs;
    this.#deadlines.arm(this.#deadlines.route);
  }
  #watchIdle(idleMs: number, now: number): void {
    this.#deadlines.idle = this.#stream.begin(now, idleMs);
    this.#deadlines.arm(this.#deadlines.idle);
  }

  onDeadline(now: number): void {
    this.#context.timerFired(now);
    if (this.#phase !== PHASE.IDLE) this.#fire(now);
    else if (this.#deadlines.idle <= now) this.#checkFlush(now);
  }

  #fire(now: number): void {
    if (this.#deadlines.route <= now) this.#routeTimeout();
    else if (this.#deadlines.request <= now) this.#requestTimeout();
    else if (this.#deadlines.stream <= now) this.#streamTooLong();
    else if (this.#deadlines.attemptEnd <= now) this.#attemptTooLong();
    else if (this.#deadlines.attempt <= now) this.#tryTimeout();
    else if (this.#deadlines.retry <= now) {
      this.#deadlines.retry = NEVER;
      this.#attempt(undefined, false);
    } else if (this.#deadlines.attemptIdle <= now) this.#checkAttempt(now);
    else if (this.#deadlines.idle <= now) this.#checkIdle(now);
  }
  #routeTimeout(): void {
    this.exchange.cluster?.stats.rqTimeout.inc();
    this.exchange.upstreamHost?.stats.rqTimeout.inc();
    if (this.#responseStarted) this.#abort('response_timeout', RESPONSE_FLAG.UT);
    else this.#reply(504, 'response_timeout', RESPONSE_FLAG.UT, BODY.UPSTREAM_TIMEOUT);
  }
  #requestTimeout(): void {
    this.#manager.stats.rqTimeout.inc();
    if (this.#responseStarted) this.#abort('request_overall_timeout', 0);
    else this.#reply(408, 'request_overall_timeout', 0, BODY.of('request timeout'), '', '', true);
  }
  #tryTimeout(): void {
    this.exchange.cluster?.stats.rqPerTryTimeout.inc();
    this.#attemptTimedOut('upstream_per_try_timeout');
  }
  #attemptTimedOut(details: string): void {
    const connection = this.exchange.upstream;
    if (connection !== undefined) {
      this.exchange.upstream = undefined;
      connection.discard();
      this.exchange.cluster?.stats.rqTxReset.inc();
    }
    this.#upstreamFailed('timeout', details, RESPONSE_FLAG.UT, '');
  }
  /** The client's `grpc-timeout`: the whole call has so much, as far as the route does not say otherwise (`GrpcTimeoutPolicy`). */
  #takeGrpcTimeout(head: Head, action: ForwardAction): void {
    const exchange = this.exchange;
    const text = head.get('grpc-timeout');
    const said = text === undefined ? undefined : parseGrpcTimeout(text);
    const policy = action.grpcTimeout;
    const { maxMs = 0, offsetMs = 0, replaces = 'maxStreamDuration' } = policy ?? {};
    if (said === undefined) {
      if (replaces === 'timeout') exchange.timeoutMs = maxMs;
      return;
    }
    let ms = said - offsetMs;
    if (maxMs > 0 && (ms > maxMs || (replaces === 'timeout' && ms <= 0))) ms = maxMs;
    if (replaces === 'timeout') {
      exchange.timeoutMs = Math.max(0, ms);
      if (ms > 0 && ms < said) exchange.grpcTimeoutMs = ms;
      return;
    }
    // In place of the route's own where that was asked for; else whichever is over first.
    const until = exchange.start + Math.max(1, ms);
    if (policy === undefined && until >= this.#deadlines.stream) return;
    this.#deadlines.stream = until;
    this.#deadlines.isGrpc = true;
    if (ms > 0 && ms < said) exchange.grpcTimeoutMs = ms;
    this.#deadlines.arm(until);
  }
  #boundStream(durationMs: number): void {
    this.#deadlines.stream = durationMs === 0 ? NEVER : this.exchange.start + durationMs;
    this.#deadlines.arm(this.#deadlines.stream);
  }
  #streamTooLong(): void {
    this.#deadlines.stream = NEVER;
    this.#manager.stats.rqMaxDurationReached.inc();
    const { requestDone } = this.exchange;
    if (this.#phase === PHASE.TUNNEL) this.#closeTunnel('max_duration_timeout', 0);
    else if (this.#responseStarted) this.#abort('max_duration_timeout', 0);
    else {
      const body = BODY.of('downstream duration timeout');
      this.#reply(requestDone ? 504 : 408, 'max_duration_timeout', 0, body, '', '', !requestDone, GRPC.DEADLINE_EXCEEDED);
    }
  }
  #attemptTooLong(): void {
    this.#deadlines.attemptEnd = NEVER;
    const { cluster, requestDone } = this.exchange;
    cluster?.stats.rqMaxDurationReached.inc();
    const details = 'upstream_max_stream_duration_reached';
    if (this.#phase === PHASE.TUNNEL) this.#closeTunnel(details, RESPONSE_FLAG.UMSDR);
    else if (this.#responseStarted) this.#abort(details, RESPONSE_FLAG.UMSDR);
    else {
      this.#dropUpstream();
      if (this.#retryAfter('reset')) return;
      this.#reply(requestDone ? 504 : 408, details, RESPONSE_FLAG.UMSDR, BODY.of('upstream max stream duration reached'), '', '', !requestDone);
    }
  }
  #closeTunnel(details: string, flag: number, how: 'flush' | 'reset' = 'flush'): void {
    this.exchange.details = details;
    this.exchange.responseFlags |= flag;
    this.#context.engine.close(this.handle, how);
  }
  #watchAttempt(idleMs: number, now: number): void {
    this.#try ??= new QuietWatch();
    this.#deadlines.attemptIdle = this.#try.begin(now, idleMs);
    this.#deadlines.arm(this.#deadlines.attemptIdle);
  }
  #checkAttempt(now: number): void {
    const { upstream, cluster } = this.exchange;
    this.#deadlines.attemptIdle = NEVER;
    if (upstream === undefined || this.#try === undefined || this.#phase === PHASE.TUNNEL) return;
    this.#deadlines.attemptIdle = this.#try.look(bytesOf(this.#context.engine, upstream.handle), now);
    if (this.#deadlines.attemptIdle !== NEVER) return;
    cluster?.stats.rqPerTryIdleTimeout.inc();
    if (this.#responseStarted) this.#abort('upstream_per_try_idle_timeout', RESPONSE_FLAG.UT);
    else this.#attemptTimedOut('upstream_per_try_idle_timeout');
  }
  /** The request is over but for an answer of ours that the client does not take. */
  #checkFlush(now: number): void {
    const { engine } = this.#context;
    this.#deadlines.idle = this.#stream.look(bytesOf(engine, this.handle), now);
    if (this.#deadlines.idle !== NEVER) return;
    this.#manager.http2Stats.txFlushTimeout.inc();
    engine.close(this.handle, 'reset');
  }
  #checkIdle(now: number): void {
    this.#deadlines.idle = this.#stream.look(bytesOf(this.#context.engine, this.handle), now);
    if (this.#deadlines.idle !== NEVER) return;
    this.#manager.stats.rqIdleTimeout.inc();
    if (this.#phase === PHASE.TUNNEL) {
      // What a client does not take in all that time it will not take any more.
      const holds = (this.#context.engine.traffic(this.handle)?.queued ?? 0) > 0;
      this.#closeTunnel('stream_idle_timeout', RESPONSE_FLAG.SI, holds ? 'reset' : 'flush');
    } else if (this.#responseStarted) this.#abort('stream_idle_timeout', RESPONSE_FLAG.SI);
    else
      this.#reply(
        this.exchange.requestDone ? 504 : 408,
        'stream_idle_timeout',
        RESPONSE_FLAG.SI,
        BODY.of('stream timeout'),
        '',
        '',
        !this.exchange.requestDone,
      );
  }
}

/** Wire bytes of a connection so far. */
function bytesOf(engine: Engine, connection: number): number {
  const traffic = engine.traffic(connection);
  return traffic === undefined ? 0 : traffic.received + traffic.sent;
}

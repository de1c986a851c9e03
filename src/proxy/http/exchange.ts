import type { ConnectionInfo } from '../../network/engine.js';
import type { Upstream } from '../../stream/upstream.js';
import type { Cluster } from '../cluster/cluster.js';
import type { Host } from '../cluster/host.js';
import type { ProxyContext } from '../context.js';
import { RetryState } from '../router/retry.js';
import type { ClusterChoice, ForwardAction, Route } from '../runtime.js';
import type { ActiveFilters } from './filters/chain.js';
import type { Origin } from './request-head.js';

/** The downstream connection of an exchange. */
export interface ExchangeConnection {
  /** Its addresses; asked of the engine once. */
  readonly info: ConnectionInfo | undefined;
  /** Its number in access logs. */
  readonly id: number;
}

/** One request and its response: what is known of them so far. Plain fields, one object per HTTP/1 connection or stream of HTTP/2, reused for further requests. */
export class Exchange {
  readonly context: ProxyContext;
  connection: ExchangeConnection;
  /** The downstream connection, or its stream. */
  handle: number;

  // the request
  /** When its head was there, on the engine's clock. */
  start = 0;
  /** Bits of HEAD_FLAG. */
  flags = 0;
  host = '';
  /** The host that is forwarded differs from the received one: its port was stripped, or a default stepped in. */
  hostChanged = false;
  path = '';
  pathChanged = false;
  /** Upgrade token (`:protocol` of an extended CONNECT), lower case, or empty. */
  upgrade = '';
  /** `sec-websocket-key` of a client whose upgrade goes upstream in a protocol without it; empty: none. */
  webSocketKey = '';
  /** A gRPC call, as the request's content-type says; a filter that makes one of another request sets it. */
  isGrpc = false;
  readonly origin: Origin = { internal: false, edge: false, remote: undefined };
  madeRequestId = false;
  /** Empty where it was not needed as text. */
  requestId = '';
  requestDone = false;
  requestEnd = -1;
  requestBytes = 0;

  // its way
  route: Route | undefined = undefined;
  action: ForwardAction | undefined = undefined;
  choice: ClusterChoice | undefined = undefined;
  cluster: Cluster | undefined = undefined;
  upstreamHost: Host | undefined = undefined;
  upstream: Upstream | undefined = undefined;
  timeoutMs = 0;
  /** The filters that act on it; undefined: none but the router. */
  filters: ActiveFilters | undefined = undefined;
  /** What the upstream is told with `grpc-timeout`, ms; -1: what the client said. */
  grpcTimeoutMs = -1;
  readonly retry = new RetryState();
  /** Attempts made. */
  attempts = 0;
  /** The request may be sent again where a kept connection dies (RFC 9112 §9.3.1). */
  replayable = false;

  // the response
  status = 0;
  details = '';
  /** Bits of RESPONSE_FLAG. */
  responseFlags = 0;
  responseBytes = 0;
  /** grpc-status of the response, from its head or its trailers; -1: none seen. */
  grpcStatus = -1;
  upstreamStart = -1;
  firstUpstreamByte = -1;

  constructor(context: ProxyContext, connection: ExchangeConnection, handle: number) {
    this.context = context;
    this.connection = connection;
    this.handle = handle;
  }
  bind(connection: ExchangeConnection, handle: number): void {
    this.connection = connection;
    this.handle = handle;
  }

  get info(): ConnectionInfo | undefined {
    return this.connection.info;
  }
  /** The id made for this request as text. */
  get requestIdText(): string {
    if (this.requestId === '') this.requestId = this.context.requestIds.text;
    return this.requestId;
  }

  begin(now: number, flags: number, requestDone: boolean): void {
    this.start = now;
    this.flags = flags;
    this.host = '';
    this.path = '';
    this.hostChanged = false;
    this.pathChanged = false;
    this.upgrade = '';
    this.webSocketKey = '';
    this.isGrpc = false;
    // Of HTTP/2 the request before was another client's.
    this.origin.internal = false;
    this.origin.edge = false;
    this.origin.remote = undefined;
    this.grpcStatus = -1;
    this.grpcTimeoutMs = -1;
    this.madeRequestId = false;
    this.requestId = '';
    this.requestDone = requestDone;
    this.requestEnd = requestDone ? now : -1;
    this.requestBytes = 0;
    this.responseBytes = 0;
    this.status = 0;
    this.details = '';
    this.responseFlags = 0;
    this.attempts = 0;
    this.replayable = false;
    this.upstreamStart = -1;
    this.firstUpstreamByte = -1;
    this.retry.made = 0;
  }
  /** Lets go of what belongs to the configuration. */
  end(): void {
    this.route = undefined;
    this.action = undefined;
    this.choice = undefined;
    this.cluster = undefined;
    this.upstreamHost = undefined;
    this.filters = undefined;
  }
}

import type { ConnectionInfo } from '../../network/engine.js';
import type { PooledConnection } from '../../stream/http1-pool.js';
import type { Cluster } from '../cluster/cluster.js';
import type { Host } from '../cluster/host.js';
import type { ProxyContext } from '../context.js';
import { RetryState } from '../router/retry.js';
import type { ClusterChoice, ForwardAction, Route } from '../runtime.js';
import type { Origin } from './request-head.js';

/** One request and its response: what is known of them so far. Plain fields, one object per connection, reused for each of its requests. */
export class Exchange {
  readonly context: ProxyContext;
  /** The downstream connection. */
  readonly handle: number;
  #info: ConnectionInfo | undefined = undefined;

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
  /** Upgrade token, lower case, or empty. */
  upgrade = '';
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
  upstream: PooledConnection | undefined = undefined;
  timeoutMs = 0;
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
  upstreamStart = -1;
  firstUpstreamByte = -1;

  constructor(context: ProxyContext, handle: number) {
    this.context = context;
    this.handle = handle;
  }

  /** Addresses of the connection; asked of the engine once. */
  get info(): ConnectionInfo | undefined {
    this.#info ??= this.context.engine.info(this.handle);
    return this.#info;
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
  }
}

import { frameWithId } from '../../protocol/codec.js';
import type { Frame } from '../../protocol/frame.js';
import type { RpcUpstream, RpcUser } from '../../stream/rpc/rpc-upstream.js';
import type { TimerOwner } from '../../stream/timers.js';
import type { Cluster } from '../cluster/cluster.js';
import type { Host } from '../cluster/host.js';
import { poolsOf } from '../router/host-pools.js';
import type { ForwardAction } from '../runtime.js';
import type { RpcConnection } from './rpc-connection.js';
import type { RpcManager } from './rpc-manager.js';
import { statusOf } from './status-of.js';

/** Where the request itself has no bound: an answer that nobody waits for must not hold its place for ever. */
const DEFAULT_TIMEOUT_MS = 15_000;

/** A copy of a request on its way to another cluster. Its answer is counted and thrown away; nothing that happens to it is seen by the client. */
export class RpcMirror implements RpcUser, TimerOwner {
  readonly idLow: number;
  readonly idHigh: number;
  upstreamId = 0;
  readonly #manager: RpcManager;
  readonly #connection: RpcConnection;
  readonly #cluster: Cluster;
  readonly #frame: Frame;
  readonly #oneway: boolean;
  #host: Host | undefined = undefined;
  #priority: ForwardAction['priority'] = 'DEFAULT';
  #upstream: RpcUpstream | undefined = undefined;
  #timer = 0;

  /** `frame`: one that was kept. */
  constructor(manager: RpcManager, connection: RpcConnection, cluster: Cluster, frame: Frame, oneway: boolean) {
    this.#manager = manager;
    this.#connection = connection;
    this.#cluster = cluster;
    this.#frame = frame;
    this.#oneway = oneway;
    this.idLow = frame.idLow;
    this.idHigh = frame.idHigh;
  }

  /** Sends it, or waits for a connection. `timeoutMs`: of the request; 0: it has none. */
  start(priority: ForwardAction['priority'], timeoutMs: number): void {
    const cluster = this.#cluster;
    const { codec, handle } = this.#connection;
    const { context, stats } = this.#manager;
    this.#priority = priority;
    stats.mirrorTotal.inc();
    const isBound = codec.pool === 'bound';
    const host = (isBound ? this.#connection.boundHost(cluster) : undefined) ?? cluster.choose(undefined);
    if (host === undefined || !cluster.breakers[priority].requests.tryAdd()) {
      (host === undefined ? cluster.stats.cxNoneHealthy : cluster.stats.rqPendingOverflow).inc();
      stats.mirrorFailed.inc();
      return;
    }
    this.#host = host;
    for (const { rqTotal, rqActive } of [cluster.stats, host.stats]) {
      rqTotal.inc();
      rqActive.inc();
    }
    host.active++;
    this.#timer = context.wheel.start(context.now + (timeoutMs > 0 ? timeoutMs : DEFAULT_TIMEOUT_MS), this, 0);
    const pools = poolsOf(context, cluster, host);
    const pool = pools.rpc(codec, priority);
    if (isBound) this.#connection.bind(cluster, host, pools);
    const upstream = pool.take(handle);
    if (upstream !== undefined) this.onUpstreamReady(upstream);
    else if (!pool.wait(this, handle)) {
      cluster.stats.rqPendingOverflow.inc();
      this.#end(false);
    }
  }
  onUpstreamReady(upstream: RpcUpstream): void {
    const { codec } = this.#connection;
    this.#upstream = upstream;
    const isSent = upstream.send(this.#oneway ? undefined : this, (low, high) => frameWithId(codec, this.#frame, low, high));
    if (!isSent || this.#oneway) this.#end(isSent);
  }
  onResponse(_upstream: RpcUpstream, frame: Frame): void {
    const { codec } = this.#connection;
    let status = 500;
    try {
      status = statusOf(codec, frame);
    } catch (cause) {
      this.#manager.codecFailed(codec, cause);
    }
    this.#cluster.stats.countResponse(status, false);
    this.#end(status < 500);
  }
  onUpstreamLost(): void {
    this.#end(false);
  }
  onTimer(_kind: number, now: number): void {
    const { context } = this.#manager;
    context.timerFired(now);
    this.#timer = 0;
    this.#cluster.stats.rqTimeout.inc();
    if (this.#upstream !== undefined) this.#upstream.abandon(this);
    else if (this.#host !== undefined) {
      poolsOf(context, this.#cluster, this.#host).rpc(this.#connection.codec, this.#priority).cancel(this);
    }
    this.#end(false);
  }

  #end(success: boolean): void {
    const host = this.#host;
    if (host === undefined) return;
    this.#host = undefined;
    const { context, stats } = this.#manager;
    context.wheel.stop(this.#timer);
    this.#cluster.breakers[this.#priority].requests.remove();
    this.#cluster.stats.rqActive.dec();
    host.stats.rqActive.dec();
    host.active--;
    (success ? host.stats.rqSuccess : host.stats.rqError).inc();
    if (!success) stats.mirrorFailed.inc();
  }
}

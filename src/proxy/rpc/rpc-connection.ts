import type { CloseReason, ConnectionHandler, ConnectionInfo, FramingFault } from '../../network/engine.js';
import type { Codec } from '../../protocol/codec.js';
import type { Frame } from '../../protocol/frame.js';
import { KIND_NUMBER } from '../../protocol/frame-layout.js';
import { FRAME_KIND } from '../../protocol/frame-table.js';
import type { RpcUpstream } from '../../stream/rpc/rpc-upstream.js';
import type { Cluster } from '../cluster/cluster.js';
import type { Host } from '../cluster/host.js';
import { type BoundOwner, HostPools } from '../router/host-pools.js';
import type { RpcManager } from './rpc-manager.js';
import type { RpcRequest } from './rpc-request.js';

/** The listener that a connection came from. */
export interface RpcHome {
  /** Changes whenever the configuration of the listener does. */
  readonly generation: number;
  /** Something may end a connection with its next answer: `closesAfterResponse` has to be asked. */
  readonly isDraining: boolean;
  /** Draws for one request whether it is the last of its connection. */
  closesAfterResponse(): boolean;
  rpcManagerOf(connection: RpcConnection): RpcManager | undefined;
  closed(connection: RpcConnection, lengthMs: number): void;
}

/** One downstream connection of an RPC protocol, and the requests that are in flight on it. */
export class RpcConnection implements ConnectionHandler, BoundOwner {
  readonly handle: number;
  readonly codec: Codec;
  readonly #home: RpcHome;
  readonly #startedAt: number;
  readonly #requests = new Set<RpcRequest>();
  /** By cluster: the host to which a `bound` codec has a connection of this one's own. */
  readonly #bound = new Map<Cluster, Host>();
  #manager: RpcManager;
  #generation: number;
  #info: ConnectionInfo | undefined = undefined;
  #number = 0;
  /** Where a request goes that is sent on as it comes. */
  #cutTo: RpcUpstream | undefined = undefined;
  #isLeaving = false;
  #closed = false;

  constructor(home: RpcHome, manager: RpcManager, codec: Codec, handle: number) {
    this.#home = home;
    this.#manager = manager;
    this.#generation = home.generation;
    this.codec = codec;
    this.handle = handle;
    this.#startedAt = manager.context.now;
    manager.stats.cxTotal.inc();
    manager.stats.cxActive.inc();
  }

  /** Addresses of the connection; asked of the engine once. */
  get info(): ConnectionInfo | undefined {
    this.#info ??= this.#manager.context.engine.info(this.handle);
    return this.#info;
  }
  get number(): number {
    if (this.#number === 0) this.#number = this.#manager.context.nextConnectionId++;
    return this.#number;
  }
  get chainName(): string {
    return this.#manager.chainName;
  }
  get isClosed(): boolean {
    return this.#closed;
  }
  get isActive(): boolean {
    return this.#requests.size > 0 || this.#cutTo !== undefined;
  }

  onFrame(_connection: number, frame: Frame): void {
    const manager = this.#manager;
    let { kind } = frame;
    if (frame.isPartial) {
      // What is not sent on as it comes, comes again when it is whole.
      if (kind === FRAME_KIND.REQUEST || kind === FRAME_KIND.ONEWAY) this.#cutThrough(frame, kind === FRAME_KIND.ONEWAY);
      return;
    }
    if (kind === FRAME_KIND.EVENT || kind === FRAME_KIND.UNKNOWN) kind = this.#classify(frame);
    switch (kind) {
      case FRAME_KIND.REQUEST:
      case FRAME_KIND.ONEWAY: {
        if (this.#home.generation !== this.#generation) this.#takeNewConfiguration();
        const request = this.#manager.takeRequest();
        if (kind === FRAME_KIND.REQUEST) this.#requests.add(request);
        request.begin(this, frame, kind === FRAME_KIND.ONEWAY);
        return;
      }
      case FRAME_KIND.HEARTBEAT:
        manager.stats.rqHeartbeat.inc();
        this.#answerHeartbeat(frame);
        return;
      case FRAME_KIND.HEARTBEAT_ACK:
      case FRAME_KIND.GO_AWAY:
      case FRAME_KIND.EVENT:
        // A client that goes away sends no further request; those in flight are answered still.
        return;
      default:
        this.#broken();
    }
  }
  /** The request whose callback runs is sent on as it comes. */
  cutsTo(upstream: RpcUpstream): void {
    this.#cutTo = upstream;
  }
  /** A request that was sent on as it came has been sent to its end. */
  onEnd(): void {
    const upstream = this.#cutTo;
    this.#cutTo = undefined;
    upstream?.sentWhole();
    this.#closeIfOver();
  }
  onFault(_connection: number, _fault: FramingFault): void {
    this.#broken();
  }
  onTimeout(): void {
    if (this.isActive) return;
    this.#manager.stats.cxIdleTimeout.inc();
    this.#manager.context.engine.close(this.handle, 'flush');
  }
  onClosed(_connection: number, _reason: CloseReason): void {
    this.#closed = true;
    const { stats, context } = this.#manager;
    for (const request of [...this.#requests]) request.cancel();
    for (const host of this.#bound.values()) if (host.pool instanceof HostPools) host.pool.unbind(this.handle);
    const lengthMs = Math.max(0, context.now - this.#startedAt);
    stats.cxActive.dec();
    stats.cxDestroy.inc();
    stats.cxLengthMs.record(lengthMs);
    this.#home.closed(this, lengthMs);
  }

  /** A request is over. */
  ended(request: RpcRequest): void {
    this.#requests.delete(request);
    if (!this.#isLeaving && this.#home.isDraining && this.#home.closesAfterResponse()) this.drain();
    else this.#closeIfOver();
  }
  #closeIfOver(): void {
    if (this.#isLeaving && !this.isActive) this.#manager.context.engine.close(this.handle, 'flush');
  }
  /** The host that requests of a `bound` codec go to, once one was chosen: what the connection has said there may count. */
  boundHost(cluster: Cluster): Host | undefined {
    const host = this.#bound.get(cluster);
    return host?.removed === true ? undefined : host;
  }
  /** Remembers where it has an upstream connection of its own. */
  bind(cluster: Cluster, host: Host, pools: HostPools): void {
    if (this.#bound.get(cluster) === host) return;
    this.unbind(cluster);
    this.#bound.set(cluster, host);
    pools.bind(this.handle, this);
  }
  /** Another host may be chosen: nothing could be said to this one. */
  unbind(cluster: Cluster): void {
    const host = this.#bound.get(cluster);
    this.#bound.delete(cluster);
    if (host?.pool instanceof HostPools) host.pool.unbind(this.handle);
  }
  /** The upstream connection of its own is gone, or will go: with it what was said on it. */
  upstreamLeaves(): void {
    this.drain();
  }
  /** No further request on this connection: the client is told where the protocol can say it, and it closes once nothing is in flight. */
  drain(): void {
    if (this.#isLeaving || this.#closed) return;
    this.#isLeaving = true;
    const { engine } = this.#manager.context;
    const bytes = this.codec.goAway?.();
    if (bytes !== undefined) engine.write(this.handle, bytes);
    this.#closeIfOver();
  }

  #cutThrough(frame: Frame, oneway: boolean): void {
    if (this.codec.pool !== 'multiplex') return;
    if (this.#home.generation !== this.#generation) this.#takeNewConfiguration();
    const manager = this.#manager;
    const request = manager.takeRequest();
    if (!request.beginCut(this, frame, oneway)) manager.giveRequest(request);
    else {
      manager.stats.rqCutThrough.inc();
      if (!oneway) this.#requests.add(request);
    }
  }
  #classify(frame: Frame): number {
    try {
      return KIND_NUMBER[this.codec.classify?.(frame, 'downstream') ?? 'unknown'];
    } catch (cause) {
      this.#manager.codecFailed(this.codec, cause);
      return FRAME_KIND.UNKNOWN;
    }
  }
  #answerHeartbeat(frame: Frame): void {
    try {
      const ack = this.codec.heartbeatAck?.(frame);
      if (ack !== undefined && ack.length > 0) this.#manager.context.engine.write(this.handle, ack);
    } catch (cause) {
      this.#manager.codecFailed(this.codec, cause);
      this.#broken();
    }
  }
  /** Bytes that are no frame, or a frame that has no business here. */
  #broken(): void {
    this.#manager.stats.cxProtocolError.inc();
    this.#manager.context.engine.close(this.handle, 'flush');
  }
  #takeNewConfiguration(): void {
    const old = this.#manager;
    this.#generation = this.#home.generation;
    const manager = this.#home.rpcManagerOf(this);
    if (manager === undefined) {
      // Nothing there for it any more: this request is its last.
      this.drain();
      return;
    }
    this.#manager = manager;
    if (manager.stats === old.stats) return;
    old.stats.cxActive.dec();
    manager.stats.cxActive.inc();
  }
}

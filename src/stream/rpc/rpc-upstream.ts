import type { CloseReason, ConnectionHandler, FramingFault } from '../../network/engine.js';
import type { Frame } from '../../protocol/frame.js';
import { KIND_NUMBER } from '../../protocol/frame-layout.js';
import { FRAME_KIND } from '../../protocol/frame-table.js';
import type { TimerOwner } from '../timers.js';
import { PendingTable } from './pending-table.js';
import type { RpcPool } from './rpc-pool.js';

/** One request in flight, as its upstream connection sees it. */
export interface RpcUser {
  /** The id it came with, for protocols and pools that keep it. */
  readonly idLow: number;
  readonly idHigh: number;
  /** The number under which it is on its connection; written by the connection. */
  upstreamId: number;
  /** A connection is there for the request that waited: send it, with `send` of the connection. Never called from inside `RpcPool.request`. */
  onUpstreamReady(upstream: RpcUpstream): void;
  /** The answer, good during the call. The request is not on the connection any more. */
  onResponse(upstream: RpcUpstream, frame: Frame): void;
  /** The connection could not be had, or is gone before the answer. */
  onUpstreamLost(reason: CloseReason, errno: string, wasSent: boolean): void;
}

/** Largest id, where the protocol has room for it: small enough for a signed word. */
export const WIDE_ID = 0x7fff_ffff;
/** What pairs a heartbeat with its answer. */
const HEARTBEAT = Symbol('heartbeat');
/** A request that was given up, where ids are so few that its own would soon be given to another one, which would then get its answer. */
const GIVEN_UP = Symbol('given up');
/** Share of narrow ids that may be given up before the connection is. */
const MAX_GIVEN_UP = 1 / 8;
type Pending = RpcUser | typeof HEARTBEAT | typeof GIVEN_UP;
/** State of an upstream connection. */
export const UPSTREAM = { CONNECTING: 0, OPEN: 1, DRAINING: 2, CLOSED: 3 } as const;

/**
 * One upstream connection with requests in flight. A `multiplex` codec's are paired by ids given here; others in the order in which they were sent,
 * with the ids they came with.
 * ```
 *   CONNECTING ──> OPEN ──> DRAINING (go-away, too old, host removed) ──> CLOSED, once nothing is in flight
 * ```
 */
export class RpcUpstream implements ConnectionHandler, TimerOwner {
  readonly pool: RpcPool;
  handle = 0;
  state: number = UPSTREAM.CONNECTING;
  readonly startedAt: number;
  /** Requests sent on it so far. */
  requests = 0;
  /** When a request was last sent or answered. */
  usedAt: number;
  /** Opened for one request that is sent as it comes; it is none of those that others wait for. */
  readonly isOwn: boolean;
  /** A request is being sent on it as it comes: nothing else may be. */
  isReserved = false;
  readonly #table: PendingTable<Pending> | undefined;
  readonly #queue: RpcUser[] = [];
  #givenUp = 0;
  #timer = 0;
  /** Id of the heartbeat that is waited for. */
  #beatId = 0;
  /** The codec is being asked about a frame: what is thrown is its own. */
  #asking = false;
  #missed = 0;

  constructor(pool: RpcPool, now: number, isOwn: boolean) {
    this.pool = pool;
    this.isOwn = isOwn;
    this.startedAt = now;
    this.usedAt = now;
    this.#table = pool.codec.pool === 'multiplex' ? new PendingTable(pool.maxId) : undefined;
  }

  /** Requests that wait for an answer. */
  get inFlight(): number {
    if (this.#table === undefined) return this.#queue.length;
    return this.#table.size - this.#givenUp - (this.#timer === 0 ? 0 : 1);
  }
  get mayTake(): boolean {
    return this.state === UPSTREAM.OPEN && !this.isReserved && this.inFlight + this.#givenUp < this.pool.maxInFlight;
  }

  /** Sends the frame whose `onFrame` runs on `from`. `user`: who gets the answer; undefined: nobody (one-way). False: the connection is gone. */
  forward(user: RpcUser | undefined, from: number, frame: Frame): boolean {
    this.requests++;
    const { engine } = this.pool;
    this.usedAt = engine.now;
    if (this.#table === undefined) {
      if (!engine.sendFrame(from, this.handle, frame.idLow, frame.idHigh)) return false;
      if (user !== undefined) this.#queue.push(user);
      this.#checkRequests();
      return true;
    }
    // A one-way request takes a number too, so that no other one has it.
    const id = this.#table.add(user ?? HEARTBEAT);
    const isSent = engine.sendFrame(from, this.handle, id, 0);
    if (user === undefined || !isSent) this.#table.take(id);
    if (isSent && user !== undefined) user.upstreamId = id;
    this.#checkRequests();
    return isSent;
  }
  /** The same with a frame that was kept: `encode` gives its bytes with an id. */
  send(user: RpcUser | undefined, encode: (idLow: number, idHigh: number) => Uint8Array): boolean {
    this.requests++;
    const { engine } = this.pool;
    if (this.state === UPSTREAM.CLOSED) return false;
    this.usedAt = engine.now;
    if (this.#table === undefined) {
      engine.write(this.handle, user === undefined ? encode(0, 0) : encode(user.idLow, user.idHigh));
      if (user !== undefined) this.#queue.push(user);
      this.#checkRequests();
      return true;
    }
    const id = this.#table.add(user ?? HEARTBEAT);
    engine.write(this.handle, encode(id, 0));
    if (user === undefined) this.#table.take(id);
    else user.upstreamId = id;
    this.#checkRequests();
    return true;
  }
  /** One that has served as many requests as it may takes no further one. */
  #checkRequests(): void {
    const { maxRequests, owner } = this.pool;
    if (maxRequests === 0 || this.requests < maxRequests || this.state !== UPSTREAM.OPEN) return;
    owner.maxRequests();
    this.drain();
  }
  /** The answer is not wanted any more. Without ids the connection is of no use after it. */
  abandon(user: RpcUser): void {
    if (this.isReserved) {
      // The rest of the request need not come.
      this.#table?.take(user.upstreamId);
      this.pool.discard(this);
      return;
    }
    if (this.#table !== undefined) {
      if (this.#table.take(user.upstreamId) !== undefined && this.pool.maxId < WIDE_ID) this.#keepId(user.upstreamId);
      this.#afterAnswer();
      return;
    }
    const index = this.#queue.indexOf(user);
    if (index < 0) return;
    this.#queue.splice(index, 1);
    // Its answer would be taken for the next one's.
    this.pool.discard(this);
  }

  /** The id of a request that was given up is not free before its answer has come. A server that leaves too many unanswered is left. */
  #keepId(id: number): void {
    this.#table?.put(id, GIVEN_UP);
    this.#givenUp++;
    if (this.#givenUp >= this.pool.maxId * MAX_GIVEN_UP) this.drain();
  }

  /** Takes no further request; closes once nothing is in flight. */
  drain(): void {
    if (this.state !== UPSTREAM.OPEN) return;
    this.state = UPSTREAM.DRAINING;
    this.pool.left(this);
    this.#afterAnswer();
  }

  onConnected(): void {
    this.pool.onConnected(this);
  }
  onFrame(_connection: number, frame: Frame): void {
    try {
      this.#onFrame(frame);
    } catch (cause) {
      if (!this.#asking) throw cause;
      this.#asking = false;
      this.pool.owner.codecFailed(cause);
      this.pool.discard(this);
    }
  }
  #onFrame(frame: Frame): void {
    const { codec, owner } = this.pool;
    let { kind } = frame;
    if (kind === FRAME_KIND.EVENT || kind === FRAME_KIND.UNKNOWN) {
      this.#asking = true;
      kind = KIND_NUMBER[codec.classify?.(frame, 'upstream') ?? 'unknown'];
      this.#asking = false;
    }
    switch (kind) {
      case FRAME_KIND.RESPONSE:
      case FRAME_KIND.HEARTBEAT_ACK: {
        // Without a table heartbeats have no id of their own.
        const user = kind === FRAME_KIND.HEARTBEAT_ACK && this.#table === undefined ? HEARTBEAT : this.#takeUser(frame);
        this.#asking = true;
        const isLast = user !== undefined && codec.endsConnection?.(frame) === true;
        this.#asking = false;
        if (user !== undefined && user !== HEARTBEAT) this.usedAt = this.pool.engine.now;
        if (user === HEARTBEAT || (kind === FRAME_KIND.HEARTBEAT_ACK && user === undefined)) this.#alive();
        else if (user === undefined) owner.lateResponse();
        else if (user === GIVEN_UP) {
          this.#givenUp--;
          owner.lateResponse();
        } else user.onResponse(this, frame);
        if (isLast && this.state === UPSTREAM.OPEN) {
          owner.goAway(codec.goAwayMeans === 'host');
          this.drain();
        } else this.#afterAnswer();
        return;
      }
      case FRAME_KIND.HEARTBEAT: {
        this.#asking = true;
        const ack = codec.heartbeatAck?.(frame);
        this.#asking = false;
        if (ack !== undefined && ack.length > 0) this.pool.engine.write(this.handle, ack);
        return;
      }
      case FRAME_KIND.GO_AWAY:
        owner.goAway(codec.goAwayMeans === 'host');
        this.drain();
        return;
      case FRAME_KIND.EVENT:
        return;
      default:
        // A request from an upstream, or a frame of no known kind.
        owner.protocolError();
        this.pool.discard(this);
    }
  }
  onFault(_connection: number, _fault: FramingFault): void {
    this.pool.owner.protocolError();
    this.pool.discard(this);
  }
  onTimeout(): void {
    this.pool.idle(this);
  }
  onClosed(_connection: number, reason: CloseReason, errno: string): void {
    this.pool.onClosed(this, reason, errno);
  }

  /** Asks the peer whether it is there. */
  sendHeartbeat(): void {
    const { codec, engine, heartbeat, wheel } = this.pool;
    if (codec.heartbeat === undefined || this.#timer !== 0) return;
    this.#beatId = this.#table?.add(HEARTBEAT) ?? 0;
    engine.write(this.handle, codec.heartbeat(this.#beatId, 0));
    this.#timer = wheel.start(engine.now + heartbeat.timeoutMs, this, 0);
  }
  onTimer(): void {
    this.#timer = 0;
    this.#table?.take(this.#beatId);
    this.#missed++;
    this.pool.owner.heartbeatMissed();
    if (this.#missed >= this.pool.heartbeat.failures) this.pool.discard(this);
    else this.sendHeartbeat();
  }
  #alive(): void {
    this.#missed = 0;
    if (this.#timer !== 0) this.#table?.take(this.#beatId);
    this.pool.wheel.stop(this.#timer);
    this.#timer = 0;
  }

  #takeUser(frame: Frame): Pending | undefined {
    if (this.#table !== undefined) return frame.idHigh === 0 ? this.#table.take(frame.idLow) : undefined;
    if (!frame.hasId) return this.#queue.shift();
    const index = this.#queue.findIndex((user) => user.idLow === frame.idLow && user.idHigh === frame.idHigh);
    return index < 0 ? undefined : this.#queue.splice(index, 1)[0];
  }
  /** The request that it was reserved for has been sent to its end. */
  sentWhole(): void {
    this.isReserved = false;
    if (this.state === UPSTREAM.OPEN) this.pool.join(this);
    this.#afterAnswer();
  }
  #afterAnswer(): void {
    if (this.isReserved) return;
    if (this.state === UPSTREAM.DRAINING && this.inFlight === 0) this.pool.discard(this, 'flush');
    else if (this.state === UPSTREAM.OPEN) this.pool.freed(this);
  }
  /** For the pool, when the connection is gone: who was on it. */
  end(): RpcUser[] {
    this.state = UPSTREAM.CLOSED;
    this.pool.wheel.stop(this.#timer);
    this.#timer = 0;
    if (this.#table === undefined) return this.#queue.splice(0);
    return this.#table.clear().filter((user) => user !== HEARTBEAT && user !== GIVEN_UP);
  }
}

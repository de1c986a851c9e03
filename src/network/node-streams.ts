/**
 * Connections of the fallback engine whose messages are streams: drives the codec's state machine (src/protocol/stream-framing.ts), tells its events to the streams
 * and their handlers, and shares the output of a connection among its streams.
 */
import type { StreamEvent } from '../protocol/stream-framing.js';
import { STREAM_ERROR, STREAM_EVENT } from '../protocol/stream-table.js';
import type { CloseReason, ConnectionHandler } from './engine.js';
import type { NodeConnection, NodeProfile } from './node-connection.js';
import { type EngineCore, EVENT, RX } from './node-endpoint.js';
import type { Messages } from './node-messages.js';
import { type NodeStream, StreamSet } from './node-stream.js';

/** Heads of a response that may wait behind the one that nobody has dealt with yet. */
const MAX_WAITING_HEADS = 16;
/** Streams that `onStreamLimit` can say. */
const MOST_STREAMS = 0x7fff_ffff;
/** What our PINGs carry. */
const PING = [0x736c7563, 0x70696e67] as const;
const ERROR_NAMES: readonly string[] = Object.keys(STREAM_ERROR);

/** Name of RFC 9113 §7 of an error code. */
const errorName = (error: number): string => ERROR_NAMES[error] ?? `0x${(error >>> 0).toString(16)}`;

/** What the engine adds for streams to what it is to its other parts. */
export interface StreamsCore extends EngineCore {
  /** A new stream with a handle. */
  openStream(connection: NodeConnection, set: StreamSet): NodeStream;
}

/** Drives connections with streams. */
export class Streams {
  readonly #core: StreamsCore;
  readonly #messages: Messages;

  constructor(core: StreamsCore, messages: Messages) {
    this.#core = core;
    this.#messages = messages;
  }

  /** Makes a connection one of a profile with streams; the first frames are in its output. */
  begin(connection: NodeConnection, profile: NodeProfile): void {
    const { streamFraming, streamOptions, downstream } = profile;
    if (streamFraming === undefined) return;
    const { now } = this.#core;
    const set = new StreamSet(streamFraming.connect(downstream ? 'downstream' : 'upstream', streamOptions, now));
    connection.streams = set;
    connection.rx = RX.STREAMS;
    if (set.codec.settingsDeadline > 0) set.settingsMs = set.codec.settingsDeadline - now;
    if (!connection.connecting) this.startSettingsTimer(connection);
    this.#core.markDirty(connection);
  }
  /** From when the connection is there. */
  startSettingsTimer(connection: NodeConnection): void {
    const { streams } = connection;
    if (streams === undefined || streams.settingsMs <= 0) return;
    streams.settingsTimer = setTimeout(() => {
      if (connection.finished || connection.closing || streams.codec.settingsDeadline === 0) return;
      const event = streams.codec.expire(this.#core.now);
      if (event.kind === STREAM_EVENT.FAULT) this.#onFault(connection, event);
      this.#core.wake();
    }, streams.settingsMs + 1);
  }

  // ---- input ------------------------------------------------------------------------------------------------------------------------------

  /** Takes what has come, until a handler has to be told something. */
  read(connection: NodeConnection): void {
    const { input, streams } = connection;
    if (streams === undefined) return;
    while (connection.rx === RX.STREAMS && !connection.finished && !connection.closing && !connection.blocked && !connection.paused) {
      if (!this.#core.isQuiet) {
        this.#core.enqueue(connection);
        break;
      }
      const event = streams.codec.next(input, this.#core.now);
      if (event.kind === STREAM_EVENT.MORE) break;
      this.#take(connection, streams, event);
    }
    if (connection.finished) return;
    if (input.unread === 0) input.clear();
    this.#core.markDirty(connection);
    this.#checkOutput(connection);
    this.checkDrained(connection);
  }
  /** Answers that nobody reads: nothing more is read here until they are fewer. */
  #checkOutput(connection: NodeConnection): void {
    if (connection.blocked || connection.closing || connection.queued <= 2 * connection.profile.highBytes) return;
    connection.blocked = true;
    if (!connection.isWaiter) connection.waiters.push(connection);
    connection.isWaiter = true;
    this.#core.updateReading(connection);
  }

  #take(connection: NodeConnection, set: StreamSet, event: StreamEvent): undefined {
    switch (event.kind) {
      case STREAM_EVENT.HEAD:
        return this.#onHead(connection, set, event);
      case STREAM_EVENT.DATA: {
        const stream = set.byId.get(event.stream);
        const { length } = event.bytes;
        if (stream !== undefined) this.#messages.arrived(stream, event.bytes, connection.input.isLent, event.ends);
        else set.codec.consume(event.stream, length);
        return;
      }
      case STREAM_EVENT.TRAILERS: {
        const stream = set.byId.get(event.stream);
        if (stream === undefined) return;
        stream.received += event.head.wireBytes;
        stream.ended = true;
        stream.trailers = event.head.retain();
        this.#messages.pump(stream, true);
        return;
      }
      case STREAM_EVENT.RESET:
        return this.#onReset(connection, set, event);
      case STREAM_EVENT.BAD_HEAD:
        return this.#onBadHead(connection, set, event);
      case STREAM_EVENT.WINDOW: {
        const stream = set.byId.get(event.stream);
        if (event.stream === 0) this.flushWaiting(connection);
        else if (stream !== undefined) while (this.#flushOne(stream) > 0);
        return;
      }
      case STREAM_EVENT.SETTINGS:
        this.flushWaiting(connection);
        return this.#tellLimit(connection, set);
      case STREAM_EVENT.SETTINGS_ACK:
        clearTimeout(set.settingsTimer);
        set.settingsTimer = undefined;
        return;
      case STREAM_EVENT.PING_ACK:
        if (event.low >>> 0 === PING[0] && event.high >>> 0 === PING[1]) this.#core.emit(EVENT.PONG, connection);
        return;
      case STREAM_EVENT.GOAWAY:
        return this.#onGoAway(connection, set, event);
      case STREAM_EVENT.FAULT:
        return this.#onFault(connection, event);
      default:
    }
  }

  #onHead(connection: NodeConnection, set: StreamSet, event: StreamEvent): undefined {
    const { ends } = event;
    const head = event.head.retain();
    if (connection.isDownstream) {
      const stream = this.#opened(connection, set, event.stream);
      stream.received = head.wireBytes;
      stream.ended = ends;
      this.#messages.present(stream, head);
      return;
    }
    const stream = set.byId.get(event.stream);
    if (stream === undefined) return;
    stream.received += head.wireBytes;
    stream.ended = ends;
    if (stream.heads.length === MAX_WAITING_HEADS) {
      set.codec.reset(stream.id, STREAM_ERROR.ENHANCE_YOUR_CALM);
      this.#core.finish(stream, 'reset', 'ENHANCE_YOUR_CALM');
      return;
    }
    stream.heads.push(head);
    this.#messages.nextHead(stream);
  }
  #opened(connection: NodeConnection, set: StreamSet, id: number): NodeStream {
    const stream = this.#core.openStream(connection, set);
    stream.id = id;
    stream.isNew = true;
    set.byId.set(id, stream);
    return stream;
  }
  #onBadHead(connection: NodeConnection, set: StreamSet, { stream: id, ends, fault = '', offset, status }: StreamEvent): undefined {
    const stream = this.#opened(connection, set, id);
    stream.rx = RX.FAULTED;
    stream.ended = ends;
    const protocol = connection.profile.streamFraming?.name ?? '';
    this.#core.emit(EVENT.FAULT, stream, 0, 0, '', '', { protocol, code: fault, offset, status, where: 'head' });
  }
  #onReset(connection: NodeConnection, set: StreamSet, { stream: id, error, fault, offset }: StreamEvent): undefined {
    const stream = set.byId.get(id);
    if (fault !== undefined) {
      const { streamFraming } = connection.profile;
      const status = streamFraming?.statusOf(fault, connection.isDownstream ? 'downstream' : 'upstream') ?? 400;
      this.#core.emit(EVENT.FAULT, connection, 0, 0, '', '', { protocol: streamFraming?.name ?? '', code: fault, offset, status, where: 'stream' });
    }
    if (stream === undefined) return;
    if (error === STREAM_ERROR.NO_ERROR && fault === undefined && stream.ended && !connection.isDownstream) {
      // RFC 9113 §8.1: all of the response is here; the rest of the request is not wanted.
      this.#messages.stopRequest(stream);
      return;
    }
    this.#core.finish(stream, error === STREAM_ERROR.REFUSED_STREAM && !connection.isDownstream ? 'refused' : 'reset', errorName(error));
  }
  #tellLimit(connection: NodeConnection, set: StreamSet): undefined {
    const limit = Math.min(set.codec.maxStreams, MOST_STREAMS);
    const takesUpgrades = set.codec.peerAllowsConnect;
    if (connection.isDownstream || (limit === set.limit && takesUpgrades === set.takesUpgrades)) return;
    set.limit = limit;
    set.takesUpgrades = takesUpgrades;
    this.#core.emit(EVENT.STREAM_LIMIT, connection, limit, takesUpgrades ? 1 : 0);
  }
  #onGoAway(connection: NodeConnection, set: StreamSet, { low, error }: StreamEvent): undefined {
    if (connection.isDownstream) return;
    const name = errorName(error);
    for (const stream of [...set.byId.values()]) if (stream.id > low) this.#core.finish(stream, 'refused', name);
    for (const stream of [...set.unsent]) this.#core.finish(stream, 'refused', name);
    this.#core.emit(EVENT.GO_AWAY, connection, 0, 0, name);
  }
  #onFault(connection: NodeConnection, { error, fault = '', offset }: StreamEvent): undefined {
    const { streamFraming } = connection.profile;
    this.#core.emit(EVENT.FAULT, connection, 0, 0, '', '', {
      protocol: streamFraming?.name ?? '',
      code: fault,
      offset,
      status: 0,
      where: 'connection',
    });
    this.endAll(connection, 'reset', errorName(error));
    connection.rx = RX.FAULTED;
    this.#core.startClosing(connection, 'local');
  }

  // ---- output -----------------------------------------------------------------------------------------------------------------------------

  /** Puts what waits into frames, each stream a turn at a time, as far as windows and the connection's watermark allow. */
  flushWaiting(connection: NodeConnection): void {
    const { streams } = connection;
    if (streams === undefined) return;
    let progress = true;
    while (progress && streams.waiting.size > 0 && !connection.isFull) {
      progress = false;
      for (const stream of [...streams.waiting]) {
        if (connection.isFull) break;
        if (this.#flushOne(stream) > 0) progress = true;
      }
    }
  }
  #flushOne(stream: NodeStream): number {
    const { carrier, source } = stream;
    if (carrier.isFull) return 0;
    const bytes = stream.flush();
    if (bytes === 0) return 0;
    this.#core.markDirty(carrier);
    if (stream.waitingBytes === 0 && stream.resetAfter >= 0) {
      stream.set.codec.reset(stream.id, stream.endSent ? STREAM_ERROR.NO_ERROR : stream.resetAfter);
      this.#core.finish(stream, 'local', '');
      return bytes;
    }
    if (source !== undefined) this.#messages.wentOn(source, stream);
    if (stream.waitingBytes === 0) {
      // The next ones are behind those that still wait.
      if (stream.endSent) this.#messages.endGone(stream);
    } else {
      stream.set.waiting.delete(stream);
      stream.set.waiting.add(stream);
    }
    return bytes;
  }

  // ---- commands ---------------------------------------------------------------------------------------------------------------------------

  /** See `Engine.openStream`. */
  open(connection: NodeConnection, handler: ConnectionHandler): NodeStream | undefined {
    const { streams } = connection;
    if (streams === undefined || connection.isDownstream || connection.closing || !streams.codec.canOpen) return undefined;
    if (streams.codec.open + streams.unsent.size >= streams.codec.maxStreams) return undefined;
    const stream = this.#core.openStream(connection, streams);
    stream.rx = RX.IDLE;
    stream.handler = handler;
    streams.unsent.add(stream);
    return stream;
  }
  /** See `Engine.ping`. */
  ping(connection: NodeConnection): void {
    if (connection.streams === undefined || connection.closing) return;
    connection.streams.codec.ping(PING[0], PING[1]);
    this.#core.markDirty(connection);
  }
  /** See `Engine.close`. */
  close(stream: NodeStream, how: 'flush' | 'now' | 'reset'): void {
    const { codec } = stream.set;
    this.#core.markDirty(stream.carrier);
    if (how === 'flush' && stream.id > 0 && !stream.endSent && (stream.waitingBytes > 0 || stream.isTunnel)) {
      // A tunnel ends; any other message that is not over is cut short, after what was queued.
      if (stream.isTunnel) stream.putEnd(new Uint8Array(0));
      stream.resetAfter = stream.isTunnel ? STREAM_ERROR.NO_ERROR : stream.closeError;
      if (stream.waitingBytes > 0) {
        this.#messages.cut(stream);
        return;
      }
      codec.reset(stream.id, STREAM_ERROR.NO_ERROR);
    } else if (stream.id > 0) codec.reset(stream.id, how === 'flush' && stream.endSent ? STREAM_ERROR.NO_ERROR : stream.closeError);
    this.#core.finish(stream, 'local', '');
  }
  /** Nobody takes a new stream. */
  refuse(stream: NodeStream): void {
    stream.set.codec.reset(stream.id, STREAM_ERROR.REFUSED_STREAM);
    this.#core.finish(stream, 'local', '');
  }
  /** See `Engine.drain`. The second time does not wait for the PING. */
  drain(connection: NodeConnection): void {
    const { streams } = connection;
    if (streams === undefined || connection.closing) return;
    if (streams.isDraining) streams.codec.finishDrain();
    else streams.codec.drain();
    streams.isDraining = true;
    this.#core.markDirty(connection);
    this.checkDrained(connection);
  }
  /** Closes a connection that was to be drained, and is. */
  checkDrained(connection: NodeConnection): void {
    const { streams } = connection;
    if (streams === undefined || connection.closing || connection.finished || !streams.isDraining || !streams.codec.isDrained) return;
    if (streams.size === 0) this.#core.startClosing(connection, 'local');
  }
  /** GOAWAY, before the connection is closed. */
  abort(connection: NodeConnection): void {
    connection.streams?.codec.abort(STREAM_ERROR.NO_ERROR);
    this.#core.markDirty(connection);
  }

  // ---- ends -------------------------------------------------------------------------------------------------------------------------------

  /** Takes a stream off its connection. */
  remove(stream: NodeStream): void {
    const { set, id } = stream;
    stream.dropWaiting();
    stream.inbox.clear();
    stream.heads.length = 0;
    stream.trailers = undefined;
    stream.settleAll();
    set.unsent.delete(stream);
    if (set.byId.get(id) === stream) set.byId.delete(id);
    this.#core.markDirty(stream.carrier);
    if (set.size === 0 && !stream.carrier.finished) this.#core.touch(stream.carrier);
  }
  /** The streams of a connection that ends. */
  endAll(connection: NodeConnection, reason: CloseReason, errno: string): void {
    const { streams } = connection;
    if (streams === undefined || streams.size === 0) return;
    for (const stream of [...streams.byId.values(), ...streams.unsent]) this.#core.finish(stream, reason, errno);
  }
  /** Streams of an upstream connection that has gone, of which all has come, go on to their end alone. */
  letGo(connection: NodeConnection): void {
    const { streams } = connection;
    if (streams === undefined || connection.isDownstream) return;
    for (const stream of [...streams.byId.values()]) {
      const isWhole = stream.ended && (stream.rx === RX.PENDING || stream.rx === RX.BODY || stream.endWaits || stream.shownEnd);
      if (!isWhole) continue;
      streams.byId.delete(stream.id);
      this.#messages.stopRequest(stream);
    }
  }
}

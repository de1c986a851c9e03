/**
 * Messages of the fallback engine: heads that wait, bodies on their way from one endpoint to another, answers made here. Each side may be an HTTP/1 connection or a
 * stream; what differs between the two is in `putBody`, `putEnd` and the few places here that ask which one it is.
 *
 * ```
 *   read ─> PENDING ─ forward ─> pump: move, move, ... ─> endBody ─> (the end waits behind bytes of the other side) ─> over ─> exchangeDone
 * ```
 */
import { CodecError } from '../base/errors.js';
import type { Edits } from '../protocol/edits.js';
import type { BodyFraming, OutHead, RequestContext } from '../protocol/framing.js';
import { Head } from '../protocol/head.js';
import { EDIT, EDIT_FLAG, HEAD_FLAG } from '../protocol/head-layout.js';
import { STREAM_ERROR } from '../protocol/stream-table.js';
import { FORWARD } from './engine.js';
import type { NodeConnection } from './node-connection.js';
import { type Endpoint, type EngineCore, EVENT, NO_BYTES, NOTHING_ASKED, RX, requestAsSent, requestOf, type Trailers, TX } from './node-endpoint.js';
import { linesOf, NodeStream } from './node-stream.js';

const HEAD_ALONE: OutHead = { framing: 'none', contentLength: -1, close: false, keepAlive: false, upgrade: false };
const UPGRADED: OutHead = { ...HEAD_ALONE, upgrade: true };
const SHOWS = EDIT_FLAG.SHOW_BODY | EDIT_FLAG.SHOW_TRAILERS;
/** Requests of these methods say that they have no body (RFC 9110 §8.6). */
const METHODS_WITH_BODY = ['POST', 'PUT', 'PATCH'];

const linesIn = (trailers: Trailers): Uint8Array => (trailers instanceof Head ? linesOf(trailers) : trailers);
const isBodiless = (status: number): boolean => status === 204 || status === 304;

/** How the body of a stream's message is framed, seen from HTTP/1. */
function framingOf(head: Head, request: RequestContext | undefined): BodyFraming {
  if (request === undefined ? (head.flags & (HEAD_FLAG.CONNECT | HEAD_FLAG.EXTENDED_CONNECT)) !== 0 : request.isHead || isBodiless(head.status))
    return 'none';
  if (head.contentLength >= 0) return 'length';
  return head.ends ? 'none' : 'chunked';
}

/** Moves messages between endpoints. */
export class Messages {
  /** Body bytes of the message that ended last. */
  movedBytes = 0;
  readonly #core: EngineCore;
  /** What the message that ended last would tell with `onEnd`. */
  #overFlags = 0;

  constructor(core: EngineCore) {
    this.#core = core;
  }

  // ---- input ------------------------------------------------------------------------------------------------------------------------------

  /** Shows a head that was read. */
  present(endpoint: Endpoint, head: Head): void {
    endpoint.rx = RX.PENDING;
    endpoint.head = head;
    endpoint.messageBytes = 0;
    endpoint.contentLength = head.contentLength;
    endpoint.keepAlive = head.keepAlive;
    if (endpoint.isDownstream) {
      endpoint.request = requestOf(head);
      endpoint.clientHttp11 = endpoint.request.isHttp11;
      endpoint.expectsContinue = (head.flags & HEAD_FLAG.EXPECT_CONTINUE) !== 0;
    }
    this.#core.emit(EVENT.HEAD, endpoint);
  }

  /** Broken bytes of an HTTP/1 message. */
  fault(connection: NodeConnection, cause: unknown, where: 'head' | 'body'): void {
    if (!(cause instanceof CodecError)) throw cause;
    connection.rx = RX.FAULTED;
    connection.closeAfter = true;
    connection.input.clear();
    clearTimeout(connection.headTimer);
    connection.headTimer = undefined;
    const side = connection.isDownstream ? 'downstream' : 'upstream';
    const status = connection.profile.framing?.statusOf(cause.code, side) ?? 400;
    this.#core.emit(EVENT.FAULT, connection, 0, 0, '', '', { protocol: cause.protocol, code: cause.code, offset: cause.offset, status, where });
  }

  /** A stream goes on with what it has kept. */
  run(stream: NodeStream): void {
    if (stream.finished) return;
    if (!stream.blocked) {
      stream.settle();
      this.nextHead(stream);
    }
    this.pump(stream, true);
    this.#core.markDirty(stream.carrier);
  }
  /** Upstream: shows the next head of a stream that has several. */
  nextHead(stream: NodeStream): void {
    if (stream.rx !== RX.HEAD || stream.blocked) return;
    const head = stream.heads.shift();
    if (head !== undefined) this.present(stream, head);
  }
  /** A piece of a stream's body has come. */
  arrived(stream: NodeStream, bytes: Uint8Array, isLent: boolean, ends: boolean): void {
    stream.received += bytes.length;
    stream.unconsumed += bytes.length;
    if (ends) stream.ended = true;
    if (this.#isFlowing(stream) && stream.inbox.length === 0) this.#move(stream, bytes, isLent, ends);
    else stream.inbox.push(bytes, isLent);
    if (ends) this.pump(stream, true);
  }
  #isFlowing(stream: NodeStream): boolean {
    const isOpen = (stream.rx === RX.BODY && !stream.shownEnd) || stream.rx === RX.RAW;
    return isOpen && !stream.finished && stream.mayMove && !(stream.blocked && (stream.shows & EDIT_FLAG.SHOW_BODY) !== 0);
  }

  /** Moves a body on as far as there are bytes and the other side takes them. `tells`: an end found here is told by `onEnd`. */
  pump(from: Endpoint, tells: boolean): void {
    if (from instanceof NodeStream) this.#pumpStream(from, tells);
    else this.#pumpConnection(from.carrier, tells);
  }
  #pumpStream(from: NodeStream, tells: boolean): void {
    const { inbox } = from;
    while (this.#isFlowing(from)) {
      const { first, isLast } = inbox;
      if (first === undefined) break;
      inbox.drop(first.length);
      this.#move(from, first, false, isLast && from.ended && from.trailers === undefined);
    }
    if (!from.ended || inbox.length > 0 || from.finished || !from.mayMove) return;
    if (from.rx === RX.BODY && !from.shownEnd) this.#bodyRead(from, from.trailers ?? NO_BYTES, tells);
    else if (from.rx === RX.RAW) this.endRaw(from);
  }
  #pumpConnection(connection: NodeConnection, tells: boolean): void {
    const { input, session } = connection;
    if (session === undefined) return;
    while (connection.rx === RX.BODY && !connection.finished && !connection.shownEnd) {
      if (connection.blocked && input.unread > 0) return;
      let kind: string;
      let bytes: Uint8Array = NO_BYTES;
      try {
        const step = session.next(input);
        kind = step.kind;
        if (step.kind === 'body') bytes = step.bytes;
        else if (step.kind === 'end') bytes = step.trailers;
      } catch (cause) {
        this.fault(connection, cause, 'body');
        return;
      }
      if (kind === 'end') this.#bodyRead(connection, bytes, tells);
      else if (kind === 'body')
        this.#move(
          connection,
          bytes,
          input.isLent,
          connection.inFraming === 'length' && connection.messageBytes + bytes.length === connection.contentLength,
        );
      else return;
    }
  }

  // ---- bodies -----------------------------------------------------------------------------------------------------------------------------

  #move(from: Endpoint, bytes: Uint8Array, isLent: boolean, ends: boolean): void {
    from.messageBytes += bytes.length;
    const { sink } = from;
    const isShown = (from.shows & EDIT_FLAG.SHOW_BODY) !== 0;
    // Of a shown body what is sent in its place is kept.
    if (from.retained !== undefined && !isShown) this.#retain(from, bytes, isLent);
    if (sink === undefined && !from.isOwn) {
      if (from instanceof NodeStream) from.settle();
    } else if (sink === undefined || isShown) {
      if (bytes.length > 0) from.handler?.onBody?.(from.handle, bytes);
      if (from instanceof NodeStream && !from.finished && !from.blocked) from.settle();
    } else {
      sink.putBody(bytes, isLent, ends);
      this.#core.markDirty(sink.carrier);
      this.throttle(from, sink);
    }
  }
  #retain(from: Endpoint, bytes: Uint8Array, isLent: boolean): void {
    const { retained } = from;
    if (retained === undefined) return;
    retained.bytes += bytes.length;
    if (retained.bytes > from.carrier.profile.maxRetainBytes) from.retained = undefined;
    else retained.chunks.push(isLent ? Buffer.from(bytes) : bytes);
  }

  /** Above the other side's watermark, or behind its window, nothing more is read here, or given back to the peer's window. */
  throttle(from: Endpoint, to: Endpoint): void {
    const isStream = from instanceof NodeStream;
    if (isStream && !to.carrier.isFull) from.settle();
    if (!to.isFull) return;
    from.blocked = true;
    if (!isStream) this.#core.updateReading(from.carrier);
    // Bytes that wait for a window are told of by their own stream.
    if (from.isWaiter || (to instanceof NodeStream && to.waitingBytes > 0)) return;
    from.isWaiter = true;
    to.carrier.waiters.push(from);
  }
  /** The other side may take more. */
  resume(from: Endpoint): void {
    if (from.finished || !from.blocked) return;
    if (from.sink?.isFull) {
      this.throttle(from, from.sink);
      return;
    }
    from.blocked = false;
    this.#core.enqueue(from);
  }
  /** Bytes that waited in `to` are in its output. */
  wentOn(from: Endpoint, to: NodeStream): void {
    if (from instanceof NodeStream && !to.carrier.isFull) {
      from.settle();
      this.#core.markDirty(from.carrier);
    }
    if (to.waitingBytes === 0) this.resume(from);
  }
  /** The output of a connection has shrunk, or the connection has ended. */
  resumeWaiters(connection: NodeConnection): void {
    for (const waiter of connection.waiters.splice(0)) {
      waiter.isWaiter = false;
      this.resume(waiter);
    }
  }

  /** All of a body has been read. */
  #bodyRead(from: Endpoint, trailers: Trailers, tells: boolean): void {
    if ((from.sink === undefined && !from.isOwn) || from.shows === 0) {
      this.#end(from, trailers, tells);
      return;
    }
    if (from.isOwn) {
      from.handler?.onTrailers?.(from.handle, linesIn(trailers));
      if (!from.finished) this.#end(from, trailers, true);
      return;
    }
    const mustEnd = (from.shows & EDIT_FLAG.SHOW_BODY) !== 0;
    from.shownEnd = mustEnd;
    if (mustEnd) from.rx = RX.DONE;
    from.handler?.onTrailers?.(from.handle, linesIn(trailers));
    if (!mustEnd && !from.finished && from.sink !== undefined) this.#end(from, trailers, tells);
  }
  /** The last byte of a message is with the other side, or thrown away: now its end. */
  #end(from: Endpoint, trailers: Trailers, tells: boolean): void {
    from.rx = RX.DONE;
    from.blocked = false;
    from.held = false;
    from.shownEnd = false;
    const thrownAway = from.discard;
    from.discard = false;
    if (from.retained !== undefined) from.retained.trailers = trailers instanceof Head ? trailers.retain() : trailers.slice();
    const { sink: to } = from;
    const waits = to !== undefined && !(to instanceof NodeStream && to.asksTunnel) && !to.putEnd(trailers);
    if (to !== undefined) this.#core.markDirty(to.carrier);
    if (!waits) {
      this.#over(from, tells && !thrownAway);
      return;
    }
    from.endWaits = true;
    from.tellsEnd = true;
  }
  /** The end of a message is in the output of the other side. */
  #over(from: Endpoint, tells: boolean): void {
    const { sink: to } = from;
    from.endWaits = false;
    from.shows = 0;
    from.isOwn = false;
    if (to !== undefined) {
      to.tx = TX.DONE;
      to.source = undefined;
      from.sink = undefined;
    }
    let flags: number = FORWARD.DONE;
    if (!from.isDownstream && this.#mayServeAgain(from)) flags |= FORWARD.REUSABLE;
    this.#overFlags = flags;
    this.movedBytes = from.messageBytes;
    if (tells) this.#core.emit(EVENT.END, from, from.messageBytes, flags);
    // What is over now gets its own end after that.
    if (from.isDownstream) {
      if (from.tx === TX.DONE) this.#exchangeDone(from);
      if (to instanceof NodeStream && to.rx === RX.DONE && !to.endWaits) this.#core.finish(to, 'done', '');
      return;
    }
    if (from instanceof NodeStream && from.tx === TX.DONE) this.#core.finish(from, 'done', '');
    else if (from.carrier.input.ended) this.#core.enqueue(from);
    if (to !== undefined) this.#exchangeDone(to);
  }
  #mayServeAgain(from: Endpoint): boolean {
    if (from.tx !== TX.DONE) return false;
    if (from instanceof NodeStream) return true;
    const connection = from.carrier;
    if (!from.keepAlive || connection.input.ended || connection.closeAfter || connection.input.unread > 0) return false;
    from.rx = RX.IDLE;
    from.tx = TX.IDLE;
    this.#core.touch(connection);
    return true;
  }
  /** The end of what a stream sends, which had waited, is in the output. */
  endGone(to: NodeStream): void {
    const { source: from } = to;
    if (to.isTunnel) this.#checkTunnel(to);
    else if (from?.endWaits) this.#over(from, from.tellsEnd);
    else if (from === undefined) {
      to.tx = TX.DONE;
      if (to.isDownstream) this.#exchangeDone(to);
      else if (to.rx === RX.DONE && !to.endWaits) this.#core.finish(to, 'done', '');
    }
  }

  /** Downstream: on to the next request, or to the end, once both directions are through. */
  #exchangeDone(endpoint: Endpoint): void {
    if (endpoint.tx !== TX.DONE || endpoint.finished || endpoint.carrier.closing) return;
    if (endpoint instanceof NodeStream) {
      // RFC 9113 §8.1: the peer need not send the rest of its request.
      if (!endpoint.ended) endpoint.set.codec.reset(endpoint.id, STREAM_ERROR.NO_ERROR);
      this.#core.markDirty(endpoint.carrier);
      this.#core.finish(endpoint, 'done', '');
      return;
    }
    const connection = endpoint.carrier;
    if (connection.rx === RX.BODY && connection.discard && !connection.closeAfter) return;
    connection.retained = undefined;
    if (connection.rx !== RX.DONE || connection.closeAfter || connection.shownEnd) {
      this.#core.startClosing(connection, 'local');
      return;
    }
    // A request whose end waits behind bytes for an upstream that has answered already.
    if (connection.sink !== undefined) connection.sink.source = undefined;
    connection.sink = undefined;
    connection.endWaits = false;
    connection.rx = RX.HEAD;
    connection.tx = TX.IDLE;
    connection.head = undefined;
    clearTimeout(connection.endTimer);
    this.#core.touch(connection);
    if (connection.isFull) {
      // A client that asks on and on and takes no answer: its next request is not read before its own output has shrunk.
      this.throttle(connection, connection);
    } else if (connection.input.unread > 0 || connection.input.ended) this.#core.enqueue(connection);
    else this.#core.updateReading(connection);
  }

  /** Upstream: the peer wants nothing more of the request. What it has answered goes on. */
  stopRequest(stream: NodeStream): void {
    stream.dropWaiting();
    stream.endSent = true;
    stream.tx = TX.DONE;
    this.cut(stream);
    if (stream.rx === RX.DONE && !stream.endWaits && !stream.shownEnd) this.#core.finish(stream, 'done', '');
  }
  /** Nothing more comes for an endpoint from its other side. */
  cut(endpoint: Endpoint): void {
    const { source } = endpoint;
    endpoint.source = undefined;
    if (source?.sink !== endpoint) return;
    source.sink = undefined;
    source.endWaits = false;
    this.#loosen(source);
  }
  /** An endpoint whose other side is gone: what it had taken is off our hands. */
  #loosen(source: Endpoint): void {
    source.blocked = false;
    if (!(source instanceof NodeStream) || source.finished) return;
    source.settle();
    this.#core.markDirty(source.carrier);
  }

  // ---- commands ---------------------------------------------------------------------------------------------------------------------------

  /** See `Engine.forward`. */
  forward(from: Endpoint, to: Endpoint, edits: Edits): number {
    if (!isMessage(from) || !isMessage(to) || from.carrier.closing || to.carrier.closing || from.isDownstream === to.isDownstream)
      return FORWARD.STALE;
    return from.isDownstream ? this.#forwardRequest(from, to, edits) : this.#forwardResponse(from, to, edits);
  }

  #forwardRequest(from: Endpoint, to: Endpoint, edits: Edits): number {
    const again = from.rx !== RX.PENDING;
    const { retained } = from;
    const head = again ? retained?.head : from.head;
    if (head === undefined || (again && from.rx !== RX.BODY && from.rx !== RX.DONE)) return FORWARD.STALE;
    if (from.tx !== TX.IDLE || to.rx !== RX.IDLE || to.tx !== TX.IDLE || to.carrier.input.ended) return FORWARD.STALE;
    if (to instanceof NodeStream && !to.set.codec.canOpen) return FORWARD.STALE;
    const flags = edits.ints[EDIT.FLAGS];
    const { contentLength } = head;
    if (!again) {
      const framing = startBody(from, head, undefined);
      from.inFraming = framing === 'none' && contentLength === 0 ? 'length' : framing;
    }
    const asksTunnel = from.request.isConnect || (from.request.isUpgrade && (flags & EDIT_FLAG.UPGRADE) !== 0);
    const isShown = !asksTunnel && (flags & EDIT_FLAG.SHOW_BODY) !== 0;
    const isOver = again && from.rx === RX.DONE && !from.shownEnd;
    const isEmpty = from instanceof NodeStream ? head.ends : from.inFraming === 'none' || contentLength === 0;
    const isWhole = isEmpty || (isOver && retained?.bytes === 0 && linesIn(retained.trailers).length === 0);
    if (!this.#putRequest(from, to, head, edits, isShown, asksTunnel, isWhole)) return FORWARD.STALE;
    to.request = requestAsSent(from.request, flags);
    to.rx = RX.HEAD;
    to.tx = TX.BODY;
    to.source = from;
    if (from.sink !== undefined) from.sink.source = undefined;
    from.sink = to;
    from.blocked = false;
    from.endWaits = false;
    if (again && retained !== undefined) {
      for (const chunk of retained.chunks) to.putBody(chunk, false, false);
      if (isOver) {
        this.#overFlags = FORWARD.OPEN;
        this.#end(from, retained.trailers, false);
        return this.#answerOf(from);
      }
      this.throttle(from, to);
      this.#core.enqueue(from);
      return FORWARD.OPEN;
    }
    from.shows = asksTunnel ? 0 : flags & SHOWS;
    if ((flags & EDIT_FLAG.RETAIN) !== 0) {
      const copy = from instanceof NodeStream ? head : from.carrier.copyHead(head);
      from.retained = { head: copy, chunks: [], bytes: 0, trailers: NO_BYTES };
    }
    from.head = undefined;
    from.rx = RX.BODY;
    // Nothing goes into a tunnel that is not there yet.
    from.held = (flags & EDIT_FLAG.HOLD_BODY) !== 0 || (asksTunnel && from instanceof NodeStream);
    return this.#startBody(from, isEmpty);
  }
  #putRequest(from: Endpoint, to: Endpoint, head: Head, edits: Edits, isShown: boolean, asksTunnel: boolean, isWhole: boolean): boolean {
    const flags = edits.ints[EDIT.FLAGS];
    const { contentLength } = head;
    const { inFraming } = from;
    this.#core.markDirty(to.carrier);
    if (to instanceof NodeStream) {
      to.asksTunnel = asksTunnel;
      const how = {
        contentLength: inFraming === 'length' && !isShown ? contentLength : -1,
        scheme: 'http',
        upgrade: asksTunnel && !from.request.isConnect,
      };
      return to.putRequest(head, edits, how, isWhole && !isShown && !asksTunnel);
    }
    const connection = to.carrier;
    if (connection.session === undefined) return false;
    const saysNothing = from instanceof NodeStream && inFraming === 'none' && !asksTunnel && METHODS_WITH_BODY.includes(head.method);
    const framing: BodyFraming = isShown ? 'chunked' : inFraming;
    const close = (flags & EDIT_FLAG.CLOSE) !== 0;
    connection.putHead(connection.session, head, edits, {
      framing,
      contentLength: isShown ? -1 : saysNothing ? 0 : contentLength,
      close,
      keepAlive: false,
      upgrade: (flags & EDIT_FLAG.UPGRADE) !== 0,
    });
    connection.outFraming = framing;
    connection.closeAfter = close;
    return true;
  }

  #forwardResponse(from: Endpoint, to: Endpoint, edits: Edits): number {
    const { head } = from;
    if (from.rx !== RX.PENDING || head === undefined) return FORWARD.STALE;
    if (to.tx !== TX.IDLE || (to.rx !== RX.BODY && to.rx !== RX.DONE)) return FORWARD.STALE;
    const flags = edits.ints[EDIT.FLAGS];
    const received = head.status;
    if (received === 101 && (flags & EDIT_FLAG.TUNNEL) === 0) return FORWARD.STALE;
    if (received < 200 && received !== 101) return this.#forwardInterim(from, to, head, edits);
    to.retained = undefined;
    if ((flags & EDIT_FLAG.TUNNEL) !== 0) {
      this.#putTunnelHead(from, to, head, edits);
      this.tie(from, to);
      return FORWARD.DONE;
    }
    const bodyFraming = startBody(from, head, from.request);
    if (bodyFraming === 'until-close') from.keepAlive = false;
    from.inFraming = bodyFraming;
    // What asked for a tunnel and gets none is over with its answer.
    if (from instanceof NodeStream && from.asksTunnel) {
      from.asksTunnel = false;
      from.putEnd(NO_BYTES);
      from.tx = TX.DONE;
      if (from.source !== undefined) from.source.sink = undefined;
      from.source = undefined;
      this.#core.markDirty(from.carrier);
    }
    const hasNoBody = from.request.isHead || isBodiless(received);
    const shows = hasNoBody ? flags & EDIT_FLAG.SHOW_TRAILERS : flags & SHOWS;
    // On a stream trailers may follow whatever the length is.
    const isEmpty = from instanceof NodeStream ? head.ends : bodyFraming === 'none' || head.contentLength === 0;
    const length = bodyFraming === 'none' || bodyFraming === 'length' ? head.contentLength : -1;
    if (!this.#putResponse(from, to, head, edits, bodyFraming, length, isEmpty, (shows & EDIT_FLAG.SHOW_BODY) !== 0)) return FORWARD.STALE;
    to.tx = TX.BODY;
    to.source = from;
    from.sink = to;
    from.shows = shows;
    from.head = undefined;
    from.rx = RX.BODY;
    return this.#startBody(from, isEmpty);
  }
  #putResponse(
    from: Endpoint,
    to: Endpoint,
    head: Head,
    edits: Edits,
    bodyFraming: BodyFraming,
    length: number,
    isEmpty: boolean,
    isShown: boolean,
  ): boolean {
    const closes = (edits.ints[EDIT.FLAGS] & EDIT_FLAG.CLOSE) !== 0;
    this.#core.markDirty(to.carrier);
    if (to instanceof NodeStream) {
      if (!to.putResponse(head, edits, isShown ? -1 : length, isEmpty && !isShown)) return false;
      if (closes) this.#core.drain(to.carrier);
      return true;
    }
    const connection = to.carrier;
    if (connection.session === undefined) return false;
    let framing: BodyFraming = bodyFraming === 'until-close' || isShown ? 'chunked' : bodyFraming;
    if (framing === 'chunked' && !connection.clientHttp11) framing = 'until-close';
    if (connection.rx !== RX.DONE || !connection.keepAlive || closes || framing === 'until-close') connection.closeAfter = true;
    // A stream that ended with its head: nothing follows, and HTTP/1 has to be told so.
    const saysNothing = from instanceof NodeStream && length < 0 && framing === 'none' && !from.request.isHead && !isBodiless(head.status);
    connection.putHead(connection.session, head, edits, {
      framing,
      contentLength: isShown ? -1 : saysNothing ? 0 : length,
      close: connection.closeAfter,
      keepAlive: !connection.closeAfter && !connection.clientHttp11,
      upgrade: false,
    });
    connection.outFraming = framing;
    return true;
  }

  /** A 1xx: its head alone. */
  #forwardInterim(from: Endpoint, to: Endpoint, head: Head, edits: Edits): number {
    const status = edits.ints[EDIT.STATUS] || head.status;
    if (to instanceof NodeStream) to.putResponse(head, edits, -1, false);
    else if (to.clientHttp11) putHead(to.carrier, head, edits, HEAD_ALONE);
    this.#core.markDirty(to.carrier);
    if (to.isFull) {
      to.source = from;
      from.sink = to;
      this.throttle(from, to);
    }
    this.#interimOver(from);
    if (status === 100) this.release(to);
    return FORWARD.DONE;
  }
  /** A 1xx is dealt with: on to the next head. */
  #interimOver(from: Endpoint): void {
    from.head = undefined;
    from.rx = RX.HEAD;
    if (from instanceof NodeStream) this.nextHead(from);
    else {
      const connection = from.carrier;
      connection.session?.startBody(from.request);
      connection.session?.next(connection.input);
      if (connection.input.unread > 0 || connection.input.ended) this.#core.enqueue(connection);
    }
  }

  /** The answer that begins a tunnel has the status of the protocol that it goes to: 101 is what HTTP/2 calls 200 (RFC 8441 §5). */
  #putTunnelHead(from: Endpoint, to: Endpoint, head: Head, edits: Edits): void {
    const { ints } = edits;
    const asked = ints[EDIT.STATUS];
    const { status } = head;
    this.#core.markDirty(to.carrier);
    if (to instanceof NodeStream) {
      if (status === 101 && asked === 0) ints[EDIT.STATUS] = 200;
      to.putResponse(head, edits, -1, false);
    } else {
      const isUpgrade = status === 101 || (from instanceof NodeStream && to.request.isUpgrade);
      if (isUpgrade && status !== 101 && asked === 0) ints[EDIT.STATUS] = 101;
      putHead(to.carrier, head, edits, isUpgrade ? UPGRADED : HEAD_ALONE);
    }
    ints[EDIT.STATUS] = asked;
  }

  /** Moves what has already arrived of a body whose head was just sent. An end found here is told by the answer, not by an event. */
  #startBody(from: Endpoint, isEmpty: boolean): number {
    this.#overFlags = FORWARD.OPEN;
    if (from.shows !== 0) {
      // What is shown is not shown from inside a command.
      this.#core.enqueue(from);
      return FORWARD.OPEN;
    }
    // No byte is waited for: the end is there at once, also where the body is held back or reading is paused.
    if (isEmpty && from instanceof NodeStream) this.#end(from, NO_BYTES, false);
    else if (isEmpty || !(from.held || from.paused)) {
      this.pump(from, false);
      if (!(from instanceof NodeStream)) {
        if (this.#rxOf(from) === RX.BODY && from.carrier.input.ended) this.#core.enqueue(from);
        this.#core.updateReading(from.carrier);
      }
    }
    return this.#answerOf(from);
  }
  #answerOf(from: Endpoint): number {
    return from.endWaits ? FORWARD.OPEN : this.#overFlags;
  }
  /** Read anew: what TypeScript has narrowed may have changed in a call. */
  #rxOf(endpoint: Endpoint): number {
    return endpoint.rx;
  }

  /** See `Engine.reply`. */
  reply(endpoint: Endpoint, edits: Edits, body: Uint8Array): boolean {
    if (!isMessage(endpoint) || !endpoint.isDownstream || endpoint.tx !== TX.IDLE || endpoint.carrier.closing) return false;
    const status = edits.ints[EDIT.STATUS];
    const connection = endpoint.carrier;
    if (status < 200) {
      if (endpoint instanceof NodeStream) endpoint.putResponse(undefined, edits, -1, false);
      else if (endpoint.clientHttp11) putHead(connection, undefined, edits, HEAD_ALONE);
      this.#core.markDirty(connection);
      endpoint.expectsContinue = false;
      return true;
    }
    if (endpoint.rx === RX.HEAD && !(endpoint instanceof NodeStream)) {
      // A time-out while a head was on its way: answered, then closed.
      connection.closeAfter = true;
      connection.rx = RX.FAULTED;
    }
    if (endpoint.rx !== RX.PENDING && endpoint.rx !== RX.BODY && endpoint.rx !== RX.DONE && endpoint.rx !== RX.FAULTED) return false;
    if (endpoint.sink !== undefined) endpoint.sink.source = undefined;
    endpoint.sink = undefined;
    endpoint.retained = undefined;
    endpoint.endWaits = false;
    endpoint.shownEnd = false;
    endpoint.shows = 0;
    return endpoint instanceof NodeStream ? this.#replyStream(endpoint, edits, status, body) : this.#replyConnection(connection, edits, status, body);
  }
  #replyStream(stream: NodeStream, edits: Edits, status: number, body: Uint8Array): boolean {
    const hasBody = !isBodiless(status) && !stream.request.isHead && body.length > 0;
    stream.head = undefined;
    if (stream.rx !== RX.FAULTED) stream.rx = RX.BODY;
    stream.held = stream.blocked = false;
    stream.discard = true;
    stream.inbox.clear();
    stream.settle();
    if (!stream.putResponse(undefined, edits, isBodiless(status) ? -1 : body.length, !hasBody)) return false;
    if (hasBody) stream.putBody(body, true, true);
    stream.tx = TX.BODY;
    if ((edits.ints[EDIT.FLAGS] & EDIT_FLAG.CLOSE) !== 0) this.#core.drain(stream.carrier);
    this.#core.markDirty(stream.carrier);
    if (stream.endSent) this.endGone(stream);
    return true;
  }
  #replyConnection(connection: NodeConnection, edits: Edits, status: number, body: Uint8Array): boolean {
    if (connection.session === undefined) return false;
    clearTimeout(connection.headTimer);
    connection.headTimer = undefined;
    if (connection.rx === RX.PENDING) {
      connection.inFraming = connection.session.startBody();
      connection.rx = RX.BODY;
    }
    if (connection.rx === RX.BODY) this.#discardBody(connection);
    connection.head = undefined;
    if ((edits.ints[EDIT.FLAGS] & EDIT_FLAG.CLOSE) !== 0 || !connection.keepAlive) connection.closeAfter = true;
    const hasNoBody = isBodiless(status);
    const close = connection.closeAfter;
    connection.putHead(connection.session, undefined, edits, {
      framing: hasNoBody ? 'none' : 'length',
      contentLength: hasNoBody ? -1 : body.length,
      close,
      keepAlive: !close && !connection.clientHttp11,
      upgrade: false,
    });
    // The caller's bytes may change once we have returned, and the output waits for the end of the batch.
    if (!hasNoBody && !connection.request.isHead) connection.put(body, true);
    this.#core.markDirty(connection);
    connection.tx = TX.DONE;
    connection.outFraming = 'none';
    this.#exchangeDone(connection);
    return true;
  }
  /** The rest of a request that was answered here: thrown away where that is cheap, else the connection closes after the answer. */
  #discardBody(connection: NodeConnection): void {
    connection.held = false;
    connection.blocked = false;
    connection.discard = true;
    this.pump(connection, false);
    if (connection.rx !== RX.BODY) return;
    const leftBytes = connection.contentLength - connection.messageBytes;
    if (connection.contentLength < 0 || leftBytes > connection.profile.lingerBytes || connection.expectsContinue) connection.closeAfter = true;
    else {
      this.#startDiscardTimer(connection);
      this.#core.enqueue(connection);
    }
  }
  #startDiscardTimer(connection: NodeConnection): void {
    const { lingerMs } = connection.profile;
    if (lingerMs <= 0) return;
    connection.endTimer = setTimeout(() => {
      if (connection.finished || connection.closing || !connection.discard) return;
      this.#core.startClosing(connection, 'local');
      this.#core.wake();
    }, lingerMs);
  }

  /** See `Engine.request`. */
  request(to: Endpoint, edits: Edits, body: Uint8Array): boolean {
    if (!isMessage(to) || to.isDownstream || to.carrier.closing || to.carrier.input.ended || to.rx !== RX.IDLE || to.tx !== TX.IDLE) return false;
    const hasBody = body.length > 0;
    if (to instanceof NodeStream) {
      if (!to.set.codec.canOpen) return false;
      if (!to.putRequest(undefined, edits, { contentLength: -1, scheme: 'http', upgrade: false }, !hasBody)) return false;
    } else {
      const connection = to.carrier;
      if (connection.session === undefined) return false;
      connection.outFraming = hasBody ? 'length' : 'none';
      const how = { ...HEAD_ALONE, framing: connection.outFraming, contentLength: hasBody ? body.length : -1 };
      connection.putHead(connection.session, undefined, edits, how);
    }
    const { bytes, ints } = edits;
    const method = Buffer.from(bytes.buffer, bytes.byteOffset + ints[EDIT.METHOD], Math.max(0, ints[EDIT.METHOD_BYTES])).toString('latin1');
    to.request = { ...NOTHING_ASKED, isHead: method === 'HEAD' };
    to.rx = RX.HEAD;
    to.tx = TX.BODY;
    if (hasBody) to.putBody(body, true, true);
    if (!(to instanceof NodeStream)) to.tx = TX.DONE;
    else if (to.endSent) this.endGone(to);
    this.#core.markDirty(to.carrier);
    return true;
  }
  /** See `Engine.show`. */
  show(from: Endpoint): boolean {
    const { head } = from;
    if (!isMessage(from) || from.isDownstream || from.carrier.closing || from.rx !== RX.PENDING || head === undefined) return false;
    if (head.status < 200 && head.status !== 101) {
      this.#interimOver(from);
      return true;
    }
    from.inFraming = startBody(from, head, from.request);
    if (from.inFraming === 'until-close') from.keepAlive = false;
    from.head = undefined;
    from.isOwn = true;
    from.shows = SHOWS;
    from.rx = RX.BODY;
    this.#core.enqueue(from);
    return true;
  }

  /** See `Engine.releaseBody`. A tunnel's bytes wait for the tunnel. */
  release(from: Endpoint): void {
    const { sink } = from;
    if (!from.held || (from instanceof NodeStream && (from.request.isConnect || sink?.request.isUpgrade))) return;
    from.held = false;
    this.#core.enqueue(from);
  }
  /** See `Engine.sendBody`. */
  send(from: Endpoint, bytes: Uint8Array): boolean {
    const { sink } = from;
    if ((from.shows & EDIT_FLAG.SHOW_BODY) === 0 || sink === undefined || (from.rx !== RX.BODY && !from.shownEnd)) return false;
    this.#retain(from, bytes, true);
    sink.putBody(bytes, true, false);
    this.#core.markDirty(sink.carrier);
    this.throttle(from, sink);
    return true;
  }
  /** See `Engine.endBody`. */
  endShown(from: Endpoint, trailers: Uint8Array): boolean {
    if (!from.shownEnd || from.sink === undefined) return false;
    this.#end(from, trailers, true);
    return true;
  }

  // ---- tunnels ----------------------------------------------------------------------------------------------------------------------------

  /** From now on each of the two gets the bytes of the other. */
  tie(a: Endpoint, b: Endpoint): void {
    this.#tieOne(a, b);
    this.#tieOne(b, a);
  }
  #tieOne(one: Endpoint, other: Endpoint): void {
    one.rx = RX.RAW;
    one.tx = TX.BODY;
    one.outFraming = 'none';
    one.sink = other;
    one.source = other;
    one.blocked = false;
    one.held = false;
    one.shows = 0;
    one.head = undefined;
    if (!(one instanceof NodeStream)) this.#core.touch(one.carrier);
    this.#core.enqueue(one);
  }
  /** The end of one direction of a tunnel. */
  endRaw(from: Endpoint): void {
    const { sink } = from;
    from.rx = RX.EOF;
    if (sink === undefined) return;
    sink.putEnd(NO_BYTES);
    this.#core.markDirty(sink.carrier);
    if (from instanceof NodeStream) this.#checkTunnel(from);
    if (sink instanceof NodeStream) this.#checkTunnel(sink);
  }
  #checkTunnel(stream: NodeStream): void {
    if (stream.rx === RX.EOF && stream.endSent && !stream.finished) this.#core.finish(stream, 'done', '');
  }
}

/** Has messages, one at a time. */
const isMessage = (endpoint: Endpoint): boolean => endpoint instanceof NodeStream || endpoint.carrier.session !== undefined;

function startBody(from: Endpoint, head: Head, request: RequestContext | undefined): BodyFraming {
  if (from instanceof NodeStream) return framingOf(head, request);
  return from.carrier.session?.startBody(request) ?? 'none';
}
function putHead(connection: NodeConnection, head: Head | undefined, edits: Edits, how: OutHead): void {
  if (connection.session !== undefined) connection.putHead(connection.session, head, edits, how);
}

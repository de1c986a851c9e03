/**
 * The Engine port: NET/IO's one interface, with two implementations (`native-engine.ts`, `node-engine.ts`; DESIGN §2). Same input bytes,
 * however they were split, give the same events and the same output bytes on both.
 *
 * A connection is a *handle*: a positive 31-bit integer, index + generation. A command with a stale handle does nothing (and returns
 * `STALE` where it returns something), so a callback may close what a later event of the same batch names.
 *
 * ## An HTTP/1 exchange
 * ```
 *   onHead(down)  ─ route ─ pool ─>  forward(down, up, edits)      head and body of the request go to `up`
 *   onHead(up)    ─ filters ──────>  forward(up, down, edits)      1xx: the head alone; any other: the response with its body
 *   onEnd(down) / onEnd(up)                                        where forward had answered OPEN: the body has been moved
 * ```
 * A downstream connection gives its next head only after the exchange is over: request consumed and final response written. `reply` answers
 * without an upstream. An upstream connection is free again when forward(up, down) answered `DONE | REUSABLE`, or its `onEnd` said REUSABLE.
 *
 * ## Streams: HTTP/2
 * A message of HTTP/2 has a handle of its own, a *stream*, which takes the commands and gives the events of an exchange as an HTTP/1 connection does: `onHead`,
 * `forward`, `reply`, `onEnd`, `onFault`, `close`. Any side of `forward` may be either of the two. What differs:
 * ```
 *   onStream(connection, stream)   downstream: the peer has opened a stream; who is to take its events?  onHead or onFault of it follows
 *   openStream(connection)         upstream: a stream for one request, which `forward` sends; 0 where the peer takes no further one now
 *   onClosed(stream, why)          the last event of every stream: `done` after both of its messages, else why not
 * ```
 * - The head is there until it is forwarded or answered; what comes of the body before that waits within the stream's window. A byte of DATA is given back to the
 *   window when it has gone on to the other side, and none goes on while the other side has its watermark waiting: a slow reader stops its sender, and nobody else.
 * - `onEnd(from)` comes when the last byte has been put into frames for `to`, where that is a stream: while the peer's window holds it back the message is not over.
 * - `close(stream, how)`: RST_STREAM with CANCEL upstream and INTERNAL_ERROR downstream (`reset`, `now`); `flush`: what was queued goes out first, then the same reset
 *   where our message is not over; a tunnel gets END_STREAM, and NO_ERROR where the peer has not ended its own half. A final response or a `reply` to a request that is not over is such an end as well (RFC 9113 §8.1).
 * - An upgrade is an extended CONNECT (RFC 8441) on a stream. EDIT_FLAG.UPGRADE writes a request of HTTP/1 as one, and one that goes to HTTP/1 with `connection: upgrade`: method
 *   GET and the Upgrade line are the owner's edits. With EDIT_FLAG.TUNNEL the engine makes 101 a 200 and the other way round. No byte of a tunnel goes on before that.
 * - With EDIT_FLAG.SHOW_BODY or SHOW_TRAILERS `forward` answers OPEN, also where there is no body: `onTrailers` and `onEnd` follow. What cannot have a body (HEAD, 204,
 *   304) is not shown one: `onTrailers` only.
 * - EDIT_FLAG.CLOSE on a response drains the connection of the stream.
 * - A connection that ends takes its streams along: each gets its `onClosed` first, with the same reason. Where it is an upstream that has gone, a response of which all has
 *   come goes on to its end alone, and gets its `onClosed` then. `onFault` of the connection itself (`where`: `connection`)
 *   comes before that; its GOAWAY is on its way and it closes by itself. One with `where`: `stream` says what was wrong with a stream that the engine has reset for it;
 *   where that stream had been shown, its `onClosed` follows.
 * - `drain(connection)`: GOAWAY in two steps (RFC 9113 §6.8); it closes when its last stream has. `onTimeout` `idle`: no stream was open for so long.
 * - `info`, `traffic` take streams too; traffic is that of the bodies and heads of the stream.
 *
 * ## Frames of a codec
 * ```
 *   onFrame(down)  ─ route ─ pool ─>  sendFrame(down, up, id)       the frame as it came, with the id that pairs it on `up`
 *   onFrame(up)    ─ table of ids ─>  sendFrame(up, down, id)       and back
 * ```
 * A frame over `cutThroughBytes` is shown before its last section is there (`isPartial`). Sent on, it ties the two connections together until all of it was
 * moved (`onEnd`): `to` takes nothing else meanwhile, and is closed (`truncated`) if the rest does not come. Not sent on, it comes again when it is whole.
 *
 * A whole frame is there during its callback; what is not sent on by then is thrown away (`Frame.retain` keeps a copy, `write` sends bytes made here).
 * Many frames, of many callers, may be in flight on one connection. Above the watermark of `to` the connection that feeds it is not read; towards a
 * downstream connection its own requests are not read instead, since its upstream connection serves others as well; one that takes nothing, and has twice
 * the watermark and two of its largest frames waiting, is closed. An upstream connection with many times its watermark waiting takes no further frame, and lives on.
 */
import type { Counter } from '../base/stats.js';
import type { Codec } from '../protocol/codec.js';
import type { Edits } from '../protocol/edits.js';
import type { Frame } from '../protocol/frame.js';
import type { Framing } from '../protocol/framing.js';
import type { Head } from '../protocol/head.js';
import type { StreamFraming } from '../protocol/stream-framing.js';

/** What an address is: an IP with a port, or the path of a Unix socket (a leading `@` or NUL means Linux's abstract namespace). */
export type Address = { readonly ip: string; readonly port: number } | { readonly path: string };

/** Options of the socket itself, applied before bind/connect. Counts and durations as the kernel takes them. */
export interface SocketOptions {
  /** Default true. */
  readonly noDelay?: boolean;
  /** Seconds; absent: no keep-alive. */
  readonly keepAlive?: { readonly idleS?: number; readonly intervalS?: number; readonly probes?: number };
  /** Native only. */
  readonly mark?: number;
  /** Native only: IP_TRANSPARENT / IPV6_TRANSPARENT. */
  readonly transparent?: boolean;
  /** Native only: IP_FREEBIND. */
  readonly freebind?: boolean;
}

/** How bytes on a connection become messages, and its bounds. Made once per listener or cluster with `Engine.profile`. */
export interface ProfileOptions {
  /** `raw`: opaque bytes. `inspect`: bytes are shown with `onPeek` and kept, until `adopt` says what they are. Else messages, one at a time or in streams, or the frames of a codec. */
  readonly framing: 'raw' | 'inspect' | Framing | StreamFraming | Codec;
  readonly side: 'downstream' | 'upstream';
  /** Largest head in bytes (HTTP/1: start line to blank line). Default 61,440. Fault HEAD_TOO_LARGE. */
  readonly maxHeadBytes?: number;
  /** Most header lines. Default 100. Fault TOO_MANY_HEADERS. */
  readonly maxHeaders?: number;
  /** Largest request target. Default: maxHeadBytes. Fault TARGET_TOO_LARGE. */
  readonly maxTargetBytes?: number;
  /** Per connection and direction: above `high` waiting output bytes the feeding side is not read, until `low`. Default 1 MiB, low = half. */
  readonly bufferLimitBytes?: number;
  /** Bytes of a request kept for retries (EDIT_FLAG.RETAIN). Default = bufferLimitBytes. */
  readonly maxRetainBytes?: number;
  /** No byte in either direction for so long, with no exchange open (HTTP/1) or at all (raw): onTimeout `idle`. 0: none. Default 0. */
  readonly idleTimeoutMs?: number;
  /** From the first byte of a head to its last (a connection that says nothing has its idle time): onTimeout `head`. 0: none. Default 0. */
  readonly headTimeoutMs?: number;
  /** How long, and how many bytes, a closing connection is read and thrown away so that the peer gets the answer (RFC 9112 §9.6). Default 1,000 ms, 1 MiB. */
  readonly lingerMs?: number;
  readonly lingerBytes?: number;
  /** Largest frame. Default: the codec's. Fault FRAME_TOO_LARGE. */
  readonly maxFrameBytes?: number;
  /** A frame of more bytes is cut through. Default 0: every frame is whole; those of scripted codecs, and those with a checksum, are in any case. */
  readonly cutThroughBytes?: number;
  /** Of a StreamFraming: its words, from `StreamFraming.options`, which hold for it in place of the limits of heads above. */
  readonly streamOptions?: Int32Array;
  /** Of HTTP/1 downstream: the profile, of a StreamFraming, of connections that begin with that one's preface (`onProtocol`). */
  readonly prefaceProfile?: Profile;
  /** Accept HTTP/1.0 requests. Default true (Fault VERSION_NOT_SUPPORTED otherwise). */
  readonly acceptHttp10?: boolean;
  /** What to do with names that hold an underscore. Default allow. */
  readonly underscores?: 'allow' | 'reject' | 'drop';
  /** Counters that every byte read from, and every byte given to, the system on connections of this profile is added to as it happens. */
  readonly wire?: WireCounters;
}
/** See `ProfileOptions.wire`. */
export interface WireCounters {
  readonly received: Counter;
  readonly sent: Counter;
}
/** Number of a profile, from `Engine.profile`. */
export type Profile = number;

export interface ListenOptions extends SocketOptions {
  readonly address: Address;
  readonly profile: Profile;
  /** Default 1,024. */
  readonly backlog?: number;
  /** Native; the fallback only where Node can. Default false. */
  readonly reusePort?: boolean;
  /** An IPv6 wildcard also takes IPv4. Default false (IPV6_V6ONLY). */
  readonly dualStack?: boolean;
  /** File mode of a Unix socket, e.g. 0o660. A stale socket file is removed, but only if nobody listens on it. */
  readonly mode?: number;
  /** Ask the kernel where each connection was going before iptables redirected it (SO_ORIGINAL_DST). Native only. */
  readonly originalDst?: boolean;
  /** Most connections accepted in one wake-up. Default 64. */
  readonly maxAcceptsPerWake?: number;
}
export interface ConnectOptions extends SocketOptions {
  readonly address: Address;
  readonly profile: Profile;
  /** Default 5,000. onClosed with `connect-timeout`. */
  readonly connectTimeoutMs?: number;
  /** Bind to this address first (Istio's 127.0.0.6). */
  readonly source?: { readonly ip: string; readonly port?: number };
}

/** Why a connection or stream ended. `errno` beside it is the system's name (`ECONNRESET`, ...), the name of RFC 9113 §7 for a reset stream (`CANCEL`, ...), or an empty string. */
export type CloseReason =
  | 'local' //           we closed it
  | 'remote' //          the peer's FIN, at a place where the protocol allows it
  | 'reset' //           RST, or another read or write error
  | 'truncated' //       the peer's FIN in the middle of a message
  | 'connect-failed'
  | 'connect-timeout'
  | 'unexpected' //      bytes from an upstream that was asked nothing
  | 'done' //            a stream: both messages are over
  | 'refused' //         a stream: the peer has not processed it (REFUSED_STREAM, or above the last stream of its GOAWAY); it may be tried again
  | 'linger'; //         the lingering close of a finished connection came to its end

/** Bytes that break the framing; the connection gives no more heads. For HTTP/1 `status` is the answer the peer should get. */
export interface FramingFault {
  readonly protocol: string;
  readonly code: string;
  /** From the first byte of the message. */
  readonly offset: number;
  readonly status: number;
  /** In the head (nothing was forwarded) or in the body (a forward is open); of streams: see the head of this file. */
  readonly where: 'head' | 'body' | 'stream' | 'connection';
}

/** What becomes of a connection. Called from the engine, one after the other, never from inside a command. */
export interface ConnectionHandler {
  /** An outgoing connection is there. Commands may be given before it; output waits. */
  onConnected?(connection: number): void;
  /** The first bytes have shown which of a profile's two protocols this is; not called where it is the profile's own. */
  onProtocol?(connection: number, profile: Profile): void;
  /** The peer has opened a stream. Gives who takes its events; undefined refuses it (REFUSED_STREAM). */
  onStream?(connection: number, stream: number): ConnectionHandler | undefined;
  /** Upstream: the peer takes so many streams at once, and extended CONNECT (RFC 8441) or not. Called when its SETTINGS have come, and when they change. */
  onStreamLimit?(connection: number, streams: number, takesUpgrades: boolean): void;
  /** Upstream: no further stream can be opened here. Those that the peer will not process have been closed as `refused`; others go on. `error`: name of RFC 9113 §7. */
  onGoAway?(connection: number, error: string): void;
  /** What `ping` asked for has come back. */
  onPong?(connection: number): void;
  /** A whole head has arrived and waits for `forward`, `reply` or `close`. */
  onHead?(connection: number, head: Head): void;
  /** A whole frame, or with `cutThroughBytes` the beginning of one; only during this callback. */
  onFrame?(connection: number, frame: Frame): void;
  /** What an `inspect` connection has received so far (each time: all of it). `ended`: the peer sent FIN. Answer with `adopt` or `close`, or wait. */
  onPeek?(connection: number, bytes: Uint8Array, ended: boolean): void;
  /** With EDIT_FLAG.SHOW_BODY: a piece of the body, good during this callback. Nothing goes on but what `sendBody` is given, without a content-length; with RETAIN that is what is kept. */
  onBody?(from: number, bytes: Uint8Array): void;
  /**
   * With EDIT_FLAG.SHOW_BODY or SHOW_TRAILERS: the message is over but for its end. `trailers`: lines, each with its CRLF, or empty; good during this callback. With SHOW_BODY
   * `endBody` is to be called, now or later, and `onEnd` follows it; else they go on by themselves.
   */
  onTrailers?(from: number, trailers: Uint8Array): void;
  /** The body that `forward` left OPEN has been moved to the other side (or thrown away). `bytes`: body bytes of the message. */
  onEnd?(from: number, bytes: number, flags: number): void;
  /** Broken bytes: in a head, answer with `reply`; in a body, close both sides. */
  onFault?(connection: number, fault: FramingFault): void;
  /** A time of the profile has passed; the connection is still there. */
  onTimeout?(connection: number, which: 'idle' | 'head'): void;
  /** Raw connections in a `relay`: both directions ended; or the connection is gone. The last event of a connection; the handle is stale after it. */
  onClosed(connection: number, reason: CloseReason, errno: string): void;
}

/** Bits of what `forward` answers, and of the flags of `onEnd`. */
export const FORWARD = {
  /** The handle (or its pending head) is not there any more, or `to` cannot take a message now. Nothing was sent. */
  STALE: 0,
  /** The head was queued and its body goes on; `onEnd` follows. */
  OPEN: 1,
  /** All of the message was moved; no `onEnd` follows. */
  DONE: 2,
  /** With DONE, or in `onEnd`, of a response: the upstream connection may serve the next request. */
  REUSABLE: 4,
} as const;

/** What a connection is at, for access logs and metrics. */
export interface ConnectionInfo {
  readonly local: Address;
  readonly remote: Address;
  /** Where the connection was going before it was redirected, where `originalDst` was asked for and differs. */
  readonly originalDst?: Address;
}

/** Bytes on the wire since the connection began. */
export interface Traffic {
  received: number;
  sent: number;
  /** Output bytes that wait in the process. */
  queued: number;
}

export interface Listener {
  readonly handle: number;
  /** The address it is bound to, with the real port where 0 was asked for. */
  readonly address: Address;
}

export interface EngineCapabilities {
  readonly originalDst: boolean;
  readonly transparent: boolean;
  readonly mark: boolean;
  readonly reusePort: boolean;
}

export interface Engine {
  readonly name: 'native' | 'fallback';
  readonly capabilities: EngineCapabilities;
  /** Milliseconds on a monotonic clock, read once per wake-up. */
  readonly now: number;

  profile(options: ProfileOptions): Profile;
  /** Opens a listener. `accept` is called for each connection and gives its handler; undefined closes the connection. Throws ListenError. */
  listen(options: ListenOptions, accept: (connection: number, listener: number) => ConnectionHandler | undefined): Promise<Listener>;
  /** Stops accepting and closes the listening socket; its connections live on. */
  unlisten(listener: number): void;
  /** Starts to connect; every failure arrives as `onClosed`, later. */
  connect(options: ConnectOptions, handler: ConnectionHandler): number;
  /** From now on another object takes the events of a connection. */
  setHandler(connection: number, handler: ConnectionHandler): void;

  /** The pending (or, with RETAIN, the kept) head of a connection; undefined where there is none. Valid until the current callback returns. */
  head(connection: number): Head | undefined;
  /**
   * Sends the pending head of `from`, changed by `edits`, to `to`, and ties the body to it: with back-pressure, re-framed as `to` needs it.
   * Answers bits of FORWARD. A request may be forwarded again, to another upstream, when the first was sent with RETAIN and `canReplay` says yes.
   * A final response to a request that is not complete yet says `connection: close` downstream.
   */
  forward(from: number, to: number, edits: Edits): number;
  /** Body bytes of the message that the last `forward` answered DONE for. */
  readonly movedBytes: number;
  /**
   * Answers the pending (or current) request of a downstream connection itself: `edits` has status and lines, `body` the body. The engine writes
   * content-length and connection, leaves the body out for HEAD, 204 and 304, throws the rest of the request body away within the linger bounds, and goes on to the next request or closes.
   * A 1xx status sends that head only. After a fault the connection closes, with a linger. True if it was sent; false: stale, or a final head is out already.
   */
  reply(connection: number, edits: Edits, body?: Uint8Array): boolean;
  /** Lets go of a body held back by HOLD_BODY. */
  releaseBody(from: number): void;
  /** Sends bytes on in place of a shown body (EDIT_FLAG.SHOW_BODY), framed as `to` needs it. Above its watermark no more of `from` is shown. False: there is no such body now. */
  sendBody(from: number, bytes: Uint8Array): boolean;
  /** Ends a shown body, with trailers (lines, each with its CRLF) or none. */
  endBody(from: number, trailers?: Uint8Array): boolean;
  /** True where the request of this downstream connection was kept whole so far and may be forwarded again. */
  canReplay(connection: number): boolean;

  /** A stream on an upstream connection of a StreamFraming, for one request; 0: the peer takes none now (`onStreamLimit`), is going away, or ids are used up. */
  openStream(connection: number, handler: ConnectionHandler): number;
  /**
   * Sends a request made here on an upstream stream: `edits` has method, target and lines, `host` among them, and `body` is all of its body. What comes back is told
   * as for any request; `show` takes it.
   */
  request(stream: number, edits: Edits, body?: Uint8Array): boolean;
  /** Takes the pending head of a response for ourselves: a 1xx is dropped; of any other the body goes to `onBody`, its trailers to `onTrailers`, and `onEnd` follows. */
  show(from: number): boolean;
  /** PING; `onPong` follows. */
  ping(connection: number): void;

  /**
   * Sends the frame whose `onFrame` is running, or begins to, on to another connection of the same codec, with this id in place of its own (ids are 64 bits, in two
   * words; a frame without an id goes as it is). False: `to` is gone, closing or overfull; nothing was sent.
   */
  sendFrame(from: number, to: number, idLow: number, idHigh: number): boolean;

  /** Ties two raw connections: bytes of each go to the other, with back-pressure and half-close. Each gets `onClosed` at its end. */
  relay(a: number, b: number): void;
  /** Sends bytes on a raw connection (or after a tunnel began), or a whole frame made here. False above the watermark (the bytes are taken all the same, up to twice of it; beyond that the connection closes). */
  write(connection: number, bytes: Uint8Array): boolean;
  /** An inspected connection becomes a raw one or one of a codec; the bytes seen so far are its first. `skip` of them are thrown away. */
  adopt(connection: number, profile: Profile, skip?: number): void;

  pause(connection: number): void;
  resume(connection: number): void;
  /** Changes the profile's idle time for one connection; 0: none. */
  setIdleTimeout(connection: number, timeoutMs: number): void;
  /** No further request on this downstream connection: the next response says close; an idle one is closed (after `graceMs`, default 0). */
  drain(connection: number): void;
  /**
   * `flush`: what is queued still goes out, then FIN, then a linger. `now`: FIN at once, queue dropped. `reset`: RST.
   * `onClosed` follows, with reason `local` (or `linger`), never from inside this call.
   */
  close(connection: number, how: 'flush' | 'now' | 'reset'): void;

  info(connection: number): ConnectionInfo | undefined;
  /** Fills and returns one shared object. Still answers inside `onClosed`, so that the last bytes are counted. */
  traffic(connection: number): Traffic | undefined;
  /** Open connections, listeners not counted. */
  readonly connections: number;
  /** Closes everything. The engine is of no use after it. */
  shutdown(): Promise<void>;
}

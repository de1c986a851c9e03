import type { Edits } from './edits.js';
import type { Head } from './head.js';

/**
 * How a codec's bytes are cut into messages. `http1` is a state machine that the native engine has built in under the same name; `open` makes its
 * TypeScript twin, which the fallback engine runs and which is the specification (STYLE §4).
 */
export interface Framing {
  readonly name: string;
  /** One per connection. */
  open(side: 'downstream' | 'upstream', limits: FramingLimits): MessageSession;
  /** The status that answers a fault of this protocol (`CodecError.code`): 4xx or 5xx for a request, 502 for a response. */
  statusOf(code: string, side: 'downstream' | 'upstream'): number;
}

export interface FramingLimits {
  readonly maxHeadBytes: number;
  readonly maxHeaders: number;
  readonly maxTargetBytes: number;
  readonly acceptHttp10: boolean;
  readonly underscores: 'allow' | 'reject' | 'drop';
}

/** What the reading half found at the front of the input. */
export type Step =
  /** Nothing whole: more bytes are needed. Bytes before `input.consumed` may have been taken. */
  | { readonly kind: 'more' }
  /** A head; the session waits until `startBody` before it reads on. */
  | { readonly kind: 'head'; readonly head: Head }
  /** Body bytes, chunk framing taken off. */
  | { readonly kind: 'body'; readonly bytes: Uint8Array }
  /** The message is over. `trailers`: ready-made lines that may be forwarded (forbidden ones dropped), or empty. */
  | { readonly kind: 'end'; readonly trailers: Uint8Array };

/** Unread bytes of a connection. */
export interface Input {
  readonly bytes: Uint8Array;
  /** First unread byte. A session moves it. */
  offset: number;
  /** The peer has sent FIN. */
  readonly ended: boolean;
}

/** How a body is written on the other side. */
export type BodyFraming = 'none' | 'length' | 'chunked' | 'until-close';

/**
 * Cuts one direction of input into messages and writes messages of the other. Throws CodecError on broken bytes; after that it is not called again.
 * Rules between a session and its engine:
 * - Bytes that a `more` left unread come again at `input.offset`, followed by what arrived since; `input.bytes` may then be another array. So a session
 *   keeps positions relative to `input.offset` only. `Step` and `Head` objects may be reused for the next message, not before it.
 * - `body` bytes are a view into `input.bytes`, as long as what is there allows. Every message has one `end`, also one without a body and a 1xx; it takes no bytes where the framing is `none` or `length`.
 * - With `input.ended`: a body `until-close` gives `end` when its bytes are used up; anything else stays at `more`, and `midMessage` tells the engine.
 */
export interface MessageSession {
  /** Takes the next step off `input`. After a `head` call `startBody` or it throws. */
  next(input: Input): Step;
  /** A fault of the peer's FIN at this place: true in the middle of a message (a byte of a head was seen, or a body is not over). Skipped CRLFs do not count. */
  readonly midMessage: boolean;
  /**
   * What follows the head just read. For a response `request` says what was asked (HEAD and CONNECT change the framing; RFC 9112 §6.3).
   * Answers the framing of the body.
   */
  startBody(request?: RequestContext): BodyFraming;
  /** The next message may be read on this connection when this one is over. */
  readonly reusable: boolean;
  /** The bytes of `head` changed by `edits`, framed for the peer; a fresh array. Without `head`: a response made here, status and lines from `edits`. */
  encodeHead(head: Head | undefined, edits: Edits, out: OutHead): Uint8Array;
  /** The same, appended to `room`, which has at least `mostHeadBytes` left. */
  writeHead(head: Head | undefined, edits: Edits, out: OutHead, room: Room): void;
  /** Bound of what `writeHead` takes. */
  mostHeadBytes(head: Head | undefined, edits: Edits): number;
  /** `bytes` (not copied) with its framing; never called with none. */
  encodeBody(bytes: Uint8Array, framing: BodyFraming): Uint8Array[];
  /** What ends a body: for `chunked` the last chunk and the trailers, else empty. */
  encodeEnd(trailers: Uint8Array, framing: BodyFraming): Uint8Array;
}

/** Output space: bytes go to `at`, which is moved. */
export interface Room {
  readonly bytes: Uint8Array;
  at: number;
}

export interface RequestContext {
  readonly isHead: boolean;
  readonly isConnect: boolean;
  readonly isUpgrade: boolean;
  readonly isHttp11: boolean;
}

/** How a head is to be written. */
export interface OutHead {
  readonly framing: BodyFraming;
  /** The value of content-length, also with framing `none` (length 0, answers to HEAD, 304); -1: none is written. */
  readonly contentLength: number;
  /** Write `connection: close`. */
  readonly close: boolean;
  /** Write `connection: keep-alive` (towards HTTP/1.0). */
  readonly keepAlive: boolean;
  /** Write `connection: upgrade` and keep the Upgrade field. */
  readonly upgrade: boolean;
}

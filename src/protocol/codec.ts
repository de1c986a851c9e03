/**
 * What a protocol is to the proxy (DESIGN §3): one value, the default export of its folder. Everything but `name`, `pool`, `match` and `framing` is an
 * ability: what is left out, the proxy does without.
 */
import { ByteWriter } from './byte-writer.js';
import type { Frame } from './frame.js';
import { type FrameLimits, patchId } from './frame-decoder.js';
import type { FrameLayout, KindName } from './frame-layout.js';

/** Who sends: the caller (`downstream`), or the one that is called (`upstream`). */
export type Side = 'downstream' | 'upstream';

/**
 * Does a connection that begins with these bytes speak the protocol? `no` as soon as a byte contradicts, `yes` as soon as enough agree, `more` else.
 * Pure, and true for any longer input too: the verdict must not depend on how the bytes were split (WIRE-FACTS §6).
 */
export type Match = (head: Uint8Array) => 'yes' | 'no' | 'more';

/** Entries of a frame's header map: what routing, header changes and access logs see. Names keep their case and are compared exactly. */
export interface HeaderMap {
  get(name: string): string | undefined;
  /** Every entry, in order. */
  entries(): Iterable<readonly [name: string, value: string]>;
}

/** How a status of the protocol is counted: as the HTTP status that means the same (retries, outlier detection, metrics). */
export type StatusClass = (status: number) => number;

/** Why the proxy answers a request by itself. `status`: as in HTTP (404 no route, 503 no upstream or overflow, 504 timeout, 502 upstream lost). */
export interface LocalReply {
  readonly status: number;
  /** Names the failure in words; protocols that carry a text may send it. */
  readonly details: string;
}

/** A session for what a layout cannot say: one per connection, on both engines in TypeScript. */
export interface FrameSession {
  /**
   * Looks at the frame that starts at `bytes[start]`, of which bytes up to `end` are there: a number of `DECODED`, with the table of the session's layout filled at
   * `ints[base]`. Throws CodecError. Called anew with the same start when more has arrived.
   */
  decode(bytes: Uint8Array, start: number, end: number, ints: Int32Array, base: number): number;
  /** Bytes that the protocol sends by itself (acknowledgements), since the last call; undefined: none. */
  flush?(): Uint8Array | undefined;
}
/** A scripted framing. `layout` names its fields and sections; only names, slots and signs of it are used. */
export interface ScriptedFraming {
  readonly layout: FrameLayout;
  open(side: Side, limits: FrameLimits): FrameSession;
  /** Writes a whole frame with another id, where the id's width may change with it, to an empty `to`. Absent: ids keep their place and width (`FrameLayout.id`). */
  withId?(frame: Frame, low: number, high: number, to: ByteWriter): void;
}

/** A protocol: the default export of a codec's folder. */
export interface Codec {
  /** Lower case, digits and dashes. */
  readonly name: string;
  /** `multiplex`: many requests in flight on a connection, paired by id. `pingpong`: one at a time. `bound`: one upstream connection for each downstream one. */
  readonly pool: 'multiplex' | 'pingpong' | 'bound';
  /** Absent: the protocol is never detected, only configured. */
  readonly match?: Match;
  readonly framing: FrameLayout | ScriptedFraming;
  /** Default bounds of frames; a listener or cluster may set others. Default 16 MiB. */
  readonly maxFrameBytes?: number;

  /** What a frame of kind `event` or `unknown` is, by its bytes and the side it came from. Absent, or `unknown`: the connection is closed. */
  classify?(frame: Frame, from: Side): KindName;
  /** Service that a request is for, as routing sees it: the domain of virtual hosts. */
  service?(request: Frame): string | undefined;
  method?(request: Frame): string | undefined;
  headers?(frame: Frame): HeaderMap;
  /** The frame with these entries set (a string) or removed (undefined), lengths and checksum made anew. Undefined: this frame has no place for entries; it goes on as it is. */
  withHeaders?(frame: Frame, changes: ReadonlyMap<string, string | undefined>): Uint8Array | undefined;
  /** Milliseconds that the caller waits; 0 or negative: no bound; undefined: the frame does not say. */
  timeoutMs?(request: Frame): number | undefined;
  /** Status of a response, in the protocol's own numbers. */
  status?(response: Frame): number;
  /** Default: 200 for status 0, else 500. */
  statusClass?: StatusClass;
  /** True for a response after which its sender takes no further request on the connection: one that is a go-away as well. */
  endsConnection?(response: Frame): boolean;

  /** The response that the proxy gives itself; it carries the request's id. Absent, or undefined for this request: the connection is closed instead. */
  respond?(request: Frame, reply: LocalReply): Uint8Array | undefined;
  /** A heartbeat to send on an idle connection. */
  heartbeat?(idLow: number, idHigh: number): Uint8Array;
  /** The answer to a peer's heartbeat; empty: it wants none. Where the bytes do not tell it from other answers, it is a `response` with the heartbeat's id. */
  heartbeatAck?(heartbeat: Frame): Uint8Array;
  /** Tells the peer that this connection takes no further request. */
  goAway?(): Uint8Array;
  /**
   * What a go-away of an upstream says. `connection` (default): another connection to the same host is welcome. `host`: the host is about to stop, and is
   * avoided for a while where there are others.
   */
  readonly goAwayMeans?: 'connection' | 'host';
}

export const isScripted = (framing: Codec['framing']): framing is ScriptedFraming => 'open' in framing;
/** The layout that a codec's frames are seen through. */
export const layoutOf = ({ framing }: Codec): FrameLayout => (isScripted(framing) ? framing.layout : framing);

/** The bytes of a whole frame with another id, checksum made anew; a fresh array. A frame without an id goes as it is. */
export function frameWithId({ framing }: Codec, frame: Frame, low: number, high: number): Uint8Array {
  const isSame = !frame.hasId || (frame.idLow === low && frame.idHigh === high);
  if (!isSame && isScripted(framing) && framing.withId !== undefined) {
    const to = new ByteWriter();
    framing.withId(frame, low, high, to);
    return to.take();
  }
  // Not `slice`: that of a Buffer does not copy.
  const bytes = new Uint8Array(frame.raw);
  if (!isSame) patchId(frame.layout, bytes, 0, frame.ints, frame.base, low, high);
  return bytes;
}

/** Bound of a frame's bytes where neither codec nor configuration says another. */
export const DEFAULT_MAX_FRAME_BYTES = 16 * 1024 * 1024;

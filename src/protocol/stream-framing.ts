import type { Edits } from './edits.js';
import type { Input } from './framing.js';
import type { Head } from './head.js';
import type { STREAM_EVENT } from './stream-table.js';

/** A framing of which one connection carries many messages at once (HTTP/2). The codec's README says what a connection's events and commands are. */
export interface StreamFraming {
  readonly name: string;
  /** What every connection of a client begins with. */
  readonly preface: Uint8Array;
  /** The codec's own words for its limits; what is not given has its default. */
  options(limits: Partial<StreamLimits>): Int32Array;
  /** One per connection: a state machine without I/O. `options`: see above; `now`: milliseconds on the owner's clock. */
  connect(side: 'downstream' | 'upstream', options: Int32Array, now: number): StreamConnection;
  /** The status that answers a fault (`CodecError.code`). */
  statusOf(code: string, side: 'downstream' | 'upstream'): number;
}

/** Limits by name: what `OPTION` of the codec's spec.ts says of each. Times in ms. */
export type StreamLimits = Record<
  | 'maxConcurrentStreams'
  | 'streamWindow'
  | 'connectionWindow'
  | 'maxFrameSize'
  | 'decoderTable'
  | 'encoderTable'
  | 'maxHeadBytes'
  | 'maxHeaders'
  | 'maxTargetBytes'
  | 'underscores'
  | 'extendedConnect'
  | 'maxBlockBytes'
  | 'maxContinuations'
  | 'maxSettings'
  | 'resetsBurst'
  | 'resetsMs'
  | 'maxEmptyFrames'
  | 'controlsBurst'
  | 'controlsMs'
  | 'maxQueuedControls'
  | 'windowUpdatesPerData'
  | 'prioritiesPerStream'
  | 'settingsTimeoutMs',
  number
>;

/** How a head is written as a field block. */
export interface OutFields {
  /** The value of content-length; -1: none is written. */
  readonly contentLength: number;
  /** `:scheme` of a request; empty: as received, `http` where none was. */
  readonly scheme: string;
  /** A request is written as extended CONNECT (RFC 8441), with the `:protocol` that it had or the value of its Upgrade field. */
  readonly upgrade: boolean;
}

/** What `next` found. One object, filled anew by the next call; which fields mean something depends on `kind` (STREAM_EVENT). */
export interface StreamEvent {
  kind: (typeof STREAM_EVENT)[keyof typeof STREAM_EVENT];
  /** 0: the connection. */
  stream: number;
  /** HEAD, TRAILERS: good until the next call. TRAILERS: its bytes, `wireBytes` of them, are ready-made lines. */
  head: Head;
  /** DATA: a view of the input. To be given back with `consume` when it has gone on. */
  bytes: Uint8Array;
  /** HEAD, DATA: nothing follows on this stream. */
  ends: boolean;
  /** RESET, GOAWAY, FAULT: error code of RFC 9113 §7. */
  error: number;
  /** RESET, BAD_HEAD, FAULT: what the peer did wrong; undefined: nothing, it reset the stream. */
  fault: string | undefined;
  /** Where: from the first byte of the frame, of the header block for what is wrong with fields, of the connection for its preface. */
  offset: number;
  /** BAD_HEAD: the answer. */
  status: number;
  /** GOAWAY: streams above were not processed. PING_ACK: the first four bytes. */
  low: number;
  /** PING_ACK: the last four bytes. */
  high: number;
}

/** Bytes that wait to be written. */
export interface StreamOutput {
  readonly length: number;
  /** Good until the next command. */
  readonly bytes: Uint8Array;
  /** The bytes, for good: nothing waits afterwards. */
  take(): Uint8Array;
}

/** One connection with streams, as a pure state machine without I/O; codecs/http2/README.md says how an engine drives it. */
export interface StreamConnection {
  /** Frames that wait to be written. */
  readonly output: StreamOutput;
  /** When `expire` is to be called, on the owner's clock; 0: nothing is due. */
  readonly settingsDeadline: number;
  /** Streams that count against a limit. */
  readonly open: number;
  /** Most streams that may be open at once: what the peer allows upstream. */
  readonly maxStreams: number;
  readonly canOpen: boolean;
  readonly peerAllowsConnect: boolean;
  /** After `drain`: the last GOAWAY is in the output. */
  readonly isDrained: boolean;
  next(input: Input, now: number): StreamEvent;
  consume(stream: number, bytes: number): void;
  sendable(stream: number): number;
  request(head: Head | undefined, edits: Edits, how: OutFields, ends: boolean): number;
  respond(stream: number, head: Head | undefined, edits: Edits, how: OutFields, ends: boolean): boolean;
  data(stream: number, bytes: Uint8Array, ends: boolean): number;
  trailers(stream: number, trailers: Uint8Array | Head): boolean;
  reset(stream: number, error: number): void;
  release(stream: number): void;
  ping(low: number, high: number): void;
  drain(): void;
  finishDrain(): void;
  abort(error: number, debug?: Uint8Array): void;
  flushed(): void;
  expire(now: number): StreamEvent;
  idle(): void;
}

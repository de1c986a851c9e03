import { CodecError } from '../../../src/base/errors.js';
import type { Edits } from '../../../src/protocol/edits.js';
import type { Input } from '../../../src/protocol/framing.js';
import { Head } from '../../../src/protocol/head.js';
import { HEAD, HEAD_FLAG } from '../../../src/protocol/head-layout.js';
import type { OutFields, StreamConnection, StreamEvent } from '../../../src/protocol/stream-framing.js';
import { STREAM_ERROR, STREAM_EVENT } from '../../../src/protocol/stream-table.js';
import { FAULTS, type FaultCode } from '../faults.js';
import { type BlockKind, HpackDecoder, type ListLimits } from '../hpack/decoder.js';
import { HpackEncoder } from '../hpack/encoder.js';
import { PREFACE } from '../matcher.js';
import { BLOCK, FRAME_FLAG, FRAME_TYPE, LIMIT, OPTION, OPTION_DEFAULTS, SETTING } from '../spec.js';
import { FloodGuard } from './flood-guard.js';
import { FRAME_HEADER_BYTES, type FrameHeader, HEADER_OFFSET, headerFault, readFrameHeader, readU31, readU32, unpad } from './frame-header.js';
import { FrameOutput } from './frame-output.js';

/** `OPTION_DEFAULTS`, changed. */
export function http2Options(changes: Partial<Record<keyof typeof OPTION, number>> = {}): Int32Array {
  const options = Int32Array.from(OPTION_DEFAULTS);
  for (const [name, value] of Object.entries(changes)) options[OPTION[name as keyof typeof OPTION]] = value;
  return options;
}

/**
 * ```
 *                     HEADERS                 both ends closed
 *   idle ────────────────────> open ────────────────────────────> closed (remembered for a while)
 *                               │ RST_STREAM of either side           ^
 *                               └─> reset, until the owner releases ──┘
 * ```
 * "Half-closed" is one of the two flags.
 */
interface Stream {
  readonly id: number;
  /** END_STREAM came, or went. */
  remoteEnded: boolean;
  localEnded: boolean;
  /** Reset by the peer, or by us for its fault, while the owner still works for it: it counts as open. */
  isReset: boolean;
  /** The owner does not want what the peer still sends. */
  discards: boolean;
  /** A request's head or a final response's head has come. */
  hasHead: boolean;
  /** Upstream: the request was HEAD, or CONNECT. */
  isHead: boolean;
  isConnect: boolean;
  sendWindow: number;
  receiveWindow: number;
  /** Taken by the owner and not announced to the peer yet. */
  returned: number;
  /** Content-Length, or -1; bytes of DATA so far. */
  expected: number;
  received: number;
}

/** How a stream that is gone came to its end. */
const GONE = { UNKNOWN: 0, ENDED: 1, RESET_BY_PEER: 2, RESET_BY_US: 3 } as const;

const NO_BYTES = new Uint8Array(0);
/** A block that nobody wants: read for the table's sake, nothing is laid out. */
const DROP: ListLimits = { maxHeadBytes: 0, maxHeaders: 0, maxTargetBytes: 0, underscores: 'allow', extendedConnect: false };
const UNDERSCORES = ['allow', 'reject', 'drop'] as const;
/** The PING between the two GOAWAYs of a graceful end. */
const DRAIN_PING = [0x736c7563, 0x64726e21] as const;

/** A fault of the connection, on its way to `next`. */
class ConnectionFault extends Error {
  constructor(
    readonly code: FaultCode,
    readonly offset: number,
  ) {
    super(code);
  }
}

/**
 * One HTTP/2 connection (RFC 9113) as a pure state machine: bytes in with `next`, which gives events; commands and answers out through `output`. It opens
 * no sockets and reads no clock: the owner says what time it is. `native/http2_connection.h` is its twin.
 *
 * Rules between it and its owner:
 * - `next` is called until it says MORE. Bytes it left come again, followed by what arrived since. Bodies come in pieces as they arrive, everything else whole.
 * - The owner writes `output` to the peer and says `flushed` when nothing of it waits any more.
 * - Every byte of a DATA event is given back with `consume`, whatever became of its stream: that is what opens the windows again.
 * - A downstream stream that was RESET counts as open until `release`: what the peer gave up may still keep an upstream busy (CVE-2023-44487).
 */
export class Http2Connection implements StreamConnection {
  readonly output = new FrameOutput();
  /** When SETTINGS_TIMEOUT is due, on the owner's clock; 0: nothing is due. Then `expire` is to be called. */
  settingsDeadline = 0;
  /** Streams that count against a limit: the peer's downstream, ours upstream. */
  open = 0;

  readonly #isServer: boolean;
  readonly #options: Int32Array;
  readonly #limits: ListLimits;
  readonly #decoder: HpackDecoder;
  readonly #encoder: HpackEncoder;
  readonly #guard: FloodGuard;
  readonly #streams = new Map<number, Stream>();
  readonly #event: StreamEvent = {
    kind: STREAM_EVENT.MORE,
    stream: 0,
    head: new Head(NO_BYTES, new Int32Array(HEAD.FIELDS)),
    bytes: NO_BYTES,
    ends: false,
    error: 0,
    fault: undefined,
    offset: 0,
    status: 0,
    low: 0,
    high: 0,
  };
  readonly #header: FrameHeader = { length: 0, type: 0, flags: 0, stream: 0 };
  #now = 0;
  #prefaceSeen = 0;
  #sawSettings = false;
  #isBroken = false;

  // A DATA frame whose payload is on its way: what is left of it, and of its padding. Without a stream it is thrown away.
  #dataStream: Stream | undefined;
  #dataLeft = 0;
  #padLeft = 0;
  #dataEnds = false;

  // A field block that goes on in CONTINUATION frames; stream 0: none.
  #blockStream = 0;
  #blockFlags = 0;
  #block: Uint8Array = NO_BYTES;
  #blockBytes = 0;
  #continuations = 0;

  /** Last stream that the peer opened, and the next one of ours. */
  #lastPeerStream = 0;
  #nextStream = 1;
  #goneIds = new Int32Array(0);
  #goneHow = new Uint8Array(0);
  #goneAt = 0;

  // What the peer has set.
  #peerMaxStreams = Number.POSITIVE_INFINITY;
  #peerWindow: number = LIMIT.DEFAULT_WINDOW;
  #peerMaxFrame: number = LIMIT.MIN_FRAME_SIZE;
  #peerAllowsConnect = false;
  #sendWindow: number = LIMIT.DEFAULT_WINDOW;
  /** What we have set, as far as the peer has acknowledged it. */
  #ownWindow: number = LIMIT.DEFAULT_WINDOW;
  #settingsPending = false;
  #receiveWindow: number;
  #returned = 0;

  /** Last stream of the GOAWAY we sent, and of the one that came; -1: none. */
  #goAwaySent = -1;
  #goAwayReceived = -1;
  #isDraining = false;

  /** `options`: see OPTION in spec.ts. The preface is in `output` at once. */
  constructor(side: 'downstream' | 'upstream', options: Int32Array = http2Options(), now = 0) {
    this.#isServer = side === 'downstream';
    this.#options = options;
    this.#now = now;
    this.#limits = {
      maxHeadBytes: options[OPTION.MAX_HEAD_BYTES],
      maxHeaders: options[OPTION.MAX_HEADERS],
      maxTargetBytes: options[OPTION.MAX_TARGET_BYTES],
      underscores: UNDERSCORES[options[OPTION.UNDERSCORES]] ?? 'allow',
      extendedConnect: options[OPTION.EXTENDED_CONNECT] === 1,
    };
    this.#decoder = new HpackDecoder();
    this.#encoder = new HpackEncoder(options[OPTION.ENCODER_TABLE]);
    this.#guard = new FloodGuard(options);
    this.#receiveWindow = Math.max(LIMIT.DEFAULT_WINDOW, options[OPTION.CONNECTION_WINDOW]);
    if (!this.#isServer) {
      this.output.raw(PREFACE);
      this.#prefaceSeen = PREFACE.length;
    }
    this.#sendSettings();
  }

  #sendSettings(): undefined {
    const { output } = this;
    const options = this.#options;
    const settings: (readonly [id: number, value: number])[] = [
      [SETTING.HEADER_TABLE_SIZE, options[OPTION.DECODER_TABLE]],
      [SETTING.INITIAL_WINDOW_SIZE, options[OPTION.STREAM_WINDOW]],
      [SETTING.MAX_FRAME_SIZE, options[OPTION.MAX_FRAME_SIZE]],
      [SETTING.MAX_HEADER_LIST_SIZE, options[OPTION.MAX_HEAD_BYTES]],
    ];
    if (this.#isServer) settings.push([SETTING.MAX_CONCURRENT_STREAMS, options[OPTION.MAX_CONCURRENT_STREAMS]]);
    else settings.push([SETTING.ENABLE_PUSH, 0]);
    if (this.#isServer && options[OPTION.EXTENDED_CONNECT] === 1) settings.push([SETTING.ENABLE_CONNECT_PROTOCOL, 1]);
    output.header(settings.length * 6, FRAME_TYPE.SETTINGS, 0, 0);
    for (const [id, value] of settings) {
      output.u16(id);
      output.u32(value);
    }
    const more = this.#receiveWindow - LIMIT.DEFAULT_WINDOW;
    if (more > 0) this.#windowUpdate(0, more);
    this.#settingsPending = true;
    const timeoutMs = options[OPTION.SETTINGS_TIMEOUT_MS];
    if (timeoutMs > 0) this.settingsDeadline = this.#now + timeoutMs;
  }

  // ---------------------------------------------------------------------------------------------------------------- reading

  /** Takes the next event off `input`. `now`: milliseconds on the owner's clock. */
  next(input: Input, now: number): StreamEvent {
    const event = this.#event;
    this.#now = now;
    event.kind = STREAM_EVENT.MORE;
    if (this.#isBroken) {
      input.offset = input.bytes.length;
      return event;
    }
    try {
      while (event.kind === STREAM_EVENT.MORE && this.#step(input));
    } catch (cause) {
      if (cause instanceof ConnectionFault) this.#break(cause.code, cause.offset);
      else if (cause instanceof CodecError) this.#break(cause.code as FaultCode, cause.offset);
      else throw cause;
    }
    return event;
  }

  /** Takes one frame, or a part of DATA. False: more bytes are needed. */
  #step(input: Input): boolean {
    if (this.#dataLeft > 0 || this.#padLeft > 0) return this.#takeData(input);
    const { bytes, offset } = input;
    if (this.#prefaceSeen < PREFACE.length) return this.#takePreface(input);
    if (bytes.length - offset < FRAME_HEADER_BYTES) return false;
    const header = this.#header;
    readFrameHeader(bytes, offset, header);
    this.#checkHeader(header);
    if (header.type === FRAME_TYPE.DATA) return this.#beginData(input);
    const end = offset + FRAME_HEADER_BYTES + header.length;
    if (bytes.length < end) return false;
    input.offset = end;
    this.#takeFrame(bytes, offset + FRAME_HEADER_BYTES);
    return true;
  }

  #takePreface(input: Input): boolean {
    while (this.#prefaceSeen < PREFACE.length) {
      if (input.offset === input.bytes.length) return false;
      if (input.bytes[input.offset] !== PREFACE[this.#prefaceSeen]) throw new ConnectionFault('BAD_PREFACE', this.#prefaceSeen);
      input.offset++;
      this.#prefaceSeen++;
    }
    return true;
  }

  #checkHeader(header: FrameHeader): undefined {
    const { type, flags, stream, length } = header;
    const { TYPE, STREAM } = HEADER_OFFSET;
    // RFC 9113 §3.4
    if (!this.#sawSettings && (type !== FRAME_TYPE.SETTINGS || (flags & FRAME_FLAG.ACK) !== 0)) throw new ConnectionFault('BAD_PREFACE', TYPE);
    // RFC 9113 §6.10: nothing stands between the frames of a field block.
    if ((type === FRAME_TYPE.CONTINUATION) !== (this.#blockStream !== 0)) throw new ConnectionFault('BAD_CONTINUATION', TYPE);
    if (this.#blockStream !== 0 && stream !== this.#blockStream) throw new ConnectionFault('BAD_CONTINUATION', STREAM);
    // The one length that concerns a stream only (RFC 9113 §6.3); it is looked at when the frame is whole.
    if (type === FRAME_TYPE.PRIORITY && length !== 5 && stream !== 0 && length <= this.#options[OPTION.MAX_FRAME_SIZE]) return;
    const fault = headerFault(header, this.#options[OPTION.MAX_FRAME_SIZE]);
    if (fault !== undefined) throw new ConnectionFault(fault.code, fault.offset);
    if (type === FRAME_TYPE.PUSH_PROMISE) throw new ConnectionFault('UNEXPECTED_PUSH', TYPE);
  }

  #takeFrame(bytes: Uint8Array, payload: number): undefined {
    const { type, flags, stream, length } = this.#header;
    switch (type) {
      case FRAME_TYPE.HEADERS:
        return this.#takeHeaders(bytes, payload);
      case FRAME_TYPE.CONTINUATION:
        return this.#takeContinuation(bytes, payload);
      case FRAME_TYPE.PRIORITY:
        this.#flood(this.#guard.priority());
        if (length !== 5) this.#priorityOfWrongLength();
        return;
      case FRAME_TYPE.RST_STREAM:
        return this.#takeReset(stream, readU32(bytes, payload));
      case FRAME_TYPE.SETTINGS:
        return (flags & FRAME_FLAG.ACK) !== 0 ? this.#takeSettingsAck() : this.#takeSettings(bytes, payload);
      case FRAME_TYPE.PING:
        return this.#takePing(readU32(bytes, payload), readU32(bytes, payload + 4));
      case FRAME_TYPE.GOAWAY:
        return this.#takeGoAway(readU31(bytes, payload), readU32(bytes, payload + 4));
      case FRAME_TYPE.WINDOW_UPDATE:
        return this.#takeWindowUpdate(stream, readU31(bytes, payload));
      default:
        // RFC 9113 §4.1: unknown types are ignored.
        this.#flood(this.#guard.control(this.#now));
    }
  }

  // ------------------------------------------------------------------------------------------------------------------- DATA

  /** RFC 9113 §6.1: begins when its header is there, and its pad length. */
  #beginData(input: Input): boolean {
    const { bytes, offset } = input;
    const { length, flags, stream: id } = this.#header;
    const isPadded = (flags & FRAME_FLAG.PADDED) !== 0;
    const prefix = FRAME_HEADER_BYTES + (isPadded ? 1 : 0);
    if (bytes.length - offset < prefix) return false;
    const pad = isPadded ? bytes[offset + FRAME_HEADER_BYTES] : 0;
    const content = length - (isPadded ? 1 : 0) - pad;
    if (content < 0) throw new ConnectionFault('BAD_PADDING', FRAME_HEADER_BYTES);
    const ends = (flags & FRAME_FLAG.END_STREAM) !== 0;
    const stream = this.#streams.get(id);
    if (stream === undefined && this.#isIdle(id)) throw new ConnectionFault('IDLE_STREAM', HEADER_OFFSET.STREAM);
    if (length > this.#receiveWindow) throw new ConnectionFault('WINDOW_EXCEEDED', HEADER_OFFSET.LENGTH);
    if (content > 0) this.#guard.useful();
    else if (!ends) this.#flood(this.#guard.empty());
    this.#receiveWindow -= length;
    input.offset = offset + prefix;
    this.#dataLeft = content;
    this.#padLeft = pad;
    this.#dataEnds = ends;
    this.#dataStream = undefined;
    if (stream === undefined || stream.isReset) this.#lateData(id);
    else if (stream.remoteEnded) this.#streamFault(stream, 'STREAM_CLOSED', HEADER_OFFSET.STREAM);
    else this.#acceptData(stream, length, content, ends);
    // Padding, and whatever nobody gets, is taken at once.
    const lost = this.#dataStream === undefined ? length : length - content;
    if (lost > 0) this.#give(this.#dataStream, lost);
    if (this.#dataStream !== undefined && content === 0 && ends) this.#emitData(this.#dataStream, NO_BYTES, true);
    return true;
  }

  #acceptData(stream: Stream, length: number, content: number, ends: boolean): undefined {
    if (length > stream.receiveWindow) return this.#streamFault(stream, 'WINDOW_EXCEEDED', HEADER_OFFSET.LENGTH);
    if (!stream.hasHead) return this.#streamFault(stream, 'EARLY_DATA', HEADER_OFFSET.TYPE);
    stream.receiveWindow -= length;
    stream.received += content;
    // RFC 9113 §8.1.1
    if (stream.expected >= 0 && (stream.received > stream.expected || (ends && stream.received !== stream.expected))) {
      return this.#streamFault(stream, 'CONTENT_LENGTH_MISMATCH', HEADER_OFFSET.LENGTH);
    }
    if (!stream.discards) this.#dataStream = stream;
    if (ends) this.#endRemote(stream);
  }

  /** DATA for a stream that is gone: what was in flight when we reset it is fine (RFC 9113 §5.1). */
  #lateData(id: number): undefined {
    if (this.#isBeyondGoAway(id) || this.#goneAs(id) === GONE.RESET_BY_US) return this.#flood(this.#guard.control(this.#now));
    this.#rejectStream(id, 'STREAM_CLOSED');
  }

  #takeData(input: Input): boolean {
    const there = input.bytes.length - input.offset;
    if (there === 0) return false;
    if (this.#dataLeft === 0) {
      const skipped = Math.min(there, this.#padLeft);
      input.offset += skipped;
      this.#padLeft -= skipped;
      return true;
    }
    const length = Math.min(there, this.#dataLeft);
    const start = input.offset;
    input.offset += length;
    this.#dataLeft -= length;
    const stream = this.#dataStream;
    if (stream === undefined) return true;
    // The owner has reset the stream while its DATA was on the way.
    if (this.#streams.get(stream.id) !== stream && !(stream.remoteEnded && stream.localEnded)) this.#give(undefined, length);
    else this.#emitData(stream, input.bytes.subarray(start, start + length), this.#dataEnds && this.#dataLeft === 0);
    return true;
  }

  #emitData(stream: Stream, bytes: Uint8Array, ends: boolean): undefined {
    const event = this.#event;
    event.kind = STREAM_EVENT.DATA;
    event.stream = stream.id;
    event.bytes = bytes;
    event.ends = ends;
  }

  // ------------------------------------------------------------------------------------------------------------------ fields

  /** RFC 9113 §6.2. */
  #takeHeaders(bytes: Uint8Array, payload: number): undefined {
    const { length, flags, stream } = this.#header;
    const at = unpad(bytes, payload, length, flags, (flags & FRAME_FLAG.PRIORITY) !== 0 ? 5 : 0);
    if (at === undefined) throw new ConnectionFault('BAD_PADDING', FRAME_HEADER_BYTES);
    const { start, end } = at;
    if ((flags & FRAME_FLAG.END_HEADERS) !== 0) {
      if (end > start) this.#guard.useful();
      return this.#takeBlock(bytes, start, end, stream, flags);
    }
    if (end === start) this.#flood(this.#guard.empty());
    this.#blockStream = stream;
    this.#blockFlags = flags;
    this.#blockBytes = 0;
    this.#continuations = 0;
    this.#keepFragment(bytes, start, end);
  }

  /** RFC 9113 §6.10. Bounded before the block is whole: CVE-2024-27316 and its kin. */
  #takeContinuation(bytes: Uint8Array, payload: number): undefined {
    const { length, flags } = this.#header;
    if (++this.#continuations > this.#options[OPTION.MAX_CONTINUATIONS]) throw new ConnectionFault('TOO_MANY_CONTINUATIONS', HEADER_OFFSET.TYPE);
    const ends = (flags & FRAME_FLAG.END_HEADERS) !== 0;
    if (length === 0 && !ends) this.#flood(this.#guard.empty());
    this.#keepFragment(bytes, payload, payload + length);
    if (!ends) return;
    const stream = this.#blockStream;
    this.#blockStream = 0;
    if (this.#blockBytes > 0) this.#guard.useful();
    this.#takeBlock(this.#block, 0, this.#blockBytes, stream, this.#blockFlags);
    this.#block = NO_BYTES;
  }

  #keepFragment(bytes: Uint8Array, start: number, end: number): undefined {
    const length = this.#blockBytes + end - start;
    if (length > this.#options[OPTION.MAX_BLOCK_BYTES]) throw new ConnectionFault('BLOCK_TOO_LARGE', HEADER_OFFSET.LENGTH);
    if (length > this.#block.length) {
      const larger = new Uint8Array(Math.max(length, 2 * this.#block.length));
      larger.set(this.#block.subarray(0, this.#blockBytes));
      this.#block = larger;
    }
    this.#block.set(bytes.subarray(start, end), this.#blockBytes);
    this.#blockBytes = length;
  }

  /** A whole field block. Whatever its stream is at, it goes through the decoder (RFC 9113 §4.3). */
  #takeBlock(block: Uint8Array, start: number, end: number, id: number, flags: number): undefined {
    const ends = (flags & FRAME_FLAG.END_STREAM) !== 0;
    const stream = this.#streams.get(id);
    if (stream === undefined && this.#isIdle(id)) return this.#opened(block, start, end, id, ends);
    if (stream === undefined || stream.isReset) return this.#lateBlock(block, start, end, id);
    if (stream.remoteEnded) {
      this.#drop(block, start, end);
      return this.#streamFault(stream, 'STREAM_CLOSED', HEADER_OFFSET.STREAM);
    }
    if (stream.hasHead) return this.#trailers(block, start, end, stream, ends);
    this.#response(block, start, end, stream, ends);
  }

  #decode(block: Uint8Array, start: number, end: number, kind: BlockKind): Head {
    const head = this.#decoder.decode(block, start, end, kind, this.#limits);
    this.#event.head = head;
    return head;
  }
  #drop(block: Uint8Array, start: number, end: number): undefined {
    this.#decoder.decode(block, start, end, BLOCK.FIELDS, DROP);
  }

  /** A new stream of the peer. */
  #opened(block: Uint8Array, start: number, end: number, id: number, ends: boolean): undefined {
    // RFC 9113 §5.1.1: clients have odd ids; a server opens none, since we allow no push.
    if (!this.#isServer || id % 2 === 0) throw new ConnectionFault(this.#isServer ? 'BAD_STREAM_ID' : 'IDLE_STREAM', HEADER_OFFSET.STREAM);
    this.#lastPeerStream = id;
    this.#guard.opened();
    if (this.open >= this.#options[OPTION.MAX_CONCURRENT_STREAMS]) {
      this.#drop(block, start, end);
      return this.#rejectStream(id, 'TOO_MANY_STREAMS');
    }
    const head = this.#decode(block, start, end, BLOCK.REQUEST);
    const fault = this.#decoder.fault;
    const { flags, contentLength } = head;
    const isConnect = (flags & (HEAD_FLAG.CONNECT | HEAD_FLAG.EXTENDED_CONNECT)) !== 0;
    const isTooLarge = fault !== undefined && FAULTS[fault].error === STREAM_ERROR.ENHANCE_YOUR_CALM;
    if (fault !== undefined && !isTooLarge) return this.#badMessage(id, fault, this.#decoder.faultOffset);
    if (!isTooLarge && !isConnect && ends && contentLength > 0) return this.#badMessage(id, 'CONTENT_LENGTH_MISMATCH', HEADER_OFFSET.LENGTH);
    const stream = this.#addStream(id);
    stream.hasHead = true;
    stream.expected = isConnect || isTooLarge ? -1 : contentLength;
    stream.discards = isTooLarge;
    if (ends) this.#endRemote(stream);
    if (fault === undefined) return this.#emitHead(stream, head, ends);
    const event = this.#event;
    event.kind = STREAM_EVENT.BAD_HEAD;
    event.stream = id;
    event.ends = ends;
    event.fault = fault;
    event.offset = this.#decoder.faultOffset;
    event.error = FAULTS[fault].error;
    event.status = FAULTS[fault].status;
  }

  #emitHead(stream: Stream, head: Head, ends: boolean): undefined {
    if (ends) head.ints[HEAD.FLAGS] |= HEAD_FLAG.END;
    const event = this.#event;
    event.kind = STREAM_EVENT.HEAD;
    event.stream = stream.id;
    event.ends = ends;
  }

  /** RFC 9113 §8.1: any number of 1xx, then the final response. */
  #response(block: Uint8Array, start: number, end: number, stream: Stream, ends: boolean): undefined {
    const head = this.#decode(block, start, end, BLOCK.RESPONSE);
    if (this.#decoder.fault !== undefined) return this.#streamFault(stream, this.#decoder.fault, this.#decoder.faultOffset);
    const { status, contentLength } = head;
    if (status < 200) {
      if (ends) return this.#streamFault(stream, 'BAD_TRAILERS', HEADER_OFFSET.TYPE + 1);
      return this.#emitHead(stream, head, false);
    }
    stream.hasHead = true;
    if (stream.isHead || status === 204 || status === 304) stream.expected = 0;
    else if (!(stream.isConnect && status < 300)) stream.expected = contentLength;
    if (ends && stream.expected > 0) return this.#streamFault(stream, 'CONTENT_LENGTH_MISMATCH', HEADER_OFFSET.LENGTH);
    if (ends) this.#endRemote(stream);
    this.#emitHead(stream, head, ends);
  }

  #trailers(block: Uint8Array, start: number, end: number, stream: Stream, ends: boolean): undefined {
    this.#decode(block, start, end, BLOCK.TRAILERS);
    if (!ends) return this.#streamFault(stream, 'BAD_TRAILERS', HEADER_OFFSET.TYPE + 1);
    if (this.#decoder.fault !== undefined) return this.#streamFault(stream, this.#decoder.fault, this.#decoder.faultOffset);
    if (stream.expected >= 0 && stream.received !== stream.expected)
      return this.#streamFault(stream, 'CONTENT_LENGTH_MISMATCH', HEADER_OFFSET.LENGTH);
    this.#endRemote(stream);
    if (stream.discards) return;
    const event = this.#event;
    event.kind = STREAM_EVENT.TRAILERS;
    event.stream = stream.id;
    event.ends = true;
  }

  /** Fields for a stream that is gone. */
  #lateBlock(block: Uint8Array, start: number, end: number, id: number): undefined {
    this.#drop(block, start, end);
    if (this.#isBeyondGoAway(id)) return this.#flood(this.#guard.control(this.#now));
    switch (this.#goneAs(id)) {
      case GONE.RESET_BY_US:
        return this.#flood(this.#guard.control(this.#now));
      case GONE.RESET_BY_PEER:
        return this.#rejectStream(id, 'STREAM_CLOSED');
      case GONE.ENDED:
        throw new ConnectionFault('STREAM_CLOSED', HEADER_OFFSET.STREAM);
      default:
        // RFC 9113 §5.1.1: an id below one that was used.
        throw new ConnectionFault('BAD_STREAM_ID', HEADER_OFFSET.STREAM);
    }
  }

  // ---------------------------------------------------------------------------------------------------------- control frames

  #takeReset(id: number, error: number): undefined {
    const stream = this.#streams.get(id);
    if (stream === undefined && this.#isIdle(id)) throw new ConnectionFault('IDLE_STREAM', HEADER_OFFSET.STREAM);
    if (stream === undefined || stream.isReset) return this.#flood(this.#guard.control(this.#now));
    if (this.#isServer) this.#flood(this.#guard.reset(this.#now));
    this.#gone(stream, GONE.RESET_BY_PEER);
    const event = this.#event;
    event.kind = STREAM_EVENT.RESET;
    event.stream = id;
    event.error = error;
    event.fault = undefined;
    event.offset = 0;
  }

  #priorityOfWrongLength(): undefined {
    const { stream: id } = this.#header;
    const stream = this.#streams.get(id);
    if (stream !== undefined && !stream.isReset) return this.#streamFault(stream, 'BAD_FRAME_SIZE', HEADER_OFFSET.LENGTH);
    // RST_STREAM must not be sent for an idle stream.
    if (this.#isIdle(id)) throw new ConnectionFault('BAD_FRAME_SIZE', HEADER_OFFSET.LENGTH);
    this.#rejectStream(id, 'BAD_FRAME_SIZE');
  }

  /** RFC 9113 §6.5. */
  #takeSettings(bytes: Uint8Array, payload: number): undefined {
    const { length } = this.#header;
    if (length / 6 > this.#options[OPTION.MAX_SETTINGS]) throw new ConnectionFault('TOO_MANY_SETTINGS', HEADER_OFFSET.LENGTH);
    if (this.#sawSettings) this.#flood(this.#guard.control(this.#now));
    this.#sawSettings = true;
    for (let at = 0; at < length; at += 6) {
      this.#setting((bytes[payload + at] << 8) | bytes[payload + at + 1], readU32(bytes, payload + at + 2), FRAME_HEADER_BYTES + at);
    }
    this.output.header(0, FRAME_TYPE.SETTINGS, FRAME_FLAG.ACK, 0);
    this.#flood(this.#guard.queued());
    this.#event.kind = STREAM_EVENT.SETTINGS;
    this.#event.stream = 0;
  }

  #setting(id: number, value: number, offset: number): undefined {
    switch (id) {
      case SETTING.HEADER_TABLE_SIZE:
        this.#encoder.setPeerTableBytes(value);
        return;
      case SETTING.ENABLE_PUSH:
        if (value > 1 || (value === 1 && !this.#isServer)) throw new ConnectionFault('BAD_SETTING', offset);
        return;
      case SETTING.MAX_CONCURRENT_STREAMS:
        this.#peerMaxStreams = value;
        return;
      case SETTING.INITIAL_WINDOW_SIZE:
        if (value > LIMIT.MAX_WINDOW) throw new ConnectionFault('BAD_WINDOW_SETTING', offset);
        // RFC 9113 §6.9.2: a window may become negative.
        for (const stream of this.#streams.values()) {
          stream.sendWindow += value - this.#peerWindow;
          if (stream.sendWindow > LIMIT.MAX_WINDOW) throw new ConnectionFault('BAD_WINDOW_SETTING', offset);
        }
        this.#peerWindow = value;
        return;
      case SETTING.MAX_FRAME_SIZE:
        if (value < LIMIT.MIN_FRAME_SIZE || value > LIMIT.MAX_FRAME_SIZE) throw new ConnectionFault('BAD_SETTING', offset);
        this.#peerMaxFrame = value;
        return;
      case SETTING.ENABLE_CONNECT_PROTOCOL:
        // RFC 8441 §3: never back to 0.
        if (value > 1 || (value === 0 && this.#peerAllowsConnect)) throw new ConnectionFault('BAD_SETTING', offset);
        this.#peerAllowsConnect = value === 1;
        return;
      case SETTING.NO_RFC7540_PRIORITIES:
        if (value > 1) throw new ConnectionFault('BAD_SETTING', offset);
        return;
    }
  }

  /** Ours hold from here on. */
  #takeSettingsAck(): undefined {
    if (!this.#settingsPending) throw new ConnectionFault('UNEXPECTED_ACK', HEADER_OFFSET.TYPE + 1);
    this.#settingsPending = false;
    this.settingsDeadline = 0;
    this.#decoder.setMaxTableBytes(this.#options[OPTION.DECODER_TABLE]);
    const window = this.#options[OPTION.STREAM_WINDOW];
    for (const stream of this.#streams.values()) stream.receiveWindow += window - this.#ownWindow;
    this.#ownWindow = window;
    this.#event.kind = STREAM_EVENT.SETTINGS_ACK;
    this.#event.stream = 0;
  }

  /** RFC 9113 §6.7. */
  #takePing(low: number, high: number): undefined {
    if ((this.#header.flags & FRAME_FLAG.ACK) === 0) {
      this.#flood(this.#guard.control(this.#now));
      this.output.header(8, FRAME_TYPE.PING, FRAME_FLAG.ACK, 0);
      this.output.u32(low);
      this.output.u32(high);
      return this.#flood(this.#guard.queued());
    }
    if (this.#isDraining && low === DRAIN_PING[0] && high === DRAIN_PING[1]) return this.finishDrain();
    const event = this.#event;
    event.kind = STREAM_EVENT.PING_ACK;
    event.stream = 0;
    event.low = low;
    event.high = high;
  }

  /** RFC 9113 §6.8. Of ours, streams above `last` are forgotten: they were not processed, and may be tried again elsewhere. */
  #takeGoAway(last: number, error: number): undefined {
    this.#flood(this.#guard.control(this.#now));
    if (this.#goAwayReceived >= 0 && last > this.#goAwayReceived) throw new ConnectionFault('BAD_GOAWAY', FRAME_HEADER_BYTES);
    this.#goAwayReceived = last;
    if (!this.#isServer) for (const stream of [...this.#streams.values()]) if (stream.id > last) this.#gone(stream, GONE.RESET_BY_US);
    const event = this.#event;
    event.kind = STREAM_EVENT.GOAWAY;
    event.stream = 0;
    event.low = last;
    event.error = error;
  }

  /** RFC 9113 §6.9. */
  #takeWindowUpdate(id: number, increment: number): undefined {
    this.#flood(this.#guard.windowUpdate());
    const event = this.#event;
    if (id === 0) {
      if (increment === 0) throw new ConnectionFault('ZERO_INCREMENT', FRAME_HEADER_BYTES);
      const before = this.#sendWindow;
      this.#sendWindow += increment;
      if (this.#sendWindow > LIMIT.MAX_WINDOW) throw new ConnectionFault('WINDOW_OVERFLOW', FRAME_HEADER_BYTES);
      if (before > 0) return;
      event.kind = STREAM_EVENT.WINDOW;
      event.stream = 0;
      return;
    }
    const stream = this.#streams.get(id);
    if (stream === undefined && this.#isIdle(id)) throw new ConnectionFault('IDLE_STREAM', HEADER_OFFSET.STREAM);
    // Legal on a stream that is half-closed or recently closed.
    if (stream === undefined || stream.isReset) return;
    if (increment === 0) return this.#streamFault(stream, 'ZERO_INCREMENT', FRAME_HEADER_BYTES);
    const before = stream.sendWindow;
    stream.sendWindow += increment;
    if (stream.sendWindow > LIMIT.MAX_WINDOW) return this.#streamFault(stream, 'WINDOW_OVERFLOW', FRAME_HEADER_BYTES);
    if (before > 0 || stream.sendWindow <= 0) return;
    event.kind = STREAM_EVENT.WINDOW;
    event.stream = id;
  }

  // ------------------------------------------------------------------------------------------------------------------ streams

  #addStream(id: number): Stream {
    const stream: Stream = {
      id,
      remoteEnded: false,
      localEnded: false,
      isReset: false,
      discards: false,
      hasHead: false,
      isHead: false,
      isConnect: false,
      sendWindow: this.#peerWindow,
      receiveWindow: this.#ownWindow,
      returned: 0,
      expected: -1,
      received: 0,
    };
    this.#streams.set(id, stream);
    this.open++;
    return stream;
  }
  /** RFC 9113 §5.1: nobody has used the id yet. */
  #isIdle(id: number): boolean {
    if (this.#isBeyondGoAway(id)) return false;
    if (this.#isServer) return id % 2 === 0 || id > this.#lastPeerStream;
    return id % 2 === 0 || id >= this.#nextStream;
  }
  /** After our final GOAWAY: a stream that we do not serve any more. */
  #isBeyondGoAway(id: number): boolean {
    return this.#goAwaySent >= 0 && id > this.#goAwaySent && id % 2 === 1;
  }
  #goneAs(id: number): number {
    const stream = this.#streams.get(id);
    const at = this.#goneIds.indexOf(id);
    if (at >= 0) return this.#goneHow[at];
    return stream === undefined ? GONE.UNKNOWN : GONE.RESET_BY_PEER;
  }
  #remember(id: number, how: number): undefined {
    if (this.#goneIds.length === 0) {
      this.#goneIds = new Int32Array(LIMIT.REMEMBERED_STREAMS);
      this.#goneHow = new Uint8Array(LIMIT.REMEMBERED_STREAMS);
    }
    this.#goneIds[this.#goneAt] = id;
    this.#goneHow[this.#goneAt] = how;
    this.#goneAt = (this.#goneAt + 1) % LIMIT.REMEMBERED_STREAMS;
  }
  #endRemote(stream: Stream): undefined {
    stream.remoteEnded = true;
    if (stream.localEnded) this.#complete(stream);
  }
  #endLocal(stream: Stream): undefined {
    stream.localEnded = true;
    if (stream.remoteEnded) this.#complete(stream);
  }
  #complete(stream: Stream): undefined {
    this.#guard.completed();
    this.#forget(stream);
    this.#remember(stream.id, GONE.ENDED);
  }
  #forget(stream: Stream): undefined {
    this.#streams.delete(stream.id);
    this.open--;
  }
  /** A stream was reset. Downstream it counts until its owner releases it, unless the owner itself has reset it. */
  #gone(stream: Stream, how: number): undefined {
    this.#remember(stream.id, how);
    if (this.#isServer && stream.hasHead && !stream.discards) stream.isReset = true;
    else this.#forget(stream);
  }

  /** A stream error (RFC 9113 §5.4.2): RST_STREAM, and the owner is told. */
  #streamFault(stream: Stream, code: FaultCode, offset: number): undefined {
    this.#gone(stream, GONE.RESET_BY_US);
    this.#reset(stream.id, FAULTS[code].error);
    this.#flood(this.#guard.reset(this.#now));
    this.#emitReset(stream.id, code, offset);
  }
  /** A message whose stream the owner never sees: it is told all the same, for its log and counters. */
  #badMessage(id: number, code: FaultCode, offset: number): undefined {
    this.#rejectStream(id, code);
    this.#emitReset(id, code, offset);
  }
  #emitReset(id: number, code: FaultCode, offset: number): undefined {
    const event = this.#event;
    event.kind = STREAM_EVENT.RESET;
    event.stream = id;
    event.error = FAULTS[code].error;
    event.fault = code;
    event.offset = offset;
  }
  /** RST_STREAM for a stream that is not there. */
  #rejectStream(id: number, code: FaultCode): undefined {
    this.#remember(id, GONE.RESET_BY_US);
    this.#reset(id, FAULTS[code].error);
    this.#flood(this.#guard.reset(this.#now));
  }
  #reset(id: number, error: number): undefined {
    this.output.header(4, FRAME_TYPE.RST_STREAM, 0, id);
    this.output.u32(error);
    this.#flood(this.#guard.queued());
  }
  #flood(fault: FaultCode | undefined): undefined {
    if (fault !== undefined) throw new ConnectionFault(fault, HEADER_OFFSET.TYPE);
  }

  /** A connection error (RFC 9113 §5.4.1). */
  #break(code: FaultCode, offset: number): undefined {
    const { error } = FAULTS[code];
    this.#isBroken = true;
    this.settingsDeadline = 0;
    this.#writeGoAway(this.#lastPeerStream, error, Buffer.from(code, 'latin1'));
    const event = this.#event;
    event.kind = STREAM_EVENT.FAULT;
    event.stream = 0;
    event.error = error;
    event.fault = code;
    event.offset = offset;
  }
  #writeGoAway(last: number, error: number, debug: Uint8Array): undefined {
    this.output.header(8 + debug.length, FRAME_TYPE.GOAWAY, 0, 0);
    this.output.u32(last);
    this.output.u32(error);
    this.output.raw(debug);
  }

  // ------------------------------------------------------------------------------------------------------------ flow control

  /** Bytes of DATA went on, or were thrown away: the peer may send as many more, and hears so once they are half of a window. */
  #give(stream: Stream | undefined, bytes: number): undefined {
    this.#returned += bytes;
    if (2 * this.#returned >= Math.max(LIMIT.DEFAULT_WINDOW, this.#options[OPTION.CONNECTION_WINDOW])) {
      this.#receiveWindow += this.#returned;
      this.#windowUpdate(0, this.#returned);
      this.#returned = 0;
    }
    if (stream === undefined || stream.remoteEnded || stream.isReset) return;
    stream.returned += bytes;
    if (2 * stream.returned < this.#ownWindow) return;
    stream.receiveWindow += stream.returned;
    this.#windowUpdate(stream.id, stream.returned);
    stream.returned = 0;
  }
  #windowUpdate(id: number, increment: number): undefined {
    this.output.header(4, FRAME_TYPE.WINDOW_UPDATE, 0, id);
    this.output.u32(increment);
  }

  /** `bytes` of DATA events of a stream have gone on, or were thrown away. The stream may be gone. */
  consume(id: number, bytes: number): void {
    if (bytes > 0 && !this.#isBroken) this.#give(this.#streams.get(id), bytes);
  }
  /** Bytes of DATA that may be sent on a stream now; 0 also where it is gone. */
  sendable(id: number): number {
    const stream = this.#streams.get(id);
    if (stream === undefined || stream.isReset || stream.localEnded) return 0;
    return Math.max(0, Math.min(stream.sendWindow, this.#sendWindow));
  }

  // ----------------------------------------------------------------------------------------------------------------- writing

  /** Another request may be sent: the peer takes one more stream, and ids are left. */
  get canOpen(): boolean {
    return (
      !this.#isServer &&
      !this.#isBroken &&
      this.#goAwayReceived < 0 &&
      !this.#isDraining &&
      this.open < this.#peerMaxStreams &&
      this.#nextStream <= LIMIT.MAX_STREAM_ID
    );
  }
  /** Upstream: streams that the peer lets be open at once. Downstream: those that we do. */
  get maxStreams(): number {
    return this.#isServer ? this.#options[OPTION.MAX_CONCURRENT_STREAMS] : this.#peerMaxStreams;
  }
  /** The peer takes extended CONNECT (RFC 8441). */
  get peerAllowsConnect(): boolean {
    return this.#peerAllowsConnect;
  }

  /** Sends a request on a new stream and gives its id; 0: none can be opened now (`canOpen`). `ends`: it has no body. */
  request(head: Head | undefined, edits: Edits, how: OutFields, ends: boolean): number {
    if (!this.canOpen) return 0;
    const id = this.#nextStream;
    this.#nextStream += 2;
    this.#guard.opened();
    const stream = this.#addStream(id);
    this.output.fields(this.#encoder.head(head, edits, how), id, ends, this.#maxFrame);
    stream.isHead = this.#encoder.isHead;
    stream.isConnect = this.#encoder.isConnect || how.upgrade || (head !== undefined && (head.flags & HEAD_FLAG.EXTENDED_CONNECT) !== 0);
    if (ends) this.#endLocal(stream);
    return id;
  }
  /** Sends a response's head, informational or final. False: the stream is gone, or has said its end. */
  respond(id: number, head: Head | undefined, edits: Edits, how: OutFields, ends: boolean): boolean {
    const stream = this.#writable(id);
    if (stream === undefined) return false;
    this.output.fields(this.#encoder.head(head, edits, how), id, ends, this.#maxFrame);
    if (ends) this.#endLocal(stream);
    return true;
  }
  /** Sends as much of a body as the windows allow, and gives how many bytes that were. `ends`: it ends with them; END_STREAM goes out with the last byte. -1: the stream is gone. */
  data(id: number, bytes: Uint8Array, ends: boolean): number {
    const stream = this.#writable(id);
    if (stream === undefined) return -1;
    const most = Math.min(bytes.length, this.sendable(id));
    let at = 0;
    do {
      const length = Math.min(most - at, this.#maxFrame);
      const isLast = ends && at + length === bytes.length;
      // RFC 9113 §6.9.1: an empty frame with END_STREAM needs no window.
      if (length === 0 && !isLast) break;
      this.output.header(length, FRAME_TYPE.DATA, isLast ? FRAME_FLAG.END_STREAM : 0, id);
      this.output.raw(bytes.subarray(at, at + length));
      this.#guard.sentData();
      at += length;
      if (isLast) this.#endLocal(stream);
    } while (at < most);
    stream.sendWindow -= at;
    this.#sendWindow -= at;
    return at;
  }
  /** Sends trailers, as lines or as they came; they end the stream. False: it is gone. */
  trailers(id: number, trailers: Uint8Array | Head): boolean {
    const stream = this.#writable(id);
    if (stream === undefined) return false;
    const block = trailers instanceof Head ? this.#encoder.trailers(trailers) : this.#encoder.lines(trailers);
    this.output.fields(block, id, true, this.#maxFrame);
    this.#endLocal(stream);
    return true;
  }
  /** RST_STREAM. Nothing more comes of this stream but bytes that are to be consumed. */
  reset(id: number, error: number): void {
    const stream = this.#streams.get(id);
    if (stream === undefined || this.#isBroken) return;
    if (!stream.isReset) {
      this.output.header(4, FRAME_TYPE.RST_STREAM, 0, id);
      this.output.u32(error);
      this.#remember(id, GONE.RESET_BY_US);
    }
    this.#forget(stream);
  }
  /** The owner does not work for a stream any more that was RESET. */
  release(id: number): void {
    const stream = this.#streams.get(id);
    if (stream?.isReset) this.#forget(stream);
  }
  /** PING with 8 bytes; PING_ACK follows. */
  ping(low: number, high: number): void {
    this.output.header(8, FRAME_TYPE.PING, 0, 0);
    this.output.u32(low);
    this.output.u32(high);
  }

  /**
   * Ends the connection without losing a request (RFC 9113 §6.8): GOAWAY for all ids and a PING; when that comes back, so that what the peer sent meanwhile is here,
   * GOAWAY with the real last id. Streams go on.
   */
  drain(): undefined {
    if (this.#isDraining || this.#isBroken) return;
    this.#isDraining = true;
    if (!this.#isServer) return this.#writeGoAway(0, STREAM_ERROR.NO_ERROR, NO_BYTES);
    this.#writeGoAway(LIMIT.MAX_STREAM_ID, STREAM_ERROR.NO_ERROR, NO_BYTES);
    this.ping(DRAIN_PING[0], DRAIN_PING[1]);
  }
  /** Both steps of `drain` are done: the peer knows which of its streams are served. */
  get isDrained(): boolean {
    return this.#isDraining && (!this.#isServer || this.#goAwaySent >= 0);
  }
  /** The second step of `drain`, where the owner does not wait for the PING. */
  finishDrain(): undefined {
    if (!this.#isServer || this.#isBroken || this.#goAwaySent >= 0) return;
    this.#isDraining = true;
    this.#goAwaySent = this.#lastPeerStream;
    this.#writeGoAway(this.#lastPeerStream, STREAM_ERROR.NO_ERROR, NO_BYTES);
  }
  /** GOAWAY at once, for a reason of the owner's: nothing is read any more. */
  abort(error: number, debug: Uint8Array = NO_BYTES): void {
    if (this.#isBroken) return;
    this.#isBroken = true;
    this.settingsDeadline = 0;
    this.#writeGoAway(this.#lastPeerStream, error, debug);
  }
  /** Nothing of `output` waits any more. */
  flushed(): void {
    this.#guard.flushed();
  }
  /** At `settingsDeadline` or later: a FAULT where the peer still has not acknowledged. */
  expire(now: number): StreamEvent {
    this.#now = now;
    this.#event.kind = STREAM_EVENT.MORE;
    if (this.settingsDeadline !== 0 && now >= this.settingsDeadline) this.#break('SETTINGS_TIMEOUT', 0);
    return this.#event;
  }
  /** Lets go of memory that only a message in progress needs. */
  idle(): void {
    this.#decoder.release();
  }

  get #maxFrame(): number {
    return Math.min(this.#peerMaxFrame, LIMIT.MIN_FRAME_SIZE);
  }
  #writable(id: number): Stream | undefined {
    const stream = this.#streams.get(id);
    return stream === undefined || stream.isReset || stream.localEnded || this.#isBroken ? undefined : stream;
  }
}

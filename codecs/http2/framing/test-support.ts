/** Both implementations of a connection behind one interface, a peer that speaks in frames, and what was seen as plain data, for the tests. */
import { type Addon, selectBackend } from '../../../src/base/backend.js';
import { Edits } from '../../../src/protocol/edits.js';
import { Head } from '../../../src/protocol/head.js';
import { FIELD_WORDS, HEAD } from '../../../src/protocol/head-layout.js';
import type { OutFields } from '../../../src/protocol/stream-framing.js';
import { STREAM_EVENT } from '../../../src/protocol/stream-table.js';
import { AS_IS, fallback as hpack } from '../hpack/test-support.js';
import { BLOCK, FRAME_FLAG, FRAME_TYPE } from '../spec.js';
import { Http2Connection, http2Options } from './connection.js';
import { encodeFrame, type Http2Frame, parseFrame } from './frame.js';

export { PREFACE } from '../matcher.js';

type Fields = readonly (readonly [name: string, value: string])[];

/** An event as plain data: only what means something for its kind. */
export type Seen = Readonly<Record<string, unknown>> & { readonly kind: string };
const KIND_NAMES = Object.entries(STREAM_EVENT).map(([name]) => name);

/** One connection under test. `receive` takes bytes (in pieces, where `cuts` says so) and gives the events they made. */
export interface Tested {
  receive(bytes: Uint8Array, cuts?: readonly number[]): Seen[];
  output(): Uint8Array;
  request(head: Head | undefined, edits: Edits, how: OutFields, ends: boolean): number;
  respond(stream: number, head: Head | undefined, edits: Edits, how: OutFields, ends: boolean): boolean;
  data(stream: number, bytes: Uint8Array, ends: boolean): number;
  trailers(stream: number, trailers: Uint8Array | Head): boolean;
  sendable(stream: number): number;
  reset(stream: number, error: number): void;
  release(stream: number): void;
  consume(stream: number, bytes: number): void;
  ping(low: number, high: number): void;
  drain(): void;
  finishDrain(): void;
  flushed(): void;
  expire(now: number): Seen;
  state(): { open: number; canOpen: boolean; peerAllowsConnect: boolean; settingsDeadline: number };
  now: number;
}
export interface Implementation {
  readonly name: string;
  open(side: 'downstream' | 'upstream', options?: Int32Array): Tested;
}

interface RawEvent {
  readonly kind: number;
  readonly stream: number;
  readonly head?: Head;
  readonly bytes?: Uint8Array;
  readonly ends?: boolean;
  readonly error?: number;
  readonly fault?: string;
  readonly offset?: number;
  readonly status?: number;
  readonly low?: number;
  readonly high?: number;
}
function seenOf(event: RawEvent): Seen {
  const { stream, head, ends, error, offset, status, low, high } = event;
  const kind = KIND_NAMES[event.kind];
  const fault = event.fault ?? null;
  switch (event.kind) {
    case STREAM_EVENT.HEAD:
      return { kind, stream, ends, ...describe(head as Head) };
    case STREAM_EVENT.TRAILERS:
      return { kind, stream, lines: (head as Head).lines() };
    case STREAM_EVENT.DATA:
      return { kind, stream, ends, text: Buffer.from(event.bytes as Uint8Array).toString('latin1') };
    case STREAM_EVENT.RESET:
      return { kind, stream, error, fault, offset };
    case STREAM_EVENT.BAD_HEAD:
      return { kind, stream, ends, error, fault, offset, status };
    case STREAM_EVENT.PING_ACK:
      return { kind, low, high };
    case STREAM_EVENT.GOAWAY:
      return { kind, last: low, error };
    case STREAM_EVENT.FAULT:
      return { kind, error, fault, offset };
    default:
      return { kind, stream };
  }
}
const describe = (head: Head) => ({
  start: head.isResponse ? `${head.status}` : `${head.method} ${head.target}`,
  flags: head.flags,
  lines: head.lines(),
});

/** DATA in pieces is one DATA. */
export function joined(events: readonly Seen[]): Seen[] {
  const all: Seen[] = [];
  for (const event of events) {
    const last = all.at(-1);
    if (event.kind === 'DATA' && last?.kind === 'DATA' && last.stream === event.stream && last.ends === false)
      all[all.length - 1] = { ...event, text: `${last.text}${event.text}` };
    else all.push(event);
  }
  return all;
}

/** Shows a growing input to `next`, which says what it took, and collects what it finds. */
function feed(next: (bytes: Uint8Array, offset: number) => { event: RawEvent; consumed: number }) {
  let left: Uint8Array = new Uint8Array(0);
  return (bytes: Uint8Array, cuts: readonly number[] = []): Seen[] => {
    const seen: Seen[] = [];
    let from = 0;
    for (const to of [...cuts, bytes.length]) {
      left = Buffer.concat([left, bytes.subarray(from, to)]);
      from = to;
      let offset = 0;
      while (true) {
        const { event, consumed } = next(left, offset);
        offset = consumed;
        if (event.kind === STREAM_EVENT.MORE) break;
        seen.push(seenOf(event));
      }
      left = left.subarray(offset);
    }
    return seen;
  };
}

const fallback: Implementation = {
  name: 'fallback',
  open(side, options = http2Options()) {
    const connection = new Http2Connection(side, options, 0);
    const tested: Tested = {
      now: 0,
      receive: feed((bytes, offset) => {
        const input = { bytes, offset, ended: false };
        const event = connection.next(input, tested.now);
        return { event, consumed: input.offset };
      }),
      output: () => connection.output.take(),
      request: (...args) => connection.request(...args),
      respond: (...args) => connection.respond(...args),
      data: (...args) => connection.data(...args),
      trailers: (...args) => connection.trailers(...args),
      sendable: (stream) => connection.sendable(stream),
      reset: (...args) => connection.reset(...args),
      release: (stream) => connection.release(stream),
      consume: (...args) => connection.consume(...args),
      ping: (...args) => connection.ping(...args),
      drain: () => connection.drain(),
      finishDrain: () => connection.finishDrain(),
      flushed: () => connection.flushed(),
      expire: (now) => seenOf(connection.expire(now)),
      state: () => ({
        open: connection.open,
        canOpen: connection.canOpen,
        peerAllowsConnect: connection.peerAllowsConnect,
        settingsDeadline: connection.settingsDeadline,
      }),
    };
    return tested;
  },
};

type HeadArguments = [bytes: Uint8Array, table: Int32Array | undefined, editInts: Int32Array, editBytes: Uint8Array, how: OutFields];
interface NativeEvent extends Omit<RawEvent, 'head'> {
  readonly table?: Int32Array;
  readonly head?: Uint8Array;
}
interface NativeConnection extends Omit<Tested, 'receive' | 'request' | 'respond' | 'trailers' | 'expire' | 'now'> {
  next(bytes: Uint8Array, offset: number, now: number): { event: NativeEvent; consumed: number };
  request(...args: [...HeadArguments, boolean]): number;
  respond(...args: [number, ...HeadArguments, boolean]): boolean;
  trailers(stream: number, bytes: Uint8Array, table?: Int32Array): boolean;
  expire(now: number): NativeEvent;
}
const tableOf = (head: Head): Int32Array => head.ints.slice(head.base, head.base + HEAD.FIELDS + head.count * FIELD_WORDS);
const headArguments = (head: Head | undefined, edits: Edits, how: OutFields): HeadArguments => [
  head?.bytes ?? new Uint8Array(0),
  head === undefined ? undefined : tableOf(head),
  edits.ints,
  edits.bytes,
  how,
];
const withHead = ({ table, head, ...event }: NativeEvent): RawEvent =>
  table === undefined || head === undefined ? event : { ...event, head: new Head(head, table) };

function nativeFrom(addon: Addon | undefined): Implementation | undefined {
  if (addon === undefined) return undefined;
  const { http2Connection } = addon as unknown as { http2Connection(isServer: boolean, options: Int32Array, now: number): NativeConnection };
  return {
    name: 'native',
    open(side, options = http2Options()) {
      const connection = http2Connection(side === 'downstream', options, 0);
      const tested: Tested = {
        ...connection,
        now: 0,
        receive: feed((bytes, offset) => {
          const { event, consumed } = connection.next(bytes, offset, tested.now);
          return { event: withHead(event), consumed };
        }),
        request: (head, edits, how, ends) => connection.request(...headArguments(head, edits, how), ends),
        respond: (stream, head, edits, how, ends) => connection.respond(stream, ...headArguments(head, edits, how), ends),
        trailers: (stream, trailers) =>
          trailers instanceof Head ? connection.trailers(stream, trailers.bytes, tableOf(trailers)) : connection.trailers(stream, trailers),
        expire: (now) => seenOf(withHead(connection.expire(now))),
      };
      return tested;
    },
  };
}

/** Undefined where the addon is not built; with SLUICE_BACKEND=native it must be. */
export const native = nativeFrom(selectBackend().addon);
export { fallback };
export const implementations: readonly Implementation[] = native === undefined ? [fallback] : [fallback, native];

/** Every frame of some bytes. Throws where they do not end with one. */
export function framesOf(bytes: Uint8Array): Http2Frame[] {
  const frames: Http2Frame[] = [];
  for (let at = 0; at < bytes.length; ) {
    const frame = parseFrame(bytes.subarray(at));
    if (frame === undefined) throw new Error('half a frame');
    frames.push(frame);
    at += 9 + frame.length;
  }
  return frames;
}

// Frames of a peer.
const { END_STREAM, END_HEADERS, ACK } = FRAME_FLAG;
/** A header block without the dynamic table: it stands for itself. */
export const block = (fields: Fields): Uint8Array => hpack.encoder.open(0).fields(fields).subarray(1);
export const frame = (type: number, flags: number, stream: number, rest: Partial<Http2Frame> = {}): Uint8Array =>
  encodeFrame({ type, flags, stream, ...rest });
/** A frame with any payload, good or not. */
export function raw(type: number, flags: number, stream: number, payload: Uint8Array | readonly number[] = []): Uint8Array {
  const bytes = encodeFrame({ type, flags: 0, stream, content: Uint8Array.from(payload) });
  bytes[4] = flags;
  return bytes;
}
export const settings = (...entries: [number, number][]): Uint8Array => frame(FRAME_TYPE.SETTINGS, 0, 0, { settings: entries });
export const settingsAck = (): Uint8Array => frame(FRAME_TYPE.SETTINGS, ACK, 0, { settings: [] });
export const headers = (stream: number, fields: Fields, ends = true): Uint8Array =>
  frame(FRAME_TYPE.HEADERS, END_HEADERS | (ends ? END_STREAM : 0), stream, { content: block(fields) });
export const data = (stream: number, text: string, ends = false): Uint8Array =>
  frame(FRAME_TYPE.DATA, ends ? END_STREAM : 0, stream, { content: Buffer.from(text, 'latin1') });
export const rst = (stream: number, error = 8): Uint8Array => frame(FRAME_TYPE.RST_STREAM, 0, stream, { error });
export const windowUpdate = (stream: number, increment: number): Uint8Array => raw(FRAME_TYPE.WINDOW_UPDATE, 0, stream, [...u32(increment)]);
export const ping = (low: number, high: number, flags = 0): Uint8Array => raw(FRAME_TYPE.PING, flags, 0, [...u32(low), ...u32(high)]);
export const goAway = (lastStream: number, error = 0): Uint8Array => frame(FRAME_TYPE.GOAWAY, 0, 0, { lastStream, error });
export function u32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}
export const bytes = (...parts: Uint8Array[]): Uint8Array => Buffer.concat(parts);

export const GET: Fields = [
  [':method', 'GET'],
  [':scheme', 'http'],
  [':path', '/'],
  [':authority', 'a.example'],
];
export const POST: Fields = [[':method', 'POST'], ...GET.slice(1)];
export const OK: Fields = [[':status', '200']];

/** A head to send: a request of GET, or a response with this status. */
export const requestHead = (fields: Fields = GET): Head => hpack.decoder.open().decode(block(fields), BLOCK.REQUEST).head as Head;
export const statusEdits = (status: number): Edits => new Edits().status(status);
export { AS_IS };

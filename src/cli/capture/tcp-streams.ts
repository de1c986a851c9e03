/** What the two ends of each TCP connection of a capture said, put in order by sequence numbers. */
import type { Packet } from './capture-file.js';
import { type Endpoint, type Segment, segmentOf } from './tcp-segment.js';

/** Bytes without a hole. */
export interface Run {
  readonly bytes: Uint8Array;
  /** When the byte at this place was captured, ms since 1970. */
  timeAt(offset: number): number;
  /** Bytes that are missing before it; the first run of a connection whose beginning was not captured has -1. */
  readonly missing: number;
}
/** What one end of a connection said. */
export interface Direction {
  readonly from: Endpoint;
  readonly to: Endpoint;
  readonly runs: readonly Run[];
}
export interface Connection {
  /** What the caller said: who sent the SYN; where it was not captured, the end with the higher port. */
  readonly client: Direction;
  readonly server: Direction;
}

/** A file with more is refused. */
export const MAX_CONNECTIONS = 65_536;
export const MAX_SEGMENTS = 2_000_000;

interface Piece {
  /** From the first byte of the stream; before it where segments came out of order. */
  readonly at: number;
  readonly bytes: Uint8Array;
  readonly timeMs: number;
}
/** One direction while it is collected. */
class Collected {
  readonly pieces: Piece[] = [];
  /** Sequence number of byte 0; undefined: nothing was seen. */
  #base: number | undefined;
  #hasStart = false;

  constructor(
    readonly from: Endpoint,
    readonly to: Endpoint,
  ) {}
  /** False for a SYN that starts another connection with the same ports. */
  accepts({ isSyn, sequence }: Segment): boolean {
    return !isSyn || this.#base === undefined || !this.#hasStart || this.#base === (sequence + 1) >>> 0;
  }
  add({ isSyn, sequence, payload, timeMs }: Segment): void {
    const first = isSyn ? (sequence + 1) >>> 0 : sequence;
    if (isSyn || this.#base === undefined) {
      this.#base ??= first;
      this.#hasStart ||= isSyn;
    }
    // The difference of two sequence numbers is signed: an earlier byte may come later.
    if (payload.length > 0) this.pieces.push({ at: (first - this.#base) | 0, bytes: payload, timeMs });
  }
  /** Pieces in order, what was sent twice once, cut where bytes are missing. */
  finish(): Direction {
    const sorted = this.pieces.map((piece, index) => ({ piece, index })).sort((a, b) => a.piece.at - b.piece.at || a.index - b.index);
    const runs: Run[] = [];
    let parts: Piece[] = [];
    let end: number | undefined = this.#hasStart ? 0 : undefined;
    let missing = this.#hasStart ? 0 : -1;
    const close = (): void => {
      if (parts.length > 0) runs.push(runOf(parts, missing));
      parts = [];
    };
    for (const { piece } of sorted) {
      if (end !== undefined && piece.at > end) {
        close();
        missing = piece.at - end;
      }
      const known = end === undefined || piece.at > end ? 0 : end - piece.at;
      if (known >= piece.bytes.length) continue;
      parts.push({ ...piece, at: piece.at + known, bytes: piece.bytes.subarray(known) });
      end = piece.at + piece.bytes.length;
    }
    close();
    return { from: this.from, to: this.to, runs };
  }
}
function runOf(parts: readonly Piece[], missing: number): Run {
  const start = parts[0].at;
  return {
    bytes: Buffer.concat(parts.map(({ bytes }) => bytes)),
    missing,
    timeAt(offset) {
      let [low, high] = [0, parts.length - 1];
      while (low < high) {
        const middle = (low + high + 1) >> 1;
        if (parts[middle].at - start <= offset) low = middle;
        else high = middle - 1;
      }
      return parts[low].timeMs;
    },
  };
}

interface Open {
  readonly a: Collected;
  readonly b: Collected;
  /** Whose SYN was seen. */
  client: Collected | undefined;
}
/** The connections of a capture that carry data, in the order in which they began. Throws RangeError where there are too many. */
export function connectionsOf(packets: readonly Packet[]): Connection[] {
  const all: Open[] = [];
  const open = new Map<string, Open>();
  let segments = 0;
  for (const packet of packets) {
    const segment = segmentOf(packet);
    if (segment === undefined) continue;
    if (++segments > MAX_SEGMENTS) throw new RangeError(`more than ${MAX_SEGMENTS} TCP segments in the capture`);
    const { source, destination } = segment;
    const key = [source.text, destination.text].sort().join(' ');
    let found = open.get(key);
    const isNew = found === undefined || !(found.a.from.text === source.text ? found.a : found.b).accepts(segment);
    if (found === undefined || isNew) {
      if (all.length === MAX_CONNECTIONS) throw new RangeError(`more than ${MAX_CONNECTIONS} connections in the capture`);
      found = { a: new Collected(source, destination), b: new Collected(destination, source), client: undefined };
      all.push(found);
      open.set(key, found);
    }
    const sender = found.a.from.text === source.text ? found.a : found.b;
    if (segment.isSyn) found.client = segment.isAck ? (sender === found.a ? found.b : found.a) : sender;
    sender.add(segment);
  }
  return all
    .filter(({ a, b }) => a.pieces.length + b.pieces.length > 0)
    .map(({ a, b, client = a.from.port >= b.from.port ? a : b }) => ({ client: client.finish(), server: (client === a ? b : a).finish() }));
}

/** Both implementations of HTTP/1 framing behind one interface, over whole inputs, for the tests of this folder. */
import { type Addon, selectBackend } from '../../src/base/backend.js';
import { CodecError } from '../../src/base/errors.js';
import type { Edits } from '../../src/protocol/edits.js';
import type { BodyFraming, FramingLimits, Input, OutHead, RequestContext } from '../../src/protocol/framing.js';
import { Head } from '../../src/protocol/head.js';
import { FIELD_WORDS, HEAD } from '../../src/protocol/head-layout.js';
import { BodyReader } from './body-reader.js';
import { encodeHead } from './encoder.js';
import { HeadParser } from './head-parser.js';
import { http1 } from './index.js';

export const LIMITS: FramingLimits = { maxHeadBytes: 61440, maxHeaders: 100, maxTargetBytes: 61440, acceptHttp10: true, underscores: 'allow' };
export const PLAIN: OutHead = { framing: 'none', contentLength: -1, close: false, keepAlive: false, upgrade: false };

export interface FaultSeen {
  readonly code: string;
  readonly offset: number;
  readonly status: number;
}
export interface HeadSeen {
  readonly table?: Int32Array;
  readonly skipped?: number;
  readonly fault?: FaultSeen;
}
export interface BodySeen {
  readonly framing: BodyFraming;
  readonly data: Uint8Array;
  readonly consumed: number;
  readonly ended: boolean;
  readonly midMessage: boolean;
  readonly trailers: Uint8Array;
  readonly fault?: FaultSeen;
}

/** `cuts`: lengths of the input that are shown first, as if it came in pieces. */
export interface Implementation {
  readonly name: string;
  parseHead(bytes: Uint8Array, isResponse: boolean, limits?: FramingLimits, cuts?: readonly number[]): HeadSeen | undefined;
  body(bytes: Uint8Array, table: Int32Array, request?: RequestContext, cuts?: readonly number[]): BodySeen;
  writeHead(bytes: Uint8Array, table: Int32Array | undefined, edits: Edits, how: OutHead): Uint8Array;
}

export const bytesOf = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'latin1'));
export const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');
/** A form of what was seen that `deepEqual` compares whatever kind of array the bytes are in. */
export const comparable = (seen: BodySeen) => ({ ...seen, data: textOf(seen.data), trailers: textOf(seen.trailers) });
/** Every length of an input: it comes byte by byte. */
export const everyByte = (bytes: Uint8Array): number[] => Array.from({ length: bytes.length + 1 }, (_, length) => length);

const faultOf = (cause: unknown, isResponse: boolean): FaultSeen => {
  if (!(cause instanceof CodecError)) throw cause;
  return { code: cause.code, offset: cause.offset, status: http1.statusOf(cause.code, isResponse ? 'upstream' : 'downstream') };
};

export const fallback: Implementation = {
  name: 'fallback',
  parseHead(bytes, isResponse, limits = LIMITS, cuts = []) {
    const parser = new HeadParser(isResponse, limits);
    try {
      for (const length of [...cuts, bytes.length]) {
        const head = parser.parse(bytes.subarray(0, length), 0);
        if (head !== undefined) return { table: head.ints.slice(0, HEAD.FIELDS + head.count * FIELD_WORDS), skipped: parser.skipped };
      }
    } catch (cause) {
      return { fault: faultOf(cause, isResponse) };
    }
    return undefined;
  },
  body(bytes, table, request, cuts = []) {
    const head = new Head(bytes, table);
    const reader = new BodyReader();
    const framing = reader.start(head, request);
    const pieces: Uint8Array[] = [];
    let consumed = 0;
    const seen = (rest: Partial<BodySeen>): BodySeen => ({
      framing,
      data: Buffer.concat(pieces),
      consumed,
      ended: false,
      midMessage: reader.midMessage,
      trailers: new Uint8Array(0),
      ...rest,
    });
    for (const length of [...cuts, bytes.length]) {
      if (length < consumed) continue;
      const input: Input = { bytes: bytes.subarray(0, length), offset: consumed, ended: false };
      try {
        while (true) {
          const step = reader.next(input);
          consumed = input.offset;
          if (step.kind === 'body') pieces.push(step.bytes);
          if (step.kind === 'end') return seen({ ended: true, trailers: step.trailers });
          if (step.kind === 'more') break;
        }
      } catch (cause) {
        consumed = input.offset;
        return seen({ fault: faultOf(cause, head.isResponse) });
      }
    }
    return seen({});
  },
  writeHead: (bytes, table, edits, how) => encodeHead(table === undefined ? undefined : new Head(bytes, table), edits, how),
};

interface NativeHttp1 {
  http1ParseHead(bytes: Uint8Array, isResponse: boolean, limits: FramingLimits, cuts?: Int32Array): HeadSeen | undefined;
  http1Body(bytes: Uint8Array, table: Int32Array, request?: RequestContext, cuts?: Int32Array): BodySeen;
  http1WriteHead(bytes: Uint8Array, table: Int32Array | undefined, editInts: Int32Array, editBytes: Uint8Array, how: OutHead): Uint8Array;
}

/** Undefined where the addon is not built; with SLUICE_BACKEND=native it must be. */
export const native: Implementation | undefined = nativeFrom(selectBackend().addon);

function nativeFrom(addon: Addon | undefined): Implementation | undefined {
  if (addon === undefined) return undefined;
  const { http1ParseHead, http1Body, http1WriteHead } = addon as unknown as NativeHttp1;
  return {
    name: 'native',
    parseHead: (bytes, isResponse, limits = LIMITS, cuts = []) => http1ParseHead(bytes, isResponse, limits, Int32Array.from(cuts)),
    body: (bytes, table, request, cuts = []) => http1Body(bytes, table, request, Int32Array.from(cuts)),
    writeHead: (bytes, table, edits, how) => http1WriteHead(bytes, table, edits.ints, edits.bytes, how),
  };
}

export const implementations: readonly Implementation[] = native === undefined ? [fallback] : [fallback, native];

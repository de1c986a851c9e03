/** Both implementations of HPACK behind one interface, for the tests. Text holds one character for each byte. */
import { type Addon, selectBackend } from '../../../src/base/backend.js';
import { CodecError } from '../../../src/base/errors.js';
import { Edits } from '../../../src/protocol/edits.js';
import { Head } from '../../../src/protocol/head.js';
import { FIELD_WORDS, HEAD, NEVER_INDEXED } from '../../../src/protocol/head-layout.js';
import type { OutFields } from '../../../src/protocol/stream-framing.js';
import { type BlockKind, HpackDecoder, type ListLimits } from './decoder.js';
import { HpackEncoder } from './encoder.js';

export const LIMITS: ListLimits = { maxHeadBytes: 61440, maxHeaders: 1000, maxTargetBytes: 61440, underscores: 'allow', extendedConnect: false };
export const AS_IS: OutFields = { contentLength: -1, scheme: '', upgrade: false };

export interface Seen {
  readonly fields: [name: string, value: string][];
  /** Names of the fields that came as never-indexed literals. */
  readonly secret: string[];
  /** A copy; undefined where the block is broken. */
  readonly head: Head | undefined;
  readonly fault?: { readonly code: string; readonly offset: number; readonly scope: 'message' | 'connection' };
}
export interface Decoder {
  setMaxTableBytes(bytes: number): void;
  decode(block: Uint8Array, kind: BlockKind, limits?: ListLimits): Seen;
  /** Entries and size of the dynamic table. */
  table(): { readonly count: number; readonly size: number };
}
export interface Encoder {
  setPeerTableBytes(bytes: number): void;
  fields(fields: readonly (readonly [name: string, value: string])[]): Uint8Array;
  head(head: Head | undefined, edits?: Edits, how?: OutFields): Uint8Array;
  lines(text: string): Uint8Array;
  trailers(head: Head): Uint8Array;
  table(): { readonly count: number; readonly size: number };
}
export interface Opened<T> {
  readonly name: string;
  open(tableBytes?: number): T;
}

export const bytesOf = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'latin1'));
export const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));
export const toHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

function seenOf(head: Head, fault?: Seen['fault']): Seen {
  const secret = head
    .lines()
    .flatMap(([name], index) => ((head.ints[head.base + HEAD.FIELDS + index * FIELD_WORDS + 1] & NEVER_INDEXED) !== 0 ? [name] : []));
  return { fields: head.lines(), secret, head: head.retain(), ...(fault === undefined ? {} : { fault }) };
}

const fallbackDecoder = (tableBytes?: number): Decoder => {
  const decoder = new HpackDecoder(tableBytes);
  return {
    setMaxTableBytes: (bytes) => decoder.setMaxTableBytes(bytes),
    decode(block, kind, limits = LIMITS) {
      try {
        const head = decoder.decode(block, 0, block.length, kind, limits);
        return seenOf(head, decoder.fault === undefined ? undefined : { code: decoder.fault, offset: decoder.faultOffset, scope: 'message' });
      } catch (cause) {
        if (!(cause instanceof CodecError)) throw cause;
        return { fields: [], secret: [], head: undefined, fault: { code: cause.code, offset: cause.offset, scope: 'connection' } };
      }
    },
    table: () => ({ count: decoder.table.count, size: decoder.table.size }),
  };
};
const fallbackEncoder = (tableBytes?: number): Encoder => {
  const encoder = new HpackEncoder(tableBytes);
  return {
    setPeerTableBytes: (bytes) => encoder.setPeerTableBytes(bytes),
    fields(fields) {
      encoder.begin();
      for (const [name, value] of fields) encoder.field(bytesOf(name), 0, name.length, bytesOf(value), 0, value.length);
      return encoder.end().slice();
    },
    head: (head, edits = new Edits(), how = AS_IS) => encoder.head(head, edits, how).slice(),
    lines: (text) => encoder.lines(bytesOf(text)).slice(),
    trailers: (head) => encoder.trailers(head).slice(),
    table: () => ({ count: encoder.table.count, size: encoder.table.size }),
  };
};

interface NativeDecoder {
  setMaxTableBytes(bytes: number): void;
  /** `table` and `bytes` of the head; `scope` 2: the connection's compression is broken. */
  decode(
    block: Uint8Array,
    kind: number,
    limits: ListLimits,
  ): { table: Int32Array; bytes: Uint8Array; fault?: string; offset: number; broken: boolean };
  table(): { readonly count: number; readonly size: number };
}
interface NativeEncoder {
  setPeerTableBytes(bytes: number): void;
  fields(fields: readonly Uint8Array[]): Uint8Array;
  head(bytes: Uint8Array, table: Int32Array | undefined, editInts: Int32Array, editBytes: Uint8Array, how: OutFields): Uint8Array;
  lines(bytes: Uint8Array): Uint8Array;
  trailers(bytes: Uint8Array, table: Int32Array): Uint8Array;
  table(): { readonly count: number; readonly size: number };
}
interface NativeHpack {
  hpackDecoder(tableBytes: number): NativeDecoder;
  hpackEncoder(tableBytes: number): NativeEncoder;
}

const tableOf = (head: Head): Int32Array => head.ints.slice(head.base, head.base + HEAD.FIELDS + head.count * FIELD_WORDS);

function nativeFrom(addon: Addon | undefined): { decoder: Opened<Decoder>; encoder: Opened<Encoder> } | undefined {
  if (addon === undefined) return undefined;
  const { hpackDecoder, hpackEncoder } = addon as unknown as NativeHpack;
  return {
    decoder: {
      name: 'native',
      open(tableBytes = 4096) {
        const decoder = hpackDecoder(tableBytes);
        return {
          setMaxTableBytes: (bytes) => decoder.setMaxTableBytes(bytes),
          decode(block, kind, limits = LIMITS) {
            const { table, bytes, fault, offset, broken } = decoder.decode(block, kind, limits);
            if (broken) return { fields: [], secret: [], head: undefined, fault: { code: fault as string, offset, scope: 'connection' } };
            return seenOf(new Head(bytes, table), fault === undefined ? undefined : { code: fault, offset, scope: 'message' });
          },
          table: () => decoder.table(),
        };
      },
    },
    encoder: {
      name: 'native',
      open(tableBytes = 4096) {
        const encoder = hpackEncoder(tableBytes);
        return {
          setPeerTableBytes: (bytes) => encoder.setPeerTableBytes(bytes),
          fields: (fields) => encoder.fields(fields.flat().map(bytesOf)),
          head: (head, edits = new Edits(), how = AS_IS) =>
            encoder.head(head?.bytes ?? new Uint8Array(0), head === undefined ? undefined : tableOf(head), edits.ints, edits.bytes, how),
          lines: (text) => encoder.lines(bytesOf(text)),
          trailers: (head) => encoder.trailers(head.bytes, tableOf(head)),
          table: () => encoder.table(),
        };
      },
    },
  };
}

/** Undefined where the addon is not built; with SLUICE_BACKEND=native it must be. */
export const native = nativeFrom(selectBackend().addon);
export const fallback = {
  decoder: { name: 'fallback', open: fallbackDecoder } as Opened<Decoder>,
  encoder: { name: 'fallback', open: fallbackEncoder } as Opened<Encoder>,
};
export const decoders: readonly Opened<Decoder>[] = native === undefined ? [fallback.decoder] : [fallback.decoder, native.decoder];
export const encoders: readonly Opened<Encoder>[] = native === undefined ? [fallback.encoder] : [fallback.encoder, native.encoder];

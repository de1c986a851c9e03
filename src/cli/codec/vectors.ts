import { ConfigError } from '../../base/errors.js';
import type { Side } from '../../protocol/codec.js';
import type { KindName } from '../../protocol/frame-layout.js';

/** One entry of a codec folder's `vectors.json`: bytes of a connection, and the frames or the error that they are. */
export interface Vector {
  readonly name: string;
  /** Where the bytes are from: a capture, a document, or a calculation. */
  readonly source: string;
  readonly hex: string;
  /** The side that sent them, for protocols whose bytes do not tell. Default `downstream`: a client's. */
  readonly side?: Side;
  readonly frames?: readonly VectorFrame[];
  /** `offset` counts from the first byte of the broken frame; whole frames may stand before it. */
  readonly error?: { readonly code: string; readonly offset: number };
}
/** What is expected of a frame; what is left out is not looked at. */
export interface VectorFrame {
  readonly kind: KindName;
  readonly variant?: string;
  /** Decimal, unsigned. */
  readonly id?: string;
  readonly fields?: Readonly<Record<string, number | string>>;
  /** Hex. */
  readonly sections?: Readonly<Record<string, string>>;
}

/** Checks the form of a `vectors.json`. Throws ConfigError that names the entry. */
export function readVectors(json: unknown): readonly Vector[] {
  if (!Array.isArray(json)) throw new ConfigError('vectors: an array is expected');
  for (const [index, entry] of (json as Partial<Vector>[]).entries()) {
    const where = `vectors[${index}]${typeof entry?.name === 'string' ? ` (${entry.name})` : ''}`;
    if (typeof entry !== 'object' || entry === null) throw new ConfigError(`${where}: an object is expected`);
    if (typeof entry.name !== 'string' || typeof entry.source !== 'string') throw new ConfigError(`${where}: name and source are required`);
    if (typeof entry.hex !== 'string' || !/^(?:[0-9a-f]{2}\s*)*$/i.test(entry.hex))
      throw new ConfigError(`${where}: hex must be pairs of hex digits`);
    if ((entry.frames === undefined) === (entry.error === undefined)) throw new ConfigError(`${where}: either frames or error is required`);
    if (entry.side !== undefined && entry.side !== 'downstream' && entry.side !== 'upstream') throw new ConfigError(`${where}: side ${entry.side}`);
  }
  return json as readonly Vector[];
}
/** The bytes of a hex text; white space is skipped. */
export const bytesOfHex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text.replace(/\s+/g, ''), 'hex'));

import { CodecError } from '../../base/errors.js';
import { type Codec, isScripted, layoutOf, type Side } from '../../protocol/codec.js';
import { Frame } from '../../protocol/frame.js';
import { createFrameDecoder, DECODED, type FrameDecode, type FrameLimits } from '../../protocol/frame-decoder.js';
import { KIND_NUMBER, type KindName } from '../../protocol/frame-layout.js';
import { FRAME_KIND } from '../../protocol/frame-table.js';

/** What a decoder answered for the bytes at one place. */
export type Outcome =
  | { readonly is: 'more' }
  | { readonly is: 'frame'; readonly frame: Frame }
  | { readonly is: 'error'; readonly error: CodecError };
/** What `readFrames` found. */
export interface ReadResult {
  readonly frames: readonly Frame[];
  readonly error?: CodecError;
  /** Bytes that are no whole frame yet. */
  readonly left: number;
}
/** Words of the table before the frame's own: a decoder must keep to its base. */
const BASE = 3;

/** The decoder of a codec, as a connection of that side has it. */
export function openDecoder(codec: Codec, side: Side, limits: FrameLimits): FrameDecode {
  const { framing } = codec;
  if (!isScripted(framing)) return createFrameDecoder(codec.name, framing, limits);
  const session = framing.open(side, limits);
  return (bytes, start, end, ints, base) => session.decode(bytes, start, end, ints, base);
}

/** Asks a decoder about the frame at `start`. What it throws and is no CodecError goes on to the caller. */
export function decodeAt(codec: Codec, decode: FrameDecode, bytes: Uint8Array, start = 0, end = bytes.length): Outcome {
  const layout = layoutOf(codec);
  const ints = new Int32Array(BASE + layout.tableWords);
  try {
    if (decode(bytes, start, end, ints, BASE) === DECODED.MORE) return { is: 'more' };
  } catch (error) {
    if (error instanceof CodecError) return { is: 'error', error };
    throw error;
  }
  return { is: 'frame', frame: new Frame(layout, bytes, ints, BASE).retain() };
}

/** Reads all frames of `bytes`, of which the decoder sees more at each place of `cuts` (ascending), and all at last. */
export function readFrames(codec: Codec, side: Side, limits: FrameLimits, bytes: Uint8Array, cuts: readonly number[] = []): ReadResult {
  const decode = openDecoder(codec, side, limits);
  const frames: Frame[] = [];
  let start = 0;
  for (const end of [...cuts, bytes.length]) {
    while (start < end) {
      const outcome = decodeAt(codec, decode, bytes, start, end);
      if (outcome.is === 'error') return { frames, error: outcome.error, left: bytes.length - start };
      if (outcome.is === 'more') break;
      frames.push(outcome.frame);
      start += Math.max(1, outcome.frame.length);
    }
  }
  return { frames, left: bytes.length - start };
}

const KIND_NAMES = Object.fromEntries(Object.entries(KIND_NUMBER).map(([name, number]) => [number, name])) as Record<number, KindName>;
/** What a frame is, its codec asked where the bytes alone do not tell. */
export function kindOf(codec: Codec, frame: Frame, from: Side): KindName {
  if (frame.kind !== FRAME_KIND.EVENT && frame.kind !== FRAME_KIND.UNKNOWN) return KIND_NAMES[frame.kind];
  return codec.classify?.(frame, from) ?? KIND_NAMES[frame.kind];
}

/** Lower-case hex digits of bytes, without spaces. */
export const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
/** Everything about a frame but its place, to compare two. */
export function describeFrame(frame: Frame): Record<string, unknown> {
  const { layout } = frame;
  return {
    kind: KIND_NAMES[frame.kind],
    variant: frame.variant,
    bytes: frame.length,
    id: frame.hasId ? frame.id.toString() : undefined,
    fields: Object.fromEntries(layout.fieldNames.map((name) => [name, frame.bigField(name).toString()])),
    sections: Object.fromEntries(layout.sectionNames.map((name) => [name, `${frame.sectionStart(name)}: ${hexOf(frame.section(name))}`])),
  };
}

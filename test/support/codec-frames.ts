/** Support for the tests of a codec's folder: bytes into frames, by the codec's layout or session. */
import assert from 'node:assert/strict';
import { CodecError } from '../../src/base/errors.js';
import { type Codec, DEFAULT_MAX_FRAME_BYTES, isScripted, layoutOf, type Side } from '../../src/protocol/codec.js';
import { Frame } from '../../src/protocol/frame.js';
import { createFrameDecoder, DECODED, type FrameDecode, type FrameLimits } from '../../src/protocol/frame-decoder.js';
import { KIND_NUMBER } from '../../src/protocol/frame-layout.js';

/** Bytes of hex digits; spaces are for the reader. */
export const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replace(/\s/g, ''), 'hex'));
export const toHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** The decoder of a connection; `from`: the side that sends, where the bytes alone do not tell. */
function openDecoder(codec: Codec, partial: Partial<FrameLimits>, from: Side): FrameDecode {
  const limits = { maxFrameBytes: codec.maxFrameBytes ?? DEFAULT_MAX_FRAME_BYTES, ...partial };
  const { framing } = codec;
  if (!isScripted(framing)) return createFrameDecoder(codec.name, framing, limits);
  const session = framing.open(from, limits);
  return (bytes, start, end, ints, base) => session.decode(bytes, start, end, ints, base);
}

/** Every frame of `bytes`, the last one maybe cut through. Bytes that are not a whole frame are an assertion. */
export function framesOf(codec: Codec, bytes: Uint8Array, limits: Partial<FrameLimits> = {}, from: Side = 'downstream'): Frame[] {
  const layout = layoutOf(codec);
  const decode = openDecoder(codec, limits, from);
  const ints = new Int32Array(layout.tableWords);
  const frames: Frame[] = [];
  for (let at = 0; at < bytes.length; ) {
    assert.notEqual(decode(bytes, at, bytes.length, ints, 0), DECODED.MORE, `a whole frame at byte ${at}`);
    const frame = new Frame(layout, bytes, ints).retain();
    frames.push(frame);
    at += frame.length;
  }
  return frames;
}
/** The one frame that `bytes` are. */
export function frameOf(codec: Codec, bytes: Uint8Array, limits?: Partial<FrameLimits>, from?: Side): Frame {
  const [frame, ...more] = framesOf(codec, bytes, limits, from);
  assert.equal(more.length, 0, 'one frame');
  return frame;
}
/** Name of a frame's kind, after `classify` where the layout leaves it open. */
export function kindOf(codec: Codec, frame: Frame, from: Side = 'downstream'): string {
  const name = Object.entries(KIND_NUMBER).find(([, number]) => number === frame.kind)?.[0] ?? 'unknown';
  return name === 'event' || name === 'unknown' ? (codec.classify?.(frame, from) ?? name) : name;
}
/** Code and offset of the error that `bytes` are. */
export function faultOf(codec: Codec, bytes: Uint8Array, limits?: Partial<FrameLimits>): string {
  try {
    framesOf(codec, bytes, limits);
  } catch (cause) {
    if (cause instanceof CodecError) return `${cause.code} at ${cause.offset}`;
    throw cause;
  }
  return 'none';
}

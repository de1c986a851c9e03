import { ByteWriter } from '../protocol/byte-writer.js';
import { type Codec, DEFAULT_MAX_FRAME_BYTES, type FrameSession, isScripted, layoutOf, type Side } from '../protocol/codec.js';
import { Frame } from '../protocol/frame.js';
import { createFrameDecoder, DECODED, type FrameDecode, patchId } from '../protocol/frame-decoder.js';
import type { FrameLayout } from '../protocol/frame-layout.js';
import { FRAME } from '../protocol/frame-table.js';

/**
 * Cuts the input of one connection into frames, in TypeScript: for the fallback engine, and on both for scripted codecs. The bytes belong to the caller:
 * `next` looks at them from `start`, and answers how many the frame takes.
 */
export class FrameReader {
  readonly layout: FrameLayout;
  /** The frame that `next` found last. */
  readonly frame: Frame;
  readonly #codec: Codec;
  readonly #decode: FrameDecode;
  readonly #out = new ByteWriter();
  /** Without cut-through. */
  readonly #decodeWhole: FrameDecode;
  readonly #session: FrameSession | undefined;

  constructor(codec: Codec, side: Side, maxFrameBytes = codec.maxFrameBytes ?? DEFAULT_MAX_FRAME_BYTES, cutThroughBytes = 0) {
    this.#codec = codec;
    this.layout = layoutOf(codec);
    const { framing } = codec;
    if (isScripted(framing)) {
      const session = framing.open(side, { maxFrameBytes });
      this.#session = session;
      this.#decode = (bytes, start, end, ints, base) => session.decode(bytes, start, end, ints, base);
      this.#decodeWhole = this.#decode;
    } else {
      this.#decodeWhole = createFrameDecoder(codec.name, framing, { maxFrameBytes });
      this.#decode = cutThroughBytes === 0 ? this.#decodeWhole : createFrameDecoder(codec.name, framing, { maxFrameBytes, cutThroughBytes });
    }
    this.frame = new Frame(this.layout, new Uint8Array(0), new Int32Array(this.layout.tableWords));
  }

  /**
   * Bytes that are there of the frame at `bytes[start]`, which is then `frame`; 0: it is not whole yet, nor, unless `whole`, as much of it as is shown before
   * it is. Throws CodecError.
   */
  next(bytes: Uint8Array, start: number, end: number, whole = false): number {
    const { frame } = this;
    const decode = whole ? this.#decodeWhole : this.#decode;
    if (end === start || decode(bytes, start, end, frame.ints, 0) === DECODED.MORE) return 0;
    frame.bytes = bytes;
    frame.memo = undefined;
    return frame.ints[FRAME.SHOWN];
  }
  /** Ids keep their place and width: `patch` is enough. */
  get patchesInPlace(): boolean {
    return this.#session === undefined;
  }
  /** Writes another id into a copy of `frame` at `bytes[at]`, and its checksum anew. */
  patch(bytes: Uint8Array, at: number, low: number, high: number): void {
    const { frame } = this;
    if (frame.hasId) patchId(this.layout, bytes, at, frame.ints, 0, low, high);
  }
  /** The bytes of `frame` with another id, good until the next call. */
  withId(low: number, high: number): Uint8Array {
    const { frame } = this;
    const { framing } = this.#codec;
    const out = this.#out.reset();
    const isSame = !frame.hasId || (frame.idLow === low && frame.idHigh === high);
    if (!isSame && isScripted(framing) && framing.withId !== undefined) {
      framing.withId(frame, low, high, out);
      return out.view;
    }
    const { view } = out.bytes(frame.raw);
    if (!isSame) patchId(this.layout, view, 0, frame.ints, 0, low, high);
    return view;
  }
  /** What the protocol wants to send by itself. */
  flush(): Uint8Array | undefined {
    return this.#session?.flush?.();
  }
}

/** Both implementations of described framing behind one interface, for tests and benchmarks. */
import { selectBackend } from '../../src/base/backend.js';
import { CodecError } from '../../src/base/errors.js';
import { createFrameDecoder, type FrameDecode, type FrameLimits, patchId } from '../../src/protocol/frame-decoder.js';
import type { FrameLayout } from '../../src/protocol/frame-layout.js';
import { compileFrameProgram, frameFaultCode } from '../../src/protocol/frame-program.js';

export interface FrameDecoder {
  readonly decode: FrameDecode;
  /** As `patchId` of frame-decoder.ts, of the decoder's layout. */
  patchId(bytes: Uint8Array, at: number, ints: Int32Array, base: number, low: number, high: number): void;
}
export type OpenFrameDecoder = (protocol: string, layout: FrameLayout, limits: FrameLimits) => FrameDecoder;

/** What the addon exports: native/frame_binding.cc. */
export interface FrameAddon {
  frameDecoder(
    words: Int32Array,
    codes: number,
    maxFrameBytes: number,
    cutThroughBytes: number,
  ): Omit<FrameDecoder, 'decode'> & {
    decode(...args: Parameters<FrameDecode>): number | { readonly code: number; readonly offset: number };
  };
}

export const fallback: OpenFrameDecoder = (protocol, layout, limits) => ({
  decode: createFrameDecoder(protocol, layout, limits),
  patchId: (bytes, at, ints, base, low, high) => patchId(layout, bytes, at, ints, base, low, high),
});

/** The C++ form; its errors are the same but for their detail. */
export const nativeFrom =
  ({ frameDecoder }: FrameAddon): OpenFrameDecoder =>
  (protocol, layout, { maxFrameBytes, cutThroughBytes = 0 }) => {
    const program = compileFrameProgram(layout);
    const { decode, patchId } = frameDecoder(program.words, program.codes.length, maxFrameBytes, cutThroughBytes);
    return {
      patchId,
      decode: (...args) => {
        const found = decode(...args);
        if (typeof found === 'number') return found;
        throw new CodecError(protocol, frameFaultCode(found.code, program), found.offset);
      },
    };
  };

/** Undefined where the addon is not built; with SLUICE_BACKEND=native it must be. */
export const addon = selectBackend().addon as unknown as FrameAddon | undefined;
export const native: OpenFrameDecoder | undefined = addon === undefined ? undefined : nativeFrom(addon);

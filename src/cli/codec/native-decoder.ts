/** Described framing by the addon, as the contract and `sluice codec bench` ask for it: over whole inputs, one call for each. The engine does not come this way. */
import type { Addon } from '../../base/backend.js';
import { CodecError } from '../../base/errors.js';
import type { FrameDecode, FrameLimits } from '../../protocol/frame-decoder.js';
import type { FrameLayout } from '../../protocol/frame-layout.js';
import { compileFrameProgram, frameFaultCode } from '../../protocol/frame-program.js';

/** Both implementations behind one interface. */
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
    /** Decodes frames from `start` on, one behind the other, until one is not whole or is broken; answers how many were whole. */
    decodeAll(...args: Parameters<FrameDecode>): number;
  };
}
export const frameAddonOf = (addon: Addon): FrameAddon => addon as unknown as FrameAddon;

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

/** Both implementations of described framing behind one interface, for tests and benchmarks. */
import { selectBackend } from '../../src/base/backend.js';
import { type FrameAddon, nativeFrom, type OpenFrameDecoder } from '../../src/cli/codec/native-decoder.js';
import { createFrameDecoder, patchId } from '../../src/protocol/frame-decoder.js';

export { type FrameAddon, type FrameDecoder, nativeFrom, type OpenFrameDecoder } from '../../src/cli/codec/native-decoder.js';

export const fallback: OpenFrameDecoder = (protocol, layout, limits) => ({
  decode: createFrameDecoder(protocol, layout, limits),
  patchId: (bytes, at, ints, base, low, high) => patchId(layout, bytes, at, ints, base, low, high),
});

/** Undefined where the addon is not built; with SLUICE_BACKEND=native it must be. */
export const addon = selectBackend().addon as unknown as FrameAddon | undefined;
export const native: OpenFrameDecoder | undefined = addon === undefined ? undefined : nativeFrom(addon);

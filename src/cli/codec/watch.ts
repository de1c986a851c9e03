import { type Codec, type FrameSession, isScripted, type ScriptedFraming } from '../../protocol/codec.js';
import { Frame } from '../../protocol/frame.js';

/** The codec, telling `see` of the bytes that it is about to look at: what it hangs or throws on. */
export function watchCodec(codec: Codec, see: (bytes: Uint8Array) => void): Codec {
  const { framing } = codec;
  const own: Partial<Record<string | symbol, unknown>> = isScripted(framing) ? { framing: watchFraming(framing, see) } : {};
  return new Proxy({} as Codec, {
    get(_, name) {
      const value = own[name] ?? codec[name as keyof Codec];
      if (typeof value !== 'function') return value;
      own[name] ??= (...args: unknown[]): unknown => {
        const [first] = args;
        if (first instanceof Frame) see(first.raw);
        else if (first instanceof Uint8Array) see(first);
        return (value as (...given: unknown[]) => unknown).apply(codec, args);
      };
      return own[name];
    },
  });
}
const watchFraming = (framing: ScriptedFraming, see: (bytes: Uint8Array) => void): ScriptedFraming => ({
  layout: framing.layout,
  withId:
    framing.withId === undefined
      ? undefined
      : (frame, low, high, to) => {
          see(frame.raw);
          framing.withId?.(frame, low, high, to);
        },
  open(side, limits) {
    const session: FrameSession = framing.open(side, limits);
    return {
      decode(bytes, start, end, ints, base) {
        see(bytes.subarray(start, end));
        return session.decode(bytes, start, end, ints, base);
      },
      flush: session.flush === undefined ? undefined : () => session.flush?.(),
    };
  },
});

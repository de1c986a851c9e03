import type { Codec } from '../../protocol/codec.js';
import type { Frame } from '../../protocol/frame.js';

/** The HTTP status that a response counts as, 100..599; what a codec says beyond that is 500. */
export function statusOf(codec: Codec, response: Frame): number {
  const raw = codec.status?.(response) ?? 0;
  const status = codec.statusClass === undefined ? (raw === 0 ? 200 : 500) : codec.statusClass(raw);
  return status >= 100 && status < 600 ? status | 0 : 500;
}

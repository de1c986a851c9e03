import type { Codec, Match } from './codec.js';

/** Bytes after which a connection that is still unclear is given up (WIRE-FACTS §6.4). */
export const MAX_DETECT_BYTES = 256;

/** Something that a connection may turn out to be: a codec, or a protocol that is only told apart. */
export interface Detectable {
  readonly match?: Match;
}
/** What the first bytes of a connection say. `ambiguous`: more than one candidate said yes, and the first of them was taken. */
export type Detected<C extends Detectable = Codec> = { readonly codec: C; readonly ambiguous: boolean } | 'more' | 'none';

/**
 * Tells the protocol of a connection by its first bytes. Every matcher is asked, in order; the verdict is final only when none that has not spoken yet
 * might still say yes. With `final` (the peer's FIN, a timer, `MAX_DETECT_BYTES`) those that still need more do not count.
 */
export function detect<C extends Detectable>(candidates: readonly C[], bytes: Uint8Array, final: boolean): Detected<C> {
  let found: C | undefined;
  let ambiguous = false;
  let isOpen = false;
  for (const candidate of candidates) {
    const verdict = candidate.match?.(bytes) ?? 'no';
    if (verdict === 'more') isOpen = true;
    else if (verdict === 'yes') {
      if (found === undefined) found = candidate;
      else ambiguous = true;
    }
  }
  if (isOpen && !final && bytes.length < MAX_DETECT_BYTES) return 'more';
  return found === undefined ? 'none' : { codec: found, ambiguous };
}

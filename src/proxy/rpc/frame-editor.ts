import { FrameReader } from '../../network/frame-reader.js';
import { type Codec, isScripted, type Side } from '../../protocol/codec.js';
import type { Frame } from '../../protocol/frame.js';
import type { LogRecord } from '../access-log/access-log.js';
import { EntryEdits, type HeaderMutation } from '../route/header-mutation.js';

/** Nothing is received with it: what was received was within the limits, and what is added is configured. */
const NO_LIMIT = 0x7fff_ffff;

/** Makes the header changes of routes in frames. */
export class FrameEditor {
  readonly #readers = new Map<string, FrameReader>();

  /**
   * The frame with its entries changed, which outlives the callback; undefined: nothing changes, or this frame has no place for entries. `from`: the
   * side it came from. Throws what the codec throws.
   */
  change(codec: Codec, from: Side, frame: Frame, mutations: readonly (HeaderMutation | undefined)[], record: LogRecord): Frame | undefined {
    const headers = codec.headers?.(frame);
    if (headers === undefined || codec.withHeaders === undefined) return undefined;
    const entries = new EntryEdits([...headers.entries()]);
    for (const mutation of mutations) mutation?.changeEntries(entries, record);
    const bytes = entries.changes.size === 0 ? undefined : codec.withHeaders(frame, entries.changes);
    return bytes === undefined ? undefined : this.read(codec, from, bytes);
  }
  /** The frame that whole bytes are. */
  read(codec: Codec, from: Side, bytes: Uint8Array): Frame {
    const key = `${codec.name} ${from}`;
    // A session may remember what it has read; that of a layout does not.
    let reader = isScripted(codec.framing) ? undefined : this.#readers.get(key);
    if (reader === undefined) {
      reader = new FrameReader(codec, from, NO_LIMIT);
      this.#readers.set(key, reader);
    }
    if (reader.next(bytes, 0, bytes.length) !== bytes.length) throw new Error('what withHeaders made is not one whole frame');
    return reader.frame.retain();
  }
}

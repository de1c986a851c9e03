import type { Counter, StatsStore } from '../base/stats.js';
import type { CloseReason } from '../network/engine.js';
import { STREAM_ERROR } from '../protocol/stream-table.js';

/** What Envoy counts of HTTP/2 codecs ("HTTP/2: statistics"), and floods that it has no name for. Rooted at `http2.`, of clusters at `cluster.<name>.http2.`. */
export class Http2Stats {
  readonly keepAliveTimeout: Counter;
  readonly rxReset: Counter;
  readonly txReset: Counter;
  /** Streams that were reset because their peer did not take the answer. */
  readonly txFlushTimeout: Counter;
  readonly #messagingError: Counter;
  /** By code of a fault. */
  readonly #faults: ReadonlyMap<string, Counter>;

  /** `prefix`: empty, or `cluster.<name>.`. */
  constructor(stats: StatsStore, prefix: string) {
    const counter = (name: string) => stats.counter(`${prefix}http2.${name}`);
    this.keepAliveTimeout = counter('keepalive_timeout');
    this.rxReset = counter('rx_reset');
    this.txReset = counter('tx_reset');
    this.txFlushTimeout = counter('tx_flush_timeout');
    this.#messagingError = counter('rx_messaging_error');
    this.#faults = new Map(Object.entries(FAULT_COUNTERS).map(([code, name]) => [code, counter(name)]));
  }
  /** Counts a fault of the peer, by its code (codecs/http2/faults.ts). */
  count(code: string): void {
    (this.#faults.get(code) ?? this.#messagingError).inc();
  }
  /** Counts the end of a stream, where it was a RST_STREAM. */
  streamClosed(reason: CloseReason, errno: string): void {
    if (reason === 'local') this.txReset.inc();
    else if ((reason === 'reset' || reason === 'refused') && errno in STREAM_ERROR) this.rxReset.inc();
  }
}

const FAULT_COUNTERS = {
  HEAD_TOO_LARGE: 'header_overflow',
  TOO_MANY_HEADERS: 'header_overflow',
  TOO_MANY_CONTINUATIONS: 'header_overflow',
  BLOCK_TOO_LARGE: 'header_overflow',
  RESET_FLOOD: 'inbound_reset_flood',
  CONTROL_FLOOD: 'inbound_control_frames_flood',
  TOO_MANY_SETTINGS: 'inbound_control_frames_flood',
  EMPTY_FRAME_FLOOD: 'inbound_empty_frames_flood',
  PRIORITY_FLOOD: 'inbound_priority_frames_flood',
  WINDOW_UPDATE_FLOOD: 'inbound_window_update_frames_flood',
  QUEUE_FLOOD: 'outbound_control_flood',
} as const;

import type { Counter, Histogram, StatsStore } from '../../base/stats.js';

/** Statistics of an RPC proxy, `rpc.<stat_prefix>.`; where HTTP has the same, under the same name. */
export class RpcStats {
  readonly cxTotal: Counter;
  readonly cxActive: Counter;
  readonly cxDestroy: Counter;
  readonly cxProtocolError: Counter;
  readonly cxIdleTimeout: Counter;
  /** By codec name: connections that were taken for it. */
  readonly cxOf: ReadonlyMap<string, Counter>;
  readonly cxHttp1: Counter;
  readonly cxHttp2: Counter;
  readonly cxTls: Counter;
  readonly cxUndetected: Counter;
  readonly cxDetectTimeout: Counter;
  readonly cxAmbiguous: Counter;
  readonly cxRxBytesTotal: Counter;
  readonly cxTxBytesTotal: Counter;
  readonly cxLengthMs: Histogram;
  readonly rqTotal: Counter;
  readonly rqActive: Counter;
  readonly rqOneway: Counter;
  /** Sent on before they were whole. */
  readonly rqCutThrough: Counter;
  readonly rqHeartbeat: Counter;
  readonly rqCompleted: Counter;
  readonly rqLocalReply: Counter;
  readonly rqNoRoute: Counter;
  readonly rqCancelled: Counter;
  /** Copies sent to mirrors; and those that could not be sent, or were not answered. */
  readonly mirrorTotal: Counter;
  readonly mirrorFailed: Counter;
  readonly codecError: Counter;
  readonly rqTime: Histogram;
  /** By class of the status that a response counts as, 1xx..5xx at 1..5. */
  readonly rqClass: readonly (Counter | undefined)[];

  constructor(stats: StatsStore, statPrefix: string, codecs: readonly string[]) {
    const prefix = `rpc.${statPrefix}.`;
    this.cxTotal = stats.counter(`${prefix}downstream_cx_total`);
    this.cxActive = stats.gauge(`${prefix}downstream_cx_active`);
    this.cxDestroy = stats.counter(`${prefix}downstream_cx_destroy`);
    this.cxProtocolError = stats.counter(`${prefix}downstream_cx_protocol_error`);
    this.cxIdleTimeout = stats.counter(`${prefix}downstream_cx_idle_timeout`);
    this.cxAmbiguous = stats.counter(`${prefix}downstream_cx_protocol_ambiguous`);
    this.cxUndetected = stats.counter(`${prefix}downstream_cx_protocol_not_detected`);
    this.cxOf = new Map(codecs.map((name) => [name, stats.counter(`${prefix}downstream_cx_${name}_total`)]));
    this.cxHttp1 = stats.counter(`${prefix}downstream_cx_http1_total`);
    this.cxHttp2 = stats.counter(`${prefix}downstream_cx_http2_total`);
    this.cxTls = stats.counter(`${prefix}downstream_cx_tls_total`);
    this.cxDetectTimeout = stats.counter(`${prefix}downstream_cx_protocol_timeout`);
    this.mirrorTotal = stats.counter(`${prefix}mirror_rq_total`);
    this.mirrorFailed = stats.counter(`${prefix}mirror_rq_failed`);
    this.codecError = stats.counter(`${prefix}codec_error`);
    this.cxRxBytesTotal = stats.counter(`${prefix}downstream_cx_rx_bytes_total`);
    this.cxTxBytesTotal = stats.counter(`${prefix}downstream_cx_tx_bytes_total`);
    this.cxLengthMs = stats.histogram(`${prefix}downstream_cx_length_ms`);
    this.rqTotal = stats.counter(`${prefix}downstream_rq_total`);
    this.rqActive = stats.gauge(`${prefix}downstream_rq_active`);
    this.rqOneway = stats.counter(`${prefix}downstream_rq_oneway`);
    this.rqCutThrough = stats.counter(`${prefix}downstream_rq_cut_through`);
    this.rqHeartbeat = stats.counter(`${prefix}downstream_rq_heartbeat`);
    this.rqCompleted = stats.counter(`${prefix}downstream_rq_completed`);
    this.rqLocalReply = stats.counter(`${prefix}downstream_rq_local_reply`);
    this.rqNoRoute = stats.counter(`${prefix}no_route`);
    this.rqCancelled = stats.counter(`${prefix}downstream_rq_cancelled`);
    this.rqTime = stats.histogram(`${prefix}downstream_rq_time`);
    this.rqClass = [undefined, ...[1, 2, 3, 4, 5].map((hundreds) => stats.counter(`${prefix}downstream_rq_${hundreds}xx`))];
  }
}

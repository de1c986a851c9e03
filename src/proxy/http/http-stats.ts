import type { Counter, Histogram, StatsStore } from '../../base/stats.js';

/** Statistics of an HTTP connection manager, `http.<stat_prefix>.`, with the names that Envoy documents ("HTTP connection manager: statistics", "Router: statistics"). */
export class HttpStats {
  readonly cxTotal: Counter;
  readonly cxActive: Counter;
  readonly cxHttp1Total: Counter;
  readonly cxHttp1Active: Counter;
  readonly cxHttp2Total: Counter;
  readonly cxHttp2Active: Counter;
  readonly cxDestroy: Counter;
  readonly cxDestroyLocal: Counter;
  readonly cxDestroyRemote: Counter;
  readonly cxDestroyActiveRq: Counter;
  readonly cxDestroyLocalActiveRq: Counter;
  readonly cxDestroyRemoteActiveRq: Counter;
  readonly cxIdleTimeout: Counter;
  readonly cxMaxDurationReached: Counter;
  readonly cxMaxRequestsReached: Counter;
  readonly cxProtocolError: Counter;
  readonly cxDrainClose: Counter;
  readonly cxUpgradesTotal: Counter;
  readonly cxUpgradesActive: Counter;
  readonly cxLengthMs: Histogram;
  readonly cxRxBytesTotal: Counter;
  readonly cxTxBytesTotal: Counter;

  readonly rqTotal: Counter;
  readonly rqHttp1Total: Counter;
  readonly rqHttp2Total: Counter;
  readonly rqActive: Counter;
  readonly rqCompleted: Counter;
  readonly rqTime: Histogram;
  readonly rqTimeout: Counter;
  readonly rqHeaderTimeout: Counter;
  readonly rqMaxDurationReached: Counter;
  readonly rqIdleTimeout: Counter;
  readonly rqRxReset: Counter;
  readonly rqTxReset: Counter;
  readonly rqTooLarge: Counter;
  readonly rqWsOnNonWsRoute: Counter;
  readonly rqNonRelativePath: Counter;
  readonly rqResponseBeforeRqComplete: Counter;
  readonly rqRedirectedWithNormalizedPath: Counter;
  /** By response class: 1xx..5xx at 1..5. */
  readonly rqClass: readonly Counter[];

  readonly noRoute: Counter;
  readonly noCluster: Counter;
  readonly rqRedirect: Counter;
  readonly rqDirectResponse: Counter;
  readonly routedTotal: Counter;
  readonly rqResetAfterResponseStarted: Counter;
  readonly rqRetrySkipped: Counter;

  constructor(stats: StatsStore, statPrefix: string) {
    const prefix = `http.${statPrefix}.`;
    const counter = (name: string) => stats.counter(prefix + name);
    const gauge = (name: string) => stats.gauge(prefix + name);
    const histogram = (name: string) => stats.histogram(prefix + name);
    this.cxTotal = counter('downstream_cx_total');
    this.cxActive = gauge('downstream_cx_active');
    this.cxHttp1Total = counter('downstream_cx_http1_total');
    this.cxHttp1Active = gauge('downstream_cx_http1_active');
    this.cxHttp2Total = counter('downstream_cx_http2_total');
    this.cxHttp2Active = gauge('downstream_cx_http2_active');
    this.cxDestroy = counter('downstream_cx_destroy');
    this.cxDestroyLocal = counter('downstream_cx_destroy_local');
    this.cxDestroyRemote = counter('downstream_cx_destroy_remote');
    this.cxDestroyActiveRq = counter('downstream_cx_destroy_active_rq');
    this.cxDestroyLocalActiveRq = counter('downstream_cx_destroy_local_active_rq');
    this.cxDestroyRemoteActiveRq = counter('downstream_cx_destroy_remote_active_rq');
    this.cxIdleTimeout = counter('downstream_cx_idle_timeout');
    this.cxMaxDurationReached = counter('downstream_cx_max_duration_reached');
    this.cxMaxRequestsReached = counter('downstream_cx_max_requests_reached');
    this.cxProtocolError = counter('downstream_cx_protocol_error');
    this.cxDrainClose = counter('downstream_cx_drain_close');
    this.cxUpgradesTotal = counter('downstream_cx_upgrades_total');
    this.cxUpgradesActive = gauge('downstream_cx_upgrades_active');
    this.cxLengthMs = histogram('downstream_cx_length_ms');
    this.cxRxBytesTotal = counter('downstream_cx_rx_bytes_total');
    this.cxTxBytesTotal = counter('downstream_cx_tx_bytes_total');
    this.rqTotal = counter('downstream_rq_total');
    this.rqHttp1Total = counter('downstream_rq_http1_total');
    this.rqHttp2Total = counter('downstream_rq_http2_total');
    this.rqActive = gauge('downstream_rq_active');
    this.rqCompleted = counter('downstream_rq_completed');
    this.rqTime = histogram('downstream_rq_time');
    this.rqTimeout = counter('downstream_rq_timeout');
    this.rqMaxDurationReached = counter('downstream_rq_max_duration_reached');
    this.rqHeaderTimeout = counter('downstream_rq_header_timeout');
    this.rqIdleTimeout = counter('downstream_rq_idle_timeout');
    this.rqRxReset = counter('downstream_rq_rx_reset');
    this.rqTxReset = counter('downstream_rq_tx_reset');
    this.rqTooLarge = counter('downstream_rq_too_large');
    this.rqWsOnNonWsRoute = counter('downstream_rq_ws_on_non_ws_route');
    this.rqNonRelativePath = counter('downstream_rq_non_relative_path');
    this.rqResponseBeforeRqComplete = counter('downstream_rq_response_before_rq_complete');
    this.rqRedirectedWithNormalizedPath = counter('downstream_rq_redirected_with_normalized_path');
    this.rqClass = classCounters(counter);
    this.noRoute = counter('no_route');
    this.noCluster = counter('no_cluster');
    this.rqRedirect = counter('rq_redirect');
    this.rqDirectResponse = counter('rq_direct_response');
    this.routedTotal = counter('rq_total');
    this.rqResetAfterResponseStarted = counter('rq_reset_after_downstream_response_started');
    this.rqRetrySkipped = counter('rq_retry_skipped_request_not_complete');
  }
}

/** What a manager counts for each of its listeners, `listener.<address>.http.<stat_prefix>.` (Envoy, "Per listener statistics"). */
export class ListenerHttpStats {
  readonly rqCompleted: Counter;
  /** By response class: 1xx..5xx at 1..5. */
  readonly rqClass: readonly Counter[];

  constructor(stats: StatsStore, listenerPrefix: string, statPrefix: string) {
    const counter = (name: string) => stats.counter(`listener.${listenerPrefix}.http.${statPrefix}.${name}`);
    this.rqCompleted = counter('downstream_rq_completed');
    this.rqClass = classCounters(counter);
  }
}

/** Index 0 takes what has no class; nothing reads it. */
const classCounters = (counter: (name: string) => Counter): Counter[] => [1, 1, 2, 3, 4, 5].map((hundreds) => counter(`downstream_rq_${hundreds}xx`));

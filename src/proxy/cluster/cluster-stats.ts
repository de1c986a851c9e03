import type { Counter, Histogram, StatsStore } from '../../base/stats.js';

/** The statistics of a cluster, with the names that Envoy documents ("Upstreams: cluster manager statistics"), made with the cluster. */
export class ClusterStats {
  readonly #stats: StatsStore;
  readonly #prefix: string;

  readonly cxTotal: Counter;
  readonly cxActive: Counter;
  readonly cxHttp1Total: Counter;
  readonly cxHttp2Total: Counter;
  readonly cxConnectFail: Counter;
  readonly cxConnectTimeout: Counter;
  readonly cxConnectAttemptsExceeded: Counter;
  readonly cxOverflow: Counter;
  readonly cxPoolOverflow: Counter;
  readonly cxConnectMs: Histogram;
  readonly cxLengthMs: Histogram;
  readonly cxDestroy: Counter;
  readonly cxDestroyLocal: Counter;
  readonly cxDestroyRemote: Counter;
  readonly cxDestroyWithActiveRq: Counter;
  readonly cxDestroyLocalWithActiveRq: Counter;
  readonly cxDestroyRemoteWithActiveRq: Counter;
  readonly cxCloseNotify: Counter;
  readonly cxIdleTimeout: Counter;
  readonly cxMaxDurationReached: Counter;
  readonly cxMaxRequests: Counter;
  /** Of RPC connections: heartbeats that were not answered in time. */
  readonly cxHeartbeatMissed: Counter;
  readonly cxNoneHealthy: Counter;
  readonly cxProtocolError: Counter;
  readonly cxRxBytesTotal: Counter;
  readonly cxRxBytesBuffered: Counter;
  readonly cxTxBytesTotal: Counter;
  readonly cxTxBytesBuffered: Counter;

  readonly rqTotal: Counter;
  readonly rqActive: Counter;
  readonly rqPendingTotal: Counter;
  readonly rqPendingActive: Counter;
  readonly rqPendingOverflow: Counter;
  readonly rqPendingFailureEject: Counter;
  readonly rqCancelled: Counter;
  readonly rqMaintenanceMode: Counter;
  readonly rqTimeout: Counter;
  readonly rqMaxDurationReached: Counter;
  readonly rqPerTryTimeout: Counter;
  readonly rqPerTryIdleTimeout: Counter;
  readonly rqRxReset: Counter;
  readonly rqTxReset: Counter;
  readonly rqRetry: Counter;
  readonly rqRetryBackoffExponential: Counter;
  readonly rqRetryBackoffRatelimited: Counter;
  readonly rqRetryLimitExceeded: Counter;
  readonly rqRetrySuccess: Counter;
  readonly rqRetryOverflow: Counter;
  readonly rqCompleted: Counter;
  /** Of RPC connections: answers whose request had been given up. */
  readonly rqLateResponse: Counter;
  readonly rqTime: Histogram;
  readonly flowControlPausedReading: Counter;
  readonly flowControlResumedReading: Counter;
  readonly flowControlBackedUp: Counter;
  readonly flowControlDrained: Counter;
  readonly bindErrors: Counter;
  readonly assignmentTimeoutReceived: Counter;

  readonly membershipChange: Counter;
  readonly membershipHealthy: Counter;
  readonly membershipDegraded: Counter;
  readonly membershipExcluded: Counter;
  readonly membershipTotal: Counter;
  readonly maxHostWeight: Counter;
  readonly updateAttempt: Counter;
  readonly updateSuccess: Counter;
  readonly updateFailure: Counter;
  readonly updateEmpty: Counter;
  readonly updateNoRebuild: Counter;
  readonly version: Counter;
  readonly lbHealthyPanic: Counter;
  readonly lbRecalculateZoneStructures: Counter;

  /** By response class, 1xx..5xx at 1..5: all, and by where the request came from. */
  readonly #classes: (Counter | undefined)[] = [];
  readonly #external: (Counter | undefined)[] = [];
  readonly #internal: (Counter | undefined)[] = [];
  readonly #codes: (Counter | undefined)[] = [];
  #externalCompleted: Counter | undefined;
  #internalCompleted: Counter | undefined;
  #externalTime: Histogram | undefined;
  #internalTime: Histogram | undefined;

  /** `prefix`: `cluster.<name>.`. */
  constructor(stats: StatsStore, prefix: string) {
    this.#stats = stats;
    this.#prefix = prefix;
    const counter = (name: string) => stats.counter(prefix + name);
    const gauge = (name: string) => stats.gauge(prefix + name);
    const histogram = (name: string) => stats.histogram(prefix + name);
    this.cxTotal = counter('upstream_cx_total');
    this.cxActive = gauge('upstream_cx_active');
    this.cxHttp1Total = counter('upstream_cx_http1_total');
    this.cxHttp2Total = counter('upstream_cx_http2_total');
    this.cxConnectFail = counter('upstream_cx_connect_fail');
    this.cxConnectTimeout = counter('upstream_cx_connect_timeout');
    this.cxConnectAttemptsExceeded = counter('upstream_cx_connect_attempts_exceeded');
    this.cxOverflow = counter('upstream_cx_overflow');
    this.cxPoolOverflow = counter('upstream_cx_pool_overflow');
    this.cxConnectMs = histogram('upstream_cx_connect_ms');
    this.cxLengthMs = histogram('upstream_cx_length_ms');
    this.cxDestroy = counter('upstream_cx_destroy');
    this.cxDestroyLocal = counter('upstream_cx_destroy_local');
    this.cxDestroyRemote = counter('upstream_cx_destroy_remote');
    this.cxDestroyWithActiveRq = counter('upstream_cx_destroy_with_active_rq');
    this.cxDestroyLocalWithActiveRq = counter('upstream_cx_destroy_local_with_active_rq');
    this.cxDestroyRemoteWithActiveRq = counter('upstream_cx_destroy_remote_with_active_rq');
    this.cxCloseNotify = counter('upstream_cx_close_notify');
    this.cxIdleTimeout = counter('upstream_cx_idle_timeout');
    this.cxMaxDurationReached = counter('upstream_cx_max_duration_reached');
    this.cxMaxRequests = counter('upstream_cx_max_requests');
    this.cxHeartbeatMissed = counter('upstream_cx_heartbeat_missed');
    this.cxNoneHealthy = counter('upstream_cx_none_healthy');
    this.cxProtocolError = counter('upstream_cx_protocol_error');
    this.cxRxBytesTotal = counter('upstream_cx_rx_bytes_total');
    this.cxRxBytesBuffered = gauge('upstream_cx_rx_bytes_buffered');
    this.cxTxBytesTotal = counter('upstream_cx_tx_bytes_total');
    this.cxTxBytesBuffered = gauge('upstream_cx_tx_bytes_buffered');
    this.rqTotal = counter('upstream_rq_total');
    this.rqActive = gauge('upstream_rq_active');
    this.rqPendingTotal = counter('upstream_rq_pending_total');
    this.rqPendingActive = gauge('upstream_rq_pending_active');
    this.rqPendingOverflow = counter('upstream_rq_pending_overflow');
    this.rqPendingFailureEject = counter('upstream_rq_pending_failure_eject');
    this.rqCancelled = counter('upstream_rq_cancelled');
    this.rqMaintenanceMode = counter('upstream_rq_maintenance_mode');
    this.rqTimeout = counter('upstream_rq_timeout');
    this.rqMaxDurationReached = counter('upstream_rq_max_duration_reached');
    this.rqPerTryTimeout = counter('upstream_rq_per_try_timeout');
    this.rqPerTryIdleTimeout = counter('upstream_rq_per_try_idle_timeout');
    this.rqRxReset = counter('upstream_rq_rx_reset');
    this.rqTxReset = counter('upstream_rq_tx_reset');
    this.rqRetry = counter('upstream_rq_retry');
    this.rqRetryBackoffRatelimited = counter('upstream_rq_retry_backoff_ratelimited');
    this.rqRetryBackoffExponential = counter('upstream_rq_retry_backoff_exponential');
    this.rqRetryLimitExceeded = counter('upstream_rq_retry_limit_exceeded');
    this.rqRetrySuccess = counter('upstream_rq_retry_success');
    this.rqRetryOverflow = counter('upstream_rq_retry_overflow');
    this.rqCompleted = counter('upstream_rq_completed');
    this.rqLateResponse = counter('upstream_rq_late_response');
    this.rqTime = histogram('upstream_rq_time');
    this.flowControlPausedReading = counter('upstream_flow_control_paused_reading_total');
    this.flowControlResumedReading = counter('upstream_flow_control_resumed_reading_total');
    this.flowControlBackedUp = counter('upstream_flow_control_backed_up_total');
    this.flowControlDrained = counter('upstream_flow_control_drained_total');
    this.bindErrors = counter('bind_errors');
    this.assignmentTimeoutReceived = counter('assignment_timeout_received');
    this.membershipChange = counter('membership_change');
    this.membershipHealthy = gauge('membership_healthy');
    this.membershipDegraded = gauge('membership_degraded');
    this.membershipExcluded = gauge('membership_excluded');
    this.membershipTotal = gauge('membership_total');
    this.maxHostWeight = gauge('max_host_weight');
    this.updateAttempt = counter('update_attempt');
    this.updateSuccess = counter('update_success');
    this.updateFailure = counter('update_failure');
    this.updateEmpty = counter('update_empty');
    this.updateNoRebuild = counter('update_no_rebuild');
    this.version = gauge('version');
    this.lbHealthyPanic = counter('lb_healthy_panic');
    this.lbRecalculateZoneStructures = counter('lb_recalculate_zone_structures');
    for (let status = 1; status <= 5; status++) this.#classes[status] = counter(`upstream_rq_${status}xx`);
  }

  /**
   * Counts a final response: completed, its class, its own code, and the same under `internal.` or `external.`, as the request came from the mesh or not.
   * Counters of codes are made when a code is first seen: at most 900, bounded by the status field.
   */
  countResponse(status: number, internal: boolean): void {
    this.rqCompleted.inc();
    const hundreds = (status / 100) | 0;
    this.#classes[hundreds]?.inc();
    let code = this.#codes[status];
    if (code === undefined) {
      code = this.#stats.counter(`${this.#prefix}upstream_rq_${status}`);
      this.#codes[status] = code;
    }
    code.inc();
    const origin = internal ? this.#internal : this.#external;
    let byOrigin = origin[hundreds];
    if (byOrigin === undefined) {
      byOrigin = this.#stats.counter(`${this.#prefix}${internal ? 'internal' : 'external'}.upstream_rq_${hundreds}xx`);
      origin[hundreds] = byOrigin;
    }
    byOrigin.inc();
    if (internal) {
      this.#internalCompleted ??= this.#stats.counter(`${this.#prefix}internal.upstream_rq_completed`);
      this.#internalCompleted.inc();
    } else {
      this.#externalCompleted ??= this.#stats.counter(`${this.#prefix}external.upstream_rq_completed`);
      this.#externalCompleted.inc();
    }
  }
  /** Records the time of a request, from its head to the last byte of the response, in milliseconds. */
  recordTime(ms: number, internal: boolean): void {
    this.rqTime.record(ms);
    if (internal) {
      this.#internalTime ??= this.#stats.histogram(`${this.#prefix}internal.upstream_rq_time`);
      this.#internalTime.record(ms);
    } else {
      this.#externalTime ??= this.#stats.histogram(`${this.#prefix}external.upstream_rq_time`);
      this.#externalTime.record(ms);
    }
  }
}

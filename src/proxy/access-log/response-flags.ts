/**
 * What went wrong (or was done) with a request or connection: bits of `LogRecord.flags`, with the short and long names that Envoy prints for
 * `%RESPONSE_FLAGS%` and `%RESPONSE_FLAGS_LONG%` (Envoy, "Access logging: command operators").
 */
export const RESPONSE_FLAG = {
  /** Local service failed its health check. */
  LH: 1 << 0,
  /** No healthy upstream host. */
  UH: 1 << 1,
  /** Upstream request timeout. */
  UT: 1 << 2,
  /** Connection local reset. */
  LR: 1 << 3,
  /** Upstream remote reset. */
  UR: 1 << 4,
  /** Upstream connection failure. */
  UF: 1 << 5,
  /** Upstream connection termination. */
  UC: 1 << 6,
  /** Upstream overflow (circuit breaking). */
  UO: 1 << 7,
  /** No route for the request, or no filter chain for the connection. */
  NR: 1 << 8,
  /** A delay was injected. */
  DI: 1 << 9,
  /** An abort was injected. */
  FI: 1 << 10,
  /** Rate limited. */
  RL: 1 << 11,
  /** Denied by the external authorization service. */
  UAEX: 1 << 12,
  /** Error of the rate limit service. */
  RLSE: 1 << 13,
  /** Downstream connection termination. */
  DC: 1 << 14,
  /** Upstream retry limit (HTTP) or maximum connect attempts (TCP) reached. */
  URX: 1 << 15,
  /** Stream idle timeout. */
  SI: 1 << 16,
  /** Invalid value in a strictly checked header. */
  IH: 1 << 17,
  /** Protocol error of the downstream peer. */
  DPE: 1 << 18,
  /** Upstream reached its maximum stream duration. */
  UMSDR: 1 << 19,
  /** Served from a cache filter. */
  RFCF: 1 << 20,
  /** No filter configuration arrived in time. */
  NFCF: 1 << 21,
  /** Request or connection exceeded its maximum duration. */
  DT: 1 << 22,
  /** Protocol error of the upstream peer. */
  UPE: 1 << 23,
  /** Upstream cluster not found. */
  NC: 1 << 24,
  /** Ended by the overload manager. */
  OM: 1 << 25,
  /** Name resolution failed. */
  DF: 1 << 26,
  /** Dropped by the cluster's drop overload policy. */
  DO: 1 << 27,
  /** Downstream remote reset. */
  DR: 1 << 28,
  /** All requests to the cluster are dropped by its drop overload policy. */
  UDO: 1 << 29,
} as const;
/** Short name of a flag, as in `%RESPONSE_FLAGS%`. */
export type ResponseFlagName = keyof typeof RESPONSE_FLAG;

const LONG_NAMES: Readonly<Record<ResponseFlagName, string>> = {
  LH: 'FailedLocalHealthCheck',
  UH: 'NoHealthyUpstream',
  UT: 'UpstreamRequestTimeout',
  LR: 'LocalReset',
  UR: 'UpstreamRemoteReset',
  UF: 'UpstreamConnectionFailure',
  UC: 'UpstreamConnectionTermination',
  UO: 'UpstreamOverflow',
  NR: 'NoRouteFound',
  DI: 'DelayInjected',
  FI: 'FaultInjected',
  RL: 'RateLimited',
  UAEX: 'UnauthorizedExternalService',
  RLSE: 'RateLimitServiceError',
  DC: 'DownstreamConnectionTermination',
  URX: 'UpstreamRetryLimitExceeded',
  SI: 'StreamIdleTimeout',
  IH: 'InvalidEnvoyRequestHeaders',
  DPE: 'DownstreamProtocolError',
  UMSDR: 'UpstreamMaxStreamDurationReached',
  RFCF: 'ResponseFromCacheFilter',
  NFCF: 'NoFilterConfigFound',
  DT: 'DurationTimeout',
  UPE: 'UpstreamProtocolError',
  NC: 'NoClusterFound',
  OM: 'OverloadManagerTerminated',
  DF: 'DnsResolutionFailed',
  DO: 'DropOverload',
  DR: 'DownstreamRemoteReset',
  UDO: 'UnconditionalDropOverload',
};
const NAMES = Object.keys(RESPONSE_FLAG) as ResponseFlagName[];

/** The bit of a short name; undefined where there is no such flag. */
export const responseFlag = (name: string): number | undefined =>
  Object.hasOwn(RESPONSE_FLAG, name) ? RESPONSE_FLAG[name as ResponseFlagName] : undefined;

/** Short names joined with `,`, in the order of the bits; an empty string for 0. */
export function formatFlags(flags: number): string {
  if (flags === 0) return '';
  return NAMES.filter((name) => (flags & RESPONSE_FLAG[name]) !== 0).join(',');
}
/** Long names joined with `,`; an empty string for 0. */
export function formatFlagsLong(flags: number): string {
  if (flags === 0) return '';
  return NAMES.filter((name) => (flags & RESPONSE_FLAG[name]) !== 0)
    .map((name) => LONG_NAMES[name])
    .join(',');
}

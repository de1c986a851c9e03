import type { HealthCheckConfig } from '../../proxy/runtime.js';
import type * as v3 from '../config/types.js';
import type { Fields } from './context.js';

const CORE = 'envoy.config.core.v3';
const CHECK = `${CORE}.HealthCheck`;
/** Envoy's default of `no_traffic_interval`. */
const NO_TRAFFIC_MS = 60_000;

/** The health check of a cluster; undefined where there is none. Checks that are not supported, and a second one, are problems. */
export function compileHealthCheck(cluster: Fields<v3.Cluster>): HealthCheckConfig | undefined {
  const [check, second] = cluster.list('healthChecks', CHECK);
  if (check === undefined) return undefined;
  if (second !== undefined) second.problem(undefined, 'a cluster has at most one health check');
  if (cluster.value.type === 'ORIGINAL_DST') cluster.problem('healthChecks', 'hosts of a cluster of type ORIGINAL_DST are not checked');
  const how = compileHow(check, cluster.value.name ?? '');
  const intervalMs = check.get('interval') ?? 0;
  const unhealthyIntervalMs = check.get('unhealthyInterval') ?? intervalMs;
  const noTrafficIntervalMs = check.get('noTrafficInterval') ?? NO_TRAFFIC_MS;
  const times = {
    reuseConnection: check.get('reuseConnection') ?? true,
    timeoutMs: check.get('timeout') ?? 0,
    intervalMs,
    initialJitterMs: check.get('initialJitter') ?? 0,
    intervalJitterMs: check.get('intervalJitter') ?? 0,
    intervalJitterPercent: check.get('intervalJitterPercent') ?? 0,
    unhealthyThreshold: check.get('unhealthyThreshold') ?? 1,
    healthyThreshold: check.get('healthyThreshold') ?? 1,
    noTrafficIntervalMs,
    noTrafficHealthyIntervalMs: check.get('noTrafficHealthyInterval') ?? noTrafficIntervalMs,
    unhealthyIntervalMs,
    unhealthyEdgeIntervalMs: check.get('unhealthyEdgeInterval') ?? unhealthyIntervalMs,
    healthyEdgeIntervalMs: check.get('healthyEdgeInterval') ?? intervalMs,
    altPort: check.get('altPort') ?? 0,
  };
  return how === undefined ? undefined : { ...times, how };
}

/** Undefined where it is of a kind that is not done: then its field stays unread, which is a problem. */
function compileHow(check: Fields<v3.HealthCheck>, cluster: string): HealthCheckConfig['how'] | undefined {
  const grpc = check.child('grpcHealthCheck', `${CHECK}.GrpcHealthCheck`);
  if (grpc !== undefined) {
    return {
      kind: 'grpc',
      service: grpc.get('serviceName') ?? '',
      authority: grpc.get('authority') || cluster,
      headers: headersOf(grpc.list('initialMetadata', `${CORE}.HeaderValueOption`)),
    };
  }
  const http = check.child('httpHealthCheck', `${CHECK}.HttpHealthCheck`);
  if (http !== undefined) {
    const codec = http.get('codecClientType') ?? 'HTTP1';
    if (codec === 'HTTP3') http.problem('codecClientType', 'HTTP3 is not supported; use HTTP1 or HTTP2', 'UNSUPPORTED');
    const method = http.get('method') ?? 'METHOD_UNSPECIFIED';
    const expected = rangesOf(http, 'expectedStatuses');
    return {
      kind: 'http',
      isHttp2: codec === 'HTTP2',
      method: method === 'METHOD_UNSPECIFIED' ? 'GET' : method,
      path: http.get('path') ?? '/',
      host: http.get('host') ?? '',
      headers: headersOf(http.list('requestHeadersToAdd', `${CORE}.HeaderValueOption`)),
      expected: expected.length === 0 ? [[200, 201]] : expected,
      retriable: rangesOf(http, 'retriableStatuses'),
    };
  }
  // What it sends and expects stays unread: that is a problem where it is set.
  return check.child('tcpHealthCheck', `${CHECK}.TcpHealthCheck`) === undefined ? undefined : { kind: 'tcp' };
}
function rangesOf(http: Fields<v3.HttpHealthCheck>, name: 'expectedStatuses' | 'retriableStatuses'): [number, number][] {
  return http.list(name, 'envoy.type.v3.Int64Range').map((range): [number, number] => {
    const [start, end] = [Number(range.get('start') ?? 0), Number(range.get('end') ?? 0)];
    if (start < 100 || end > 600 || start >= end) range.problem(undefined, `[${start}, ${end}) is no range of HTTP statuses`);
    return [start, end];
  });
}
/** Headers of a request that is made here: there is nothing that they could be appended to. */
function headersOf(options: readonly Fields<v3.HeaderValueOption>[]): [string, string][] {
  return options.map((option) => {
    option.ignore('append', 'appendAction', 'keepEmptyValue');
    const header = option.child('header', `${CORE}.HeaderValue`);
    const [name, value] = [(header?.get('key') ?? '').toLowerCase(), header?.get('value') ?? ''];
    if (value.includes('%')) option.problem('header', 'command operators are not supported in health checks', 'UNSUPPORTED');
    return [name, value];
  });
}

import type { HealthCheckConfig } from '../../proxy/runtime.js';
import type * as v3 from '../config/types.js';
import type { Fields } from './context.js';

const CORE = 'envoy.config.core.v3';
/** Envoy's default of `no_traffic_interval`. */
const NO_TRAFFIC_MS = 60_000;

/** The health check of a cluster; undefined where there is none. Checks that are not supported, and a second one, are problems. */
export function compileHealthCheck(cluster: Fields<v3.Cluster>): HealthCheckConfig | undefined {
  const [check, second] = cluster.list('healthChecks', `${CORE}.HealthCheck`);
  if (check === undefined) return undefined;
  if (second !== undefined) second.problem(undefined, 'a cluster has at most one health check');
  if ((cluster.value.type ?? 'STATIC') === 'ORIGINAL_DST') cluster.problem('healthChecks', 'hosts of a cluster of type ORIGINAL_DST are not checked');
  const grpc = check.child('grpcHealthCheck', `${CORE}.HealthCheck.GrpcHealthCheck`);
  const intervalMs = check.get('interval') ?? 0;
  const unhealthyIntervalMs = check.get('unhealthyInterval') ?? intervalMs;
  const noTrafficIntervalMs = check.get('noTrafficInterval') ?? NO_TRAFFIC_MS;
  const times = {
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
  const reuseConnection = check.get('reuseConnection') ?? true;
  if (grpc === undefined) {
    // Whatever kind is there instead is reported as not read.
    return undefined;
  }
  const metadata = grpc.list('initialMetadata', `${CORE}.HeaderValueOption`).map((option): [string, string] => {
    option.ignore('append', 'appendAction', 'keepEmptyValue');
    const header = option.child('header', `${CORE}.HeaderValue`);
    return [(header?.get('key') ?? '').toLowerCase(), header?.get('value') ?? ''];
  });
  const authority = grpc.get('authority');
  return {
    ...times,
    how: {
      kind: 'grpc',
      service: grpc.get('serviceName') ?? '',
      authority: authority === undefined || authority === '' ? (cluster.value.name ?? '') : authority,
      metadata,
      reuseConnection,
    },
  };
}

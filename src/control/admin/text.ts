/** The text and JSON forms of `/clusters` and `/listeners`, as Envoy writes them and Istio's tools read them. */
import type { AddressJson, ClusterStatus, HostStatus, ListenerStatus } from './backend.js';

/** `ip:port`, `[v6]:port`, or the path of a Unix socket. */
export function addressText(address: AddressJson): string {
  if ('pipe' in address) return address.pipe.path;
  const { address: ip, port_value: port } = address.socket_address;
  return ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`;
}

/** `healthy`, or Envoy's flags joined by `/` with a leading one each. */
function healthFlags(host: HostStatus): string {
  const flags = [
    host.failedActiveHealthCheck ? '/failed_active_hc' : '',
    host.failedOutlierCheck ? '/failed_outlier_check' : '',
    ['UNHEALTHY', 'DRAINING', 'TIMEOUT'].includes(host.edsHealth) ? '/failed_eds_health' : '',
    host.edsHealth === 'DEGRADED' ? '/degraded_eds_health' : '',
  ].join('');
  return flags === '' ? 'healthy' : flags;
}

/** `/clusters`: one fact per line, `cluster::host::fact::value`. */
export function clustersText(clusters: readonly ClusterStatus[]): string {
  const lines: string[] = [];
  for (const { name, observabilityName, addedViaApi, circuitBreakers, hosts } of clusters) {
    lines.push(`${name}::observability_name::${observabilityName}`);
    for (const { priority, maxConnections, maxPending, maxRequests, maxRetries } of circuitBreakers) {
      const head = `${name}::${priority.toLowerCase()}_priority`;
      lines.push(`${head}::max_connections::${maxConnections}`, `${head}::max_pending_requests::${maxPending}`);
      lines.push(`${head}::max_requests::${maxRequests}`, `${head}::max_retries::${maxRetries}`);
    }
    lines.push(`${name}::added_via_api::${addedViaApi}`);
    for (const host of hosts) {
      const head = `${name}::${addressText(host.address)}`;
      for (const { name: stat, value } of host.stats) lines.push(`${head}::${stat}::${value}`);
      lines.push(`${head}::hostname::${host.hostname}`, `${head}::health_flags::${healthFlags(host)}`, `${head}::weight::${host.weight}`);
      lines.push(`${head}::region::${host.locality.region}`, `${head}::zone::${host.locality.zone}`, `${head}::sub_zone::${host.locality.subZone}`);
      lines.push(
        `${head}::canary::false`,
        `${head}::priority::${host.priority}`,
        `${head}::success_rate::-1`,
        `${head}::local_origin_success_rate::-1`,
      );
    }
  }
  return lines.map((line) => `${line}\n`).join('');
}

/** envoy.admin.v3.Clusters. */
export function clustersJson(clusters: readonly ClusterStatus[]): object {
  return {
    cluster_statuses: clusters.map(({ name, observabilityName, addedViaApi, circuitBreakers, hosts }) => ({
      name,
      ...(addedViaApi ? { added_via_api: true } : {}),
      host_statuses: hosts.map((host) => ({
        address: host.address,
        stats: host.stats.map(({ name: stat, value, kind }) => ({
          ...(kind === 'gauge' ? { type: 'GAUGE' } : {}),
          ...(value === 0 ? {} : { value: String(value) }),
          name: stat,
        })),
        health_status: {
          ...(host.failedActiveHealthCheck ? { failed_active_health_check: true } : {}),
          ...(host.failedOutlierCheck ? { failed_outlier_check: true } : {}),
          eds_health_status: host.edsHealth === 'UNKNOWN' ? 'HEALTHY' : host.edsHealth,
        },
        weight: host.weight,
        ...(host.hostname === '' ? {} : { hostname: host.hostname }),
        ...(host.priority === 0 ? {} : { priority: host.priority }),
        locality: Object.fromEntries(
          [
            ['region', host.locality.region],
            ['zone', host.locality.zone],
            ['sub_zone', host.locality.subZone],
          ].filter(([, value]) => value !== ''),
        ),
      })),
      circuit_breakers: {
        thresholds: circuitBreakers.map(({ priority, maxConnections, maxPending, maxRequests, maxRetries }) => ({
          ...(priority === 'DEFAULT' ? {} : { priority }),
          max_connections: maxConnections,
          max_pending_requests: maxPending,
          max_requests: maxRequests,
          max_retries: maxRetries,
        })),
      },
      observability_name: observabilityName,
    })),
  };
}

/** `/listeners`: `name::address`, a line for each address. */
export function listenersText(listeners: readonly ListenerStatus[]): string {
  return listeners.flatMap(({ name, addresses }) => addresses.map((address) => `${name}::${addressText(address)}\n`)).join('');
}

/** envoy.admin.v3.Listeners. */
export function listenersJson(listeners: readonly ListenerStatus[]): object {
  return {
    listener_statuses: listeners.map(({ name, addresses: [first, ...further] }) => ({
      name,
      local_address: first,
      ...(further.length === 0 ? {} : { additional_local_addresses: further }),
    })),
  };
}

import type { EndpointConfig } from '../proxy/runtime.js';
import { Descriptors } from './config/descriptors.js';
import { toProtoJson } from './config/proto-json.js';
import type { Bootstrap, HttpFilter } from './config/types.js';

export interface DumpOptions {
  readonly includeEds: boolean;
  readonly startedAt: Date;
  readonly updatedAt: Date;
  /** Hosts that DNS has given, by cluster. */
  readonly resolved: ReadonlyMap<string, readonly EndpointConfig[]>;
}

type Json = Readonly<Record<string, unknown>>;
const ADMIN = 'type.googleapis.com/envoy.admin.v3.';
const V3 = 'type.googleapis.com/envoy.config.';

/**
 * The dumps of `/config_dump` in Envoy's order: names as in the .proto files, private keys and passwords `[redacted]`. Everything is static so far: what
 * came from the file.
 */
export function dumpConfiguration(bootstrap: Bootstrap, { includeEds, startedAt, updatedAt, resolved }: DumpOptions): object[] {
  const whole = toProtoJson(bootstrap, 'envoy.config.bootstrap.v3.Bootstrap', { snakeCase: true, descriptors: new Descriptors() }) as Json;
  const resources = (whole.static_resources ?? {}) as Json;
  const listeners = (resources.listeners ?? []) as Json[];
  const clusters = (resources.clusters ?? []) as Json[];
  const secrets = (resources.secrets ?? []) as Json[];
  const last_updated = updatedAt.toISOString();
  const dumps: object[] = [
    { '@type': `${ADMIN}BootstrapConfigDump`, bootstrap: whole, last_updated: startedAt.toISOString() },
    {
      '@type': `${ADMIN}ClustersConfigDump`,
      static_clusters: clusters.map((cluster) => ({ cluster: { '@type': `${V3}cluster.v3.Cluster`, ...cluster }, last_updated })),
    },
    {
      '@type': `${ADMIN}ListenersConfigDump`,
      static_listeners: listeners.map((listener) => ({ listener: { '@type': `${V3}listener.v3.Listener`, ...listener }, last_updated })),
    },
    { '@type': `${ADMIN}ScopedRoutesConfigDump` },
    {
      '@type': `${ADMIN}RoutesConfigDump`,
      static_route_configs: routesOf(listeners).map((route) => ({
        route_config: { '@type': `${V3}route.v3.RouteConfiguration`, ...route },
        last_updated,
      })),
    },
    {
      '@type': `${ADMIN}SecretsConfigDump`,
      ...(secrets.length === 0 ? {} : { static_secrets: secrets.map((secret) => ({ name: secret.name, last_updated, secret })) }),
    },
  ];
  if (!includeEds) return dumps;
  const endpoints = clusters.map((cluster) => ({
    endpoint_config: { '@type': `${V3}endpoint.v3.ClusterLoadAssignment`, ...loadAssignment(cluster, resolved.get(String(cluster.name))) },
  }));
  return [...dumps.slice(0, 2), { '@type': `${ADMIN}EndpointsConfigDump`, static_endpoint_configs: endpoints }, ...dumps.slice(2)];
}

/** Inline route tables of all connection managers. */
function routesOf(listeners: readonly Json[]): Json[] {
  const chains = listeners.flatMap((listener) => [
    ...((listener.filter_chains ?? []) as Json[]),
    ...(listener.default_filter_chain === undefined ? [] : [listener.default_filter_chain as Json]),
  ]);
  return chains
    .flatMap((chain) => (chain.filters ?? []) as (Json & HttpFilter)[])
    .map((filter) => (filter.typed_config as Json | undefined)?.route_config as Json | undefined)
    .filter((route) => route !== undefined);
}

function loadAssignment(cluster: Json, resolved: readonly EndpointConfig[] | undefined): Json {
  if (resolved === undefined) return { cluster_name: cluster.name, ...((cluster.load_assignment ?? {}) as Json) };
  return {
    cluster_name: cluster.name,
    endpoints: resolved.map(({ address, hostname, weight, priority, locality, health }) => ({
      locality: { region: locality.region, zone: locality.zone, sub_zone: locality.subZone },
      lb_endpoints: [
        {
          endpoint: {
            address: 'path' in address ? { pipe: { path: address.path } } : { socket_address: { address: address.ip, port_value: address.port } },
            hostname,
          },
          health_status: health === 'UNKNOWN' ? 'HEALTHY' : health,
          load_balancing_weight: weight,
        },
      ],
      priority,
    })),
  };
}

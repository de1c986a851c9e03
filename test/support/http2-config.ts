/** Configurations with HTTP/2 on either side of the proxy. */
import { clusterConfig, indent } from './running-proxy.js';

/** Which protocol a side speaks. */
export type HttpVersion = 'HTTP1' | 'HTTP2';

/** Further fields of a cluster that is spoken to in HTTP/2. `options`: fields of Http2ProtocolOptions. */
export const http2Cluster = (options = ''): string => `typed_extension_protocol_options:
  envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
    "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
    explicit_http_config:
      http2_protocol_options: { ${options} }`;

export interface ListenerOptions {
  readonly name: string;
  /** Default AUTO. */
  readonly codec?: 'AUTO' | 'HTTP1' | 'HTTP2';
  /** YAML of the routes. */
  readonly routes: string;
  /** Further fields of the connection manager. */
  readonly manager?: string;
}

/** A listener with a connection manager. */
export const httpListener = ({ name, codec = 'AUTO', routes, manager = '' }: ListenerOptions): string => `  - name: ${name}
    address: { socket_address: { address: 127.0.0.1, port_value: 0 } }
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: ${name}
          codec_type: ${codec}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }
${indent(manager, 10)}
          route_config:
            name: ${name}
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
${indent(routes, 14)}`;

export interface ClusterOptions {
  readonly name: string;
  readonly port: number;
  /** Default HTTP2. */
  readonly version?: HttpVersion;
  /** Further fields. */
  readonly more?: string;
}

/** A bootstrap without admin. */
export const http2Bootstrap = (listeners: readonly ListenerOptions[], clusters: readonly ClusterOptions[]): string => `static_resources:
  listeners:
${listeners.map(httpListener).join('\n')}
  clusters:
${clusters
  .map(({ name, port, version = 'HTTP2', more = '' }) => clusterConfig(name, [port], `${version === 'HTTP2' ? http2Cluster() : ''}\n${more}`))
  .join('\n')}
`;
/** A route that takes everything, with no limit of time. */
export const allTo = (cluster: string): string => `- match: { prefix: / }\n  route: { cluster: ${cluster}, timeout: 0s }`;

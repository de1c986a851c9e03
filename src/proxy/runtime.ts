/**
 * The runtime model: what `control/` compiles a configuration into, once per change, and what the data path reads (DESIGN §4). Plain immutable
 * objects with closures where a decision is made; no protobuf message, no lookup by string on the common route. Times in milliseconds, 0 = none, unless said.
 */
import type { Address, ListenOptions, SocketOptions } from '../network/engine.js';
import type { Codec } from '../protocol/codec.js';
import type { HeadView } from '../protocol/head.js';
import type { StreamLimits } from '../protocol/stream-framing.js';
import type { HeartbeatOptions } from '../stream/rpc/rpc-pool.js';
import type { AccessLog } from './access-log/access-log.js';
import type { GrpcQuestion, HttpQuestion } from './health/questions.js';
import type { FilterOverrides, HttpFilterConfig } from './http/filters/chain.js';
import type { HeaderMutation } from './route/header-mutation.js';

export interface RuntimeConfig {
  readonly listeners: readonly ListenerConfig[];
  readonly clusters: ReadonlyMap<string, ClusterConfig>;
  /** Downstream connections of the whole process; Infinity: no bound. */
  readonly maxConnections: number;
}

// ---- downstream -------------------------------------------------------------------------------------------------------------------------

export interface ListenerConfig {
  readonly name: string;
  /** `listener.<statPrefix>.`: the configured prefix, or `<addr>_<port>` with `:` turned into `_`. */
  readonly statPrefix: string;
  readonly addresses: readonly Address[];
  /** `bind_to_port: false` listeners are reached only through `use_original_dst`. */
  readonly bindToPort: boolean;
  readonly socket: Omit<ListenOptions, 'address' | 'profile'>;
  readonly useOriginalDst: boolean;
  readonly trafficDirection: 'UNSPECIFIED' | 'INBOUND' | 'OUTBOUND';
  /** Connections of this listener, over all workers; Infinity: no bound. */
  readonly maxConnections: number;
  /** Connections count towards the bound of the process, but are not refused for it. */
  readonly ignoresGlobalLimit: boolean;
  /** `drain_type: DEFAULT`: connections end with their next response while the health check is made to fail. */
  readonly drainsUnhealthy: boolean;
  readonly bufferLimitBytes: number;
  /** Which inspectors must have spoken before a chain can be chosen; both false: the chain is chosen at accept. */
  readonly inspect: { readonly tls: boolean; readonly http: boolean; readonly timeoutMs: number; readonly continueOnTimeout: boolean };
  /** The chain for a connection: most specific match as Envoy documents, else the default chain, else undefined (close; stat `no_filter_chain_match`). */
  matchChain(connection: ChainInput): FilterChain | undefined;
  readonly chains: readonly FilterChain[];
  /** Listener-level logs: connections without a chain. */
  readonly accessLogs: readonly AccessLog[];
  /** The v3 Listener as configured, for config_dump. */
  readonly source: object;
}

export interface ChainInput {
  /** Destination (restored where the original one is known). */
  readonly local: Address;
  readonly remote: Address;
  /** The address of the socket's other end before PROXY protocol and the like; here: the same as remote. */
  readonly directRemote: Address;
  readonly serverName: string;
  readonly transportProtocol: 'raw_buffer' | 'tls';
  readonly applicationProtocols: readonly string[];
}

export interface FilterChain {
  readonly name: string;
  readonly filter: HttpManagerConfig | TcpProxyConfig | RpcProxyConfig;
  /** Bounds of the filters before it (`envoy.filters.network.connection_limit`). */
  readonly connectionLimits: readonly ConnectionLimitConfig[];
}

/** Bound of the connections of one filter chain, over all workers. */
export interface ConnectionLimitConfig {
  /** Name of its count, unique in the configuration. */
  readonly key: string;
  readonly statPrefix: string;
  readonly maxConnections: number;
}

export interface HttpManagerConfig {
  readonly kind: 'http';
  readonly statPrefix: string;
  /** What clients may speak; `auto`: the first bytes say it. */
  readonly codec: 'auto' | 'http1' | 'http2';
  /** HTTP/2: what differs from the codec's own limits, `maxHeadBytes` and the like included. */
  readonly streams: Partial<StreamLimits>;
  /** HTTP/2: undefined: no PING is sent. */
  readonly keepAlive: KeepAliveOptions | undefined;
  readonly routes: RouteTable;
  readonly maxHeadBytes: number;
  readonly maxHeaders: number;
  readonly acceptHttp10: boolean;
  readonly defaultHostForHttp10: string;
  readonly properCase: boolean;
  readonly underscores: 'allow' | 'reject' | 'drop';
  readonly idleTimeoutMs: number;
  readonly maxConnectionDurationMs: number;
  /** Requests per downstream connection; 0: no bound. */
  readonly maxRequestsPerConnection: number;
  /** A request with its response, from its head to the last byte; a route may say otherwise. */
  readonly maxStreamDurationMs: number;
  readonly requestHeadersTimeoutMs: number;
  /** Whole request, head to last byte. */
  readonly requestTimeoutMs: number;
  readonly streamIdleTimeoutMs: number;
  readonly drainTimeoutMs: number;
  readonly useRemoteAddress: boolean;
  readonly skipXffAppend: boolean;
  readonly xffTrustedHops: number;
  readonly via: string;
  readonly generateRequestId: boolean;
  readonly preserveExternalRequestId: boolean;
  readonly alwaysSetRequestIdInResponse: boolean;
  readonly serverName: string;
  readonly serverHeader: 'OVERWRITE' | 'APPEND_IF_ABSENT' | 'PASS_THROUGH';
  readonly normalizePath: boolean;
  readonly mergeSlashes: boolean;
  readonly escapedSlashes: 'KEEP_UNCHANGED' | 'REJECT_REQUEST' | 'UNESCAPE_AND_REDIRECT' | 'UNESCAPE_AND_FORWARD';
  /** `any`, `matching` the listener's port, or `none`. */
  readonly stripHostPort: 'any' | 'matching' | 'none';
  readonly proxy100Continue: boolean;
  /** Lower-case upgrade tokens that may pass (`websocket`, `connect`). */
  readonly upgrades: ReadonlySet<string>;
  readonly suppressEnvoyHeaders: boolean;
  /** HTTP failures that gRPC calls are answered with do not count as responses of the cluster. */
  readonly suppressGrpcFailureCodes: boolean;
  readonly accessLogs: readonly AccessLog[];
  readonly forwardClientCert: 'SANITIZE' | 'FORWARD_ONLY' | 'APPEND_FORWARD' | 'SANITIZE_SET' | 'ALWAYS_FORWARD_ONLY';
  /** The stream filters before the router, in order. */
  readonly filters: readonly HttpFilterConfig[];
}

/** Whether a connection of HTTP/2 still answers, asked with PING. */
export interface KeepAliveOptions {
  /** Between two PINGs; 0: none in intervals. */
  readonly intervalMs: number;
  /** Added to every interval: a random part of so many per cent of it. Default 15. */
  readonly jitterPercent: number;
  /** How long nothing at all may come after a PING before the connection is closed. */
  readonly timeoutMs: number;
  /** Upstream: quiet time after which a PING goes ahead of the next request; 0: never. */
  readonly connectionIdleMs: number;
}

export interface TcpProxyConfig {
  readonly kind: 'tcp';
  readonly statPrefix: string;
  /** Chooses a cluster name, by weight where several are named. `random`: 0 <= r < 1. */
  chooseCluster(random: number): string;
  readonly idleTimeoutMs: number;
  readonly maxConnectAttempts: number;
  readonly maxConnectionDurationMs: number;
  readonly accessLogs: readonly AccessLog[];
}

/** A network filter of ours: routes the requests of RPC protocols (`sluice.extensions.filters.network.rpc_proxy.v1.RpcProxy`). */
export interface RpcProxyConfig {
  readonly kind: 'rpc';
  readonly statPrefix: string;
  /** Protocols that a connection may speak, by name; with more than one its first bytes decide. */
  readonly codecs: readonly Codec[];
  readonly routes: RouteTable;
  readonly idleTimeoutMs: number;
  readonly maxFrameBytes: number | undefined;
  /** A larger request is sent on before it is whole; 0: never. */
  readonly cutThroughBytes: number;
  /** How long the first bytes may stay unclear, and what then: a cluster that gets the bytes as they are, or undefined: the connection is closed. */
  readonly detectTimeoutMs: number;
  readonly fallbackCluster: string | undefined;
  /** Who serves connections that turn out to speak HTTP/1; undefined: they are of no known protocol. */
  readonly http: HttpManagerConfig | undefined;
  readonly accessLogs: readonly AccessLog[];
}
/** How a cluster's hosts are spoken to in an RPC protocol. */
export interface RpcOptions {
  /** Connections to each host that requests are spread over. */
  readonly connections: number;
  /** Requests in flight on one of them. */
  readonly maxInFlight: number;
  readonly heartbeat: HeartbeatOptions;
  /** Largest frame of a response; undefined: the codec's. */
  readonly maxFrameBytes: number | undefined;
}

// ---- routes -----------------------------------------------------------------------------------------------------------------------------

export interface RouteTable {
  readonly name: string;
  /** Virtual host by authority (port ignored where configured), then the first route that matches. Undefined: 404, `route_not_found`. */
  match(head: HeadView, request: RouteInput): Route | undefined;
  /** The route of every message whose path begins with a slash, where one virtual host has all and its first route asks for nothing: no name need be looked at. */
  readonly only?: Route | undefined;
  readonly maxDirectBodyBytes: number;
  /** Names of clusters that its routes mention, for validation. */
  readonly clusterNames: readonly string[];
}

export interface RouteInput {
  /** Host without leading and trailing space, lower case; empty where the request has none. */
  readonly host: string;
  /** Normalised path with query, as it would be forwarded without rewrite. */
  readonly path: string;
  readonly scheme: string;
  readonly isConnect: boolean;
  /** Upgrade token, lower case, or empty. */
  readonly upgrade: string;
  /** 0 <= r < 1: runtime fractions. */
  readonly random: number;
}

export interface Route {
  readonly name: string;
  readonly virtualHost: string;
  /** Applied in order: route (most specific), virtual host, table — as Envoy's `most_specific_header_mutations_wins` says. Undefined where none changes anything. */
  readonly requestHeaders: HeaderMutation | undefined;
  readonly responseHeaders: HeaderMutation | undefined;
  /** What it, its virtual host and its table say of filters; absent: nothing. */
  readonly filters?: FilterOverrides | undefined;
  readonly action: ForwardAction | RedirectAction | DirectAction;
}

export interface ForwardAction {
  readonly kind: 'forward';
  /** Chooses a cluster: fixed, by weight (`random`), or from a header. Undefined: the header names none. */
  chooseCluster(head: HeadView, random: number): ClusterChoice | undefined;
  readonly clusterNotFoundStatus: number;
  /** New path with query; undefined: unchanged. */
  readonly rewritePath: ((path: string) => string) | undefined;
  /** New Host; undefined: unchanged. `auto`: the endpoint's host name. */
  readonly rewriteHost: ((host: string, path: string, head: HeadView) => string | undefined) | 'auto' | undefined;
  readonly appendForwardedHost: boolean;
  /** Whole request, until the response is complete. Default 15,000; 0 none. */
  readonly timeoutMs: number;
  readonly idleTimeoutMs: number | undefined;
  /** In place of the manager's; 0: none. */
  readonly maxStreamDurationMs: number | undefined;
  /** What a caller's `grpc-timeout` does; undefined: no more than is forwarded. */
  readonly grpcTimeout: GrpcTimeoutPolicy | undefined;
  readonly retry: RetryPolicy | undefined;
  readonly priority: 'DEFAULT' | 'HIGH';
  /** Upgrade tokens switched on or off here, over the manager's. */
  readonly upgrades: ReadonlyMap<string, boolean> | undefined;
  /** Hash of the request for RING_HASH and MAGLEV; undefined: none. */
  readonly hash: ((head: HeadView, remote: Address) => number | undefined) | undefined;
  /** Clusters that get a copy of the request, and whose answers nobody sees: of RPC protocols. */
  readonly mirrors?: readonly MirrorPolicy[];
  readonly includeVhRateLimits?: boolean;
  readonly includeAttemptCount: boolean;
  readonly includeAttemptCountInResponse: boolean;
}
export interface GrpcTimeoutPolicy {
  /** In place of `maxStreamDurationMs`, or of `timeoutMs` (then `maxMs`, where the request has no `grpc-timeout`; 0: none). */
  readonly replaces: 'maxStreamDuration' | 'timeout';
  /** Longest that is taken; 0: any. */
  readonly maxMs: number;
  /** Taken off what the request says; what is then not above 0 is over at once. */
  readonly offsetMs: number;
}
export interface MirrorPolicy {
  readonly chooseCluster: (head: HeadView) => string | undefined;
  /** Part of the requests that is copied, 0..1. */
  readonly share: number;
}
export interface ClusterChoice {
  readonly name: string;
  /** Header changes of a weighted entry. */
  readonly requestHeaders: HeaderMutation | undefined;
  readonly responseHeaders: HeaderMutation | undefined;
  /** New Host of a weighted entry, applied before the route's own rewrite. */
  readonly rewriteHost?: string;
}
export interface RedirectAction {
  readonly kind: 'redirect';
  readonly status: number;
  location(scheme: string, host: string, path: string): string;
}
export interface DirectAction {
  readonly kind: 'direct';
  readonly status: number;
  readonly body: Uint8Array;
}

/** Bits of `RetryPolicy.on`. */
export const RETRY_ON = {
  FIVE_XX: 1,
  GATEWAY_ERROR: 2,
  RESET: 4,
  CONNECT_FAILURE: 8,
  RETRIABLE_4XX: 16,
  REFUSED_STREAM: 32,
  RETRIABLE_STATUS_CODES: 64,
  RETRIABLE_HEADERS: 128,
  ENVOY_RATELIMITED: 256,
  RESET_BEFORE_REQUEST: 512,
  /** Those of gRPC: by `grpc-status`. */
  CANCELLED: 1024,
  DEADLINE_EXCEEDED: 2048,
  INTERNAL: 4096,
  RESOURCE_EXHAUSTED: 8192,
  UNAVAILABLE: 16_384,
} as const;
export interface RetryPolicy {
  readonly on: number;
  /** Default 1. */
  readonly numRetries: number;
  readonly perTryTimeoutMs: number;
  readonly perTryIdleTimeoutMs: number;
  readonly statusCodes: ReadonlySet<number>;
  readonly retriableHeaders: ((head: HeadView) => boolean) | undefined;
  readonly retriableRequest: ((head: HeadView) => boolean) | undefined;
  /** Default 25. */
  readonly backoffBaseMs: number;
  /** Default 10 × base. */
  readonly backoffMaxMs: number;
  /** How long a response itself asks to wait; undefined: it does not say, or longer than is taken seriously. */
  readonly askedBackoffMs: ((head: HeadView, nowS: number) => number | undefined) | undefined;
  /** Hosts tried before are avoided, up to so many draws. */
  readonly avoidPreviousHosts: boolean;
  readonly hostSelectionAttempts: number;
}

// ---- upstream ---------------------------------------------------------------------------------------------------------------------------

export interface ClusterConfig {
  readonly name: string;
  /** `cluster.<statName>.` */
  readonly statName: string;
  readonly discovery: 'STATIC' | 'STRICT_DNS' | 'LOGICAL_DNS' | 'ORIGINAL_DST' | 'EDS';
  /** Endpoints as configured; for DNS types host names that `control/` resolves. */
  readonly endpoints: readonly EndpointConfig[];
  readonly dns: {
    readonly refreshMs: number;
    readonly respectTtl: boolean;
    readonly family: 'AUTO' | 'V4_ONLY' | 'V6_ONLY' | 'V4_PREFERRED' | 'ALL';
    readonly failureRefreshMs: number;
  };
  readonly connectTimeoutMs: number;
  readonly lb: 'ROUND_ROBIN' | 'LEAST_REQUEST' | 'RANDOM' | 'CLUSTER_PROVIDED';
  /** Draws of LEAST_REQUEST. Default 2. */
  readonly choiceCount: number;
  /** Per cent of healthy hosts below which all are used. Default 50. */
  readonly panicThreshold: number;
  readonly breakers: { readonly DEFAULT: Breakers; readonly HIGH: Breakers };
  readonly bufferLimitBytes: number;
  /** Idle pooled connections are closed after it. Default 3,600,000. */
  readonly idleTimeoutMs: number;
  readonly maxRequestsPerConnection: number;
  readonly http: HttpUpstreamOptions;
  /** Absent: hosts are not checked. */
  readonly healthCheck?: HealthCheckConfig;
  /** Absent: defaults. */
  readonly rpc?: RpcOptions;
  readonly maxConnectionDurationMs: number;
  /** An attempt, from its head to the last byte of its response. */
  readonly maxStreamDurationMs: number;
  readonly maxResponseHeadBytes: number;
  readonly maxResponseHeaders: number;
  readonly properCase: boolean;
  readonly socket: SocketOptions;
  readonly source: { readonly ip: string; readonly port?: number } | undefined;
  /** The v3 Cluster as configured, for config_dump. */
  readonly configured: object;
}
/** How, and how often, hosts are asked whether they are well. */
export interface HealthCheckConfig {
  readonly how: ({ readonly kind: 'grpc' } & GrpcQuestion) | ({ readonly kind: 'http' } & HttpQuestion) | { readonly kind: 'tcp' };
  /** One connection for all checks of a host. */
  readonly reuseConnection: boolean;
  readonly timeoutMs: number;
  readonly intervalMs: number;
  readonly initialJitterMs: number;
  readonly intervalJitterMs: number;
  readonly intervalJitterPercent: number;
  readonly unhealthyThreshold: number;
  readonly healthyThreshold: number;
  /** While the cluster has never had a connection; of hosts found healthy and of others. */
  readonly noTrafficIntervalMs: number;
  readonly noTrafficHealthyIntervalMs: number;
  /** Of an unhealthy host; and the first one after a host has changed. */
  readonly unhealthyIntervalMs: number;
  readonly unhealthyEdgeIntervalMs: number;
  readonly healthyEdgeIntervalMs: number;
  /** In place of the endpoint's own; 0: that. */
  readonly altPort: number;
}
/** How a cluster's hosts are spoken to in HTTP. */
export interface HttpUpstreamOptions {
  /** `downstream`: as the request came. */
  readonly protocol: 'http1' | 'http2' | 'downstream';
  /** HTTP/2: what differs from the codec's own limits, `maxResponseHeadBytes` and the like included. */
  readonly streams: Partial<StreamLimits>;
  /** HTTP/2: undefined: no PING is sent. */
  readonly keepAlive: KeepAliveOptions | undefined;
  /** HTTP/2: streams that are opened on one connection, where its peer allows as many. Default 1,024. */
  readonly maxConcurrentStreams: number;
}
export interface Breakers {
  readonly maxConnections: number;
  readonly maxPending: number;
  readonly maxRequests: number;
  readonly maxRetries: number;
  /** Instead of `maxRetries`: retries may be so many per cent of the requests in flight, but always `minConcurrency`. */
  readonly retryBudget?: { readonly percent: number; readonly minConcurrency: number };
}
export interface EndpointConfig {
  readonly address: Address;
  readonly hostname: string;
  /** 1.. */
  readonly weight: number;
  readonly priority: number;
  readonly locality: { readonly region: string; readonly zone: string; readonly subZone: string };
  readonly health: 'UNKNOWN' | 'HEALTHY' | 'UNHEALTHY' | 'DRAINING' | 'TIMEOUT' | 'DEGRADED';
}

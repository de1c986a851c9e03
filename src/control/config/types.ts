/**
 * The messages of Envoy's v3 API that the compiler reads, in the shape the loader gives them (loader.ts): names in lowerCamelCase, only the fields that
 * are set, and no defaults. Durations are milliseconds, wrappers (`google.protobuf.UInt32Value`, ...) plain values, enums their names, bytes
 * `Uint8Array`, timestamps RFC 3339 text, `Struct` a plain object, `Any` and `TypedStruct` an object with `@type` beside its own fields. Field names and
 * meanings are Envoy's: https://www.envoyproxy.io/docs/envoy/latest/api-v3/api. A message that nothing here reads is `Message`.
 */

/** `google.protobuf.Duration`: milliseconds, with a fraction where the text has one below a millisecond. */
export type DurationMs = number;
/** A 64-bit integer: a `bigint` only where a double would lose digits. */
export type Int64 = number | bigint;
/** `google.protobuf.Struct`: free JSON. */
export type Struct = Readonly<Record<string, unknown>>;
/** A message without an interface of its own here. */
export type Message = Readonly<Record<string, unknown>>;
/** `google.protobuf.Any` or a TypedStruct, decoded by its type. `typeNameOf` (descriptors.ts) says which message it is. */
export interface Any {
  /** `type.googleapis.com/<message>`; of a TypedStruct its inner type. */
  readonly '@type': string;
  readonly [field: string]: unknown;
}

// ---- bootstrap -----------------------------------------------------------------------------------------------------------------------------------

/** `envoy.config.bootstrap.v3.Bootstrap`. */
export interface Bootstrap {
  readonly node?: Node;
  readonly nodeContextParams?: readonly string[];
  readonly staticResources?: StaticResources;
  readonly dynamicResources?: DynamicResources;
  readonly clusterManager?: ClusterManager;
  readonly hdsConfig?: ApiConfigSource;
  readonly flagsPath?: string;
  readonly statsSinks?: readonly Message[];
  readonly deferredStatOptions?: DeferredStatOptions;
  readonly statsConfig?: StatsConfig;
  readonly statsFlushInterval?: DurationMs;
  readonly statsFlushOnAdmin?: boolean;
  readonly watchdogs?: Message;
  readonly layeredRuntime?: LayeredRuntime;
  readonly admin?: Admin;
  readonly overloadManager?: OverloadManager;
  readonly enableDispatcherStats?: boolean;
  readonly headerPrefix?: string;
  readonly statsServerVersionOverride?: Int64;
  readonly typedDnsResolverConfig?: TypedExtensionConfig;
  readonly bootstrapExtensions?: readonly TypedExtensionConfig[];
  readonly fatalActions?: readonly Message[];
  readonly configSources?: readonly ConfigSource[];
  readonly defaultConfigSource?: ConfigSource;
  readonly defaultSocketInterface?: string;
  readonly certificateProviderInstances?: Readonly<Record<string, TypedExtensionConfig>>;
  readonly inlineHeaders?: readonly Message[];
  readonly perfTracingFilePath?: string;
  readonly defaultRegexEngine?: TypedExtensionConfig;
  readonly xdsDelegateExtension?: TypedExtensionConfig;
  readonly xdsConfigTrackerExtension?: TypedExtensionConfig;
  readonly listenerManager?: TypedExtensionConfig;
  readonly applicationLogConfig?: ApplicationLogConfig;
  readonly grpcAsyncClientManagerConfig?: Message;
  readonly memoryAllocatorManager?: Message;
  readonly statsEvictionInterval?: DurationMs;
  // Deprecated in Envoy, still accepted.
  readonly watchdog?: Message;
  readonly tracing?: Message;
  readonly useTcpForDnsLookups?: boolean;
  readonly dnsResolutionConfig?: Message;
}

/** `envoy.config.bootstrap.v3.Bootstrap.StaticResources`. */
export interface StaticResources {
  readonly listeners?: readonly Listener[];
  readonly clusters?: readonly Cluster[];
  readonly secrets?: readonly Message[];
}

/** `envoy.config.bootstrap.v3.Bootstrap.DynamicResources`. */
export interface DynamicResources {
  readonly ldsConfig?: ConfigSource;
  readonly ldsResourcesLocator?: string;
  readonly cdsConfig?: ConfigSource;
  readonly cdsResourcesLocator?: string;
  readonly adsConfig?: ApiConfigSource;
}

/** `envoy.config.bootstrap.v3.Bootstrap.DeferredStatOptions`. */
export interface DeferredStatOptions {
  readonly enableDeferredCreationStats?: boolean;
}

/** `envoy.config.bootstrap.v3.Bootstrap.ApplicationLogConfig`. */
export interface ApplicationLogConfig {
  readonly logFormat?: ApplicationLogFormat;
}

/** `envoy.config.bootstrap.v3.Bootstrap.ApplicationLogConfig.LogFormat`. */
export interface ApplicationLogFormat {
  readonly jsonFormat?: Struct;
  readonly textFormat?: string;
}

/** `envoy.config.bootstrap.v3.Admin`. */
export interface Admin {
  readonly accessLog?: readonly AccessLog[];
  readonly profilePath?: string;
  readonly address?: Address;
  readonly socketOptions?: readonly SocketOption[];
  readonly ignoreGlobalConnLimit?: boolean;
  // Deprecated in Envoy, still accepted.
  readonly accessLogPath?: string;
}

/** `envoy.config.bootstrap.v3.ClusterManager`. */
export interface ClusterManager {
  readonly localClusterName?: string;
  readonly outlierDetection?: Message;
  readonly upstreamBindConfig?: BindConfig;
  readonly loadStatsConfig?: ApiConfigSource;
  readonly enableDeferredClusterCreation?: boolean;
}

/** `envoy.config.bootstrap.v3.LayeredRuntime`. */
export interface LayeredRuntime {
  readonly layers?: readonly RuntimeLayer[];
}

/** `envoy.config.bootstrap.v3.RuntimeLayer`. */
export interface RuntimeLayer {
  readonly name?: string;
  readonly staticLayer?: Struct;
  readonly diskLayer?: Message;
  readonly adminLayer?: Message;
  readonly rtdsLayer?: Message;
}

/** `envoy.config.metrics.v3.StatsConfig`. */
export interface StatsConfig {
  readonly statsTags?: readonly TagSpecifier[];
  readonly useAllDefaultTags?: boolean;
  readonly statsMatcher?: StatsMatcher;
  readonly histogramBucketSettings?: readonly HistogramBucketSettings[];
}

/** `envoy.config.overload.v3.OverloadManager`. */
export interface OverloadManager {
  readonly refreshInterval?: DurationMs;
  readonly resourceMonitors?: readonly ResourceMonitor[];
  readonly actions?: readonly Message[];
  readonly loadshedPoints?: readonly Message[];
  readonly bufferFactoryConfig?: Message;
}

/** `envoy.config.overload.v3.ResourceMonitor`. */
export interface ResourceMonitor {
  readonly name?: string;
  readonly typedConfig?: Any;
}

/** `envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig`. */
export interface DownstreamConnectionsConfig {
  readonly maxActiveDownstreamConnections?: Int64;
}

/** `envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit`. */
export interface ConnectionLimit {
  readonly statPrefix?: string;
  readonly maxConnections?: Int64;
  readonly delay?: DurationMs;
  readonly runtimeEnabled?: RuntimeFeatureFlag;
}

/** `envoy.config.metrics.v3.StatsMatcher`. */
export interface StatsMatcher {
  readonly rejectAll?: boolean;
  readonly exclusionList?: ListStringMatcher;
  readonly inclusionList?: ListStringMatcher;
}

/** `envoy.config.metrics.v3.TagSpecifier`. */
export interface TagSpecifier {
  readonly tagName?: string;
  readonly regex?: string;
  readonly fixedValue?: string;
}

/** `envoy.config.metrics.v3.HistogramBucketSettings`. */
export interface HistogramBucketSettings {
  readonly match?: StringMatcher;
  readonly buckets?: readonly number[];
}

/** `envoy.config.core.v3.Node`. */
export interface Node {
  readonly id?: string;
  readonly cluster?: string;
  readonly metadata?: Struct;
  readonly dynamicParameters?: Readonly<Record<string, Message>>;
  readonly locality?: Locality;
  readonly userAgentName?: string;
  readonly userAgentVersion?: string;
  readonly userAgentBuildVersion?: Message;
  readonly extensions?: readonly Message[];
  readonly clientFeatures?: readonly string[];
  // Deprecated in Envoy, still accepted.
  readonly listeningAddresses?: readonly Address[];
}

/** `envoy.config.core.v3.ConfigSource`. */
export interface ConfigSource {
  readonly authorities?: readonly Message[];
  readonly pathConfigSource?: Message;
  readonly apiConfigSource?: ApiConfigSource;
  readonly ads?: Message;
  readonly self?: Message;
  readonly initialFetchTimeout?: DurationMs;
  readonly resourceApiVersion?: 'AUTO' | 'V2' | 'V3';
  // Deprecated in Envoy, still accepted.
  readonly path?: string;
}

/** `envoy.config.core.v3.ApiConfigSource`. */
export interface ApiConfigSource {
  readonly apiType?: 'DEPRECATED_AND_UNAVAILABLE_DO_NOT_USE' | 'REST' | 'GRPC' | 'DELTA_GRPC' | 'AGGREGATED_GRPC' | 'AGGREGATED_DELTA_GRPC';
  readonly transportApiVersion?: 'AUTO' | 'V2' | 'V3';
  readonly clusterNames?: readonly string[];
  readonly grpcServices?: readonly GrpcService[];
  readonly refreshDelay?: DurationMs;
  readonly requestTimeout?: DurationMs;
  readonly rateLimitSettings?: Message;
  readonly setNodeOnFirstMessageOnly?: boolean;
  readonly configValidators?: readonly TypedExtensionConfig[];
}

/** `envoy.config.core.v3.GrpcService`. */
export interface GrpcService {
  readonly envoyGrpc?: EnvoyGrpc;
  readonly googleGrpc?: Message;
  readonly timeout?: DurationMs;
  readonly initialMetadata?: readonly HeaderValue[];
  readonly retryPolicy?: Message;
}

/** `envoy.config.core.v3.GrpcService.EnvoyGrpc`. */
export interface EnvoyGrpc {
  readonly clusterName?: string;
  readonly authority?: string;
  readonly retryPolicy?: Message;
  readonly maxReceiveMessageLength?: number;
  readonly skipEnvoyHeaders?: boolean;
}

// ---- shared parts --------------------------------------------------------------------------------------------------------------------------------

/** `envoy.config.core.v3.Locality`. */
export interface Locality {
  readonly region?: string;
  readonly zone?: string;
  readonly subZone?: string;
}

/** `envoy.config.core.v3.Metadata`. */
export interface Metadata {
  readonly filterMetadata?: Readonly<Record<string, Struct>>;
  readonly typedFilterMetadata?: Readonly<Record<string, Any>>;
}

/** `envoy.config.core.v3.TypedExtensionConfig`. */
export interface TypedExtensionConfig {
  readonly name?: string;
  readonly typedConfig?: Any;
}

/** `envoy.config.core.v3.TransportSocket`. */
export interface TransportSocket {
  readonly name?: string;
  readonly typedConfig?: Any;
}

/** `envoy.config.core.v3.Address`. */
export interface Address {
  readonly socketAddress?: SocketAddress;
  readonly pipe?: Pipe;
  readonly envoyInternalAddress?: EnvoyInternalAddress;
}

/** `envoy.config.core.v3.SocketAddress`. */
export interface SocketAddress {
  readonly protocol?: 'TCP' | 'UDP';
  readonly address?: string;
  readonly portValue?: number;
  readonly namedPort?: string;
  readonly resolverName?: string;
  readonly ipv4Compat?: boolean;
  readonly networkNamespaceFilepath?: string;
}

/** `envoy.config.core.v3.Pipe`. */
export interface Pipe {
  readonly path?: string;
  readonly mode?: number;
}

/** `envoy.config.core.v3.EnvoyInternalAddress`. */
export interface EnvoyInternalAddress {
  readonly serverListenerName?: string;
  readonly endpointId?: string;
}

/** `envoy.config.core.v3.CidrRange`. */
export interface CidrRange {
  readonly addressPrefix?: string;
  readonly prefixLen?: number;
}

/** `envoy.config.core.v3.BindConfig`. */
export interface BindConfig {
  readonly sourceAddress?: SocketAddress;
  readonly freebind?: boolean;
  readonly socketOptions?: readonly SocketOption[];
  readonly extraSourceAddresses?: readonly ExtraSourceAddress[];
  readonly localAddressSelector?: TypedExtensionConfig;
  // Deprecated in Envoy, still accepted.
  readonly additionalSourceAddresses?: readonly SocketAddress[];
}

/** `envoy.config.core.v3.ExtraSourceAddress`. */
export interface ExtraSourceAddress {
  readonly address?: SocketAddress;
  readonly socketOptions?: SocketOptionsOverride;
}

/** `envoy.config.core.v3.SocketOptionsOverride`. */
export interface SocketOptionsOverride {
  readonly socketOptions?: readonly SocketOption[];
}

/** `envoy.config.core.v3.TcpKeepalive`. */
export interface TcpKeepalive {
  readonly keepaliveProbes?: number;
  readonly keepaliveTime?: number;
  readonly keepaliveInterval?: number;
}

/** `envoy.config.core.v3.SocketOption`. */
export interface SocketOption {
  readonly description?: string;
  readonly level?: Int64;
  readonly name?: Int64;
  readonly intValue?: Int64;
  readonly bufValue?: Uint8Array;
  readonly state?: 'STATE_PREBIND' | 'STATE_BOUND' | 'STATE_LISTENING';
}

/** `envoy.config.core.v3.DataSource`. */
export interface DataSource {
  readonly filename?: string;
  readonly inlineBytes?: Uint8Array;
  readonly inlineString?: string;
  readonly environmentVariable?: string;
  readonly watchedDirectory?: Message;
}

/** `envoy.config.core.v3.RuntimeFractionalPercent`. */
export interface RuntimeFractionalPercent {
  readonly defaultValue?: FractionalPercent;
  readonly runtimeKey?: string;
}

/** `envoy.type.v3.FractionalPercent`. */
export interface FractionalPercent {
  readonly numerator?: number;
  readonly denominator?: 'HUNDRED' | 'TEN_THOUSAND' | 'MILLION';
}

/** `envoy.config.core.v3.RuntimeFeatureFlag`. */
export interface RuntimeFeatureFlag {
  readonly defaultValue?: boolean;
  readonly runtimeKey?: string;
}

/** `envoy.config.core.v3.RuntimeUInt32`. */
export interface RuntimeUInt32 {
  readonly defaultValue?: number;
  readonly runtimeKey?: string;
}

/** `envoy.type.v3.Percent`. */
export interface Percent {
  readonly value?: number;
}

/** `envoy.type.v3.Int64Range`. */
export interface Int64Range {
  readonly start?: Int64;
  readonly end?: Int64;
}

/** `envoy.type.v3.Int32Range`. */
export interface Int32Range {
  readonly start?: number;
  readonly end?: number;
}

/** `envoy.config.core.v3.HeaderValue`. */
export interface HeaderValue {
  readonly key?: string;
  readonly value?: string;
  readonly rawValue?: Uint8Array;
}

/** `envoy.config.core.v3.HeaderValueOption`. */
export interface HeaderValueOption {
  readonly header?: HeaderValue;
  readonly appendAction?: 'APPEND_IF_EXISTS_OR_ADD' | 'ADD_IF_ABSENT' | 'OVERWRITE_IF_EXISTS_OR_ADD' | 'OVERWRITE_IF_EXISTS';
  readonly keepEmptyValue?: boolean;
  // Deprecated in Envoy, still accepted.
  readonly append?: boolean;
}

/** `envoy.config.core.v3.QueryParameter`. */
export interface QueryParameter {
  readonly key?: string;
  readonly value?: string;
}

/** `envoy.type.matcher.v3.StringMatcher`. */
export interface StringMatcher {
  readonly exact?: string;
  readonly prefix?: string;
  readonly suffix?: string;
  readonly safeRegex?: RegexMatcher;
  readonly contains?: string;
  readonly custom?: Message;
  readonly ignoreCase?: boolean;
}

/** `envoy.type.matcher.v3.ListStringMatcher`. */
export interface ListStringMatcher {
  readonly patterns?: readonly StringMatcher[];
}

/** `envoy.type.matcher.v3.RegexMatcher`. */
export interface RegexMatcher {
  readonly regex?: string;
  // Deprecated in Envoy, still accepted.
  readonly googleRe2?: Message;
}

/** `envoy.type.matcher.v3.RegexMatchAndSubstitute`. */
export interface RegexMatchAndSubstitute {
  readonly pattern?: RegexMatcher;
  readonly substitution?: string;
}

/** `envoy.config.core.v3.HttpProtocolOptions`. */
export interface CommonHttpProtocolOptions {
  readonly idleTimeout?: DurationMs;
  readonly maxConnectionDuration?: DurationMs;
  readonly maxHeadersCount?: number;
  readonly maxStreamDuration?: DurationMs;
  readonly headersWithUnderscoresAction?: 'ALLOW' | 'REJECT_REQUEST' | 'DROP_HEADER';
  readonly maxRequestsPerConnection?: number;
  readonly maxResponseHeadersKb?: number;
}

/** `envoy.config.core.v3.Http1ProtocolOptions`. */
export interface Http1ProtocolOptions {
  readonly allowAbsoluteUrl?: boolean;
  readonly acceptHttp10?: boolean;
  readonly defaultHostForHttp10?: string;
  readonly headerKeyFormat?: HeaderKeyFormat;
  readonly enableTrailers?: boolean;
  readonly allowChunkedLength?: boolean;
  readonly overrideStreamErrorOnInvalidHttpMessage?: boolean;
  readonly sendFullyQualifiedUrl?: boolean;
  readonly useBalsaParser?: boolean;
  readonly allowCustomMethods?: boolean;
  readonly ignoreHttp11Upgrade?: readonly StringMatcher[];
}

/** `envoy.config.core.v3.Http1ProtocolOptions.HeaderKeyFormat`. */
export interface HeaderKeyFormat {
  readonly properCaseWords?: Message;
  readonly statefulFormatter?: TypedExtensionConfig;
}

/** `envoy.config.core.v3.Http2ProtocolOptions`. */
export interface Http2ProtocolOptions {
  readonly hpackTableSize?: number;
  readonly maxConcurrentStreams?: number;
  readonly initialStreamWindowSize?: number;
  readonly initialConnectionWindowSize?: number;
  readonly allowConnect?: boolean;
  readonly allowMetadata?: boolean;
  readonly maxOutboundFrames?: number;
  readonly maxOutboundControlFrames?: number;
  readonly maxConsecutiveInboundFramesWithEmptyPayload?: number;
  readonly maxInboundPriorityFramesPerStream?: number;
  readonly maxInboundWindowUpdateFramesPerDataFrameSent?: number;
  readonly overrideStreamErrorOnInvalidHttpMessage?: boolean;
  readonly customSettingsParameters?: readonly Message[];
  readonly connectionKeepalive?: KeepaliveSettings;
  readonly useOghttp2Codec?: boolean;
  readonly maxMetadataSize?: Int64;
  readonly enableHuffmanEncoding?: boolean;
  // Deprecated in Envoy, still accepted.
  readonly streamErrorOnInvalidHttpMessaging?: boolean;
}

/** `envoy.config.core.v3.KeepaliveSettings`. */
export interface KeepaliveSettings {
  readonly interval?: DurationMs;
  readonly timeout?: DurationMs;
  readonly intervalJitter?: Percent;
  readonly connectionIdleInterval?: DurationMs;
}

/** `envoy.config.core.v3.UpstreamHttpProtocolOptions`. */
export interface UpstreamHttpProtocolOptions {
  readonly autoSni?: boolean;
  readonly autoSanValidation?: boolean;
  readonly overrideAutoSniHeader?: string;
}

/** `envoy.config.core.v3.SchemeHeaderTransformation`. */
export interface SchemeHeaderTransformation {
  readonly schemeToOverwrite?: string;
  readonly matchUpstream?: boolean;
}

// ---- access logs ---------------------------------------------------------------------------------------------------------------------------------

/** `envoy.config.core.v3.SubstitutionFormatString`. */
export interface SubstitutionFormatString {
  readonly jsonFormat?: Struct;
  readonly textFormatSource?: DataSource;
  readonly omitEmptyValues?: boolean;
  readonly contentType?: string;
  readonly formatters?: readonly TypedExtensionConfig[];
  readonly jsonFormatOptions?: JsonFormatOptions;
  // Deprecated in Envoy, still accepted.
  readonly textFormat?: string;
}

/** `envoy.config.core.v3.JsonFormatOptions`. */
export interface JsonFormatOptions {
  readonly sortProperties?: boolean;
}

/** `envoy.config.accesslog.v3.AccessLog`. */
export interface AccessLog {
  readonly name?: string;
  readonly filter?: AccessLogFilter;
  readonly typedConfig?: Any;
}

/** `envoy.config.accesslog.v3.AccessLogFilter`. */
export interface AccessLogFilter {
  readonly statusCodeFilter?: StatusCodeFilter;
  readonly durationFilter?: DurationFilter;
  readonly notHealthCheckFilter?: Message;
  readonly traceableFilter?: Message;
  readonly runtimeFilter?: RuntimeFilter;
  readonly andFilter?: AndFilter;
  readonly orFilter?: OrFilter;
  readonly headerFilter?: HeaderFilter;
  readonly responseFlagFilter?: ResponseFlagFilter;
  readonly grpcStatusFilter?: GrpcStatusFilter;
  readonly extensionFilter?: ExtensionFilter;
  readonly metadataFilter?: MetadataFilter;
  readonly logTypeFilter?: LogTypeFilter;
}

/** `envoy.config.accesslog.v3.ComparisonFilter`. */
export interface ComparisonFilter {
  readonly op?: 'EQ' | 'GE' | 'LE';
  readonly value?: RuntimeUInt32;
}

/** `envoy.config.accesslog.v3.StatusCodeFilter`. */
export interface StatusCodeFilter {
  readonly comparison?: ComparisonFilter;
}

/** `envoy.config.accesslog.v3.DurationFilter`. */
export interface DurationFilter {
  readonly comparison?: ComparisonFilter;
}

/** `envoy.config.accesslog.v3.RuntimeFilter`. */
export interface RuntimeFilter {
  readonly runtimeKey?: string;
  readonly percentSampled?: FractionalPercent;
  readonly useIndependentRandomness?: boolean;
}

/** `envoy.config.accesslog.v3.AndFilter`. */
export interface AndFilter {
  readonly filters?: readonly AccessLogFilter[];
}

/** `envoy.config.accesslog.v3.OrFilter`. */
export interface OrFilter {
  readonly filters?: readonly AccessLogFilter[];
}

/** `envoy.config.accesslog.v3.HeaderFilter`. */
export interface HeaderFilter {
  readonly header?: HeaderMatcher;
}

/** `envoy.config.accesslog.v3.ResponseFlagFilter`. */
export interface ResponseFlagFilter {
  readonly flags?: readonly string[];
}

/** `envoy.extensions.filters.http.grpc_stats.v3.FilterConfig`. */
export interface GrpcStatsConfig {
  readonly emitFilterState?: boolean;
  readonly individualMethodStatsAllowlist?: GrpcMethodList;
  readonly statsForAllMethods?: boolean;
  readonly enableUpstreamStats?: boolean;
  readonly replaceDotsInGrpcServiceName?: boolean;
}
/** `envoy.config.core.v3.GrpcMethodList`. */
export interface GrpcMethodList {
  readonly services?: readonly { readonly name?: string; readonly methodNames?: readonly string[] }[];
}
/** `envoy.extensions.filters.http.grpc_http1_bridge.v3.Config`. */
export interface GrpcBridgeConfig {
  readonly upgradeProtobufToGrpc?: boolean;
  readonly ignoreQueryParameters?: boolean;
}
/** `envoy.config.route.v3.FilterConfig`. */
export interface RouteFilterConfig {
  readonly config?: Any;
  readonly isOptional?: boolean;
  readonly disabled?: boolean;
}

/** `envoy.config.accesslog.v3.GrpcStatusFilter`. */
export interface GrpcStatusFilter {
  readonly statuses?: readonly (
    | 'OK'
    | 'CANCELED'
    | 'UNKNOWN'
    | 'INVALID_ARGUMENT'
    | 'DEADLINE_EXCEEDED'
    | 'NOT_FOUND'
    | 'ALREADY_EXISTS'
    | 'PERMISSION_DENIED'
    | 'RESOURCE_EXHAUSTED'
    | 'FAILED_PRECONDITION'
    | 'ABORTED'
    | 'OUT_OF_RANGE'
    | 'UNIMPLEMENTED'
    | 'INTERNAL'
    | 'UNAVAILABLE'
    | 'DATA_LOSS'
    | 'UNAUTHENTICATED'
  )[];
  readonly exclude?: boolean;
}

/** `envoy.config.accesslog.v3.LogTypeFilter`. */
export interface LogTypeFilter {
  readonly types?: readonly (
    | 'NotSet'
    | 'TcpUpstreamConnected'
    | 'TcpPeriodic'
    | 'TcpConnectionEnd'
    | 'DownstreamStart'
    | 'DownstreamPeriodic'
    | 'DownstreamEnd'
    | 'UpstreamPoolReady'
    | 'UpstreamPeriodic'
    | 'UpstreamEnd'
    | 'DownstreamTunnelSuccessfullyEstablished'
    | 'UdpTunnelUpstreamConnected'
    | 'UdpPeriodic'
    | 'UdpSessionEnd'
  )[];
  readonly exclude?: boolean;
}

/** `envoy.config.accesslog.v3.MetadataFilter`. */
export interface MetadataFilter {
  readonly matcher?: MetadataMatcher;
  readonly matchIfKeyNotFound?: boolean;
}

/** `envoy.config.accesslog.v3.ExtensionFilter`. */
export interface ExtensionFilter {
  readonly name?: string;
  readonly typedConfig?: Any;
}

/** `envoy.extensions.access_loggers.file.v3.FileAccessLog`. */
export interface FileAccessLog {
  readonly path?: string;
  readonly logFormat?: SubstitutionFormatString;
  // Deprecated in Envoy, still accepted.
  readonly format?: string;
  readonly jsonFormat?: Struct;
  readonly typedJsonFormat?: Struct;
}

/** `envoy.extensions.access_loggers.stream.v3.StdoutAccessLog`. */
export interface StdoutAccessLog {
  readonly logFormat?: SubstitutionFormatString;
}

/** `envoy.extensions.access_loggers.stream.v3.StderrAccessLog`. */
export interface StderrAccessLog {
  readonly logFormat?: SubstitutionFormatString;
}

// ---- listeners -----------------------------------------------------------------------------------------------------------------------------------

/** `envoy.config.listener.v3.Listener`. */
export interface Listener {
  readonly name?: string;
  readonly address?: Address;
  readonly additionalAddresses?: readonly ListenerAddress[];
  readonly statPrefix?: string;
  readonly filterChains?: readonly FilterChain[];
  readonly filterChainMatcher?: Message;
  readonly useOriginalDst?: boolean;
  readonly defaultFilterChain?: FilterChain;
  readonly perConnectionBufferLimitBytes?: number;
  readonly metadata?: Metadata;
  readonly drainType?: 'DEFAULT' | 'MODIFY_ONLY';
  readonly listenerFilters?: readonly ListenerFilter[];
  readonly listenerFiltersTimeout?: DurationMs;
  readonly continueOnListenerFiltersTimeout?: boolean;
  readonly transparent?: boolean;
  readonly freebind?: boolean;
  readonly socketOptions?: readonly SocketOption[];
  readonly tcpFastOpenQueueLength?: number;
  readonly trafficDirection?: 'UNSPECIFIED' | 'INBOUND' | 'OUTBOUND';
  readonly udpListenerConfig?: Message;
  readonly apiListener?: Message;
  readonly connectionBalanceConfig?: ConnectionBalanceConfig;
  readonly enableReusePort?: boolean;
  readonly accessLog?: readonly AccessLog[];
  readonly tcpBacklogSize?: number;
  readonly maxConnectionsToAcceptPerSocketEvent?: number;
  readonly bindToPort?: boolean;
  readonly internalListener?: Message;
  readonly enableMptcp?: boolean;
  readonly ignoreGlobalConnLimit?: boolean;
  readonly bypassOverloadManager?: boolean;
  readonly fcdsConfig?: Message;
  // Deprecated in Envoy, still accepted.
  readonly deprecatedV1?: ListenerDeprecatedV1;
  readonly reusePort?: boolean;
}

/** `envoy.config.listener.v3.Listener.DeprecatedV1`. */
export interface ListenerDeprecatedV1 {
  readonly bindToPort?: boolean;
}

/** `envoy.config.listener.v3.Listener.ConnectionBalanceConfig`. */
export interface ConnectionBalanceConfig {
  readonly exactBalance?: Message;
  readonly extendBalance?: TypedExtensionConfig;
}

/** `envoy.config.listener.v3.AdditionalAddress`. */
export interface ListenerAddress {
  readonly address?: Address;
  readonly socketOptions?: SocketOptionsOverride;
}

/** `envoy.config.listener.v3.ListenerFilter`. */
export interface ListenerFilter {
  readonly name?: string;
  readonly typedConfig?: Any;
  readonly configDiscovery?: Message;
  readonly filterDisabled?: ListenerMatchPredicate;
}

/** `envoy.config.listener.v3.ListenerFilterChainMatchPredicate`. */
export interface ListenerMatchPredicate {
  readonly orMatch?: ListenerMatchSet;
  readonly andMatch?: ListenerMatchSet;
  readonly notMatch?: ListenerMatchPredicate;
  readonly anyMatch?: boolean;
  readonly destinationPortRange?: Int32Range;
}

/** `envoy.config.listener.v3.ListenerFilterChainMatchPredicate.MatchSet`. */
export interface ListenerMatchSet {
  readonly rules?: readonly ListenerMatchPredicate[];
}

/** `envoy.config.listener.v3.FilterChain`. */
export interface FilterChain {
  readonly filterChainMatch?: FilterChainMatch;
  readonly filters?: readonly Filter[];
  readonly metadata?: Metadata;
  readonly transportSocket?: TransportSocket;
  readonly transportSocketConnectTimeout?: DurationMs;
  readonly name?: string;
  readonly onDemandConfiguration?: Message;
  // Deprecated in Envoy, still accepted.
  readonly useProxyProto?: boolean;
}

/** `envoy.config.listener.v3.FilterChainMatch`. */
export interface FilterChainMatch {
  readonly destinationPort?: number;
  readonly prefixRanges?: readonly CidrRange[];
  readonly addressSuffix?: string;
  readonly suffixLen?: number;
  readonly directSourcePrefixRanges?: readonly CidrRange[];
  readonly sourceType?: 'ANY' | 'SAME_IP_OR_LOOPBACK' | 'EXTERNAL';
  readonly sourcePrefixRanges?: readonly CidrRange[];
  readonly sourcePorts?: readonly number[];
  readonly serverNames?: readonly string[];
  readonly transportProtocol?: string;
  readonly applicationProtocols?: readonly string[];
}

/** `envoy.config.listener.v3.Filter`. */
export interface Filter {
  readonly name?: string;
  readonly typedConfig?: Any;
  readonly configDiscovery?: Message;
}

// ---- HTTP connection manager ---------------------------------------------------------------------------------------------------------------------

/** `envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager`. */
export interface HttpConnectionManager {
  readonly codecType?: 'AUTO' | 'HTTP1' | 'HTTP2' | 'HTTP3';
  readonly statPrefix?: string;
  readonly rds?: Rds;
  readonly routeConfig?: RouteConfiguration;
  readonly scopedRoutes?: Message;
  readonly httpFilters?: readonly HttpFilter[];
  readonly addUserAgent?: boolean;
  readonly tracing?: HcmTracing;
  readonly commonHttpProtocolOptions?: CommonHttpProtocolOptions;
  readonly httpProtocolOptions?: Http1ProtocolOptions;
  readonly http2ProtocolOptions?: Http2ProtocolOptions;
  readonly http3ProtocolOptions?: Message;
  readonly serverName?: string;
  readonly serverHeaderTransformation?: 'OVERWRITE' | 'APPEND_IF_ABSENT' | 'PASS_THROUGH';
  readonly schemeHeaderTransformation?: SchemeHeaderTransformation;
  readonly maxRequestHeadersKb?: number;
  readonly streamIdleTimeout?: DurationMs;
  readonly requestTimeout?: DurationMs;
  readonly requestHeadersTimeout?: DurationMs;
  readonly drainTimeout?: DurationMs;
  readonly delayedCloseTimeout?: DurationMs;
  readonly accessLog?: readonly AccessLog[];
  readonly accessLogOptions?: HcmAccessLogOptions;
  readonly useRemoteAddress?: boolean;
  readonly xffNumTrustedHops?: number;
  readonly originalIpDetectionExtensions?: readonly TypedExtensionConfig[];
  readonly earlyHeaderMutationExtensions?: readonly TypedExtensionConfig[];
  readonly internalAddressConfig?: InternalAddressConfig;
  readonly skipXffAppend?: boolean;
  readonly via?: string;
  readonly generateRequestId?: boolean;
  readonly preserveExternalRequestId?: boolean;
  readonly alwaysSetRequestIdInResponse?: boolean;
  readonly forwardClientCertDetails?: 'SANITIZE' | 'FORWARD_ONLY' | 'APPEND_FORWARD' | 'SANITIZE_SET' | 'ALWAYS_FORWARD_ONLY';
  readonly setCurrentClientCertDetails?: SetCurrentClientCertDetails;
  readonly proxy100Continue?: boolean;
  readonly representIpv4RemoteAddressAsIpv4MappedIpv6?: boolean;
  readonly upgradeConfigs?: readonly HcmUpgradeConfig[];
  readonly normalizePath?: boolean;
  readonly mergeSlashes?: boolean;
  readonly pathWithEscapedSlashesAction?:
    | 'IMPLEMENTATION_SPECIFIC_DEFAULT'
    | 'KEEP_UNCHANGED'
    | 'REJECT_REQUEST'
    | 'UNESCAPE_AND_REDIRECT'
    | 'UNESCAPE_AND_FORWARD';
  readonly requestIdExtension?: RequestIDExtension;
  readonly localReplyConfig?: LocalReplyConfig;
  readonly stripMatchingHostPort?: boolean;
  readonly stripAnyHostPort?: boolean;
  readonly streamErrorOnInvalidHttpMessage?: boolean;
  readonly pathNormalizationOptions?: PathNormalizationOptions;
  readonly stripTrailingHostDot?: boolean;
  readonly proxyStatusConfig?: ProxyStatusConfig;
  readonly typedHeaderValidationConfig?: TypedExtensionConfig;
  readonly appendXForwardedPort?: boolean;
  readonly appendLocalOverload?: boolean;
  readonly addProxyProtocolConnectionState?: boolean;
  readonly http1SafeMaxConnectionDuration?: boolean;
  // Deprecated in Envoy, still accepted.
  readonly accessLogFlushInterval?: DurationMs;
  readonly flushAccessLogOnNewRequest?: boolean;
}

/** `envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.UpgradeConfig`. */
export interface HcmUpgradeConfig {
  readonly upgradeType?: string;
  readonly filters?: readonly HttpFilter[];
  readonly enabled?: boolean;
}

/** `envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.SetCurrentClientCertDetails`. */
export interface SetCurrentClientCertDetails {
  readonly subject?: boolean;
  readonly cert?: boolean;
  readonly chain?: boolean;
  readonly dns?: boolean;
  readonly uri?: boolean;
}

/** `envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.InternalAddressConfig`. */
export interface InternalAddressConfig {
  readonly unixSockets?: boolean;
  readonly cidrRanges?: readonly CidrRange[];
}

/** `envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.PathNormalizationOptions`. */
export interface PathNormalizationOptions {
  readonly forwardingTransformation?: Message;
  readonly httpFilterTransformation?: Message;
}

/** `envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.HcmAccessLogOptions`. */
export interface HcmAccessLogOptions {
  readonly accessLogFlushInterval?: DurationMs;
  readonly flushAccessLogOnNewRequest?: boolean;
  readonly flushLogOnTunnelSuccessfullyEstablished?: boolean;
}

/** `envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.ProxyStatusConfig`. */
export interface ProxyStatusConfig {
  readonly removeDetails?: boolean;
  readonly removeConnectionTerminationDetails?: boolean;
  readonly removeResponseFlags?: boolean;
  readonly setRecommendedResponseCode?: boolean;
  readonly useNodeId?: boolean;
  readonly literalProxyName?: string;
}

/** `envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.Tracing`. */
export interface HcmTracing {
  readonly clientSampling?: Percent;
  readonly randomSampling?: Percent;
  readonly overallSampling?: Percent;
  readonly verbose?: boolean;
  readonly maxPathTagLength?: number;
  readonly customTags?: readonly Message[];
  readonly provider?: Message;
  readonly spawnUpstreamSpan?: boolean;
}

/** `envoy.extensions.filters.network.http_connection_manager.v3.LocalReplyConfig`. */
export interface LocalReplyConfig {
  readonly mappers?: readonly ResponseMapper[];
  readonly bodyFormat?: SubstitutionFormatString;
}

/** `envoy.extensions.filters.network.http_connection_manager.v3.ResponseMapper`. */
export interface ResponseMapper {
  readonly filter?: AccessLogFilter;
  readonly statusCode?: number;
  readonly body?: DataSource;
  readonly bodyFormatOverride?: SubstitutionFormatString;
  readonly headersToAdd?: readonly HeaderValueOption[];
}

/** `envoy.extensions.filters.network.http_connection_manager.v3.RequestIDExtension`. */
export interface RequestIDExtension {
  readonly typedConfig?: Any;
}

/** `envoy.extensions.filters.network.http_connection_manager.v3.Rds`. */
export interface Rds {
  readonly configSource?: ConfigSource;
  readonly routeConfigName?: string;
}

/** `envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter`. */
export interface HttpFilter {
  readonly name?: string;
  readonly typedConfig?: Any;
  readonly configDiscovery?: Message;
  readonly isOptional?: boolean;
  readonly disabled?: boolean;
}

/** `envoy.extensions.filters.http.router.v3.Router`. */
export interface Router {
  readonly dynamicStats?: boolean;
  readonly upstreamLog?: readonly AccessLog[];
  readonly upstreamLogOptions?: Message;
  readonly suppressEnvoyHeaders?: boolean;
  readonly strictCheckHeaders?: readonly string[];
  readonly respectExpectedRqTimeout?: boolean;
  readonly suppressGrpcRequestFailureCodeStats?: boolean;
  readonly upstreamHttpFilters?: readonly HttpFilter[];
  readonly rejectConnectRequestEarlyData?: boolean;
  // Deprecated in Envoy, still accepted.
  readonly startChildSpan?: boolean;
}

// ---- TCP proxy -----------------------------------------------------------------------------------------------------------------------------------

/** `envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy`. */
export interface TcpProxy {
  readonly statPrefix?: string;
  readonly cluster?: string;
  readonly weightedClusters?: TcpWeightedCluster;
  readonly onDemand?: Message;
  readonly metadataMatch?: Metadata;
  readonly idleTimeout?: DurationMs;
  readonly downstreamIdleTimeout?: DurationMs;
  readonly upstreamIdleTimeout?: DurationMs;
  readonly accessLog?: readonly AccessLog[];
  readonly maxConnectAttempts?: number;
  readonly hashPolicy?: readonly Message[];
  readonly tunnelingConfig?: TunnelingConfig;
  readonly maxDownstreamConnectionDuration?: DurationMs;
  readonly accessLogOptions?: TcpAccessLogOptions;
  readonly backoffOptions?: Message;
  // Deprecated in Envoy, still accepted.
  readonly accessLogFlushInterval?: DurationMs;
  readonly flushAccessLogOnConnected?: boolean;
}

/** `envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.WeightedCluster`. */
export interface TcpWeightedCluster {
  readonly clusters?: readonly TcpClusterWeight[];
}

/** `envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.WeightedCluster.ClusterWeight`. */
export interface TcpClusterWeight {
  readonly name?: string;
  readonly weight?: number;
  readonly metadataMatch?: Metadata;
}

/** `envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.TcpAccessLogOptions`. */
export interface TcpAccessLogOptions {
  readonly accessLogFlushInterval?: DurationMs;
  readonly flushAccessLogOnConnected?: boolean;
}

/** `envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.TunnelingConfig`. */
export interface TunnelingConfig {
  readonly hostname?: string;
  readonly usePost?: boolean;
  readonly headersToAdd?: readonly HeaderValueOption[];
  readonly propagateResponseHeaders?: boolean;
  readonly postPath?: string;
  readonly propagateResponseTrailers?: boolean;
}

// ---- routes --------------------------------------------------------------------------------------------------------------------------------------

/** `envoy.config.route.v3.RouteConfiguration`. */
export interface RouteConfiguration {
  readonly name?: string;
  readonly virtualHosts?: readonly VirtualHost[];
  readonly vhds?: Message;
  readonly internalOnlyHeaders?: readonly string[];
  readonly responseHeadersToAdd?: readonly HeaderValueOption[];
  readonly responseHeadersToRemove?: readonly string[];
  readonly requestHeadersToAdd?: readonly HeaderValueOption[];
  readonly requestHeadersToRemove?: readonly string[];
  readonly mostSpecificHeaderMutationsWins?: boolean;
  readonly validateClusters?: boolean;
  readonly maxDirectResponseBodySizeBytes?: number;
  readonly clusterSpecifierPlugins?: readonly Message[];
  readonly requestMirrorPolicies?: readonly RequestMirrorPolicy[];
  readonly ignorePortInHostMatching?: boolean;
  readonly ignorePathParametersInPathMatching?: boolean;
  readonly typedPerFilterConfig?: Readonly<Record<string, Any>>;
  readonly metadata?: Metadata;
}

/** `envoy.config.route.v3.VirtualHost`. */
export interface VirtualHost {
  readonly name?: string;
  readonly domains?: readonly string[];
  readonly routes?: readonly Route[];
  readonly matcher?: Message;
  readonly requireTls?: 'NONE' | 'EXTERNAL_ONLY' | 'ALL';
  readonly virtualClusters?: readonly VirtualCluster[];
  readonly rateLimits?: readonly Message[];
  readonly requestHeadersToAdd?: readonly HeaderValueOption[];
  readonly requestHeadersToRemove?: readonly string[];
  readonly responseHeadersToAdd?: readonly HeaderValueOption[];
  readonly responseHeadersToRemove?: readonly string[];
  readonly typedPerFilterConfig?: Readonly<Record<string, Any>>;
  readonly includeRequestAttemptCount?: boolean;
  readonly includeAttemptCountInResponse?: boolean;
  readonly retryPolicy?: RetryPolicy;
  readonly retryPolicyTypedConfig?: Any;
  readonly hedgePolicy?: Message;
  readonly includeIsTimeoutRetryHeader?: boolean;
  readonly perRequestBufferLimitBytes?: number;
  readonly requestMirrorPolicies?: readonly RequestMirrorPolicy[];
  readonly metadata?: Metadata;
  readonly requestBodyBufferLimit?: Int64;
  // Deprecated in Envoy, still accepted.
  readonly cors?: Message;
}

/** `envoy.config.route.v3.Route`. */
export interface Route {
  readonly name?: string;
  readonly match?: RouteMatch;
  readonly route?: RouteAction;
  readonly redirect?: RedirectAction;
  readonly directResponse?: DirectResponseAction;
  readonly filterAction?: Message;
  readonly nonForwardingAction?: Message;
  readonly metadata?: Metadata;
  readonly decorator?: Decorator;
  readonly typedPerFilterConfig?: Readonly<Record<string, Any>>;
  readonly requestHeadersToAdd?: readonly HeaderValueOption[];
  readonly requestHeadersToRemove?: readonly string[];
  readonly responseHeadersToAdd?: readonly HeaderValueOption[];
  readonly responseHeadersToRemove?: readonly string[];
  readonly tracing?: Message;
  readonly perRequestBufferLimitBytes?: number;
  readonly statPrefix?: string;
  readonly requestBodyBufferLimit?: Int64;
}

/** `envoy.config.route.v3.RouteMatch`. */
export interface RouteMatch {
  readonly prefix?: string;
  readonly path?: string;
  readonly safeRegex?: RegexMatcher;
  readonly connectMatcher?: Message;
  readonly pathSeparatedPrefix?: string;
  readonly pathMatchPolicy?: TypedExtensionConfig;
  readonly caseSensitive?: boolean;
  readonly runtimeFraction?: RuntimeFractionalPercent;
  readonly headers?: readonly HeaderMatcher[];
  readonly queryParameters?: readonly QueryParameterMatcher[];
  readonly grpc?: Message;
  readonly tlsContext?: TlsContextMatchOptions;
  readonly dynamicMetadata?: readonly MetadataMatcher[];
}

/** `envoy.config.route.v3.RouteMatch.TlsContextMatchOptions`. */
export interface TlsContextMatchOptions {
  readonly presented?: boolean;
  readonly validated?: boolean;
}

/** `envoy.config.route.v3.RouteAction`. */
export interface RouteAction {
  readonly cluster?: string;
  readonly clusterHeader?: string;
  readonly weightedClusters?: WeightedCluster;
  readonly clusterSpecifierPlugin?: string;
  readonly inlineClusterSpecifierPlugin?: Message;
  readonly clusterNotFoundResponseCode?: 'SERVICE_UNAVAILABLE' | 'NOT_FOUND' | 'INTERNAL_SERVER_ERROR';
  readonly metadataMatch?: Metadata;
  readonly prefixRewrite?: string;
  readonly regexRewrite?: RegexMatchAndSubstitute;
  readonly pathRewritePolicy?: TypedExtensionConfig;
  readonly hostRewriteLiteral?: string;
  readonly autoHostRewrite?: boolean;
  readonly hostRewriteHeader?: string;
  readonly hostRewritePathRegex?: RegexMatchAndSubstitute;
  readonly appendXForwardedHost?: boolean;
  readonly timeout?: DurationMs;
  readonly idleTimeout?: DurationMs;
  readonly earlyDataPolicy?: TypedExtensionConfig;
  readonly retryPolicy?: RetryPolicy;
  readonly retryPolicyTypedConfig?: Any;
  readonly requestMirrorPolicies?: readonly RequestMirrorPolicy[];
  readonly priority?: 'DEFAULT' | 'HIGH';
  readonly rateLimits?: readonly Message[];
  readonly hashPolicy?: readonly RouteHashPolicy[];
  readonly upgradeConfigs?: readonly RouteUpgradeConfig[];
  readonly internalRedirectPolicy?: InternalRedirectPolicy;
  readonly hedgePolicy?: Message;
  readonly maxStreamDuration?: MaxStreamDuration;
  // Deprecated in Envoy, still accepted.
  readonly includeVhRateLimits?: boolean;
  readonly cors?: Message;
  readonly maxGrpcTimeout?: DurationMs;
  readonly grpcTimeoutOffset?: DurationMs;
  readonly internalRedirectAction?: 'PASS_THROUGH_INTERNAL_REDIRECT' | 'HANDLE_INTERNAL_REDIRECT';
  readonly maxInternalRedirects?: number;
}

/** `envoy.config.route.v3.RouteAction.RequestMirrorPolicy`. */
export interface RequestMirrorPolicy {
  readonly cluster?: string;
  readonly clusterHeader?: string;
  readonly runtimeFraction?: RuntimeFractionalPercent;
  readonly traceSampled?: boolean;
  readonly disableShadowHostSuffixAppend?: boolean;
}

/** `envoy.config.route.v3.RouteAction.HashPolicy`. */
export interface RouteHashPolicy {
  readonly header?: RouteHashPolicyHeader;
  readonly cookie?: RouteHashPolicyCookie;
  readonly connectionProperties?: RouteHashPolicyConnectionProperties;
  readonly queryParameter?: RouteHashPolicyQueryParameter;
  readonly filterState?: RouteHashPolicyFilterState;
  readonly terminal?: boolean;
}

/** `envoy.config.route.v3.RouteAction.HashPolicy.Header`. */
export interface RouteHashPolicyHeader {
  readonly headerName?: string;
  readonly regexRewrite?: RegexMatchAndSubstitute;
}

/** `envoy.config.route.v3.RouteAction.HashPolicy.Cookie`. */
export interface RouteHashPolicyCookie {
  readonly name?: string;
  readonly ttl?: DurationMs;
  readonly path?: string;
  readonly attributes?: readonly RouteHashPolicyCookieAttribute[];
}

/** `envoy.config.route.v3.RouteAction.HashPolicy.CookieAttribute`. */
export interface RouteHashPolicyCookieAttribute {
  readonly name?: string;
  readonly value?: string;
}

/** `envoy.config.route.v3.RouteAction.HashPolicy.ConnectionProperties`. */
export interface RouteHashPolicyConnectionProperties {
  readonly sourceIp?: boolean;
}

/** `envoy.config.route.v3.RouteAction.HashPolicy.QueryParameter`. */
export interface RouteHashPolicyQueryParameter {
  readonly name?: string;
}

/** `envoy.config.route.v3.RouteAction.HashPolicy.FilterState`. */
export interface RouteHashPolicyFilterState {
  readonly key?: string;
}

/** `envoy.config.route.v3.RouteAction.UpgradeConfig`. */
export interface RouteUpgradeConfig {
  readonly upgradeType?: string;
  readonly enabled?: boolean;
  readonly connectConfig?: ConnectConfig;
}

/** `envoy.config.route.v3.RouteAction.UpgradeConfig.ConnectConfig`. */
export interface ConnectConfig {
  readonly proxyProtocolConfig?: Message;
  readonly allowPost?: boolean;
}

/** `envoy.config.route.v3.RouteAction.MaxStreamDuration`. */
export interface MaxStreamDuration {
  readonly maxStreamDuration?: DurationMs;
  readonly grpcTimeoutHeaderMax?: DurationMs;
  readonly grpcTimeoutHeaderOffset?: DurationMs;
}

/** `envoy.config.route.v3.InternalRedirectPolicy`. */
export interface InternalRedirectPolicy {
  readonly maxInternalRedirects?: number;
  readonly redirectResponseCodes?: readonly number[];
  readonly predicates?: readonly TypedExtensionConfig[];
  readonly allowCrossSchemeRedirect?: boolean;
  readonly responseHeadersToCopy?: readonly string[];
}

/** `envoy.config.route.v3.WeightedCluster`. */
export interface WeightedCluster {
  readonly clusters?: readonly ClusterWeight[];
  readonly runtimeKeyPrefix?: string;
  readonly headerName?: string;
  // Deprecated in Envoy, still accepted.
  readonly totalWeight?: number;
}

/** `envoy.config.route.v3.WeightedCluster.ClusterWeight`. */
export interface ClusterWeight {
  readonly name?: string;
  readonly clusterHeader?: string;
  readonly weight?: number;
  readonly metadataMatch?: Metadata;
  readonly requestHeadersToAdd?: readonly HeaderValueOption[];
  readonly requestHeadersToRemove?: readonly string[];
  readonly responseHeadersToAdd?: readonly HeaderValueOption[];
  readonly responseHeadersToRemove?: readonly string[];
  readonly typedPerFilterConfig?: Readonly<Record<string, Any>>;
  readonly hostRewriteLiteral?: string;
}

/** `envoy.config.route.v3.RedirectAction`. */
export interface RedirectAction {
  readonly httpsRedirect?: boolean;
  readonly schemeRedirect?: string;
  readonly hostRedirect?: string;
  readonly portRedirect?: number;
  readonly pathRedirect?: string;
  readonly prefixRewrite?: string;
  readonly regexRewrite?: RegexMatchAndSubstitute;
  readonly responseCode?: 'MOVED_PERMANENTLY' | 'FOUND' | 'SEE_OTHER' | 'TEMPORARY_REDIRECT' | 'PERMANENT_REDIRECT';
  readonly stripQuery?: boolean;
}

/** `envoy.config.route.v3.DirectResponseAction`. */
export interface DirectResponseAction {
  readonly status?: number;
  readonly body?: DataSource;
}

/** `envoy.config.route.v3.Decorator`. */
export interface Decorator {
  readonly operation?: string;
  readonly propagate?: boolean;
}

/** `envoy.config.route.v3.VirtualCluster`. */
export interface VirtualCluster {
  readonly headers?: readonly HeaderMatcher[];
  readonly name?: string;
}

/** `envoy.config.route.v3.RetryPolicy`. */
export interface RetryPolicy {
  readonly retryOn?: string;
  readonly numRetries?: number;
  readonly perTryTimeout?: DurationMs;
  readonly perTryIdleTimeout?: DurationMs;
  readonly retryPriority?: RetryPriority;
  readonly retryHostPredicate?: readonly RetryHostPredicate[];
  readonly retryOptionsPredicates?: readonly TypedExtensionConfig[];
  readonly hostSelectionRetryMaxAttempts?: Int64;
  readonly retriableStatusCodes?: readonly number[];
  readonly retryBackOff?: RetryBackOff;
  readonly rateLimitedRetryBackOff?: RateLimitedRetryBackOff;
  readonly retriableHeaders?: readonly HeaderMatcher[];
  readonly retriableRequestHeaders?: readonly HeaderMatcher[];
}

/** `envoy.config.route.v3.RetryPolicy.RetryBackOff`. */
export interface RetryBackOff {
  readonly baseInterval?: DurationMs;
  readonly maxInterval?: DurationMs;
}

/** `envoy.config.route.v3.RetryPolicy.RetryPriority`. */
export interface RetryPriority {
  readonly name?: string;
  readonly typedConfig?: Any;
}

/** `envoy.config.route.v3.RetryPolicy.RetryHostPredicate`. */
export interface RetryHostPredicate {
  readonly name?: string;
  readonly typedConfig?: Any;
}

/** `envoy.config.route.v3.RetryPolicy.RateLimitedRetryBackOff`. */
export interface RateLimitedRetryBackOff {
  readonly resetHeaders?: readonly ResetHeader[];
  readonly maxInterval?: DurationMs;
}

/** `envoy.config.route.v3.RetryPolicy.ResetHeader`. */
export interface ResetHeader {
  readonly name?: string;
  readonly format?: 'SECONDS' | 'UNIX_TIMESTAMP';
}

/** `envoy.config.route.v3.HeaderMatcher`. */
export interface HeaderMatcher {
  readonly name?: string;
  readonly rangeMatch?: Int64Range;
  readonly presentMatch?: boolean;
  readonly stringMatch?: StringMatcher;
  readonly invertMatch?: boolean;
  readonly treatMissingHeaderAsEmpty?: boolean;
  // Deprecated in Envoy, still accepted.
  readonly exactMatch?: string;
  readonly safeRegexMatch?: RegexMatcher;
  readonly prefixMatch?: string;
  readonly suffixMatch?: string;
  readonly containsMatch?: string;
}

/** `envoy.config.route.v3.QueryParameterMatcher`. */
export interface QueryParameterMatcher {
  readonly name?: string;
  readonly stringMatch?: StringMatcher;
  readonly presentMatch?: boolean;
}

/** `envoy.type.matcher.v3.MetadataMatcher`. */
export interface MetadataMatcher {
  readonly filter?: string;
  readonly path?: readonly Message[];
  readonly value?: ValueMatcher;
  readonly invert?: boolean;
}

/** `envoy.type.matcher.v3.ValueMatcher`. */
export interface ValueMatcher {
  readonly nullMatch?: Message;
  readonly doubleMatch?: Message;
  readonly stringMatch?: StringMatcher;
  readonly boolMatch?: boolean;
  readonly presentMatch?: boolean;
  readonly listMatch?: Message;
  readonly orMatch?: Message;
}

// ---- clusters ------------------------------------------------------------------------------------------------------------------------------------

/** `envoy.config.cluster.v3.Cluster`. */
export interface Cluster {
  readonly transportSocketMatches?: readonly TransportSocketMatch[];
  readonly name?: string;
  readonly altStatName?: string;
  readonly type?: 'STATIC' | 'STRICT_DNS' | 'LOGICAL_DNS' | 'EDS' | 'ORIGINAL_DST';
  readonly clusterType?: CustomClusterType;
  readonly edsClusterConfig?: EdsClusterConfig;
  readonly connectTimeout?: DurationMs;
  readonly perConnectionBufferLimitBytes?: number;
  readonly lbPolicy?: 'ROUND_ROBIN' | 'LEAST_REQUEST' | 'RING_HASH' | 'RANDOM' | 'MAGLEV' | 'CLUSTER_PROVIDED' | 'LOAD_BALANCING_POLICY_CONFIG';
  readonly loadAssignment?: ClusterLoadAssignment;
  readonly healthChecks?: readonly HealthCheck[];
  readonly circuitBreakers?: CircuitBreakers;
  readonly typedExtensionProtocolOptions?: Readonly<Record<string, Any>>;
  readonly dnsRefreshRate?: DurationMs;
  readonly dnsFailureRefreshRate?: RefreshRate;
  readonly respectDnsTtl?: boolean;
  readonly dnsLookupFamily?: 'AUTO' | 'V4_ONLY' | 'V6_ONLY' | 'V4_PREFERRED' | 'ALL';
  readonly typedDnsResolverConfig?: TypedExtensionConfig;
  readonly waitForWarmOnInit?: boolean;
  readonly outlierDetection?: OutlierDetection;
  readonly cleanupInterval?: DurationMs;
  readonly upstreamBindConfig?: BindConfig;
  readonly lbSubsetConfig?: Message;
  readonly ringHashLbConfig?: RingHashLbConfig;
  readonly maglevLbConfig?: MaglevLbConfig;
  readonly originalDstLbConfig?: OriginalDstLbConfig;
  readonly leastRequestLbConfig?: LeastRequestLbConfig;
  readonly roundRobinLbConfig?: RoundRobinLbConfig;
  readonly commonLbConfig?: CommonLbConfig;
  readonly transportSocket?: TransportSocket;
  readonly metadata?: Metadata;
  readonly upstreamConnectionOptions?: UpstreamConnectionOptions;
  readonly closeConnectionsOnHostHealthFailure?: boolean;
  readonly ignoreHealthOnHostRemoval?: boolean;
  readonly filters?: readonly Message[];
  readonly loadBalancingPolicy?: LoadBalancingPolicy;
  readonly lrsServer?: ConfigSource;
  readonly lrsReportEndpointMetrics?: readonly string[];
  readonly upstreamConfig?: TypedExtensionConfig;
  readonly trackClusterStats?: TrackClusterStats;
  readonly preconnectPolicy?: PreconnectPolicy;
  readonly connectionPoolPerDownstreamConnection?: boolean;
  readonly dnsJitter?: DurationMs;
  // Deprecated in Envoy, still accepted.
  readonly maxRequestsPerConnection?: number;
  readonly upstreamHttpProtocolOptions?: UpstreamHttpProtocolOptions;
  readonly commonHttpProtocolOptions?: CommonHttpProtocolOptions;
  readonly httpProtocolOptions?: Http1ProtocolOptions;
  readonly http2ProtocolOptions?: Http2ProtocolOptions;
  readonly dnsResolvers?: readonly Address[];
  readonly useTcpForDnsLookups?: boolean;
  readonly dnsResolutionConfig?: Message;
  readonly protocolSelection?: 'USE_CONFIGURED_PROTOCOL' | 'USE_DOWNSTREAM_PROTOCOL';
  readonly trackTimeoutBudgets?: boolean;
}

/** `envoy.config.cluster.v3.Cluster.CommonLbConfig`. */
export interface CommonLbConfig {
  readonly healthyPanicThreshold?: Percent;
  readonly zoneAwareLbConfig?: Message;
  readonly localityWeightedLbConfig?: Message;
  readonly updateMergeWindow?: DurationMs;
  readonly ignoreNewHostsUntilFirstHc?: boolean;
  readonly closeConnectionsOnHostSetChange?: boolean;
  readonly consistentHashingLbConfig?: Message;
  readonly overrideHostStatus?: Message;
}

/** `envoy.config.cluster.v3.Cluster.LeastRequestLbConfig`. */
export interface LeastRequestLbConfig {
  readonly choiceCount?: number;
  readonly activeRequestBias?: Message;
  readonly slowStartConfig?: SlowStartConfig;
}

/** `envoy.config.cluster.v3.Cluster.RoundRobinLbConfig`. */
export interface RoundRobinLbConfig {
  readonly slowStartConfig?: SlowStartConfig;
}

/** `envoy.config.cluster.v3.Cluster.SlowStartConfig`. */
export interface SlowStartConfig {
  readonly slowStartWindow?: DurationMs;
  readonly aggression?: Message;
  readonly minWeightPercent?: Percent;
}

/** `envoy.config.cluster.v3.Cluster.RingHashLbConfig`. */
export interface RingHashLbConfig {
  readonly minimumRingSize?: Int64;
  readonly hashFunction?: 'XX_HASH' | 'MURMUR_HASH_2';
  readonly maximumRingSize?: Int64;
}

/** `envoy.config.cluster.v3.Cluster.MaglevLbConfig`. */
export interface MaglevLbConfig {
  readonly tableSize?: Int64;
}

/** `envoy.config.cluster.v3.Cluster.RefreshRate`. */
export interface RefreshRate {
  readonly baseInterval?: DurationMs;
  readonly maxInterval?: DurationMs;
}

/** `envoy.config.cluster.v3.Cluster.EdsClusterConfig`. */
export interface EdsClusterConfig {
  readonly edsConfig?: ConfigSource;
  readonly serviceName?: string;
}

/** `envoy.config.cluster.v3.Cluster.CustomClusterType`. */
export interface CustomClusterType {
  readonly name?: string;
  readonly typedConfig?: Any;
}

/** `envoy.config.cluster.v3.Cluster.OriginalDstLbConfig`. */
export interface OriginalDstLbConfig {
  readonly useHttpHeader?: boolean;
  readonly httpHeaderName?: string;
  readonly upstreamPortOverride?: number;
  readonly metadataKey?: Message;
}

/** `envoy.config.cluster.v3.Cluster.TransportSocketMatch`. */
export interface TransportSocketMatch {
  readonly name?: string;
  readonly match?: Struct;
  readonly transportSocket?: TransportSocket;
}

/** `envoy.config.cluster.v3.Cluster.PreconnectPolicy`. */
export interface PreconnectPolicy {
  readonly perUpstreamPreconnectRatio?: number;
  readonly predictivePreconnectRatio?: number;
}

/** `envoy.config.cluster.v3.TrackClusterStats`. */
export interface TrackClusterStats {
  readonly timeoutBudgets?: boolean;
  readonly requestResponseSizes?: boolean;
  readonly perEndpointStats?: boolean;
}

/** `envoy.config.cluster.v3.CircuitBreakers`. */
export interface CircuitBreakers {
  readonly thresholds?: readonly Thresholds[];
  readonly perHostThresholds?: readonly Thresholds[];
}

/** `envoy.config.cluster.v3.CircuitBreakers.Thresholds`. */
export interface Thresholds {
  readonly priority?: 'DEFAULT' | 'HIGH';
  readonly maxConnections?: number;
  readonly maxPendingRequests?: number;
  readonly maxRequests?: number;
  readonly maxRetries?: number;
  readonly retryBudget?: RetryBudget;
  readonly trackRemaining?: boolean;
  readonly maxConnectionPools?: number;
}

/** `envoy.config.cluster.v3.CircuitBreakers.Thresholds.RetryBudget`. */
export interface RetryBudget {
  readonly budgetPercent?: Percent;
  readonly minRetryConcurrency?: number;
}

/** `envoy.config.cluster.v3.OutlierDetection`. */
export interface OutlierDetection {
  readonly consecutive5xx?: number;
  readonly interval?: DurationMs;
  readonly baseEjectionTime?: DurationMs;
  readonly maxEjectionPercent?: number;
  readonly enforcingConsecutive5xx?: number;
  readonly enforcingSuccessRate?: number;
  readonly successRateMinimumHosts?: number;
  readonly successRateRequestVolume?: number;
  readonly successRateStdevFactor?: number;
  readonly consecutiveGatewayFailure?: number;
  readonly enforcingConsecutiveGatewayFailure?: number;
  readonly splitExternalLocalOriginErrors?: boolean;
  readonly consecutiveLocalOriginFailure?: number;
  readonly enforcingConsecutiveLocalOriginFailure?: number;
  readonly enforcingLocalOriginSuccessRate?: number;
  readonly failurePercentageThreshold?: number;
  readonly enforcingFailurePercentage?: number;
  readonly enforcingFailurePercentageLocalOrigin?: number;
  readonly failurePercentageMinimumHosts?: number;
  readonly failurePercentageRequestVolume?: number;
  readonly maxEjectionTime?: DurationMs;
  readonly maxEjectionTimeJitter?: DurationMs;
  readonly successfulActiveHealthCheckUnejectHost?: boolean;
  readonly monitors?: readonly TypedExtensionConfig[];
  readonly alwaysEjectOneHost?: boolean;
}

/** `envoy.config.core.v3.HealthCheck`. */
export interface HealthCheck {
  readonly timeout?: DurationMs;
  readonly interval?: DurationMs;
  readonly initialJitter?: DurationMs;
  readonly intervalJitter?: DurationMs;
  readonly intervalJitterPercent?: number;
  readonly unhealthyThreshold?: number;
  readonly healthyThreshold?: number;
  readonly altPort?: number;
  readonly reuseConnection?: boolean;
  readonly httpHealthCheck?: HttpHealthCheck;
  readonly tcpHealthCheck?: TcpHealthCheck;
  readonly grpcHealthCheck?: GrpcHealthCheck;
  readonly customHealthCheck?: Message;
  readonly noTrafficInterval?: DurationMs;
  readonly noTrafficHealthyInterval?: DurationMs;
  readonly unhealthyInterval?: DurationMs;
  readonly unhealthyEdgeInterval?: DurationMs;
  readonly healthyEdgeInterval?: DurationMs;
  readonly eventLogger?: readonly TypedExtensionConfig[];
  readonly eventService?: Message;
  readonly alwaysLogHealthCheckFailures?: boolean;
  readonly alwaysLogHealthCheckSuccess?: boolean;
  readonly tlsOptions?: Message;
  readonly transportSocketMatchCriteria?: Struct;
  // Deprecated in Envoy, still accepted.
  readonly eventLogPath?: string;
}

/** `envoy.config.core.v3.HealthCheck.Payload`. */
export interface HealthCheckPayload {
  readonly text?: string;
  readonly binary?: Uint8Array;
}

/** `envoy.config.core.v3.HealthCheck.HttpHealthCheck`. */
export interface HttpHealthCheck {
  readonly host?: string;
  readonly path?: string;
  readonly send?: HealthCheckPayload;
  readonly receive?: readonly HealthCheckPayload[];
  readonly responseBufferSize?: Int64;
  readonly requestHeadersToAdd?: readonly HeaderValueOption[];
  readonly requestHeadersToRemove?: readonly string[];
  readonly expectedStatuses?: readonly Int64Range[];
  readonly retriableStatuses?: readonly Int64Range[];
  readonly codecClientType?: 'HTTP1' | 'HTTP2' | 'HTTP3';
  readonly serviceNameMatcher?: StringMatcher;
  readonly method?: 'METHOD_UNSPECIFIED' | 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE' | 'CONNECT' | 'OPTIONS' | 'TRACE' | 'PATCH';
}

/** `envoy.config.core.v3.HealthCheck.GrpcHealthCheck`. */
export interface GrpcHealthCheck {
  readonly serviceName?: string;
  readonly authority?: string;
  readonly initialMetadata?: readonly HeaderValueOption[];
}

/** `envoy.config.core.v3.HealthCheck.TcpHealthCheck`. */
export interface TcpHealthCheck {
  readonly send?: HealthCheckPayload;
  readonly receive?: readonly HealthCheckPayload[];
  readonly proxyProtocolConfig?: Message;
}

/** `envoy.config.cluster.v3.LoadBalancingPolicy`. */
export interface LoadBalancingPolicy {
  readonly policies?: readonly LoadBalancingPolicyEntry[];
}

/** `envoy.config.cluster.v3.LoadBalancingPolicy.Policy`. */
export interface LoadBalancingPolicyEntry {
  readonly typedExtensionConfig?: TypedExtensionConfig;
}

/** `envoy.config.cluster.v3.UpstreamConnectionOptions`. */
export interface UpstreamConnectionOptions {
  readonly tcpKeepalive?: TcpKeepalive;
  readonly setLocalInterfaceNameOnUpstreamConnections?: boolean;
  readonly happyEyeballsConfig?: Message;
}

/** `envoy.config.endpoint.v3.ClusterLoadAssignment`. */
export interface ClusterLoadAssignment {
  readonly clusterName?: string;
  readonly endpoints?: readonly LocalityLbEndpoints[];
  readonly namedEndpoints?: Readonly<Record<string, Endpoint>>;
  readonly policy?: LoadAssignmentPolicy;
}

/** `envoy.config.endpoint.v3.ClusterLoadAssignment.Policy`. */
export interface LoadAssignmentPolicy {
  readonly dropOverloads?: readonly DropOverload[];
  readonly overprovisioningFactor?: number;
  readonly endpointStaleAfter?: DurationMs;
  readonly weightedPriorityHealth?: boolean;
}

/** `envoy.config.endpoint.v3.ClusterLoadAssignment.Policy.DropOverload`. */
export interface DropOverload {
  readonly category?: string;
  readonly dropPercentage?: FractionalPercent;
}

/** `envoy.config.endpoint.v3.LocalityLbEndpoints`. */
export interface LocalityLbEndpoints {
  readonly locality?: Locality;
  readonly metadata?: Metadata;
  readonly lbEndpoints?: readonly LbEndpoint[];
  readonly loadBalancerEndpoints?: LbEndpointList;
  readonly ledsClusterLocalityConfig?: Message;
  readonly loadBalancingWeight?: number;
  readonly priority?: number;
  readonly proximity?: number;
}

/** `envoy.config.endpoint.v3.LocalityLbEndpoints.LbEndpointList`. */
export interface LbEndpointList {
  readonly lbEndpoints?: readonly LbEndpoint[];
}

/** `envoy.config.endpoint.v3.LbEndpoint`. */
export interface LbEndpoint {
  readonly endpoint?: Endpoint;
  readonly endpointName?: string;
  readonly healthStatus?: 'UNKNOWN' | 'HEALTHY' | 'UNHEALTHY' | 'DRAINING' | 'TIMEOUT' | 'DEGRADED';
  readonly metadata?: Metadata;
  readonly loadBalancingWeight?: number;
}

/** `envoy.config.endpoint.v3.Endpoint`. */
export interface Endpoint {
  readonly address?: Address;
  readonly healthCheckConfig?: HealthCheckConfig;
  readonly hostname?: string;
  readonly additionalAddresses?: readonly EndpointAddress[];
}

/** `envoy.config.endpoint.v3.Endpoint.HealthCheckConfig`. */
export interface HealthCheckConfig {
  readonly portValue?: number;
  readonly hostname?: string;
  readonly address?: Address;
  readonly disableActiveHealthCheck?: boolean;
}

/** `envoy.config.endpoint.v3.Endpoint.AdditionalAddress`. */
export interface EndpointAddress {
  readonly address?: Address;
}

/** `envoy.extensions.upstreams.http.v3.HttpProtocolOptions`. */
export interface HttpProtocolOptions {
  readonly commonHttpProtocolOptions?: CommonHttpProtocolOptions;
  readonly upstreamHttpProtocolOptions?: UpstreamHttpProtocolOptions;
  readonly explicitHttpConfig?: ExplicitHttpConfig;
  readonly useDownstreamProtocolConfig?: UseDownstreamHttpConfig;
  readonly autoConfig?: AutoHttpConfig;
  readonly httpFilters?: readonly HttpFilter[];
  readonly headerValidationConfig?: TypedExtensionConfig;
}

/** `envoy.extensions.upstreams.http.v3.HttpProtocolOptions.ExplicitHttpConfig`. */
export interface ExplicitHttpConfig {
  readonly httpProtocolOptions?: Http1ProtocolOptions;
  readonly http2ProtocolOptions?: Http2ProtocolOptions;
  readonly http3ProtocolOptions?: Message;
}

/** `envoy.extensions.upstreams.http.v3.HttpProtocolOptions.UseDownstreamHttpConfig`. */
export interface UseDownstreamHttpConfig {
  readonly httpProtocolOptions?: Http1ProtocolOptions;
  readonly http2ProtocolOptions?: Http2ProtocolOptions;
  readonly http3ProtocolOptions?: Message;
}

/** `envoy.extensions.upstreams.http.v3.HttpProtocolOptions.AutoHttpConfig`. */
export interface AutoHttpConfig {
  readonly httpProtocolOptions?: Http1ProtocolOptions;
  readonly http2ProtocolOptions?: Http2ProtocolOptions;
  readonly http3ProtocolOptions?: Message;
  readonly alternateProtocolsCacheOptions?: Message;
}

// ---- our own -------------------------------------------------------------------------------------------------------------------------------------

/** `sluice.extensions.filters.network.rpc_proxy.v1.RpcProxy`. */
export interface RpcProxy {
  readonly statPrefix?: string;
  readonly downstreamProtocols?: readonly CodecReference[];
  readonly routeConfig?: RouteConfiguration;
  readonly idleTimeout?: DurationMs;
  readonly maxFrameBytes?: number;
  readonly detectionTimeout?: DurationMs;
  readonly fallbackForUnknownProtocol?: string;
  readonly accessLog?: readonly AccessLog[];
  readonly http?: HttpConnectionManager;
  readonly cutThroughBytes?: number;
}

/** `sluice.extensions.filters.network.rpc_proxy.v1.CodecReference`. */
export interface CodecReference {
  readonly name?: string;
  readonly path?: string;
  readonly package?: string;
}

/** `sluice.extensions.upstreams.rpc.v1.RpcProtocolOptions`. */
export interface RpcProtocolOptions {
  readonly connectionsPerHost?: number;
  readonly maxRequestsInFlight?: number;
  readonly heartbeat?: RpcHeartbeat;
  readonly maxFrameBytes?: number;
}

/** `sluice.extensions.upstreams.rpc.v1.RpcProtocolOptions.Heartbeat`. */
export interface RpcHeartbeat {
  readonly interval?: DurationMs;
  readonly timeout?: DurationMs;
  readonly failures?: number;
}

/** `sluice.extensions.http2.v1.Http2Limits`. */
export interface Http2Limits {
  readonly maxResets?: number;
  readonly resetInterval?: DurationMs;
  readonly maxControlFrames?: number;
  readonly controlFrameInterval?: DurationMs;
  readonly maxContinuationFrames?: number;
  readonly maxHeaderBlockBytes?: number;
  readonly maxSettingsEntries?: number;
  readonly settingsTimeout?: DurationMs;
  readonly maxFrameSize?: number;
}

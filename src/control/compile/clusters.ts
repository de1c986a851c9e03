import { isIP } from 'node:net';
import type { SocketOptions } from '../../network/engine.js';
import type { StreamLimits } from '../../protocol/stream-framing.js';
import type { Breakers, ClusterConfig, EndpointConfig, HttpUpstreamOptions, RpcOptions } from '../../proxy/runtime.js';
import type * as v3 from '../config/types.js';
import { compileAddress, compileSocketAddress, compileSocketOptions } from './common.js';
import { type Fields, typeOf } from './context.js';
import { compileHealthCheck } from './health-check.js';
import { compileHttp1Options } from './http-manager.js';
import { compileHttp2Limits, compileHttp2Options, HTTP2_LIMITS, HTTP2_OPTIONS, headLimits } from './http2-options.js';
import { checkTransportSocket } from './listeners.js';
import { compileRpcOptions, RPC_OPTIONS } from './rpc-proxy.js';

const CLUSTER = 'envoy.config.cluster.v3';
const HTTP_OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';
const CORE = 'envoy.config.core.v3';
const MANAGER = 'envoy.extensions.filters.network.http_connection_manager.v3';
const UPSTREAM_CODEC = 'envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec';

/** Compiles all clusters, by name. One that cannot run is a problem, and left out. `bind`: the cluster manager's default source address. */
export function compileClusters(list: readonly Fields<v3.Cluster>[], bind: Fields<v3.BindConfig> | undefined): Map<string, ClusterConfig> {
  const defaultBind = bind === undefined ? undefined : compileBind(bind);
  const clusters = new Map<string, ClusterConfig>();
  for (const fields of list) {
    const cluster = compileCluster(fields, defaultBind);
    if (clusters.has(cluster.name)) fields.problem('name', `cluster '${cluster.name}' is there twice`, 'DUPLICATE');
    clusters.set(cluster.name, cluster);
  }
  return clusters;
}

interface Bind {
  readonly source: ClusterConfig['source'];
  readonly socket: SocketOptions;
}

function compileCluster(cluster: Fields<v3.Cluster>, defaultBind: Bind | undefined): ClusterConfig {
  const { context } = cluster;
  const name = cluster.get('name') ?? '';
  const discovery = cluster.get('type') ?? 'STATIC';
  if (discovery === 'EDS') {
    cluster.problem('type', 'EDS is not supported; use STATIC or STRICT_DNS', 'UNSUPPORTED');
    cluster.ignore('edsClusterConfig');
  }
  checkTransportSocket(context, cluster.get('transportSocket'), cluster.at('transportSocket'));
  const refreshMs = cluster.get('dnsRefreshRate') ?? 5000;
  const failure = cluster.child('dnsFailureRefreshRate', `${CLUSTER}.Cluster.RefreshRate`);
  // Back-off between the two is the resolver's own.
  failure?.ignore('maxInterval');
  const common = cluster.child('commonLbConfig', `${CLUSTER}.Cluster.CommonLbConfig`);
  const bindFields = cluster.child('upstreamBindConfig', `${CORE}.BindConfig`);
  const bind = bindFields === undefined ? defaultBind : compileBind(bindFields);
  const keepalive = cluster.child('upstreamConnectionOptions', `${CLUSTER}.UpstreamConnectionOptions`)?.child('tcpKeepalive', `${CORE}.TcpKeepalive`);
  const keepAlive =
    keepalive &&
    withoutUndefined({
      idleS: keepalive.get('keepaliveTime'),
      intervalS: keepalive.get('keepaliveInterval'),
      probes: keepalive.get('keepaliveProbes'),
    });
  const healthCheck = compileHealthCheck(cluster);
  const altStatName = cluster.get('altStatName');
  const config: ClusterConfig = {
    name,
    statName: (altStatName === undefined || altStatName === '' ? name : altStatName).replaceAll(':', '_'),
    discovery,
    endpoints: compileEndpoints(cluster, discovery),
    dns: {
      refreshMs,
      respectTtl: cluster.get('respectDnsTtl') === true,
      family: cluster.get('dnsLookupFamily') ?? 'AUTO',
      failureRefreshMs: failure?.get('baseInterval') ?? refreshMs,
    },
    connectTimeoutMs: cluster.get('connectTimeout') ?? 5000,
    ...compileBalancing(cluster, discovery),
    panicThreshold: common?.get('healthyPanicThreshold') === undefined ? 50 : (common.get('healthyPanicThreshold')?.value ?? 0),
    breakers: compileBreakers(cluster),
    bufferLimitBytes: cluster.get('perConnectionBufferLimitBytes') ?? 1024 * 1024,
    ...compileProtocolOptions(cluster),
    ...(healthCheck === undefined ? {} : { healthCheck }),
    socket: { ...bind?.socket, ...(keepAlive === undefined ? {} : { keepAlive }) },
    source: bind?.source,
    configured: cluster.value,
  };
  return config;
}
const withoutUndefined = <T extends object>(value: T): { [K in keyof T]: NonNullable<T[K]> } =>
  Object.fromEntries(Object.entries(value).filter(([, item]) => item !== undefined)) as { [K in keyof T]: NonNullable<T[K]> };

function compileBind(bind: Fields<v3.BindConfig>): Bind {
  const source = bind.child('sourceAddress', `${CORE}.SocketAddress`);
  const compiled = source === undefined ? undefined : compileSocketAddress(source, false);
  const freebind = bind.get('freebind') === true;
  const options = compileSocketOptions(bind.list('socketOptions', `${CORE}.SocketOption`));
  const address = compiled !== undefined && 'ip' in compiled.address ? compiled.address : undefined;
  return {
    source: address === undefined ? undefined : { ip: address.ip, ...(address.port === 0 ? {} : { port: address.port }) },
    socket: { ...options, ...(freebind ? { freebind } : {}) },
  };
}

type Balancing = Pick<ClusterConfig, 'lb' | 'choiceCount'>;
const POLICY = 'envoy.extensions.load_balancing_policies';
function compileBalancing(cluster: Fields<v3.Cluster>, discovery: ClusterConfig['discovery']): Balancing {
  const policy = cluster.get('lbPolicy') ?? 'ROUND_ROBIN';
  const least = cluster.child('leastRequestLbConfig', `${CLUSTER}.Cluster.LeastRequestLbConfig`);
  const roundRobin = cluster.get('roundRobinLbConfig');
  if (roundRobin?.slowStartConfig !== undefined) cluster.problem('roundRobinLbConfig', 'slow start is not supported', 'UNSUPPORTED');
  const choiceCount = least?.get('choiceCount') ?? 2;
  const extensible = compileLoadBalancingPolicy(cluster);
  if (discovery === 'ORIGINAL_DST') {
    if (policy !== 'CLUSTER_PROVIDED') cluster.problem('lbPolicy', 'a cluster of type ORIGINAL_DST needs CLUSTER_PROVIDED');
    return { lb: 'CLUSTER_PROVIDED', choiceCount };
  }
  if (extensible !== undefined) return extensible;
  if (policy === 'CLUSTER_PROVIDED') cluster.problem('lbPolicy', 'CLUSTER_PROVIDED is for clusters of type ORIGINAL_DST');
  else if (policy === 'ROUND_ROBIN' || policy === 'LEAST_REQUEST' || policy === 'RANDOM') return { lb: policy, choiceCount };
  else if (policy !== 'LOAD_BALANCING_POLICY_CONFIG')
    cluster.problem('lbPolicy', `${policy} is not supported; use ROUND_ROBIN, LEAST_REQUEST or RANDOM`, 'UNSUPPORTED');
  else if (cluster.value.loadBalancingPolicy === undefined)
    cluster.problem('loadBalancingPolicy', 'load_balancing_policy is missing', 'MISSING_FIELD');
  return { lb: 'ROUND_ROBIN', choiceCount };
}
/** The first policy that is supported, as Envoy takes it; it goes before `lb_policy`. */
function compileLoadBalancingPolicy(cluster: Fields<v3.Cluster>): Balancing | undefined {
  const policies = cluster.child('loadBalancingPolicy', `${CLUSTER}.LoadBalancingPolicy`)?.list('policies', `${CLUSTER}.LoadBalancingPolicy.Policy`);
  if (policies === undefined) return undefined;
  let result: Balancing | undefined;
  for (const policy of policies) {
    const any = policy.get('typedExtensionConfig')?.typedConfig;
    const type = typeOf(any);
    if (result !== undefined) continue;
    const path = `${policy.at('typedExtensionConfig')}.typed_config`;
    if (type === `${POLICY}.round_robin.v3.RoundRobin` || type === `${POLICY}.random.v3.Random`) {
      cluster.context.fields(any as v3.Any, path, type);
      result = { lb: type.endsWith('Random') ? 'RANDOM' : 'ROUND_ROBIN', choiceCount: 2 };
    } else if (type === `${POLICY}.least_request.v3.LeastRequest`) {
      const least = cluster.context.fields(any as v3.LeastRequestLbConfig, path, type);
      result = { lb: 'LEAST_REQUEST', choiceCount: least.get('choiceCount') ?? 2 };
    }
  }
  if (result === undefined)
    cluster.problem('loadBalancingPolicy', 'none of the policies is supported; use round_robin, least_request or random', 'UNSUPPORTED');
  return result;
}

function compileBreakers(cluster: Fields<v3.Cluster>): ClusterConfig['breakers'] {
  const breakers: Record<'DEFAULT' | 'HIGH', Breakers> = { DEFAULT: DEFAULT_BREAKERS, HIGH: DEFAULT_BREAKERS };
  const fields = cluster.child('circuitBreakers', `${CLUSTER}.CircuitBreakers`);
  for (const threshold of fields?.list('thresholds', `${CLUSTER}.CircuitBreakers.Thresholds`) ?? []) {
    const priority = threshold.get('priority') ?? 'DEFAULT';
    // The first threshold of a priority counts, as in Envoy.
    if (breakers[priority] !== DEFAULT_BREAKERS) {
      threshold.problem('priority', `there is a threshold for ${priority} already`, 'DUPLICATE');
      continue;
    }
    breakers[priority] = {
      maxConnections: threshold.get('maxConnections') ?? DEFAULT_BREAKERS.maxConnections,
      maxPending: threshold.get('maxPendingRequests') ?? DEFAULT_BREAKERS.maxPending,
      maxRequests: threshold.get('maxRequests') ?? DEFAULT_BREAKERS.maxRequests,
      maxRetries: threshold.get('maxRetries') ?? DEFAULT_BREAKERS.maxRetries,
      ...compileRetryBudget(threshold),
    };
  }
  return breakers;
}
function compileRetryBudget(threshold: Fields<v3.Thresholds>): Pick<Breakers, 'retryBudget'> {
  const budget = threshold.child('retryBudget', `${CLUSTER}.CircuitBreakers.Thresholds.RetryBudget`);
  if (budget === undefined) return {};
  return { retryBudget: { percent: budget.get('budgetPercent')?.value ?? 20, minConcurrency: budget.get('minRetryConcurrency') ?? 3 } };
}
const DEFAULT_BREAKERS: Breakers = { maxConnections: 1024, maxPending: 1024, maxRequests: 1024, maxRetries: 3 };

type ProtocolOptions = Pick<
  ClusterConfig,
  | 'http'
  | 'idleTimeoutMs'
  | 'maxRequestsPerConnection'
  | 'maxConnectionDurationMs'
  | 'maxStreamDurationMs'
  | 'maxResponseHeadBytes'
  | 'maxResponseHeaders'
  | 'properCase'
  | 'rpc'
>;
function compileProtocolOptions(cluster: Fields<v3.Cluster>): ProtocolOptions {
  const { context } = cluster;
  let rpc: RpcOptions | undefined;
  let limits: Partial<StreamLimits> | undefined;
  let http = readDeprecatedOptions(cluster);
  for (const [key, any] of Object.entries(cluster.get('typedExtensionProtocolOptions') ?? {})) {
    const path = `${cluster.at('typedExtensionProtocolOptions')}[${JSON.stringify(key)}]`;
    const type = typeOf(any);
    if (type === RPC_OPTIONS) rpc = compileRpcOptions(context.fields(any as v3.RpcProtocolOptions, path, RPC_OPTIONS));
    else if (type === HTTP2_LIMITS) limits = compileHttp2Limits(context.fields(any as v3.Http2Limits, path, HTTP2_LIMITS));
    else if (type === HTTP_OPTIONS) http = readHttpOptions(context.fields(any as v3.HttpProtocolOptions, path, HTTP_OPTIONS), http);
    else context.problem(path, 'UNSUPPORTED', `protocol options '${type === '' ? key : type}' are not supported`);
  }
  if (limits !== undefined && http.protocol === 'http1')
    cluster.problem('typedExtensionProtocolOptions', 'the cluster speaks HTTP/1: the limits of HTTP/2 would have no effect');
  const { common } = http;
  const { properCase } = compileHttp1Options(http.http1);
  const http2 = compileHttp2Options(http.http2);
  const maxResponseHeadBytes = (common?.get('maxResponseHeadersKb') ?? 60) * 1024;
  const maxResponseHeaders = common?.get('maxHeadersCount') ?? 100;
  return {
    ...(rpc === undefined ? {} : { rpc }),
    http: {
      protocol: http.protocol,
      streams: { ...headLimits(maxResponseHeadBytes, maxResponseHeaders), ...http2.streams, ...limits },
      keepAlive: http2.keepAlive,
      maxConcurrentStreams: http2.maxConcurrentStreams ?? 1024,
    },
    idleTimeoutMs: common?.get('idleTimeout') ?? 3_600_000,
    maxRequestsPerConnection: common?.get('maxRequestsPerConnection') ?? cluster.get('maxRequestsPerConnection') ?? 0,
    maxConnectionDurationMs: common?.get('maxConnectionDuration') ?? 0,
    maxStreamDurationMs: common?.get('maxStreamDuration') ?? 0,
    maxResponseHeadBytes,
    maxResponseHeaders,
    properCase,
  };
}

/** How a cluster's hosts are spoken to, as far as it has been read. */
interface HttpOptions {
  readonly protocol: HttpUpstreamOptions['protocol'];
  readonly common: Fields<v3.CommonHttpProtocolOptions> | undefined;
  readonly http1: Fields<v3.Http1ProtocolOptions> | undefined;
  readonly http2: Fields<v3.Http2ProtocolOptions> | undefined;
}

/** The fields of the cluster itself, which are deprecated in Envoy. */
function readDeprecatedOptions(cluster: Fields<v3.Cluster>): HttpOptions {
  const http1 = cluster.child('httpProtocolOptions', `${CORE}.Http1ProtocolOptions`);
  const http2 = cluster.child('http2ProtocolOptions', HTTP2_OPTIONS);
  const followsDownstream = cluster.get('protocolSelection') === 'USE_DOWNSTREAM_PROTOCOL';
  if (http1 !== undefined && http2 !== undefined && !followsDownstream)
    cluster.problem(
      'http2ProtocolOptions',
      'HTTP/1 and HTTP/2 both have options: which is spoken? Leave one out, or say protocol_selection: USE_DOWNSTREAM_PROTOCOL',
    );
  return {
    protocol: followsDownstream ? 'downstream' : http2 === undefined ? 'http1' : 'http2',
    common: cluster.child('commonHttpProtocolOptions', `${CORE}.HttpProtocolOptions`),
    http1,
    http2,
  };
}

/** `HttpProtocolOptions`, which says what is spoken, and goes before the deprecated fields. */
function readHttpOptions(options: Fields<v3.HttpProtocolOptions>, deprecated: HttpOptions): HttpOptions {
  const common = options.child('commonHttpProtocolOptions', `${CORE}.HttpProtocolOptions`) ?? deprecated.common;
  const explicit = options.child('explicitHttpConfig', `${HTTP_OPTIONS}.ExplicitHttpConfig`);
  const downstream = options.child('useDownstreamProtocolConfig', `${HTTP_OPTIONS}.UseDownstreamHttpConfig`);
  const said = explicit ?? downstream;
  if (explicit?.get('http3ProtocolOptions') !== undefined)
    explicit.problem('http3ProtocolOptions', 'HTTP/3 to upstreams is not supported', 'UNSUPPORTED');
  if (options.get('autoConfig') !== undefined) {
    const why = 'the protocol would be chosen by ALPN, which needs TLS; say explicit_http_config or use_downstream_protocol_config';
    options.problem('autoConfig', why, 'UNSUPPORTED');
  }
  const filters = options.list('httpFilters', `${MANAGER}.HttpFilter`);
  for (const filter of filters) {
    const [name = '', type] = [filter.get('name'), typeOf(filter.get('typedConfig'))];
    filter.ignore('isOptional');
    if (type === UPSTREAM_CODEC) continue; // it ends every chain of upstream filters, and does what is done without it
    filter.problem('typedConfig', `upstream HTTP filter '${type === '' ? name : type}' is not supported`, 'UNSUPPORTED');
  }
  const http2 = said?.child('http2ProtocolOptions', HTTP2_OPTIONS);
  return {
    protocol: downstream !== undefined ? 'downstream' : http2 === undefined ? 'http1' : 'http2',
    common,
    http1: said?.child('httpProtocolOptions', `${CORE}.Http1ProtocolOptions`) ?? deprecated.http1,
    http2: http2 ?? deprecated.http2,
  };
}

function compileEndpoints(cluster: Fields<v3.Cluster>, discovery: ClusterConfig['discovery']): EndpointConfig[] {
  const assignment = cluster.child('loadAssignment', 'envoy.config.endpoint.v3.ClusterLoadAssignment');
  if (assignment === undefined) {
    if (discovery === 'STRICT_DNS' || discovery === 'LOGICAL_DNS') cluster.problem('loadAssignment', 'load_assignment is missing', 'MISSING_FIELD');
    return [];
  }
  if (discovery === 'ORIGINAL_DST') cluster.problem('loadAssignment', 'a cluster of type ORIGINAL_DST has no endpoints of its own');
  const policy = assignment.child('policy', 'envoy.config.endpoint.v3.ClusterLoadAssignment.Policy');
  if ((policy?.get('overprovisioningFactor') ?? 140) !== 140)
    policy?.problem('overprovisioningFactor', 'a factor other than 140 is not supported', 'UNSUPPORTED');
  const usesNames = discovery === 'STRICT_DNS' || discovery === 'LOGICAL_DNS';
  const endpoints = assignment.list('endpoints', 'envoy.config.endpoint.v3.LocalityLbEndpoints').flatMap((group) => {
    const { region = '', zone = '', subZone = '' } = group.get('locality') ?? {};
    const priority = group.get('priority') ?? 0;
    // The share of a locality counts only with locality_weighted_lb_config, which is reported where it stands.
    group.ignore('loadBalancingWeight');
    return group.list('lbEndpoints', 'envoy.config.endpoint.v3.LbEndpoint').flatMap((fields): EndpointConfig[] => {
      const endpoint = fields.child('endpoint', 'envoy.config.endpoint.v3.Endpoint');
      const weight = fields.get('loadBalancingWeight') ?? 1;
      const health = fields.get('healthStatus') ?? 'UNKNOWN';
      if (endpoint === undefined) {
        if (fields.value.endpointName === undefined) fields.problem('endpoint', 'endpoint is missing', 'MISSING_FIELD');
        return [];
      }
      const hostname = endpoint.get('hostname') ?? '';
      const addressFields = endpoint.child('address', `${CORE}.Address`);
      if (addressFields === undefined) endpoint.problem('address', 'address is missing', 'MISSING_FIELD');
      const compiled = addressFields === undefined ? undefined : compileAddress(addressFields, true);
      if (compiled === undefined) return [];
      const { address } = compiled;
      if ('ip' in address && !usesNames && isIP(address.ip) === 0) {
        addressFields?.context.problem(
          `${addressFields.path}.socket_address.address`,
          'INVALID',
          `'${address.ip}' is not an IP address; use type STRICT_DNS for host names`,
        );
        return [];
      }
      if (!('ip' in address) && usesNames) addressFields?.problem('pipe', `a cluster of type ${discovery} needs host names`);
      // The name that was configured is what `auto_host_rewrite` sends.
      const named = hostname === '' && 'ip' in address && isIP(address.ip) === 0 ? address.ip : hostname;
      return [{ address, hostname: named, weight, priority, locality: { region, zone, subZone }, health }];
    });
  });
  if (discovery === 'LOGICAL_DNS' && endpoints.length !== 1)
    assignment.problem('endpoints', `LOGICAL_DNS needs exactly one endpoint, not ${endpoints.length}`);
  return endpoints;
}

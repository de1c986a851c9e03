import { isIP } from 'node:net';
import type { SocketOptions } from '../../network/engine.js';
import type { Breakers, ClusterConfig, EndpointConfig, RpcOptions } from '../../proxy/runtime.js';
import type * as v3 from '../config/types.js';
import { compileAddress, compileSocketAddress, compileSocketOptions } from './common.js';
import { type Fields, typeOf } from './context.js';
import { compileHttp1Options } from './http-manager.js';
import { checkTransportSocket } from './listeners.js';
import { compileRpcOptions, RPC_OPTIONS } from './rpc-proxy.js';

const CLUSTER = 'envoy.config.cluster.v3';
const HTTP_OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';
const CORE = 'envoy.config.core.v3';

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
  let common = cluster.child('commonHttpProtocolOptions', `${CORE}.HttpProtocolOptions`);
  let http1 = cluster.child('httpProtocolOptions', `${CORE}.Http1ProtocolOptions`);
  const http2 = cluster.get('http2ProtocolOptions');
  if (http2 !== undefined && cluster.get('protocolSelection') !== 'USE_DOWNSTREAM_PROTOCOL')
    cluster.problem('http2ProtocolOptions', 'HTTP/2 to upstreams is not supported', 'UNSUPPORTED');
  cluster.ignore('protocolSelection');
  for (const [key, any] of Object.entries(cluster.get('typedExtensionProtocolOptions') ?? {})) {
    const path = `${cluster.at('typedExtensionProtocolOptions')}[${JSON.stringify(key)}]`;
    const type = typeOf(any);
    if (type === RPC_OPTIONS) {
      rpc = compileRpcOptions(context.fields(any as v3.RpcProtocolOptions, path, RPC_OPTIONS));
      continue;
    }
    if (type !== HTTP_OPTIONS) {
      context.problem(path, 'UNSUPPORTED', `protocol options '${type === '' ? key : type}' are not supported`);
      continue;
    }
    const options = context.fields(any as v3.HttpProtocolOptions, path, HTTP_OPTIONS);
    common = options.child('commonHttpProtocolOptions', `${CORE}.HttpProtocolOptions`) ?? common;
    const explicit = options.child('explicitHttpConfig', `${HTTP_OPTIONS}.ExplicitHttpConfig`);
    const downstream = options.child('useDownstreamProtocolConfig', `${HTTP_OPTIONS}.UseDownstreamHttpConfig`);
    http1 = (explicit ?? downstream)?.child('httpProtocolOptions', `${CORE}.Http1ProtocolOptions`) ?? http1;
  }
  const { properCase } = compileHttp1Options(http1);
  return {
    ...(rpc === undefined ? {} : { rpc }),
    idleTimeoutMs: common?.get('idleTimeout') ?? 3_600_000,
    maxRequestsPerConnection: common?.get('maxRequestsPerConnection') ?? cluster.get('maxRequestsPerConnection') ?? 0,
    maxConnectionDurationMs: common?.get('maxConnectionDuration') ?? 0,
    maxStreamDurationMs: common?.get('maxStreamDuration') ?? 0,
    maxResponseHeadBytes: 60 * 1024,
    maxResponseHeaders: common?.get('maxHeadersCount') ?? 100,
    properCase,
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

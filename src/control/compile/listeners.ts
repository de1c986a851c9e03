import { type ChainCriteria, type ChainEntry, createChainMatcher } from '../../network/filter-chain-match.js';
import { type CidrRange, parseCidr } from '../../network/ip.js';
import type { StreamLimits } from '../../protocol/stream-framing.js';
import { addressText } from '../../proxy/cluster/host.js';
import { weightedChoice } from '../../proxy/route/weighted-choice.js';
import type { ConnectionLimitConfig, FilterChain, ListenerConfig, TcpProxyConfig } from '../../proxy/runtime.js';
import type * as v3 from '../config/types.js';
import { compileAccessLogs } from './access-logs.js';
import { compileAddress, compileSocketOptions } from './common.js';
import { type CompileContext, type Fields, typeOf } from './context.js';
import { compileHttpManager, HCM } from './http-manager.js';
import { compileHttp2Limits, HTTP2_LIMITS } from './http2-options.js';
import { compileRpcProxy, RPC_PROXY } from './rpc-proxy.js';
import { runtimeBound } from './server-part.js';

const LISTENER = 'envoy.config.listener.v3';
const TCP_PROXY = 'envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy';
const CONNECTION_LIMIT = 'envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit';
const RAW_BUFFER = 'envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer';
const ACCESS_LOG = 'envoy.config.accesslog.v3.AccessLog';
const LISTENER_FILTERS = {
  'envoy.extensions.filters.listener.original_dst.v3.OriginalDst': 'originalDst',
  'envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector': 'tls',
  'envoy.extensions.filters.listener.http_inspector.v3.HttpInspector': 'http',
} as const;
const LISTENER_FILTER_NAMES: Readonly<Record<string, 'originalDst' | 'tls' | 'http'>> = {
  'envoy.filters.listener.original_dst': 'originalDst',
  'envoy.filters.listener.tls_inspector': 'tls',
  'envoy.filters.listener.http_inspector': 'http',
};

/** Compiles all listeners. One that cannot run is a problem, and left out. */
export function compileListeners(list: readonly Fields<v3.Listener>[]): ListenerConfig[] {
  const names = new Set<string>();
  const addresses = new Map<string, string>();
  return list.flatMap((fields) => {
    const listener = compileListener(fields);
    if (listener === undefined) return [];
    if (names.has(listener.name)) fields.problem('name', `listener '${listener.name}' is there twice`, 'DUPLICATE');
    names.add(listener.name);
    for (const address of listener.bindToPort ? listener.addresses : []) {
      const text = addressText(address);
      const other = addresses.get(text);
      if (other !== undefined && !text.endsWith(':0')) fields.problem('address', `${text} is the address of listener '${other}' too`, 'DUPLICATE');
      addresses.set(text, listener.name);
    }
    return [listener];
  });
}

function compileListener(listener: Fields<v3.Listener>): ListenerConfig | undefined {
  const { context } = listener;
  const addressFields = listener.child('address', 'envoy.config.core.v3.Address');
  if (addressFields === undefined && listener.value.apiListener === undefined && listener.value.internalListener === undefined)
    listener.problem('address', 'address is missing', 'MISSING_FIELD');
  const main = addressFields === undefined ? undefined : compileAddress(addressFields, false);
  const additional = listener.list('additionalAddresses', `${LISTENER}.AdditionalAddress`).flatMap((entry) => {
    const address = entry.child('address', 'envoy.config.core.v3.Address');
    return (address === undefined ? undefined : compileAddress(address, false)) ?? [];
  });
  const inspectors = compileListenerFilters(listener);
  const chains = compileChains(listener);
  const options = compileSocketOptions(listener.list('socketOptions', 'envoy.config.core.v3.SocketOption'));
  const [transparent, freebind] = [listener.get('transparent'), listener.get('freebind')];
  const [backlog, maxAcceptsPerWake] = [listener.get('tcpBacklogSize'), listener.get('maxConnectionsToAcceptPerSocketEvent')];
  const reusePort = (listener.get('enableReusePort') ?? listener.get('reusePort') ?? true) && main !== undefined && 'ip' in main.address;
  listener.ignore('reusePort');
  const drainsUnhealthy = (listener.get('drainType') ?? 'DEFAULT') === 'DEFAULT';
  const ignoresGlobalLimit = listener.get('ignoreGlobalConnLimit') === true;
  const useOriginalDst = listener.get('useOriginalDst') === true;
  const timeoutMs = listener.get('listenerFiltersTimeout') ?? 15_000;
  const continueOnTimeout = listener.get('continueOnListenerFiltersTimeout') === true;
  const accessLogs = compileAccessLogs(listener.list('accessLog', ACCESS_LOG));
  const bindToPort = listener.get('bindToPort') ?? listener.get('deprecatedV1')?.bindToPort ?? true;
  listener.ignore('deprecatedV1');
  const [name, statPrefix, bufferLimitBytes] = [
    listener.get('name'),
    listener.get('statPrefix'),
    listener.get('perConnectionBufferLimitBytes') ?? 1024 * 1024,
  ];
  const trafficDirection = listener.get('trafficDirection') ?? 'UNSPECIFIED';
  const maxConnections = runtimeBound(context, `envoy.resource_limits.listener.${name ?? ''}.connection_limit`);
  if (main === undefined) return undefined;
  const text = addressText(main.address);
  return {
    name: name === undefined || name === '' ? text : name,
    statPrefix: statPrefix === undefined || statPrefix === '' ? statAddress(main.address) : statPrefix,
    addresses: [main.address, ...additional.map(({ address }) => address)],
    bindToPort,
    socket: {
      ...options,
      ...(transparent === undefined ? {} : { transparent }),
      ...(freebind === undefined ? {} : { freebind }),
      ...(backlog === undefined ? {} : { backlog }),
      ...(maxAcceptsPerWake === undefined ? {} : { maxAcceptsPerWake }),
      ...(main.mode === undefined ? {} : { mode: main.mode }),
      reusePort,
      dualStack: main.dualStack,
      originalDst: inspectors.originalDst || useOriginalDst,
    },
    useOriginalDst,
    trafficDirection,
    maxConnections,
    ignoresGlobalLimit,
    drainsUnhealthy,
    bufferLimitBytes,
    inspect: { tls: inspectors.tls, http: inspectors.http, timeoutMs, continueOnTimeout },
    matchChain: createChainMatcher(chains.entries, chains.fallback, (kept, dropped) => {
      context.problem(
        listener.at('filterChains'),
        'DUPLICATE',
        `filter chains ${chainName(chains, kept)} and ${chainName(chains, dropped)} match the same connections`,
      );
    }),
    chains: [...chains.entries.map(({ chain }) => chain), ...(chains.fallback === undefined ? [] : [chains.fallback])],
    accessLogs,
    source: listener.value,
  };
}
/** `0.0.0.0_80`: as Envoy names a listener without a prefix of its own. */
const statAddress = (address: ListenerConfig['addresses'][number]) => addressText(address).replaceAll(':', '_');
function chainName(chains: CompiledChains, chain: FilterChain): string {
  const index = chains.entries.findIndex((entry) => entry.chain === chain);
  return chain.name === '' ? `#${index}` : `'${chain.name}'`;
}

function compileListenerFilters(listener: Fields<v3.Listener>): { originalDst: boolean; tls: boolean; http: boolean } {
  const found = { originalDst: false, tls: false, http: false };
  for (const filter of listener.list('listenerFilters', `${LISTENER}.ListenerFilter`)) {
    const [name, any] = [filter.get('name') ?? '', filter.get('typedConfig')];
    const type = typeOf(any);
    const which = type === '' ? LISTENER_FILTER_NAMES[name] : LISTENER_FILTERS[type as keyof typeof LISTENER_FILTERS];
    if (which === undefined)
      filter.problem(any === undefined ? 'name' : 'typedConfig', `listener filter '${type === '' ? name : type}' is not supported`, 'UNSUPPORTED');
    else found[which] = true;
  }
  return found;
}

interface CompiledChains {
  readonly entries: readonly ChainEntry<FilterChain>[];
  readonly fallback: FilterChain | undefined;
}
function compileChains(listener: Fields<v3.Listener>): CompiledChains {
  const names = new Set<string>();
  const entries = listener.list('filterChains', `${LISTENER}.FilterChain`).flatMap((fields) => {
    const match = fields.child('filterChainMatch', `${LISTENER}.FilterChainMatch`);
    const criteria = match === undefined ? ANYTHING : compileCriteria(match);
    const chain = compileChain(fields);
    if (chain !== undefined && chain.name !== '' && names.has(chain.name))
      fields.problem('name', `filter chain '${chain.name}' is there twice`, 'DUPLICATE');
    names.add(chain?.name ?? '');
    return chain === undefined ? [] : [{ criteria, chain }];
  });
  const defaultChain = listener.child('defaultFilterChain', `${LISTENER}.FilterChain`);
  const hasChains = (listener.value.filterChains?.length ?? 0) > 0 || defaultChain !== undefined;
  if (!hasChains && listener.value.filterChainMatcher === undefined && listener.value.apiListener === undefined)
    listener.problem('filterChains', 'there is no filter chain', 'MISSING_FIELD');
  defaultChain?.ignore('filterChainMatch');
  return { entries, fallback: defaultChain === undefined ? undefined : compileChain(defaultChain) };
}

const ANYTHING: ChainCriteria = {
  destinationPort: undefined,
  prefixRanges: [],
  serverNames: [],
  transportProtocol: '',
  applicationProtocols: [],
  directSourcePrefixRanges: [],
  sourceType: 'ANY',
  sourcePrefixRanges: [],
  sourcePorts: [],
};
function compileCriteria(match: Fields<v3.FilterChainMatch>): ChainCriteria {
  const ranges = (name: 'prefixRanges' | 'directSourcePrefixRanges' | 'sourcePrefixRanges'): CidrRange[] =>
    match.list(name, 'envoy.config.core.v3.CidrRange').flatMap((range) => {
      const [prefix, bits] = [range.get('addressPrefix') ?? '', range.get('prefixLen') ?? 0];
      const parsed = parseCidr(prefix, bits);
      if (parsed === undefined) range.problem(undefined, `${prefix}/${bits} is not a range of addresses`);
      return parsed ?? [];
    });
  const serverNames = (match.get('serverNames') ?? []).map((name) => name.toLowerCase());
  serverNames.forEach((name, index) => {
    if (name.replace(/^\*\./, '').includes('*')) {
      match.context.problem(
        `${match.at('serverNames')}[${index}]`,
        'INVALID',
        `'${name}': a wildcard stands for whole labels at the beginning, as in *.example.com`,
      );
    }
  });
  const transportProtocol = match.get('transportProtocol') ?? '';
  if (!['', 'raw_buffer', 'tls'].includes(transportProtocol))
    match.problem('transportProtocol', `'${transportProtocol}' is never detected; use raw_buffer or tls`, 'UNSUPPORTED');
  return {
    destinationPort: match.get('destinationPort'),
    prefixRanges: ranges('prefixRanges'),
    serverNames,
    transportProtocol,
    applicationProtocols: match.get('applicationProtocols') ?? [],
    directSourcePrefixRanges: ranges('directSourcePrefixRanges'),
    sourceType: match.get('sourceType') ?? 'ANY',
    sourcePrefixRanges: ranges('sourcePrefixRanges'),
    sourcePorts: match.get('sourcePorts') ?? [],
  };
}

function compileChain(chain: Fields<v3.FilterChain>): FilterChain | undefined {
  const name = chain.get('name') ?? '';
  checkTransportSocket(chain.context, chain.get('transportSocket'), chain.at('transportSocket'));
  const filters = chain.list('filters', `${LISTENER}.Filter`);
  let filter: FilterChain['filter'] | undefined;
  const connectionLimits: ConnectionLimitConfig[] = [];
  let http2Limits: Partial<StreamLimits> | undefined;
  filters.forEach((fields, index) => {
    const [filterName, any] = [fields.get('name') ?? '', fields.get('typedConfig')];
    const [type, path] = [typeOf(any), fields.at('typedConfig')];
    if (type === CONNECTION_LIMIT || type === HTTP2_LIMITS) {
      if (type === HTTP2_LIMITS) {
        if (http2Limits !== undefined) fields.problem(undefined, 'there are limits of HTTP/2 already', 'DUPLICATE');
        http2Limits = compileHttp2Limits(chain.context.fields(any as v3.Http2Limits, path, HTTP2_LIMITS));
      } else {
        const limit = compileConnectionLimit(chain.context.fields(any as v3.ConnectionLimit, path, CONNECTION_LIMIT));
        if (limit !== undefined) connectionLimits.push(limit);
      }
      if (index === filters.length - 1)
        fields.problem(undefined, `'${filterName}' cannot end the chain: http_connection_manager, rpc_proxy or tcp_proxy does`);
      return;
    }
    if (type !== HCM && type !== TCP_PROXY && type !== RPC_PROXY) {
      fields.problem(
        any === undefined ? undefined : 'typedConfig',
        `network filter '${type === '' ? filterName : type}' is not supported`,
        'UNSUPPORTED',
      );
      return;
    }
    if (index < filters.length - 1) fields.problem(undefined, `'${filterName}' ends the chain: no filter can follow it`);
    if (http2Limits !== undefined && (type === TCP_PROXY || (type === RPC_PROXY && (any as v3.RpcProxy).http === undefined)))
      fields.problem(undefined, `'${filterName}' does not speak HTTP/2: the limits before it would have no effect`);
    filter =
      type === HCM
        ? compileHttpManager(chain.context.fields(any as v3.HttpConnectionManager, path, HCM), http2Limits)
        : type === RPC_PROXY
          ? compileRpcProxy(chain.context.fields(any as v3.RpcProxy, path, RPC_PROXY), http2Limits)
          : compileTcpProxy(chain.context.fields(any as v3.TcpProxy, path, TCP_PROXY));
  });
  if (filters.length === 0) chain.problem('filters', 'there is no filter: connections would be closed at once', 'MISSING_FIELD');
  return filter === undefined ? undefined : { name, filter, connectionLimits };
}

/** Undefined where the runtime, or its default, switches it off. */
function compileConnectionLimit(limit: Fields<v3.ConnectionLimit>): ConnectionLimitConfig | undefined {
  const enabled = limit.child('runtimeEnabled', 'envoy.config.core.v3.RuntimeFeatureFlag');
  const isEnabled = enabled?.get('defaultValue') ?? true;
  const override = limit.context.runtime.get(enabled?.get('runtimeKey') ?? '');
  const maxConnections = limit.get('maxConnections');
  const statPrefix = limit.get('statPrefix') ?? '';
  if (maxConnections === undefined || (typeof override === 'boolean' ? !override : !isEnabled)) return undefined;
  // The place in the configuration is its name: two filters never share a count.
  return { key: limit.path, statPrefix, maxConnections: Number(maxConnections) };
}

/** Only plain text is there. */
export function checkTransportSocket(context: CompileContext, socket: v3.TransportSocket | undefined, path: string): void {
  const type = typeOf(socket?.typedConfig);
  if (socket === undefined || type === RAW_BUFFER || (type === '' && socket.name === 'envoy.transport_sockets.raw_buffer')) return;
  context.problem(path, 'UNSUPPORTED', `transport socket '${type === '' ? (socket.name ?? '') : type}' is not supported`);
}

function compileTcpProxy(proxy: Fields<v3.TcpProxy>): TcpProxyConfig | undefined {
  const { context } = proxy;
  const cluster = proxy.get('cluster');
  const weighted = proxy.child('weightedClusters', `${TCP_PROXY}.WeightedCluster`);
  let chooseCluster: TcpProxyConfig['chooseCluster'] | undefined;
  if (cluster !== undefined && cluster !== '') {
    context.checkCluster(cluster, proxy.at('cluster'));
    chooseCluster = () => cluster;
  } else if (weighted !== undefined) {
    const entries = weighted.list('clusters', `${TCP_PROXY}.WeightedCluster.ClusterWeight`).map((entry) => {
      const item = entry.get('name') ?? '';
      context.checkCluster(item, entry.at('name'));
      return { item, weight: entry.get('weight') ?? 0 };
    });
    chooseCluster = context.attempt(weighted.at('clusters'), () => weightedChoice(entries));
  } else proxy.problem(undefined, 'names no cluster: cluster or weighted_clusters', 'MISSING_FIELD');
  const config = {
    kind: 'tcp',
    statPrefix: proxy.get('statPrefix') ?? '',
    idleTimeoutMs: proxy.get('idleTimeout') ?? 3_600_000,
    maxConnectAttempts: proxy.get('maxConnectAttempts') ?? 1,
    maxConnectionDurationMs: proxy.get('maxDownstreamConnectionDuration') ?? 0,
    accessLogs: compileAccessLogs(proxy.list('accessLog', ACCESS_LOG)),
  } as const;
  return chooseCluster === undefined ? undefined : { ...config, chooseCluster };
}

import type { Codec } from '../../protocol/codec.js';
import type { StreamLimits } from '../../protocol/stream-framing.js';
import type { RpcOptions, RpcProxyConfig } from '../../proxy/runtime.js';
import { type CodecReference, referenceKey } from '../codecs.js';
import { nearest } from '../config/problem.js';
import type * as v3 from '../config/types.js';
import { compileAccessLogs } from './access-logs.js';
import type { Fields } from './context.js';
import { compileHttpManager, HCM } from './http-manager.js';
import { compileRouteTable } from './routes.js';

const PACKAGE = 'sluice.extensions.filters.network.rpc_proxy.v1';
export const RPC_PROXY = `${PACKAGE}.RpcProxy`;
export const RPC_OPTIONS = 'sluice.extensions.upstreams.rpc.v1.RpcProtocolOptions';

/** Compiles the network filter for RPC protocols. Undefined where it cannot run. `limits`: see compileHttpManager. */
export function compileRpcProxy(proxy: Fields<v3.RpcProxy>, limits: Partial<StreamLimits> = {}): RpcProxyConfig | undefined {
  const { context } = proxy;
  const codecs = proxy.list('downstreamProtocols', `${PACKAGE}.CodecReference`).flatMap((reference) => findCodec(reference) ?? []);
  const table = proxy.child('routeConfig', 'envoy.config.route.v3.RouteConfiguration');
  const routes = table === undefined ? undefined : compileRouteTable(table, 'entries');
  const fallbackCluster = proxy.get('fallbackForUnknownProtocol') || undefined;
  if (fallbackCluster !== undefined) context.checkCluster(fallbackCluster, proxy.at('fallbackForUnknownProtocol'));
  const http = proxy.child('http', HCM);
  const config = {
    kind: 'rpc',
    statPrefix: proxy.get('statPrefix') ?? '',
    codecs,
    idleTimeoutMs: proxy.get('idleTimeout') ?? 3_600_000,
    maxFrameBytes: proxy.get('maxFrameBytes'),
    cutThroughBytes: proxy.get('cutThroughBytes') ?? 1_048_576,
    detectTimeoutMs: proxy.get('detectionTimeout') ?? 5000,
    fallbackCluster,
    http: http === undefined ? undefined : compileHttpManager(http, limits),
    accessLogs: compileAccessLogs(proxy.list('accessLog', 'envoy.config.accesslog.v3.AccessLog')),
  } as const;
  return routes === undefined || codecs.length === 0 ? undefined : { ...config, routes };
}

function findCodec(reference: Fields<v3.CodecReference>): Codec | undefined {
  const { codecs } = reference.context;
  const [name, path, packageName] = [reference.get('name'), reference.get('path'), reference.get('package')];
  if (name !== undefined) {
    const codec = codecs.codecs.get(name);
    if (codec === undefined) reference.problem('name', `there is no codec '${name}'`, 'INVALID', nearest(name, codecs.codecs.keys()));
    return codec;
  }
  const key: CodecReference | undefined = path !== undefined ? { path } : packageName !== undefined ? { package: packageName } : undefined;
  if (key === undefined) return undefined; // the loader has said so
  const found = codecs.referenced.get(referenceKey(key));
  if (found !== undefined && !(found instanceof Error)) return found;
  reference.problem(path === undefined ? 'package' : 'path', found?.message ?? 'the codec was not loaded');
  return undefined;
}

/** Compiles the protocol options of a cluster. */
export function compileRpcOptions(options: Fields<v3.RpcProtocolOptions>): RpcOptions {
  const heartbeat = options.child('heartbeat', `${RPC_OPTIONS}.Heartbeat`);
  return {
    connections: options.get('connectionsPerHost') ?? 1,
    maxInFlight: options.get('maxRequestsInFlight') ?? 65_536,
    heartbeat: {
      intervalMs: heartbeat?.get('interval') ?? 15_000,
      timeoutMs: heartbeat?.get('timeout') ?? 1000,
      failures: heartbeat?.get('failures') ?? 3,
    },
    maxFrameBytes: options.get('maxFrameBytes'),
  };
}

import type { FilterOverride, FilterOverrides, HttpFilterConfig } from '../../proxy/http/filters/chain.js';
import { grpcHttp1Bridge } from '../../proxy/http/filters/grpc-http1-bridge.js';
import { grpcStats } from '../../proxy/http/filters/grpc-stats.js';
import { grpcWeb } from '../../proxy/http/filters/grpc-web.js';
import type * as v3 from '../config/types.js';
import { type Fields, typeOf } from './context.js';

const FILTERS = 'envoy.extensions.filters.http';
const ROUTER = `${FILTERS}.router.v3.Router`;
const ROUTE_FILTER = 'envoy.config.route.v3.FilterConfig';

type Create = HttpFilterConfig['create'];
/** The filters by the type of their configuration: each reads it once, and gives what makes the filter in a worker. */
const COMPILERS: Readonly<Record<string, (config: Fields<v3.Any>) => Create>> = {
  [`${FILTERS}.grpc_stats.v3.FilterConfig`]: (config) => compileGrpcStats(config as unknown as Fields<v3.GrpcStatsConfig>),
  [`${FILTERS}.grpc_web.v3.GrpcWeb`]: () => () => grpcWeb,
  [`${FILTERS}.grpc_http1_bridge.v3.Config`]: (config) => compileGrpcBridge(config as unknown as Fields<v3.GrpcBridgeConfig>),
};

/** The filters of a manager before its router, and the router, which must be the last one. A filter that is not known is a problem. */
export function compileHttpFilters(manager: Fields<v3.HttpConnectionManager>): {
  readonly filters: readonly HttpFilterConfig[];
  readonly router: Fields<v3.Router> | undefined;
} {
  const list = manager.list('httpFilters', 'envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter');
  const filters: HttpFilterConfig[] = [];
  const names = new Set<string>();
  let router: Fields<v3.Router> | undefined;
  list.forEach((filter, index) => {
    const [name, any, disabled] = [filter.get('name') ?? '', filter.get('typedConfig'), filter.get('disabled') === true];
    filter.ignore('isOptional');
    if (name !== '' && names.has(name)) filter.problem('name', `HTTP filter '${name}' is there twice`, 'DUPLICATE');
    names.add(name);
    const type = typeOf(any);
    if (type === ROUTER) {
      if (index < list.length - 1) filter.problem(undefined, 'the router must be the last HTTP filter');
      if (disabled) filter.problem('disabled', 'the router cannot be disabled');
      router = manager.context.fields(any as v3.Router, filter.at('typedConfig'), ROUTER);
      return;
    }
    if (!Object.hasOwn(COMPILERS, type)) {
      // Also an optional one: whether its configuration is understood is not the question, whether it acts is.
      filter.problem('typedConfig', `HTTP filter '${type === '' ? name : type}' is not supported`, 'UNSUPPORTED');
      return;
    }
    const create = COMPILERS[type](manager.context.fields(any as v3.Any, filter.at('typedConfig'), type));
    filters.push({ name, disabled, create });
  });
  if (router === undefined && list.length === 0) manager.problem('httpFilters', 'there is no router: add envoy.filters.http.router', 'MISSING_FIELD');
  return { filters, router };
}

/** Makes the overrides of routes. Those that say the same are one object. */
export class OverrideCompiler {
  readonly #known = new Map<string, FilterOverrides>();

  /** Reads the `typed_per_filter_config` of one level, over what the level around it says. */
  read(of: Fields<Pick<v3.Route, 'typedPerFilterConfig'>>, around: FilterOverrides | undefined): FilterOverrides | undefined {
    const entries = Object.entries(of.get('typedPerFilterConfig') ?? {});
    if (entries.length === 0) return around;
    const merged = new Map<string, FilterOverride>(around);
    for (const [name, any] of entries) {
      const path = `${of.at('typedPerFilterConfig')}[${JSON.stringify(name)}]`;
      const type = typeOf(any);
      if (type !== ROUTE_FILTER) {
        of.context.problem(path, 'UNSUPPORTED', `a configuration '${type}' for single routes is not supported; use ${ROUTE_FILTER} with disabled`);
        continue;
      }
      const config = of.context.fields(any as v3.RouteFilterConfig, path, ROUTE_FILTER);
      config.ignore('isOptional');
      const inner = config.get('config');
      if (inner !== undefined && Object.keys(inner).length > 1)
        config.problem('config', `a configuration '${typeOf(inner)}' for single routes is not supported`, 'UNSUPPORTED');
      merged.set(name, { disabled: config.get('disabled') === true });
    }
    const key = JSON.stringify([...merged].sort(([a], [b]) => (a < b ? -1 : 1)));
    const known = this.#known.get(key) ?? merged;
    this.#known.set(key, known);
    return known;
  }
}

function compileGrpcStats(config: Fields<v3.GrpcStatsConfig>): Create {
  const list = config.child('individualMethodStatsAllowlist', 'envoy.config.core.v3.GrpcMethodList');
  const all = config.get('statsForAllMethods') === true;
  const methods = (list?.list('services', 'envoy.config.core.v3.GrpcMethodList.Service') ?? []).flatMap((service) => {
    const name = service.get('name') ?? '';
    return (service.get('methodNames') ?? []).map((method) => `${name}/${method}`);
  });
  const options = {
    methods: all ? ('all' as const) : new Set(methods),
    upstreamTimes: config.get('enableUpstreamStats') === true,
    replaceDots: config.get('replaceDotsInGrpcServiceName') === true,
  };
  return ({ stats }) => grpcStats(stats, options);
}

function compileGrpcBridge(config: Fields<v3.GrpcBridgeConfig>): Create {
  const filter = grpcHttp1Bridge({
    upgradeProtobuf: config.get('upgradeProtobufToGrpc') === true,
    ignoreQuery: config.get('ignoreQueryParameters') === true,
  });
  return () => filter;
}

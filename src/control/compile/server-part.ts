import type { AccessLog } from '../../proxy/access-log/access-log.js';
import type { CreateFileLog } from '../../proxy/access-log/file-access-log.js';
import { compileStringMatch, type StringTest } from '../../proxy/route/matchers.js';
import type * as v3 from '../config/types.js';
import { DEFAULT_BUCKETS } from '../stats/format.js';
import { DEFAULT_TAG_RULES, rulesOf, type TagRule } from '../stats/tags.js';
import { compileAccessLogs } from './access-logs.js';
import { compileAddress, compileStringMatcher } from './common.js';
import { CompileContext, type Fields, typeOf } from './context.js';

const METRICS = 'envoy.config.metrics.v3';
const STRING_MATCHER = 'envoy.type.matcher.v3.StringMatcher';
const FILE_LOG = 'envoy.extensions.access_loggers.file.v3.FileAccessLog';
const DOWNSTREAM_CONNECTIONS = 'envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig';

/** What of a bootstrap is the server's own and not the data path's. */
export interface ServerConfig {
  /** Rules that find tags in names of statistics. */
  readonly tagRules: readonly TagRule[];
  /** False: the statistic is counted, but shown nowhere (`stats_matcher`). */
  readonly showsStat: (name: string) => boolean;
  /** Upper bounds of a histogram's buckets, ascending. */
  readonly bucketsOf: (name: string) => readonly number[];
}

/** Compiles `stats_config`, and checks `admin`. */
export function compileServerPart(root: Fields<v3.Bootstrap>): ServerConfig {
  const admin = root.child('admin', 'envoy.config.bootstrap.v3.Admin');
  if (admin !== undefined) checkAdmin(admin);
  const stats = root.child('statsConfig', `${METRICS}.StatsConfig`);
  return {
    tagRules: compileTags(stats),
    showsStat: compileStatsMatcher(stats?.child('statsMatcher', `${METRICS}.StatsMatcher`)),
    bucketsOf: compileBuckets(stats?.list('histogramBucketSettings', `${METRICS}.HistogramBucketSettings`) ?? []),
  };
}

function checkAdmin(admin: Fields<v3.Admin>): void {
  const address = admin.child('address', 'envoy.config.core.v3.Address');
  if (address !== undefined) compileAddress(address, false);
  compileAdminLog(admin);
}

function compileAdminLog(admin: Fields<v3.Admin>): AccessLog[] {
  const logs = compileAccessLogs(admin.list('accessLog', 'envoy.config.accesslog.v3.AccessLog'));
  const path = admin.get('accessLogPath') ?? '';
  if (path === '') return logs;
  const any = { '@type': `type.googleapis.com/${FILE_LOG}`, path };
  const deprecated = admin.context.fields<v3.AccessLog>({ typedConfig: any }, admin.at('accessLogPath'), 'envoy.config.accesslog.v3.AccessLog');
  return [...logs, ...compileAccessLogs([deprecated])];
}

/** The access logs of the admin server, with the files that they write to. The bootstrap was compiled before: what is wrong with them is known. */
export function compileAdminLogs(bootstrap: v3.Bootstrap, createFileLog: CreateFileLog): AccessLog[] {
  if (bootstrap.admin === undefined) return [];
  return compileAdminLog(new CompileContext({ createFileLog }).fields(bootstrap.admin, 'admin', 'envoy.config.bootstrap.v3.Admin'));
}

function compileTags(stats: Fields<v3.StatsConfig> | undefined): readonly TagRule[] {
  const useDefaults = stats?.get('useAllDefaultTags') ?? true;
  const found: TagRule[] = [];
  for (const tag of stats?.list('statsTags', `${METRICS}.TagSpecifier`) ?? []) {
    const [tagName = '', regex, fixedValue] = [tag.get('tagName'), tag.get('regex'), tag.get('fixedValue')];
    found.push(...(tag.context.attempt(tag.path, () => rulesOf({ tagName, regex, fixedValue }, useDefaults)) ?? []));
  }
  return useDefaults ? [...found, ...DEFAULT_TAG_RULES] : found;
}

/** Envoy makes no statistic that is rejected; here it is only not shown, so that what depends on it (connections for a drain) goes on. */
function compileStatsMatcher(matcher: Fields<v3.StatsMatcher> | undefined): ServerConfig['showsStat'] {
  if (matcher === undefined) return () => true;
  const rejectAll = matcher.get('rejectAll');
  if (rejectAll !== undefined) return () => !rejectAll;
  const tests = (list: Fields<v3.ListStringMatcher> | undefined) =>
    list?.list('patterns', STRING_MATCHER).flatMap((pattern) => testOf(pattern) ?? []);
  const excluded = tests(matcher.child('exclusionList', 'envoy.type.matcher.v3.ListStringMatcher'));
  if (excluded !== undefined) return (name) => !excluded.some((test) => test(name));
  const included = tests(matcher.child('inclusionList', 'envoy.type.matcher.v3.ListStringMatcher'));
  return (name) => included?.some((test) => test(name)) !== false;
}

function compileBuckets(settings: readonly Fields<v3.HistogramBucketSettings>[]): ServerConfig['bucketsOf'] {
  const rules = settings.flatMap((setting) => {
    const match = setting.child('match', STRING_MATCHER);
    const test = match === undefined ? undefined : testOf(match);
    const buckets = [...(setting.get('buckets') ?? [])].sort((a, b) => a - b);
    return test === undefined ? [] : [{ test, buckets }];
  });
  return (name) => rules.find(({ test }) => test(name))?.buckets ?? DEFAULT_BUCKETS;
}

function testOf(fields: Fields<v3.StringMatcher>): StringTest | undefined {
  const match = compileStringMatcher(fields);
  return match === undefined ? undefined : compileStringMatch(match);
}

/**
 * Bound of the downstream connections of the process: of the overload manager's resource monitor, else of the runtime key that Envoy had before it;
 * Infinity where there is none.
 */
export function compileMaxConnections(root: Fields<v3.Bootstrap>): number {
  const { context } = root;
  let bound: number | undefined;
  const manager = root.child('overloadManager', 'envoy.config.overload.v3.OverloadManager');
  // How often pressure is measured; connections are counted as they come.
  manager?.ignore('refreshInterval');
  for (const monitor of manager?.list('resourceMonitors', 'envoy.config.overload.v3.ResourceMonitor') ?? []) {
    const [name = '', any] = [monitor.get('name'), monitor.get('typedConfig')];
    if (typeOf(any) === DOWNSTREAM_CONNECTIONS) {
      const config = context.fields(any as v3.DownstreamConnectionsConfig, monitor.at('typedConfig'), DOWNSTREAM_CONNECTIONS);
      bound = Number(config.get('maxActiveDownstreamConnections') ?? 0);
    } else {
      const what = typeOf(any) === '' ? name : typeOf(any);
      monitor.problem(any === undefined ? 'name' : 'typedConfig', `resource monitor '${what}' is not supported`, 'UNSUPPORTED');
    }
  }
  return bound ?? runtimeBound(context, 'overload.global_downstream_max_connections');
}

/** A bound that a static runtime layer sets; Infinity where it does not. */
export function runtimeBound(context: CompileContext, key: string): number {
  const value = context.runtime.get(key);
  if (value === undefined) return Number.POSITIVE_INFINITY;
  const bound = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  if (typeof bound === 'number' && Number.isInteger(bound) && bound >= 0) return bound;
  context.problem('layered_runtime', 'INVALID', `${key}: ${JSON.stringify(value)} is not a number of connections`);
  return Number.POSITIVE_INFINITY;
}

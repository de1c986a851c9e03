import type { StreamLimits } from '../../protocol/stream-framing.js';
import type { HttpManagerConfig } from '../../proxy/runtime.js';
import type * as v3 from '../config/types.js';
import { compileAccessLogs } from './access-logs.js';
import { type Fields, typeOf } from './context.js';
import { compileHttpFilters } from './http-filters.js';
import { compileHttp2Options, HTTP2_OPTIONS, headLimits } from './http2-options.js';
import { compileRouteTable } from './routes.js';

export const HCM = 'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';
const CODECS = { AUTO: 'auto', HTTP1: 'http1', HTTP2: 'http2' } as const;
const UNDERSCORES = { ALLOW: 'allow', REJECT_REQUEST: 'reject', DROP_HEADER: 'drop' } as const;
/** As the codec of HTTP/2 counts them. */
const UNDERSCORES_WORD = { allow: 0, reject: 1, drop: 2 } as const;

/** Options of HTTP/1 on either side. */
export interface Http1Options {
  readonly acceptHttp10: boolean;
  readonly defaultHostForHttp10: string;
  readonly properCase: boolean;
}
/** Reads `Http1ProtocolOptions`; names keep the case in which they came, so the formatter that preserves it needs nothing. */
export function compileHttp1Options(options: Fields<v3.Http1ProtocolOptions> | undefined): Http1Options {
  if (options?.get('allowAbsoluteUrl') === false)
    options.problem('allowAbsoluteUrl', 'absolute-form targets are always accepted (RFC 9112 §3.2.2)', 'UNSUPPORTED');
  const format = options?.child('headerKeyFormat', 'envoy.config.core.v3.Http1ProtocolOptions.HeaderKeyFormat');
  const formatter = format?.get('statefulFormatter');
  if (
    formatter !== undefined &&
    typeOf(formatter.typedConfig) !== 'envoy.extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig'
  ) {
    format?.problem('statefulFormatter', `header formatter '${formatter.name ?? ''}' is not supported`, 'UNSUPPORTED');
  }
  return {
    acceptHttp10: options?.get('acceptHttp10') === true,
    defaultHostForHttp10: options?.get('defaultHostForHttp10') ?? '',
    properCase: format?.get('properCaseWords') !== undefined,
  };
}

/**
 * Compiles an HTTP connection manager; undefined where it cannot run, which is a problem. Defaults are those Envoy documents, but for the limits of HTTP/2,
 * which are the codec's. `limits`: those of the chain's Http2Limits.
 */
export function compileHttpManager(manager: Fields<v3.HttpConnectionManager>, limits: Partial<StreamLimits> = {}): HttpManagerConfig | undefined {
  const codec = manager.get('codecType') ?? 'AUTO';
  if (codec === 'HTTP3') manager.problem('codecType', 'HTTP3 is not supported; use AUTO, HTTP1 or HTTP2', 'UNSUPPORTED');
  const routeConfig = manager.child('routeConfig', 'envoy.config.route.v3.RouteConfiguration');
  const routes = routeConfig === undefined ? undefined : compileRouteTable(routeConfig);
  if (routeConfig === undefined && manager.value.rds === undefined && manager.value.scopedRoutes === undefined)
    manager.problem('routeConfig', 'route_config is missing', 'MISSING_FIELD');
  const common = manager.child('commonHttpProtocolOptions', 'envoy.config.core.v3.HttpProtocolOptions');
  const http1 = compileHttp1Options(manager.child('httpProtocolOptions', 'envoy.config.core.v3.Http1ProtocolOptions'));
  const http2 = compileHttp2Options(manager.child('http2ProtocolOptions', HTTP2_OPTIONS));
  const maxHeadBytes = (manager.get('maxRequestHeadersKb') ?? 60) * 1024;
  const maxHeaders = common?.get('maxHeadersCount') ?? 100;
  const underscores = UNDERSCORES[common?.get('headersWithUnderscoresAction') ?? 'ALLOW'];
  const { filters, router } = compileHttpFilters(manager);
  const tracing = manager.child('tracing', `${HCM}.Tracing`);
  if (tracing?.value.provider !== undefined) tracing.ignore('provider');
  if (tracing?.value.provider !== undefined)
    tracing.problem('provider', `tracer '${String(tracing.value.provider.name ?? '')}' is not supported`, 'UNSUPPORTED');
  const requestId = manager.get('requestIdExtension')?.typedConfig;
  if (requestId !== undefined && typeOf(requestId) !== 'envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig') {
    manager.problem('requestIdExtension', `request ID extension '${typeOf(requestId)}' is not supported`, 'UNSUPPORTED');
  }
  const upgrades = manager.list('upgradeConfigs', `${HCM}.UpgradeConfig`).flatMap((upgrade) => {
    const type = (upgrade.get('upgradeType') ?? '').toLowerCase();
    return (upgrade.get('enabled') ?? true) ? [type] : [];
  });
  const slashes = manager.get('pathWithEscapedSlashesAction') ?? 'IMPLEMENTATION_SPECIFIC_DEFAULT';
  const stripMatching = manager.get('stripMatchingHostPort') === true;
  const stripAny = manager.get('stripAnyHostPort') === true;
  const config: Omit<HttpManagerConfig, 'routes'> = {
    kind: 'http',
    statPrefix: manager.get('statPrefix') ?? '',
    codec: CODECS[codec === 'HTTP3' ? 'AUTO' : codec],
    streams: {
      ...headLimits(maxHeadBytes, maxHeaders),
      underscores: UNDERSCORES_WORD[underscores],
      ...(http2.maxConcurrentStreams === undefined ? {} : { maxConcurrentStreams: http2.maxConcurrentStreams }),
      ...http2.streams,
      ...limits,
    },
    keepAlive: http2.keepAlive,
    maxHeadBytes,
    maxHeaders,
    ...http1,
    underscores,
    idleTimeoutMs: common?.get('idleTimeout') ?? 3_600_000,
    maxConnectionDurationMs: common?.get('maxConnectionDuration') ?? 0,
    maxRequestsPerConnection: common?.get('maxRequestsPerConnection') ?? 0,
    maxStreamDurationMs: common?.get('maxStreamDuration') ?? 0,
    requestHeadersTimeoutMs: manager.get('requestHeadersTimeout') ?? 0,
    requestTimeoutMs: manager.get('requestTimeout') ?? 0,
    streamIdleTimeoutMs: manager.get('streamIdleTimeout') ?? 300_000,
    drainTimeoutMs: manager.get('drainTimeout') ?? 5000,
    useRemoteAddress: manager.get('useRemoteAddress') === true,
    skipXffAppend: manager.get('skipXffAppend') === true,
    xffTrustedHops: manager.get('xffNumTrustedHops') ?? 0,
    via: manager.get('via') ?? '',
    generateRequestId: manager.get('generateRequestId') ?? true,
    preserveExternalRequestId: manager.get('preserveExternalRequestId') === true,
    alwaysSetRequestIdInResponse: manager.get('alwaysSetRequestIdInResponse') === true,
    serverName: manager.get('serverName') || 'envoy',
    serverHeader: manager.get('serverHeaderTransformation') ?? 'OVERWRITE',
    normalizePath: manager.get('normalizePath') === true,
    mergeSlashes: manager.get('mergeSlashes') === true,
    escapedSlashes: slashes === 'IMPLEMENTATION_SPECIFIC_DEFAULT' ? 'KEEP_UNCHANGED' : slashes,
    stripHostPort: stripAny ? 'any' : stripMatching ? 'matching' : 'none',
    proxy100Continue: manager.get('proxy100Continue') === true,
    upgrades: new Set(upgrades),
    suppressEnvoyHeaders: router?.get('suppressEnvoyHeaders') === true,
    suppressGrpcFailureCodes: router?.get('suppressGrpcRequestFailureCodeStats') === true,
    accessLogs: compileAccessLogs(manager.list('accessLog', 'envoy.config.accesslog.v3.AccessLog')),
    forwardClientCert: manager.get('forwardClientCertDetails') ?? 'SANITIZE',
    filters,
  };
  return routes === undefined || router === undefined ? undefined : { ...config, routes };
}

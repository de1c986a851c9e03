import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeHead } from '../../../test/support/heads.js';
import { Head } from '../../protocol/head.js';
import type { ForwardAction, HttpManagerConfig, RouteInput } from '../../proxy/runtime.js';
import { loadBootstrap } from '../config/index.js';
import { compileConfig } from './index.js';

const HCM = 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';
const ROUTER = '{name: envoy.filters.http.router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}';
const TCP = 'type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy';

interface Parts {
  readonly routes?: string;
  readonly hcm?: string;
  readonly host?: string;
  readonly table?: string;
  readonly listener?: string;
  readonly cluster?: string;
  readonly bootstrap?: string;
}
/** A small configuration with YAML put in at its parts; each part is the inside of a flow mapping. */
function yaml({
  routes = '{match: {prefix: /}, route: {cluster: a}}',
  hcm = '',
  host = '',
  table = '',
  listener = '',
  cluster = '',
  bootstrap = '',
}: Parts): string {
  const also = (text: string) => (text === '' ? '' : `, ${text}`);
  return `
static_resources:
  listeners:
  - {name: main, address: {socket_address: {address: 127.0.0.1, port_value: 8080}}, filter_chains: [{filters: [{name: hcm, typed_config: {"@type": ${HCM},
      stat_prefix: in, http_filters: [${ROUTER}], route_config: {name: r, virtual_hosts: [{name: v, domains: ["*"], routes: [${routes}]${also(host)}}]${also(table)}}${also(hcm)}}}]}]${also(listener)}}
  clusters:
  - {name: a, load_assignment: {cluster_name: a, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 9000}}}}]}]}${also(cluster)}}
  - {name: b}
${bootstrap}
`;
}
function compile(text: string) {
  const loaded = loadBootstrap(text, { file: 'test.yaml' });
  assert.deepEqual(loaded.problems, []);
  assert.ok(loaded.bootstrap);
  return compileConfig(loaded.bootstrap, { source: loaded.source, random: () => 0 });
}
function compiled(parts: Parts) {
  const { config, problems } = compile(yaml(parts));
  assert.deepEqual(problems, []);
  return config;
}
const problemsOf = (parts: Parts) => compile(yaml(parts)).problems.map(({ path, message }) => `${path}: ${message}`);
const manager = (parts: Parts) => compiled(parts).listeners[0].chains[0].filter as HttpManagerConfig;
const NO_HEAD = new Head(new Uint8Array(0), new Int32Array(60));
const input = (path: string): RouteInput => ({ host: 'x', path, scheme: 'http', isConnect: false, upgrade: '', random: 0 });
const routeTo = (parts: Parts, path = '/') => manager(parts).routes.match(NO_HEAD, input(path));
const forward = (parts: Parts, path = '/') => routeTo(parts, path)?.action as ForwardAction;

test('gives every default as Envoy documents it', () => {
  const config = compiled({});
  const [listener] = config.listeners;
  assert.equal(listener.statPrefix, '127.0.0.1_8080');
  assert.equal(listener.bufferLimitBytes, 1024 * 1024);
  assert.equal(listener.socket.reusePort, true);
  assert.deepEqual(listener.inspect, { tls: false, http: false, timeoutMs: 15_000, continueOnTimeout: false });
  const { routes, accessLogs, upgrades, ...http } = listener.chains[0].filter as HttpManagerConfig;
  assert.equal(routes.name, 'r');
  assert.deepEqual([accessLogs, [...upgrades]], [[], []]);
  assert.deepEqual(http, {
    kind: 'http',
    statPrefix: 'in',
    codec: 'auto',
    streams: { maxHeadBytes: 61_440, maxTargetBytes: 61_440, maxHeaders: 100, underscores: 0 },
    keepAlive: undefined,
    maxHeadBytes: 61_440,
    maxHeaders: 100,
    acceptHttp10: false,
    defaultHostForHttp10: '',
    properCase: false,
    underscores: 'allow',
    idleTimeoutMs: 3_600_000,
    maxConnectionDurationMs: 0,
    maxRequestsPerConnection: 0,
    maxStreamDurationMs: 0,
    requestHeadersTimeoutMs: 0,
    requestTimeoutMs: 0,
    streamIdleTimeoutMs: 300_000,
    drainTimeoutMs: 5000,
    useRemoteAddress: false,
    skipXffAppend: false,
    xffTrustedHops: 0,
    via: '',
    generateRequestId: true,
    preserveExternalRequestId: false,
    alwaysSetRequestIdInResponse: false,
    serverName: 'envoy',
    serverHeader: 'OVERWRITE',
    normalizePath: false,
    mergeSlashes: false,
    escapedSlashes: 'KEEP_UNCHANGED',
    stripHostPort: 'none',
    proxy100Continue: false,
    suppressEnvoyHeaders: false,
    suppressGrpcFailureCodes: false,
    forwardClientCert: 'SANITIZE',
    filters: [],
  });
  const { configured, endpoints, ...cluster } = config.clusters.get('a') ?? assert.fail();
  assert.ok(configured);
  assert.deepEqual(endpoints, [
    {
      address: { ip: '127.0.0.1', port: 9000 },
      hostname: '',
      weight: 1,
      priority: 0,
      locality: { region: '', zone: '', subZone: '' },
      health: 'UNKNOWN',
    },
  ]);
  const breakers = { maxConnections: 1024, maxPending: 1024, maxRequests: 1024, maxRetries: 3 };
  assert.deepEqual(cluster, {
    name: 'a',
    statName: 'a',
    discovery: 'STATIC',
    dns: { refreshMs: 5000, respectTtl: false, family: 'AUTO', failureRefreshMs: 5000 },
    connectTimeoutMs: 5000,
    lb: 'ROUND_ROBIN',
    choiceCount: 2,
    panicThreshold: 50,
    breakers: { DEFAULT: breakers, HIGH: breakers },
    bufferLimitBytes: 1024 * 1024,
    http: {
      protocol: 'http1',
      streams: { maxHeadBytes: 61_440, maxTargetBytes: 61_440, maxHeaders: 100 },
      keepAlive: undefined,
      maxConcurrentStreams: 1024,
    },
    idleTimeoutMs: 3_600_000,
    maxRequestsPerConnection: 0,
    maxConnectionDurationMs: 0,
    maxStreamDurationMs: 0,
    maxResponseHeadBytes: 61_440,
    maxResponseHeaders: 100,
    properCase: false,
    socket: {},
    source: undefined,
  });
  const { timeoutMs, retry, priority, clusterNotFoundStatus, rewritePath, rewriteHost } = forward({});
  assert.deepEqual(
    [timeoutMs, retry, priority, clusterNotFoundStatus, rewritePath, rewriteHost],
    [15_000, undefined, 'DEFAULT', 503, undefined, undefined],
  );
});

test('a retry policy has the defaults of Envoy, and that of the route goes before that of the virtual host', () => {
  const host = 'retry_policy: {retry_on: "5xx,connect-failure", num_retries: 7}';
  assert.equal(forward({ host }).retry?.numRetries, 7);
  const { retry } = forward({ host, routes: '{match: {prefix: /}, route: {cluster: a, retry_policy: {retry_on: gateway-error}}}' });
  assert.ok(retry);
  assert.deepEqual([retry.on, retry.numRetries, retry.backoffBaseMs, retry.backoffMaxMs, retry.hostSelectionAttempts], [2, 1, 25, 250, 1]);
});

test('a retry budget has the defaults of Envoy', () => {
  const budgetOf = (fields: string) =>
    compiled({ cluster: `circuit_breakers: {thresholds: [{retry_budget: {${fields}}}]}` }).clusters.get('a')?.breakers.DEFAULT.retryBudget;
  assert.deepEqual(budgetOf(''), { percent: 20, minConcurrency: 3 });
  assert.deepEqual(budgetOf('budget_percent: {value: 35.5}, min_retry_concurrency: 0'), { percent: 35.5, minConcurrency: 0 });
});

test('max_stream_duration of a route: its own, an explicit 0, or that of the manager', () => {
  const of = (fields: string) => forward({ routes: `{match: {prefix: /}, route: {cluster: a${fields}}}` }).maxStreamDurationMs;
  assert.deepEqual(
    [of(''), of(', max_stream_duration: {max_stream_duration: 0s}'), of(', max_stream_duration: {max_stream_duration: 2s}')],
    [undefined, 0, 2000],
  );
  assert.equal(manager({ hcm: 'common_http_protocol_options: {max_stream_duration: 3s}' }).maxStreamDurationMs, 3000);
});

test('a wait that a response asks for is read from the first header that holds one within the bound', () => {
  const { askedBackoffMs } =
    forward({
      routes:
        '{match: {prefix: /}, route: {cluster: a, retry_policy: {rate_limited_retry_back_off: {max_interval: 100s, reset_headers: [{name: X-Reset, format: UNIX_TIMESTAMP}, {name: Retry-After}]}}}}',
    }).retry ?? assert.fail();
  const asked = (lines: Record<string, string>) => askedBackoffMs?.(makeHead({ status: 503 }, Object.entries(lines)), 1000);
  assert.deepEqual(
    (
      [
        {},
        { 'x-reset': '1007' },
        { 'retry-after': '5' },
        { 'x-reset': '999', 'retry-after': '6' },
        { 'retry-after': '101' },
        { 'retry-after': 'Mon' },
      ] as Record<string, string>[]
    ).map(asked),
    [undefined, 7000, 5000, 6000, undefined, undefined],
  );
});

test('weighted clusters share by weight, each with its host', () => {
  const action = forward({
    routes: '{match: {prefix: /}, route: {weighted_clusters: {clusters: [{name: a, weight: 1}, {name: b, weight: 3, host_rewrite_literal: other}]}}}',
  });
  assert.equal(action.chooseCluster(NO_HEAD, 0.24)?.name, 'a');
  const b = action.chooseCluster(NO_HEAD, 0.25);
  assert.deepEqual([b?.name, b?.rewriteHost], ['b', 'other']);
});

const rewrites: [action: string, match: string, from: string, to: string][] = [
  ['prefix_rewrite: /v2', 'prefix: /api', '/api/x?y=1', '/v2/x?y=1'],
  ['prefix_rewrite: /v2', 'path: /api', '/api?y=1', '/v2?y=1'],
  ['prefix_rewrite: /v2', 'safe_regex: {regex: "/api/.*"}', '/api/x?y=1', '/v2?y=1'],
  ['prefix_rewrite: /v2', 'path_separated_prefix: /api', '/api/x', '/v2/x'],
  [
    'regex_rewrite: {pattern: {regex: "^/service/([^/]+)(/.*)$"}, substitution: "\\\\2/instance/\\\\1"}',
    'prefix: /',
    '/service/foo/v1/api?q',
    '/v1/api/instance/foo?q',
  ],
];
for (const [action, match, from, to] of rewrites) {
  test(`rewrites ${from} to ${to}`, () => {
    assert.equal(forward({ routes: `{match: {${match}}, route: {cluster: a, ${action}}}` }, from).rewritePath?.(from), to);
  });
}

test('direct responses and redirects are compiled', () => {
  const direct = routeTo({ routes: '{match: {prefix: /}, direct_response: {status: 418, body: {inline_string: "tea"}}}' })?.action;
  assert.deepEqual(direct, { kind: 'direct', status: 418, body: Buffer.from('tea') });
  const redirect = routeTo({ routes: '{match: {prefix: /}, redirect: {https_redirect: true, response_code: PERMANENT_REDIRECT}}' })?.action;
  assert.ok(redirect?.kind === 'redirect');
  assert.deepEqual([redirect.status, redirect.location('http', 'x', '/a?b')], [308, 'https://x/a?b']);
});

test('require_tls ALL redirects plain requests to https', () => {
  const action = routeTo({ host: 'require_tls: ALL' }, '/a')?.action;
  assert.ok(action?.kind === 'redirect');
  assert.equal(action.location('http', 'x', '/a'), 'https://x/a');
});

test('a TCP proxy is compiled', () => {
  const { config, problems } = compile(`
static_resources:
  listeners:
  - {name: t, address: {socket_address: {address: "::", port_value: 0, ipv4_compat: true}}, default_filter_chain: {filters: [{name: tcp, typed_config: {"@type": ${TCP}, stat_prefix: t, cluster: a}}]}}
  clusters: [{name: a, type: STRICT_DNS, connect_timeout: 0.25s, load_assignment: {cluster_name: a, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: db.local, port_value: 1}}}}]}]}}]
`);
  assert.deepEqual(problems, []);
  const [listener] = config.listeners;
  assert.equal(listener.socket.dualStack, true);
  const address = { ip: '127.0.0.1', port: 1 };
  const chain = listener.matchChain({
    local: address,
    remote: address,
    directRemote: address,
    serverName: '',
    transportProtocol: 'raw_buffer',
    applicationProtocols: [],
  });
  assert.ok(chain?.filter.kind === 'tcp');
  assert.deepEqual([chain.filter.chooseCluster(0.5), chain.filter.idleTimeoutMs, chain.filter.maxConnectAttempts], ['a', 3_600_000, 1]);
  assert.deepEqual([config.clusters.get('a')?.connectTimeoutMs, config.clusters.get('a')?.endpoints[0].hostname], [250, 'db.local']);
});

const L = 'static_resources.listeners[0]';
const MANAGER = `${L}.filter_chains[0].filters[0].typed_config`;
const HOST = `${MANAGER}.route_config.virtual_hosts[0]`;
const ROUTE = `${HOST}.routes[0]`;
const A = 'static_resources.clusters[0]';
const wrong: [title: string, parts: Parts, code: string, path: string, text: RegExp][] = [
  ['an unknown cluster', { routes: '{match: {prefix: /}, route: {cluster: aa}}' }, 'UNKNOWN_CLUSTER', `${ROUTE}.route.cluster`, /no cluster 'aa'/],
  [
    'a hash policy',
    { routes: '{match: {prefix: /}, route: {cluster: a, hash_policy: [{header: {header_name: x}}]}}' },
    'UNSUPPORTED',
    `${ROUTE}.route.hash_policy`,
    /hash_policy is not supported/,
  ],
  [
    'mirroring',
    { routes: '{match: {prefix: /}, route: {cluster: a, request_mirror_policies: [{cluster: b}]}}' },
    'UNSUPPORTED',
    `${ROUTE}.route.request_mirror_policies`,
    /not supported/,
  ],
  [
    'a per-filter configuration',
    { host: 'typed_per_filter_config: {"envoy.filters.http.cors": {"@type": type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy}}' },
    'UNSUPPORTED',
    `${HOST}.typed_per_filter_config["envoy.filters.http.cors"]`,
    /not supported/,
  ],
  [
    'a regular expression that backtracks',
    { routes: '{match: {safe_regex: {regex: "(?=a)"}}, route: {cluster: a}}' },
    'INVALID',
    `${ROUTE}.match.safe_regex.regex`,
    /not supported/,
  ],
  ['a reason for retries that does not exist', { host: 'retry_policy: {retry_on: 5x}' }, 'INVALID', `${HOST}.retry_policy.retry_on`, /'5x'/],
  [
    'a change of the host header',
    { host: 'request_headers_to_add: [{header: {key: host, value: x}}]' },
    'INVALID',
    `${HOST}.request_headers_to_add[0]`,
    /cannot be changed/,
  ],
  [
    'an operator that does not exist',
    { host: 'response_headers_to_add: [{header: {key: x, value: "%NOPE%"}}]' },
    'INVALID',
    `${HOST}.response_headers_to_add[0]`,
    /%NOPE%/,
  ],
  ['HTTP/3 downstream', { hcm: 'codec_type: HTTP3' }, 'UNSUPPORTED', `${MANAGER}.codec_type`, /HTTP3/],
  ['a local reply configuration', { hcm: 'local_reply_config: {mappers: []}' }, 'UNSUPPORTED', `${MANAGER}.local_reply_config`, /not supported/],
  ['a tracer', { hcm: 'tracing: {provider: {name: envoy.tracers.zipkin}}' }, 'UNSUPPORTED', `${MANAGER}.tracing.provider`, /zipkin/],
  [
    'an access logger',
    {
      hcm: 'access_log: [{name: x, typed_config: {"@type": type.googleapis.com/envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig, common_config: {log_name: x, grpc_service: {envoy_grpc: {cluster_name: a}}}}}]',
    },
    'UNSUPPORTED',
    `${MANAGER}.access_log[0].typed_config`,
    /HttpGrpcAccessLogConfig/,
  ],
  [
    'an access log format',
    {
      hcm: 'access_log: [{name: x, typed_config: {"@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, path: /dev/null, log_format: {text_format_source: {inline_string: "%WHAT%"}}}}]',
    },
    'INVALID',
    `${MANAGER}.access_log[0].typed_config.log_format.text_format_source`,
    /%WHAT%/,
  ],
  [
    'a listener filter',
    {
      listener:
        'listener_filters: [{name: p, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol}}]',
    },
    'UNSUPPORTED',
    `${L}.listener_filters[0].typed_config`,
    /ProxyProtocol/,
  ],
  [
    'a chain that matches nothing else',
    {
      listener: `default_filter_chain: {filters: [{name: e, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo}}]}`,
    },
    'UNSUPPORTED',
    `${L}.default_filter_chain.filters[0].typed_config`,
    /Echo/,
  ],
  [
    'TLS to an upstream',
    {
      cluster:
        'transport_socket: {name: tls, typed_config: {"@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext}}',
    },
    'UNSUPPORTED',
    `${A}.transport_socket`,
    /UpstreamTlsContext/,
  ],
  [
    'health checks',
    { cluster: 'health_checks: [{timeout: 1s, interval: 1s, unhealthy_threshold: 1, healthy_threshold: 1, custom_health_check: {name: x}}]' },
    'UNSUPPORTED',
    `${A}.health_checks[0].custom_health_check`,
    /custom_health_check is not supported/,
  ],
  ['outlier detection', { cluster: 'outlier_detection: {}' }, 'UNSUPPORTED', `${A}.outlier_detection`, /not supported/],
  ['a ring hash', { cluster: 'lb_policy: RING_HASH' }, 'UNSUPPORTED', `${A}.lb_policy`, /RING_HASH/],
  ['dynamic resources', { bootstrap: 'dynamic_resources: {lds_config: {ads: {}}}' }, 'UNSUPPORTED', 'dynamic_resources', /not supported/],
];
for (const [title, parts, code, path, text] of wrong) {
  test(`names ${title} with its place`, () => {
    const { problems } = compile(yaml(parts));
    assert.equal(problems.length, 1, JSON.stringify(problems));
    const [problem] = problems;
    assert.deepEqual([problem.code, problem.path], [code, path]);
    assert.match(problem.message, text);
    assert.ok(problem.line > 0 && problem.column > 0 && problem.file === 'test.yaml');
  });
}
test('suggests the nearest cluster', () => {
  const { problems } = compile(yaml({ routes: '{match: {prefix: /}, route: {cluster: aa}}' }));
  assert.equal(problems[0].suggestion, 'a');
});
test('two virtual hosts with one domain, and two chains with one match, are problems', () => {
  const twice = yaml({}).replace('virtual_hosts: [', 'virtual_hosts: [{name: w, domains: ["*"]}, ');
  assert.match(compile(twice).problems[0].message, /domain '\*'/);
  const chain = `{filters: [{name: tcp, typed_config: {"@type": ${TCP}, stat_prefix: t, cluster: a}}]}`;
  const chains = compile(yaml({}).replace('filter_chains: [', `filter_chains: [${chain}, `));
  assert.deepEqual(
    chains.problems.map(({ code, path }) => [code, path]),
    [['DUPLICATE', `${L}.filter_chains`]],
  );
});
test('a second HTTP filter is a problem, even an optional one', () => {
  const fault = '{name: f, is_optional: true, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault}}';
  const { problems } = compile(yaml({}).replace('http_filters: [', `http_filters: [${fault}, `));
  assert.deepEqual(
    problems.map(({ code, path }) => [code, path]),
    [['UNSUPPORTED', `${MANAGER}.http_filters[0].typed_config`]],
  );
  assert.match(problems[0].message, /HTTPFault/);
});
test('a static runtime layer sets a route fraction', () => {
  const routes = '{match: {prefix: /, runtime_fraction: {default_value: {numerator: 0}, runtime_key: a.b}}, route: {cluster: a}}';
  assert.equal(routeTo({ routes }), undefined);
  assert.ok(routeTo({ routes, bootstrap: 'layered_runtime: {layers: [{name: s, static_layer: {a: {b: 100}}}]}' }));
});

test('bounds of connections come from the overload manager and the runtime; without them there are none', () => {
  const bounds = (bootstrap: string) => {
    const config = compiled({ bootstrap });
    return [config.maxConnections, config.listeners[0].maxConnections];
  };
  assert.deepEqual(bounds(''), [Infinity, Infinity]);
  const monitor = (type: string, inside: string) =>
    `overload_manager: {resource_monitors: [{name: m, typed_config: {"@type": type.googleapis.com/${type}${inside}}}]}`;
  const connections = monitor(
    'envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig',
    ', max_active_downstream_connections: 9',
  );
  const runtime = (layer: string) => `layered_runtime: {layers: [{name: l, static_layer: {${layer}}}]}`;
  assert.deepEqual(bounds(connections), [9, Infinity]);
  assert.deepEqual(
    bounds(runtime('overload.global_downstream_max_connections: 5, envoy.resource_limits.listener.main.connection_limit: "7"')),
    [5, 7],
  );
  assert.deepEqual(
    problemsOf({ bootstrap: monitor('envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig', ', max_heap_size_bytes: 1') }),
    [
      "overload_manager.resource_monitors[0].typed_config: resource monitor 'envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig' is not supported",
    ],
  );
  assert.match(problemsOf({ bootstrap: runtime('overload.global_downstream_max_connections: many') })[0], /"many" is not a number of connections/);
});

test('what is wrong with the statistics or the admin server is named with its place', () => {
  const problems = problemsOf({
    bootstrap: `stats_config: {stats_tags: [{tag_name: a, regex: "("}], stats_matcher: {exclusion_list: {patterns: [{safe_regex: {regex: "["}}]}}}
admin: {address: {socket_address: {address: here, port_value: 1}}, access_log: [{name: x, typed_config: {"@type": ${TCP}, stat_prefix: a, cluster: a}}]}`,
  });
  assert.deepEqual(
    problems.map((problem) => problem.split(': ')[0]),
    [
      'admin.address.socket_address.address',
      'admin.access_log[0].typed_config',
      'stats_config.stats_tags[0]',
      'stats_config.stats_matcher.exclusion_list.patterns[0].safe_regex.regex',
    ],
  );
});

test('statistics are shown as the matcher says, and the first bucket setting that matches counts', () => {
  const server = (text: string) => compile(yaml({ bootstrap: `stats_config: {${text}}` })).server;
  assert.deepEqual(['a.x', 'b.x'].map(server('stats_matcher: {exclusion_list: {patterns: [{prefix: a.}]}}').showsStat), [false, true]);
  assert.deepEqual(['a.x', 'b.x'].map(server('stats_matcher: {inclusion_list: {patterns: [{prefix: a.}]}}').showsStat), [true, false]);
  assert.deepEqual(['a.x'].map(server('stats_matcher: {reject_all: true}').showsStat), [false]);
  const { bucketsOf } = server('histogram_bucket_settings: [{match: {suffix: time}, buckets: [5, 1]}, {match: {prefix: a}, buckets: [2]}]');
  assert.deepEqual([bucketsOf('a.time'), bucketsOf('a.size'), bucketsOf('b').length], [[1, 5], [2], 19]);
});

const FILTERS = 'type.googleapis.com/envoy.extensions.filters.http';
/** A manager with filters before its router. */
const filtered = (filters: string, parts: Parts = {}) => yaml(parts).replace(`http_filters: [`, `http_filters: [${filters}, `);
test('stream filters are taken in order, with what routes say of them', () => {
  const stats = `{name: stats, typed_config: {"@type": ${FILTERS}.grpc_stats.v3.FilterConfig, emit_filter_state: true, stats_for_all_methods: true}}`;
  const web = `{name: web, disabled: true, typed_config: {"@type": ${FILTERS}.grpc_web.v3.GrpcWeb}}`;
  const off = 'typed_per_filter_config: {stats: {"@type": type.googleapis.com/envoy.config.route.v3.FilterConfig, disabled: true}}';
  const on = 'typed_per_filter_config: {web: {"@type": type.googleapis.com/envoy.config.route.v3.FilterConfig, config: {}}}';
  const routes = `{match: {prefix: /a}, route: {cluster: a}, ${on}}, {match: {prefix: /b}, route: {cluster: a}, ${on}}, {match: {prefix: /}, route: {cluster: a}}`;
  const { config, problems } = compile(filtered(`${stats}, ${web}`, { routes, host: off }));
  assert.deepEqual(problems, []);
  const http = config.listeners[0].chains[0].filter as HttpManagerConfig;
  assert.deepEqual(
    http.filters.map(({ name, disabled }) => [name, disabled]),
    [
      ['stats', false],
      ['web', true],
    ],
  );
  const [a, b, rest] = ['/a', '/b', '/c'].map((path) => http.routes.match(NO_HEAD, input(path))?.filters);
  assert.deepEqual(
    [...(a ?? [])],
    [
      ['stats', { disabled: true }],
      ['web', { disabled: false }],
    ],
  );
  assert.equal(a, b);
  assert.deepEqual([...(rest ?? [])], [['stats', { disabled: true }]]);
});
test('a filter that is not known, one that is there twice, and a configuration for one route are problems', () => {
  const cors = `{name: cors, typed_config: {"@type": ${FILTERS}.cors.v3.Cors}}`;
  const web = `{name: web, typed_config: {"@type": ${FILTERS}.grpc_web.v3.GrpcWeb}}`;
  const own = `typed_per_filter_config: {web: {"@type": ${FILTERS}.cors.v3.CorsPolicy}}`;
  const messages = compile(filtered(`${cors}, ${web}, ${web}`, { host: own })).problems.map(({ message }) => message);
  assert.deepEqual(messages, [
    `a configuration 'envoy.extensions.filters.http.cors.v3.CorsPolicy' for single routes is not supported; use envoy.config.route.v3.FilterConfig with disabled`,
    "HTTP filter 'envoy.extensions.filters.http.cors.v3.Cors' is not supported",
    "HTTP filter 'web' is there twice",
  ]);
});

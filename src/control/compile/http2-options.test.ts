import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeHead } from '../../../test/support/heads.js';
import { type ClusterConfig, type ForwardAction, type HttpManagerConfig, RETRY_ON } from '../../proxy/runtime.js';
import { loadBootstrap } from '../config/index.js';
import { compileConfig } from './index.js';

const HCM = 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';
const TCP = 'type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy';
const ROUTER = '{name: router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}';
const HTTP = 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions';
const LIMITS = 'type.googleapis.com/sluice.extensions.http2.v1.Http2Limits';

interface Parts {
  /** Insides of flow mappings. */
  readonly hcm?: string;
  readonly action?: string;
  readonly match?: string;
  readonly cluster?: string;
  /** Filters before the one that ends the chain. */
  readonly before?: readonly string[];
  /** In place of the HTTP connection manager. */
  readonly end?: string;
}
function compile({ hcm = '', action = '', match = 'prefix: /', cluster = '', before = [], end }: Parts) {
  const also = (text: string) => (text === '' ? '' : `, ${text}`);
  const manager = `{name: hcm, typed_config: {"@type": ${HCM}, stat_prefix: in, http_filters: [${ROUTER}]${also(hcm)},
        route_config: {name: r, virtual_hosts: [{name: v, domains: ["*"], routes: [{match: {${match}}, route: {cluster: a${also(action)}}}]}]}}}`;
  const text = `
static_resources:
  listeners:
  - name: main
    address: {socket_address: {address: 127.0.0.1, port_value: 8080}}
    filter_chains:
    - filters:
      - ${[...before, end ?? manager].join('\n      - ')}
  clusters:
  - {name: a${also(cluster)}}
`;
  const loaded = loadBootstrap(text, { file: 'test.yaml' });
  assert.deepEqual(loaded.problems, []);
  assert.ok(loaded.bootstrap);
  return compileConfig(loaded.bootstrap, { source: loaded.source });
}
function compiled(parts: Parts) {
  const { config, problems } = compile(parts);
  assert.deepEqual(problems, []);
  return config;
}
const manager = (parts: Parts) => compiled(parts).listeners[0].chains[0].filter as HttpManagerConfig;
const cluster = (text: string): ClusterConfig => compiled({ cluster: text }).clusters.get('a') ?? assert.fail();
const typed = (options: string) => `typed_extension_protocol_options: {http: {"@type": ${HTTP}, ${options}}}`;
const forward = (action: string): ForwardAction => {
  const { routes } = manager({ action });
  return routes.only?.action as ForwardAction;
};
const limits = (fields: string) => `{name: limits, typed_config: {"@type": ${LIMITS}, ${fields}}}`;

const HEADS = { maxHeadBytes: 61_440, maxTargetBytes: 61_440, maxHeaders: 100 };

// One field of Http2ProtocolOptions each, and the words of the codec that it sets.
const fields: [field: string, words: object][] = [
  ['hpack_table_size: 0', { decoderTable: 0, encoderTable: 0 }],
  ['hpack_table_size: 8192', { decoderTable: 8192, encoderTable: 8192 }],
  ['initial_stream_window_size: 65535', { streamWindow: 65_535 }],
  ['initial_connection_window_size: 2147483647', { connectionWindow: 2_147_483_647 }],
  ['allow_connect: true', { extendedConnect: 1 }],
  ['allow_connect: false', {}],
  ['max_outbound_control_frames: 5000', { maxQueuedControls: 5000 }],
  ['max_outbound_control_frames: 4294967295', { maxQueuedControls: 2_147_483_647 }],
  ['max_consecutive_inbound_frames_with_empty_payload: 0', { maxEmptyFrames: 0 }],
  ['max_inbound_priority_frames_per_stream: 7', { prioritiesPerStream: 7 }],
  ['max_inbound_window_update_frames_per_data_frame_sent: 3', { windowUpdatesPerData: 3 }],
  ['max_outbound_frames: 1, override_stream_error_on_invalid_http_message: true, use_oghttp2_codec: true, enable_huffman_encoding: true', {}],
];
for (const [field, words] of fields) {
  test(`${field} means the same to clients and to hosts`, () => {
    assert.deepEqual(manager({ hcm: `http2_protocol_options: {${field}}` }).streams, { ...HEADS, underscores: 0, ...words });
    const { http } = cluster(typed(`explicit_http_config: {http2_protocol_options: {${field}}}`));
    assert.deepEqual([http.protocol, http.streams], ['http2', { ...HEADS, ...words }]);
  });
}

test('max_concurrent_streams bounds the streams of a client, and those that are opened to a host', () => {
  assert.equal(manager({ hcm: 'http2_protocol_options: {max_concurrent_streams: 7}' }).streams.maxConcurrentStreams, 7);
  const { http } = cluster(typed('explicit_http_config: {http2_protocol_options: {max_concurrent_streams: 7}}'));
  assert.deepEqual([http.maxConcurrentStreams, http.streams], [7, HEADS]);
});

test('codec_type says what clients may speak', () => {
  const codecs = ['AUTO', 'HTTP1', 'HTTP2'].map((type) => manager({ hcm: `codec_type: ${type}` }).codec);
  assert.deepEqual(codecs, ['auto', 'http1', 'http2']);
});

test('bounds of heads hold for HTTP/1 and HTTP/2', () => {
  const options = 'common_http_protocol_options: {max_headers_count: 50, headers_with_underscores_action: DROP_HEADER}';
  const { maxHeadBytes, maxHeaders, underscores, streams } = manager({ hcm: `max_request_headers_kb: 8, ${options}` });
  assert.deepEqual([maxHeadBytes, maxHeaders, underscores], [8192, 50, 'drop']);
  assert.deepEqual(streams, { maxHeadBytes: 8192, maxTargetBytes: 8192, maxHeaders: 50, underscores: 2 });
  const config = cluster(
    typed('common_http_protocol_options: {max_headers_count: 9, max_response_headers_kb: 4}, explicit_http_config: {http2_protocol_options: {}}'),
  );
  assert.deepEqual([config.maxResponseHeadBytes, config.maxResponseHeaders], [4096, 9]);
  assert.deepEqual(config.http.streams, { maxHeadBytes: 4096, maxTargetBytes: 4096, maxHeaders: 9 });
});

test('where heads may be larger than by default, so may their blocks, unless something else is said', () => {
  const { streams } = manager({ hcm: 'max_request_headers_kb: 96' });
  assert.deepEqual([streams.maxBlockBytes, streams.maxContinuations], [98_304, 12]);
  const said = manager({ hcm: 'max_request_headers_kb: 96', before: [limits('max_header_block_bytes: 70000, max_continuation_frames: 5')] }).streams;
  assert.deepEqual([said.maxBlockBytes, said.maxContinuations], [70_000, 5]);
});

test('keep-alive has the jitter of Envoy, and asks nothing without an interval', () => {
  const of = (text: string) => manager({ hcm: `http2_protocol_options: {connection_keepalive: {${text}}}` }).keepAlive;
  assert.deepEqual(of('interval: 30s, timeout: 5s'), { intervalMs: 30_000, jitterPercent: 15, timeoutMs: 5000, connectionIdleMs: 0 });
  assert.equal(of('interval: 30s, timeout: 5s, interval_jitter: {value: 0}')?.jitterPercent, 0);
  assert.equal(of('timeout: 5s'), undefined);
  const { http } = cluster(
    typed(
      'explicit_http_config: {http2_protocol_options: {connection_keepalive: {timeout: 2s, connection_idle_interval: 60s, interval_jitter: {value: 3}}}}',
    ),
  );
  assert.deepEqual(http.keepAlive, { intervalMs: 0, jitterPercent: 3, timeoutMs: 2000, connectionIdleMs: 60_000 });
});

// One field of Http2Limits each, with its default in the codec left out.
const ours: [field: string, words: object][] = [
  ['max_resets: 5', { resetsBurst: 5 }],
  ['reset_interval: 1.5s', { resetsMs: 1500 }],
  ['max_control_frames: 6', { controlsBurst: 6 }],
  ['control_frame_interval: 60s', { controlsMs: 60_000 }],
  ['max_continuation_frames: 0', { maxContinuations: 0 }],
  ['max_header_block_bytes: 4096', { maxBlockBytes: 4096 }],
  ['max_settings_entries: 8', { maxSettings: 8 }],
  ['settings_timeout: 0s', { settingsTimeoutMs: 0 }],
  ['settings_timeout: 0.0001s', { settingsTimeoutMs: 1 }],
  ['max_frame_size: 65536', { maxFrameSize: 65_536 }],
];
for (const [field, words] of ours) {
  test(`Http2Limits: ${field}, in a filter chain and in a cluster`, () => {
    assert.deepEqual(manager({ before: [limits(field)] }).streams, { ...HEADS, underscores: 0, ...words });
    const options = `http: {"@type": ${HTTP}, explicit_http_config: {http2_protocol_options: {}}}, limits: {"@type": ${LIMITS}, ${field}}`;
    assert.deepEqual(cluster(`typed_extension_protocol_options: {${options}}`).http.streams, { ...HEADS, ...words });
  });
}

const protocols: [cluster: string, protocol: string][] = [
  ['', 'http1'],
  ['http2_protocol_options: {}', 'http2'],
  ['http2_protocol_options: {}, protocol_selection: USE_CONFIGURED_PROTOCOL', 'http2'],
  ['protocol_selection: USE_DOWNSTREAM_PROTOCOL', 'downstream'],
  ['http_protocol_options: {}, http2_protocol_options: {}, protocol_selection: USE_DOWNSTREAM_PROTOCOL', 'downstream'],
  [typed('explicit_http_config: {http_protocol_options: {}}'), 'http1'],
  [typed('explicit_http_config: {http2_protocol_options: {}}'), 'http2'],
  [typed('use_downstream_protocol_config: {}'), 'downstream'],
  [typed('use_downstream_protocol_config: {http_protocol_options: {}, http2_protocol_options: {}, http3_protocol_options: {}}'), 'downstream'],
  [`http2_protocol_options: {}, ${typed('explicit_http_config: {http_protocol_options: {}}')}`, 'http1'],
  [
    typed(
      'upstream_http_protocol_options: {auto_sni: true}, explicit_http_config: {http2_protocol_options: {}}, http_filters: [{name: c, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec}}]',
    ),
    'http2',
  ],
];
for (const [text, protocol] of protocols)
  test(`hosts are spoken to in ${protocol} with ${text === '' ? 'nothing said' : text.replaceAll(/"@type": [^,}]+,? ?/g, '')}`, () =>
    assert.equal(cluster(text).http.protocol, protocol));

test('common options of a cluster hold whatever it speaks', () => {
  const common = 'idle_timeout: 4s, max_requests_per_connection: 5, max_connection_duration: 6s, max_stream_duration: 7s, max_headers_count: 8';
  const config = cluster(typed(`common_http_protocol_options: {${common}}, use_downstream_protocol_config: {http2_protocol_options: {}}`));
  assert.deepEqual(
    [config.idleTimeoutMs, config.maxRequestsPerConnection, config.maxConnectionDurationMs, config.maxStreamDurationMs, config.maxResponseHeaders],
    [4000, 5, 6000, 7000, 8],
  );
});

const GRPC = {
  cancelled: 'CANCELLED',
  'deadline-exceeded': 'DEADLINE_EXCEEDED',
  internal: 'INTERNAL',
  'resource-exhausted': 'RESOURCE_EXHAUSTED',
  unavailable: 'UNAVAILABLE',
} as const;
for (const [word, bit] of Object.entries(GRPC))
  test(`retry_on ${word} is a reason of its own`, () =>
    assert.equal(forward(`retry_policy: {retry_on: "${word},http3-post-connect-failure"}`).retry?.on, RETRY_ON[bit as keyof typeof RETRY_ON]));

const timeouts: [action: string, policy: ForwardAction['grpcTimeout']][] = [
  ['timeout: 3s', undefined],
  ['max_stream_duration: {grpc_timeout_header_max: 0s}', { replaces: 'maxStreamDuration', maxMs: 0, offsetMs: 0 }],
  [
    'max_stream_duration: {grpc_timeout_header_max: 9s, grpc_timeout_header_offset: 0.05s}',
    { replaces: 'maxStreamDuration', maxMs: 9000, offsetMs: 50 },
  ],
  ['max_grpc_timeout: 0s', { replaces: 'timeout', maxMs: 0, offsetMs: 0 }],
  ['max_grpc_timeout: 8s, grpc_timeout_offset: 0.01s', { replaces: 'timeout', maxMs: 8000, offsetMs: 10 }],
  ['max_grpc_timeout: 8s, max_stream_duration: {grpc_timeout_header_max: 9s}', { replaces: 'maxStreamDuration', maxMs: 9000, offsetMs: 0 }],
];
for (const [action, policy] of timeouts) test(`grpc-timeout with ${action}`, () => assert.deepEqual(forward(action).grpcTimeout, policy));

test('a route for gRPC takes requests with its content type only', () => {
  const { routes } = manager({ match: 'prefix: /, grpc: {}' });
  const isRouted = (contentType: string) => {
    const head = makeHead({ method: 'POST', path: '/a.B/C' }, [['content-type', contentType]]);
    return routes.match(head, { host: 'x', path: '/a.B/C', scheme: 'http', isConnect: false, upgrade: '', random: 0 }) !== undefined;
  };
  const types = ['application/grpc', 'application/grpc+proto', 'application/grpc;x=y', 'application/grpc-web', 'application/json'];
  assert.deepEqual(types.map(isRouted), [true, true, true, false, false]);
});

test('a route switches CONNECT on or off', () => {
  assert.deepEqual(
    [...(forward('upgrade_configs: [{upgrade_type: CONNECT}, {upgrade_type: websocket, enabled: false}]').upgrades ?? [])],
    [
      ['connect', true],
      ['websocket', false],
    ],
  );
  assert.deepEqual([...manager({ hcm: 'upgrade_configs: [{upgrade_type: CONNECT}]' }).upgrades], ['connect']);
});

const CHAIN = 'static_resources.listeners[0].filter_chains[0]';
const MANAGER = `${CHAIN}.filters[0].typed_config`;
const ACTION = `${MANAGER}.route_config.virtual_hosts[0].routes[0].route`;
const CLUSTER = 'static_resources.clusters[0]';
const OPTIONS = `${CLUSTER}.typed_extension_protocol_options["http"]`;
const wrong: [title: string, parts: Parts, code: string, path: string, text: RegExp][] = [
  ['HTTP/3 to clients', { hcm: 'codec_type: HTTP3' }, 'UNSUPPORTED', `${MANAGER}.codec_type`, /AUTO, HTTP1 or HTTP2/],
  [
    'a table that is too large',
    { hcm: 'http2_protocol_options: {hpack_table_size: 4294967295}' },
    'UNSUPPORTED',
    `${MANAGER}.http2_protocol_options.hpack_table_size`,
    /1048576 is the most/,
  ],
  [
    'metadata',
    { hcm: 'http2_protocol_options: {allow_metadata: true}' },
    'UNSUPPORTED',
    `${MANAGER}.http2_protocol_options.allow_metadata`,
    /METADATA/,
  ],
  [
    'custom settings',
    { hcm: 'http2_protocol_options: {custom_settings_parameters: [{identifier: 16, value: 1}]}' },
    'UNSUPPORTED',
    `${MANAGER}.http2_protocol_options.custom_settings_parameters`,
    /further settings/,
  ],
  [
    'HTTP/3 to hosts',
    { cluster: typed('explicit_http_config: {http3_protocol_options: {}}') },
    'UNSUPPORTED',
    `${OPTIONS}.explicit_http_config.http3_protocol_options`,
    /HTTP\/3/,
  ],
  [
    'a choice by ALPN',
    { cluster: typed('auto_config: {http2_protocol_options: {}}') },
    'UNSUPPORTED',
    `${OPTIONS}.auto_config`,
    /ALPN, which needs TLS/,
  ],
  [
    'an upstream filter',
    {
      cluster: typed(
        'explicit_http_config: {http2_protocol_options: {}}, http_filters: [{name: f, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer, max_request_bytes: 1}}]',
      ),
    },
    'UNSUPPORTED',
    `${OPTIONS}.http_filters[0].typed_config`,
    /Buffer/,
  ],
  [
    'two protocols at once',
    { cluster: 'http_protocol_options: {}, http2_protocol_options: {}' },
    'INVALID',
    `${CLUSTER}.http2_protocol_options`,
    /USE_DOWNSTREAM_PROTOCOL/,
  ],
  [
    'limits of HTTP/2 for hosts that speak HTTP/1',
    { cluster: `typed_extension_protocol_options: {limits: {"@type": ${LIMITS}, max_resets: 1}}` },
    'INVALID',
    `${CLUSTER}.typed_extension_protocol_options`,
    /speaks HTTP\/1/,
  ],
  [
    'limits of HTTP/2 before a TCP proxy',
    { before: [limits('max_resets: 1')], end: `{name: tcp, typed_config: {"@type": ${TCP}, stat_prefix: t, cluster: a}}` },
    'INVALID',
    `${CHAIN}.filters[1]`,
    /does not speak HTTP\/2/,
  ],
  ['limits twice', { before: [limits('max_resets: 1'), limits('max_resets: 2')] }, 'DUPLICATE', `${CHAIN}.filters[1]`, /already/],
  ['limits at the end', { end: limits('max_resets: 1') }, 'INVALID', `${CHAIN}.filters[0]`, /cannot end the chain/],
  [
    'an offset without its maximum',
    { action: 'max_stream_duration: {grpc_timeout_header_offset: 1s}' },
    'INVALID',
    `${ACTION}.max_stream_duration.grpc_timeout_header_offset`,
    /grpc_timeout_header_max/,
  ],
  ['a deprecated offset without its maximum', { action: 'grpc_timeout_offset: 1s' }, 'INVALID', `${ACTION}.grpc_timeout_offset`, /max_grpc_timeout/],
  [
    'the end of a tunnel',
    { match: 'connect_matcher: {}', action: 'upgrade_configs: [{upgrade_type: CONNECT, connect_config: {}}]' },
    'UNSUPPORTED',
    `${ACTION}.upgrade_configs[0].connect_config`,
    /forwarded as it is/,
  ],
];
for (const [title, parts, code, path, text] of wrong) {
  test(`names ${title} with its place`, () => {
    const { problems } = compile(parts);
    assert.equal(problems.length, 1, JSON.stringify(problems));
    const [problem] = problems;
    assert.deepEqual([problem.code, problem.path], [code, path]);
    assert.match(problem.message, text);
    assert.ok(problem.line > 0 && problem.column > 0 && problem.file === 'test.yaml');
  });
}

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Descriptors } from './descriptors.js';
import { type LoadedBootstrap, type LoadOptions, loadBootstrap, loadMessage, MAX_PROBLEMS } from './loader.js';

const descriptors = new Descriptors();
const load = (text: string, options: Partial<LoadOptions> = {}): LoadedBootstrap =>
  loadBootstrap(text, { file: 'sluice.yaml', descriptors, ...options });
/** Problems as `line:column CODE path`. */
const places = (loaded: LoadedBootstrap): string[] => loaded.problems.map(({ line, column, code, path }) => `${line}:${column} ${code} ${path}`);
const valid = (text: string, options: Partial<LoadOptions> = {}) => {
  const loaded = load(text, options);
  assert.deepEqual(loaded.problems, []);
  assert.ok(loaded.bootstrap);
  return loaded.bootstrap;
};
/** A bootstrap with one cluster that has these fields; they begin in line 5. */
const cluster = (fields: string): string => `static_resources:\n  clusters:\n  - name: a\n    connect_timeout: 1s\n${fields}`;

const FRONT_PROXY = `
admin:
  address:
    socket_address: { address: 127.0.0.1, port_value: 9901 }
static_resources:
  listeners:
  - name: ingress
    address:
      socket_address: { address: 0.0.0.0, port_value: 8080 }
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          codec_type: auto
          stat_prefix: ingress_http
          request_timeout: 1.5s
          use_remote_address: true
          access_log:
          - name: envoy.access_loggers.file
            filter:
              or_filter:
                filters:
                - status_code_filter: { comparison: { op: GE, value: { default_value: 500, runtime_key: access_log.status } } }
                - duration_filter: { comparison: { op: GE, value: { default_value: 1000, runtime_key: access_log.duration } } }
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
              path: /dev/stdout
              log_format:
                text_format_source: { inline_string: "%START_TIME% %RESPONSE_CODE%\\n" }
          route_config:
            name: local_route
            virtual_hosts:
            - name: shop
              domains: ["shop.example.com", "*.shop.example.com"]
              routes:
              - match: { path_separated_prefix: /cart, headers: [{ name: x-beta, string_match: { exact: "1" } }] }
                route:
                  weighted_clusters:
                    clusters: [{ name: cart, weight: 90 }, { name: cart-next, weight: 10 }]
                  timeout: 0.25s
                  retry_policy: { retry_on: "5xx,reset", num_retries: 2, per_try_timeout: 0.1s }
              - match: { safe_regex: { regex: "/item/[0-9]+" } }
                route: { cluster: items, regex_rewrite: { pattern: { regex: "^/item" }, substitution: "/v2" } }
              - match: { prefix: "/old" }
                redirect: { prefix_rewrite: "/new", response_code: PERMANENT_REDIRECT }
              - match: { prefix: "/" }
                direct_response: { status: 404, body: { inline_string: nothing } }
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
  clusters:
  - name: cart
    connect_timeout: 0.25s
    type: STRICT_DNS
    lb_policy: LEAST_REQUEST
    circuit_breakers: { thresholds: [{ priority: HIGH, max_connections: 10 }] }
    load_assignment:
      cluster_name: cart
      endpoints:
      - lb_endpoints:
        - endpoint: { address: { socket_address: { address: cart.internal, port_value: 80 } } }
          load_balancing_weight: 3
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        common_http_protocol_options: { idle_timeout: 60s }
        explicit_http_config: { http_protocol_options: {} }
`;

test('reads an edge proxy with routes, access log, redirect, direct response and cluster options', () => {
  const bootstrap = valid(FRONT_PROXY);
  const [listener] = bootstrap.staticResources?.listeners ?? [];
  assert.deepEqual(listener.address, { socketAddress: { address: '0.0.0.0', portValue: 8080 } });
  const manager = listener.filterChains?.[0].filters?.[0].typedConfig as unknown as Record<string, unknown>;
  assert.equal(manager['@type'], 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager');
  assert.equal(manager.codecType, 'AUTO', 'enum values are read without regard to case');
  assert.equal(manager.requestTimeout, 1500);
  assert.equal(manager.useRemoteAddress, true);
  const routes = (manager.routeConfig as { virtualHosts: { routes: object[] }[] }).virtualHosts[0].routes;
  assert.deepEqual(routes[0], {
    match: { pathSeparatedPrefix: '/cart', headers: [{ name: 'x-beta', stringMatch: { exact: '1' } }] },
    route: {
      weightedClusters: {
        clusters: [
          { name: 'cart', weight: 90 },
          { name: 'cart-next', weight: 10 },
        ],
      },
      timeout: 250,
      retryPolicy: { retryOn: '5xx,reset', numRetries: 2, perTryTimeout: 100 },
    },
  });
  const [cart] = bootstrap.staticResources?.clusters ?? [];
  assert.equal(cart.connectTimeout, 250);
  assert.deepEqual(cart.typedExtensionProtocolOptions, {
    'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
      '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
      commonHttpProtocolOptions: { idleTimeout: 60_000 },
      explicitHttpConfig: { httpProtocolOptions: {} },
    },
  });
});

test('reads a TCP proxy with filter chain matches and a default chain', () => {
  const tcp = (name: string) => `
      - name: envoy.filters.network.tcp_proxy
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
          stat_prefix: ${name}
          cluster: ${name}
          idle_timeout: 0s`;
  const bootstrap = valid(`
static_resources:
  listeners:
  - address: { socket_address: { address: "::", port_value: 15001, ipv4_compat: true } }
    filter_chains:
    - filter_chain_match: { destination_port: 443, prefix_ranges: [{ address_prefix: 10.0.0.0, prefix_len: 8 }], transport_protocol: tls }
      filters:${tcp('secure')}
    default_filter_chain:
      filters:${tcp('rest').replaceAll('\n      ', '\n      ')}
`);
  const [listener] = bootstrap.staticResources?.listeners ?? [];
  assert.deepEqual(listener.filterChains?.[0].filterChainMatch, {
    destinationPort: 443,
    prefixRanges: [{ addressPrefix: '10.0.0.0', prefixLen: 8 }],
    transportProtocol: 'tls',
  });
  assert.equal(listener.defaultFilterChain?.filters?.[0].typedConfig?.idleTimeout, 0);
});

test('reads the shape of the bootstrap that Istio’s agent writes', () => {
  const bootstrap = valid(
    JSON.stringify({
      application_log_config: { log_format: { text_format: '%Y-%m-%dT%T.%fZ\t%l\tenvoy %n\t%v' } },
      node: {
        id: 'sidecar~10.0.0.1~pod.ns~ns.svc.cluster.local',
        cluster: 'app.ns',
        locality: { region: 'r', zone: 'z', sub_zone: 's' },
        metadata: { PROXY_CONFIG: { concurrency: 2 }, LABELS: { app: 'app' }, INSTANCE_IPS: '10.0.0.1', EMPTY: null },
      },
      layered_runtime: {
        layers: [
          { name: 'global config', static_layer: { 're2.max_program_size.error_level': '32768', 'envoy.reloadable_features.x': false } },
          { name: 'admin', admin_layer: {} },
        ],
      },
      bootstrap_extensions: [
        {
          name: 'envoy.bootstrap.internal_listener',
          typed_config: {
            '@type': 'type.googleapis.com/udpa.type.v1.TypedStruct',
            type_url: 'type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener',
            value: { buffer_size_kb: 64 },
          },
        },
        {
          name: 'metadata_discovery',
          typed_config: {
            '@type': 'type.googleapis.com/xds.type.v3.TypedStruct',
            type_url: 'type.googleapis.com/istio.workload.BootstrapExtension',
            value: { config_source: { ads: {}, initial_fetch_timeout: '0s', resource_api_version: 'V3' } },
          },
        },
      ],
      stats_config: {
        use_all_default_tags: false,
        stats_tags: [{ tag_name: 'cluster_name', regex: '^cluster\\.((.+?(\\..+?\\.svc\\.cluster\\.local)?)\\.)' }],
        stats_matcher: {
          inclusion_list: { patterns: [{ prefix: 'reporter=' }, { suffix: 'rbac.allowed' }, { safe_regex: { regex: 'vhost\\..*' } }] },
        },
      },
      admin: {
        access_log: [
          {
            name: 'envoy.access_loggers.file',
            typed_config: { '@type': 'type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog', path: '/dev/null' },
          },
        ],
        profile_path: '/var/lib/istio/data/envoy.prof',
        address: { socket_address: { address: '127.0.0.1', port_value: 15000 } },
      },
      dynamic_resources: {
        lds_config: { ads: {}, initial_fetch_timeout: '0s', resource_api_version: 'V3' },
        cds_config: { ads: {}, initial_fetch_timeout: '0s', resource_api_version: 'V3' },
        ads_config: {
          api_type: 'DELTA_GRPC',
          set_node_on_first_message_only: true,
          transport_api_version: 'V3',
          grpc_services: [{ envoy_grpc: { cluster_name: 'xds-grpc' } }],
        },
      },
      static_resources: {
        clusters: [
          {
            name: 'xds-grpc',
            type: 'STATIC',
            connect_timeout: '1s',
            lb_policy: 'ROUND_ROBIN',
            load_assignment: {
              cluster_name: 'xds-grpc',
              endpoints: [{ lb_endpoints: [{ endpoint: { address: { pipe: { path: './etc/istio/proxy/XDS' } } } }] }],
            },
            circuit_breakers: { thresholds: [{ priority: 'DEFAULT', max_connections: 100000, max_pending_requests: '100000' }] },
            upstream_connection_options: { tcp_keepalive: { keepalive_time: 300 } },
            max_requests_per_connection: 1,
            unknown_to_us: { x: [1] },
          },
        ],
      },
      overload_manager: {
        resource_monitors: [
          {
            name: 'envoy.resource_monitors.global_downstream_max_connections',
            typed_config: {
              '@type': 'type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig',
              max_active_downstream_connections: 2147483647,
            },
          },
        ],
      },
      deferred_stat_options: { enable_deferred_creation_stats: true },
      stats_eviction_interval: '60s',
      cluster_manager: { outlier_detection: { event_log_path: '/dev/stdout' } },
    }),
    { file: 'envoy-rev.json', allowUnknownFields: true },
  );
  assert.deepEqual(bootstrap.bootstrapExtensions?.[0].typedConfig, {
    '@type': 'type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener',
    bufferSizeKb: 64,
  });
  assert.deepEqual(bootstrap.node?.metadata?.PROXY_CONFIG, { concurrency: 2 });
  assert.equal(bootstrap.staticResources?.clusters?.[0].circuitBreakers?.thresholds?.[0].maxPendingRequests, 100000);
  assert.equal(bootstrap.statsEvictionInterval, 60_000);
});

test('camelCase and snake_case, YAML and JSON give the same', () => {
  const expected = { node: { id: 'a', userAgentName: 'b' }, statsFlushInterval: 5000 };
  assert.deepEqual(valid('node: { id: a, user_agent_name: b }\nstats_flush_interval: 5s\n'), expected);
  assert.deepEqual(valid('{"node": {"id": "a", "userAgentName": "b"}, "statsFlushInterval": "5s"}', { file: 'x.json' }), expected);
});

test('an empty text is an empty bootstrap', () => {
  for (const text of ['', '\n# nothing\n', '{}', '---\n']) assert.deepEqual(valid(text), {});
});

const READ: readonly [title: string, typeName: string, text: string, expected: unknown][] = [
  ['nanoseconds', 'envoy.config.core.v3.KeepaliveSettings', '{ interval: 1.000001s, timeout: 0.0015s }', { interval: 1000.001, timeout: 1.5 }],
  [
    'a duration as seconds and nanos',
    'envoy.config.core.v3.KeepaliveSettings',
    '{ interval: { seconds: 2, nanos: 500000 }, timeout: 1s }',
    { interval: 2000.5, timeout: 1000 },
  ],
  [
    'wrappers as plain values',
    'envoy.config.core.v3.TcpKeepalive',
    '{ keepalive_probes: 3, keepalive_time: "4" }',
    { keepaliveProbes: 3, keepaliveTime: 4 },
  ],
  ['an enum by number', 'envoy.type.v3.FractionalPercent', '{ numerator: 5, denominator: 1 }', { numerator: 5, denominator: 'TEN_THOUSAND' }],
  ['64-bit integers as number and text', 'envoy.type.v3.Int64Range', '{ start: -5, end: "9007199254740993" }', { start: -5, end: 9007199254740993n }],
  ['an integer with an exponent', 'envoy.type.v3.Int64Range', '{ start: 1e3, end: 2.0 }', { start: 1000, end: 2 }],
  ['special doubles', 'envoy.type.v3.DoubleRange', '{ start: "-Infinity", end: 1 }', { start: Number.NEGATIVE_INFINITY, end: 1 }],
  ['base64 and URL-safe base64', 'envoy.config.core.v3.DataSource', 'inline_bytes: "_-8="', { inlineBytes: new Uint8Array([0xff, 0xef]) }],
  ['an octal file mode as Envoy does', 'envoy.config.core.v3.Pipe', '{ path: /a, mode: 0644 }', { path: '/a', mode: 0o644 }],
  [
    'yes and on as booleans as Envoy does',
    'envoy.config.core.v3.RuntimeFeatureFlag',
    '{ default_value: yes, runtime_key: a }',
    { defaultValue: true, runtimeKey: 'a' },
  ],
  ['null as unset', 'envoy.config.core.v3.Locality', '{ region: null, zone: z }', { zone: 'z' }],
  [
    'an Any of a well-known type',
    'envoy.config.core.v3.TypedExtensionConfig',
    '{ name: a, typed_config: { "@type": type.googleapis.com/google.protobuf.Duration, value: 2s } }',
    { name: 'a', typedConfig: { '@type': 'type.googleapis.com/google.protobuf.Duration', value: 2000 } },
  ],
  [
    'a map key called __proto__',
    'envoy.config.core.v3.Metadata',
    'filter_metadata: { __proto__: { a: 1 } }',
    { filterMetadata: JSON.parse('{"__proto__":{"a":1}}') },
  ],
  [
    'aliases',
    'envoy.config.core.v3.Metadata',
    'filter_metadata: { a: &x { k: [1, true, null] }, b: *x }',
    { filterMetadata: { a: { k: [1, true, null] }, b: { k: [1, true, null] } } },
  ],
  ['a block scalar', 'envoy.config.core.v3.DataSource', 'inline_string: |\n  a\n  b\n', { inlineString: 'a\nb\n' }],
];
for (const [title, typeName, text, expected] of READ) {
  test(`reads ${title}`, () => {
    const loaded = loadMessage(text, typeName, { file: 'x.yaml', descriptors });
    assert.deepEqual(loaded.problems, []);
    assert.deepEqual(loaded.message, expected);
  });
}

const WRONG: readonly [title: string, text: string, expected: readonly string[], suggestion?: string][] = [
  ['a syntax error', 'node:\n  id: "a\n', ['3:1 SYNTAX ']],
  ['an unknown field', 'node:\n  idd: a\n', ['2:3 UNKNOWN_FIELD node.idd'], 'id'],
  ['an unknown field in camelCase', 'node:\n  userAgentNme: a\n', ['2:3 UNKNOWN_FIELD node.userAgentNme'], 'userAgentName'],
  [
    'an unknown enum value',
    cluster('    lb_policy: ROUND_ROBBIN\n'),
    ['5:16 UNKNOWN_ENUM_VALUE static_resources.clusters[0].lb_policy'],
    'ROUND_ROBIN',
  ],
  ['an unknown enum number', cluster('    lb_policy: 99\n'), ['5:16 UNKNOWN_ENUM_VALUE static_resources.clusters[0].lb_policy']],
  [
    'an unknown type',
    'bootstrap_extensions:\n- name: a\n  typed_config:\n    "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Roter\n',
    ['4:14 UNKNOWN_TYPE bootstrap_extensions[0].typed_config.@type'],
    'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router',
  ],
  [
    'a type without its prefix',
    'bootstrap_extensions:\n- name: a\n  typed_config: { "@type": envoy.extensions.filters.http.router.v3.Router }\n',
    ['3:28 UNKNOWN_TYPE bootstrap_extensions[0].typed_config.@type'],
    'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router',
  ],
  [
    'a typed configuration without @type',
    'bootstrap_extensions:\n- name: a\n  typed_config: { x: 1 }\n',
    ['3:17 MISSING_TYPE bootstrap_extensions[0].typed_config'],
  ],
  [
    'a TypedStruct without its type',
    'bootstrap_extensions:\n- name: a\n  typed_config: { "@type": type.googleapis.com/udpa.type.v1.TypedStruct, value: {} }\n',
    ['3:17 MISSING_TYPE bootstrap_extensions[0].typed_config'],
  ],
  [
    'an unknown field in a TypedStruct',
    'bootstrap_extensions:\n- name: a\n  typed_config:\n    "@type": type.googleapis.com/udpa.type.v1.TypedStruct\n    type_url: type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener\n    value:\n      buffer_size: 64\n',
    ['7:7 UNKNOWN_FIELD bootstrap_extensions[0].typed_config.value.buffer_size'],
    'buffer_size_kb',
  ],
  ['a field given twice', 'node: { id: a }\nnode: { id: b }\n', ['2:1 DUPLICATE_FIELD node']],
  ['a field given in both spellings', 'header_prefix: a\nheaderPrefix: b\n', ['2:1 DUPLICATE_FIELD header_prefix']],
  ['a key given twice in free JSON', 'node: { metadata: { a: 1, a: 2 } }\n', ['1:27 DUPLICATE_FIELD node.metadata.a']],
  [
    'two fields of a oneof',
    'admin: { address: { pipe: { path: /a }, socket_address: { address: a, port_value: 1 } } }\n',
    ['1:41 ONEOF_CONFLICT admin.address.socket_address'],
  ],
  ['a number for a string', 'node: { id: 5 }\n', ['1:13 WRONG_TYPE node.id'], '"5"'],
  [
    'a string for a number',
    'admin: { address: { socket_address: { address: a, port_value: http } } }\n',
    ['1:63 WRONG_TYPE admin.address.socket_address.port_value'],
  ],
  [
    'a fraction for an integer',
    'admin: { address: { socket_address: { address: a, port_value: 1.5 } } }\n',
    ['1:63 WRONG_TYPE admin.address.socket_address.port_value'],
  ],
  ['a map for a list', 'static_resources:\n  clusters: { name: a }\n', ['2:13 WRONG_TYPE static_resources.clusters']],
  ['a list for a message', 'node: [a]\n', ['1:7 WRONG_TYPE node']],
  ['text for a message', 'just text\n', ['1:1 WRONG_TYPE ']],
  ['null in a list', 'flags_path: a\nnode_context_params: [a, null]\n', ['2:26 WRONG_TYPE node_context_params[1]']],
  ['a key that is a list', '? [a]\n: 1\n', ['1:3 WRONG_TYPE ']],
  ['a quoted boolean', 'stats_flush_on_admin: "true"\n', ['1:23 WRONG_TYPE stats_flush_on_admin'], 'true'],
  [
    'an integer past 32 bits',
    'admin: { address: { socket_address: { address: a, port_value: 4294967296 } } }\n',
    ['1:63 OUT_OF_RANGE admin.address.socket_address.port_value'],
  ],
  ['a negative unsigned integer', 'stats_server_version_override: -1\n', ['1:32 OUT_OF_RANGE stats_server_version_override']],
  ['an integer past 64 bits', 'stats_server_version_override: 18446744073709551616\n', ['1:32 OUT_OF_RANGE stats_server_version_override']],
  [
    'a duration in milliseconds',
    cluster('    cleanup_interval: 250ms\n'),
    ['5:23 INVALID_DURATION static_resources.clusters[0].cleanup_interval'],
    '0.25s',
  ],
  ['a duration without a unit', cluster('    cleanup_interval: 5\n'), ['5:23 INVALID_DURATION static_resources.clusters[0].cleanup_interval'], '5s'],
  ['a duration of ages', cluster('    cleanup_interval: 999999999999s\n'), ['5:23 OUT_OF_RANGE static_resources.clusters[0].cleanup_interval']],
  ['bytes that are not base64', 'admin: { socket_options: [{ buf_value: "a*b" }] }\n', ['1:40 INVALID_BYTES admin.socket_options[0].buf_value']],
  ['a missing required field', 'static_resources:\n  clusters:\n  - connect_timeout: 1s\n', ['3:5 MISSING_FIELD static_resources.clusters[0].name']],
  ['a missing required oneof', 'admin:\n  address:\n    socket_address: { address: a }\n', ['3:21 MISSING_FIELD admin.address.socket_address']],
  [
    'an empty name',
    'static_resources: { listeners: [{ filter_chains: [{ filters: [{ name: "" }] }] }] }\n',
    ['1:71 INVALID_VALUE static_resources.listeners[0].filter_chains[0].filters[0].name'],
  ],
  [
    'a port past 65535',
    'admin: { address: { socket_address: { address: a, port_value: 70000 } } }\n',
    ['1:63 INVALID_VALUE admin.address.socket_address.port_value'],
  ],
  [
    'a timeout of nothing where more is required',
    'static_resources:\n  clusters:\n  - name: a\n    connect_timeout: 0s\n',
    ['4:22 INVALID_VALUE static_resources.clusters[0].connect_timeout'],
  ],
  [
    'more levels than messages may have',
    `node: { metadata: ${'{ a: '.repeat(120)}1${' }'.repeat(120)} }\n`,
    [`1:504 TOO_DEEP node.metadata${'.a'.repeat(97)}`],
  ],
];
for (const [title, text, expected, suggestion] of WRONG) {
  test(`reports ${title} with its place`, () => {
    const loaded = load(text);
    assert.deepEqual(places(loaded), expected);
    assert.equal(loaded.bootstrap, undefined);
    assert.equal(loaded.problems[0].file, 'sluice.yaml');
    assert.equal(loaded.problems[0].suggestion, suggestion);
  });
}

test('reports every error of a file, in the order of its lines', () => {
  const loaded = load(`node: { id: 5 }
admn: {}
static_resources:
  clusters:
  - name: a
    conect_timeout: 1s
    type: STATICC
    load_assignment:
      cluster_name: a
      endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: b, port_value: 99999 } } } }] }]
  - type: EDS
`);
  assert.deepEqual(places(loaded), [
    '1:13 WRONG_TYPE node.id',
    '2:1 UNKNOWN_FIELD admn',
    '6:5 UNKNOWN_FIELD static_resources.clusters[0].conect_timeout',
    '7:11 UNKNOWN_ENUM_VALUE static_resources.clusters[0].type',
    '10:103 INVALID_VALUE static_resources.clusters[0].load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.socket_address.port_value',
    '11:5 MISSING_FIELD static_resources.clusters[1].name',
  ]);
  assert.ok(loaded.partial, 'what was understood is there for later stages');
});

test('tells one typo once: no "required" for a field that is there but broken', () => {
  assert.deepEqual(places(load('static_resources: { clusters: [{ nam: a }] }')), ['1:34 UNKNOWN_FIELD static_resources.clusters[0].nam']);
  assert.deepEqual(places(load('static_resources: { clusters: [{ name: 5 }] }')), ['1:40 WRONG_TYPE static_resources.clusters[0].name']);
});

test('before a syntax error other errors are reported too, after it none', () => {
  assert.deepEqual(places(load('nod: 1\nadmin: { addres: "a }\nxx: 1\n')), [
    '1:1 UNKNOWN_FIELD nod',
    '2:10 UNKNOWN_FIELD admin.addres',
    '4:1 SYNTAX ',
  ]);
});

test('a second document is an error', () => {
  assert.deepEqual(places(load('node: {}\n---\nnode: {}\n')), ['2:1 SYNTAX ']);
});

const NOT_JSON: readonly [title: string, text: string, expected: readonly string[]][] = [
  ['words without quotes', '{"node": {"id": abc}}', ['1:17 SYNTAX ']],
  ['single quotes', '{"node": {"id": \'abc\'}}', ['1:17 SYNTAX ']],
  ['a block', 'node:\n  id: "a"\n', ['1:1 SYNTAX ', '2:3 SYNTAX ']],
  ['a missing comma', '{"node": {"id": "a"}\n "admin": {}}', ['2:2 SYNTAX ']],
  ['an open brace', '{"node": {"id": "a"}', ['1:21 SYNTAX ']],
];
for (const [title, text, expected] of NOT_JSON) {
  test(`in a .json file ${title} is a syntax error`, () => {
    assert.deepEqual(places(load(text, { file: 'x.json' }))[0], expected[0]);
  });
}

test('a .json file may be indented with tabs and end a list with a comma', () => {
  assert.deepEqual(valid('{\n\t"node": {\n\t\t"id": "a",\n\t},\n}\n', { file: 'x.json' }), { node: { id: 'a' } });
});

test('unknown fields are warnings where they are allowed', () => {
  const loaded = load('node: { id: a, from_the_future: [1] }\n', { allowUnknownFields: true });
  assert.deepEqual(loaded.bootstrap, { node: { id: 'a' } });
  assert.deepEqual(
    loaded.warnings.map(({ code, line, column, path }) => ({ code, line, column, path })),
    [{ code: 'UNKNOWN_FIELD', line: 1, column: 16, path: 'node.from_the_future' }],
  );
});

test('a deprecated field is a warning', () => {
  const loaded = load(cluster('    max_requests_per_connection: 5\n'));
  assert.deepEqual(loaded.problems, []);
  assert.deepEqual(
    loaded.warnings.map(({ code, line, column }) => ({ code, line, column })),
    [{ code: 'DEPRECATED_FIELD', line: 5, column: 5 }],
  );
});

test('the overlay is merged before the rules are applied, and its errors name its own file', () => {
  const overlay = { text: '{"node": {"id": "b"}, "admin": {"profile_path": "/p"}}', file: '--config-yaml' };
  assert.deepEqual(valid('node: { cluster: c, id: a }\n', { overlay }), { node: { cluster: 'c', id: 'b' }, admin: { profilePath: '/p' } });
  const broken = load('node: { id: a }\n', { overlay: { text: 'static_resources: { clusters: [{}] }', file: '--config-yaml' } });
  assert.deepEqual(
    broken.problems.map(({ file, line, column, path }) => `${file}:${line}:${column} ${path}`),
    ['--config-yaml:1:32 static_resources.clusters[0].name'],
  );
});

test('the source map finds a path in both spellings, and the nearest value above one that is not there', () => {
  const { source } = load(FRONT_PROXY);
  const port = { file: 'sluice.yaml', line: 9, column: 55 };
  assert.deepEqual(source.locate('static_resources.listeners[0].address.socket_address.port_value'), port);
  assert.deepEqual(source.locate('staticResources.listeners[0].address.socketAddress.portValue'), port);
  assert.deepEqual(source.locate('static_resources.listeners[0].address.socket_address.named_port'), { ...port, column: 23 });
  const options =
    'static_resources.clusters[0].typed_extension_protocol_options["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"].common_http_protocol_options';
  assert.deepEqual(source.locate(`${options}.idle_timeout`), { file: 'sluice.yaml', line: 68, column: 55 });
  const route = 'static_resources.listeners[0].filter_chains[0].filters[0].typed_config.route_config.virtual_hosts[0].routes[1].route.cluster';
  assert.deepEqual(source.report(route, 'no cluster is called items'), {
    file: 'sluice.yaml',
    line: 44,
    column: 35,
    path: route,
    code: 'INVALID',
    message: 'no cluster is called items',
  });
});

test('a TypedStruct’s fields are found with and without its value level', () => {
  const { source } = load(
    'bootstrap_extensions:\n- name: a\n  typed_config:\n    "@type": type.googleapis.com/udpa.type.v1.TypedStruct\n    type_url: type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener\n    value:\n      buffer_size_kb: 64\n',
  );
  const place = { file: 'sluice.yaml', line: 7, column: 23 };
  assert.deepEqual(source.locate('bootstrap_extensions[0].typed_config.buffer_size_kb'), place);
  assert.deepEqual(source.locate('bootstrap_extensions[0].typed_config.value.buffer_size_kb'), place);
});

test('an alias bomb ends at the bound', () => {
  const lines = ['node:', '  metadata:', '    a0: &a0 [1,1,1,1,1,1,1,1,1,1]'];
  for (let level = 1; level < 9; level++)
    lines.push(
      `    a${level}: &a${level} [${Array(10)
        .fill(`*a${level - 1}`)
        .join(',')}]`,
    );
  const loaded = load(`${lines.join('\n')}\n`);
  assert.deepEqual(
    loaded.problems.map(({ code }) => code),
    ['TOO_LARGE'],
  );
});

test('an alias to itself is an error', () => {
  assert.ok(load('node: &n { metadata: { a: &b [*b] } }').problems.length > 0);
});

test('a text nested without end is an error', () => {
  assert.deepEqual(
    load('{"node":'.repeat(30_000)).problems.map(({ code }) => code),
    ['TOO_DEEP'],
  );
});

test('a file of nothing but errors lists the first of them and counts the rest', () => {
  const loaded = load(Array.from({ length: MAX_PROBLEMS + 50 }, (_, index) => `x${index}: 1`).join('\n'));
  assert.equal(loaded.problems.length, MAX_PROBLEMS + 1);
  assert.match(loaded.problems[MAX_PROBLEMS].message, /^50 more/);
});

test('reads only the packages that the text uses', () => {
  const fresh = new Descriptors();
  loadBootstrap('node: { id: a }', { file: 'x', descriptors: fresh });
  assert.ok(fresh.loadedPackages <= 12, `${fresh.loadedPackages} packages`);
});

test('never throws and always places its problems, for mutated configurations', () => {
  const pieces = [
    '\n',
    ':',
    '- ',
    '{',
    '}',
    '[',
    ']',
    '"',
    "'",
    '@type',
    '&a',
    '*a',
    '!!binary x',
    '? ',
    '|',
    '\t',
    '0x1',
    '1e999',
    'null',
    '# ',
    '---\n',
    '__proto__',
    '\u0000',
    '\ud800',
  ];
  const edit = fc.tuple(fc.nat(FRONT_PROXY.length), fc.nat(8), fc.oneof(fc.constantFrom(...pieces), fc.string({ maxLength: 4 })));
  fc.assert(
    fc.property(fc.array(edit, { minLength: 1, maxLength: 6 }), fc.constantFrom('yaml' as const, 'json' as const), (edits, format) => {
      let text = FRONT_PROXY;
      for (const [at, cut, insert] of edits) text = text.slice(0, at) + insert + text.slice(at + cut);
      const loaded = load(text, { format });
      assert.equal(loaded.bootstrap === undefined, loaded.problems.length > 0);
      const lines = text.split('\n').length;
      for (const { line, column, message } of loaded.problems) {
        assert.ok(line >= 1 && line <= lines + 1 && column >= 1, `${line}:${column} ${message}`);
        assert.ok(message.length > 0);
      }
    }),
    { numRuns: 60 },
  );
});

test('never throws for arbitrary JSON', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
      const loaded = load(JSON.stringify({ node: value, admin: value, static_resources: { clusters: [value], listeners: value } }), {
        file: 'x.json',
      });
      assert.equal(loaded.bootstrap === undefined, loaded.problems.length > 0);
    }),
    { numRuns: 100 },
  );
});

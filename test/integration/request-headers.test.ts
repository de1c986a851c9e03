/** What is taken off, changed and added in the head of a request (Envoy, "HTTP header manipulation", "HTTP header sanitizing"). */
import assert from 'node:assert/strict';
import test from 'node:test';
import { engines } from '../support/engines.js';
import { connect, Upstream } from '../support/peers.js';
import { httpConfig, type RouteOptions, RunningProxy } from '../support/running-proxy.js';

const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';
const weighted = (entry: string, more = '') => `- match: { prefix: / }
  route:
    weighted_clusters: { clusters: [{ name: up, weight: 1${entry} }] }
    ${more}`;

interface Rule {
  readonly name: string;
  readonly options?: Partial<RouteOptions>;
  /** Header lines of the client. */
  readonly lines?: readonly string[];
  readonly has?: readonly string[];
  readonly lacks?: readonly RegExp[];
}
const RULES: readonly Rule[] = [
  {
    name: 'TE: trailers is made again for the upstream, and named in Connection',
    lines: ['TE: trailers', 'Connection: TE'],
    has: ['te: trailers', 'connection: te'],
  },
  { name: 'of TE only trailers goes on', lines: ['te: gzip;q=0.5, Trailers'], has: ['te: trailers'], lacks: [/gzip/] },
  { name: 'another TE does not go on', lines: ['te: gzip'], lacks: [/^te:/im, /^connection:/im] },
  { name: 'no TE is made up', lacks: [/^te:/im, /^connection:/im] },
  {
    name: 'x-forwarded-client-cert is taken off by default, from whoever it comes',
    lines: ['X-Forwarded-Client-Cert: By=a', 'x-forwarded-client-cert: By=b', 'x-forwarded-for: 10.0.0.1'],
    has: ['x-envoy-internal: true'],
    lacks: [/client-cert/i],
  },
  ...['FORWARD_ONLY', 'APPEND_FORWARD', 'SANITIZE_SET'].map((mode) => ({
    name: `without TLS ${mode} takes x-forwarded-client-cert off`,
    options: { manager: `forward_client_cert_details: ${mode}\nset_current_client_cert_details: { uri: true }` },
    lines: ['x-forwarded-client-cert: By=a'],
    lacks: [/client-cert/i],
  })),
  {
    name: 'ALWAYS_FORWARD_ONLY leaves x-forwarded-client-cert as it is',
    options: { manager: 'forward_client_cert_details: ALWAYS_FORWARD_ONLY' },
    lines: ['x-forwarded-client-cert: By=a'],
    has: ['x-forwarded-client-cert: By=a'],
  },
  {
    name: 'the host of a weighted entry is sent',
    options: { routes: weighted(', host_rewrite_literal: w.example') },
    has: ['host: w.example'],
  },
  {
    name: 'the own rewrite of the route comes after the one of a weighted entry',
    options: { routes: weighted(', host_rewrite_literal: w.example', 'host_rewrite_literal: r.example') },
    has: ['host: r.example'],
  },
  {
    name: 'append_x_forwarded_host keeps what the client asked for',
    options: { routes: weighted(', host_rewrite_literal: w.example', 'append_x_forwarded_host: true') },
    lines: ['x-forwarded-host: first.example'],
    has: ['host: w.example', 'x-forwarded-host: first.example,a.example'],
  },
  {
    name: 'everything that only an insider may say is taken off an external request',
    lines: [
      'x-envoy-retriable-status-codes: 404',
      'x-envoy-retriable-header-names: a',
      'x-envoy-retry-on: 5xx',
      'x-envoy-retry-grpc-on: internal',
      'x-envoy-max-retries: 3',
      'x-envoy-upstream-alt-stat-name: a',
      'x-envoy-upstream-rq-timeout-ms: 100',
      'x-envoy-upstream-rq-per-try-timeout-ms: 100',
      'x-envoy-upstream-rq-timeout-alt-response: 1',
      'x-envoy-force-trace: 1',
      'x-envoy-ip-tags: a',
      'x-envoy-original-url: a',
      'x-envoy-hedge-on-per-try-timeout: true',
      'x-envoy-internal: true',
      'x-envoy-decorator-operation: kept',
      'x-envoy-downstream-service-cluster: kept',
    ],
    has: ['x-envoy-expected-rq-timeout-ms: 15000', 'x-envoy-decorator-operation: kept', 'x-envoy-downstream-service-cluster: kept'],
    lacks: [/retriable|retry|retries|alt-|rq-timeout-ms: 100|per-try|force-trace|ip-tags|original-url|hedge|x-envoy-internal/i],
  },
  {
    name: 'the edge takes off on top what describes the caller',
    options: { manager: 'use_remote_address: true' },
    lines: [
      'x-forwarded-for: 9.9.9.9',
      'x-envoy-decorator-operation: a',
      'x-envoy-downstream-service-cluster: a',
      'x-envoy-downstream-service-node: a',
      'x-envoy-external-address: 1.1.1.1',
    ],
    has: ['x-forwarded-for: 9.9.9.9,127.0.0.1', 'x-envoy-external-address: 127.0.0.1'],
    lacks: [/decorator|service-cluster|service-node|1\.1\.1\.1/i],
  },
  {
    name: 'with use_remote_address a connection from inside without x-forwarded-for is internal',
    options: { manager: 'use_remote_address: true' },
    lines: ['x-envoy-upstream-rq-timeout-ms: 700'],
    has: ['x-envoy-internal: true', 'x-forwarded-for: 127.0.0.1', 'x-envoy-expected-rq-timeout-ms: 700'],
    lacks: [/external-address/i],
  },
  {
    name: 'with use_remote_address and trusted hops x-forwarded-for never makes a request internal',
    options: { manager: 'use_remote_address: true\nxff_num_trusted_hops: 1' },
    lines: ['x-forwarded-for: 10.0.0.7', 'x-forwarded-proto: https', 'x-envoy-retry-on: 5xx'],
    has: ['x-forwarded-for: 10.0.0.7,127.0.0.1', 'x-forwarded-proto: https', 'x-envoy-external-address: 10.0.0.7'],
    lacks: [/x-envoy-internal/i, /retry-on/i],
  },
  {
    name: 'a single internal address in x-forwarded-for is internal without use_remote_address',
    lines: ['x-forwarded-for: 10.0.0.7'],
    has: ['x-forwarded-for: 10.0.0.7', 'x-envoy-internal: true'],
  },
  { name: 'two addresses in x-forwarded-for are not', lines: ['x-forwarded-for: 9.9.9.9, 10.0.0.7'], lacks: [/x-envoy-internal/i] },
  {
    name: 'the client does not get a second x-forwarded-proto past an edge',
    options: { manager: 'use_remote_address: true' },
    lines: ['x-forwarded-proto: https', 'x-forwarded-proto: https'],
    has: ['x-forwarded-proto: http'],
    lacks: [/https/i],
  },
  {
    name: 'skip_xff_append leaves x-forwarded-for alone',
    options: { manager: 'use_remote_address: true\nskip_xff_append: true' },
    lines: ['x-forwarded-for: 9.9.9.9'],
    has: ['x-forwarded-for: 9.9.9.9'],
  },
  {
    name: 'an edge replaces an x-request-id from outside, with all its lines',
    options: { manager: 'use_remote_address: true' },
    lines: ['x-forwarded-for: 9.9.9.9', 'x-request-id: mine', 'x-request-id: other'],
    lacks: [/x-request-id: (mine|other)/i, /x-request-id[\s\S]*x-request-id/i],
  },
  { name: 'inside the mesh an x-request-id is kept', lines: ['x-request-id: mine'], has: ['x-request-id: mine'] },
];

for (const [engine, create] of engines()) {
  for (const { name, options = {}, lines = [], has = [], lacks = [] } of RULES) {
    test(`${engine}: ${name}`, async (context) => {
      const upstream = await Upstream.open();
      const proxy = new RunningProxy(create());
      context.after(async () => {
        await proxy.close();
        upstream.close();
      });
      await proxy.apply(httpConfig({ upstreams: [upstream.port], ...options }));
      const client = await connect(proxy.port('web'));
      client.send(`GET / HTTP/1.1\r\nhost: a.example\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`);
      const up = await upstream.accepts();
      const head = await up.receivesHead();
      up.send(OK);
      for (const line of has) assert.ok(head.includes(`\r\n${line}\r\n`), `no ${line} in\n${head}`);
      for (const pattern of lacks) assert.doesNotMatch(head, pattern);
      assert.match(await client.receivesHead(), /^HTTP\/1\.1 200/);
      client.close();
    });
  }
}

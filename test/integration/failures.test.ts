/** Every way a request can fail: what the client gets, and the flags and details in the access log (Envoy, "Response flags", "Response code details"). */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import test from 'node:test';
import { engines } from '../support/engines.js';
import { connect, eventually, type Peer, Upstream } from '../support/peers.js';
import { httpConfig, type RouteOptions, RunningProxy } from '../support/running-proxy.js';

const GET = 'GET / HTTP/1.1\r\nhost: a\r\n\r\n';
const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';
const BAD = 'HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n';
const LOG = '%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n';
const BEFORE = 'upstream_reset_before_response_started';
const AFTER = 'upstream_reset_after_response_started';
const RESET_BODY = 'upstream connect error or disconnect/reset before headers. reset reason: ';
const route = (fields: string) => `- match: { prefix: / }\n  route: { cluster: up, ${fields} }`;

interface Failure {
  readonly name: string;
  readonly options?: Partial<RouteOptions>;
  /** What the client sends first. Default: a GET. */
  readonly request?: string;
  readonly run?: (client: Peer, upstream: Upstream) => Promise<void>;
  /** Undefined: the client gets no response of ours. */
  readonly status?: number;
  readonly body?: string;
  readonly log: string;
}
const asked = async (upstream: Upstream): Promise<Peer> => {
  const up = await upstream.accepts();
  await up.receivesHead();
  return up;
};
const FAILURES: readonly Failure[] = [
  {
    name: 'no route',
    options: { routes: '- match: { prefix: /x }\n  route: { cluster: up }' },
    status: 404,
    body: '',
    log: '404 NR route_not_found',
  },
  {
    name: 'a header names a cluster that is not there',
    options: { routes: '- match: { prefix: / }\n  route: { cluster_header: x-c }' },
    request: 'GET / HTTP/1.1\r\nhost: a\r\nx-c: none\r\n\r\n',
    status: 503,
    body: '',
    log: '503 NC cluster_not_found',
  },
  {
    name: 'no host',
    options: { upstreams: [] },
    status: 503,
    body: 'no healthy upstream',
    log: '503 UH no_healthy_upstream',
  },
  {
    name: 'nobody listens',
    options: { upstreams: [1] },
    status: 503,
    body: `${RESET_BODY}remote connection failure, transport failure reason: delayed connect error: Connection refused`,
    log: `503 UF ${BEFORE}{remote_connection_failure|delayed_connect_error:_Connection_refused}`,
  },
  {
    name: 'nobody listens, after all retries',
    options: { upstreams: [1], routes: route('retry_policy: { retry_on: connect-failure, num_retries: 1 }') },
    status: 503,
    body: `${RESET_BODY}remote connection failure, transport failure reason: delayed connect error: Connection refused`,
    log: `503 UF,URX ${BEFORE}{remote_connection_failure|delayed_connect_error:_Connection_refused}`,
  },
  {
    name: 'the circuit breaker for requests',
    options: { cluster: 'circuit_breakers: { thresholds: [{ max_requests: 0 }] }' },
    status: 503,
    body: `${RESET_BODY}overflow`,
    log: `503 UO ${BEFORE}{overflow}`,
  },
  {
    name: 'the circuit breaker for waiting requests',
    options: { cluster: 'circuit_breakers: { thresholds: [{ max_pending_requests: 0 }] }' },
    status: 503,
    body: `${RESET_BODY}overflow`,
    log: `503 UO ${BEFORE}{overflow}`,
  },
  {
    name: 'the circuit breaker for retries',
    options: { cluster: 'circuit_breakers: { thresholds: [{ max_retries: 0 }] }', routes: route('retry_policy: { retry_on: 5xx }') },
    run: async (_, upstream) => void (await asked(upstream)).send(BAD),
    status: 503,
    log: '503 UO via_upstream',
  },
  {
    name: 'the upstream closes before the response',
    run: async (_, upstream) => (await asked(upstream)).close(),
    status: 503,
    body: `${RESET_BODY}connection termination`,
    log: `503 UC ${BEFORE}{connection_termination}`,
  },
  {
    name: 'the upstream resets before the response',
    run: async (_, upstream) => void (await asked(upstream)).reset(),
    status: 503,
    body: `${RESET_BODY}connection termination`,
    log: `503 UC ${BEFORE}{connection_termination}`,
  },
  {
    name: 'the upstream closes in the head',
    run: async (_, upstream) => {
      (await asked(upstream)).send('HTTP/1.1 200 OK\r\nconte').end();
    },
    status: 503,
    body: `${RESET_BODY}connection termination`,
    log: `503 UC ${BEFORE}{connection_termination}`,
  },
  {
    name: 'the upstream closes in the body',
    run: async (client, upstream) => {
      const up = await asked(upstream);
      up.send('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc');
      await client.receivesUntil('abc');
      up.close();
    },
    log: `200 UC ${AFTER}{connection_termination}`,
  },
  {
    name: 'a response head that is no HTTP',
    run: async (_, upstream) => void (await asked(upstream)).send('SSH-2.0-x\r\n\r\n'),
    status: 502,
    body: `${RESET_BODY}protocol error`,
    log: `502 UPE ${BEFORE}{protocol_error}`,
  },
  {
    name: 'a 101 that nobody asked for',
    run: async (_, upstream) => void (await asked(upstream)).send('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n'),
    status: 502,
    body: `${RESET_BODY}protocol error`,
    log: `502 UPE ${BEFORE}{protocol_error}`,
  },
  {
    name: 'a response body that breaks its framing',
    run: async (client, upstream) => {
      const up = await asked(upstream);
      up.send('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n');
      await client.receivesUntil('abc');
      up.send('zz\r\n');
    },
    log: `200 UPE ${AFTER}{protocol_error}`,
  },
  {
    name: 'the time of the route',
    options: { routes: route('timeout: 0.05s') },
    status: 504,
    body: 'upstream request timeout',
    log: '504 UT response_timeout',
  },
  {
    name: 'the time of the route, in the body',
    options: { routes: route('timeout: 0.1s') },
    run: async (client, upstream) => {
      (await asked(upstream)).send('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc');
      await client.receivesUntil('abc');
    },
    log: '200 UT response_timeout',
  },
  {
    name: 'the time of a try',
    options: { routes: route('retry_policy: { retry_on: retriable-4xx, per_try_timeout: 0.05s }') },
    status: 504,
    body: 'upstream request timeout',
    log: '504 UT upstream_per_try_timeout',
  },
  {
    name: 'the time of every try',
    options: { routes: route('retry_policy: { retry_on: 5xx, per_try_timeout: 0.05s }') },
    status: 504,
    body: 'upstream request timeout',
    log: '504 UT,URX upstream_per_try_timeout',
  },
  {
    name: 'the time of the whole request',
    options: { manager: 'request_timeout: 0.05s' },
    request: 'POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nabc',
    status: 408,
    body: 'request timeout',
    log: '408 - request_overall_timeout',
  },
  {
    name: 'the time of a head',
    options: { manager: 'request_headers_timeout: 0.05s' },
    request: 'GET / HTTP/1.1\r\nho',
    status: 408,
    body: 'request header timeout',
    log: '408 - request_header_timeout',
  },
  {
    name: 'the client resets before the response',
    run: async (client, upstream) => {
      await asked(upstream);
      client.reset();
    },
    log: '0 DC downstream_remote_disconnect',
  },
  {
    name: 'the client resets in the response',
    run: async (client, upstream) => {
      (await asked(upstream)).send('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc');
      await client.receivesUntil('abc');
      client.reset();
    },
    log: '200 DC downstream_remote_disconnect',
  },
  {
    name: 'the client breaks off its body',
    request: 'POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nabc',
    run: async (client, upstream) => {
      await (await asked(upstream)).receives('abc');
      client.reset();
    },
    log: '0 DC downstream_remote_disconnect',
  },
  {
    name: 'a request head that breaks its framing',
    request: 'GET / HTTP/1.1\r\nhost: a\r\ncontent-length: +1\r\n\r\n',
    status: 400,
    body: 'Bad Request',
    log: '400 DPE http1.codec_error',
  },
  {
    name: 'a request body that breaks its framing',
    request: 'POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n',
    status: 400,
    body: 'Bad Request',
    log: '400 DPE http1.codec_error',
  },
  {
    name: 'too large a request head',
    options: { manager: 'max_request_headers_kb: 1' },
    request: `GET / HTTP/1.1\r\nhost: a\r\nx: ${'x'.repeat(1100)}\r\n\r\n`,
    status: 431,
    body: 'Request Header Fields Too Large',
    log: '431 DPE http1.codec_error',
  },
  {
    name: 'HTTP/1.0 without a host',
    options: { manager: 'http_protocol_options: { accept_http_10: true }' },
    request: 'GET / HTTP/1.0\r\n\r\n',
    status: 400,
    body: '',
    log: '400 - missing_host_header',
  },
  {
    name: 'a path that cannot be normalised',
    options: { manager: 'normalize_path: true\npath_with_escaped_slashes_action: REJECT_REQUEST' },
    request: 'GET /a%2fb HTTP/1.1\r\nhost: a\r\n\r\n',
    status: 400,
    body: '',
    log: '400 - path_normalization_failed',
  },
  {
    name: 'an upgrade that is not allowed',
    request: 'GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n',
    status: 403,
    body: '',
    log: '403 - upgrade_failed',
  },
  {
    name: 'CONNECT that is not allowed',
    options: { routes: '- match: { connect_matcher: {} }\n  route: { cluster: up }' },
    request: 'CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n',
    status: 403,
    body: '',
    log: '403 - upgrade_failed',
  },
];

for (const [engine, create] of engines()) {
  for (const { name, options = {}, request = GET, run, status, body, log } of FAILURES) {
    test(`${engine}: ${name}: ${log}`, async (context: TestContext) => {
      const upstream = await Upstream.open();
      const proxy = new RunningProxy(create());
      let client: Peer | undefined;
      context.after(async () => {
        client?.close();
        await proxy.close();
        upstream.close();
      });
      await proxy.apply(httpConfig({ upstreams: [upstream.port], log: LOG, ...options }));
      client = await connect(proxy.port('web'));
      client.send(request);
      await run?.(client, upstream);
      if (status !== undefined) {
        const head = await client.receivesHead();
        assert.match(head, new RegExp(`^HTTP/1\\.1 ${status} `));
        if (body !== undefined) {
          assert.match(head, new RegExp(`\r\ncontent-length: ${body.length}\r\n`));
          assert.equal(/\r\ncontent-type: text\/plain\r\n/.test(head), body !== '');
          await client.receives(body);
        }
      }
      assert.deepEqual(
        (await proxy.logged(1)).map((line) => line.replace(/(codec_error):.*/, '$1')),
        [log],
      );
      client.close();
      for (const up of upstream.connections) up.close();
      await eventually(
        () =>
          proxy.engine.connections === 0 &&
          [
            'cluster.up.upstream_rq_active',
            'cluster.up.upstream_cx_active',
            'cluster.up.upstream_rq_pending_active',
            'http.in.downstream_rq_active',
          ].every((gauge) => proxy.stat(gauge) === 0),
        'something is left',
      );
    });
  }

  test(`${engine}: a response that is passed on has no flag`, async (context) => {
    const upstream = await Upstream.open();
    const proxy = new RunningProxy(create());
    context.after(async () => {
      await proxy.close();
      upstream.close();
    });
    await proxy.apply(httpConfig({ upstreams: [upstream.port], log: LOG }));
    const client = await connect(proxy.port('web'));
    client.send(GET);
    (await asked(upstream)).send(OK);
    await client.receivesHead();
    assert.deepEqual(await proxy.logged(1), ['200 - via_upstream']);
    client.close();
  });
}

import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import test from 'node:test';
import { engines } from '../support/engines.js';
import { connect, eventually, type Peer, Upstream } from '../support/peers.js';
import { httpConfig, type RouteOptions, RunningProxy } from '../support/running-proxy.js';

const GET = 'GET / HTTP/1.1\r\nhost: a\r\n\r\n';
const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';
const BAD = 'HTTP/1.1 503 Service Unavailable\r\ncontent-length: 3\r\n\r\nbad';
const LOG = '%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %UPSTREAM_REQUEST_ATTEMPT_COUNT%\n';
const route = (policy: string, more = '') => `- match: { prefix: / }\n  route: { cluster: up, retry_policy: { ${policy} }${more} }`;

/** Answers every request on every new connection. */
const answersAll = (upstream: Upstream, response: string): void => {
  upstream.onConnection = async (up) => {
    while (!up.isOver) {
      // At the end of the connection there is no further head.
      await up.receivesHead().then(
        () => up.send(response),
        () => undefined,
      );
    }
  };
};

for (const [engine, create] of engines()) {
  const setup = async (context: TestContext, options: Partial<RouteOptions>) => {
    const upstream = await Upstream.open();
    const proxy = new RunningProxy(create());
    const peers: Peer[] = [];
    context.after(async () => {
      for (const peer of peers) peer.close();
      await proxy.close();
      upstream.close();
    });
    await proxy.apply(httpConfig({ upstreams: [upstream.port], log: LOG, ...options }));
    peers.push(await connect(proxy.port('web')));
    return { proxy, upstream, client: peers[0] };
  };
  type Setup = Awaited<ReturnType<typeof setup>>;
  const scenario = (name: string, options: Partial<RouteOptions>, run: (s: Setup) => Promise<void>) =>
    test(`${engine}: ${name}`, async (context) => run(await setup(context, options)));
  /** The upstream answers one request on the next connection. */
  const answers = async (upstream: Upstream, response: string, body = ''): Promise<string> => {
    const up = await upstream.accepts();
    const head = await up.receivesHead();
    await up.receives(body);
    up.send(response);
    return head;
  };

  scenario(
    'a 503 is tried again, and the client sees only the success',
    { routes: route('retry_on: 5xx, num_retries: 2') },
    async ({ proxy, upstream, client }) => {
      client.send(GET);
      const first = await answers(upstream, BAD);
      const second = await answers(upstream, OK);
      assert.equal(/x-request-id: (\S+)/.exec(second)?.[1], /x-request-id: (\S+)/.exec(first)?.[1], 'the request keeps its id');
      assert.match(await client.receivesHead(), /^HTTP\/1\.1 200 OK/);
      await client.receives('ok');
      assert.deepEqual(await proxy.logged(1), ['200 - via_upstream 2']);
      assert.deepEqual(
        ['upstream_rq_retry', 'upstream_rq_retry_success', 'upstream_rq_active'].map((name) => proxy.stat(`cluster.up.${name}`)),
        [1, 1, 0],
      );
      assert.equal(proxy.stat('cluster.up.circuit_breakers.default.rq_retry_open'), 0);
    },
  );

  scenario(
    'when the retries are used up the last response is passed on, with URX',
    { routes: route('retry_on: gateway-error, num_retries: 1') },
    async ({ proxy, upstream, client }) => {
      client.send(GET);
      await answers(upstream, BAD);
      await answers(upstream, BAD);
      assert.match(await client.receivesHead(), /^HTTP\/1\.1 503/);
      await client.receives('bad');
      assert.deepEqual(await proxy.logged(1), ['503 URX via_upstream 2']);
      assert.equal(proxy.stat('cluster.up.upstream_rq_retry_limit_exceeded'), 1);
    },
  );

  scenario('a body that was kept is sent again', { routes: route('retry_on: 5xx') }, async ({ upstream, client }) => {
    client.send('POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello');
    await answers(upstream, BAD, 'hello');
    await answers(upstream, OK, 'hello');
    assert.match(await client.receivesHead(), /^HTTP\/1\.1 200/);
  });

  scenario('a reset before the response is tried again', { routes: route('retry_on: reset') }, async ({ proxy, upstream, client }) => {
    client.send(GET);
    const up = await upstream.accepts();
    await up.receivesHead();
    up.reset();
    await answers(upstream, OK);
    assert.match(await client.receivesHead(), /^HTTP\/1\.1 200/);
    await client.receives('ok');
    assert.deepEqual(await proxy.logged(1), ['200 - via_upstream 2']);
  });

  test(`${engine}: a connect failure is tried again on another host`, async (context) => {
    const upstream = await Upstream.open();
    const proxy = new RunningProxy(create());
    context.after(async () => {
      await proxy.close();
      upstream.close();
    });
    await proxy.apply(httpConfig({ upstreams: [1, upstream.port], routes: route('retry_on: connect-failure, num_retries: 3') }));
    const client = await connect(proxy.port('web'));
    for (let round = 0; round < 2; round++) {
      client.send(GET);
      const up = upstream.connections[0] ?? (await upstream.accepts());
      await up.receivesHead();
      up.send(OK);
      assert.match(await client.receivesHead(), /^HTTP\/1\.1 200/);
      await client.receives('ok');
    }
    assert.ok(proxy.stat('cluster.up.upstream_cx_connect_fail') >= 1);
    client.close();
  });

  scenario(
    'a try that takes too long is given up and made again',
    { routes: route('retry_on: 5xx, per_try_timeout: 0.1s') },
    async ({ proxy, upstream, client }) => {
      client.send(GET);
      const slow = await upstream.accepts();
      await slow.receivesHead();
      await answers(upstream, OK);
      assert.match(await client.receivesHead(), /^HTTP\/1\.1 200/);
      await slow.receivesAll();
      assert.equal(proxy.stat('cluster.up.upstream_rq_per_try_timeout'), 1);
    },
  );

  scenario(
    'without a retry left a slow try is a 504',
    { routes: route('retry_on: retriable-4xx, per_try_timeout: 0.1s') },
    async ({ proxy, upstream, client }) => {
      client.send(GET);
      await (await upstream.accepts()).receivesHead();
      assert.match(await client.receivesHead(), /^HTTP\/1\.1 504/);
      assert.deepEqual(await proxy.logged(1), ['504 UT upstream_per_try_timeout 1']);
    },
  );

  scenario(
    'the time of the route holds over all tries',
    { routes: route('retry_on: 5xx, num_retries: 50, retry_back_off: { base_interval: 0.05s, max_interval: 0.05s }', ', timeout: 0.3s') },
    async ({ proxy, upstream, client }) => {
      upstream.onConnection = (peer) =>
        void peer.receivesHead().then(
          () => peer.send(BAD),
          () => undefined,
        );
      client.send(GET);
      assert.match(await client.receivesHead(), /^HTTP\/1\.1 504/);
      const [line] = await proxy.logged(1);
      assert.match(line, /^504 UT response_timeout \d+$/);
      await eventually(
        () => proxy.stat('cluster.up.upstream_rq_active') === 0 && proxy.stat('cluster.up.upstream_cx_active') === 0,
        'an attempt is left',
      );
    },
  );

  scenario(
    'no more retries at once than the circuit breaker allows',
    { routes: route('retry_on: 5xx'), cluster: 'circuit_breakers: { thresholds: [{ max_retries: 0 }] }' },
    async ({ proxy, upstream, client }) => {
      client.send(GET);
      await answers(upstream, BAD);
      assert.match(await client.receivesHead(), /^HTTP\/1\.1 503/);
      assert.equal(proxy.stat('cluster.up.upstream_rq_retry_overflow'), 1);
    },
  );

  scenario('what has reached the client is never tried again', { routes: route('retry_on: "5xx,reset"') }, async ({ proxy, upstream, client }) => {
    client.send(GET);
    const up = await upstream.accepts();
    await up.receivesHead();
    up.send('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc');
    await client.receivesHead();
    await client.receives('abc');
    up.reset();
    await client.receivesAll();
    assert.equal(upstream.connections.length, 1);
    assert.equal(proxy.stat('cluster.up.upstream_rq_retry'), 0);
  });

  scenario(
    'a caller inside the mesh may ask for retries, and gets the attempt count where it is configured',
    { host: 'include_request_attempt_count: true\ninclude_attempt_count_in_response: true' },
    async ({ upstream, client }) => {
      client.send('GET / HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 10.0.0.1\r\nx-envoy-retry-on: 5xx\r\n\r\n');
      assert.match(await answers(upstream, BAD), /x-envoy-attempt-count: 1\r\n/);
      assert.match(await answers(upstream, OK), /x-envoy-attempt-count: 2\r\n/);
      assert.match(await client.receivesHead(), /x-envoy-attempt-count: 2\r\n/);
    },
  );

  const status = (code: number, lines = '') => `HTTP/1.1 ${code} X\r\n${lines}content-length: 0\r\n\r\n`;
  for (const [name, policy, response, again] of [
    ['retriable-4xx: 409', 'retry_on: retriable-4xx', status(409), true],
    ['retriable-4xx: not 404', 'retry_on: retriable-4xx', status(404), false],
    ['gateway-error: not 500', 'retry_on: gateway-error', status(500), false],
    ['connect-failure: no response is one', 'retry_on: connect-failure', status(503), false],
    ['refused-stream: no response of HTTP/1.1 is one', 'retry_on: refused-stream', status(503), false],
    ['retriable-status-codes', 'retry_on: retriable-status-codes, retriable_status_codes: [418]', status(418), true],
    ['retriable-status-codes: only those that are named', 'retry_on: retriable-status-codes, retriable_status_codes: [418]', status(503), false],
    [
      'retriable-headers',
      'retry_on: retriable-headers, retriable_headers: [{ name: x-again, present_match: true }]',
      status(200, 'x-again: 1\r\n'),
      true,
    ],
    [
      'retriable-headers: only those that are named',
      'retry_on: retriable-headers, retriable_headers: [{ name: x-again, present_match: true }]',
      status(200),
      false,
    ],
    ['5xx: not where the response is rate limited', 'retry_on: 5xx', status(503, 'x-envoy-ratelimited: true\r\n'), false],
    ['envoy-ratelimited', 'retry_on: envoy-ratelimited', status(429, 'x-envoy-ratelimited: true\r\n'), true],
    ['retriable_request_headers: another request', 'retry_on: 5xx, retriable_request_headers: [{ name: x-no, present_match: true }]', BAD, false],
    ['num_retries: 0', 'retry_on: 5xx, num_retries: 0', BAD, false],
  ] as const) {
    scenario(`${name}: ${again ? 'tried again' : 'passed on'}`, { routes: route(policy) }, async ({ proxy, upstream, client }) => {
      client.send(GET);
      await answers(upstream, response);
      if (again) await answers(upstream, OK);
      assert.match(await client.receivesHead(), again ? /^HTTP\/1\.1 200 OK/ : new RegExp(`^${response.slice(0, 12)}`));
      assert.equal(proxy.stat('cluster.up.upstream_rq_retry'), again ? 1 : 0);
    });
  }

  for (const [name, lines, response, attempts] of [
    ['x-envoy-max-retries', 'x-envoy-retry-on: 5xx\r\nx-envoy-max-retries: 2', BAD, 3],
    ['x-envoy-max-retries alone asks for nothing', 'x-envoy-max-retries: 2', BAD, 1],
    ['x-envoy-retriable-status-codes', 'x-envoy-retry-on: retriable-status-codes\r\nx-envoy-retriable-status-codes: 404', status(404), 2],
    [
      'x-envoy-retriable-header-names',
      'x-envoy-retry-on: retriable-headers\r\nx-envoy-retriable-header-names: a, X-Again',
      status(200, 'x-again: 1\r\n'),
      2,
    ],
    ['unknown words of x-envoy-retry-on', 'x-envoy-retry-on: nonsense', BAD, 1],
  ] as const) {
    scenario(`${name}: ${attempts} attempts for a caller inside the mesh, one for another`, {}, async ({ proxy, upstream, client }) => {
      answersAll(upstream, response);
      for (const [origin, count] of [
        ['10.0.0.1', attempts],
        ['9.9.9.9', 1],
      ] as const) {
        const before = proxy.stat('cluster.up.upstream_rq_total');
        client.send(`GET / HTTP/1.1\r\nhost: a\r\nx-forwarded-for: ${origin}\r\n${lines}\r\n\r\n`);
        assert.match(await client.receivesHead(), new RegExp(`^${response.slice(0, 12)}`));
        if (response === BAD) await client.receives('bad');
        assert.equal(proxy.stat('cluster.up.upstream_rq_total') - before, count);
      }
    });
  }

  scenario('x-envoy-upstream-rq-per-try-timeout-ms bounds each try', { routes: route('retry_on: 5xx') }, async ({ proxy, upstream, client }) => {
    client.send('GET / HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 10.0.0.1\r\nx-envoy-upstream-rq-per-try-timeout-ms: 60\r\n\r\n');
    assert.match(await (await upstream.accepts()).receivesHead(), /x-envoy-expected-rq-timeout-ms: 60\r\n/);
    await answers(upstream, OK);
    assert.match(await client.receivesHead(), /^HTTP\/1\.1 200/);
    assert.equal(proxy.stat('cluster.up.upstream_rq_per_try_timeout'), 1);
  });

  scenario(
    'a retry budget lets its minimum through and refuses what is beyond it, with UO',
    {
      routes: route('retry_on: 5xx'),
      cluster: 'circuit_breakers: { thresholds: [{ max_retries: 5, retry_budget: { budget_percent: { value: 10 }, min_retry_concurrency: 0 } }] }',
    },
    async ({ proxy, upstream, client }) => {
      client.send(GET);
      await answers(upstream, BAD);
      assert.match(await client.receivesHead(), /^HTTP\/1\.1 503/);
      assert.deepEqual(await proxy.logged(1), ['503 UO via_upstream 1']);
      assert.equal(proxy.stat('cluster.up.upstream_rq_retry_overflow'), 1);
    },
  );

  scenario(
    'the wait that a response asks for is kept',
    {
      routes: route(
        'retry_on: 5xx, rate_limited_retry_back_off: { reset_headers: [{ name: Retry-After, format: SECONDS }], max_interval: 2s }, retry_back_off: { base_interval: 0.001s }',
      ),
    },
    async ({ proxy, upstream, client }) => {
      client.send(GET);
      await answers(upstream, status(503, 'retry-after: 1\r\n'));
      const asked = performance.now();
      await answers(upstream, OK);
      assert.ok(performance.now() - asked > 950, 'tried again too early');
      assert.match(await client.receivesHead(), /^HTTP\/1\.1 200/);
      assert.deepEqual(
        ['exponential', 'ratelimited'].map((kind) => proxy.stat(`cluster.up.upstream_rq_retry_backoff_${kind}`)),
        [0, 1],
      );
    },
  );

  scenario(
    'a wait longer than max_interval is not kept',
    {
      routes: route(
        'retry_on: 5xx, rate_limited_retry_back_off: { reset_headers: [{ name: Retry-After, format: SECONDS }], max_interval: 2s }, retry_back_off: { base_interval: 0.001s }',
      ),
    },
    async ({ proxy, upstream, client }) => {
      client.send(GET);
      await answers(upstream, status(503, 'retry-after: 60\r\n'));
      await answers(upstream, OK);
      assert.match(await client.receivesHead(), /^HTTP\/1\.1 200/);
      assert.equal(proxy.stat('cluster.up.upstream_rq_retry_backoff_exponential'), 1);
    },
  );

  test(`${engine}: previous_hosts sends a retry to a host that was not tried`, async (context) => {
    const upstreams = [await Upstream.open(), await Upstream.open(), await Upstream.open()];
    const proxy = new RunningProxy(create());
    context.after(async () => {
      await proxy.close();
      for (const upstream of upstreams) upstream.close();
    });
    const policy =
      'retry_on: 5xx, num_retries: 2, retry_host_predicate: [{ name: envoy.retry_host_predicates.previous_hosts }], host_selection_retry_max_attempts: 40';
    // A random balancer may draw a host that was tried forty times in a row: one time in ten millions.
    await proxy.apply(httpConfig({ upstreams: upstreams.map(({ port }) => port), routes: route(policy), cluster: 'lb_policy: RANDOM' }));
    for (const upstream of upstreams) answersAll(upstream, BAD);
    const client = await connect(proxy.port('web'));
    for (let round = 0; round < 4; round++) {
      client.send(GET);
      assert.match(await client.receivesHead(), /^HTTP\/1\.1 503/);
      await client.receives('bad');
      // Three attempts, three hosts.
      const seen = upstreams.map(({ port }) => proxy.stat(`cluster.up.endpoint.127_0_0_1_${port}.rq_total`));
      assert.deepEqual(seen, [round + 1, round + 1, round + 1]);
    }
    client.close();
  });
}

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
}

/** Times of connections and streams, as Envoy documents them ("How do I configure timeouts?"). */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import test from 'node:test';
import { engines } from '../support/engines.js';
import { connect, eventually, type Peer, Upstream } from '../support/peers.js';
import { httpConfig, type RouteOptions, RunningProxy } from '../support/running-proxy.js';

const GET = 'GET / HTTP/1.1\r\nhost: a\r\n\r\n';
const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';
const PART = 'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc';
const LOG = '%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n';
const common = (fields: string) => `common_http_protocol_options: { ${fields} }`;
const route = (fields: string) => `- match: { prefix: / }\n  route: { cluster: up, ${fields} }`;

for (const [engine, create] of engines()) {
  const scenario = (
    name: string,
    options: Partial<RouteOptions>,
    run: (s: { proxy: RunningProxy; upstream: Upstream; client: Peer }) => Promise<void>,
  ) =>
    test(`${engine}: ${name}`, async (context: TestContext) => {
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
      await run({ proxy, upstream, client });
      // Whatever happened: no account may be left open.
      await eventually(
        () => proxy.stat('cluster.up.upstream_rq_active') === 0 && proxy.stat('http.in.downstream_rq_active') === 0,
        'a request is still counted',
      );
    });

  scenario(
    'max_connection_duration closes an idle connection after drain_timeout',
    { manager: `${common('max_connection_duration: 0.1s')}\ndrain_timeout: 0.1s` },
    async ({ proxy, client }) => {
      await client.receivesFin();
      assert.equal(proxy.stat('http.in.downstream_cx_max_duration_reached'), 1);
    },
  );

  scenario(
    'max_connection_duration lets a request in flight end, and says close',
    { manager: `${common('max_connection_duration: 0.1s')}\ndrain_timeout: 0.1s` },
    async ({ proxy, upstream, client }) => {
      client.send(GET);
      const up = await upstream.accepts();
      await up.receivesHead();
      await eventually(() => proxy.stat('http.in.downstream_cx_max_duration_reached') === 1, 'its time is not over');
      up.send(OK);
      assert.match(await client.receivesHead(), /^HTTP\/1\.1 200 [\s\S]*connection: close\r\n/);
      await client.receives('ok');
      await client.receivesFin();
    },
  );

  scenario(
    'a request that comes while the connection waits for its end is answered, with close',
    { manager: `${common('max_connection_duration: 0.1s')}\ndrain_timeout: 30s` },
    async ({ proxy, upstream, client }) => {
      await eventually(() => proxy.stat('http.in.downstream_cx_max_duration_reached') === 1, 'its time is not over');
      client.send(GET);
      const up = await upstream.accepts();
      await up.receivesHead();
      up.send(OK);
      assert.match(await client.receivesHead(), /connection: close\r\n/);
      await client.receives('ok');
      await client.receivesFin();
    },
  );

  scenario(
    'max_stream_duration of the manager: 504 without a flag',
    { manager: common('max_stream_duration: 0.1s') },
    async ({ proxy, upstream, client }) => {
      client.send(GET);
      const up = await upstream.accepts();
      await up.receivesHead();
      assert.match(await client.receivesHead(), /^HTTP\/1\.1 504 /);
      await client.receives('downstream duration timeout');
      assert.deepEqual(await proxy.logged(1), ['504 - max_duration_timeout']);
      assert.equal(proxy.stat('http.in.downstream_rq_max_duration_reached'), 1);
      await up.isOverSoon();
    },
  );

  scenario(
    'max_stream_duration breaks a response off that goes on for too long, and counts the time of the request, too',
    { manager: common('max_stream_duration: 0.15s') },
    async ({ proxy, upstream, client }) => {
      client.send(GET);
      const up = await upstream.accepts();
      await up.receivesHead();
      up.send(PART);
      await client.receivesHead();
      await client.receives('abc');
      await client.isOverSoon();
      assert.deepEqual(await proxy.logged(1), ['200 - max_duration_timeout']);
    },
  );

  scenario(
    'max_stream_duration of the route goes before the one of the manager; 0 switches it off',
    { manager: common('max_stream_duration: 0.05s'), routes: route('max_stream_duration: { max_stream_duration: 0s }') },
    async ({ upstream, client }) => {
      client.send(GET);
      const up = await upstream.accepts();
      await up.receivesHead();
      await new Promise((resolve) => setTimeout(resolve, 150));
      up.send(OK);
      assert.match(await client.receivesHead(), /^HTTP\/1\.1 200 /);
    },
  );

  scenario(
    'max_stream_duration of the cluster bounds an attempt: 504, UMSDR',
    {
      cluster: `typed_extension_protocol_options:
  envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
    "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
    common_http_protocol_options: { max_stream_duration: 0.1s }
    explicit_http_config: { http_protocol_options: {} }`,
    },
    async ({ proxy, upstream, client }) => {
      client.send(GET);
      await (await upstream.accepts()).receivesHead();
      assert.match(await client.receivesHead(), /^HTTP\/1\.1 504 /);
      await client.receives('upstream max stream duration reached');
      assert.deepEqual(await proxy.logged(1), ['504 UMSDR upstream_max_stream_duration_reached']);
      assert.equal(proxy.stat('cluster.up.upstream_rq_max_duration_reached'), 1);
    },
  );

  scenario(
    'per_try_idle_timeout gives up an attempt that does not move, and tries again',
    { routes: route('retry_policy: { retry_on: 5xx, per_try_idle_timeout: 0.1s }') },
    async ({ proxy, upstream, client }) => {
      client.send(GET);
      const slow = await upstream.accepts();
      await slow.receivesHead();
      const up = await upstream.accepts();
      await up.receivesHead();
      up.send(OK);
      assert.match(await client.receivesHead(), /^HTTP\/1\.1 200 /);
      assert.equal(proxy.stat('cluster.up.upstream_rq_per_try_idle_timeout'), 1);
      await slow.isOverSoon();
    },
  );

  scenario(
    'per_try_idle_timeout without a retry left: 504, UT',
    { routes: route('retry_policy: { retry_on: retriable-4xx, per_try_idle_timeout: 0.1s }') },
    async ({ proxy, upstream, client }) => {
      client.send(GET);
      await (await upstream.accepts()).receivesHead();
      assert.match(await client.receivesHead(), /^HTTP\/1\.1 504 /);
      assert.deepEqual(await proxy.logged(1), ['504 UT upstream_per_try_idle_timeout']);
    },
  );

  scenario(
    'per_try_idle_timeout also holds while the response is on its way, and does not end one that moves',
    { routes: route('retry_policy: { retry_on: 5xx, per_try_idle_timeout: 0.2s }') },
    async ({ proxy, upstream, client }) => {
      client.send(GET);
      const up = await upstream.accepts();
      await up.receivesHead();
      up.send('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n');
      await client.receivesHead();
      for (const byte of 'abcdef') {
        await new Promise((resolve) => setTimeout(resolve, 60));
        up.send(byte);
        await client.receives(byte);
      }
      await client.isOverSoon();
      assert.deepEqual(await proxy.logged(1), ['200 UT upstream_per_try_idle_timeout']);
    },
  );

  scenario(
    'the idle time of a route goes before the one of the manager',
    { manager: 'stream_idle_timeout: 0.05s', routes: route('idle_timeout: 0s') },
    async ({ upstream, client }) => {
      client.send(GET);
      const up = await upstream.accepts();
      await up.receivesHead();
      await new Promise((resolve) => setTimeout(resolve, 150));
      up.send(OK);
      assert.match(await client.receivesHead(), /^HTTP\/1\.1 200 /);
    },
  );

  scenario('a request whose body stops coming: 408, SI', { manager: 'stream_idle_timeout: 0.1s' }, async ({ proxy, upstream, client }) => {
    client.send('POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc');
    await (await upstream.accepts()).receivesHead();
    assert.match(await client.receivesHead(), /^HTTP\/1\.1 408 [\s\S]*connection: close\r\n/);
    await client.receives('stream timeout');
    assert.deepEqual(await proxy.logged(1), ['408 SI stream_idle_timeout']);
  });

  scenario(
    'request_headers_timeout begins with the first byte: a connection that says nothing is not answered',
    { manager: 'request_headers_timeout: 0.1s' },
    async ({ upstream, client }) => {
      await new Promise((resolve) => setTimeout(resolve, 250));
      client.send(GET);
      const up = await upstream.accepts();
      await up.receivesHead();
      up.send(OK);
      assert.match(await client.receivesHead(), /^HTTP\/1\.1 200 /);
    },
  );

  scenario(
    'an idle upstream connection is closed after the idle time of the cluster',
    { cluster: 'common_http_protocol_options: { idle_timeout: 0.1s }' },
    async ({ proxy, upstream, client }) => {
      client.send(GET);
      const up = await upstream.accepts();
      await up.receivesHead();
      up.send(OK);
      await client.receivesHead();
      await up.receivesFin();
      assert.equal(proxy.stat('cluster.up.upstream_cx_idle_timeout'), 1);
    },
  );
}

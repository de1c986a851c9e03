import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { TestContext } from 'node:test';
import test from 'node:test';
import { grpcFrame } from '../../src/protocol/grpc/message-reader.js';
import { engines } from '../support/engines.js';
import { GrpcClient, GrpcServer, type ServerCall } from '../support/grpc-peers.js';
import { http2Cluster } from '../support/http2-config.js';
import { connect, eventually } from '../support/peers.js';
import { httpConfig, type RouteOptions, RunningProxy } from '../support/running-proxy.js';

const LOG =
  '%RESPONSE_CODE% %GRPC_STATUS% %GRPC_STATUS(SNAKE_STRING)% %GRPC_STATUS_NUMBER% %TRAILER(X-TRAILER)% %REQ(:PATH)% %RESPONSE_CODE_DETAILS%\n';
const ROUTE = (more: string) => `- match: { prefix: / }\n  route: { cluster: up, ${more} }`;
const FILTER = (name: string, type: string, more = '') =>
  `- name: ${name}\n  typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.${type}${more} }`;
const STATS = FILTER('envoy.filters.http.grpc_stats', 'grpc_stats.v3.FilterConfig', ', stats_for_all_methods: true, enable_upstream_stats: true');
const WEB = FILTER('envoy.filters.http.grpc_web', 'grpc_web.v3.GrpcWeb');
/** Bytes as text. */
const latin1 = (bytes: Uint8Array) => Buffer.from(bytes).toString('latin1');
const MESSAGE = latin1(grpcFrame(Buffer.from('hello')));

for (const [engine, create] of engines()) {
  const setup = async (context: TestContext, options: Partial<RouteOptions> = {}) => {
    const server = await GrpcServer.open();
    const proxy = new RunningProxy(create());
    await proxy.apply(httpConfig({ upstreams: [server.port], log: LOG, cluster: http2Cluster(), ...options }));
    const client = new GrpcClient(proxy.port('web'));
    context.after(async () => {
      client.close();
      await proxy.close();
      server.close();
    });
    return { proxy, server, client };
  };
  type Setup = Awaited<ReturnType<typeof setup>>;
  const scenario = (name: string, options: Partial<RouteOptions>, run: (s: Setup) => Promise<void>) =>
    test(`${engine}: ${name}`, { timeout: 10_000 }, async (context) => run(await setup(context, options)));

  scenario('a unary call goes through with its trailers, and is logged with its status', {}, async ({ proxy, server, client }) => {
    const answer = await client.call();
    assert.deepEqual(
      [latin1(answer.body), answer.trailers['grpc-status'], answer.trailers['x-trailer'], answer.isTrailersOnly],
      [MESSAGE, '0', 'seen', false],
    );
    assert.deepEqual(
      [server.calls[0].headers.te, server.calls[0].headers[':path'], server.calls[0].headers['content-type']],
      ['trailers', '/pkg.Greeter/Hello', 'application/grpc'],
    );
    assert.deepEqual(await proxy.logged(1), ['200 OK OK 0 seen /pkg.Greeter/Hello via_upstream']);
  });
  scenario('Trailers-Only stays one frame', {}, async ({ proxy, server, client }) => {
    server.onCall = (call) => call.fail(5, 'no such');
    const answer = await client.call();
    assert.deepEqual([answer.status, answer.headers['grpc-message'], answer.isTrailersOnly], ['5', 'no such', true]);
    assert.deepEqual(await proxy.logged(1), ['200 NotFound NOT_FOUND 5 - /pkg.Greeter/Hello via_upstream']);
  });
  scenario('messages of a bidirectional stream go to and fro before either side ends', {}, async ({ server, client }) => {
    server.onCall = ({ stream }) => {
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      stream.on('data', (chunk: Buffer) => stream.write(chunk));
      stream.on('end', () => stream.end());
    };
    const stream = client.open();
    const done = GrpcClient.answerOf(stream);
    let got = 0;
    stream.on('data', () => got++);
    for (let i = 1; i <= 3; i++) {
      stream.write(grpcFrame(Buffer.from(`${i}`)));
      await eventually(() => got === i, `${got} of ${i} messages came back`);
    }
    stream.end();
    assert.equal((await done).status, '0');
  });
  scenario(
    'a call is not sent to a cluster that is spoken to in HTTP/1, and the answer says why',
    { cluster: '' },
    async ({ proxy, server, client }) => {
      const answer = await client.call();
      assert.deepEqual([answer.status, answer.isTrailersOnly, server.calls.length], ['14', true, 0]);
      assert.match(String(answer.headers['grpc-message']), /cluster up is spoken to in HTTP\/1/);
      assert.match((await proxy.logged(1))[0], /grpc_needs_http2$/);
    },
  );
  scenario('a client that cancels resets the upstream stream at once', {}, async ({ server, client }) => {
    server.onCall = ({ stream }) => stream.respond({ ':status': 200, 'content-type': 'application/grpc' });
    const stream = client.open();
    stream.on('error', () => {});
    stream.write(grpcFrame(Buffer.from('hi')));
    await eventually(() => server.calls.length === 1, 'no call');
    stream.close(8);
    await eventually(() => server.calls[0].isClosed, 'the upstream stream lives on');
    assert.equal(server.calls[0].resetWith, 8);
  });

  scenario('an answer of the proxy to a gRPC call is HTTP 200 with the gRPC status', { upstreams: [] }, async ({ proxy, client }) => {
    const answer = await client.call();
    assert.deepEqual(
      [answer.headers[':status'], answer.headers['content-type'], answer.status, answer.headers['grpc-message'], answer.isTrailersOnly],
      [200, 'application/grpc', '14', 'no healthy upstream', true],
    );
    assert.deepEqual(await proxy.logged(1), ['200 Unavailable UNAVAILABLE 14 - /pkg.Greeter/Hello no_healthy_upstream']);
    assert.equal(proxy.stat('cluster.up.upstream_rq_503'), 1);
    assert.equal(proxy.stat('http.in.downstream_rq_2xx'), 1);
  });
  scenario('a call without a route is UNIMPLEMENTED', { routes: '- match: { prefix: /other }\n  route: { cluster: up }' }, async ({ client }) => {
    const answer = await client.call();
    assert.deepEqual([answer.headers[':status'], answer.status], [200, '12']);
  });
  scenario('what is no gRPC gets the HTTP status', { upstreams: [] }, async ({ proxy, client }) => {
    const answer = await client.call('/', { 'content-type': 'application/grpc-web' });
    assert.deepEqual([answer.headers[':status'], answer.status, latin1(answer.body)], [503, undefined, 'no healthy upstream']);
    assert.deepEqual(await proxy.logged(1), ['503 - - - - / no_healthy_upstream']);
  });
  scenario('a reset before the response is the gRPC status of its error', {}, async ({ server, client }) => {
    for (const [error, status] of [
      [8, '1'],
      [11, '8'],
      [2, '13'],
    ] as const) {
      server.onCall = ({ stream }) => stream.close(error);
      const answer = await client.call();
      assert.deepEqual([answer.status, answer.isTrailersOnly], [status, true], `error ${error}`);
      assert.match(String(answer.headers['grpc-message']), /upstream connect error or disconnect\/reset before headers/);
    }
  });
  scenario('the route timeout is UNAVAILABLE, as Envoy answers it', { routes: ROUTE('timeout: 0.05s') }, async ({ server, client }) => {
    server.onCall = () => {};
    const answer = await client.call();
    assert.deepEqual([answer.status, answer.headers['grpc-message']], ['14', 'upstream request timeout']);
  });

  scenario('grpc-timeout is forwarded, enforced, and DEADLINE_EXCEEDED', {}, async ({ proxy, server, client }) => {
    server.onCall = () => {};
    const answer = await client.call(undefined, { 'grpc-timeout': '50m' });
    assert.deepEqual([answer.headers[':status'], answer.status, answer.headers['grpc-message']], [200, '4', 'downstream duration timeout']);
    assert.equal(server.calls[0].headers['grpc-timeout'], '50m');
    await eventually(() => server.calls[0].isClosed, 'the upstream stream lives on');
    assert.equal(server.calls[0].resetWith, 8);
    assert.equal(proxy.stat('http.in.downstream_rq_max_duration_reached'), 1);
  });
  scenario('a grpc-timeout that cannot be read is none', {}, async ({ client }) => {
    assert.equal((await client.call(undefined, { 'grpc-timeout': '5x' })).status, '0');
  });
  scenario(
    'grpc_timeout_header_max bounds it and the offset is taken off',
    { routes: ROUTE('max_stream_duration: { grpc_timeout_header_max: 0.08s, grpc_timeout_header_offset: 0.01s }') },
    async ({ server, client }) => {
      server.onCall = () => {};
      const start = performance.now();
      const answer = await client.call(undefined, { 'grpc-timeout': '20S' });
      assert.equal(answer.status, '4');
      assert.ok(performance.now() - start < 2000);
      assert.equal(server.calls[0].headers['grpc-timeout'], '80m');
    },
  );

  scenario(
    'a status in retry_on is tried again where it comes alone',
    { routes: ROUTE('retry_policy: { retry_on: "unavailable,cancelled", num_retries: 2 }'), filters: STATS },
    async ({ proxy, server, client }) => {
      server.onCall = (call: ServerCall) => {
        call.stream.resume();
        if (server.calls.length < 3) call.fail(14);
        else void call.body().then((body) => call.answer([body.subarray(5).toString()]));
      };
      const answer = await client.call();
      assert.deepEqual([answer.status, latin1(answer.body), server.calls.length], ['0', latin1(grpcFrame(Buffer.from('hi'))), 3]);
      assert.equal(proxy.stat('cluster.up.upstream_rq_retry_success'), 1);
      assert.equal(proxy.stat('cluster.up.grpc.pkg.Greeter.Hello.request_message_count'), 1);
    },
  );
  scenario(
    'another status, and one in the trailers, go to the client',
    { routes: ROUTE('retry_policy: { retry_on: unavailable, num_retries: 2 }') },
    async ({ server, client }) => {
      server.onCall = (call) => call.fail(5);
      assert.equal((await client.call()).status, '5');
      server.onCall = (call) => call.answer([], 14);
      assert.equal((await client.call()).status, '14');
      assert.equal(server.calls.length, 2);
    },
  );
  scenario(
    'routes can ask for gRPC',
    { routes: '- match: { prefix: /, grpc: {} }\n  route: { cluster: up }\n- match: { prefix: / }\n  direct_response: { status: 204 }' },
    async ({ client }) => {
      assert.equal((await client.call()).status, '0');
      assert.equal((await client.call(undefined, { 'content-type': 'application/json' })).headers[':status'], 204);
    },
  );

  scenario('grpc_stats counts calls by method and status, and their messages', { filters: STATS }, async ({ proxy, server, client }) => {
    server.onCall = (call) => {
      void call.body().then(() => call.answer(['one', 'two'], 0));
    };
    assert.equal((await client.call()).status, '0');
    server.onCall = (call) => call.fail(7);
    assert.equal((await client.call()).status, '7');
    const stat = (name: string) => proxy.stat(`cluster.up.grpc.pkg.Greeter.Hello.${name}`);
    await eventually(() => stat('total') === 2, 'not counted');
    assert.deepEqual(
      ['success', 'failure', 'total', '0', '7', 'request_message_count', 'response_message_count', 'upstream_rq_time'].map(stat),
      [1, 1, 2, 1, 1, 2, 2, 2],
    );
  });

  scenario(
    'many megabytes pass the counting of messages both ways, as fast as the slower side reads',
    { filters: STATS },
    async ({ proxy, server, client }) => {
      const message = grpcFrame(Buffer.alloc(100_000, 'x'));
      const messages = 100;
      server.onCall = ({ stream }) => {
        stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
        stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
        stream.pipe(stream);
      };
      const stream = client.open();
      const done = GrpcClient.answerOf(stream);
      for (let i = 0; i < messages; i++) if (!stream.write(message)) await once(stream, 'drain');
      stream.end();
      const answer = await done;
      assert.deepEqual([answer.status, answer.body.length], ['0', messages * message.length]);
      const stat = (name: string) => proxy.stat(`cluster.up.grpc.pkg.Greeter.Hello.${name}`);
      await eventually(() => stat('total') === 1, 'not counted');
      assert.deepEqual([stat('request_message_count'), stat('response_message_count')], [messages, messages]);
    },
  );

  scenario('a gRPC-Web call over HTTP/1, binary', { filters: WEB }, async ({ proxy, server }) => {
    const body = grpcFrame(Buffer.from('hi'));
    const client = await connect(proxy.port('web'));
    client.send(
      `POST /pkg.Greeter/Hello HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc-web+proto\r\nx-grpc-web: 1\r\ncontent-length: ${body.length}\r\n\r\n`,
    );
    client.send(latin1(body));
    const head = await client.receivesHead();
    assert.match(head, /content-type: application\/grpc-web\+proto/i);
    assert.match(head, /transfer-encoding: chunked/i);
    const trailers = 'grpc-status:0\r\nx-trailer:seen\r\n';
    const answer = await client.receivesUntil('\r\n0\r\n\r\n');
    assert.ok(answer.includes(latin1(grpcFrame(Buffer.from(trailers), 0x80))));
    assert.ok(answer.includes(MESSAGE));
    client.close();
    const { headers } = server.calls[0];
    assert.deepEqual([headers['content-type'], headers.te, headers['content-length']], ['application/grpc+proto', 'trailers', undefined]);
  });
  scenario('a gRPC-Web call over HTTP/2, text', { filters: WEB }, async ({ server, client }) => {
    server.onCall = (call) => {
      void call.body().then((body) => call.answer([body.subarray(5).toString()]));
    };
    const text = Buffer.from(grpcFrame(Buffer.from('hi'))).toString('base64');
    const more = { 'content-type': 'application/grpc-web-text', accept: 'application/grpc-web-text' };
    const answer = await client.call(undefined, more, Buffer.from(text));
    assert.equal(answer.headers['content-type'], 'application/grpc-web-text+proto');
    const decoded = latin1(Buffer.from(latin1(answer.body), 'base64'));
    assert.equal(decoded, latin1(Buffer.concat([grpcFrame(Buffer.from('hi')), grpcFrame(Buffer.from('grpc-status:0\r\nx-trailer:seen\r\n'), 0x80)])));
    assert.deepEqual(answer.trailers, {});
  });
  scenario('a gRPC-Web call that cannot be served, and one that is no base64', { filters: WEB }, async ({ server, client }) => {
    server.onCall = (call) => call.fail(16, 'who');
    const more = { 'content-type': 'application/grpc-web+proto' };
    const failed = await client.call(undefined, more);
    assert.deepEqual([failed.status, failed.headers['content-type'], failed.isTrailersOnly], ['16', 'application/grpc-web+proto', true]);
    const broken = await client.call(undefined, { 'content-type': 'application/grpc-web-text' }, Buffer.from('!!'));
    assert.deepEqual([broken.status, broken.headers['grpc-message']], ['13', 'Bad gRPC-web request, invalid base64 data.']);
  });

  /** A call of an HTTP/1 client that knows no trailers: head and body of the answer. */
  const bridged = async ({ proxy }: Setup, type: string, body: Uint8Array, path = '/pkg.Greeter/Hello', chunked = false) => {
    const client = await connect(proxy.port('web'));
    const framing = chunked ? 'transfer-encoding: chunked' : `content-length: ${body.length}`;
    client.send(`POST ${path} HTTP/1.1\r\nhost: a\r\ncontent-type: ${type}\r\n${framing}\r\n\r\n`);
    client.send(chunked ? `${body.length.toString(16)}\r\n${latin1(body)}\r\n0\r\n\r\n` : latin1(body));
    const head = await client.receivesHead();
    const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
    const answer = latin1(await client.receivesBytes(length));
    client.close();
    return { head: head.toLowerCase(), answer };
  };
  const BRIDGE = FILTER(
    'envoy.filters.http.grpc_http1_bridge',
    'grpc_http1_bridge.v3.Config',
    ', upgrade_protobuf_to_grpc: true, ignore_query_parameters: true',
  );
  scenario('the HTTP/1 bridge puts the status of a call into the head', { filters: `${BRIDGE}\n${STATS}`, log: LOG }, async (s) => {
    const good = await bridged(s, 'application/grpc', grpcFrame(Buffer.from('hi')), '/pkg.Greeter/Hello?a=b');
    assert.match(good.head, /^http\/1.1 200 ok\r\n/);
    assert.match(good.head, /\r\ngrpc-status: 0\r\n/);
    assert.equal(good.answer, MESSAGE);
    assert.equal(s.server.calls[0].headers[':path'], '/pkg.Greeter/Hello');
    assert.equal(s.server.calls[0].headers.te, 'trailers');
    s.server.onCall = (call) => call.answer(['half'], 13, 'broken');
    const bad = await bridged(s, 'application/grpc', grpcFrame(Buffer.from('hi')));
    assert.match(bad.head, /^http\/1.1 503 /);
    assert.match(bad.head, /\r\ngrpc-status: 13\r\ngrpc-message: broken\r\n/);
    s.server.onCall = (call) => call.fail(5);
    assert.match((await bridged(s, 'application/grpc', grpcFrame(Buffer.from('hi')))).head, /^http\/1.1 503 [\s\S]*grpc-status: 5\r\n/);
    assert.match((await s.proxy.logged(3))[2], /^503 NotFound/);
    await eventually(() => s.proxy.stat('cluster.up.grpc.pkg.Greeter.Hello.total') === 3, 'not counted');
    assert.equal(s.proxy.stat('cluster.up.grpc.pkg.Greeter.Hello.response_message_count'), 2);
  });
  scenario('the HTTP/1 bridge makes calls of Protocol Buffers messages', { filters: BRIDGE }, async (s) => {
    s.server.onCall = (call) => {
      void call.body().then((body) => call.answer([body.toString('latin1')]));
    };
    for (const chunked of [false, true]) {
      const { head, answer } = await bridged(s, 'application/x-protobuf', Buffer.from('hi'), undefined, chunked);
      assert.match(head, /^http\/1.1 200 [\s\S]*content-type: application\/x-protobuf\r\n/);
      assert.equal(answer, latin1(grpcFrame(Buffer.from('hi'))));
      assert.equal(s.server.calls.at(-1)?.headers['content-type'], 'application/grpc');
    }
  });
  scenario('an answer that is no gRPC comes through the bridge as it is', { filters: BRIDGE }, async (s) => {
    s.server.onCall = ({ stream }) => {
      stream.respond({ ':status': 502, 'content-type': 'text/plain', 'content-length': 11 });
      stream.end('no such way');
    };
    const client = await connect(s.proxy.port('web'));
    client.send('POST /pkg.Greeter/Hello HTTP/1.1\r\nhost: a\r\ncontent-type: application/x-protobuf\r\ncontent-length: 2\r\n\r\nhi');
    assert.match(await client.receivesHead(), /^HTTP\/1.1 502 [\s\S]*content-type: text\/plain\r\n/);
    await client.receives('b\r\nno such way\r\n0\r\n\r\n');
    client.close();
  });
  scenario('what the bridge keeps is bounded, and a call over HTTP/2 needs no bridge', { filters: BRIDGE }, async (s) => {
    s.server.onCall = (call) => call.answer(['x'.repeat(2 << 20)]);
    const large = await bridged(s, 'application/grpc', grpcFrame(Buffer.from('hi')));
    assert.match(large.head, /^http\/1.1 503 [\s\S]*grpc-status: 2\r\n/);
    assert.equal((await s.client.call()).body.length, 5 + (2 << 20));
  });
}

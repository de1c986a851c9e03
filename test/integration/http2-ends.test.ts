/** How streams and connections of HTTP/2 end: what the client is told, what is counted, and that no request sees anything of the one before it. */
import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { data, goAway, headers } from '../../codecs/http2/framing/test-support.js';
import { SETTING } from '../../codecs/http2/spec.js';
import { engines } from '../support/engines.js';
import { http2Cluster } from '../support/http2-config.js';
import { type Fields, get, Http2Peer, Http2Server, NO_WINDOW, type PeerOptions, post } from '../support/http2-peer.js';
import { connect, eventually, Upstream } from '../support/peers.js';
import { httpConfig, type RouteOptions, RunningProxy } from '../support/running-proxy.js';

const ALL_IDS = 2 ** 31 - 1;
const WEBSOCKETS = 'upgrade_configs: [{ upgrade_type: websocket }]\nhttp2_protocol_options: { allow_connect: true }';
const CHAT: Fields = [[':method', 'CONNECT'], [':protocol', 'websocket'], ...get('/chat').slice(1)];
const GRPC = post('/pkg.Greeter/Hello', ['content-type', 'application/grpc'], ['te', 'trailers']);
const OK: Fields = [[':status', '200']];

for (const [engine, create] of engines()) {
  const set = async (context: TestContext, options: RouteOptions): Promise<RunningProxy> => {
    const proxy = new RunningProxy(create());
    context.after(() => proxy.close());
    await proxy.apply(httpConfig(options));
    return proxy;
  };
  const client = async (context: TestContext, proxy: RunningProxy, options: PeerOptions = {}): Promise<Http2Peer> => {
    const peer = await Http2Peer.connect(proxy.port('web'), options);
    context.after(() => peer.close());
    return peer;
  };
  const http2Server = async (context: TestContext, options: PeerOptions = {}): Promise<Http2Server> => {
    const server = await Http2Server.open(() => options);
    context.after(() => server.close());
    return server;
  };
  const http1Server = async (context: TestContext): Promise<Upstream> => {
    const server = await Upstream.open();
    context.after(() => server.close());
    return server;
  };

  test(`${engine}: a head that cannot be read is logged with the address of its own client`, async (context) => {
    const server = await http2Server(context);
    server.onRequest = (peer, stream) => peer.send(headers(stream, OK));
    const log = '%RESPONSE_CODE% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%\n';
    const proxy = await set(context, { upstreams: [server.port], cluster: http2Cluster(), log, manager: 'max_request_headers_kb: 8' });
    const one = await client(context, proxy);
    await one.response(one.request(get('/', ['x-forwarded-for', '203.0.113.7'])));
    const other = await client(context, proxy);
    assert.equal((await other.response(other.request(get(`/${'x'.repeat(15_000)}`)))).status?.[0], '4');
    const [first, second] = await proxy.logged(2);
    assert.equal(first, '200 203.0.113.7');
    assert.match(second, /^4\d\d 127\.0\.0\.1$/);
  });

  test(`${engine}: a WebSocket that a server of HTTP/1 answers with 200 is not there`, async (context) => {
    const server = await http1Server(context);
    const proxy = await set(context, { upstreams: [server.port], manager: WEBSOCKETS, log: '%RESPONSE_CODE% %RESPONSE_CODE_DETAILS%\n' });
    const peer = await client(context, proxy);
    const stream = peer.request(CHAT, false);
    const up = await server.accepts();
    await up.receivesHead();
    up.send('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi');
    assert.equal((await peer.response(stream)).status, '502');
    assert.deepEqual(await proxy.logged(1), ['502 upgrade_failed']);
    const refused = peer.request(CHAT, false);
    const next = await server.accepts();
    await next.receivesHead();
    next.send('HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n');
    assert.equal((await peer.response(refused)).status, '404');
    assert.equal(proxy.stat('cluster.up.upstream_rq_active'), 0);
  });

  test(`${engine}: sec-websocket-accept is said once, also where another proxy has passed it on`, async (context) => {
    const server = await http2Server(context, { settings: [[SETTING.ENABLE_CONNECT_PROTOCOL, 1]] });
    server.onRequest = (peer, stream) => peer.send(headers(stream, [...OK, ['sec-websocket-accept', 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=']], false));
    const proxy = await set(context, { upstreams: [server.port], cluster: http2Cluster('allow_connect: true'), manager: WEBSOCKETS });
    const one = await connect(proxy.port('web'));
    context.after(() => one.close());
    const key = 'sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13';
    one.send(`GET /chat HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n${key}\r\n\r\n`);
    assert.equal((await one.receivesHead()).match(/sec-websocket-accept/gi)?.length, 1);
  });

  test(`${engine}: a call that a GOAWAY leaves behind is UNAVAILABLE`, async (context) => {
    const server = await http2Server(context);
    server.onRequest = (peer) => peer.send(goAway(0));
    const proxy = await set(context, { upstreams: [server.port], cluster: http2Cluster() });
    const peer = await client(context, proxy);
    const { heads } = await peer.response(peer.request(GRPC));
    assert.deepEqual(heads[0].find(([name]) => name === 'grpc-status')?.[1], '14');
    assert.equal(proxy.stat('cluster.up.upstream_rq_active'), 0);
  });

  test(`${engine}: nothing of an attempt that was to be repeated is logged for a client that left meanwhile`, async (context) => {
    const server = await http2Server(context);
    server.onRequest = (peer, stream) =>
      peer.send(
        headers(stream, [
          [':status', '200'],
          ['content-type', 'application/grpc'],
          ['grpc-status', '14'],
        ]),
      );
    const retry = 'retry_policy: { retry_on: unavailable, retry_back_off: { base_interval: 60s } }';
    const routes = `- match: { prefix: / }\n  route: { cluster: up, ${retry} }`;
    const log = '%RESPONSE_CODE% %GRPC_STATUS_NUMBER%\n';
    const proxy = await set(context, { upstreams: [server.port], cluster: http2Cluster(), routes, log });
    const peer = await client(context, proxy);
    peer.request(GRPC);
    await eventually(() => proxy.stat('cluster.up.upstream_rq_retry') === 1, 'no retry');
    peer.close();
    assert.deepEqual(await proxy.logged(1), ['0 -']);
    assert.equal(proxy.stat('http.in.downstream_rq_active'), 0);
  });

  test(`${engine}: requests that are under way beyond max_requests_per_connection do not end its draining early`, async (context) => {
    const server = await http2Server(context);
    const proxy = await set(context, {
      upstreams: [server.port],
      cluster: http2Cluster(),
      manager: 'common_http_protocol_options: { max_requests_per_connection: 1 }',
    });
    const streams: [Http2Peer, number][] = [];
    server.onRequest = (peer, stream) => void streams.push([peer, stream]);
    const peer = await client(context, proxy, { answersPing: false });
    const asked = [peer.request(get('/1')), peer.request(get('/2')), peer.request(get('/3'))];
    await eventually(
      () => streams.length === 3,
      () => `${streams.length} requests came`,
    );
    for (const [up, stream] of streams) up.send(headers(stream, OK));
    for (const stream of asked) assert.equal((await peer.response(stream)).status, '200');
    assert.equal((await peer.receives('GOAWAY')).lastStream, ALL_IDS);
    assert.equal(peer.counts.get('GOAWAY'), 1);
    assert.equal(proxy.stat('http.in.downstream_cx_max_requests_reached'), 1);
  });

  test(`${engine}: max_connection_duration tells the client also while a response goes on`, async (context) => {
    const server = await http2Server(context);
    let up: Http2Peer | undefined;
    server.onRequest = (peer, stream) => {
      up = peer;
      peer.send(headers(stream, OK, false), data(stream, 'one'));
    };
    const manager = 'common_http_protocol_options: { max_connection_duration: 0.2s }';
    const proxy = await set(context, { upstreams: [server.port], cluster: http2Cluster(), manager });
    const peer = await client(context, proxy);
    const stream = peer.request(get('/'));
    assert.equal(await peer.receivesGoAway(), 'NO_ERROR');
    up?.send(data(1, 'two', true));
    assert.equal((await peer.response(stream)).body.toString(), 'onetwo');
    await peer.ends();
  });

  test(`${engine}: a client that takes nothing out of a tunnel does not hold it for ever`, async (context) => {
    const server = await http1Server(context);
    const proxy = await set(context, { upstreams: [server.port], manager: `${WEBSOCKETS}\nstream_idle_timeout: 0.2s` });
    const peer = await client(context, proxy, { settings: [NO_WINDOW] });
    const stream = peer.request(CHAT, false);
    const up = await server.accepts();
    await up.receivesHead();
    up.send('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nfirst');
    assert.equal(await peer.status(stream), '200');
    up.close();
    assert.notEqual((await peer.response(stream)).reset, undefined);
    assert.equal(proxy.stat('http.in.downstream_cx_upgrades_active'), 0);
    assert.equal(proxy.stat('http.in.downstream_rq_active'), 0);
  });

  for (const version of ['HTTP1', 'HTTP2'] as const)
    test(`${engine}: the log says from which address the upstream was asked in ${version}`, async (context) => {
      const server = version === 'HTTP2' ? await http2Server(context) : await http1Server(context);
      if (server instanceof Http2Server) server.onRequest = (peer, stream) => peer.send(headers(stream, OK));
      const cluster = version === 'HTTP2' ? http2Cluster() : '';
      const log = '%PROTOCOL% %UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%\n';
      const proxy = await set(context, { upstreams: [server.port], cluster, log });
      const peer = await client(context, proxy);
      const stream = peer.request(get('/'));
      if (server instanceof Upstream) {
        const up = await server.accepts();
        await up.receivesHead();
        up.send('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
      }
      assert.equal((await peer.response(stream)).status, '200');
      assert.deepEqual(await proxy.logged(1), ['HTTP/2 127.0.0.1']);
    });
}

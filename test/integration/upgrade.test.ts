import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import test from 'node:test';
import { WebSocket, WebSocketServer } from 'ws';
import { engines } from '../support/engines.js';
import { connect, eventually, Upstream } from '../support/peers.js';
import { httpConfig, RunningProxy } from '../support/running-proxy.js';

const UPGRADE = 'GET /chat HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n';
const manager = 'upgrade_configs: [{ upgrade_type: websocket }]';
const connectRoutes = '- match: { connect_matcher: {} }\n  route: { cluster: up, upgrade_configs: [{ upgrade_type: CONNECT }] }';

for (const [engine, create] of engines()) {
  test(`${engine}: a WebSocket of a real client and server goes through`, async (context) => {
    const server = createServer();
    const sockets = new WebSocketServer({ server });
    sockets.on('connection', (socket) => socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary })));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const proxy = new RunningProxy(create());
    context.after(async () => {
      await proxy.close();
      sockets.close();
      server.close();
      server.closeAllConnections();
    });
    await proxy.apply(httpConfig({ upstreams: [(server.address() as AddressInfo).port], manager, log: '%RESPONSE_CODE% %RESPONSE_FLAGS%\n' }));
    const client = new WebSocket(`ws://127.0.0.1:${proxy.port('web')}/chat`);
    await new Promise((resolve, reject) => client.once('open', resolve).once('error', reject));
    const big = Buffer.alloc(200_000, 7);
    for (const message of ['hello', big]) {
      const echo = new Promise<Buffer>((resolve) => client.once('message', (data) => resolve(data as Buffer)));
      client.send(message);
      assert.deepEqual(Buffer.from(await echo), Buffer.from(message));
    }
    assert.equal(proxy.stat('http.in.downstream_cx_upgrades_active'), 1);
    client.close();
    await new Promise((resolve) => client.once('close', resolve));
    assert.deepEqual(await proxy.logged(1), ['101 -']);
    await eventually(() => proxy.engine.connections === 0, 'a connection is left');
    assert.equal(proxy.stat('http.in.downstream_cx_upgrades_active'), 0);
    assert.equal(proxy.stat('cluster.up.upstream_cx_active'), 0);
  });

  const scenario = (
    name: string,
    options: { readonly manager?: string; readonly routes?: string; readonly log?: string },
    run: (s: { proxy: RunningProxy; upstream: Upstream; client: Awaited<ReturnType<typeof connect>> }) => Promise<void>,
  ) =>
    test(`${engine}: ${name}`, async (context) => {
      const upstream = await Upstream.open();
      const proxy = new RunningProxy(create());
      context.after(async () => {
        await proxy.close();
        upstream.close();
      });
      await proxy.apply(httpConfig({ upstreams: [upstream.port], ...options }));
      const client = await connect(proxy.port('web'));
      context.after(() => client.close());
      await run({ proxy, upstream, client });
    });

  scenario(
    'an upgrade that is not configured is refused: 403',
    { log: '%RESPONSE_CODE% %RESPONSE_CODE_DETAILS%\n' },
    async ({ proxy, upstream, client }) => {
      client.send(UPGRADE);
      assert.match(await client.receivesHead(), /^HTTP\/1\.1 403 /);
      assert.deepEqual(await proxy.logged(1), ['403 upgrade_failed']);
      assert.equal(upstream.connections.length, 0);
    },
  );

  scenario('no byte of the client goes up before the 101', { manager }, async ({ upstream, client }) => {
    client.send(`${UPGRADE}early`);
    const up = await upstream.accepts();
    assert.match(await up.receivesHead(), /upgrade: websocket\r\n/i);
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(up.unread, '');
    up.send('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nhi');
    assert.match(await client.receivesHead(), /^HTTP\/1\.1 101 /);
    await up.receives('early');
    await client.receives('hi');
  });

  scenario(
    'a refused upgrade is an ordinary response, and its upstream connection is not used again',
    { manager },
    async ({ proxy, upstream, client }) => {
      client.send(UPGRADE);
      const up = await upstream.accepts();
      await up.receivesHead();
      up.send('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno');
      assert.match(await client.receivesHead(), /^HTTP\/1\.1 200 /);
      await client.receives('no');
      await up.receivesAll();
      await eventually(() => proxy.stat('cluster.up.upstream_cx_active') === 0, 'the connection is kept');
    },
  );

  scenario('an offer of h2c is not passed on', { manager }, async ({ upstream, client }) => {
    client.send('GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAA\r\n\r\n');
    const up = await upstream.accepts();
    assert.doesNotMatch(await up.receivesHead(), /upgrade|http2-settings/i);
  });

  scenario('CONNECT without a route for it: 404', {}, async ({ client }) => {
    client.send('CONNECT b.example:443 HTTP/1.1\r\nhost: b.example:443\r\n\r\n');
    assert.match(await client.receivesHead(), /^HTTP\/1\.1 404 /);
  });

  scenario(
    'CONNECT with a route for it is a tunnel after 2xx, half-closes included',
    { routes: connectRoutes },
    async ({ proxy, upstream, client }) => {
      client.send('CONNECT b.example:443 HTTP/1.1\r\nhost: b.example:443\r\n\r\n');
      const up = await upstream.accepts();
      assert.match(await up.receivesHead(), /^CONNECT b\.example:443 HTTP\/1\.1\r\n/);
      up.send('HTTP/1.1 200 OK\r\n\r\n');
      assert.match(await client.receivesHead(), /^HTTP\/1\.1 200 /);
      client.send('ping').end();
      await up.receives('ping');
      await up.receivesFin();
      up.send('pong').end();
      assert.equal(await client.receivesAll(), 'pong');
      await eventually(() => proxy.engine.connections === 0, 'a connection is left');
    },
  );
}

/** Tunnels between streams and HTTP/1 connections (RFC 9113 §8.5, RFC 8441), on each engine. */
import assert from 'node:assert/strict';
import { data, headers, rst } from '../../codecs/http2/framing/test-support.js';
import { SETTING } from '../../codecs/http2/spec.js';
import { type FramePeer, response } from '../support/frame-peer.js';
import { eventually } from '../support/peers.js';
import { type StreamStage, scenario } from '../support/stream-stage.js';

const extended = (stream: number): Uint8Array =>
  headers(
    stream,
    [
      [':method', 'CONNECT'],
      [':protocol', 'websocket'],
      [':scheme', 'http'],
      [':path', '/chat'],
      [':authority', 'h'],
      ['sec-websocket-version', '13'],
    ],
    false,
  );
const connecting = (stream: number): Uint8Array =>
  headers(
    stream,
    [
      [':method', 'CONNECT'],
      [':authority', 'far:443'],
    ],
    false,
  );
const text = (content: Uint8Array | undefined): string => Buffer.from(content ?? []).toString('latin1');
const EXTENDED = { downLimits: { extendedConnect: 1 } };
/** Bytes both ways on a tunnel between two streams, and the end of both. */
async function talk(client: FramePeer, down: number, up: FramePeer, upstream: number): Promise<void> {
  client.send(data(down, 'ping'));
  assert.equal(await up.body(upstream, 4), 'ping');
  up.send(data(upstream, 'pong'));
  assert.equal(await client.body(down, 4), 'pong');
  client.send(data(down, 'bye', true));
  assert.equal(await up.body(upstream), 'bye');
  // The other direction goes on.
  up.send(data(upstream, 'one more'));
  assert.equal(await client.body(down, 8), 'one more');
  up.send(data(upstream, '', true));
  assert.equal(await client.body(down), '');
}

scenario('extended CONNECT between streams is a tunnel', async (stage) => {
  const server = await stage.frameServer([SETTING.ENABLE_CONNECT_PROTOCOL, 1]);
  const proxy = await stage.proxy({ port: server.port, down: 'http2', up: 'http2', ...EXTENDED });
  const client = await stage.frameClient(proxy);
  client.send(extended(1), data(1, 'early'));
  const up = await server.accepts();
  const head = await up.head(1);
  assert.deepEqual([head[':method'], head[':protocol'], head[':path'], head.ends], ['CONNECT', 'websocket', '/chat', false]);
  assert.equal(
    up.frames.some(({ name }) => name === 'DATA'),
    false,
  );
  up.send(response(1, 200, false));
  assert.equal((await client.head(1))[':status'], '200');
  assert.equal(await up.body(1, 5), 'early');
  await talk(client, 1, up, 1);
  await eventually(
    () => proxy.events.filter((event) => event.endsWith('closed done')).length === 2,
    () => proxy.events.join('\n'),
  );
});

scenario('extended CONNECT becomes an upgrade of HTTP/1', async (stage) => {
  const server = await stage.http1Server();
  const proxy = await stage.proxy({ port: server.port, down: 'http2', up: 'http1', ...EXTENDED });
  const client = await stage.frameClient(proxy);
  client.send(extended(1), data(1, 'early'));
  const up = await server.accepts();
  assert.equal(
    await up.receivesHead(),
    'GET /chat HTTP/1.1\r\nhost: h\r\nsec-websocket-version: 13\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n',
  );
  assert.equal(up.unread, '');
  up.send('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\nhi');
  const answer = await client.head(1);
  assert.deepEqual([answer[':status'], answer.upgrade, answer.ends], ['200', undefined, false]);
  await up.receives('early');
  assert.equal(await client.body(1, 2), 'hi');
  client.send(data(1, 'ping'));
  await up.receives('ping');
  up.send('pong').end();
  assert.equal(await client.body(1), 'pong');
  client.send(data(1, 'last', true));
  await up.receives('last');
  await up.receivesFin();
  await eventually(
    () => proxy.events.includes('request-closed done'),
    () => proxy.events.join('\n'),
  );
});

scenario('an upgrade of HTTP/1 becomes extended CONNECT', async (stage) => {
  const server = await stage.frameServer([SETTING.ENABLE_CONNECT_PROTOCOL, 1]);
  const proxy = await stage.proxy({ port: server.port, down: 'http1', up: 'http2' });
  const client = await stage.client(proxy);
  client.send('GET /chat HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nearly');
  const up = await server.accepts();
  const head = await up.head(1);
  assert.deepEqual([head[':method'], head[':protocol'], head[':path'], head.upgrade, head.ends], ['CONNECT', 'websocket', '/chat', undefined, false]);
  assert.equal(
    up.frames.some(({ name }) => name === 'DATA'),
    false,
  );
  up.send(response(1, 200, false), data(1, 'hi'));
  const answer = await client.receivesHead();
  assert.match(answer, /^HTTP\/1\.1 101 /);
  assert.match(answer, /\r\nconnection: upgrade\r\n/);
  await client.receives('hi');
  assert.equal(await up.body(1, 5), 'early');
  client.send('more').end();
  assert.equal(await up.body(1), 'more');
  up.send(data(1, 'bye', true));
  await client.receives('bye');
  await client.receivesFin();
  await eventually(
    () => proxy.events.includes('up-closed done'),
    () => proxy.events.join('\n'),
  );
});

scenario('an upgrade that is not granted is a response like any other', async (stage) => {
  const server = await stage.frameServer([SETTING.ENABLE_CONNECT_PROTOCOL, 1]);
  const proxy = await stage.proxy({ port: server.port, down: 'auto', up: 'http2', ...EXTENDED });
  const client = await stage.client(proxy);
  client.send('GET /chat HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n');
  const up = await server.accepts();
  await up.head(1);
  up.send(response(1, 403, false, [['content-length', '2']]), data(1, 'no', true));
  assert.match(await client.receivesHead(), /^HTTP\/1\.1 403 /);
  await client.receives('no');
  // The request that was kept open is over now.
  assert.equal((await up.next('DATA', 1)).ends, true);
  client.send('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
  await up.head(3);
  const other = await stage.frameClient(proxy);
  other.send(extended(1), data(1, 'never sent'));
  await up.head(5);
  up.send(response(5, 403));
  assert.equal((await other.head(1))[':status'], '403');
  assert.equal((await other.next('RST_STREAM', 1)).error, 0);
  assert.equal(
    up.frames.some(({ name, stream, content }) => name === 'DATA' && stream === 5 && text(content) !== ''),
    false,
  );
});

scenario('CONNECT is a tunnel, in each combination', async (stage) => {
  const server = await stage.frameServer();
  const proxy = await stage.proxy({ port: server.port, down: 'auto', up: 'http2' });
  const client = await stage.frameClient(proxy);
  client.send(connecting(1));
  const up = await server.accepts();
  const head = await up.head(1);
  assert.deepEqual(
    [head[':method'], head[':authority'], head[':path'], head[':scheme'], head.ends],
    ['CONNECT', 'far:443', undefined, undefined, false],
  );
  up.send(response(1, 200, false));
  await client.head(1);
  await talk(client, 1, up, 1);
  const old = await stage.client(proxy);
  old.send('CONNECT far:443 HTTP/1.1\r\nHost: far:443\r\n\r\n');
  assert.equal((await up.head(3))[':authority'], 'far:443');
  up.send(response(3, 200, false));
  assert.match(await old.receivesHead(), /^HTTP\/1\.1 200 /);
  old.send('ping');
  assert.equal(await up.body(3, 4), 'ping');
  up.send(data(3, 'pong', true));
  await old.receives('pong');
  await old.receivesFin();
});

async function tunnel(stage: StreamStage) {
  const server = await stage.http1Server();
  const proxy = await stage.proxy({ port: server.port, down: 'http2', up: 'http1', upProfile: { bufferLimitBytes: 65_536 } });
  const client = await stage.frameClient(proxy);
  client.send(connecting(1));
  const up = await server.accepts();
  await up.receivesHead();
  up.send('HTTP/1.1 200 OK\r\n\r\n');
  await client.head(1);
  return { proxy, client, up };
}

scenario('a tunnel that is reset on one side is told of', async (stage) => {
  const { proxy, client, up } = await tunnel(stage);
  client.send(rst(1));
  await eventually(
    () => proxy.events.includes('request-closed reset CANCEL'),
    () => proxy.events.join('\n'),
  );
  up.close();
});

scenario('a tunnel has back-pressure', async (stage) => {
  const { proxy, client, up } = await tunnel(stage);
  up.socket.pause();
  const chunk = 'z'.repeat(16_000);
  let window = 262_144;
  let sent = 0;
  const pumping = setInterval(() => {
    for (const frame of client.frames.splice(0)) if (frame.name === 'WINDOW_UPDATE' && frame.stream === 1) window += frame.increment ?? 0;
    while (window >= chunk.length && sent < 30_000_000) {
      client.send(data(1, chunk));
      window -= chunk.length;
      sent += chunk.length;
    }
  }, 1);
  stage.later(() => clearInterval(pumping));
  let before = -1;
  while (before !== sent) {
    before = sent;
    await new Promise((resolve) => setTimeout(resolve, 150));
  }
  assert.ok(sent < 30_000_000, 'nothing stops the client');
  up.socket.resume();
  await eventually(() => sent > before, 'it does not go on');
  assert.ok(proxy.events.length > 0);
});

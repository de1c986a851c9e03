/** Back-pressure of streams: a reader that takes nothing stops its own sender, nobody else's, and memory stays bounded. On each engine. */
import assert from 'node:assert/strict';
import { data, ping, windowUpdate } from '../../codecs/http2/framing/test-support.js';
import { SETTING } from '../../codecs/http2/spec.js';
import { Edits } from '../../src/protocol/edits.js';
import { request, response } from '../support/frame-peer.js';
import { eventually } from '../support/peers.js';
import type { StreamProxy } from '../support/stream-proxy.js';
import { scenario } from '../support/stream-stage.js';

const LIMIT = 64 * 1024;
const CHUNK = 'x'.repeat(16_000);
/** The upstream's SETTINGS hold from here on. */
const knowsSettings = (proxy: StreamProxy): Promise<void> => eventually(() => proxy.events.some((event) => event.startsWith('limit')), 'no SETTINGS');
const settled = (milliseconds = 60): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

scenario('a client with no window stops its own stream only, and gets all of it when the window opens', async (stage) => {
  const server = await stage.frameServer();
  const proxy = await stage.proxy({ port: server.port, down: 'http2', up: 'http2', downProfile: { bufferLimitBytes: LIMIT } });
  const client = await stage.frameClient(proxy, [SETTING.INITIAL_WINDOW_SIZE, 0]);
  client.send(request(1, 'GET', '/slow'));
  const up = await server.accepts();
  await up.head(1);
  // What our window of 256 KiB lets the server send.
  up.send(response(1, 200, false));
  for (let i = 0; i < 16; i++) up.send(data(1, CHUNK));
  await client.head(1);
  await settled();
  assert.equal(
    client.frames.some(({ name }) => name === 'DATA'),
    false,
  );
  assert.equal(
    up.frames.some(({ name, stream }) => name === 'WINDOW_UPDATE' && stream === 1),
    false,
  );
  assert.equal(
    proxy.events.some((event) => event.startsWith('response-end')),
    false,
  );
  const [slow] = proxy.byDown.keys();
  assert.equal(stage.engine.traffic(slow)?.queued, 256_000);
  // Another stream goes on.
  client.send(request(3, 'GET', '/quick'), windowUpdate(3, 10));
  await up.head(3);
  up.send(response(3, 200, false), data(3, 'quick', true));
  await client.head(3);
  assert.equal(await client.body(3), 'quick');
  client.send(windowUpdate(0, 1_000_000), windowUpdate(1, 1_000_000));
  up.send(data(1, 'end', true));
  const all = await client.body(1);
  assert.equal(all.length, 256_003);
  assert.ok(all.endsWith('xend'));
  await up.next('WINDOW_UPDATE', 1);
  assert.equal(stage.engine.traffic(slow)?.queued ?? 0, 0);
});

scenario('the end of a message waits behind its bytes', async (stage) => {
  const server = await stage.frameServer();
  const proxy = await stage.proxy({ port: server.port, down: 'http2', up: 'http2' });
  const client = await stage.frameClient(proxy, [SETTING.INITIAL_WINDOW_SIZE, 3]);
  client.send(request(1, 'GET', '/'));
  const up = await server.accepts();
  await up.head(1);
  up.send(response(1, 200, false, [['content-length', '6']]), data(1, 'abcdef', true));
  await client.head(1);
  assert.equal(await client.body(1, 3), 'abc');
  await settled(30);
  assert.equal(
    proxy.events.some((event) => event.startsWith('response-end')),
    false,
  );
  client.send(windowUpdate(1, 3));
  const last = await client.next('DATA', 1);
  assert.deepEqual([Buffer.from(last.content ?? []).toString(), last.ends], ['def', true]);
  await eventually(
    () => proxy.events.includes('request-closed done'),
    () => proxy.events.join('\n'),
  );
  assert.ok(proxy.events.includes('response-end 6 DONE+REUSABLE'));
});

scenario('an HTTP/1 upstream is not read while the client has no window, and its end is not lost', async (stage) => {
  const server = await stage.http1Server();
  const proxy = await stage.proxy({
    port: server.port,
    down: 'http2',
    up: 'http1',
    downProfile: { bufferLimitBytes: LIMIT },
    upProfile: { bufferLimitBytes: LIMIT },
  });
  const client = await stage.frameClient(proxy, [SETTING.INITIAL_WINDOW_SIZE, 0]);
  client.send(request(1, 'GET', '/'));
  const up = await server.accepts();
  await up.receivesHead();
  const size = 8_000_000;
  up.send(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\nConnection: close\r\n\r\n`).send(Buffer.alloc(size, 0x79)).end();
  await client.head(1);
  await settled();
  const [down] = proxy.byDown.keys();
  const queued = stage.engine.traffic(down)?.queued ?? 0;
  assert.ok(queued > 0 && queued <= 2 * LIMIT, `${queued} bytes wait`);
  assert.ok(up.socket.writableLength > size / 4, 'all of it was read');
  client.send(windowUpdate(0, 10_000_000), windowUpdate(1, 10_000_000));
  assert.equal((await client.body(1)).length, size);
  await eventually(
    () => proxy.events.includes(`response-end ${size} DONE`),
    () => proxy.events.join('\n'),
  );
});

scenario('a slow HTTP/1 client stops the stream that feeds it', async (stage) => {
  const server = await stage.frameServer();
  const proxy = await stage.proxy({ port: server.port, down: 'http1', up: 'http2', downProfile: { bufferLimitBytes: LIMIT } });
  const client = await stage.client(proxy);
  client.socket.pause();
  client.send('GET /slow HTTP/1.1\r\nHost: h\r\n\r\n');
  const up = await server.accepts();
  await up.head(1);
  up.send(response(1, 200, false));
  // Sends as much as the windows allow.
  let window = 262_144;
  let connectionWindow = 65_535;
  let sent = 0;
  const pump = () => {
    for (let i = 0; i < up.frames.length; ) {
      const frame = up.frames[i];
      if (frame.name !== 'WINDOW_UPDATE') {
        i++;
        continue;
      }
      if (frame.stream === 0) connectionWindow += frame.increment ?? 0;
      else if (frame.stream === 1) window += frame.increment ?? 0;
      up.frames.splice(i, 1);
    }
    while (window >= CHUNK.length && connectionWindow >= CHUNK.length && sent < 30_000_000) {
      up.send(data(1, CHUNK));
      window -= CHUNK.length;
      connectionWindow -= CHUNK.length;
      sent += CHUNK.length;
    }
  };
  const pumping = setInterval(pump, 1);
  stage.later(() => clearInterval(pumping));
  let before = -1;
  while (before !== sent) {
    before = sent;
    await settled(150);
  }
  assert.ok(sent < 30_000_000, 'nothing stops the upstream');
  const [down] = proxy.downstreams;
  const queued = stage.engine.traffic(down)?.queued ?? 0;
  assert.ok(queued <= LIMIT + 262_144 + 65_536, `${queued} bytes wait`);
  // Another client of the same upstream connection.
  const other = await stage.client(proxy);
  other.send('GET /quick HTTP/1.1\r\nHost: h\r\n\r\n');
  await up.head(3);
  up.send(response(3, 204));
  await other.receivesHead();
  client.socket.resume();
  await eventually(() => sent >= before + 1_000_000, 'it does not go on');
});

scenario('a slow upstream stops the stream of the client that feeds it, and no other', async (stage) => {
  const server = await stage.frameServer([SETTING.INITIAL_WINDOW_SIZE, 1000]);
  const proxy = await stage.proxy({ port: server.port, down: 'http2', up: 'http2' });
  const client = await stage.frameClient(proxy);
  client.send(request(9, 'GET', '/first'));
  const up = await server.accepts();
  await up.head(1);
  await knowsSettings(proxy);
  client.send(request(11, 'POST', '/up', false));
  for (let i = 0; i < 16; i++) client.send(data(11, CHUNK));
  await up.head(3);
  assert.equal((await up.body(3, 1000)).length, 1000);
  await settled();
  assert.equal(
    up.frames.some(({ name }) => name === 'DATA'),
    false,
  );
  assert.equal(
    client.frames.some(({ name, stream }) => name === 'WINDOW_UPDATE' && stream === 11),
    false,
  );
  client.send(request(13, 'POST', '/other', false), data(13, 'abc', true));
  assert.equal((await up.head(5))[':path'], '/other');
  assert.equal(await up.body(5), 'abc');
  up.send(windowUpdate(3, 1_000_000), windowUpdate(0, 1_000_000));
  client.send(data(11, 'end', true));
  assert.equal((await up.body(3)).length, 16 * CHUNK.length + 3 - 1000);
  await client.next('WINDOW_UPDATE', 11);
});

scenario('a slow HTTP/2 upstream stops an HTTP/1 client', async (stage) => {
  const server = await stage.frameServer([SETTING.INITIAL_WINDOW_SIZE, 0]);
  const proxy = await stage.proxy({ port: server.port, down: 'http1', up: 'http2', downProfile: { bufferLimitBytes: LIMIT } });
  const quick = await stage.client(proxy);
  quick.send('GET /first HTTP/1.1\r\nHost: h\r\n\r\n');
  const up = await server.accepts();
  await up.head(1);
  await knowsSettings(proxy);
  const client = await stage.client(proxy);
  const size = 10_000_000;
  client.send(`POST / HTTP/1.1\r\nHost: h\r\nContent-Length: ${size}\r\n\r\n`).send(Buffer.alloc(size, 0x79));
  await up.head(3);
  await settled(150);
  assert.ok(client.socket.writableLength > size / 4, 'all of it was read');
  up.send(windowUpdate(3, size), windowUpdate(0, size));
  assert.equal((await up.body(3)).length, size);
});

scenario('bytes of a stream that is gone are given back to the window of the connection', async (stage) => {
  const server = await stage.frameServer([SETTING.INITIAL_WINDOW_SIZE, 0]);
  const proxy = await stage.proxy({ port: server.port, down: 'http2', up: 'http2', downLimits: { connectionWindow: 65_535, streamWindow: 65_535 } });
  const client = await stage.frameClient(proxy);
  client.send(request(1, 'GET', '/first'));
  const up = await server.accepts();
  await up.head(1);
  await knowsSettings(proxy);
  client.send(request(3, 'POST', '/', false));
  for (let i = 0; i < 4; i++) client.send(data(3, CHUNK));
  await up.head(3);
  await settled(30);
  assert.equal(
    client.frames.some(({ name, stream }) => name === 'WINDOW_UPDATE' && stream === 0),
    false,
  );
  up.send(response(3, 200));
  await client.head(3);
  await client.next('RST_STREAM', 3);
  const update = await client.next('WINDOW_UPDATE', 0);
  assert.ok((update.increment ?? 0) >= 32_768);
});

scenario('a client that asks on and on and reads nothing is not read any more', async (stage) => {
  const server = await stage.frameServer();
  const proxy = await stage.proxy({
    port: server.port,
    down: 'http2',
    up: 'http2',
    downProfile: { bufferLimitBytes: LIMIT },
    onRequest: (proxy, down) => proxy.engine.reply(down, proxy.edits.reset().status(200).append('x-long', 'y'.repeat(5000))),
  });
  const client = await stage.frameClient(proxy);
  await client.next('SETTINGS');
  client.socket.pause();
  let id = 1;
  for (let round = 0; round < 40; round++) {
    for (let i = 0; i < 50; i++, id += 2) client.send(request(id, 'GET', '/'));
    await settled(5);
  }
  await settled(100);
  const [connection] = proxy.downstreams;
  const queued = stage.engine.traffic(connection)?.queued ?? 0;
  assert.ok(queued < 2 * LIMIT + 100 * 5100, `${queued} bytes wait`);
  client.socket.resume();
  await eventually(() => proxy.events.filter((event) => event.startsWith('request GET')).length === 2000, 'not all were served', 10_000);
});

scenario('an answer that comes while the end of its HTTP/1 request waits for a window leaves the connection of use', async (stage) => {
  const server = await stage.frameServer([SETTING.INITIAL_WINDOW_SIZE, 0]);
  const proxy = await stage.proxy({ port: server.port, down: 'http1', up: 'http2' });
  const quick = await stage.client(proxy);
  quick.send('GET /first HTTP/1.1\r\nHost: h\r\n\r\n');
  const up = await server.accepts();
  await up.head(1);
  await knowsSettings(proxy);
  const client = await stage.client(proxy);
  client.send('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabcde');
  await up.head(3);
  up.send(response(3, 403));
  await client.receives('HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n');
  await up.next('RST_STREAM', 3);
  client.send('GET /next HTTP/1.1\r\nHost: h\r\n\r\n');
  assert.equal((await up.head(5))[':path'], '/next');
  up.send(response(5, 200));
  await client.receives('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
});

scenario('waiting streams of one connection have their turns', async (stage) => {
  const server = await stage.frameServer();
  const proxy = await stage.proxy({ port: server.port, down: 'http2', up: 'http2' });
  // Only the window of the connection is in the way.
  const client = await stage.frameClient(proxy, [SETTING.INITIAL_WINDOW_SIZE, 1_000_000]);
  client.send(request(1, 'GET', '/1'), request(3, 'GET', '/3'), request(5, 'GET', '/5'));
  const up = await server.accepts();
  for (const id of [1, 3, 5]) {
    await up.head(id);
    up.send(response(id, 200, false));
    for (let i = 0; i < 6; i++) up.send(data(id, CHUNK));
    up.send(data(id, '', true));
  }
  for (const id of [1, 3, 5]) await client.head(id);
  await settled();
  const got = () => client.frames.reduce((sum, { name, content }) => sum + (name === 'DATA' ? (content?.length ?? 0) : 0), 0);
  assert.equal(got(), 65_535);
  client.frames.length = 0;
  client.send(windowUpdate(0, 120_000));
  await eventually(
    () => got() === 120_000,
    () => `${got()}`,
  );
  const shares = [3, 5].map((id) =>
    client.frames.reduce((sum, { name, stream, content }) => sum + (name === 'DATA' && stream === id ? (content?.length ?? 0) : 0), 0),
  );
  for (const share of shares) assert.ok(share >= 30_000, `shares ${shares}`);
});

scenario('waiting streams have their turns also where the window opens by less than a turn', async (stage) => {
  const server = await stage.frameServer();
  const proxy = await stage.proxy({ port: server.port, down: 'http2', up: 'http2' });
  const client = await stage.frameClient(proxy, [SETTING.INITIAL_WINDOW_SIZE, 1_000_000]);
  client.send(request(1, 'GET', '/1'), request(3, 'GET', '/3'), request(5, 'GET', '/5'));
  const up = await server.accepts();
  for (const id of [1, 3, 5]) {
    await up.head(id);
    up.send(response(id, 200, false));
    for (let i = 0; i < 6; i++) up.send(data(id, CHUNK));
  }
  for (const id of [1, 3, 5]) await client.head(id);
  await settled();
  client.frames.length = 0;
  const got = (id?: number) =>
    client.frames.reduce((sum, { name, stream, content }) => sum + (name === 'DATA' && stream === (id ?? stream) ? (content?.length ?? 0) : 0), 0);
  for (let round = 1; round <= 12; round++) {
    client.send(windowUpdate(0, 5000));
    await eventually(
      () => got() === round * 5000,
      () => `${got()}`,
    );
  }
  for (const id of [3, 5]) assert.ok(got(id) >= 15_000, `stream ${id} got ${got(id)} of ${got()}`);
});

scenario('a PING that was answered counts no more, also where there is always something else to read', async (stage) => {
  const server = await stage.frameServer();
  const proxy = await stage.proxy({
    port: server.port,
    down: 'http2',
    up: 'http2',
    downLimits: { maxQueuedControls: 1 },
    // More than the system takes at once.
    downProfile: { bufferLimitBytes: 12 * 1024 * 1024 },
    onRequest: (_proxy, down) => stage.engine.reply(down, new Edits().status(200), Buffer.alloc(56 * 1024 * 1024)),
  });
  const client = await stage.frameClient(proxy, [SETTING.INITIAL_WINDOW_SIZE, 0x7fff_ffff]);
  await client.next('SETTINGS');
  client.send(request(1, 'GET', '/'), windowUpdate(0, 0x7fff_ffff - 65_535));
  await client.head(1);
  for (const id of [1, 2]) {
    client.send(ping(id, id));
    await client.next('PING');
    client.frames.length = 0;
  }
  assert.equal(proxy.events.join(), 'request GET /');
});

scenario('an upload that its HTTP/1 upstream does not take is given up without a trace', async (stage) => {
  const server = await stage.http1Server();
  const proxy = await stage.proxy({ port: server.port, down: 'http2', up: 'http1', upProfile: { bufferLimitBytes: 16_384 } });
  const client = await stage.frameClient(proxy);
  client.send(request(1, 'POST', '/', false));
  const up = await server.accepts();
  await up.receivesHead();
  up.socket.pause();
  for (let i = 0; i < 16; i++) client.send(data(1, CHUNK));
  await settled();
  up.reset();
  assert.equal((await client.head(1))[':status'], '502');
  assert.equal((await client.next('RST_STREAM', 1)).error, 0);
  // The connection is of use: what was thrown away is back in its window.
  client.send(request(3, 'POST', '/', false), data(3, 'x', true));
  const next = await server.accepts();
  await next.receivesHead();
});

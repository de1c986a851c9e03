/** Commands of the port that take streams: close, write, info, traffic, reply and shown requests, on each engine. */
import assert from 'node:assert/strict';
import { data, headers, rst, windowUpdate } from '../../codecs/http2/framing/test-support.js';
import { SETTING } from '../../codecs/http2/spec.js';
import { Edits } from '../../src/protocol/edits.js';
import { EDIT_FLAG } from '../../src/protocol/head-layout.js';
import { STREAM_ERROR } from '../../src/protocol/stream-table.js';
import { type FramePeer, request, response } from '../support/frame-peer.js';
import { eventually } from '../support/peers.js';
import type { StreamProxy } from '../support/stream-proxy.js';
import { type StreamStage, scenario } from '../support/stream-stage.js';

const lines = (proxy: StreamProxy) => (): string => proxy.events.join('\n');
const only = <T>(values: Iterable<T>): T => {
  const [first] = values;
  assert.ok(first !== undefined);
  return first;
};
async function asked(stage: StreamStage, ...entries: [number, number][]) {
  const server = await stage.frameServer();
  const proxy = await stage.proxy({ port: server.port, down: 'http2', up: 'http2' });
  const client = await stage.frameClient(proxy, ...entries);
  client.send(request(1, 'POST', '/', false), data(1, 'some'));
  const up = await server.accepts();
  await up.head(1);
  await up.next('DATA', 1);
  return { proxy, client, up, server };
}

scenario('traffic and info of a stream', async (stage) => {
  const { proxy, client, up } = await asked(stage, [SETTING.INITIAL_WINDOW_SIZE, 10]);
  const [down, upstream] = [only(proxy.byDown.keys()), only(proxy.byUp.keys())];
  up.send(response(1, 200, false), data(1, 'x'.repeat(1000)));
  await client.head(1);
  await client.body(1, 10);
  await eventually(() => (stage.engine.traffic(down)?.queued ?? 0) === 990, 'nothing waits');
  const traffic = { ...stage.engine.traffic(down) } as { received: number; sent: number };
  assert.ok(traffic.received >= 4 && traffic.received < 200, JSON.stringify(traffic));
  assert.ok(traffic.sent > 10 && traffic.sent < 100, JSON.stringify(traffic));
  const other = stage.engine.traffic(upstream);
  assert.ok(other !== undefined && other.received >= 1000 && other.received < 1200 && other.queued === 0);
  const info = stage.engine.info(down);
  assert.ok(info !== undefined && 'port' in info.local && info.local.port === proxy.port);
  assert.equal(stage.engine.connections, 2);
});

scenario('close of a stream resets it at once', async (stage) => {
  const { proxy, client, up } = await asked(stage);
  const down = only(proxy.byDown.keys());
  stage.engine.close(down, 'reset');
  assert.equal((await client.next('RST_STREAM', 1)).error, STREAM_ERROR.INTERNAL_ERROR);
  assert.equal((await up.next('RST_STREAM', 1)).error, STREAM_ERROR.CANCEL);
  await eventually(() => proxy.events.includes('request-closed local'), lines(proxy));
  stage.engine.close(down, 'reset');
  assert.equal(stage.engine.traffic(down), undefined);
});

scenario('a flushing close of a stream lets out what waits first', async (stage) => {
  const { proxy, client, up } = await asked(stage, [SETTING.INITIAL_WINDOW_SIZE, 3]);
  up.send(response(1, 200, false), data(1, 'abcdef'));
  await client.head(1);
  assert.equal(await client.body(1, 3), 'abc');
  const down = only(proxy.byDown.keys());
  await eventually(() => stage.engine.traffic(down)?.queued === 3, 'nothing waits');
  stage.engine.close(down, 'flush');
  client.send(windowUpdate(1, 100));
  const last = await client.next('DATA', 1);
  assert.deepEqual([Buffer.from(last.content ?? []).toString(), last.ends], ['def', false]);
  assert.equal((await client.next('RST_STREAM', 1)).error, STREAM_ERROR.INTERNAL_ERROR);
});

scenario('a flushing close lets out the end of a message, too', async (stage) => {
  const { proxy, client, up } = await asked(stage, [SETTING.INITIAL_WINDOW_SIZE, 3]);
  up.send(response(1, 200, false), data(1, 'abcdef'), headers(1, [['x-last', '1']], true));
  await client.head(1);
  const down = only(proxy.byDown.keys());
  await eventually(() => stage.engine.traffic(down)?.queued === 3, 'nothing waits');
  await new Promise((resolve) => setTimeout(resolve, 30));
  stage.engine.close(down, 'flush');
  client.send(windowUpdate(1, 100));
  assert.equal(await client.body(1, 6), 'abcdef');
  assert.deepEqual(await client.head(1), { 'x-last': '1', stream: 1, ends: true });
  assert.equal((await client.next('RST_STREAM', 1)).error, STREAM_ERROR.NO_ERROR);
});

scenario('streams that are reset while they are closed count no more', async (stage) => {
  const server = await stage.frameServer();
  const proxy = await stage.proxy({ port: server.port, down: 'http2', up: 'http2', downLimits: { maxConcurrentStreams: 2 } });
  const client = await stage.frameClient(proxy, [SETTING.INITIAL_WINDOW_SIZE, 3]);
  let up: FramePeer | undefined;
  for (const id of [1, 3, 5, 7]) {
    client.send(request(id, 'GET', '/'));
    up ??= await server.accepts();
    await up.head(id);
    up.send(response(id, 200, false), data(id, 'abcdef'));
    await client.head(id);
    const down = only(proxy.byDown.keys());
    await eventually(() => stage.engine.traffic(down)?.queued === 3, 'nothing waits');
    stage.engine.close(down, 'flush');
    client.send(rst(id));
    await eventually(() => proxy.byDown.size === 0, 'still open');
  }
});

scenario('writes on a stream that is a tunnel, and closes it', async (stage) => {
  const { engine } = stage;
  const server = await stage.http1Server();
  const proxy = await stage.proxy({ port: server.port, down: 'http2', up: 'http1' });
  const client = await stage.frameClient(proxy);
  client.send(
    headers(
      1,
      [
        [':method', 'CONNECT'],
        [':authority', 'far:1'],
      ],
      false,
    ),
  );
  const up = await server.accepts();
  await up.receivesHead();
  const down = only(proxy.byDown.keys());
  up.send('HTTP/1.1 200 OK\r\n\r\n');
  await client.head(1);
  assert.ok(engine.write(down, Buffer.from('ours')));
  assert.equal(await client.body(1, 4), 'ours');
  engine.close(down, 'flush');
  assert.equal(await client.body(1), '');
  assert.equal((await client.next('RST_STREAM', 1)).error, STREAM_ERROR.NO_ERROR);
});

scenario('a stream that is written to without end is reset, and one that is no tunnel is not written to', async (stage) => {
  const { engine } = stage;
  const server = await stage.http1Server();
  const proxy = await stage.proxy({ port: server.port, down: 'http2', up: 'http1', downProfile: { bufferLimitBytes: 1000 } });
  const client = await stage.frameClient(proxy, [SETTING.INITIAL_WINDOW_SIZE, 3]);
  const connect: [string, string][] = [
    [':method', 'CONNECT'],
    [':authority', 'far:1'],
  ];
  client.send(headers(1, connect, false));
  const up = await server.accepts();
  await up.receivesHead();
  const down = only(proxy.byDown.keys());
  up.send('HTTP/1.1 200 OK\r\n\r\n');
  await client.head(1);
  assert.equal(engine.write(down, Buffer.alloc(1500)), false);
  assert.ok(engine.traffic(down) !== undefined && !proxy.events.some((event) => event.startsWith('request-closed')));
  assert.equal(engine.write(down, Buffer.alloc(1000)), false);
  assert.equal((await client.next('RST_STREAM', 1)).error, STREAM_ERROR.INTERNAL_ERROR);
  await eventually(() => proxy.events.includes('request-closed local'), lines(proxy));

  client.send(request(3, 'GET', '/'));
  const other = await server.accepts();
  await other.receivesHead();
  const [plain] = [...proxy.byDown.keys()].slice(-1);
  assert.equal(engine.write(plain, Buffer.from('a')), false);
  other.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nb');
  await client.head(3);
  assert.equal(engine.write(plain, Buffer.from('a')), false);
  other.send('c');
  assert.equal(await client.body(3), 'bc');
});

scenario('an answer of ours waits for the window of the client', async (stage) => {
  const server = await stage.frameServer();
  const proxy = await stage.proxy({
    port: server.port,
    down: 'http2',
    up: 'http2',
    onRequest: (proxy, down) => proxy.engine.reply(down, proxy.edits.reset().status(200), Buffer.from('a long answer')),
  });
  const client = await stage.frameClient(proxy, [SETTING.INITIAL_WINDOW_SIZE, 2]);
  client.send(request(1, 'POST', '/', false), data(1, 'not read'));
  assert.equal((await client.head(1))['content-length'], '13');
  assert.equal(await client.body(1, 2), 'a ');
  assert.equal(proxy.events.includes('request-closed done'), false);
  client.send(windowUpdate(1, 100));
  assert.equal(await client.body(1), 'long answer');
  assert.equal((await client.next('RST_STREAM', 1)).error, STREAM_ERROR.NO_ERROR);
  await eventually(() => proxy.events.includes('request-closed done'), lines(proxy));
});

scenario('an interim answer of ours goes before the final one', async (stage) => {
  const server = await stage.frameServer();
  const proxy = await stage.proxy({
    port: server.port,
    down: 'http2',
    up: 'http2',
    onRequest: (proxy, down) => {
      assert.ok(proxy.engine.reply(down, proxy.edits.reset().status(100)));
      return false;
    },
  });
  const client = await stage.frameClient(proxy);
  client.send(request(1, 'POST', '/', false));
  assert.equal((await client.head(1))[':status'], '100');
  const up = await server.accepts();
  await up.head(1);
  up.send(response(1, 200));
  assert.equal((await client.head(1))[':status'], '200');
});

/** Shows requests and sends them on with every byte twice. */
const doubled = (proxy: () => StreamProxy) => ({
  change: (head: { isResponse: boolean }, edits: Edits) => void (head.isResponse ? edits : edits.flag(EDIT_FLAG.SHOW_BODY)),
  shown: {
    onBody: (from: number, piece: Uint8Array) => void proxy().engine.sendBody(from, Buffer.concat([piece, piece])),
    onTrailers: (from: number, trailers: Uint8Array) => void proxy().engine.endBody(from, trailers),
  },
});

scenario('a request that is shown: HTTP/2 to HTTP/1', async (stage) => {
  const server = await stage.http1Server();
  const proxy: StreamProxy = await stage.proxy({ port: server.port, down: 'http2', up: 'http1', ...doubled(() => proxy) });
  const client = await stage.frameClient(proxy);
  client.send(request(1, 'POST', '/', false, [['content-length', '2']]), data(1, 'ab'), headers(1, [['x-t', '1']], true));
  const up = await server.accepts();
  await up.receives('POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n4\r\nabab\r\n0\r\nx-t: 1\r\n\r\n');
});

scenario('a request that is shown: HTTP/1 to HTTP/2', async (stage) => {
  const server = await stage.frameServer();
  const proxy: StreamProxy = await stage.proxy({ port: server.port, down: 'http1', up: 'http2', ...doubled(() => proxy) });
  const client = await stage.client(proxy);
  client.send('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab');
  const up = await server.accepts();
  assert.equal((await up.head(1))['content-length'], undefined);
  assert.equal(await up.body(1), 'abab');
  up.send(response(1, 204));
  await client.receives('HTTP/1.1 204 No Content\r\n\r\n');
  client.send('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
  assert.equal((await up.head(3))[':method'], 'GET');
  assert.equal(await up.body(3), '');
});

scenario('a response that ended with its head has length 0 in HTTP/1, and one of unknown length ends the connection of HTTP/1.0', async (stage) => {
  const server = await stage.frameServer();
  const proxy = await stage.proxy({ port: server.port, down: 'http1', up: 'http2' });
  const client = await stage.client(proxy);
  client.send('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
  const up = await server.accepts();
  await up.head(1);
  up.send(response(1, 200));
  await client.receives('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
  const old = await stage.client(proxy);
  old.send('GET / HTTP/1.0\r\nHost: h\r\n\r\n');
  await up.head(3);
  up.send(response(3, 100, false), response(3, 200, false), data(3, 'abc', true));
  await old.receives('HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nabc');
  await old.receivesFin();
});

scenario('a stream that is opened before the connection is there waits for it; what cannot take one gives 0', async (stage) => {
  const server = await stage.frameServer();
  const { engine } = stage;
  const proxy = await stage.proxy({ port: server.port, down: 'http2', up: 'http2' });
  const client = await stage.frameClient(proxy);
  client.send(request(1, 'GET', '/'));
  await eventually(() => proxy.upstream !== 0, 'no upstream');
  const handler = { onClosed: () => {} };
  assert.equal(engine.openStream(only(proxy.downstreams), handler), 0);
  assert.equal(engine.openStream(0, handler), 0);
  const unused = engine.openStream(proxy.upstream, handler);
  assert.ok(unused > 0);
  // Nothing is sent for a stream that is not used.
  engine.close(unused, 'reset');
  const up = await server.accepts();
  await up.head(1);
  up.send(response(1, 200));
  await client.head(1);
  assert.equal(
    up.frames.some(({ name }) => name === 'RST_STREAM'),
    false,
  );
  assert.equal(engine.forward(unused, proxy.upstream, new Edits()), 0);
});

scenario('shuts down with streams that are open', async (stage) => {
  const { client, up } = await asked(stage);
  await stage.engine.shutdown();
  await client.isOverSoon();
  await up.isOverSoon();
});

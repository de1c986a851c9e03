/** Bodies and trailers that are shown (EDIT_FLAG.SHOW_BODY, SHOW_TRAILERS), held back or kept for a retry, between both protocols, on each engine. */
import assert from 'node:assert/strict';
import { data, headers, rst, windowUpdate } from '../../codecs/http2/framing/test-support.js';
import { SETTING } from '../../codecs/http2/spec.js';
import { Edits } from '../../src/protocol/edits.js';
import { EDIT_FLAG } from '../../src/protocol/head-layout.js';
import { request, response } from '../support/frame-peer.js';
import { eventually } from '../support/peers.js';
import type { StreamProxy, StreamProxyOptions } from '../support/stream-proxy.js';
import { scenario } from '../support/stream-stage.js';

/** Shows responses, and sends them on in capitals, with a trailer. */
const capitals = (seen: string[], proxy: () => StreamProxy): Partial<StreamProxyOptions> => ({
  change: (head, edits) => void (head.isResponse ? edits.flag(EDIT_FLAG.SHOW_BODY) : edits),
  shown: {
    onBody: (from, piece) => {
      const text = Buffer.from(piece).toString('latin1');
      seen.push(text);
      assert.ok(proxy().engine.sendBody(from, Buffer.from(text.toUpperCase(), 'latin1')));
    },
    onTrailers: (from, trailers) => {
      seen.push(`[${Buffer.from(trailers).toString('latin1')}]`);
      // Later: the message is over only then.
      setTimeout(() => assert.ok(proxy().engine.endBody(from, Buffer.from('x-seen: yes\r\n'))), 5);
    },
  },
});

scenario('a body that is shown goes on as what it is made: HTTP/2 to HTTP/2 and HTTP/1', async (stage) => {
  const server = await stage.frameServer();
  const seen: string[] = [];
  const proxy: StreamProxy = await stage.proxy({ port: server.port, down: 'auto', up: 'http2', ...capitals(seen, () => proxy) });
  const client = await stage.frameClient(proxy);
  client.send(request(1, 'GET', '/'));
  const up = await server.accepts();
  await up.head(1);
  up.send(response(1, 200, false, [['content-length', '6']]), data(1, 'abc'), data(1, 'def'), headers(1, [['x-old', '1']], true));
  const head = await client.head(1);
  assert.deepEqual([head[':status'], head['content-length']], ['200', undefined]);
  assert.equal(await client.body(1, 6), 'ABCDEF');
  assert.deepEqual(await client.head(1), { 'x-seen': 'yes', stream: 1, ends: true });
  assert.equal(seen.join(''), 'abcdef[x-old: 1\r\n]');
  await eventually(
    () => proxy.events.includes('response-end 6 DONE+REUSABLE'),
    () => proxy.events.join('\n'),
  );
  assert.ok(proxy.events.includes('forward-response OPEN'));
  const old = await stage.client(proxy);
  old.send('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
  await up.head(3);
  up.send(response(3, 200, false), data(3, 'abc', true));
  assert.match(await old.receivesHead(), /transfer-encoding: chunked\r\n\r\n$/);
  await old.receives('3\r\nABC\r\n0\r\nx-seen: yes\r\n\r\n');
});

scenario('a body that is shown goes on as what it is made: HTTP/1 to HTTP/2 and HTTP/1', async (stage) => {
  const server = await stage.http1Server();
  const seen: string[] = [];
  const proxy: StreamProxy = await stage.proxy({ port: server.port, down: 'auto', up: 'http1', ...capitals(seen, () => proxy) });
  const client = await stage.frameClient(proxy);
  client.send(request(1, 'GET', '/'));
  const up = await server.accepts();
  await up.receivesHead();
  up.send('HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc');
  await client.head(1);
  assert.equal(await client.body(1, 3), 'ABC');
  up.send('def');
  assert.equal(await client.body(1, 3), 'DEF');
  assert.deepEqual(await client.head(1), { 'x-seen': 'yes', stream: 1, ends: true });
  const old = await stage.client(proxy);
  old.send('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
  const second = await server.accepts();
  await second.receivesHead();
  second.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Old: 1\r\n\r\n');
  assert.match(await old.receivesHead(), /transfer-encoding: chunked\r\n\r\n$/);
  await old.receives('3\r\nABC\r\n0\r\nx-seen: yes\r\n\r\n');
  assert.equal(seen.join(''), 'abcdef[]abc[X-Old: 1\r\n]');
});

scenario('an empty body that is shown ends when it is told to', async (stage) => {
  const server = await stage.frameServer();
  const seen: string[] = [];
  const proxy: StreamProxy = await stage.proxy({ port: server.port, down: 'http2', up: 'http2', ...capitals(seen, () => proxy) });
  const client = await stage.frameClient(proxy);
  client.send(request(1, 'GET', '/'), request(3, 'HEAD', '/'));
  const up = await server.accepts();
  await up.head(1);
  await up.head(3);
  up.send(response(1, 200));
  assert.equal((await client.head(1)).ends, false);
  assert.deepEqual(await client.head(1), { 'x-seen': 'yes', stream: 1, ends: true });
});

scenario('trailers that are shown go on by themselves', async (stage) => {
  const server = await stage.frameServer();
  const seen: string[] = [];
  const proxy: StreamProxy = await stage.proxy({
    port: server.port,
    down: 'http2',
    up: 'http2',
    change: (head, edits) => void (head.isResponse ? edits.flag(EDIT_FLAG.SHOW_TRAILERS) : edits),
    shown: { onTrailers: (_from, trailers) => void seen.push(Buffer.from(trailers).toString('latin1')) },
  });
  const client = await stage.frameClient(proxy);
  client.send(request(1, 'GET', '/'), request(3, 'GET', '/'));
  const up = await server.accepts();
  await up.head(1);
  await up.head(3);
  up.send(response(1, 200, false), data(1, 'x'), headers(1, [['grpc-status', '5']], true), response(3, 200, true, [['grpc-status', '7']]));
  await client.head(1);
  assert.equal(await client.body(1, 1), 'x');
  assert.deepEqual(await client.head(1), { 'grpc-status': '5', stream: 1, ends: true });
  // Trailers-Only stays one frame.
  assert.deepEqual(await client.head(3), { ':status': '200', 'grpc-status': '7', stream: 3, ends: true });
  await eventually(() => seen.length === 2, 'not both were shown');
  assert.deepEqual(seen, ['grpc-status: 5\r\n', '']);
});

scenario('no more is shown while the reader of what is sent has enough', async (stage) => {
  const server = await stage.frameServer();
  let shown = 0;
  const proxy: StreamProxy = await stage.proxy({
    port: server.port,
    down: 'http2',
    up: 'http2',
    change: (head, edits) => void (head.isResponse ? edits.flag(EDIT_FLAG.SHOW_BODY) : edits),
    shown: {
      onBody: (from, piece) => {
        shown += piece.length;
        proxy.engine.sendBody(from, piece);
      },
      onTrailers: (from) => void proxy.engine.endBody(from),
    },
  });
  const client = await stage.frameClient(proxy, [SETTING.INITIAL_WINDOW_SIZE, 10]);
  client.send(request(1, 'GET', '/'));
  const up = await server.accepts();
  await up.head(1);
  up.send(response(1, 200, false));
  for (let i = 0; i < 20; i++) up.send(data(1, 'y'.repeat(10_000)));
  assert.equal(await client.body(1, 10), 'y'.repeat(10));
  await new Promise((resolve) => setTimeout(resolve, 60));
  assert.ok(shown <= 100_000, `${shown} bytes were shown`);
  client.send(windowUpdate(1, 1_000_000), windowUpdate(0, 1_000_000));
  up.send(data(1, 'z', true));
  assert.equal((await client.body(1)).length, 200_001 - 10);
});

scenario('a body is held back until the 100 of the upstream, or until it is released', async (stage) => {
  const server = await stage.frameServer();
  const proxy = await stage.proxy({
    port: server.port,
    down: 'http2',
    up: 'http2',
    change: (head, edits) => void (head.isResponse ? edits : edits.flag(EDIT_FLAG.HOLD_BODY)),
  });
  const client = await stage.frameClient(proxy);
  client.send(request(1, 'POST', '/', false, [['expect', '100-continue']]), data(1, 'body', true));
  const up = await server.accepts();
  await up.head(1);
  await new Promise((resolve) => setTimeout(resolve, 30));
  assert.equal(
    up.frames.some(({ name }) => name === 'DATA'),
    false,
  );
  up.send(response(1, 100, false));
  assert.equal((await client.head(1))[':status'], '100');
  assert.equal(await up.body(1), 'body');
  client.send(request(3, 'POST', '/', false), data(3, 'more', true));
  await up.head(3);
  const down = [...proxy.byDown.keys()].at(-1) ?? 0;
  stage.engine.releaseBody(down);
  assert.equal(await up.body(3), 'more');
});

scenario('a paused stream is read on when it is resumed', async (stage) => {
  const server = await stage.frameServer();
  const proxy = await stage.proxy({ port: server.port, down: 'http2', up: 'http2' });
  const client = await stage.frameClient(proxy);
  client.send(request(1, 'POST', '/', false));
  const up = await server.accepts();
  await up.head(1);
  const [down] = proxy.byDown.keys();
  stage.engine.pause(down);
  client.send(data(1, 'body', true), request(3, 'GET', '/'));
  await up.head(3);
  assert.equal(
    up.frames.some(({ name }) => name === 'DATA'),
    false,
  );
  stage.engine.resume(down);
  assert.equal(await up.body(1), 'body');
});

scenario('a request with trailers is kept whole for a retry', async (stage) => {
  const server = await stage.frameServer();
  const proxy = await stage.proxy({ port: server.port, down: 'http2', up: 'http2', retries: true });
  const client = await stage.frameClient(proxy);
  client.send(request(1, 'POST', '/', false, [['x-a', '1']]), data(1, 'body'), headers(1, [['x-sum', '7']], true));
  const up = await server.accepts();
  await up.head(1);
  await up.body(1, 4);
  await up.head(1);
  up.send(rst(1, 7));
  assert.equal((await up.head(3))['x-a'], '1');
  assert.equal(await up.body(3, 4), 'body');
  assert.deepEqual(await up.head(3), { 'x-sum': '7', stream: 3, ends: true });
  up.send(response(3, 200));
  await client.head(1);
});

scenario('what is shown is not written over by what a command has shown meanwhile', async (stage) => {
  const server = await stage.frameServer();
  const shown = new Map<number, string>();
  const downs: number[] = [];
  const text = (at: number): string => String.fromCharCode(97 + at).repeat(15_000);
  const show = (proxy: StreamProxy, at: number): void => {
    const { engine } = proxy;
    engine.forward(downs[at], engine.openStream(proxy.upstream, { onClosed: () => {} }), new Edits().flag(EDIT_FLAG.SHOW_BODY));
  };
  const proxy: StreamProxy = await stage.proxy({
    port: server.port,
    down: 'http2',
    up: 'http2',
    onRequest: (self, down, head) => {
      if (head.target === '/first') return false;
      if (head.target === '/go') {
        for (const at of [0, 1, 2]) show(self, at);
        return true;
      }
      downs.push(down);
      return true;
    },
    shown: {
      onBody: (from, piece) => {
        const at = downs.indexOf(from);
        // The first one lets others in.
        if (at === 0 && !shown.has(0)) for (const other of [3, 4, 5]) show(proxy, other);
        shown.set(at, (shown.get(at) ?? '') + Buffer.from(piece).toString('latin1'));
      },
      onTrailers: (from) => void proxy.engine.endBody(from),
    },
  });
  const client = await stage.frameClient(proxy);
  client.send(request(1, 'GET', '/first'));
  const up = await server.accepts();
  await up.head(1);
  for (let at = 0; at < 6; at++) client.send(request(3 + 2 * at, 'POST', '/', false), data(3 + 2 * at, text(at), true));
  await eventually(() => downs.length === 6, 'not all came');
  await new Promise((resolve) => setTimeout(resolve, 30));
  client.send(request(31, 'GET', '/go'));
  await eventually(
    () => shown.size === 6 && [...shown.values()].every(({ length }) => length === 15_000),
    () => `${[...shown.values()].map(({ length }) => length)}`,
  );
  for (let at = 0; at < 6; at++) assert.ok(shown.get(at) === text(at), `body ${at} is of ${[...new Set(shown.get(at))].join()}`);
});

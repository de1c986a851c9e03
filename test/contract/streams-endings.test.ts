/** How streams and their connections end (src/network/engine.ts, "Streams: HTTP/2"), frame by frame, on each engine. */
import assert from 'node:assert/strict';
import { data, goAway, headers, PREFACE, ping, raw, rst, settings, windowUpdate } from '../../codecs/http2/framing/test-support.js';
import { http2 } from '../../codecs/http2/index.js';
import { FRAME_TYPE, SETTING } from '../../codecs/http2/spec.js';
import { Edits } from '../../src/protocol/edits.js';
import { EDIT_FLAG } from '../../src/protocol/head-layout.js';
import { STREAM_ERROR } from '../../src/protocol/stream-table.js';
import { type FramePeer, frameClient, request, response } from '../support/frame-peer.js';
import { connect, eventually } from '../support/peers.js';
import type { StreamProxy } from '../support/stream-proxy.js';
import { type StreamStage, scenario } from '../support/stream-stage.js';

const told = (proxy: StreamProxy, event: string): Promise<void> =>
  eventually(
    () => proxy.events.includes(event),
    () => `${event} not in\n${proxy.events.join('\n')}`,
  );
/** A client with a request that the server has got. */
async function asked(stage: StreamStage, options: Partial<Parameters<StreamStage['proxy']>[0]> = {}) {
  const server = await stage.frameServer();
  const proxy = await stage.proxy({ port: server.port, down: 'http2', up: 'http2', ...options });
  const client = await stage.frameClient(proxy);
  client.send(request(1, 'POST', '/', false), data(1, 'some'));
  const up = await server.accepts();
  await up.head(1);
  await up.next('DATA', 1);
  return { server, proxy, client, up };
}

// ---- streams ------------------------------------------------------------------------------------------------------------------------------

scenario('a client that resets its stream cancels the upstream one', async (stage) => {
  const { proxy, client, up } = await asked(stage);
  client.send(rst(1, STREAM_ERROR.CANCEL));
  assert.equal((await up.next('RST_STREAM', 1)).error, STREAM_ERROR.CANCEL);
  await told(proxy, 'request-closed reset CANCEL');
});

scenario('a client that resets its stream resets the HTTP/1 connection upstream', async (stage) => {
  const server = await stage.http1Server();
  const proxy = await stage.proxy({ port: server.port, down: 'http2', up: 'http1' });
  const client = await stage.frameClient(proxy);
  client.send(request(1, 'GET', '/'));
  const up = await server.accepts();
  await up.receivesHead();
  client.send(rst(1, STREAM_ERROR.CANCEL));
  await up.receivesReset();
});

scenario('an upstream that resets before its answer makes a 502, after it a reset', async (stage) => {
  const { proxy, client, up } = await asked(stage);
  up.send(rst(1, STREAM_ERROR.INTERNAL_ERROR));
  assert.equal((await client.head(1))[':status'], '502');
  await told(proxy, 'up-closed reset INTERNAL_ERROR');
  client.send(request(3, 'GET', '/'));
  await up.head(3);
  up.send(response(3, 200, false), data(3, 'half'));
  await client.head(3);
  await client.body(3, 4);
  up.send(rst(3, STREAM_ERROR.CANCEL));
  assert.equal((await client.next('RST_STREAM', 3)).error, STREAM_ERROR.INTERNAL_ERROR);
});

scenario('an HTTP/1 upstream that is cut off in its body resets the stream', async (stage) => {
  const server = await stage.http1Server();
  const proxy = await stage.proxy({ port: server.port, down: 'http2', up: 'http1' });
  const client = await stage.frameClient(proxy);
  client.send(request(1, 'GET', '/'));
  const up = await server.accepts();
  await up.receivesHead();
  up.send('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf').end();
  await client.head(1);
  assert.equal(await client.body(1, 4), 'half');
  assert.equal((await client.next('RST_STREAM', 1)).error, STREAM_ERROR.INTERNAL_ERROR);
  await told(proxy, 'up-closed truncated');
});

scenario('an HTTP/1 body until the end of its connection ends its stream well', async (stage) => {
  const server = await stage.http1Server();
  const proxy = await stage.proxy({ port: server.port, down: 'http2', up: 'http1' });
  const client = await stage.frameClient(proxy);
  client.send(request(1, 'GET', '/'));
  const up = await server.accepts();
  await up.receivesHead();
  up.send('HTTP/1.1 200 OK\r\n\r\nall of it').end();
  assert.equal((await client.head(1))['content-length'], undefined);
  assert.equal(await client.body(1), 'all of it');
  await told(proxy, 'request-closed done');
});

scenario('a stream that nobody takes is refused', async (stage) => {
  const profile = stage.engine.profile({ framing: http2, side: 'downstream' });
  const { address } = await stage.engine.listen({ address: { ip: '127.0.0.1', port: 0 }, profile }, () => ({
    onStream: () => undefined,
    onClosed: () => {},
  }));
  const client = await frameClient('port' in address ? address.port : 0);
  stage.later(() => client.close());
  client.send(request(1, 'GET', '/'));
  assert.equal((await client.next('RST_STREAM', 1)).error, STREAM_ERROR.REFUSED_STREAM);
});

scenario('a stream that the upstream refuses is tried again', async (stage) => {
  const server = await stage.frameServer();
  const proxy = await stage.proxy({ port: server.port, down: 'http2', up: 'http2', retries: true });
  const client = await stage.frameClient(proxy);
  client.send(request(1, 'POST', '/', false), data(1, 'some'));
  const up = await server.accepts();
  await up.head(1);
  await up.next('DATA', 1);
  client.send(data(1, 'more', true));
  up.send(rst(1, STREAM_ERROR.REFUSED_STREAM));
  assert.equal((await up.head(3))[':method'], 'POST');
  assert.equal(await up.body(3), 'somemore');
  up.send(response(3, 204));
  assert.equal((await client.head(1))[':status'], '204');
  assert.ok(proxy.events.includes('up-closed refused REFUSED_STREAM'));
});

scenario('a request with a fault is reset and told of, and the connection lives on', async (stage) => {
  const server = await stage.frameServer();
  const proxy = await stage.proxy({ port: server.port, down: 'http2', up: 'http2' });
  const client = await stage.frameClient(proxy);
  client.send(request(1, 'GET', 'no-slash'));
  assert.equal((await client.next('RST_STREAM', 1)).error, STREAM_ERROR.PROTOCOL_ERROR);
  await told(proxy, 'down-fault BAD_PATH 400 stream');
  client.send(request(3, 'GET', '/'));
  const up = await server.accepts();
  await up.head(1);
});

scenario('a request with a fault in its body is told of, and then that its stream is gone', async (stage) => {
  const server = await stage.frameServer();
  const proxy = await stage.proxy({ port: server.port, down: 'http2', up: 'http2' });
  const client = await stage.frameClient(proxy);
  client.send(request(1, 'POST', '/', false, [['content-length', '1']]));
  const up = await server.accepts();
  await up.head(1);
  client.send(data(1, 'more', true));
  await told(proxy, 'request-closed reset PROTOCOL_ERROR');
  const [fault, closed] = ['down-fault CONTENT_LENGTH_MISMATCH 400 stream', 'request-closed reset PROTOCOL_ERROR'].map((event) =>
    proxy.events.indexOf(event),
  );
  assert.ok(fault >= 0 && fault < closed, proxy.events.join('\n'));
});

scenario('a response with a fault is told of, and then that its stream is gone', async (stage) => {
  const server = await stage.frameServer();
  const proxy = await stage.proxy({ port: server.port, down: 'http2', up: 'http2' });
  const client = await stage.frameClient(proxy);
  client.send(request(1, 'GET', '/'));
  const up = await server.accepts();
  await up.head(1);
  up.send(headers(1, [[':status', 'x']]));
  await told(proxy, 'up-closed reset PROTOCOL_ERROR');
  const [fault, closed] = ['up-fault BAD_STATUS 502 stream', 'up-closed reset PROTOCOL_ERROR'].map((event) => proxy.events.indexOf(event));
  assert.ok(fault >= 0 && fault < closed, proxy.events.join('\n'));
});

scenario('a head beyond the limits is answered', async (stage) => {
  const server = await stage.frameServer();
  const proxy = await stage.proxy({ port: server.port, down: 'http2', up: 'http2', downLimits: { maxHeadBytes: 1000 } });
  const client = await stage.frameClient(proxy);
  client.send(request(1, 'POST', '/', false, [['x-long', 'x'.repeat(1000)]]), data(1, 'body', true));
  assert.equal((await client.head(1))[':status'], '431');
  assert.ok(proxy.events.includes('down-fault HEAD_TOO_LARGE 431 head'));
  client.send(request(3, 'GET', '/'));
  const up = await server.accepts();
  await up.head(1);
});

scenario('a broken response is a 502', async (stage) => {
  const { proxy, client, up } = await asked(stage);
  up.send(data(1, 'no head'));
  assert.equal((await up.next('RST_STREAM', 1)).error, STREAM_ERROR.PROTOCOL_ERROR);
  assert.equal((await client.head(1))[':status'], '502');
  await told(proxy, 'up-closed reset PROTOCOL_ERROR');
});

scenario('a flood of 1xx that nobody takes away ends the stream', async (stage) => {
  const server = await stage.frameServer();
  // The proxy deals with nothing.
  const heads: number[] = [];
  const { engine } = stage;
  const proxy = await stage.proxy({
    port: server.port,
    down: 'http2',
    up: 'http2',
    onRequest: (_proxy, down) => {
      const profile = engine.profile({ framing: http2, side: 'upstream' });
      const pool = engine.connect({ address: { ip: '127.0.0.1', port: server.port }, profile }, { onClosed: () => {} });
      const up = engine.openStream(pool, {
        onHead: (_up, { status }) => void heads.push(status),
        onClosed: (_up, reason, errno) => void ended.push(`${reason} ${errno}`),
      });
      engine.forward(down, up, new Edits());
      return true;
    },
  });
  const ended: string[] = [];
  const client = await stage.frameClient(proxy);
  client.send(request(1, 'GET', '/'));
  const up = await server.accepts();
  await up.head(1);
  for (let i = 0; i < 40; i++) up.send(response(1, 103, false));
  assert.equal((await up.next('RST_STREAM', 1)).error, STREAM_ERROR.ENHANCE_YOUR_CALM);
  await eventually(() => ended.length === 1, 'the stream is still there');
  assert.deepEqual(ended, ['reset ENHANCE_YOUR_CALM']);
  assert.deepEqual(heads, [103]);
});

// ---- connections --------------------------------------------------------------------------------------------------------------------------

const FAULTS: readonly (readonly [title: string, bytes: Uint8Array, error: number, code: string])[] = [
  ['DATA on an idle stream', data(5, 'x'), STREAM_ERROR.PROTOCOL_ERROR, 'IDLE_STREAM'],
  ['a window that overflows', windowUpdate(0, 0x7fff_ffff), STREAM_ERROR.FLOW_CONTROL_ERROR, 'WINDOW_OVERFLOW'],
  ['a frame of a wrong size', raw(FRAME_TYPE.PING, 0, 0, [1, 2, 3]), STREAM_ERROR.FRAME_SIZE_ERROR, 'BAD_FRAME_SIZE'],
  [
    'a broken field block',
    raw(FRAME_TYPE.HEADERS, 5, 1, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
    STREAM_ERROR.COMPRESSION_ERROR,
    'BAD_INTEGER',
  ],
  ['a setting that may not be', settings([SETTING.ENABLE_PUSH, 2]), STREAM_ERROR.PROTOCOL_ERROR, 'BAD_SETTING'],
];
for (const [title, bytes, error, code] of FAULTS) {
  scenario(`${title} is answered with GOAWAY, and takes every stream along`, async (stage) => {
    const { proxy, client, up } = await asked(stage);
    client.send(bytes);
    const goAwayFrame = await client.next('GOAWAY');
    assert.deepEqual([goAwayFrame.lastStream, goAwayFrame.error, Buffer.from(goAwayFrame.content ?? []).toString()], [1, error, code]);
    assert.equal((await up.next('RST_STREAM', 1)).error, STREAM_ERROR.CANCEL);
    client.socket.end();
    await client.isOverSoon();
    await eventually(
      () => proxy.events.some((event) => event.startsWith('down-closed')),
      () => proxy.events.join('\n'),
    );
    const ends = proxy.events.filter(
      (event) => event.startsWith('down-fault') || event.startsWith('request-closed') || event.startsWith('down-closed'),
    );
    const name = Object.keys(STREAM_ERROR)[error];
    assert.deepEqual(ends.slice(0, 2), [`down-fault ${code} 0 connection`, `request-closed reset ${name}`]);
    assert.match(ends[2], /^down-closed (local|linger)$/);
  });
}

scenario('an upstream that breaks the protocol takes its streams along', async (stage) => {
  const { proxy, client, up } = await asked(stage);
  up.send(data(7, 'x'));
  assert.equal((await up.next('GOAWAY')).error, STREAM_ERROR.PROTOCOL_ERROR);
  assert.equal((await client.head(1))[':status'], '502');
  assert.ok(proxy.events.includes('up-fault IDLE_STREAM 0 connection'));
  assert.ok(proxy.events.includes('up-closed reset PROTOCOL_ERROR'));
});

scenario('a client that goes takes its streams along', async (stage) => {
  const { proxy, client, up } = await asked(stage);
  client.socket.end();
  assert.equal((await up.next('RST_STREAM', 1)).error, STREAM_ERROR.CANCEL);
  await told(proxy, 'down-closed remote');
  assert.ok(proxy.events.indexOf('request-closed reset') < proxy.events.indexOf('down-closed remote'), proxy.events.join('\n'));
  assert.ok(proxy.events.includes('request-closed reset'));
});

scenario('an upstream that goes takes its streams along', async (stage) => {
  const { proxy, client, up } = await asked(stage);
  up.socket.end();
  assert.equal((await client.head(1))[':status'], '502');
  await told(proxy, 'pool-closed remote');
  assert.ok(proxy.events.includes('up-closed reset'));
});

scenario('a connection that cannot be made takes its streams along', async (stage) => {
  const server = await stage.frameServer();
  const { port } = server;
  server.close();
  const proxy = await stage.proxy({ port, down: 'http2', up: 'http2' });
  const client = await stage.frameClient(proxy);
  client.send(request(1, 'GET', '/'));
  assert.equal((await client.head(1))[':status'], '502');
  await told(proxy, 'pool-closed connect-failed ECONNREFUSED');
  assert.ok(proxy.events.includes('up-closed connect-failed ECONNREFUSED'));
});

scenario('GOAWAY of an upstream: streams above its last are refused, others go on', async (stage) => {
  const server = await stage.frameServer();
  const proxy = await stage.proxy({ port: server.port, down: 'http2', up: 'http2', retries: true });
  const client = await stage.frameClient(proxy);
  client.send(request(1, 'GET', '/1'), request(3, 'GET', '/3'));
  const up = await server.accepts();
  await up.head(1);
  await up.head(3);
  up.send(goAway(1));
  const second = await server.accepts();
  assert.equal((await second.head(1))[':path'], '/3');
  up.send(response(1, 200));
  second.send(response(1, 204));
  assert.equal((await client.head(1))[':status'], '200');
  assert.equal((await client.head(3))[':status'], '204');
  assert.ok(proxy.events.indexOf('up-closed refused NO_ERROR') < proxy.events.indexOf('goaway NO_ERROR'));
});

scenario('drains in two steps, and closes when the last stream has ended', async (stage) => {
  const { proxy, client, up } = await asked(stage);
  const [connection] = proxy.downstreams;
  stage.engine.drain(connection);
  assert.equal((await client.next('GOAWAY')).lastStream, 0x7fff_ffff);
  const { content = Buffer.alloc(8) } = await client.next('PING');
  // What was on its way is still served.
  client.send(request(3, 'GET', '/late'));
  client.send(ping(Buffer.from(content).readUInt32BE(0), Buffer.from(content).readUInt32BE(4), 1));
  assert.deepEqual([(await client.next('GOAWAY')).lastStream, (await up.head(3))[':path']], [3, '/late']);
  up.send(response(1, 200), response(3, 204));
  await client.head(1);
  await client.head(3);
  await client.isOverSoon();
  client.socket.end();
  await eventually(
    () => proxy.events.some((event) => /^down-closed (local|linger)$/.test(event)),
    () => proxy.events.join('\n'),
  );
});

scenario('a second drain does not wait for the PING', async (stage) => {
  const server = await stage.frameServer();
  const proxy = await stage.proxy({ port: server.port, down: 'http2', up: 'http2' });
  const client = await stage.frameClient(proxy);
  await client.next('SETTINGS');
  const [connection] = proxy.downstreams;
  stage.engine.drain(connection);
  await client.next('GOAWAY');
  stage.engine.drain(connection);
  assert.equal((await client.next('GOAWAY')).lastStream, 0);
  await client.isOverSoon();
});

scenario('EDIT_FLAG.CLOSE on a response drains its connection', async (stage) => {
  const { client, up } = await asked(stage, { change: (head, edits) => void (head.isResponse ? edits.flag(EDIT_FLAG.CLOSE) : edits) });
  client.send(data(1, '', true));
  up.send(response(1, 200));
  assert.equal((await client.head(1))[':status'], '200');
  assert.equal((await client.next('GOAWAY')).error, STREAM_ERROR.NO_ERROR);
});

scenario('close of a connection says GOAWAY and ends its streams', async (stage) => {
  const { proxy, client, up } = await asked(stage);
  const [connection] = proxy.downstreams;
  stage.engine.close(connection, 'flush');
  const frame = await client.next('GOAWAY');
  assert.deepEqual([frame.lastStream, frame.error], [1, STREAM_ERROR.NO_ERROR]);
  assert.equal((await up.next('RST_STREAM', 1)).error, STREAM_ERROR.CANCEL);
  await told(proxy, 'request-closed local');
});

scenario('a connection without streams has its idle time, and PINGs do not prolong it', async (stage) => {
  const server = await stage.frameServer();
  const proxy = await stage.proxy({ port: server.port, down: 'http2', up: 'http2', downProfile: { idleTimeoutMs: 80 } });
  const client = await stage.frameClient(proxy);
  client.send(request(1, 'GET', '/'));
  const up = await server.accepts();
  await up.head(1);
  await new Promise((resolve) => setTimeout(resolve, 150));
  assert.ok(!proxy.events.includes('timeout idle'), 'idle while a stream is open');
  up.send(response(1, 200));
  await client.head(1);
  const since = performance.now();
  const pinging = setInterval(() => client.send(ping(1, 2)), 10);
  stage.later(() => clearInterval(pinging));
  await told(proxy, 'timeout idle');
  assert.ok(performance.now() - since < 1500);
  clearInterval(pinging);
});

scenario('a peer that does not acknowledge SETTINGS is given up', async (stage) => {
  const server = await stage.frameServer();
  const proxy = await stage.proxy({ port: server.port, down: 'http2', up: 'http2', downLimits: { settingsTimeoutMs: 60 } });
  const peer = await connect(proxy.port);
  stage.later(() => peer.close());
  peer.send(PREFACE).send(settings());
  await told(proxy, 'down-fault SETTINGS_TIMEOUT 0 connection');
  peer.end();
  assert.match(await peer.receivesAll(), /SETTINGS_TIMEOUT$/);
});

scenario('a PING that was asked for is told of when it is back; others are answered', async (stage) => {
  const { proxy, client, up } = await asked(stage);
  stage.engine.ping(proxy.upstream);
  const { content = Buffer.alloc(8) } = await up.next('PING');
  up.send(ping(7, 7, 1), ping(Buffer.from(content).readUInt32BE(0), Buffer.from(content).readUInt32BE(4), 1));
  await told(proxy, 'pong');
  assert.equal(proxy.events.filter((event) => event === 'pong').length, 1);
  client.send(ping(3, 4));
  assert.equal((await client.next('PING')).flags, 1);
});

scenario('tells the limit of streams when it comes and when it changes, and opens no more', async (stage) => {
  const server = await stage.frameServer([SETTING.MAX_CONCURRENT_STREAMS, 1]);
  const proxy = await stage.proxy({ port: server.port, down: 'http2', up: 'http2' });
  const client = await stage.frameClient(proxy);
  client.send(request(1, 'GET', '/1'));
  const up = await server.accepts();
  await up.head(1);
  await told(proxy, 'limit 1');
  client.send(request(3, 'GET', '/2'));
  await eventually(() => proxy.events.includes('request GET /2'), 'no second request');
  assert.equal(
    up.frames.some(({ name }) => name === 'HEADERS'),
    false,
  );
  up.send(settings([SETTING.MAX_CONCURRENT_STREAMS, 5]));
  await told(proxy, 'limit 5');
  await up.head(3);
});

scenario('trailers behind a response that has no body are kept', async (stage) => {
  const server = await stage.frameServer();
  const proxy = await stage.proxy({ port: server.port, down: 'auto', up: 'http2' });
  const client = await stage.frameClient(proxy);
  const cases: readonly (readonly [method: string, status: number, length?: string])[] = [
    ['HEAD', 200, '5'],
    ['GET', 204],
    ['GET', 304],
    ['GET', 200, '0'],
  ];
  let up: FramePeer | undefined;
  for (const [at, [method, status, length]] of cases.entries()) {
    const id = 2 * at + 1;
    client.send(request(id, method, '/'));
    up ??= await server.accepts();
    await up.head(id);
    up.send(response(id, status, false, length === undefined ? [] : [['content-length', length]]));
    assert.equal((await client.head(id)).ends, false, `${method} ${status}`);
    up.send(headers(id, [['x-last', '1']], true));
    assert.deepEqual(await client.head(id), { 'x-last': '1', stream: id, ends: true });
  }
  const old = await stage.client(proxy);
  for (const [at, [method, status, length]] of cases.entries()) {
    const id = 2 * (cases.length + at) + 1;
    old.send(`${method} / HTTP/1.1\r\nHost: h\r\n\r\n`);
    assert.ok(up !== undefined);
    await up.head(id);
    up.send(response(id, status, false, length === undefined ? [] : [['content-length', length]]), headers(id, [['x-last', '1']], true));
    assert.match(await old.receivesHead(), new RegExp(`^HTTP/1.1 ${status} `));
  }
});

scenario('a response that has come goes on to its end although its connection is gone', async (stage) => {
  const server = await stage.frameServer();
  const proxy = await stage.proxy({ port: server.port, down: 'auto', up: 'http2' });
  const client = await stage.frameClient(proxy, [SETTING.INITIAL_WINDOW_SIZE, 3]);
  client.send(request(1, 'GET', '/'), request(3, 'GET', '/'));
  const up = await server.accepts();
  await up.head(1);
  await up.head(3);
  up.send(response(1, 200, false), data(1, 'abcdef'), headers(1, [['x-last', '1']], true), response(3, 200, false), data(3, 'abcdef'));
  await client.head(1);
  await client.head(3);
  assert.equal(await client.body(1, 3), 'abc');
  up.socket.end();
  await eventually(
    () => proxy.events.some((event) => event.startsWith('pool-closed')),
    () => proxy.events.join('\n'),
  );
  // What is not whole is cut.
  assert.equal((await client.next('RST_STREAM', 3)).error, STREAM_ERROR.INTERNAL_ERROR);
  client.send(windowUpdate(1, 100));
  assert.equal(await client.body(1, 3), 'def');
  assert.deepEqual(await client.head(1), { 'x-last': '1', stream: 1, ends: true });
  await eventually(
    () => proxy.events.includes('response-end 6 DONE+REUSABLE') && proxy.events.includes('up-closed done'),
    () => proxy.events.join('\n'),
  );
  assert.equal(stage.engine.connections, 1);
});

/** Requests that the proxy makes itself (Engine.request, Engine.show), in both protocols, and retries of bodies that are shown, on each engine. */
import assert from 'node:assert/strict';
import { http1 } from '../../codecs/http1/index.js';
import { data, headers } from '../../codecs/http2/framing/test-support.js';
import { http2 } from '../../codecs/http2/index.js';
import type { ConnectionHandler } from '../../src/network/engine.js';
import { Edits } from '../../src/protocol/edits.js';
import { response } from '../support/frame-peer.js';
import { eventually } from '../support/peers.js';
import { type StreamStage, scenario } from '../support/stream-stage.js';

/** A request of our own, and what is told of its answer. */
function own(stage: StreamStage, port: number, protocol: 'http1' | 'http2', body: string, method = 'POST') {
  const { engine } = stage;
  const events: string[] = [];
  const profile = engine.profile(
    protocol === 'http1' ? { framing: http1, side: 'upstream' } : { framing: http2, side: 'upstream', streamOptions: http2.options({}) },
  );
  const send = (handle: number) => {
    const edits = new Edits().method(method).target('/own').append('host', 'h').append('x-a', '1');
    assert.ok(engine.request(handle, edits, Buffer.from(body)));
    assert.equal(engine.request(handle, edits), false, 'one request at a time');
  };
  const message: ConnectionHandler = {
    onConnected: send,
    onHead(from, head) {
      events.push(`head ${head.status}`);
      assert.ok(engine.show(from));
      assert.equal(engine.show(from), false);
    },
    onBody: (_from, bytes) => void events.push(`body ${Buffer.from(bytes)}`),
    onTrailers: (_from, trailers) => void events.push(`trailers ${Buffer.from(trailers).toString('latin1').trim()}`),
    onEnd: (_from, bytes, flags) => void events.push(`end ${bytes} ${flags}`),
    onClosed: (_from, reason) => void events.push(`closed ${reason}`),
  };
  const carrier: ConnectionHandler = {
    onStreamLimit(connection) {
      if (events.length === 0) send(engine.openStream(connection, message));
    },
    onClosed() {},
  };
  engine.connect({ address: { ip: '127.0.0.1', port }, profile }, protocol === 'http1' ? message : carrier);
  return events;
}
const until = (events: string[], last: string) =>
  eventually(
    () => events.includes(last),
    () => events.join('\n'),
  );

scenario('a request made here goes out on a stream, and its answer is shown: body, trailers and end', async (stage) => {
  const server = await stage.frameServer();
  const events = own(stage, server.port, 'http2', 'hello');
  const up = await server.accepts();
  const head = await up.head(1);
  assert.deepEqual([head[':method'], head[':path'], head[':authority'], head[':scheme'], head['x-a']], ['POST', '/own', 'h', 'http', '1']);
  assert.equal(await up.body(1), 'hello');
  up.send(response(1, 103, false), response(1, 200, false), data(1, 'abc'));
  await until(events, 'body abc');
  up.send(data(1, 'def'), headers(1, [['x-t', '1']], true));
  await until(events, 'closed done');
  assert.deepEqual(events, ['head 103', 'head 200', 'body abc', 'body def', 'trailers x-t: 1', 'end 6 6', 'closed done']);
});

scenario('a request made here goes out on an HTTP/1 connection, which is free again after it', async (stage) => {
  const server = await stage.http1Server();
  const events = own(stage, server.port, 'http1', 'hello');
  const up = await server.accepts();
  await up.receives('POST /own HTTP/1.1\r\nhost: h\r\nx-a: 1\r\ncontent-length: 5\r\n\r\nhello');
  up.send('HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-t: 1\r\n\r\n');
  await until(events, 'end 3 6');
  assert.deepEqual(events, ['head 100', 'head 200', 'body abc', 'trailers x-t: 1', 'end 3 6']);
});

scenario('an answer to HEAD has no body, and one without a body ends at once', async (stage) => {
  const server = await stage.http1Server();
  const events = own(stage, server.port, 'http1', '', 'HEAD');
  const up = await server.accepts();
  await up.receives('HEAD /own HTTP/1.1\r\nhost: h\r\nx-a: 1\r\n\r\n');
  up.send('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n');
  await until(events, 'end 0 6');
  const frames = await stage.frameServer();
  const others = own(stage, frames.port, 'http2', '');
  const peer = await frames.accepts();
  assert.equal((await peer.head(1)).ends, true);
  peer.send(response(1, 204, true));
  await until(others, 'closed done');
  assert.deepEqual(others, ['head 204', 'trailers ', 'end 0 6', 'closed done']);
});

scenario('an answer of many megabytes is shown piece by piece, and a broken one is told', async (stage) => {
  const server = await stage.http1Server();
  const events = own(stage, server.port, 'http1', '');
  const up = await server.accepts();
  await up.receivesHead();
  up.send(`HTTP/1.1 200 OK\r\ncontent-length: ${3 << 20}\r\n\r\n${'x'.repeat(3 << 20)}`);
  await until(events, `end ${3 << 20} 6`);
  const shown = events.filter((event) => event.startsWith('body ')).reduce((sum, event) => sum + event.length - 5, 0);
  assert.equal(shown, 3 << 20);
  const others = own(stage, server.port, 'http1', '');
  const second = await server.accepts();
  await second.receivesHead();
  second.send('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc');
  await until(others, 'body abc');
  second.end();
  await until(others, 'closed truncated');
});

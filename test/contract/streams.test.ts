/** Exchanges of streams (src/network/engine.ts, "Streams: HTTP/2"), frame by frame, on each engine. */
import assert from 'node:assert/strict';
import { data, headers, rst } from '../../codecs/http2/framing/test-support.js';
import { request, response } from '../support/frame-peer.js';
import { eventually } from '../support/peers.js';
import { scenario } from '../support/stream-stage.js';

// ---- the four combinations ----------------------------------------------------------------------------------------------------------------

scenario('forwards a request and its response from HTTP/2 to HTTP/2', async (stage) => {
  const server = await stage.frameServer();
  const proxy = await stage.proxy({ port: server.port, down: 'http2', up: 'http2' });
  const client = await stage.frameClient(proxy);
  client.send(request(1, 'POST', '/a', false, [['x-a', '1']]), data(1, 'hello', true));
  const up = await server.accepts();
  const head = await up.head(1);
  assert.deepEqual([head[':method'], head[':scheme'], head[':path'], head[':authority'], head['x-a']], ['POST', 'http', '/a', 'h', '1']);
  assert.equal(await up.body(1), 'hello');
  up.send(response(1, 201, false, [['etag', 'x']]));
  const answer = await client.head(1);
  assert.deepEqual([answer[':status'], answer.etag], ['201', 'x']);
  up.send(data(1, 'ok', true));
  assert.equal(await client.body(1), 'ok');
  await eventually(
    () => proxy.events.filter((event) => event.endsWith('closed done')).length === 2,
    () => proxy.events.join('\n'),
  );
  assert.deepEqual(
    proxy.events.filter((event) => !event.startsWith('limit') && !event.startsWith('request-end') && !event.startsWith('forward-request')),
    ['request POST /a', 'response 201', 'forward-response OPEN', 'response-end 2 DONE+REUSABLE', 'up-closed done', 'request-closed done'],
  );
  client.send(request(3, 'GET', '/b'));
  assert.equal((await up.head(3)).ends, true);
  up.send(response(3, 204));
  assert.deepEqual(await client.head(3), { ':status': '204', stream: 3, ends: true });
  assert.equal(server.connections.length, 1);
  assert.equal(stage.engine.connections, 2);
});

scenario('forwards a request and its response from HTTP/2 to HTTP/1', async (stage) => {
  const server = await stage.http1Server();
  const proxy = await stage.proxy({ port: server.port, down: 'http2', up: 'http1' });
  const client = await stage.frameClient(proxy);
  client.send(
    request(1, 'POST', '/a', false, [
      ['x-a', '1'],
      ['content-length', '5'],
    ]),
    data(1, 'hello', true),
  );
  const up = await server.accepts();
  await up.receives('POST /a HTTP/1.1\r\nhost: h\r\nx-a: 1\r\ncontent-length: 5\r\n\r\nhello');
  up.send('HTTP/1.1 201 Made\r\nContent-Length: 2\r\nETag: x\r\n\r\nok');
  assert.deepEqual(await client.head(1), { ':status': '201', 'content-length': '2', etag: 'x', stream: 1, ends: false });
  assert.equal(await client.body(1), 'ok');
});

scenario('forwards a request and its response from HTTP/1 to HTTP/2', async (stage) => {
  const server = await stage.frameServer();
  const proxy = await stage.proxy({ port: server.port, down: 'http1', up: 'http2' });
  const client = await stage.client(proxy);
  client.send('POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nX-A: 1\r\nConnection: keep-alive\r\n\r\nhello');
  const up = await server.accepts();
  const head = await up.head(1);
  assert.deepEqual(
    { ...head },
    {
      ':method': 'POST',
      ':scheme': 'http',
      ':path': '/a',
      ':authority': 'h',
      'content-length': '5',
      'x-a': '1',
      stream: 1,
      ends: false,
    },
  );
  assert.equal(await up.body(1), 'hello');
  up.send(response(1, 200, false, [['content-length', '2']]), data(1, 'ok', true));
  await client.receives('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
  client.send('GET /b HTTP/1.1\r\nHost: h\r\n\r\n');
  assert.equal((await up.head(3)).ends, true);
  up.send(response(3, 200, false), data(3, 'abc'), data(3, 'def', true));
  assert.match(await client.receivesHead(), /^HTTP\/1\.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n$/);
  assert.match(await client.receivesUntil('0\r\n\r\n'), /abc.*def/s);
});

scenario('tells HTTP/1 and HTTP/2 apart on one listener', async (stage) => {
  const server = await stage.http1Server();
  server.onConnection = (peer) => void peer.receivesHead().then(() => peer.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'));
  const proxy = await stage.proxy({ port: server.port, down: 'auto', up: 'http1' });
  const client = await stage.frameClient(proxy);
  client.send(request(1, 'GET', '/2'));
  assert.equal((await client.head(1))[':status'], '200');
  assert.equal(await client.body(1), 'ok');
  const other = await stage.client(proxy);
  other.send('GET /1 HTTP/1.1\r\nHost: h\r\n\r\n');
  await other.receives('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
  assert.equal(proxy.events.filter((event) => event === 'protocol').length, 1);
});

// ---- bodies and heads ---------------------------------------------------------------------------------------------------------------------

for (const [method, length] of [
  ['GET', ''],
  ['POST', 'content-length: 0\r\n'],
  ['PUT', 'content-length: 0\r\n'],
  ['DELETE', ''],
]) {
  scenario(`a ${method} that ended with its head goes to HTTP/1 with ${length === '' ? 'no length' : 'length 0'}`, async (stage) => {
    const server = await stage.http1Server();
    const proxy = await stage.proxy({ port: server.port, down: 'http2', up: 'http1' });
    const client = await stage.frameClient(proxy);
    client.send(request(1, method, '/'));
    const up = await server.accepts();
    await up.receives(`${method} / HTTP/1.1\r\nhost: h\r\n${length}\r\n`);
  });
}

scenario('a body of no known length goes to HTTP/1 in chunks, with its trailers', async (stage) => {
  const server = await stage.http1Server();
  const proxy = await stage.proxy({ port: server.port, down: 'http2', up: 'http1' });
  const client = await stage.frameClient(proxy);
  client.send(request(1, 'POST', '/', false), data(1, 'abc'), headers(1, [['x-sum', '7']], true));
  const up = await server.accepts();
  await up.receives('POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 7\r\n\r\n');
  up.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-T: 1\r\n\r\n');
  const head = await client.head(1);
  assert.equal(head['transfer-encoding'], undefined);
  const { content = Buffer.alloc(0), ends } = await client.next('DATA', 1);
  assert.deepEqual([Buffer.from(content).toString(), ends], ['ok', false]);
  assert.deepEqual(await client.head(1), { 'x-t': '1', stream: 1, ends: true });
});

scenario('trailers go from HTTP/2 to HTTP/2 both ways', async (stage) => {
  const server = await stage.frameServer();
  const proxy = await stage.proxy({ port: server.port, down: 'http2', up: 'http2' });
  const client = await stage.frameClient(proxy);
  client.send(request(1, 'POST', '/', false), data(1, 'abc'), headers(1, [['x-sum', '7']], true));
  const up = await server.accepts();
  await up.head(1);
  assert.deepEqual((await up.next('DATA', 1)).ends, false);
  assert.deepEqual(await up.head(1), { 'x-sum': '7', stream: 1, ends: true });
  up.send(response(1, 200, false), data(1, 'x'), headers(1, [['grpc-status', '0']], true));
  await client.head(1);
  await client.next('DATA', 1);
  assert.deepEqual(await client.head(1), { 'grpc-status': '0', stream: 1, ends: true });
});

scenario('a response that is only a head stays one frame', async (stage) => {
  const server = await stage.frameServer();
  const proxy = await stage.proxy({ port: server.port, down: 'http2', up: 'http2' });
  const client = await stage.frameClient(proxy);
  client.send(request(1, 'POST', '/', false), data(1, 'x', true));
  const up = await server.accepts();
  await up.body(1);
  up.send(response(1, 200, true, [['grpc-status', '12']]));
  assert.deepEqual(await client.head(1), { ':status': '200', 'grpc-status': '12', stream: 1, ends: true });
});

scenario('any number of 1xx goes before the response, in each combination', async (stage) => {
  const server = await stage.frameServer();
  const proxy = await stage.proxy({ port: server.port, down: 'auto', up: 'http2' });
  const client = await stage.frameClient(proxy);
  client.send(request(1, 'GET', '/'));
  const up = await server.accepts();
  await up.head(1);
  up.send(response(1, 100, false), response(1, 103, false, [['link', '</x>']]), response(1, 200, false), data(1, 'ok', true));
  assert.equal((await client.head(1))[':status'], '100');
  assert.equal((await client.head(1)).link, '</x>');
  assert.equal((await client.head(1))[':status'], '200');
  assert.equal(await client.body(1), 'ok');
  const other = await stage.client(proxy);
  other.send('GET /1 HTTP/1.1\r\nHost: h\r\n\r\n');
  await up.head(3);
  up.send(response(3, 103, false, [['link', '</y>']]), response(3, 204));
  await other.receives('HTTP/1.1 103 Early Hints\r\nlink: </y>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n');
});

scenario('a response to HEAD has a length and no body', async (stage) => {
  const server = await stage.frameServer();
  const proxy = await stage.proxy({ port: server.port, down: 'auto', up: 'http2' });
  const other = await stage.client(proxy);
  other.send('HEAD / HTTP/1.1\r\nHost: h\r\n\r\n');
  const up = await server.accepts();
  await up.head(1);
  up.send(response(1, 200, true, [['content-length', '7']]));
  await other.receives('HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n');
  const client = await stage.frameClient(proxy);
  client.send(request(1, 'HEAD', '/'));
  await up.head(3);
  up.send(response(3, 200, true, [['content-length', '7']]));
  assert.deepEqual(await client.head(1), { ':status': '200', 'content-length': '7', stream: 1, ends: true });
});

scenario('answers by itself, with and without a body, and takes the rest of the request back', async (stage) => {
  const server = await stage.frameServer();
  const proxy = await stage.proxy({
    port: server.port,
    down: 'http2',
    up: 'http2',
    onRequest: (proxy, down, head) => {
      assert.ok(proxy.engine.reply(down, proxy.edits.reset().status(head.method === 'GET' ? 200 : 413), Buffer.from('no')));
      return true;
    },
  });
  const client = await stage.frameClient(proxy);
  client.send(request(1, 'GET', '/'), request(3, 'HEAD', '/'), request(5, 'POST', '/', false), data(5, 'some'));
  assert.deepEqual(await client.head(1), { ':status': '200', 'content-length': '2', stream: 1, ends: false });
  assert.equal(await client.body(1), 'no');
  assert.deepEqual(await client.head(3), { ':status': '413', 'content-length': '2', stream: 3, ends: true });
  assert.equal((await client.head(5))[':status'], '413');
  assert.equal(await client.body(5), 'no');
  assert.equal((await client.next('RST_STREAM', 5)).error, 0);
  await eventually(
    () => proxy.events.filter((event) => event === 'request-closed done').length === 3,
    () => proxy.events.join('\n'),
  );
});

scenario('a response before the end of its request ends the request: NO_ERROR downstream, CANCEL upstream', async (stage) => {
  const server = await stage.frameServer();
  const proxy = await stage.proxy({ port: server.port, down: 'http2', up: 'http2' });
  const client = await stage.frameClient(proxy);
  client.send(request(1, 'POST', '/', false), data(1, 'some'));
  const up = await server.accepts();
  await up.head(1);
  up.send(response(1, 403, false), data(1, 'no', true));
  assert.equal((await client.head(1))[':status'], '403');
  assert.equal(await client.body(1), 'no');
  assert.equal((await client.next('RST_STREAM', 1)).error, 0);
  assert.equal((await up.next('RST_STREAM', 1)).error, 8);
});

scenario('a NO_ERROR reset behind a whole response loses nothing of it', async (stage) => {
  const server = await stage.frameServer();
  const proxy = await stage.proxy({ port: server.port, down: 'http2', up: 'http2' });
  const client = await stage.frameClient(proxy);
  client.send(request(1, 'POST', '/', false), data(1, 'some'));
  const up = await server.accepts();
  await up.head(1);
  up.send(response(1, 413, false), data(1, 'too much', true), rst(1, 0));
  assert.equal((await client.head(1))[':status'], '413');
  assert.equal(await client.body(1), 'too much');
});

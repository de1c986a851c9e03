import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import http from 'node:http';
import http2, { type ClientHttp2Session } from 'node:http2';
import type { AddressInfo } from 'node:net';
import test, { type TestContext } from 'node:test';
import { engines } from '../support/engines.js';
import { ask, Http2Server, http2Client, resetCodeOf } from '../support/http2-ends.js';
import { connect, eventually, Upstream } from '../support/peers.js';
import { httpConfig, type RouteOptions, RunningProxy } from '../support/running-proxy.js';

const HTTP2_CLUSTER = `
typed_extension_protocol_options:
  envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
    "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
    explicit_http_config: { http2_protocol_options: { allow_connect: true } }`;
const LOG = '%PROTOCOL% %REQ(:METHOD)% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %BYTES_RECEIVED% %BYTES_SENT%\n';

/** An HTTP/1 server that says what it got. */
async function echoServer(context: TestContext, answer?: http.RequestListener): Promise<number> {
  const server = http.createServer(
    answer ??
      ((request, response) => {
        const chunks: Buffer[] = [];
        request.on('data', (chunk: Buffer) => chunks.push(chunk));
        request.on('end', () => {
          response.writeHead(200, {
            'x-method': request.method,
            'x-url': request.url,
            'x-host': request.headers.host,
            'x-headers': JSON.stringify(request.rawHeaders),
          });
          response.end(Buffer.concat(chunks));
        });
      }),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  context.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return (server.address() as AddressInfo).port;
}
const echo: Parameters<typeof Http2Server.open>[0] = {
  onRequest: (stream, headers, body) => {
    stream.respond({ ':status': 200, 'x-method': headers[':method'], 'x-url': headers[':path'], 'x-host': headers[':authority'] });
    stream.end(body);
  },
};

for (const [engine, create] of engines()) {
  const set = async (context: TestContext, options: RouteOptions): Promise<RunningProxy> => {
    const proxy = new RunningProxy(create());
    context.after(() => proxy.close());
    await proxy.apply(httpConfig(options));
    return proxy;
  };
  const client = async (context: TestContext, proxy: RunningProxy, options: http2.ClientSessionOptions = {}): Promise<ClientHttp2Session> => {
    const session = await http2Client(proxy.port('web'), options);
    context.after(() => session.destroy());
    return session;
  };
  const server = async (context: TestContext, answer = echo, settings: http2.Settings = {}): Promise<Http2Server> => {
    const made = await Http2Server.open(answer, settings);
    context.after(() => made.close());
    return made;
  };

  test(`${engine}: HTTP/2 in front of HTTP/1`, async (context) => {
    const proxy = await set(context, { upstreams: [await echoServer(context)], log: LOG });
    const session = await client(context, proxy);
    const get = await ask(session, { ':path': '/a?b=c', 'x-one': '1', cookie: ['a=1', 'b=2'] as never });
    assert.equal(get.headers[':status'], 200);
    assert.equal(get.headers['x-url'], '/a?b=c');
    assert.equal(get.headers['x-host'], `127.0.0.1:${proxy.port('web')}`);
    assert.equal(get.headers.connection, undefined);
    const seen = JSON.parse(get.headers['x-headers'] as string) as string[];
    assert.equal(seen[seen.indexOf('cookie') + 1], 'a=1; b=2');
    const big = randomBytes(300_000);
    const post = await ask(session, { ':method': 'POST', ':path': '/' }, big);
    assert.deepEqual(post.body, big);
    const many = await Promise.all(Array.from({ length: 50 }, (_, i) => ask(session, { ':method': 'PUT', ':path': `/${i}` }, `body ${i}`)));
    assert.deepEqual(
      many.map(({ body }) => body.toString()),
      many.map((_, i) => `body ${i}`),
    );
    const log = await proxy.logged(52);
    assert.equal(log[0], 'HTTP/2 GET 200 - via_upstream 0 0');
    assert.equal(log[1], 'HTTP/2 POST 200 - via_upstream 300000 300000');
    assert.equal(proxy.stat('http.in.downstream_rq_http2_total'), 52);
    assert.equal(proxy.stat('http.in.downstream_cx_http2_active'), 1);
    assert.equal(proxy.stat('http.in.downstream_cx_http1_total'), 0);
    session.close();
    await eventually(() => proxy.stat('http.in.downstream_cx_http2_active') === 0, 'the connection is still counted');
  });

  test(`${engine}: HTTP/1 in front of HTTP/2`, async (context) => {
    const upstream = await server(context);
    const proxy = await set(context, { upstreams: [upstream.port], cluster: HTTP2_CLUSTER, log: LOG });
    const one = await connect(proxy.port('web'));
    context.after(() => one.close());
    one.send('GET /x HTTP/1.1\r\nhost: example\r\n\r\n');
    const head = await one.receivesHead();
    assert.match(head, /^HTTP\/1\.1 200 OK\r\n/);
    assert.match(head, /x-host: example\r\n/);
    await one.receives('0\r\n\r\n');
    one.send('POST / HTTP/1.1\r\nhost: example\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n');
    assert.match(await one.receivesUntil('0\r\n\r\n'), /transfer-encoding: chunked\r\n.*\r\n5\r\nhello\r\n0\r\n\r\n$/s);
    assert.equal(upstream.sessions.length, 1);
    assert.equal(proxy.stat('cluster.up.upstream_cx_http2_total'), 1);
    assert.equal(proxy.stat('cluster.up.upstream_rq_active'), 0);
  });

  test(`${engine}: HTTP/2 in front of HTTP/2: bodies, trailers, informational responses, empty answers`, async (context) => {
    const upstream = await server(context, {
      onRequest: (stream, headers, body) => {
        if (headers[':path'] === '/trailers') {
          stream.additionalHeaders({ ':status': 103, link: '</a>' });
          stream.respond({ ':status': 200 }, { waitForTrailers: true });
          stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': 'abc' }));
          stream.end(body);
        } else if (headers[':path'] === '/trailers-only')
          stream.respond({ ':status': 200, 'grpc-status': '5', 'content-type': 'application/grpc' }, { endStream: true });
        else stream.respond({ ':status': 204 }, { endStream: true });
      },
    });
    const proxy = await set(context, { upstreams: [upstream.port], cluster: HTTP2_CLUSTER });
    const session = await client(context, proxy);
    const body = randomBytes(500_000);
    const answer = await ask(session, { ':method': 'POST', ':path': '/trailers' }, body, { 'x-end': 'yes' });
    assert.deepEqual(answer.body, body);
    assert.equal(answer.trailers?.['x-sum'], 'abc');
    assert.deepEqual(answer.early, [103]);
    const only = await ask(session, { ':method': 'POST', ':path': '/trailers-only', te: 'trailers', 'content-type': 'application/grpc' }, '');
    assert.equal(only.headers['grpc-status'], '5');
    assert.equal(only.trailers, undefined);
    assert.equal((await ask(session, { ':path': '/' })).headers[':status'], 204);
    assert.equal(upstream.sessions.length, 1);
  });

  test(`${engine}: one port takes both versions; codec_type says which alone`, async (context) => {
    const upstream = await echoServer(context);
    const auto = await set(context, { upstreams: [upstream] });
    const session = await client(context, auto);
    assert.equal((await ask(session, { ':path': '/' })).headers[':status'], 200);
    const one = await connect(auto.port('web'));
    context.after(() => one.close());
    one.send('GET / HTTP/1.1\r\nhost: a\r\n\r\n');
    assert.match(await one.receivesHead(), /^HTTP\/1\.1 200/);
    const slow = await connect(auto.port('web'));
    context.after(() => slow.close());
    await slow.sendPieces([...'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n']);
    slow.send(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]));
    await slow.receivesBytes(9);
    const old = await set(context, { upstreams: [upstream], manager: 'codec_type: HTTP1' });
    const refused = await connect(old.port('web'));
    context.after(() => refused.close());
    refused.send('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    assert.match(await refused.receivesHead(), /^HTTP\/1\.1 (400|505)/);
    const alone = await set(context, { upstreams: [upstream], manager: 'codec_type: HTTP2' });
    const wrong = await connect(alone.port('web'));
    context.after(() => wrong.close());
    wrong.send('GET / HTTP/1.1\r\nhost: a\r\n\r\n');
    await wrong.isOverSoon();
    assert.equal((await ask(await client(context, alone), { ':path': '/' })).headers[':status'], 200);
  });

  test(`${engine}: what is answered here is answered on its stream`, async (context) => {
    const proxy = await set(context, {
      upstreams: [1],
      routes: '- match: { path: /hello }\n  direct_response: { status: 200, body: { inline_string: hi } }',
      log: LOG,
    });
    const session = await client(context, proxy);
    const hello = await ask(session, { ':path': '/hello' });
    assert.equal(hello.body.toString(), 'hi');
    assert.equal(hello.headers['content-length'], '2');
    assert.equal((await ask(session, { ':method': 'HEAD', ':path': '/hello' })).body.length, 0);
    assert.equal((await ask(session, { ':path': '/nothing' })).headers[':status'], 404);
    const post = await ask(session, { ':method': 'POST', ':path': '/nothing' }, randomBytes(100_000));
    assert.equal(post.headers[':status'], 404);
    assert.equal((await proxy.logged(4))[2], 'HTTP/2 GET 404 NR route_not_found 0 0');
  });

  test(`${engine}: a client that gives a request up ends it upstream at once, and its other streams go on`, async (context) => {
    let closed = 0;
    const upstream = await server(context, {
      onStream: (stream, headers) => {
        stream.on('close', () => closed++);
        if (headers[':path'] === '/done') stream.respond({ ':status': 200 }, { endStream: true });
      },
    });
    const proxy = await set(context, { upstreams: [upstream.port], cluster: HTTP2_CLUSTER, log: LOG });
    const session = await client(context, proxy);
    const hanging = session.request({ ':path': '/hang' });
    hanging.on('error', () => {});
    await eventually(() => upstream.requests === 1, 'the request did not come');
    hanging.close(http2.constants.NGHTTP2_CANCEL);
    await eventually(() => closed === 1, 'the upstream was not told');
    assert.equal((await ask(session, { ':path': '/done' })).headers[':status'], 200);
    assert.equal((await proxy.logged(2))[0], 'HTTP/2 GET 0 DR http2.remote_reset 0 0');
    assert.equal(proxy.stat('cluster.up.upstream_rq_active'), 0);
    assert.equal(proxy.stat('cluster.up.upstream_rq_tx_reset'), 1);
  });

  test(`${engine}: a client that goes away ends its request at an HTTP/1 upstream`, async (context) => {
    const upstream = await Upstream.open();
    context.after(() => upstream.close());
    const proxy = await set(context, { upstreams: [upstream.port], log: LOG });
    const session = await client(context, proxy);
    const hanging = session.request({ ':path': '/hang' });
    hanging.on('error', () => {});
    const up = await upstream.accepts();
    await up.receivesHead();
    session.destroy();
    await up.isOverSoon();
    assert.equal((await proxy.logged(1))[0], 'HTTP/2 GET 0 DC downstream_remote_disconnect 0 0');
  });

  test(`${engine}: an upstream that resets: 503 before its response, a reset after it`, async (context) => {
    const upstream = await server(context, {
      onStream: (stream, headers) => {
        if (headers[':path'] === '/late') {
          stream.respond({ ':status': 200 });
          stream.write('beginning');
          setTimeout(() => stream.destroy(new Error('broken')), 30);
        } else stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR);
      },
    });
    const proxy = await set(context, { upstreams: [upstream.port], cluster: HTTP2_CLUSTER, log: LOG });
    const session = await client(context, proxy);
    assert.equal((await ask(session, { ':path': '/' })).headers[':status'], 503);
    assert.equal(await resetCodeOf(ask(session, { ':path': '/late' })), http2.constants.NGHTTP2_INTERNAL_ERROR);
    assert.deepEqual(await proxy.logged(2), [
      'HTTP/2 GET 503 UR upstream_reset_before_response_started{remote_reset} 0 85',
      'HTTP/2 GET 200 UR upstream_reset_after_response_started{remote_reset} 0 0',
    ]);
  });

  test(`${engine}: a stream that the upstream refuses is sent anew`, async (context) => {
    let refusals = 0;
    const upstream = await server(context, {
      onRequest: (stream, _headers, body) => {
        if (refusals++ < 2) stream.close(http2.constants.NGHTTP2_REFUSED_STREAM);
        else {
          stream.respond({ ':status': 200 });
          stream.end(body);
        }
      },
    });
    const proxy = await set(context, { upstreams: [upstream.port], cluster: HTTP2_CLUSTER });
    const session = await client(context, proxy);
    const answer = await ask(session, { ':method': 'POST', ':path': '/' }, 'kept');
    assert.equal(answer.headers[':status'], 200);
    assert.equal(answer.body.toString(), 'kept');
  });

  test(`${engine}: after GOAWAY requests go on a new connection, and those that are on the old one end there`, async (context) => {
    const waiting: (() => void)[] = [];
    const upstream = await server(context, {
      onStream: (stream, headers) => {
        const answer = () => {
          stream.respond({ ':status': 200 });
          stream.end('done');
        };
        if (headers[':path'] === '/wait') waiting.push(answer);
        else answer();
      },
    });
    const proxy = await set(context, { upstreams: [upstream.port], cluster: HTTP2_CLUSTER });
    const session = await client(context, proxy);
    const slow = ask(session, { ':path': '/wait' });
    await eventually(() => waiting.length === 1, 'the request did not come');
    upstream.sessions[0].goaway(0, 1);
    await eventually(() => proxy.stat('cluster.up.upstream_cx_close_notify') === 1, 'GOAWAY was not seen');
    assert.equal((await ask(session, { ':path': '/' })).headers[':status'], 200);
    assert.equal(upstream.sessions.length, 2);
    waiting[0]();
    assert.equal((await slow).body.toString(), 'done');
    await eventually(() => proxy.stat('cluster.up.upstream_cx_active') === 1, 'the old connection is left');
  });

  test(`${engine}: as many streams as the upstream allows, then further connections within the circuit breaker`, async (context) => {
    const waiting: (() => void)[] = [];
    const upstream = await server(
      context,
      {
        onStream: (stream) =>
          waiting.push(() => {
            stream.respond({ ':status': 200 });
            stream.end('done');
          }),
      },
      { maxConcurrentStreams: 2 },
    );
    const cluster = `${HTTP2_CLUSTER}\ncircuit_breakers: { thresholds: [{ max_connections: 2 }] }`;
    const proxy = await set(context, { upstreams: [upstream.port], cluster });
    const session = await client(context, proxy);
    const answers = Array.from({ length: 6 }, () => ask(session, { ':path': '/' }));
    await eventually(() => waiting.length === 4, 'not four requests at once');
    assert.equal(upstream.sessions.length, 2);
    assert.equal(proxy.stat('cluster.up.upstream_rq_pending_active'), 2);
    for (const answer of waiting.splice(0)) answer();
    await eventually(() => waiting.length === 2, 'the others did not follow');
    for (const answer of waiting.splice(0)) answer();
    for (const { body } of await Promise.all(answers)) assert.equal(body.toString(), 'done');
    assert.equal(upstream.sessions.length, 2);
  });

  test(`${engine}: clients that do not read what they asked for leave the others their part of a shared connection`, async (context) => {
    const body = randomBytes(300_000);
    const upstream = await server(context, {
      onRequest: (stream) => {
        stream.respond({ ':status': 200 });
        stream.end(body);
      },
    });
    const proxy = await set(context, { upstreams: [upstream.port], cluster: HTTP2_CLUSTER });
    for (let i = 0; i < 6; i++) {
      const stalled = (await client(context, proxy, { settings: { initialWindowSize: 0 } })).request({ ':path': '/' });
      stalled.on('error', () => {});
      await new Promise((resolve) => stalled.once('response', resolve));
    }
    assert.deepEqual((await ask(await client(context, proxy), { ':path': '/' })).body, body);
    assert.equal(upstream.sessions.length, 1);
  });

  test(`${engine}: a route's time is over for one stream, not for its neighbours`, async (context) => {
    const upstream = await server(context, {
      onStream: (stream, headers) => {
        if (headers[':path'] === '/fast') stream.respond({ ':status': 200 }, { endStream: true });
      },
    });
    const proxy = await set(context, {
      upstreams: [upstream.port],
      cluster: HTTP2_CLUSTER,
      routes: '- match: { prefix: / }\n  route: { cluster: up, timeout: 0.2s }',
      log: LOG,
    });
    const session = await client(context, proxy);
    const [slow, fast] = await Promise.all([ask(session, { ':path': '/slow' }), ask(session, { ':path': '/fast' })]);
    assert.equal(fast.headers[':status'], 200);
    assert.equal(slow.headers[':status'], 504);
    assert.equal(session.destroyed, false);
  });

  test(`${engine}: a response that is to be tried again is, with its body`, async (context) => {
    let tries = 0;
    const upstream = await server(context, {
      onRequest: (stream, _headers, body) => {
        stream.respond({ ':status': tries++ === 0 ? 503 : 200 });
        stream.end(body);
      },
    });
    const proxy = await set(context, {
      upstreams: [upstream.port],
      cluster: HTTP2_CLUSTER,
      routes: '- match: { prefix: / }\n  route: { cluster: up, retry_policy: { retry_on: 5xx, num_retries: 1 } }',
    });
    const answer = await ask(await client(context, proxy), { ':method': 'POST', ':path': '/' }, 'again');
    assert.equal(answer.headers[':status'], 200);
    assert.equal(answer.body.toString(), 'again');
    assert.equal(tries, 2);
  });

  test(`${engine}: draining tells with GOAWAY, lets requests end, and closes`, async (context) => {
    let answer: (() => void) | undefined;
    const upstream = await server(context, {
      onStream: (stream) => {
        answer = () => {
          stream.respond({ ':status': 200 });
          stream.end('late');
        };
      },
    });
    const proxy = await set(context, { upstreams: [upstream.port], cluster: HTTP2_CLUSTER });
    const session = await client(context, proxy);
    let goaway = false;
    session.on('goaway', () => {
      goaway = true;
    });
    const last = ask(session, { ':path': '/' });
    await eventually(() => answer !== undefined, 'the request did not come');
    const drained = proxy.proxy.drain({ timeoutMs: 5000 });
    await eventually(() => goaway, 'no GOAWAY');
    answer?.();
    assert.equal((await last).body.toString(), 'late');
    await drained;
    assert.equal(proxy.proxy.connections, 0);
  });

  test(`${engine}: a graceful drain tells HTTP/2 clients at once where its strategy is immediate`, async (context) => {
    const proxy = new RunningProxy(create(), undefined, { drainStrategy: 'immediate' });
    context.after(() => proxy.close());
    await proxy.apply(httpConfig({ upstreams: [await echoServer(context)] }));
    const session = await client(context, proxy);
    await ask(session, { ':path': '/' });
    const drained = proxy.proxy.drain({ graceful: true, skipExit: true, timeoutMs: 300 });
    await eventually(() => session.closed || session.destroyed, 'no GOAWAY');
    const later = await client(context, proxy);
    assert.equal((await ask(later, { ':path': '/' })).headers[':status'], 200);
    await drained;
  });

  test(`${engine}: max_requests_per_connection ends a connection with GOAWAY`, async (context) => {
    const proxy = await set(context, {
      upstreams: [await echoServer(context)],
      manager: 'common_http_protocol_options: { max_requests_per_connection: 2 }',
    });
    const session = await client(context, proxy);
    await ask(session, { ':path': '/' });
    await ask(session, { ':path': '/' });
    await eventually(() => session.closed || session.destroyed, 'the connection goes on');
    assert.equal(proxy.stat('http.in.downstream_cx_max_requests_reached'), 1);
  });

  test(`${engine}: an idle connection is closed, one with a stream is not`, async (context) => {
    let answer: (() => void) | undefined;
    const upstream = await server(context, {
      onStream: (stream) => {
        answer = () => stream.respond({ ':status': 200 }, { endStream: true });
      },
    });
    const proxy = await set(context, {
      upstreams: [upstream.port],
      cluster: HTTP2_CLUSTER,
      manager: 'common_http_protocol_options: { idle_timeout: 0.15s }',
    });
    const session = await client(context, proxy);
    const slow = ask(session, { ':path': '/' });
    await new Promise((resolve) => setTimeout(resolve, 400));
    assert.equal(session.destroyed, false);
    answer?.();
    assert.equal((await slow).headers[':status'], 200);
    await eventually(() => session.destroyed, 'the idle connection is still there');
    assert.equal(proxy.stat('http.in.downstream_cx_idle_timeout'), 1);
  });

  test(`${engine}: use_downstream_protocol_config speaks upstream what the client speaks`, async (context) => {
    const both = await server(context);
    const cluster = `
typed_extension_protocol_options:
  envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
    "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
    use_downstream_protocol_config: { http2_protocol_options: {} }`;
    const proxy = await set(context, { upstreams: [both.port], cluster });
    assert.equal((await ask(await client(context, proxy), { ':path': '/' })).headers[':status'], 200);
    assert.equal(proxy.stat('cluster.up.upstream_cx_http2_total'), 1);
    const one = await connect(proxy.port('web'));
    context.after(() => one.close());
    one.send('GET / HTTP/1.1\r\nhost: a\r\n\r\n');
    await one.receivesHead();
    assert.equal(proxy.stat('cluster.up.upstream_cx_http1_total'), 1);
  });

  test(`${engine}: CONNECT through both versions carries bytes until both sides end`, async (context) => {
    const upstream = await Upstream.open();
    context.after(() => upstream.close());
    const routes = '- match: { connect_matcher: {} }\n  route: { cluster: up, upgrade_configs: [{ upgrade_type: CONNECT }] }';
    const proxy = await set(context, { upstreams: [upstream.port], routes, manager: 'http2_protocol_options: { allow_connect: true }' });
    const session = await client(context, proxy);
    const stream = session.request({ ':method': 'CONNECT', ':authority': 'there:443' }, { endStream: false });
    const up = await upstream.accepts();
    assert.match(await up.receivesHead(), /^CONNECT there:443 HTTP\/1\.1\r\n/);
    up.send('HTTP/1.1 200 OK\r\n\r\n');
    await new Promise((resolve) => stream.once('response', resolve));
    stream.write('ping');
    await up.receives('ping');
    up.send('pong').end();
    const got: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => got.push(chunk));
    await new Promise((resolve) => stream.once('end', resolve));
    assert.equal(Buffer.concat(got).toString(), 'pong');
    stream.end('bye');
    await up.receives('bye');
    await up.receivesFin();
  });

  test(`${engine}: a WebSocket over HTTP/2 becomes an upgrade of HTTP/1`, async (context) => {
    const upstream = await Upstream.open();
    context.after(() => upstream.close());
    const proxy = await set(context, {
      upstreams: [upstream.port],
      manager: 'upgrade_configs: [{ upgrade_type: websocket }]\nhttp2_protocol_options: { allow_connect: true }',
    });
    const session = await client(context, proxy);
    await eventually(() => session.remoteSettings?.enableConnectProtocol === true, 'extended CONNECT is not offered');
    const stream = session.request(
      { ':method': 'CONNECT', ':protocol': 'websocket', ':scheme': 'http', ':path': '/chat', ':authority': 'a', 'sec-websocket-version': '13' },
      { endStream: false },
    );
    const up = await upstream.accepts();
    const head = await up.receivesHead();
    assert.match(head, /^GET \/chat HTTP\/1\.1\r\n/);
    assert.match(head, /\r\nupgrade: websocket\r\n/i);
    assert.match(head, /\r\nconnection: upgrade\r\n/i);
    assert.match(head, /\r\nsec-websocket-key: [A-Za-z0-9+/]{22}==\r\n/);
    up.send('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: x\r\n\r\nfirst');
    const headers = await new Promise<http2.IncomingHttpHeaders>((resolve) => stream.once('response', resolve));
    assert.equal(headers[':status'], 200);
    assert.equal(headers.upgrade, undefined);
    stream.once('data', () => stream.write('second'));
    await up.receives('second');
    stream.close(http2.constants.NGHTTP2_CANCEL);
    stream.on('error', () => {});
    await up.isOverSoon();
  });

  test(`${engine}: an upgrade does not go to a server that has not offered extended CONNECT`, async (context) => {
    const upstream = await server(context);
    const proxy = await set(context, {
      upstreams: [upstream.port],
      cluster: HTTP2_CLUSTER,
      manager: 'upgrade_configs: [{ upgrade_type: websocket }]',
      log: LOG,
    });
    const one = await connect(proxy.port('web'));
    context.after(() => one.close());
    one.send('GET /chat HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n');
    assert.match(await one.receivesHead(), /^HTTP\/1\.1 503 /);
    assert.match((await proxy.logged(1))[0], /upgrade_not_offered/);
    assert.equal(upstream.requests, 0);
    assert.equal(proxy.stat('cluster.up.upstream_rq_active'), 0);
  });

  test(`${engine}: an upgrade of HTTP/1 becomes an extended CONNECT`, async (context) => {
    const upstream = await server(
      context,
      {
        onStream: (stream, headers) => {
          if (headers[':method'] !== 'CONNECT' || headers[':protocol'] !== 'websocket') stream.respond({ ':status': 400 }, { endStream: true });
          else {
            stream.respond({ ':status': 200 });
            stream.on('data', (chunk: Buffer) => stream.write(chunk));
            stream.on('end', () => stream.end());
          }
        },
      },
      { enableConnectProtocol: true },
    );
    const proxy = await set(context, {
      upstreams: [upstream.port],
      cluster: HTTP2_CLUSTER,
      manager: 'upgrade_configs: [{ upgrade_type: websocket }]',
    });
    const one = await connect(proxy.port('web'));
    context.after(() => one.close());
    one.send(
      'GET /chat HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n',
    );
    const head = await one.receivesHead();
    assert.match(head, /^HTTP\/1\.1 101 /);
    assert.match(head, /\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r\n/i);
    assert.match(head, /\r\nupgrade: websocket\r\n/i);
    one.send('echo');
    await one.receives('echo');
    one.end();
    await one.receivesFin();
  });
}

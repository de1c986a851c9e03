import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import test from 'node:test';
import { engines } from '../support/engines.js';
import { connect, eventually, type Peer, Upstream } from '../support/peers.js';
import { httpConfig, type RouteOptions, RunningProxy } from '../support/running-proxy.js';

const GET = 'GET / HTTP/1.1\r\nhost: a.example\r\n\r\n';
const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';

interface Setup {
  readonly proxy: RunningProxy;
  readonly upstream: Upstream;
  readonly client: Peer;
  readonly open: () => Promise<Peer>;
}

for (const [engine, create] of engines()) {
  const setup = async (context: TestContext, options: Partial<RouteOptions> = {}): Promise<Setup> => {
    const upstream = await Upstream.open();
    const proxy = new RunningProxy(create());
    const peers: Peer[] = [];
    context.after(async () => {
      for (const peer of peers) peer.close();
      await proxy.close();
      upstream.close();
    });
    await proxy.apply(httpConfig({ upstreams: [upstream.port], ...options }));
    const open = async () => {
      const peer = await connect(proxy.port('web'));
      peers.push(peer);
      return peer;
    };
    return { proxy, upstream, client: await open(), open };
  };
  const scenario = (name: string, options: Partial<RouteOptions>, run: (setup: Setup) => Promise<void>) =>
    test(`${engine}: ${name}`, async (context) => run(await setup(context, options)));
  /** Sends `request`, lets the upstream answer, and gives both heads. */
  const exchange = async ({ client, upstream }: Setup, request: string, response = OK): Promise<[asked: string, got: string]> => {
    client.send(request);
    const up = await upstream.accepts();
    const asked = await up.receivesHead();
    up.send(response);
    return [asked, await client.receivesHead()];
  };

  scenario('a request is forwarded with what a proxy adds, and so is the response', {}, async (s) => {
    const [asked, got] = await exchange(s, 'GET /a?b=1 HTTP/1.1\r\nHost: A.example\r\nAccept: */*\r\n\r\n');
    assert.match(
      asked,
      /^GET \/a\?b=1 HTTP\/1\.1\r\nHost: A\.example\r\nAccept: \*\/\*\r\nx-forwarded-proto: http\r\nx-request-id: [0-9a-f-]{36}\r\nx-envoy-expected-rq-timeout-ms: 15000\r\n\r\n$/,
    );
    assert.match(got, /^HTTP\/1\.1 200 OK\r\ncontent-length: 2\r\ndate: [^\r]+ GMT\r\nserver: [^\r]+\r\nx-envoy-upstream-service-time: \d+\r\n\r\n$/);
    await s.client.receives('ok');
    await eventually(() => s.proxy.stat('http.in.downstream_rq_active') === 0, 'the request is still counted');
    const stats = [
      'http.in.downstream_rq_total',
      'http.in.downstream_rq_2xx',
      'http.in.downstream_rq_completed',
      'cluster.up.upstream_rq_200',
      'cluster.up.upstream_rq_total',
    ];
    assert.deepEqual(
      stats.map((name) => s.proxy.stat(name)),
      [1, 1, 1, 1, 1],
    );
    assert.equal(s.proxy.stat('cluster.up.upstream_rq_active'), 0);
  });

  scenario('connections are kept on both sides and used again', {}, async (s) => {
    s.client.send(GET);
    const up = await s.upstream.accepts();
    for (let round = 0; round < 5; round++) {
      await up.receivesHead();
      up.send(OK);
      await s.client.receivesHead();
      await s.client.receives('ok');
      if (round < 4) s.client.send(GET);
    }
    assert.equal(s.upstream.connections.length, 1);
    assert.equal(s.proxy.stat('cluster.up.upstream_cx_total'), 1);
    assert.equal(s.proxy.stat('cluster.up.upstream_rq_200'), 5);
  });

  scenario('pipelined requests are answered in order', {}, async (s) => {
    s.client.send(GET.replace('/', '/1') + GET.replace('/', '/2'));
    const up = await s.upstream.accepts();
    for (const name of ['1', '2']) {
      assert.match(await up.receivesHead(), new RegExp(`^GET /${name} `));
      up.send(`HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n${name}`);
      await s.client.receivesHead();
      await s.client.receives(name);
    }
  });

  scenario('a request body and a chunked response pass through', {}, async (s) => {
    s.client.send('POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhel');
    const up = await s.upstream.accepts();
    await up.receivesHead();
    await up.receives('hel');
    s.client.send('lo');
    await up.receives('lo');
    up.send('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n');
    assert.match(await s.client.receivesHead(), /transfer-encoding: chunked/);
    await s.client.receives('3\r\nabc\r\n');
    up.send('0\r\n\r\n');
    await s.client.receives('0\r\n\r\n');
    await eventually(() => s.proxy.stat('http.in.downstream_rq_active') === 0, 'the request is still counted');
  });

  scenario(
    'no route: 404, NR',
    { routes: '- match: { prefix: /a }\n  route: { cluster: up }', log: '%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %REQ(:PATH)%\n' },
    async (s) => {
      s.client.send('GET /b HTTP/1.1\r\nhost: a\r\n\r\n');
      assert.match(await s.client.receivesHead(), /^HTTP\/1\.1 404 Not Found\r\n/);
      assert.deepEqual(await s.proxy.logged(1), ['404 NR route_not_found /b']);
      assert.equal(s.proxy.stat('http.in.no_route'), 1);
      s.client.send('GET /b HTTP/1.1\r\nhost: a\r\n\r\n');
      assert.match(await s.client.receivesHead(), /^HTTP\/1\.1 404/, 'the connection lives on');
    },
  );

  scenario('a cluster without hosts: 503, UH', { upstreams: [], log: '%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n' }, async (s) => {
    s.client.send(GET);
    assert.match(await s.client.receivesHead(), /^HTTP\/1\.1 503 /);
    await s.client.receives('no healthy upstream');
    assert.deepEqual(await s.proxy.logged(1), ['503 UH no_healthy_upstream']);
  });

  scenario('nobody listens upstream: 503, UF', { upstreams: [1], log: '%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n' }, async (s) => {
    s.client.send(GET);
    assert.match(await s.client.receivesHead(), /^HTTP\/1\.1 503 /);
    const [line] = await s.proxy.logged(1);
    assert.match(line, /^503 UF upstream_reset_before_response_started\{remote_connection_failure\|delayed_connect_error:_Connection_refused\}$/);
    assert.equal(s.proxy.stat('cluster.up.upstream_cx_connect_fail'), 1);
    assert.equal(s.proxy.stat('cluster.up.upstream_cx_active'), 0);
  });

  scenario(
    'too many requests for the circuit breaker: 503, UO, x-envoy-overloaded',
    { cluster: 'circuit_breakers: { thresholds: [{ max_requests: 1 }] }', log: '%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n' },
    async (s) => {
      s.client.send(GET);
      const up = await s.upstream.accepts();
      await up.receivesHead();
      const second = (await s.open()).send(GET);
      assert.match(await second.receivesHead(), /^HTTP\/1\.1 503 [\s\S]*x-envoy-overloaded: true\r\n/);
      assert.deepEqual(await s.proxy.logged(1), ['503 UO upstream_reset_before_response_started{overflow}']);
      up.send(OK);
      await s.client.receivesHead();
    },
  );

  scenario('the upstream closes before the response: 503, UC', { log: '%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n' }, async (s) => {
    s.client.send(GET);
    const up = await s.upstream.accepts();
    await up.receivesHead();
    up.close();
    assert.match(await s.client.receivesHead(), /^HTTP\/1\.1 503 /);
    assert.deepEqual(await s.proxy.logged(1), ['503 UC upstream_reset_before_response_started{connection_termination}']);
  });

  scenario(
    'the upstream breaks off in the body: the client sees a broken response',
    { log: '%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n' },
    async (s) => {
      s.client.send(GET);
      const up = await s.upstream.accepts();
      await up.receivesHead();
      up.send('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n');
      await s.client.receivesHead();
      await s.client.receives('3\r\nabc\r\n');
      up.close();
      assert.equal(await s.client.receivesAll(), '', 'no last chunk');
      assert.deepEqual(await s.proxy.logged(1), ['200 UC upstream_reset_after_response_started{connection_termination}']);
      await eventually(() => s.proxy.engine.connections === 0, 'a connection is left');
    },
  );

  scenario(
    'a route timeout: 504, UT, and the upstream connection is not used again',
    { routes: '- match: { prefix: / }\n  route: { cluster: up, timeout: 0.1s }', log: '%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n' },
    async (s) => {
      s.client.send(GET);
      const up = await s.upstream.accepts();
      await up.receivesHead();
      assert.match(await s.client.receivesHead(), /^HTTP\/1\.1 504 /);
      await s.client.receives('upstream request timeout');
      assert.deepEqual(await s.proxy.logged(1), ['504 UT response_timeout']);
      await up.isOver;
      assert.equal(s.proxy.stat('cluster.up.upstream_rq_timeout'), 1);
      await eventually(() => s.proxy.stat('cluster.up.upstream_cx_active') === 0, 'the upstream connection is left');
    },
  );

  scenario(
    'the client goes away: the upstream connection is closed, 0 and DC are logged',
    { log: '%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n' },
    async (s) => {
      s.client.send(GET);
      const up = await s.upstream.accepts();
      await up.receivesHead();
      s.client.reset();
      assert.deepEqual(await s.proxy.logged(1), ['0 DC downstream_remote_disconnect']);
      await up.receivesAll();
      await eventually(
        () => s.proxy.stat('cluster.up.upstream_cx_active') === 0 && s.proxy.stat('cluster.up.upstream_rq_active') === 0,
        'something is left',
      );
      assert.equal(s.proxy.stat('http.in.downstream_cx_destroy_remote_active_rq'), 1);
    },
  );

  scenario('broken bytes: the status of the fault, DPE', { log: '%RESPONSE_CODE% %RESPONSE_FLAGS%\n' }, async (s) => {
    s.client.send('GET / HTTP/1.1\r\nhost : a\r\n\r\n');
    assert.match(await s.client.receivesHead(), /^HTTP\/1\.1 400 Bad Request\r\n[\s\S]*connection: close\r\n/);
    assert.deepEqual(await s.proxy.logged(1), ['400 DPE']);
    assert.equal(s.proxy.stat('http.in.downstream_cx_protocol_error'), 1);
    assert.equal(s.proxy.stat('http.in.downstream_rq_active'), 0);
  });

  scenario('a broken response: 502, UPE', { log: '%RESPONSE_CODE% %RESPONSE_FLAGS%\n' }, async (s) => {
    const [, got] = await exchange(s, GET, 'HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n');
    assert.match(got, /^HTTP\/1\.1 502 /);
    assert.deepEqual(await s.proxy.logged(1), ['502 UPE']);
    assert.equal(s.proxy.stat('cluster.up.upstream_cx_protocol_error'), 1);
  });

  scenario('an early response is passed on, the rest of the request is not awaited, nothing is used again', {}, async (s) => {
    s.client.send('POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nabc');
    const up = await s.upstream.accepts();
    await up.receivesHead();
    up.send(OK);
    assert.match(await s.client.receivesHead(), /^HTTP\/1\.1 200 OK\r\n[\s\S]*connection: close/);
    await s.client.receives('ok');
    await eventually(() => s.proxy.stat('cluster.up.upstream_cx_active') === 0, 'the upstream connection is left');
    assert.equal(s.proxy.stat('http.in.downstream_rq_active'), 0);
  });

  scenario('a slow request: 408', { manager: 'request_timeout: 0.1s', log: '%RESPONSE_CODE% %RESPONSE_CODE_DETAILS%\n' }, async (s) => {
    s.client.send('POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nabc');
    assert.match(await s.client.receivesHead(), /^HTTP\/1\.1 408 /);
    assert.deepEqual(await s.proxy.logged(1), ['408 request_overall_timeout']);
    assert.equal(s.proxy.stat('http.in.downstream_rq_timeout'), 1);
  });

  scenario('a slow head: 408', { manager: 'request_headers_timeout: 0.1s', log: '%RESPONSE_CODE% %RESPONSE_CODE_DETAILS%\n' }, async (s) => {
    s.client.send('GET / HT');
    assert.match(await s.client.receivesHead(), /^HTTP\/1\.1 408 /);
    assert.deepEqual(await s.proxy.logged(1), ['408 request_header_timeout']);
  });

  scenario(
    'a stream on which nothing moves: 504 and SI',
    { manager: 'stream_idle_timeout: 0.2s', log: '%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n' },
    async (s) => {
      s.client.send(GET);
      await (await s.upstream.accepts()).receivesHead();
      assert.match(await s.client.receivesHead(), /^HTTP\/1\.1 504 /);
      assert.deepEqual(await s.proxy.logged(1), ['504 SI stream_idle_timeout']);
    },
  );

  scenario('an idle connection is closed', { manager: 'common_http_protocol_options: { idle_timeout: 0.1s }' }, async (s) => {
    await s.client.receivesFin();
    assert.equal(s.proxy.stat('http.in.downstream_cx_idle_timeout'), 1);
    await eventually(() => s.proxy.stat('http.in.downstream_cx_active') === 0, 'still counted');
  });

  scenario('Expect: 100-continue is answered here, and not forwarded', {}, async (s) => {
    s.client.send('POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n');
    await s.client.receives('HTTP/1.1 100 Continue\r\n\r\n');
    s.client.send('hi');
    const up = await s.upstream.accepts();
    assert.doesNotMatch(await up.receivesHead(), /\r\nexpect:/i);
    await up.receives('hi');
    up.send(OK);
    assert.match(await s.client.receivesHead(), /^HTTP\/1\.1 200/);
  });

  scenario('with proxy_100_continue the body waits for the upstream', { manager: 'proxy_100_continue: true' }, async (s) => {
    s.client.send('POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\nhi');
    const up = await s.upstream.accepts();
    assert.match(await up.receivesHead(), /expect: 100-continue/);
    up.send('HTTP/1.1 100 Continue\r\n\r\n');
    await s.client.receives('HTTP/1.1 100 Continue\r\n\r\n');
    await up.receives('hi');
    up.send(OK);
    assert.match(await s.client.receivesHead(), /^HTTP\/1\.1 200/);
  });

  scenario('103 goes on to a client of HTTP/1.1', {}, async (s) => {
    s.client.send(GET);
    const up = await s.upstream.accepts();
    await up.receivesHead();
    up.send('HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n');
    await s.client.receives('HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n');
    up.send(OK);
    assert.match(await s.client.receivesHead(), /^HTTP\/1\.1 200/);
  });

  scenario(
    'a client of HTTP/1.0 sees no 103, and its connection closes',
    { manager: 'http_protocol_options: { accept_http_10: true }' },
    async (s) => {
      s.client.send('GET / HTTP/1.0\r\nhost: a\r\n\r\n');
      const up = await s.upstream.accepts();
      assert.match(await up.receivesHead(), /^GET \/ HTTP\/1\.1\r\n/);
      up.send(`HTTP/1.1 103 Early Hints\r\n\r\n${OK}`);
      const all = await s.client.receivesAll();
      assert.match(all, /^HTTP\/1\.1 200 OK\r\n[\s\S]*\r\n\r\nok$/);
    },
  );

  for (const [name, request, response, body] of [
    ['HEAD', 'HEAD / HTTP/1.1\r\nhost: a\r\n\r\n', 'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n', /content-length: 10/],
    ['204', GET, 'HTTP/1.1 204 No Content\r\n\r\n', /^HTTP\/1\.1 204/],
    ['304', GET, 'HTTP/1.1 304 Not Modified\r\ncontent-length: 10\r\n\r\n', /^HTTP\/1\.1 304/],
  ] as const) {
    scenario(`a response without a body (${name}) frees both connections`, {}, async (s) => {
      const [, got] = await exchange(s, request, response);
      assert.match(got, body);
      s.client.send(GET);
      await s.upstream.connections[0].receivesHead();
      s.upstream.connections[0].send(OK);
      assert.match(await s.client.receivesHead(), /^HTTP\/1\.1 200/);
      assert.equal(s.upstream.connections.length, 1);
    });
  }

  scenario(
    'direct responses and redirects come from the route',
    {
      routes:
        '- match: { path: /d }\n  direct_response: { status: 418, body: { inline_string: tea } }\n- match: { path: /r }\n  redirect: { path_redirect: /new }',
    },
    async (s) => {
      s.client.send('GET /d HTTP/1.1\r\nhost: a\r\n\r\n');
      assert.match(await s.client.receivesHead(), /^HTTP\/1\.1 418 /);
      await s.client.receives('tea');
      s.client.send('GET /r HTTP/1.1\r\nhost: a\r\n\r\n');
      assert.match(await s.client.receivesHead(), /^HTTP\/1\.1 301 [\s\S]*location: http:\/\/a\/new\r\n/);
      assert.equal(s.proxy.stat('http.in.rq_redirect'), 1);
      assert.equal(s.proxy.stat('http.in.rq_direct_response'), 1);
    },
  );

  scenario(
    'paths and hosts are rewritten, headers added and removed',
    {
      routes: `- match: { prefix: /old/ }
  route: { cluster: up, prefix_rewrite: /new/, host_rewrite_literal: inner.example }
  request_headers_to_add: [{ header: { key: x-added, value: "%REQ(:METHOD)%" } }]
  request_headers_to_remove: [x-gone]
  response_headers_to_add: [{ header: { key: x-back, value: "1" } }]
  response_headers_to_remove: [x-secret]`,
    },
    async (s) => {
      const [asked, got] = await exchange(
        s,
        'GET /old/p?q HTTP/1.1\r\nhost: a\r\nx-gone: 1\r\n\r\n',
        'HTTP/1.1 200 OK\r\nx-secret: 1\r\ncontent-length: 2\r\n\r\nok',
      );
      assert.match(asked, /^GET \/new\/p\?q HTTP\/1\.1\r\nhost: inner\.example\r\n/);
      assert.match(asked, /\r\nx-envoy-original-path: \/old\/p\?q\r\n/);
      assert.match(asked, /\r\nx-added: GET\r\n/);
      assert.doesNotMatch(asked, /x-gone/);
      assert.match(got, /\r\nx-back: 1\r\n/);
      assert.doesNotMatch(got, /x-secret/);
    },
  );

  scenario("an outsider's x-envoy headers are taken off, an insider's count", {}, async (s) => {
    const [asked] = await exchange(
      s,
      'GET / HTTP/1.1\r\nhost: a\r\nx-envoy-max-retries: 3\r\nX-Envoy-Force-Trace: 1\r\nx-envoy-upstream-rq-timeout-ms: 50\r\n\r\n',
    );
    assert.doesNotMatch(asked, /max-retries|force-trace|upstream-rq-timeout/i);
    await s.client.receives('ok');
    s.client.send('GET / HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 10.0.0.1\r\nx-envoy-upstream-rq-timeout-ms: 50\r\n\r\n');
    const inside = await s.upstream.connections[0].receivesHead();
    assert.match(inside, /x-envoy-expected-rq-timeout-ms: 50\r\n/);
    assert.match(inside, /x-envoy-internal: true\r\n/);
    assert.match(await s.client.receivesHead(), /^HTTP\/1\.1 504/);
  });

  scenario('with use_remote_address the address is appended to x-forwarded-for', { manager: 'use_remote_address: true' }, async (s) => {
    const [asked] = await exchange(
      s,
      'GET / HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 1.2.3.4\r\nx-forwarded-for: 5.6.7.8\r\nx-forwarded-proto: https\r\n\r\n',
    );
    assert.match(asked, /\r\nx-forwarded-for: 1\.2\.3\.4,5\.6\.7\.8,127\.0\.0\.1\r\n/);
    assert.match(asked, /\r\nx-forwarded-proto: http\r\n/);
    assert.equal(asked.match(/x-forwarded-for/g)?.length, 1);
  });

  scenario(
    'the last allowed request on a connection says close',
    { manager: 'common_http_protocol_options: { max_requests_per_connection: 2 }' },
    async (s) => {
      await exchange(s, GET);
      await s.client.receives('ok');
      s.client.send(GET);
      await s.upstream.connections[0].receivesHead();
      s.upstream.connections[0].send(OK);
      assert.match(await s.client.receivesHead(), /connection: close\r\n/);
      await s.client.receives('ok');
      await s.client.receivesFin();
      assert.equal(s.proxy.stat('http.in.downstream_cx_max_requests_reached'), 1);
    },
  );

  scenario('an idle upstream connection that died is replaced without the client seeing it', {}, async (s) => {
    await exchange(s, GET);
    await s.client.receives('ok');
    // The connection dies while the next request is on its way to it.
    s.client.send(GET);
    const [first] = s.upstream.connections;
    await first.receivesHead();
    first.close();
    const second = await s.upstream.accepts();
    assert.match(await second.receivesHead(), /^GET \/ /);
    second.send(OK);
    assert.match(await s.client.receivesHead(), /^HTTP\/1\.1 200/);
  });

  scenario('a POST on a kept connection that dies is not sent twice', {}, async (s) => {
    await exchange(s, GET);
    await s.client.receives('ok');
    s.client.send('POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi');
    const [first] = s.upstream.connections;
    await first.receivesHead();
    first.close();
    assert.match(await s.client.receivesHead(), /^HTTP\/1\.1 503/);
    assert.equal(s.upstream.connections.length, 1);
  });

  scenario('a new configuration is for the next request; the connection stays', {}, async (s) => {
    s.client.send(GET);
    const up = await s.upstream.accepts();
    await up.receivesHead();
    await s.proxy.apply(httpConfig({ upstreams: [s.upstream.port], routes: '- match: { prefix: / }\n  direct_response: { status: 202 }' }));
    up.send(OK);
    assert.match(await s.client.receivesHead(), /^HTTP\/1\.1 200/);
    await s.client.receives('ok');
    s.client.send(GET);
    assert.match(await s.client.receivesHead(), /^HTTP\/1\.1 202/);
    assert.equal(s.proxy.stat('http.in.downstream_cx_total'), 1);
  });

  scenario('draining ends a request in flight with connection: close, and resolves when the last is gone', {}, async (s) => {
    s.client.send(GET);
    const up = await s.upstream.accepts();
    await up.receivesHead();
    const drained = s.proxy.proxy.drain({ timeoutMs: 3000 });
    up.send(OK);
    assert.match(await s.client.receivesHead(), /connection: close/);
    await s.client.receives('ok');
    await s.client.receivesFin();
    s.client.end();
    await drained;
    assert.equal(s.proxy.proxy.connections, 0);
  });

  scenario('nothing is left when all peers are gone', {}, async (s) => {
    await exchange(s, GET);
    s.client.close();
    s.upstream.close();
    await eventually(() => s.proxy.engine.connections === 0, 'connections are left');
    for (const name of [
      'http.in.downstream_cx_active',
      'http.in.downstream_rq_active',
      'cluster.up.upstream_cx_active',
      'cluster.up.upstream_rq_active',
    ])
      assert.equal(s.proxy.stat(name), 0, name);
  });
}

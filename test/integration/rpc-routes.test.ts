import assert from 'node:assert/strict';
import test from 'node:test';
import { editHeaderBlock } from '../../codecs/bolt/header-map.js';
import bolt from '../../codecs/bolt/index.js';
import { framing } from '../../codecs/bolt/spec.js';
import { compileConfig } from '../../src/control/compile/index.js';
import { loadBootstrap } from '../../src/control/config/index.js';
import type { Frame } from '../../src/protocol/frame.js';
import { encodeFrame } from '../../src/protocol/frame-encoder.js';
import { engines } from '../support/engines.js';
import { eventually } from '../support/peers.js';
import { codecSet, rpcConfig, rpcSetup } from '../support/rpc-proxy.js';

type Headers = Readonly<Record<string, string>>;
const block = (headers: Headers) => editHeaderBlock(new Uint8Array(0), new Map(Object.entries(headers)));
/** A request of version 2 with a checksum. */
const request = (requestId: number, headers: Headers, content = 'content', type = 1) =>
  encodeFrame(framing, {
    variant: 'v2-request',
    fields: { typeOrVer1: 2, typeOfV2: type, cmdcode: 1, ver2: 1, requestId, codec: 1, switch: 1, timeout: 3000 },
    sections: { class: Buffer.from('a.Request'), header: block(headers), content: Buffer.from(content) },
  });
const response = (to: Frame, headers: Headers, respstatus = 0) =>
  encodeFrame(framing, {
    variant: 'v2-response',
    fields: { typeOrVer1: 2, cmdcode: 2, ver2: 1, requestId: to.idLow >>> 0, codec: 1, switch: 1, respstatus },
    sections: { class: Buffer.from('a.Response'), header: block(headers), content: Buffer.from('answer') },
  });
const headersOf = (frame: Frame) => Object.fromEntries(bolt.headers(frame).entries());
const contentOf = (frame: Frame) => Buffer.from(frame.section('content')).toString();
const SERVICE = { service: 'a.Service:1.0', sofa_head_method_name: 'hello' };
const echo = (frame: Frame) => (frame.kind === 1 ? response(frame, { ...headersOf(frame), seen: 'upstream' }) : undefined);
const CODECS = [bolt];

for (const [engine, create] of engines()) {
  test(`${engine}: a route adds, replaces and removes header entries of requests; lengths and checksum are made anew`, async (context) => {
    const routes = `- match: { prefix: / }
  route: { cluster: up }
  request_headers_to_add:
  - { header: { key: X-New, value: "of %REQ(:AUTHORITY)% by %PROTOCOL%" } }
  - { header: { key: app, value: gateway }, append_action: OVERWRITE_IF_EXISTS_OR_ADD }
  - { header: { key: trace, value: two } }
  - { header: { key: kept, value: no }, append_action: ADD_IF_ABSENT }
  - { header: { key: größe, value: groß } }
  request_headers_to_remove: [Secret]`;
    const { upstream, connect } = await rpcSetup(context, create, { codecs: CODECS, routes, answer: echo });
    const client = await connect();
    client.send(request(7, { ...SERVICE, APP: 'caller', trace: 'one', secret: 'x', kept: 'yes' }), request(8, SERVICE));
    assert.equal((await client.receives()).id, 7n);
    assert.equal((await client.receives()).id, 8n);
    const [first, second] = upstream.frames;
    const added = { 'X-New': 'of a.Service:1.0 by bolt', größe: 'groß' };
    assert.deepEqual(headersOf(first), { ...SERVICE, APP: 'gateway', trace: 'one,two', kept: 'yes', ...added });
    assert.deepEqual(headersOf(second), { ...SERVICE, app: 'gateway', trace: 'two', kept: 'no', ...added });
    assert.equal(contentOf(first), 'content');
  });

  test(`${engine}: a weighted cluster and its route change headers of responses, of the proxy's own as well`, async (context) => {
    const routes = `- match: { prefix: /a.Service:1.0 }
  route:
    weighted_clusters:
      clusters: [{ name: up, weight: 1, response_headers_to_add: [{ header: { key: from, value: up } }] }]
  response_headers_to_add: [{ header: { key: status, value: "%RESPONSE_CODE%" } }]
  response_headers_to_remove: [seen]
- match: { prefix: / }
  direct_response: { status: 503 }
  response_headers_to_add: [{ header: { key: by, value: proxy } }]`;
    const { connect } = await rpcSetup(context, create, { codecs: CODECS, routes, answer: echo });
    const client = await connect();
    client.send(request(7, SERVICE));
    const answer = await client.receives();
    assert.deepEqual(headersOf(answer), { ...SERVICE, from: 'up', status: '200' });
    assert.equal(contentOf(answer), 'answer');
    client.send(request(8, { service: 'b' }));
    const own = await client.receives();
    assert.deepEqual([own.id, bolt.status(own), headersOf(own)], [8n, 4, { by: 'proxy' }]);
  });

  test(`${engine}: a changed request is sent again, changed, when it is tried again`, async (context) => {
    const routes = `- match: { prefix: / }
  route: { cluster: up, retry_policy: { retry_on: 5xx, num_retries: 2 } }
  request_headers_to_add: [{ header: { key: x, value: y } }]`;
    let failures = 2;
    const answer = (frame: Frame) => response(frame, headersOf(frame), failures-- > 0 ? 2 : 0);
    const { upstream, connect } = await rpcSetup(context, create, { codecs: CODECS, routes, answer });
    const client = await connect();
    client.send(request(7, SERVICE));
    assert.deepEqual(headersOf(await client.receives()), { ...SERVICE, x: 'y' });
    assert.deepEqual(
      upstream.frames.map((frame) => headersOf(frame).x),
      ['y', 'y', 'y'],
    );
  });

  test(`${engine}: entries are matched by the bytes of their text`, async (context) => {
    const routes = `- { match: { prefix: /, headers: [{ name: größe, string_match: { exact: groß } }] }, route: { cluster: other } }
- { match: { prefix: / }, route: { cluster: up } }`;
    const { upstream, other, connect } = await rpcSetup(context, create, { codecs: CODECS, routes, answer: echo });
    const client = await connect();
    client.send(request(1, { ...SERVICE, größe: 'groß' }), request(2, { ...SERVICE, größe: 'klein' }));
    await client.receives();
    await client.receives();
    assert.deepEqual([upstream.frames.length, other.frames.length], [1, 1]);
  });

  test(`${engine}: a mirror gets a copy of each request, one-way ones too, and what it answers is thrown away`, async (context) => {
    const routes = `- match: { prefix: / }
  route: { cluster: up, request_mirror_policies: [{ cluster: other }] }
  request_headers_to_add: [{ header: { key: x, value: y } }]`;
    const { upstream, other, connect, proxy } = await rpcSetup(context, create, {
      codecs: CODECS,
      routes,
      answer: echo,
      otherAnswer: (frame) => response(frame, { wrong: 'answer' }, 2),
    });
    const client = await connect();
    for (let id = 1; id <= 20; id++) client.send(request(id, SERVICE, `${id}`));
    for (let id = 1; id <= 20; id++) assert.equal(headersOf(await client.receives()).seen, 'upstream');
    client.send(request(21, SERVICE, '21', 2));
    await eventually(() => other.frames.length === 21 && upstream.frames.length === 21, 'the copies');
    assert.deepEqual(other.frames.map(contentOf), upstream.frames.map(contentOf));
    assert.equal(headersOf(other.frames[0]).x, 'y');
    await eventually(() => proxy.stat('cluster.other.upstream_rq_active') === 0, 'nothing open');
    assert.equal(proxy.stat('rpc.r.mirror_rq_total'), 21);
    assert.equal(proxy.stat('rpc.r.mirror_rq_failed'), 20);
    assert.equal(proxy.stat('cluster.other.upstream_rq_5xx'), 20);
    assert.equal(proxy.stat('rpc.r.downstream_rq_5xx'), 0);
  });

  test(`${engine}: a mirror that cannot be reached, or does not answer, is not seen by the client`, async (context) => {
    const routes = `- match: { prefix: / }
  route: { cluster: up, timeout: 0.2s, request_mirror_policies: [{ cluster: other, runtime_fraction: { default_value: { numerator: 100 } } }] }`;
    const { other, connect, proxy } = await rpcSetup(context, create, { codecs: CODECS, routes, answer: echo, otherAnswer: () => undefined });
    const client = await connect();
    client.send(request(1, SERVICE));
    assert.equal(bolt.status(await client.receives()), 0);
    await eventually(() => proxy.stat('rpc.r.mirror_rq_failed') === 1, 'the mirror is given up');
    assert.equal(proxy.stat('cluster.other.upstream_rq_timeout'), 1);
    other.close();
    client.send(request(2, SERVICE));
    assert.equal(bolt.status(await client.receives()), 0);
    await eventually(() => proxy.stat('rpc.r.mirror_rq_failed') === 2, 'the mirror is unreachable');
    assert.equal(proxy.stat('cluster.other.upstream_rq_active'), 0);
  });

  test(`${engine}: a mirror with a fraction of 0 gets nothing`, async (context) => {
    const routes = `- match: { prefix: / }
  route: { cluster: up, request_mirror_policies: [{ cluster: other, runtime_fraction: { default_value: { numerator: 0 } } }] }`;
    const { other, connect } = await rpcSetup(context, create, { codecs: CODECS, routes, answer: echo });
    const client = await connect();
    for (let id = 1; id <= 20; id++) client.send(request(id, SERVICE));
    for (let id = 1; id <= 20; id++) await client.receives();
    assert.equal(other.peers.length, 0);
  });

  test(`${engine}: a codec that throws on a peer's bytes fails that request, and nothing else`, async (context) => {
    const broken = {
      ...bolt,
      name: 'broken',
      service(frame: Frame) {
        const service = bolt.service(frame);
        if (service === 'throw') throw new TypeError('not thought of');
        return service;
      },
      status(frame: Frame) {
        if (headersOf(frame).service === 'late') throw new TypeError('not thought of');
        return bolt.status(frame);
      },
    };
    const routes = '- { match: { prefix: /, headers: [{ name: ":method", present_match: true }] }, route: { cluster: up } }';
    const { connect, proxy } = await rpcSetup(context, create, { codecs: [broken], routes, answer: echo });
    const client = await connect();
    client.send(request(1, { service: 'throw' }), request(2, { service: 'late' }), request(3, SERVICE));
    const answers = [await client.receives(), await client.receives(), await client.receives()].map((frame) => [frame.id, bolt.status(frame)]);
    assert.deepEqual(Object.fromEntries(answers), { 1: 3, 2: 16, 3: 0 });
    assert.equal(proxy.stat('rpc.r.codec_error'), 2);
    assert.equal(proxy.stat('cluster.up.upstream_rq_active'), 0);
  });

  test(`${engine}: a header entry too long for the protocol fails the request with a reply`, async (context) => {
    const routes = `- match: { prefix: / }
  route: { cluster: up }
  request_headers_to_add: [{ header: { key: x, value: "%REQ(long)%%REQ(long)%" } }]`;
    const { connect, proxy } = await rpcSetup(context, create, { codecs: CODECS, routes, answer: echo });
    const client = await connect();
    client.send(request(1, { ...SERVICE, long: 'x'.repeat(20_000) }), request(2, SERVICE));
    assert.deepEqual([bolt.status(await client.receives()), bolt.status(await client.receives())], [3, 0]);
    assert.equal(proxy.stat('rpc.r.codec_error'), 1);
  });
}

const problemsOf = (routes: string): string[] => {
  const loaded = loadBootstrap(rpcConfig({ up: 1, other: 2 }, { codecs: CODECS, routes }), { file: 'test.yaml' });
  assert.deepEqual(loaded.problems, []);
  assert.ok(loaded.bootstrap !== undefined);
  return compileConfig(loaded.bootstrap, { codecs: codecSet(CODECS) }).problems.map(
    ({ path, message }) => `${path.replace(/^.*routes\[0\]\.?/, '')}: ${message}`,
  );
};
test('what only HTTP can do is a problem of the configuration', () => {
  const refused = (route: string) => problemsOf(`- { match: { prefix: / }, ${route} }`);
  const rewrite = 'the service and the method of a request of an RPC protocol cannot be rewritten';
  assert.deepEqual(refused('route: { cluster: up, prefix_rewrite: /x }'), [`route.prefix_rewrite: ${rewrite}`]);
  assert.deepEqual(refused('route: { cluster: up, host_rewrite_literal: x }'), [`route.host_rewrite_literal: ${rewrite}`]);
  assert.deepEqual(refused('route: { cluster: up, idle_timeout: 1s }'), ['route.idle_timeout: a frame is sent at once; use timeout']);
  assert.deepEqual(refused('redirect: { path_redirect: /x }'), [
    'redirect: a request of an RPC protocol cannot be redirected; use route or direct_response',
  ]);
  assert.match(refused('direct_response: { status: 200 }')[0], /can only refuse/);
  assert.match(refused('route: { cluster: up, request_mirror_policies: [{ cluster: nowhere }] }')[0], /there is no cluster 'nowhere'/);
  assert.match(problemsOf('- { match: { connect_matcher: {} }, route: { cluster: up } }')[0], /CONNECT is a method of HTTP/);
  assert.deepEqual(refused('route: { cluster: up }, request_headers_to_add: [{ header: { key: Connection, value: x } }]'), []);
});

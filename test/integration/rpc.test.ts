import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import kv from '../../codecs/example/index.js';
import { framing, KIND } from '../../codecs/example/spec.js';
import type { Frame } from '../../src/protocol/frame.js';
import { encodeFrame } from '../../src/protocol/frame-encoder.js';
import { engines } from '../support/engines.js';
import { eventually } from '../support/peers.js';
import { type RpcOptions, rpcSetup } from '../support/rpc-proxy.js';

const LOG = '%REQ(:AUTHORITY)% %REQ(:METHOD)% %PROTOCOL% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%';

const request = (id: number, text: string, kind: number = KIND.REQUEST) =>
  encodeFrame(framing, { fields: { kind, id }, sections: { body: Buffer.from(text) } });
const response = (to: Frame, text: string, status = 0) =>
  encodeFrame(framing, { fields: { kind: KIND.RESPONSE, id: to.id, status }, sections: { body: Buffer.from(text) } });
const text = (frame: Frame) => Buffer.from(frame.section('body')).toString();
const silent = () => undefined;
const other = (frame: Frame) => (frame.field('kind') === KIND.REQUEST ? response(frame, 'other') : undefined);
const echo = (frame: Frame) => (frame.field('kind') === KIND.REQUEST ? response(frame, `to ${text(frame)}`) : undefined);

for (const [engine, create] of engines()) {
  const setup = (context: TestContext, options: Omit<RpcOptions, 'codecs'> = {}, answer?: (frame: Frame) => Uint8Array | undefined) =>
    rpcSetup(context, create, {
      codecs: [kv],
      log: LOG,
      otherAnswer: other,
      ...options,
      ...(answer === undefined ? { answer: silent } : { answer }),
    });

  test(`${engine}: requests of two clients share a connection, and each gets its own answers under its own ids`, async (context) => {
    const { upstream, connect, proxy } = await setup(context, {}, echo);
    const [one, two] = [await connect(), await connect()];
    for (let i = 0; i < 200; i++) {
      one.send(request(7, `one/${i}`));
      two.send(request(7, `two/${i}`));
    }
    for (let i = 0; i < 200; i++) {
      const [a, b] = [await one.receives(), await two.receives()];
      assert.deepEqual([a.id, text(a), b.id, text(b)], [7n, `to one/${i}`, 7n, `to two/${i}`]);
    }
    assert.equal(upstream.peers.length, 1);
    assert.equal(new Set(upstream.frames.map(({ id }) => id)).size, 400);
    assert.equal(proxy.stat('rpc.r.downstream_rq_total'), 400);
    assert.equal(proxy.stat('rpc.r.downstream_rq_2xx'), 400);
    assert.equal(proxy.stat('cluster.up.upstream_rq_active'), 0);
  });

  test(`${engine}: answers may come in any order`, async (context) => {
    const { upstream, connect } = await setup(context);
    const client = await connect();
    client.send(request(1, 'get a'), request(2, 'get b'), request(0xffff_ffff, 'get c'));
    await eventually(() => upstream.frames.length === 3, 'three requests');
    const [server] = upstream.peers;
    for (const frame of [...server.frames].reverse()) server.send(response(frame, text(frame)));
    assert.deepEqual(
      [await client.receives(), await client.receives(), await client.receives()].map((frame) => [frame.id, text(frame)]),
      [
        [0xffff_ffffn, 'get c'],
        [2n, 'get b'],
        [1n, 'get a'],
      ],
    );
  });

  test(`${engine}: frames cut anywhere arrive whole`, async (context) => {
    const { connect } = await setup(context, {}, echo);
    const client = await connect();
    const bytes = Buffer.concat([request(1, 'get a/1'), request(2, `get b ${'x'.repeat(300)}`)]);
    for (const byte of bytes) {
      client.socket.write(Buffer.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.equal(text(await client.receives()), 'to get a/1');
    assert.equal((await client.receives()).length, 12 + 309);
  });

  test(`${engine}: a service, a method and a header each choose a route`, async (context) => {
    const hosts = `- name: fruits
  domains: [fruits]
  routes:
  - { match: { path: /fruits/put }, route: { cluster: other } }
  - { match: { prefix: / }, route: { cluster: up } }
- name: rest
  domains: ["*"]
  routes: [{ match: { prefix: /, headers: [{ name: ":method", string_match: { exact: del } }] }, route: { cluster: other } }]`;
    const { connect, proxy } = await setup(context, { hosts }, echo);
    const client = await connect();
    client.send(request(1, 'get fruits/apple'));
    assert.equal(text(await client.receives()), 'to get fruits/apple');
    client.send(request(2, 'put fruits/apple'));
    assert.equal(text(await client.receives()), 'other');
    client.send(request(3, 'del tools/saw'));
    assert.equal(text(await client.receives()), 'other');
    client.send(request(4, 'get tools/saw'));
    const refused = await client.receives();
    assert.deepEqual([refused.id, refused.field('status')], [4n, 1]);
    assert.equal(proxy.stat('rpc.r.no_route'), 1);
    assert.deepEqual((await proxy.logged(4)).at(-1), 'tools get kv 404 NR route_not_found');
  });

  test(`${engine}: a one-way request is forwarded, and nobody waits for it`, async (context) => {
    const { upstream, connect, proxy } = await setup(context);
    const client = await connect();
    client.send(request(5, 'put fruits/pear', KIND.ONEWAY));
    await eventually(() => upstream.frames.length === 1, 'the request');
    await eventually(() => proxy.stat('rpc.r.downstream_rq_active') === 0, 'nothing open');
    assert.equal(proxy.stat('cluster.up.upstream_rq_active'), 0);
    assert.equal(proxy.stat('rpc.r.downstream_rq_oneway'), 1);
  });

  test(`${engine}: a heartbeat is answered here and never forwarded`, async (context) => {
    const { upstream, connect } = await setup(context);
    const client = await connect();
    client.send(kv.heartbeat(42));
    const ack = await client.receives();
    assert.equal(ack.id, 42n);
    assert.equal(upstream.frames.length, 0);
  });

  test(`${engine}: a quiet upstream connection gets heartbeats, and is given up when they are not answered`, async (context) => {
    const cluster = `typed_extension_protocol_options:
      sluice.rpc:
        "@type": type.googleapis.com/sluice.extensions.upstreams.rpc.v1.RpcProtocolOptions
        heartbeat: { interval: 0.1s, timeout: 0.05s, failures: 2 }`;
    let answers = 2;
    const { upstream, connect, proxy } = await setup(context, { cluster }, (frame) => {
      if (frame.field('kind') === KIND.REQUEST) return response(frame, 'ok');
      return answers-- > 0 ? kv.heartbeatAck(frame) : undefined;
    });
    const client = await connect();
    client.send(request(1, 'get a'));
    await client.receives();
    await eventually(() => upstream.peers[0].closed, 'the connection is given up');
    assert.ok(upstream.frames.length >= 5, `${upstream.frames.length} frames`);
    assert.equal(proxy.stat('cluster.up.upstream_cx_heartbeat_missed'), 2);
    assert.equal(client.closed, false);
  });

  test(`${engine}: a request that is not answered in time gets the protocol's own answer, and a late one is thrown away`, async (context) => {
    const hosts = `- name: all
  domains: ["*"]
  routes: [{ match: { prefix: / }, route: { cluster: up, timeout: 0.1s } }]`;
    const { upstream, connect, proxy } = await setup(context, { hosts });
    const client = await connect();
    client.send(request(9, 'get slow'));
    const late = await client.receives();
    assert.deepEqual([late.id, late.field('status')], [9n, 4]);
    const [server] = upstream.peers;
    server.send(response(server.frames[0], 'too late'));
    client.send(request(10, 'get b'));
    await eventually(() => server.frames.length === 2, 'the next request');
    server.send(response(server.frames[1], 'in time'));
    assert.equal(text(await client.receives()), 'in time');
    assert.equal(proxy.stat('cluster.up.upstream_rq_late_response'), 1);
    assert.match((await proxy.logged(2))[0], /504 UT response_timeout/);
  });

  test(`${engine}: a refused connection is answered, and tried again where the route says so`, async (context) => {
    const hosts = `- name: all
  domains: ["*"]
  routes: [{ match: { prefix: / }, route: { cluster: up, retry_policy: { retry_on: connect-failure, num_retries: 2 } } }]`;
    const { upstream, connect, proxy } = await setup(context, { hosts });
    upstream.close();
    const client = await connect();
    client.send(request(3, 'get a'));
    const refused = await client.receives();
    assert.deepEqual([refused.id, refused.field('status')], [3n, 3]);
    assert.equal(proxy.stat('cluster.up.upstream_rq_retry'), 2);
    assert.match((await proxy.logged(1))[0], /503 UF,URX upstream_reset_before_response_started/);
  });

  test(`${engine}: an error status is retried with the whole request`, async (context) => {
    const hosts = `- name: all
  domains: ["*"]
  routes: [{ match: { prefix: / }, route: { cluster: up, retry_policy: { retry_on: 5xx, num_retries: 3 } } }]`;
    let failures = 2;
    const { upstream, connect } = await setup(context, { hosts }, (frame) => response(frame, text(frame), failures-- > 0 ? 2 : 0));
    const client = await connect();
    client.send(request(3, 'get a/1'));
    const answer = await client.receives();
    assert.deepEqual([answer.field('status'), text(answer)], [0, 'get a/1']);
    assert.equal(upstream.frames.length, 3);
  });

  test(`${engine}: an upstream that dies fails only what was sent to it`, async (context) => {
    const { upstream, connect, proxy } = await setup(context);
    const client = await connect();
    client.send(request(1, 'get a'), request(2, 'get b'));
    const server = await upstream.accepts();
    await eventually(() => server.frames.length === 2, 'both requests');
    server.socket.resetAndDestroy();
    const [a, b] = [await client.receives(), await client.receives()];
    assert.deepEqual([a.id, b.id].sort(), [1n, 2n]);
    assert.deepEqual([a.field('status'), b.field('status')], [3, 3]);
    client.send(request(3, 'get c'));
    const next = await upstream.accepts(1);
    await eventually(() => next.frames.length === 1, 'the next request on a new connection');
    next.send(response(next.frames[0], 'c'));
    assert.equal(text(await client.receives()), 'c');
    assert.equal(proxy.stat('rpc.r.downstream_rq_active'), 0);
  });

  test(`${engine}: a client that leaves takes its requests along`, async (context) => {
    const { upstream, connect, proxy } = await setup(context);
    const [one, two] = [await connect(), await connect()];
    one.send(request(1, 'get a'));
    two.send(request(1, 'get b'));
    const server = await upstream.accepts();
    await eventually(() => server.frames.length === 2, 'both requests');
    one.close();
    await eventually(() => proxy.stat('rpc.r.downstream_rq_cancelled') === 1, 'the request is given up');
    for (const frame of server.frames) server.send(response(frame, text(frame)));
    assert.equal(text(await two.receives()), 'get b');
    assert.equal(proxy.stat('cluster.up.upstream_rq_late_response'), 1);
    assert.equal(proxy.stat('cluster.up.upstream_rq_active'), 0);
  });

  test(`${engine}: after a go-away new requests take another connection, while old ones are answered`, async (context) => {
    const { upstream, connect } = await setup(context);
    const client = await connect();
    client.send(request(1, 'get a'));
    const first = await upstream.accepts();
    await eventually(() => first.frames.length === 1, 'the request');
    first.send(kv.goAway());
    await new Promise((resolve) => setTimeout(resolve, 20));
    client.send(request(2, 'get b'));
    const second = await upstream.accepts(1);
    await eventually(() => second.frames.length === 1, 'the second request');
    first.send(response(first.frames[0], 'a'));
    assert.equal(text(await client.receives()), 'a');
    await eventually(() => first.ended || first.closed, 'the first connection is closed');
    second.send(response(second.frames[0], 'b'));
    assert.equal(text(await client.receives()), 'b');
  });

  test(`${engine}: bytes that are no frame end the connection, and nothing is buffered for a frame over the limit`, async (context) => {
    const { connect, proxy } = await setup(context, { filter: 'max_frame_bytes: 1024' }, echo);
    const [one, two] = [await connect(), await connect()];
    one.socket.write('GET / HTTP/1.1\r\n\r\n');
    await eventually(() => one.ended || one.closed, 'the first connection ends');
    two.send(request(1, 'x'.repeat(2000)).subarray(0, 40));
    await eventually(() => two.ended || two.closed, 'the second connection ends');
    assert.equal(proxy.stat('rpc.r.downstream_cx_protocol_error'), 2);
  });

  test(`${engine}: a circuit breaker answers what is too much`, async (context) => {
    const cluster = 'circuit_breakers: { thresholds: [{ max_requests: 2 }] }';
    const { upstream, connect, proxy } = await setup(context, { cluster });
    const client = await connect();
    client.send(request(1, 'get a'), request(2, 'get b'), request(3, 'get c'));
    const refused = await client.receives();
    assert.deepEqual([refused.id, refused.field('status')], [3n, 3]);
    const server = await upstream.accepts();
    await eventually(() => server.frames.length === 2, 'two requests');
    for (const frame of server.frames) server.send(response(frame, 'ok'));
    await client.receives();
    await client.receives();
    assert.equal(proxy.stat('cluster.up.upstream_rq_pending_overflow'), 1);
  });
}

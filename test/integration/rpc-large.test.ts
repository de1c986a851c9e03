import assert from 'node:assert/strict';
import test from 'node:test';
import kv from '../../codecs/example/index.js';
import { framing, KIND, STATUS } from '../../codecs/example/spec.js';
import type { Frame } from '../../src/protocol/frame.js';
import { encodeFrame } from '../../src/protocol/frame-encoder.js';
import { engines } from '../support/engines.js';
import { eventually } from '../support/peers.js';
import type { RpcPeer } from '../support/rpc-peers.js';
import { rpcSetup } from '../support/rpc-proxy.js';

const request = (id: number, text: string, kind: number = KIND.REQUEST) =>
  encodeFrame(framing, { fields: { kind, id }, sections: { body: Buffer.from(text) } });
const response = (to: Frame, text: string, status: number = STATUS.OK) =>
  encodeFrame(framing, { fields: { kind: KIND.RESPONSE, id: to.id, status }, sections: { body: Buffer.from(text) } });
const text = (frame: Frame) => Buffer.from(frame.section('body')).toString();
const answer = (frame: Frame) => (frame.field('kind') === KIND.REQUEST ? response(frame, `${frame.length} bytes`) : undefined);
const LARGE = 'put large '.padEnd(400_000, 'x');
/** Where a sender stops for a while. */
const PART = 100_000;
const filter = 'cut_through_bytes: 65536';
const isOver = (peer: RpcPeer) => peer.ended || peer.closed;

for (const [engine, create] of engines()) {
  test(`${engine}: a large request is sent on as it comes, and holds up nobody`, async (context) => {
    const { upstream, connect, proxy } = await rpcSetup(context, create, { codecs: [kv], filter, answer });
    const [slow, quick] = [await connect(), await connect()];
    quick.send(request(1, 'get a'));
    await quick.receives();
    const large = request(7, LARGE);
    slow.send(large.subarray(0, PART));
    await eventually(() => upstream.peers.some(({ received }) => received > 90_000), 'its beginning arrives');
    for (let id = 2; id <= 20; id++) {
      quick.send(request(id, 'get a'));
      assert.equal((await quick.receives()).id, BigInt(id));
    }
    slow.send(large.subarray(PART), request(8, 'get behind'));
    const answers = [await slow.receives(), await slow.receives()].map((frame) => [frame.id, text(frame)]);
    assert.deepEqual(Object.fromEntries(answers), { 7: `${large.length} bytes`, 8: '22 bytes' });
    assert.deepEqual(
      upstream.frames.filter(({ length }) => length > PART).map((frame) => text(frame)),
      [LARGE],
    );
    assert.equal(proxy.stat('rpc.r.downstream_rq_cut_through'), 1);
    assert.equal(proxy.stat('rpc.r.downstream_rq_2xx'), 22);
    assert.equal(proxy.stat('cluster.up.upstream_rq_active'), 0);
    assert.ok(upstream.peers.length <= 2);
  });

  test(`${engine}: large requests one after the other use one connection`, async (context) => {
    const { upstream, connect } = await rpcSetup(context, create, { codecs: [kv], filter, answer });
    const client = await connect();
    for (let id = 1; id <= 5; id++) {
      const large = request(id, LARGE);
      client.send(large.subarray(0, PART));
      await new Promise((resolve) => setTimeout(resolve, 5));
      client.send(large.subarray(PART));
      assert.equal(text(await client.receives()), `${large.length} bytes`);
    }
    assert.equal(upstream.peers.length, 1);
  });

  test(`${engine}: a sender that dies in the middle of a large request breaks nobody else's`, async (context) => {
    const { upstream, connect, proxy } = await rpcSetup(context, create, { codecs: [kv], filter });
    const [dying, other] = [await connect(), await connect()];
    other.send(request(1, 'get a'));
    const shared = await upstream.accepts();
    await eventually(() => shared.frames.length === 1, 'a request');
    dying.send(request(7, LARGE).subarray(0, PART));
    const own = await upstream.accepts(1);
    await eventually(() => own.received > 90_000, 'the beginning of another');
    dying.close();
    await eventually(() => isOver(own), 'the connection of its own is closed');
    shared.send(response(shared.frames[0], 'a'));
    assert.equal(text(await other.receives()), 'a');
    await eventually(() => proxy.stat('cluster.up.upstream_rq_active') === 0, 'nothing is open');
    assert.equal(proxy.stat('rpc.r.downstream_rq_cancelled'), 1);
  });

  test(`${engine}: a large request that takes too long is answered, and the client's next one is served`, async (context) => {
    const routes = '- { match: { prefix: / }, route: { cluster: up, timeout: 0.2s } }';
    const { upstream, connect, proxy } = await rpcSetup(context, create, { codecs: [kv], filter, routes, answer });
    const client = await connect();
    const large = request(7, LARGE);
    client.send(large.subarray(0, PART));
    assert.deepEqual([(await client.receives()).field('status')], [STATUS.TIMEOUT]);
    await eventually(() => isOver(upstream.peers[0]), 'its connection is closed');
    client.send(large.subarray(PART), request(8, 'get b'));
    assert.equal((await client.receives()).id, 8n);
    assert.equal(proxy.stat('cluster.up.upstream_rq_active'), 0);
    assert.equal(proxy.stat('rpc.r.downstream_rq_total'), 2);
  });

  test(`${engine}: an upstream that cannot be had, or dies, fails the large request once`, async (context) => {
    const { upstream, connect, proxy } = await rpcSetup(context, create, { codecs: [kv], filter });
    const client = await connect();
    const large = request(7, LARGE);
    client.send(large.subarray(0, PART));
    const own = await upstream.accepts();
    await eventually(() => own.received > 90_000, 'its beginning');
    own.socket.resetAndDestroy();
    assert.deepEqual([(await client.receives()).field('status')], [STATUS.BUSY]);
    upstream.refuse();
    client.send(large.subarray(PART), request(8, LARGE));
    const refused = await client.receives();
    assert.deepEqual([refused.id, refused.field('status')], [8n, STATUS.BUSY]);
    assert.equal(proxy.stat('rpc.r.downstream_rq_active'), 0);
    assert.equal(client.frames.length, 2);
  });

  test(`${engine}: what is kept, changed or answered here is taken whole`, async (context) => {
    const routes = `- { match: { path: /retried/put }, route: { cluster: up, retry_policy: { retry_on: 5xx, num_retries: 2 } } }
- { match: { path: /mirrored/put }, route: { cluster: up, request_mirror_policies: [{ cluster: other }] } }
- { match: { path: /refused/put }, direct_response: { status: 503 } }`;
    let failures = 1;
    const failing = (frame: Frame) =>
      response(frame, text(frame), text(frame).startsWith('put retried') && failures-- > 0 ? STATUS.FAILED : STATUS.OK);
    const { upstream, other, connect, proxy } = await rpcSetup(context, create, { codecs: [kv], filter, routes, answer: failing });
    const client = await connect();
    for (const [at, service] of ['retried', 'mirrored', 'refused', 'unknown'].entries()) {
      const large = request(at + 1, `put ${service} `.padEnd(400_000, 'x'));
      client.send(large.subarray(0, PART));
      await new Promise((resolve) => setTimeout(resolve, 20));
      client.send(large.subarray(PART));
      const got = await client.receives();
      assert.equal(got.field('status'), [STATUS.OK, STATUS.OK, STATUS.BUSY, STATUS.NOT_FOUND][at], service);
    }
    await eventually(() => other.frames.length === 1, 'the copy');
    assert.equal(upstream.frames.length, 3);
    assert.equal(proxy.stat('rpc.r.downstream_rq_cut_through'), 0);
    assert.equal(proxy.stat('rpc.r.downstream_rq_total'), 4);
  });

  test(`${engine}: a large one-way request arrives, and a drain waits for its end`, async (context) => {
    const { upstream, connect, proxy } = await rpcSetup(context, create, { codecs: [kv], filter });
    const client = await connect();
    const large = request(7, LARGE, KIND.ONEWAY);
    client.send(large.subarray(0, PART));
    const own = await upstream.accepts();
    await eventually(() => own.received > 90_000, 'its beginning');
    const done = proxy.proxy.drain({ timeoutMs: 60_000 });
    client.send(large.subarray(PART));
    await eventually(() => upstream.frames.length === 1, 'all of it');
    assert.equal(text(upstream.frames[0]), LARGE);
    await done;
    assert.equal(proxy.stat('rpc.r.downstream_rq_oneway'), 1);
  });
}

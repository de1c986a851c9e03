import assert from 'node:assert/strict';
import test from 'node:test';
import kv from '../../codecs/example/index.js';
import { framing, KIND } from '../../codecs/example/spec.js';
import type { Frame } from '../../src/protocol/frame.js';
import { encodeFrame } from '../../src/protocol/frame-encoder.js';
import { engines } from '../support/engines.js';
import { eventually } from '../support/peers.js';
import type { RpcPeer } from '../support/rpc-peers.js';
import { rpcSetup } from '../support/rpc-proxy.js';

const request = (id: number, text: string) => encodeFrame(framing, { fields: { kind: KIND.REQUEST, id }, sections: { body: Buffer.from(text) } });
const response = (to: Frame) => encodeFrame(framing, { fields: { kind: KIND.RESPONSE, id: to.id }, sections: { body: to.section('body') } });
const kindOf = (frame: Frame) => frame.field('kind');
const isOver = (peer: RpcPeer) => peer.ended || peer.closed;
const echo = (frame: Frame) => (kindOf(frame) === KIND.REQUEST ? response(frame) : undefined);
/** So long that a test which waits for it fails. */
const LONG_MS = 60_000;

for (const [engine, create] of engines()) {
  test(`${engine}: a drain tells every client to go, answers what is in flight, and is over when nothing is`, async (context) => {
    const { upstream, connect, proxy } = await rpcSetup(context, create, { codecs: [kv] });
    const [idle, busy] = [await connect(), await connect()];
    busy.send(request(1, 'get a'), request(2, 'get b'));
    await eventually(() => upstream.frames.length === 2, 'two requests');
    let isDone = false;
    const done = proxy.proxy.drain({ timeoutMs: LONG_MS }).then(() => {
      isDone = true;
    });
    assert.equal(kindOf(await idle.receives()), KIND.GO_AWAY);
    assert.equal(kindOf(await busy.receives()), KIND.GO_AWAY);
    await eventually(() => isOver(idle), 'the idle client is closed');
    const [server] = upstream.peers;
    server.send(response(server.frames[1]));
    assert.equal((await busy.receives()).id, 2n);
    // Sent before the client had heard.
    busy.send(request(3, 'get c'));
    await eventually(() => server.frames.length === 3, 'a request that was under way');
    server.send(response(server.frames[0]));
    assert.equal((await busy.receives()).id, 1n);
    assert.equal(isDone, false);
    assert.equal(isOver(busy), false);
    server.send(response(server.frames[2]));
    assert.equal((await busy.receives()).id, 3n);
    await eventually(() => isOver(busy), 'the busy client is closed');
    await done;
  });

  test(`${engine}: a drain of a listener that nobody uses is over at once`, async (context) => {
    const { connect, proxy } = await rpcSetup(context, create, { codecs: [kv], answer: echo });
    const client = await connect();
    client.send(request(1, 'get a'));
    await client.receives();
    const from = performance.now();
    await proxy.proxy.drain({ timeoutMs: LONG_MS });
    assert.ok(performance.now() - from < 5000);
    assert.equal(kindOf(await client.receives()), KIND.GO_AWAY);
  });

  test(`${engine}: a graceful drain at once tells everybody, and takes new clients for one request more`, async (context) => {
    const { connect, proxy } = await rpcSetup(context, create, { codecs: [kv], answer: echo, proxy: { drainStrategy: 'immediate' } });
    const client = await connect();
    client.send(request(1, 'get a'));
    await client.receives();
    const done = proxy.proxy.drain({ graceful: true, timeoutMs: 500 });
    assert.equal(kindOf(await client.receives()), KIND.GO_AWAY);
    await eventually(() => isOver(client), 'the client is closed');
    const next = await connect();
    next.send(request(1, 'get b'));
    assert.deepEqual([kindOf(await next.receives()), kindOf(await next.receives())], [KIND.RESPONSE, KIND.GO_AWAY]);
    await eventually(() => isOver(next), 'the next client is closed');
    await done;
  });

  test(`${engine}: a gradual drain lets connections go one after the other, with an answer`, async (context) => {
    const { connect, proxy } = await rpcSetup(context, create, { codecs: [kv], answer: echo, proxy: { drainStrategy: 'gradual' } });
    const clients = await Promise.all(Array.from({ length: 8 }, connect));
    const from = performance.now();
    const done = proxy.proxy.drain({ graceful: true, timeoutMs: 600 });
    const left: number[] = [];
    await Promise.all(
      clients.map(async (client) => {
        for (let id = 1; !isOver(client) && performance.now() - from < 1000; id++) {
          client.send(request(id, 'get a'));
          if (kindOf(await client.receives()) === KIND.GO_AWAY) break;
          await new Promise((resolve) => setTimeout(resolve, 15));
          if (client.frames.some((frame) => kindOf(frame) === KIND.GO_AWAY)) break;
        }
        left.push(performance.now() - from);
      }),
    );
    assert.ok(Math.max(...left) < 600, `left after ${left.map(Math.round)} ms`);
    for (const client of clients) await eventually(() => isOver(client), 'closed');
    await done;
  });

  test(`${engine}: a listener that leaves the configuration drains`, async (context) => {
    const { connect, proxy } = await rpcSetup(context, create, { codecs: [kv], answer: echo, proxy: { drainStrategy: 'immediate' } });
    const client = await connect();
    client.send(request(1, 'get a'));
    await client.receives();
    await proxy.apply('static_resources: {}');
    assert.equal(kindOf(await client.receives()), KIND.GO_AWAY);
    await eventually(() => isOver(client), 'the client is closed');
  });

  test(`${engine}: a host that leaves a cluster gets no new request, and its connections close once they are answered`, async (context) => {
    const { upstream, other, connect, proxy } = await rpcSetup(context, create, { codecs: [kv] });
    const client = await connect();
    client.send(request(1, 'get a'));
    await eventually(() => upstream.frames.length === 1, 'the request');
    const locality = { region: '', zone: '', subZone: '' };
    const address = { ip: '127.0.0.1', port: other.port };
    proxy.proxy.updateEndpoints('up', [{ address, hostname: '', weight: 1, priority: 0, locality, health: 'UNKNOWN' }]);
    client.send(request(2, 'get b'));
    await eventually(() => other.frames.length === 1, 'the next request goes elsewhere');
    const [server] = upstream.peers;
    assert.equal(isOver(server), false);
    server.send(response(server.frames[0]));
    assert.equal((await client.receives()).id, 1n);
    await eventually(() => isOver(server), 'the old connection is closed');
  });
}

import assert from 'node:assert/strict';
import test from 'node:test';
import kv from '../../codecs/example/index.js';
import { framing, KIND } from '../../codecs/example/spec.js';
import type { Frame } from '../../src/protocol/frame.js';
import { encodeFrame } from '../../src/protocol/frame-encoder.js';
import { engines } from '../support/engines.js';
import { eventually } from '../support/peers.js';
import { bound, pingpong, plain, frame as plainFrame, short, textOf } from '../support/rpc-codecs.js';
import { rpcSetup } from '../support/rpc-proxy.js';

const request = (id: number, text: string, kind: number = KIND.REQUEST) =>
  encodeFrame(framing, { fields: { kind, id }, sections: { body: Buffer.from(text) } });
const response = (to: Frame, text: string, status = 0) =>
  encodeFrame(framing, { fields: { kind: KIND.RESPONSE, id: to.id, status }, sections: { body: Buffer.from(text) } });
const text = (frame: Frame) => Buffer.from(frame.section('body')).toString();
const echo = (frame: Frame) => (frame.field('kind') === KIND.REQUEST ? response(frame, `to ${text(frame)}`) : undefined);
const rpcOptions = (fields: string) => `typed_extension_protocol_options:
  sluice.rpc:
    "@type": type.googleapis.com/sluice.extensions.upstreams.rpc.v1.RpcProtocolOptions
    ${fields}`;
const turn = (ms = 30) => new Promise((resolve) => setTimeout(resolve, ms));

for (const [engine, create] of engines()) {
  test(`${engine}: pingpong has one request at a time on a connection, and uses connections again`, async (context) => {
    const { upstream, connect, proxy } = await rpcSetup(context, create, { codecs: [pingpong] });
    const client = await connect();
    client.send(request(1, 'get a'), request(2, 'get b'), request(3, 'get c'));
    await eventually(() => upstream.frames.length === 3, 'three requests');
    assert.deepEqual(
      upstream.peers.map(({ frames }) => frames.length),
      [1, 1, 1],
    );
    assert.deepEqual(new Set(upstream.frames.map(({ id }) => id)), new Set([1n, 2n, 3n]), 'ids are kept');
    for (const peer of upstream.peers) peer.send(response(peer.frames[0], text(peer.frames[0])));
    for (let i = 0; i < 3; i++) await client.receives();
    client.send(request(4, 'get d'));
    await eventually(() => upstream.frames.length === 4, 'the next request');
    assert.equal(upstream.peers.length, 3);
    assert.equal(proxy.stat('cluster.up.upstream_cx_total'), 3);
  });

  test(`${engine}: pingpong without ids answers each request with its own answer, whatever is going on elsewhere`, async (context) => {
    const { upstream, connect } = await rpcSetup(context, create, {
      codecs: [plain],
      answer: (frame) => (frame.kind === 1 ? plainFrame('response', `to ${textOf(frame)}`) : undefined),
    });
    const clients = await Promise.all([connect(), connect(), connect()]);
    for (let i = 0; i < 30; i++) {
      clients.forEach((client, at) => {
        client.send(plainFrame('request', `${at}/${i}`));
      });
      for (const [at, client] of clients.entries()) assert.equal(textOf(await client.receives()), `to ${at}/${i}`);
    }
    assert.ok(upstream.peers.length <= 3, `${upstream.peers.length} connections`);
  });

  test(`${engine}: a heartbeat's answer is not taken for the answer of a request`, async (context) => {
    const cluster = rpcOptions('heartbeat: { interval: 0.05s, timeout: 1s }');
    const { upstream, connect } = await rpcSetup(context, create, {
      codecs: [plain],
      cluster,
      answer: (frame) => (frame.kind === 4 ? plainFrame('heartbeat-ack') : undefined),
    });
    const client = await connect();
    client.send(plainFrame('request', 'a'));
    await eventually(() => upstream.frames.length >= 3, 'a request and heartbeats');
    const [server] = upstream.peers;
    server.send(plainFrame('response', 'answer'));
    assert.equal(textOf(await client.receives()), 'answer');
    assert.equal(upstream.peers.length, 1);
  });

  test(`${engine}: a pingpong request that is given up takes its connection along, so that its answer goes to nobody`, async (context) => {
    const routes = '- { match: { prefix: / }, route: { cluster: up, timeout: 0.1s } }';
    const { upstream, connect, proxy } = await rpcSetup(context, create, { codecs: [plain], routes });
    const client = await connect();
    client.send(plainFrame('request', 'slow'));
    assert.equal(textOf(await client.receives()), 'response_timeout');
    await eventually(() => upstream.peers[0].ended || upstream.peers[0].closed, 'its connection is closed');
    client.send(plainFrame('request', 'b'));
    const second = await upstream.accepts(1);
    await eventually(() => second.frames.length === 1, 'the next request');
    second.send(plainFrame('response', 'b'));
    assert.equal(textOf(await client.receives()), 'b');
    assert.equal(proxy.stat('cluster.up.upstream_rq_active'), 0);
  });

  test(`${engine}: pingpong requests beyond the circuit breaker wait their turn; beyond the pending limit they are refused`, async (context) => {
    const cluster = 'circuit_breakers: { thresholds: [{ max_connections: 1, max_pending_requests: 2 }] }';
    const { upstream, connect, proxy } = await rpcSetup(context, create, { codecs: [pingpong], cluster });
    const client = await connect();
    client.send(request(1, 'get a'));
    const server = await upstream.accepts();
    await eventually(() => server.frames.length === 1, 'the first request');
    client.send(request(2, 'get b'), request(3, 'get c'), request(4, 'get d'));
    const refused = await client.receives();
    assert.deepEqual([refused.id, refused.field('status')], [4n, 3]);
    for (const at of [0, 1, 2]) {
      await eventually(() => server.frames.length === at + 1, `request ${at}`);
      server.send(response(server.frames[at], text(server.frames[at])));
    }
    assert.deepEqual([text(await client.receives()), text(await client.receives()), text(await client.receives())], ['get a', 'get b', 'get c']);
    assert.equal(upstream.peers.length, 1);
    assert.equal(proxy.stat('cluster.up.upstream_rq_pending_overflow'), 1);
    assert.equal(proxy.stat('cluster.up.upstream_rq_pending_active'), 0);
  });

  test(`${engine}: bound gives each client a connection of its own, which ends with it`, async (context) => {
    const { upstream, connect } = await rpcSetup(context, create, { codecs: [bound], answer: echo });
    const [one, two] = [await connect(), await connect()];
    for (let i = 1; i <= 10; i++) {
      one.send(request(i, `one/${i}`));
      two.send(request(i, `two/${i}`));
    }
    for (let i = 1; i <= 10; i++) assert.deepEqual([text(await one.receives()), text(await two.receives())], [`to one/${i}`, `to two/${i}`]);
    assert.equal(upstream.peers.length, 2);
    for (const peer of upstream.peers) assert.equal(new Set(peer.frames.map((frame) => text(frame).slice(0, 3))).size, 1);
    one.close();
    await eventually(() => upstream.peers.filter(({ ended, closed }) => ended || closed).length === 1, 'the one of the client that left');
    two.send(request(11, 'two/11'));
    assert.equal(text(await two.receives()), 'to two/11');
  });

  test(`${engine}: a bound client whose upstream connection is lost is told, and closed`, async (context) => {
    const { upstream, connect } = await rpcSetup(context, create, { codecs: [bound] });
    const [one, two] = [await connect(), await connect()];
    one.send(request(1, 'get one'));
    two.send(request(1, 'get two'));
    await eventually(() => upstream.frames.length === 2, 'both requests');
    const [lost, kept] =
      upstream.peers[0].frames[0] !== undefined && text(upstream.peers[0].frames[0]) === 'get one' ? upstream.peers : [...upstream.peers].reverse();
    lost.socket.resetAndDestroy();
    const kinds = [(await one.receives()).field('kind'), (await one.receives()).field('kind')];
    assert.deepEqual(kinds.sort(), [KIND.RESPONSE, KIND.GO_AWAY]);
    await eventually(() => one.ended || one.closed, 'its client is closed');
    kept.send(response(kept.frames[0], 'two'));
    assert.equal(text(await two.receives()), 'two');
    assert.equal(two.ended, false);
  });

  test(`${engine}: a bound connection that cannot be had fails its own client only`, async (context) => {
    const { upstream, connect, proxy } = await rpcSetup(context, create, { codecs: [bound], answer: echo });
    const one = await connect();
    one.send(request(1, 'one'));
    await one.receives();
    upstream.refuse();
    const two = await connect();
    two.send(request(1, 'two'));
    assert.equal((await two.receives()).field('status'), 3);
    assert.equal(two.ended, false);
    one.send(request(2, 'again'));
    assert.equal(text(await one.receives()), 'to again');
    assert.equal(proxy.stat('cluster.up.upstream_rq_active'), 0);
  });

  test(`${engine}: requests are spread over as many connections as are configured for a host`, async (context) => {
    const { upstream, connect } = await rpcSetup(context, create, { codecs: [kv], cluster: rpcOptions('connections_per_host: 3'), answer: echo });
    const client = await connect();
    for (let i = 1; i <= 60; i++) {
      client.send(request(i, `${i}`));
      await client.receives();
    }
    assert.equal(upstream.peers.length, 3);
    for (const { frames } of upstream.peers) assert.ok(frames.length >= 15, `${frames.length}`);
  });

  test(`${engine}: requests beyond the bound of a connection wait, and no further connection is opened for them`, async (context) => {
    const { upstream, connect } = await rpcSetup(context, create, { codecs: [kv], cluster: rpcOptions('max_requests_in_flight: 2') });
    const client = await connect();
    client.send(...[1, 2, 3, 4, 5].map((id) => request(id, `${id}`)));
    const server = await upstream.accepts();
    await eventually(() => server.frames.length === 2, 'two requests');
    await turn();
    assert.equal(server.frames.length, 2);
    server.send(response(server.frames[1], 'b'));
    assert.equal(text(await client.receives()), 'b');
    await eventually(() => server.frames.length === 3, 'the third');
    for (let at = 2; at < 5; at++) {
      await eventually(() => server.frames.length > at, `request ${at}`);
      server.send(response(server.frames[at], text(server.frames[at])));
      await client.receives();
    }
    assert.equal(upstream.peers.length, 1);
  });

  test(`${engine}: a connection serves no more requests than it may, also when they come at once`, async (context) => {
    const cluster = rpcOptions('connections_per_host: 1').replace(
      'typed_extension_protocol_options:',
      `typed_extension_protocol_options:
  envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
    "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
    explicit_http_config: { http_protocol_options: {} }
    common_http_protocol_options: { max_requests_per_connection: 4 }`,
    );
    const { upstream, connect, proxy } = await rpcSetup(context, create, { codecs: [kv], cluster, answer: echo });
    const client = await connect();
    client.send(...Array.from({ length: 10 }, (_, at) => request(at + 1, `${at}`)));
    for (let i = 0; i < 10; i++) await client.receives();
    client.send(request(11, 'one-way', KIND.ONEWAY), request(12, 'last'));
    await client.receives();
    assert.deepEqual(
      upstream.peers.map(({ frames }) => frames.length),
      [4, 4, 4],
    );
    await eventually(() => upstream.peers.every(({ ended, closed }) => ended || closed), 'used up connections are closed');
    assert.equal(proxy.stat('cluster.up.upstream_cx_max_requests'), 3);
  });

  test(`${engine}: ids of 16 bits wrap, and the id of a request that was given up is not used before its answer came`, async (context) => {
    const routes = `- { match: { path: /held/ }, route: { cluster: up, timeout: 0.3s } }
- { match: { prefix: / }, route: { cluster: up, timeout: 60s } }`;
    const held: Frame[] = [];
    const { upstream, connect, proxy } = await rpcSetup(context, create, {
      codecs: [short],
      routes,
      answer(frame) {
        if (textOf(frame) !== 'held') return plainFrame('response', textOf(frame), frame.idLow);
        held.push(frame);
        return undefined;
      },
    });
    const client = await connect();
    client.send(plainFrame('request', 'held', 9));
    assert.equal(textOf(await client.receives()), 'response_timeout');
    const [late] = held;
    const total = 70_000;
    const batch = 1000;
    for (let sent = 0; sent < total; sent += batch) {
      const from = client.frames.length;
      client.send(...Array.from({ length: batch }, (_, at) => plainFrame('request', `${sent + at}`, at)));
      await eventually(() => client.frames.length === from + batch, 'a batch of answers');
      for (let at = 0; at < batch; at++) assert.equal(textOf(client.frames[from + at]), `${sent + client.frames[from + at].idLow}`);
    }
    assert.equal(upstream.peers.length, 1);
    const ids = upstream.frames.slice(1).map(({ idLow }) => idLow);
    assert.ok(!ids.includes(late.idLow), 'the id is not used again');
    assert.ok(Math.max(...ids.slice(0, 66_000)) > 65_000);
    upstream.peers[0].send(plainFrame('response', 'late', late.idLow));
    await eventually(() => proxy.stat('cluster.up.upstream_rq_late_response') === 1, 'the late answer');
  });

  test(`${engine}: an unused connection is closed although heartbeats keep it from being quiet`, async (context) => {
    const cluster = `${rpcOptions('heartbeat: { interval: 0.05s, timeout: 1s }')}
  envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
    "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
    explicit_http_config: { http_protocol_options: {} }
    common_http_protocol_options: { idle_timeout: 0.3s }`;
    const { upstream, connect, proxy } = await rpcSetup(context, create, {
      codecs: [kv],
      cluster,
      answer: (frame) => (frame.field('kind') === KIND.REQUEST ? response(frame, 'ok') : kv.heartbeatAck(frame)),
    });
    const client = await connect();
    client.send(request(1, 'get a'));
    await client.receives();
    await eventually(() => upstream.peers[0].ended || upstream.peers[0].closed, 'the connection is closed');
    assert.ok(upstream.frames.length >= 3, `${upstream.frames.length} frames`);
    assert.equal(proxy.stat('cluster.up.upstream_cx_idle_timeout'), 1);
    assert.equal(proxy.stat('cluster.up.upstream_cx_heartbeat_missed'), 0);
  });
}

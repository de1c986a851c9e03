/** HTTP/1 and HTTP/2 on one listener: decided by the first bytes, however they come. On each engine. */
import assert from 'node:assert/strict';
import { PREFACE, settings } from '../../codecs/http2/framing/test-support.js';
import { FramePeer, request } from '../support/frame-peer.js';
import { connect, eventually } from '../support/peers.js';
import type { StreamProxy } from '../support/stream-proxy.js';
import { type StreamStage, scenario } from '../support/stream-stage.js';

const answering = (stage: StreamStage, downProfile = {}): Promise<StreamProxy> =>
  stage.proxy({
    port: 1,
    down: 'auto',
    up: 'http1',
    downProfile,
    onRequest: (proxy, down) => proxy.engine.reply(down, proxy.edits.reset().status(204)),
  });

scenario('finds the preface byte by byte', async (stage) => {
  const proxy = await answering(stage);
  const peer = await connect(proxy.port);
  stage.later(() => peer.close());
  const client = new FramePeer(peer.socket, false);
  client.acknowledges = false;
  await client.sendPieces(Buffer.concat([PREFACE, settings(), request(1, 'GET', '/')]));
  assert.equal((await client.head(1))[':status'], '204');
  assert.deepEqual(proxy.events.slice(0, 2), ['protocol', 'request GET /']);
});

scenario('finds HTTP/1 byte by byte, also where it begins like the preface', async (stage) => {
  const proxy = await answering(stage);
  for (const start of ['GET / HTTP/1.1', 'PRI / HTTP/1.1', 'PR / HTTP/1.1', 'PRI * HTTP/1.0', 'P / HTTP/1.1', '\r\nGET / HTTP/1.1']) {
    const client = await stage.client(proxy);
    await client.sendPieces([...`${start}\r\nHost: h\r\nConnection: close\r\n\r\n`]);
    assert.match(await client.receivesAll(), /^HTTP\/1\.1 (204|400|505) /, start);
  }
  assert.equal(proxy.events.includes('protocol'), false);
});

scenario('a preface that does not end is what HTTP/1 makes of it', async (stage) => {
  const proxy = await answering(stage);
  const client = await stage.client(proxy);
  client.send('PRI * HTTP/2.0\r\n\r\nSM\r\nX\r\n');
  assert.match(await client.receivesAll(), /^HTTP\/1\.1 (400|505) /);
});

scenario('half a preface has the time of a head', async (stage) => {
  const proxy = await answering(stage, { headTimeoutMs: 50, lingerMs: 50 });
  const client = await stage.client(proxy);
  client.send('PRI * HT');
  await client.isOverSoon();
  assert.ok(proxy.events.includes('timeout head'), proxy.events.join('\n'));
});

scenario('half a preface and FIN is half a message', async (stage) => {
  const proxy = await answering(stage);
  const client = await stage.client(proxy);
  client.send('PRI * HT').end();
  await eventually(
    () => proxy.events.includes('down-closed truncated'),
    () => proxy.events.join('\n'),
  );
});

scenario('a connection that is HTTP/2 has the times and limits of that profile', async (stage) => {
  const proxy = await answering(stage, { headTimeoutMs: 50, idleTimeoutMs: 120 });
  const client = await stage.frameClient(proxy);
  client.send(request(1, 'GET', '/'));
  await client.head(1);
  await eventually(
    () => proxy.events.includes('timeout idle'),
    () => proxy.events.join('\n'),
  );
  assert.equal(proxy.events.includes('timeout head'), false);
});

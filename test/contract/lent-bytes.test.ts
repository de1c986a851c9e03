/** What an engine shows, and what it holds back, stays true however many other connections are read meanwhile: the buffers it reads into are shared. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { http1 } from '../../codecs/http1/index.js';
import type { Engine } from '../../src/network/engine.js';
import { Edits } from '../../src/protocol/edits.js';
import { engines } from '../support/engines.js';
import { connect, eventually, type Peer, Upstream } from '../support/peers.js';

const CALLERS = 8;
const requestOf = (i: number): string =>
  `POST /caller-${i} HTTP/1.1\r\nHost: h\r\nX-Caller: ${String(i).repeat(40 + i)}\r\nContent-Length: 9\r\n\r\n${i}body-end`;

/** Opens a listener whose heads wait until somebody answers them. */
async function listen(
  engine: Engine,
  onHead: (connection: number) => void,
  onFirstBytes?: (connection: number, text: string) => void,
): Promise<number> {
  const framed = engine.profile({ framing: http1, side: 'downstream' });
  const profile = onFirstBytes === undefined ? framed : engine.profile({ framing: 'inspect', side: 'downstream' });
  const handler = {
    onHead,
    onPeek: (connection: number, bytes: Uint8Array) => {
      onFirstBytes?.(connection, Buffer.from(bytes).toString('latin1'));
      if (bytes.length > 60) engine.adopt(connection, framed);
    },
    onClosed: () => {},
  };
  const { address } = await engine.listen({ address: { ip: '127.0.0.1', port: 0 }, profile }, () => handler);
  assert.ok('port' in address);
  return address.port;
}

for (const [name, create] of engines()) {
  const scenario = (title: string, run: (engine: Engine, upstream: Upstream, peers: Peer[]) => Promise<void>): void => {
    test(`${name}: ${title}`, { timeout: 20_000 }, async () => {
      const engine = create();
      const upstream = await Upstream.open();
      const peers: Peer[] = [];
      try {
        await run(engine, upstream, peers);
      } finally {
        for (const peer of peers) peer.close();
        upstream.close();
        await engine.shutdown();
      }
    });
  };

  scenario('heads and bodies that wait for a decision are those that were sent', async (engine, upstream, peers) => {
    const waiting: number[] = [];
    const port = await listen(engine, (connection) => waiting.push(connection));
    for (let i = 0; i < CALLERS; i++) {
      const peer = await connect(port);
      peers.push(peer);
      peer.send(requestOf(i));
    }
    await eventually(() => waiting.length === CALLERS, 'all heads');
    const profile = engine.profile({ framing: http1, side: 'upstream' });
    const edits = new Edits();
    const ups = waiting.map(() => engine.connect({ address: { ip: '127.0.0.1', port: upstream.port }, profile }, { onClosed: () => {} }));
    const paths = waiting.map((connection, i) => {
      const path = engine.head(connection)?.path ?? '';
      engine.forward(connection, ups[i], edits.reset());
      return path;
    });
    const received: string[] = [];
    for (let i = 0; i < CALLERS; i++) received.push(await (await upstream.accepts()).receivesUntil('body-end'));
    assert.deepEqual(
      paths.toSorted(),
      Array.from({ length: CALLERS }, (_, i) => `/caller-${i}`),
    );
    assert.deepEqual(received.toSorted(), Array.from({ length: CALLERS }, (_, i) => requestOf(i)).toSorted());
  });

  scenario('half a head that others interrupt is read whole', async (engine, _upstream, peers) => {
    const paths: string[] = [];
    const port = await listen(engine, (connection) => paths.push(engine.head(connection)?.known('host') ?? ''));
    for (let i = 0; i < CALLERS; i++) peers.push(await connect(port));
    const halves = peers.map((_, i) => [`GET /${'x'.repeat(i * 7)} HTTP/1.1\r\nHo`, `st: caller-${i}\r\n\r\n`]);
    for (const [i, peer] of peers.entries()) peer.send(halves[i][0]);
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    for (const [i, peer] of peers.entries()) peer.send(halves[i][1]);
    await eventually(() => paths.length === CALLERS, 'all heads');
    assert.deepEqual(
      paths.toSorted(),
      Array.from({ length: CALLERS }, (_, i) => `caller-${i}`),
    );
  });

  scenario('bytes that are looked at are kept while others are read', async (engine, _upstream, peers) => {
    const hosts: string[] = [];
    const looks = new Map<number, string>();
    const port = await listen(
      engine,
      (connection) => hosts.push(engine.head(connection)?.known('host') ?? ''),
      (connection, text) => {
        assert.ok(text.startsWith(looks.get(connection) ?? ''), text);
        looks.set(connection, text);
      },
    );
    for (let i = 0; i < CALLERS; i++) peers.push(await connect(port));
    for (const [i, peer] of peers.entries()) peer.send(`GET /${i} HTTP/1.1\r\n`);
    await eventually(() => looks.size === CALLERS, 'all first lines');
    for (const [i, peer] of peers.entries()) peer.send(`X-Filler: ${'f'.repeat(60)}\r\nHost: caller-${i}\r\n\r\n`);
    await eventually(() => hosts.length === CALLERS, 'all heads');
    assert.deepEqual(
      hosts.toSorted(),
      Array.from({ length: CALLERS }, (_, i) => `caller-${i}`),
    );
  });
}

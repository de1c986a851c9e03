/** Every scenario of the Engine port (src/network/engine.ts), on each engine. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect as netConnect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Worker } from 'node:worker_threads';
import { http1 } from '../../codecs/http1/index.js';
import { ConfigError, ListenError } from '../../src/base/errors.js';
import { type ConnectionHandler, type Engine, FORWARD } from '../../src/network/engine.js';
import { Edits } from '../../src/protocol/edits.js';
import type { EngineWorkerData } from '../support/engine-worker.js';
import { engines } from '../support/engines.js';
import { type MiniProxy, type MiniProxyOptions, openMiniProxy } from '../support/mini-proxy.js';
import { connect, eventually, type Peer, Upstream } from '../support/peers.js';

const GET = 'GET /a HTTP/1.1\r\nHost: h\r\n\r\n';
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

/** What a scenario gets: an engine of its own, an upstream of its own, and what to close afterwards. */
class Stage {
  readonly engine: Engine;
  readonly upstream: Upstream;
  readonly #peers: Peer[] = [];
  readonly folder = mkdtempSync(join(tmpdir(), 'sluice-'));

  constructor(engine: Engine, upstream: Upstream) {
    this.engine = engine;
    this.upstream = upstream;
  }
  proxy(options: MiniProxyOptions = {}): Promise<MiniProxy> {
    return openMiniProxy(this.engine, { upstream: { ip: '127.0.0.1', port: this.upstream.port }, ...options });
  }
  async client(target: number | string | MiniProxy): Promise<Peer> {
    const peer = await connect(typeof target === 'object' ? target.port : target);
    this.#peers.push(peer);
    return peer;
  }
  /** A raw listener; gives its port and each connection's events. */
  async raw(handler: Partial<ConnectionHandler>, accepted: (connection: number) => void = () => {}, bufferLimitBytes?: number): Promise<number> {
    const profile = this.engine.profile({ framing: 'raw', side: 'downstream', bufferLimitBytes });
    const { address } = await this.engine.listen({ address: { ip: '127.0.0.1', port: 0 }, profile }, (connection) => {
      accepted(connection);
      return { onClosed: () => {}, ...handler };
    });
    assert.ok('port' in address);
    return address.port;
  }
  async close(): Promise<void> {
    for (const peer of this.#peers) peer.close();
    this.upstream.close();
    await this.engine.shutdown();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

for (const [name, create] of engines()) {
  const scenario = (title: string, run: (stage: Stage) => Promise<void>): void => {
    test(`${name}: ${title}`, { timeout: 20_000 }, async () => {
      const stage = new Stage(create(), await Upstream.open());
      try {
        await run(stage);
      } finally {
        await stage.close();
      }
    });
  };

  // ---- exchanges --------------------------------------------------------------------------------------------------------------------------

  scenario('forwards a request and its response and keeps both connections', async (stage) => {
    const proxy = await stage.proxy();
    const client = await stage.client(proxy);
    client.send('POST /a HTTP/1.1\r\nHost: h\r\nX-Mixed: v\r\nContent-Length: 5\r\n\r\nhello');
    const up = await stage.upstream.accepts();
    await up.receives('POST /a HTTP/1.1\r\nHost: h\r\nX-Mixed: v\r\nContent-Length: 5\r\n\r\nhello');
    up.send('HTTP/1.1 201 Made\r\nContent-Length: 2\r\nETag: x\r\n\r\nok');
    await client.receives('HTTP/1.1 201 Made\r\nContent-Length: 2\r\nETag: x\r\n\r\nok');
    client.send(GET);
    await up.receives(GET);
    up.send(OK);
    await client.receives(OK);
    assert.equal(stage.upstream.connections.length, 1);
    assert.equal(stage.engine.connections, 2);
    assert.deepEqual(
      proxy.events.filter((event) => event !== 'connected'),
      [
        'accept',
        'request POST /a',
        'forward-request DONE',
        'response 201',
        'forward-response DONE+REUSABLE',
        'request GET /a',
        'forward-request DONE',
        'response 200',
        'forward-response DONE+REUSABLE',
      ],
    );
  });

  scenario('delivers the same messages when every byte comes alone', async (stage) => {
    const proxy = await stage.proxy();
    const client = await stage.client(proxy);
    const request = 'POST /bytes HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nT: 1\r\n\r\n';
    await client.sendPieces([...request]);
    const up = await stage.upstream.accepts();
    const head = await up.receivesHead();
    assert.match(head, /^POST \/bytes HTTP\/1\.1\r\nHost: h\r\n/);
    assert.equal(dechunk(await up.receivesUntil('T: 1\r\n\r\n')), 'abc|T: 1\r\n');
    await up.sendPieces([...OK]);
    await client.receives(OK);
  });

  scenario('answers pipelined requests in order, and shows a head only when the exchange before is over', async (stage) => {
    const proxy = await stage.proxy();
    const client = await stage.client(proxy);
    client.send('GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\nGET /3 HTTP/1.1\r\nHost: h\r\n\r\n');
    const up = await stage.upstream.accepts();
    for (const number of [1, 2, 3]) {
      await up.receives(`GET /${number} HTTP/1.1\r\nHost: h\r\n\r\n`);
      assert.equal(up.unreadBytes, 0);
      assert.equal(proxy.events.filter((event) => event.startsWith('request ')).length, number);
      up.send(`HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n${number}`);
      await client.receives(`HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n${number}`);
    }
  });

  scenario('forwards any number of 1xx heads before the final one', async (stage) => {
    const proxy = await stage.proxy();
    const client = await stage.client(proxy);
    client.send(GET);
    const up = await stage.upstream.accepts();
    await up.receives(GET);
    up.send(`HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n${OK}`);
    await client.receives(`HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n${OK}`);
    assert.deepEqual(
      proxy.events.filter((event) => event.startsWith('response')),
      ['response 100', 'response 103', 'response 200'],
    );
  });

  for (const [title, request, response] of [
    [
      'a response to HEAD keeps its content-length and has no body',
      'HEAD / HTTP/1.1\r\nHost: h\r\n\r\n',
      'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n',
    ],
    ['a 204 ends at its head', GET, 'HTTP/1.1 204 No Content\r\n\r\n'],
    ['a 304 ends at its head whatever its length says', GET, 'HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\n\r\n'],
    ['a response with length 0 ends at its head', GET, 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'],
  ] as const) {
    scenario(title, async (stage) => {
      const proxy = await stage.proxy();
      const client = await stage.client(proxy);
      for (let round = 0; round < 2; round++) {
        client.send(request);
        const up = round === 0 ? await stage.upstream.accepts() : stage.upstream.connections[0];
        await up.receives(request);
        up.send(response);
        await client.receives(response);
      }
      assert.equal(stage.upstream.connections.length, 1);
    });
  }

  scenario('turns a body that ends with the connection into chunks, and does not reuse the upstream', async (stage) => {
    const proxy = await stage.proxy();
    const client = await stage.client(proxy);
    client.send(GET);
    const up = await stage.upstream.accepts();
    await up.receives(GET);
    up.send('HTTP/1.1 200 OK\r\n\r\nabc');
    await client.receives('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n');
    up.end();
    await client.receives('0\r\n\r\n');
    client.send(GET);
    await (await stage.upstream.accepts()).receives(GET);
    assert.ok(proxy.events.includes('response-end 3 DONE'));
  });

  scenario('gives an HTTP/1.0 client no chunks: the connection ends the body', async (stage) => {
    const proxy = await stage.proxy();
    const client = await stage.client(proxy);
    client.send('GET / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n');
    const up = await stage.upstream.accepts();
    await up.receives('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
    up.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n');
    assert.equal(await client.receivesAll(), 'HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nabc');
  });

  scenario('keeps the connection of an HTTP/1.0 client only if it asked', async (stage) => {
    const proxy = await stage.proxy();
    const kept = await stage.client(proxy);
    for (let round = 0; round < 2; round++) {
      kept.send('GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n');
      const up = round === 0 ? await stage.upstream.accepts() : stage.upstream.connections[0];
      await up.receives('GET / HTTP/1.1\r\n\r\n');
      up.send(OK);
      await kept.receives('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nconnection: keep-alive\r\n\r\nok');
    }
    const closed = await stage.client(proxy);
    closed.send('GET / HTTP/1.0\r\n\r\n');
    const up = await stage.upstream.accepts();
    await up.receives('GET / HTTP/1.1\r\n\r\n');
    up.send(`HTTP/1.1 103 Early Hints\r\n\r\n${OK}`);
    assert.equal(await closed.receivesAll(), 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nconnection: close\r\n\r\nok', 'no 1xx towards HTTP/1.0');
  });

  scenario('closes after the response when the client asked for it, and when the proxy says CLOSE', async (stage) => {
    const proxy = await stage.proxy();
    const client = await stage.client(proxy);
    client.send('GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n');
    const up = await stage.upstream.accepts();
    await up.receives('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
    up.send(OK);
    assert.equal(await client.receivesAll(), 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nconnection: close\r\n\r\nok');
    await eventually(() => proxy.events.includes('down-closed local'), 'the end is told');
  });

  scenario('keeps the response path of a client that has sent FIN after its request', async (stage) => {
    const proxy = await stage.proxy();
    const client = await stage.client(proxy);
    client.send(GET).end();
    const up = await stage.upstream.accepts();
    await up.receives(GET);
    up.send(OK);
    await client.receives(OK);
    await client.receivesFin();
    await eventually(() => proxy.downstreams.size === 0, 'the connection ends');
  });

  // ---- changes of heads -------------------------------------------------------------------------------------------------------------------

  scenario('applies edits: target, dropped, replaced and added lines, in place', async (stage) => {
    const proxy = await stage.proxy({
      change: (head, edits) => {
        if (head.isResponse) edits.append('x-via', 'sluice');
        else edits.target('/changed').drop(head.indexOf('x-drop')).replace(head.indexOf('x-old'), 'new').append('x-added', '1');
      },
    });
    const client = await stage.client(proxy);
    client.send('GET /a HTTP/1.1\r\nHost: h\r\nX-Drop: 1\r\nX-Old: old\r\nX-Last: l\r\n\r\n');
    const up = await stage.upstream.accepts();
    await up.receives('GET /changed HTTP/1.1\r\nHost: h\r\nX-Old: new\r\nX-Last: l\r\nx-added: 1\r\n\r\n');
    up.send(OK);
    await client.receives('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nx-via: sluice\r\n\r\nok');
  });

  scenario('removes hop-by-hop lines both ways', async (stage) => {
    const proxy = await stage.proxy();
    const client = await stage.client(proxy);
    client.send('GET / HTTP/1.1\r\nHost: h\r\nConnection: x-a, keep-alive\r\nX-A: 1\r\nKeep-Alive: 5\r\nTE: trailers\r\nX-B: 2\r\n\r\n');
    const up = await stage.upstream.accepts();
    await up.receives('GET / HTTP/1.1\r\nHost: h\r\nX-B: 2\r\n\r\n');
    up.send('HTTP/1.1 200 OK\r\nConnection: keep-alive, x-c\r\nX-C: 1\r\nContent-Length: 0\r\n\r\n');
    await client.receives('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
  });

  // ---- local replies ----------------------------------------------------------------------------------------------------------------------

  scenario('replies by itself and goes on to the next request', async (stage) => {
    const proxy = await stage.proxy({
      onRequest: (own, connection) => own.engine.reply(connection, own.edits.reset().status(404).append('x-why', 'none'), Buffer.from('gone')),
    });
    const client = await stage.client(proxy);
    client.send('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc').send(GET).send('HEAD / HTTP/1.1\r\nHost: h\r\n\r\n');
    for (const body of ['gone', 'gone', '']) await client.receives(`HTTP/1.1 404 Not Found\r\nx-why: none\r\ncontent-length: 4\r\n\r\n${body}`);
    assert.equal(stage.upstream.connections.length, 0);
  });

  scenario('a second reply, and one on a stale handle, does nothing', async (stage) => {
    const results: boolean[] = [];
    let handle = 0;
    const proxy = await stage.proxy({
      onRequest: (own, connection) => {
        handle = connection;
        results.push(own.engine.reply(connection, own.edits.reset().status(204)), own.engine.reply(connection, own.edits.reset().status(500)));
        return true;
      },
    });
    const client = await stage.client(proxy);
    client.send('GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n');
    assert.equal(await client.receivesAll(), 'HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n');
    client.end();
    await eventually(() => proxy.downstreams.size === 0, 'the connection ends');
    const { engine } = stage;
    results.push(engine.reply(handle, proxy.edits.reset().status(500)));
    assert.deepEqual(results, [true, false, false]);
    assert.equal(engine.forward(handle, handle, proxy.edits.reset()), FORWARD.STALE);
    assert.equal(engine.head(handle), undefined);
    assert.equal(engine.info(handle), undefined);
    assert.equal(engine.traffic(handle), undefined);
    assert.equal(engine.canReplay(handle), false);
    assert.equal(engine.write(handle, Buffer.from('x')), false);
    engine.close(handle, 'now');
    engine.pause(handle);
    engine.resume(handle);
    engine.drain(handle);
    engine.releaseBody(handle);
    engine.relay(handle, handle);
  });

  scenario('replies before a large request body is there, lingers, and closes', async (stage) => {
    const proxy = await stage.proxy({
      downstreamProfile: { lingerMs: 300 },
      onRequest: (own, connection) => own.engine.reply(connection, own.edits.reset().status(413)),
    });
    const client = await stage.client(proxy);
    client.send('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9000000\r\n\r\n').send(Buffer.alloc(100_000));
    await client.receives('HTTP/1.1 413 Payload Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n');
    client.send(Buffer.alloc(100_000));
    await client.receivesFin();
    await eventually(() => proxy.events.includes('down-closed linger'), 'the linger ends');
  });

  scenario('gives up a request body that is thrown away and does not come', async (stage) => {
    const proxy = await stage.proxy({
      downstreamProfile: { lingerMs: 60 },
      onRequest: (own, connection) => own.engine.reply(connection, own.edits.reset().status(200)),
    });
    const client = await stage.client(proxy);
    client.send('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc');
    await client.receives('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
    await client.receivesFin();
    client.end();
    await eventually(() => stage.engine.connections === 0, 'the connection is gone');
    // One whose body does come lives on, longer than that time.
    const other = await stage.client(proxy);
    for (let request = 0; request < 2; request++) {
      other.send('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\nabc');
      await other.receives('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
      other.send('def');
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    assert.ok(!other.isOver);
  });

  scenario('closes without a reset where bytes of the client are still unread', async (stage) => {
    const proxy = await stage.proxy();
    const client = await stage.client(proxy);
    client.send('GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n');
    const up = await stage.upstream.accepts();
    await up.receivesHead();
    client.send(GET);
    await quiet();
    up.send(OK);
    await client.receives('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nconnection: close\r\n\r\nok');
    await client.receivesFin();
  });

  scenario('ends a linger when more comes than it allows', async (stage) => {
    const proxy = await stage.proxy({
      downstreamProfile: { lingerMs: 10_000, lingerBytes: 1000 },
      onRequest: (own, connection) => own.engine.reply(connection, own.edits.reset().status(413)),
    });
    const client = await stage.client(proxy);
    client.send('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9000000\r\n\r\n');
    await client.receivesHead();
    client.send(Buffer.alloc(50_000));
    await eventually(() => proxy.events.includes('down-closed linger'), 'the linger ends');
  });

  // ---- Expect, hold, tunnels --------------------------------------------------------------------------------------------------------------

  scenario('holds a body until the 100 was forwarded', async (stage) => {
    const proxy = await stage.proxy({ holdBody: true });
    const client = await stage.client(proxy);
    client.send('POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody');
    const up = await stage.upstream.accepts();
    await up.receives('POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n');
    await quiet();
    assert.equal(up.unread, '');
    up.send('HTTP/1.1 100 Continue\r\n\r\n');
    await client.receives('HTTP/1.1 100 Continue\r\n\r\n');
    await up.receives('body');
    up.send(OK);
    await client.receives(OK);
    assert.ok(proxy.events.includes('request-end 4'));
  });

  scenario('lets a held body go on releaseBody', async (stage) => {
    let down = 0;
    const proxy = await stage.proxy({
      holdBody: true,
      onRequest: (_own, connection) => {
        down = connection;
        return false;
      },
    });
    const client = await stage.client(proxy);
    client.send('POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody');
    const up = await stage.upstream.accepts();
    await up.receivesHead();
    stage.engine.releaseBody(down);
    await up.receives('body');
    assert.ok(proxy.events.includes('forward-request OPEN'));
  });

  scenario('a final answer instead of the 100 closes both sides', async (stage) => {
    const proxy = await stage.proxy({ holdBody: true, downstreamProfile: { lingerMs: 100 } });
    const client = await stage.client(proxy);
    client.send('POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n');
    const up = await stage.upstream.accepts();
    await up.receivesHead();
    up.send('HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n');
    await client.receives('HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\nconnection: close\r\n\r\n');
    await client.receivesFin();
    await up.isOverSoon();
    assert.ok(proxy.events.includes('forward-response DONE'));
  });

  scenario('sends no client byte up before the 101, and opaque bytes after it', async (stage) => {
    const proxy = await stage.proxy();
    const client = await stage.client(proxy);
    client.send('GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly');
    const up = await stage.upstream.accepts();
    await up.receives('GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nconnection: upgrade\r\n\r\n');
    await quiet();
    assert.equal(up.unread, '');
    up.send('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nhi');
    await client.receives('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nconnection: upgrade\r\n\r\nhi');
    await up.receives('early');
    client.send('\x00\xffGET');
    await up.receives('\x00\xffGET');
    client.end();
    await up.receivesFin();
    up.send('still').end();
    await client.receives('still');
    await client.receivesFin();
    await eventually(() => stage.engine.connections === 0, 'both ends are gone');
    assert.ok(proxy.events.includes('down-closed remote') && proxy.events.includes('up-closed remote'));
  });

  scenario('goes on with HTTP when an upgrade is refused', async (stage) => {
    const proxy = await stage.proxy();
    const client = await stage.client(proxy);
    client.send('GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    const up = await stage.upstream.accepts();
    await up.receivesHead();
    up.send(OK);
    await client.receives(OK);
    client.send(GET);
    await up.receives(GET);
  });

  scenario('a 101 that the proxy does not allow is not forwarded', async (stage) => {
    const { engine } = stage;
    const results: number[] = [];
    const downProfile = engine.profile({ framing: http1, side: 'downstream' });
    const upProfile = engine.profile({ framing: http1, side: 'upstream' });
    const edits = new Edits();
    const listener = await engine.listen({ address: { ip: '127.0.0.1', port: 0 }, profile: downProfile }, () => ({
      onHead: (down) => {
        const up = engine.connect(
          { address: { ip: '127.0.0.1', port: stage.upstream.port }, profile: upProfile },
          {
            onHead: (connection) => {
              results.push(engine.forward(connection, down, edits.reset()));
              engine.close(connection, 'now');
              engine.reply(down, edits.reset().status(502));
            },
            onClosed: () => {},
          },
        );
        engine.forward(down, up, edits.reset());
      },
      onClosed: () => {},
    }));
    assert.ok('port' in listener.address);
    const client = await stage.client(listener.address.port);
    client.send(GET);
    const up = await stage.upstream.accepts();
    await up.receivesHead();
    up.send('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n');
    await client.receives('HTTP/1.1 502 Bad Gateway\r\n');
    assert.deepEqual(results, [FORWARD.STALE]);
  });

  scenario('CONNECT: holds early bytes until the 2xx, then tunnels', async (stage) => {
    const proxy = await stage.proxy();
    const client = await stage.client(proxy);
    client.send('CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\nearly');
    const up = await stage.upstream.accepts();
    await up.receives('CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n');
    await quiet();
    assert.equal(up.unread, '');
    up.send('HTTP/1.1 200 OK\r\n\r\nhello');
    await client.receives('HTTP/1.1 200 OK\r\n\r\nhello');
    await up.receives('early');
    up.reset();
    await eventually(() => proxy.upstreams.size === 0, 'the reset is told');
    assert.ok(proxy.events.some((event) => event.startsWith('up-closed reset')));
  });

  scenario('CONNECT refused: the connection stays HTTP', async (stage) => {
    const proxy = await stage.proxy();
    const client = await stage.client(proxy);
    client.send('CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n');
    const up = await stage.upstream.accepts();
    await up.receivesHead();
    up.send('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno');
    await client.receives('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno');
    client.send(GET);
    await up.receives(GET);
  });

  // ---- retries ----------------------------------------------------------------------------------------------------------------------------

  scenario('sends a kept request again, body included, when the upstream dies before it answers', async (stage) => {
    const proxy = await stage.proxy({ retries: 2 });
    const client = await stage.client(proxy);
    client.send('PUT /r HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\nabc');
    const first = await stage.upstream.accepts();
    await first.receives('PUT /r HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\nabc');
    first.reset();
    const second = await stage.upstream.accepts();
    await second.receives('PUT /r HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\nabc');
    client.send('def');
    await second.receives('def');
    second.close();
    const third = await stage.upstream.accepts();
    await third.receives('PUT /r HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\nabcdef');
    third.send(OK);
    await client.receives(OK);
  });

  scenario('sends a kept chunked request again, trailers included', async (stage) => {
    const proxy = await stage.proxy({ retries: 1 });
    const client = await stage.client(proxy);
    client.send('PUT /r HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n');
    const first = await stage.upstream.accepts();
    const sent = await first.receivesUntil('X-T: 1\r\n\r\n');
    first.close();
    const second = await stage.upstream.accepts();
    const again = await second.receivesUntil('X-T: 1\r\n\r\n');
    assert.equal(dechunk(again.slice(again.indexOf('\r\n\r\n') + 4)), 'abc|X-T: 1\r\n');
    assert.equal(again, sent);
    second.send(OK);
    await client.receives(OK);
  });

  scenario('cannot replay what grew past maxRetainBytes, nor after the response began', async (stage) => {
    let down = 0;
    const proxy = await stage.proxy({
      retries: 3,
      downstreamProfile: { maxRetainBytes: 4 },
      onRequest: (_own, connection) => {
        down = connection;
        return false;
      },
    });
    const client = await stage.client(proxy);
    client.send('PUT /r HTTP/1.1\r\nHost: h\r\nContent-Length: 8\r\n\r\n');
    const up = await stage.upstream.accepts();
    await up.receivesHead();
    assert.equal(stage.engine.canReplay(down), true);
    assert.equal(stage.engine.head(down)?.method, 'PUT');
    client.send('12345678');
    await up.receives('12345678');
    assert.equal(stage.engine.canReplay(down), false);
    up.close();
    await client.receives('HTTP/1.1 502 Bad Gateway\r\n');
  });

  // ---- broken and early -------------------------------------------------------------------------------------------------------------------

  scenario('an early final response says close; the rest of the request is drained in the linger', async (stage) => {
    const proxy = await stage.proxy({ downstreamProfile: { lingerMs: 200 } });
    const client = await stage.client(proxy);
    client.send('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\nstart');
    const up = await stage.upstream.accepts();
    await up.receivesUntil('start');
    up.send('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno');
    await client.receives('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nconnection: close\r\n\r\nno');
    client.send(Buffer.alloc(50_000));
    await client.receivesFin();
    await eventually(() => proxy.events.includes('down-closed linger'), 'the linger ends');
    assert.ok(proxy.events.includes('forward-response DONE'), 'not reusable');
    await up.isOverSoon();
  });

  scenario('a client that goes away in its request is truncated, or reset', async (stage) => {
    const proxy = await stage.proxy();
    const cut = await stage.client(proxy);
    cut.send('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc');
    const first = await stage.upstream.accepts();
    await first.receivesUntil('abc');
    cut.end();
    await eventually(() => proxy.events.includes('down-closed truncated'), 'the truncation is told');
    await first.isOverSoon();
    const half = await stage.client(proxy);
    half.send('GET / HT').end();
    await eventually(() => proxy.events.filter((event) => event === 'down-closed truncated').length === 2, 'half a head is truncated');
    const reset = await stage.client(proxy);
    reset.send('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc');
    const second = await stage.upstream.accepts();
    await second.receivesUntil('abc');
    reset.reset();
    await eventually(() => proxy.events.includes('down-closed reset ECONNRESET'), 'the reset is told');
    await second.isOverSoon();
    assert.equal(stage.engine.connections, 0);
  });

  scenario('a client that resets while its answer is awaited is told at once', async (stage) => {
    const proxy = await stage.proxy();
    const client = await stage.client(proxy);
    client.send(GET);
    const up = await stage.upstream.accepts();
    await up.receives(GET);
    client.reset();
    await eventually(() => proxy.events.includes('down-closed reset ECONNRESET'), 'the reset is told');
    await up.isOverSoon();
  });

  scenario('never ends a truncated chunked response as if it were whole', async (stage) => {
    for (const cutOff of ['now', 'reset'] as const) {
      const proxy = await stage.proxy({ cutOff });
      const client = await stage.client(proxy);
      client.send(GET);
      const up = await stage.upstream.accepts();
      await up.receives(GET);
      up.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n');
      await client.receivesUntil('hello\r\n');
      up.end();
      const rest = await client.receivesAll();
      assert.equal(rest, '');
      assert.ok(proxy.events.includes('up-closed truncated'));
    }
  });

  scenario('an upstream that closes without an answer is remote, in the middle of a head truncated', async (stage) => {
    const proxy = await stage.proxy();
    for (const [sent, reason] of [
      ['', 'up-closed remote'],
      ['HTTP/1.1 20', 'up-closed truncated'],
    ] as const) {
      const client = await stage.client(proxy);
      client.send(GET);
      const up = await stage.upstream.accepts();
      await up.receives(GET);
      up.send(sent).end();
      await client.receives('HTTP/1.1 502 Bad Gateway\r\n');
      assert.ok(proxy.events.includes(reason), reason);
    }
  });

  scenario('bytes from an upstream that was asked nothing close it as unexpected', async (stage) => {
    const proxy = await stage.proxy();
    const client = await stage.client(proxy);
    client.send(GET);
    const up = await stage.upstream.accepts();
    await up.receives(GET);
    up.send(OK);
    await client.receives(OK);
    up.send('HTTP/1.1 200 Poison\r\nContent-Length: 0\r\n\r\n');
    await eventually(() => proxy.events.includes('up-closed unexpected'), 'the poison is told');
    client.send(GET);
    assert.equal(client.unread, '');
  });

  scenario('bytes behind a final response make the upstream unusable and never reach the client', async (stage) => {
    const proxy = await stage.proxy();
    const client = await stage.client(proxy);
    client.send(GET);
    const up = await stage.upstream.accepts();
    await up.receives(GET);
    up.send(`${OK}HTTP/1.1 200 Poison\r\nContent-Length: 0\r\n\r\n`);
    await client.receives(OK);
    client.send(GET);
    const next = await stage.upstream.accepts();
    await next.receives(GET);
    next.send(OK);
    await client.receives(OK);
    assert.ok(!proxy.events.some((event) => event.includes('Poison')));
  });

  scenario('an upstream whose FIN comes with its response is not used again', async (stage) => {
    const proxy = await stage.proxy();
    const client = await stage.client(proxy);
    for (let request = 0; request < 3; request++) {
      client.send(GET);
      const up = await stage.upstream.accepts();
      await up.receives(GET);
      up.send(OK).end();
      await client.receives(OK);
      await eventually(() => proxy.upstreams.size === 0, 'its end is told');
    }
    assert.ok(!client.isOver);
    assert.ok(!proxy.events.includes('forward-request STALE'));
  });

  scenario('an idle upstream that closes is told as remote', async (stage) => {
    const proxy = await stage.proxy();
    const client = await stage.client(proxy);
    client.send(GET);
    const up = await stage.upstream.accepts();
    await up.receives(GET);
    up.send(OK);
    await client.receives(OK);
    up.end();
    await eventually(() => proxy.events.includes('up-closed remote'), 'the FIN is told');
  });

  scenario('answers broken bytes in a head, and ends both sides where they are in a body', async (stage) => {
    const proxy = await stage.proxy({ downstreamProfile: { lingerMs: 100 } });
    const head = await stage.client(proxy);
    head.send('GET / HTTP/1.1\r\nHost: h\r\nBad Name: x\r\n\r\n');
    const answer = await head.receivesAll();
    assert.match(answer, /^HTTP\/1\.1 400 Bad Request\r\n/);
    assert.match(answer, /connection: close\r\n/);
    assert.ok(proxy.events.some((event) => event.startsWith('down-fault ') && event.endsWith(' 400 head')));
    const body = await stage.client(proxy);
    body.send('POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n');
    const up = await stage.upstream.accepts();
    await up.receivesUntil('abc\r\n');
    body.send('zz\r\n');
    assert.match(await body.receivesAll(), /^HTTP\/1\.1 400 /);
    await up.isOverSoon();
    assert.ok(!up.unread.includes('\r\n0\r\n'));
    assert.ok(proxy.events.includes('down-fault BAD_CHUNK_SIZE 64 400 body'), proxy.events.join('\n'));
  });

  scenario('a broken response is a fault of the upstream', async (stage) => {
    const proxy = await stage.proxy();
    const client = await stage.client(proxy);
    client.send(GET);
    const up = await stage.upstream.accepts();
    await up.receives(GET);
    up.send('HTTP/1.1 abc\r\n\r\n');
    await client.receives('HTTP/1.1 502 Bad Gateway\r\n');
    assert.ok(
      proxy.events.some((event) => event.startsWith('up-fault BAD_STATUS_LINE ') && event.endsWith(' 502 head')),
      proxy.events.join('\n'),
    );
  });

  // ---- limits and times -------------------------------------------------------------------------------------------------------------------

  for (const [title, profile, request, status] of [
    ['more head bytes than maxHeadBytes', { maxHeadBytes: 100 }, `GET / HTTP/1.1\r\nHost: h\r\nX: ${'x'.repeat(100)}\r\n\r\n`, 431],
    ['more lines than maxHeaders', { maxHeaders: 2 }, 'GET / HTTP/1.1\r\nHost: h\r\nA: 1\r\nB: 2\r\n\r\n', 431],
    ['a target longer than maxTargetBytes', { maxTargetBytes: 10 }, `GET /${'x'.repeat(10)} HTTP/1.1\r\nHost: h\r\n\r\n`, 414],
    ['HTTP/1.0 where it is not accepted', { acceptHttp10: false }, 'GET / HTTP/1.0\r\n\r\n', 505],
    ['an underscore where it is rejected', { underscores: 'reject' }, 'GET / HTTP/1.1\r\nHost: h\r\na_b: 1\r\n\r\n', 400],
  ] as const) {
    scenario(`refuses ${title} with ${status}`, async (stage) => {
      const proxy = await stage.proxy({ downstreamProfile: { lingerMs: 50, ...profile } });
      const client = await stage.client(proxy);
      client.send(request);
      assert.match(await client.receivesAll(), new RegExp(`^HTTP/1\\.1 ${status} `));
      assert.equal(stage.upstream.connections.length, 0);
    });
  }

  scenario('drops lines with an underscore where it is told to', async (stage) => {
    const proxy = await stage.proxy({ downstreamProfile: { underscores: 'drop' } });
    const client = await stage.client(proxy);
    client.send('GET / HTTP/1.1\r\nHost: h\r\nContent_Length: 5\r\nA: 1\r\n\r\n');
    await (await stage.upstream.accepts()).receives('GET / HTTP/1.1\r\nHost: h\r\nA: 1\r\n\r\n');
  });

  scenario('reports idle connections, not busy ones', async (stage) => {
    const proxy = await stage.proxy({ downstreamProfile: { idleTimeoutMs: 120 } });
    const client = await stage.client(proxy);
    client.send(GET);
    const up = await stage.upstream.accepts();
    await up.receives(GET);
    await new Promise((resolve) => setTimeout(resolve, 250));
    assert.ok(!proxy.events.includes('timeout idle'), 'an exchange is open');
    up.send(OK);
    await client.receives(OK);
    const start = performance.now();
    await client.receivesFin();
    assert.ok(performance.now() - start > 60, 'the idle time starts with the end of the exchange');
    assert.ok(proxy.events.includes('timeout idle'));
  });

  scenario('a head that stops half-way is idle, where it has no time of its own', async (stage) => {
    const proxy = await stage.proxy({ downstreamProfile: { idleTimeoutMs: 80 } });
    const client = await stage.client(proxy);
    client.send('GET / HTTP/1.1\r\nHo');
    await client.receivesFin();
    assert.ok(proxy.events.includes('timeout idle'));
  });

  scenario('a head that does not get ready in time is reported and may be answered', async (stage) => {
    const proxy = await stage.proxy({ downstreamProfile: { headTimeoutMs: 80, lingerMs: 50 } });
    const slow = await stage.client(proxy);
    slow.send('GET / HTTP/1.1\r\nHo');
    assert.match(await slow.receivesAll(), /^HTTP\/1\.1 408 /);
    const silent = await stage.client(proxy);
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.equal(silent.isOver, false, 'who has said nothing has no head to be late with');
    assert.equal(proxy.events.filter((event) => event === 'timeout head').length, 1);
  });

  scenario('a time-out is not late because a callback took long and then asked for the time', async (stage) => {
    const { engine } = stage;
    const timeouts: number[] = [];
    const handles: number[] = [];
    const port = await stage.raw(
      {
        onTimeout: (connection) => {
          timeouts.push(handles.indexOf(connection));
          if (timeouts.length > 1) return;
          // By the end of this the second one's time is over as well.
          queueMicrotask(() => {
            const start = performance.now();
            while (performance.now() < start + 150);
            assert.ok(engine.now > 0);
          });
        },
      },
      (connection) => {
        handles.push(connection);
        engine.setIdleTimeout(connection, handles.length === 1 ? 100 : 180);
      },
    );
    await stage.client(port);
    await stage.client(port);
    const start = performance.now();
    await eventually(() => timeouts.length === 2, 'both are told');
    assert.deepEqual(timeouts, [0, 1]);
    assert.ok(performance.now() - start < 1500);
  });

  scenario('setIdleTimeout changes the time of one connection', async (stage) => {
    const timeouts: string[] = [];
    const port = await stage.raw({ onTimeout: (_connection, which) => void timeouts.push(which) }, (connection) =>
      stage.engine.setIdleTimeout(connection, 50),
    );
    await stage.client(port);
    await eventually(() => timeouts.length > 0, 'the time-out comes');
    assert.deepEqual(timeouts.slice(0, 1), ['idle']);
  });

  scenario('connect failures arrive as onClosed, never from inside connect', async (stage) => {
    const { engine } = stage;
    const dead = await Upstream.open();
    const { port } = dead;
    dead.close();
    const profile = engine.profile({ framing: http1, side: 'upstream' });
    const ends: string[] = [];
    const handle = engine.connect(
      { address: { ip: '127.0.0.1', port }, profile },
      { onClosed: (_connection, reason, errno) => void ends.push(`${reason} ${errno}`) },
    );
    assert.equal(ends.length, 0);
    assert.ok(handle > 0);
    await eventually(() => ends.length === 1, 'the failure is told');
    engine.connect(
      { address: { path: join(stage.folder, 'nobody') }, profile },
      { onClosed: (_connection, reason, errno) => void ends.push(`${reason} ${errno}`) },
    );
    await eventually(() => ends.length === 2, 'the failure is told');
    assert.deepEqual(ends, ['connect-failed ECONNREFUSED', 'connect-failed ENOENT']);
    assert.equal(engine.connections, 0);
  });

  scenario('a connect that takes too long ends as connect-timeout', async (stage) => {
    // A listener whose accept queue is full lets the kernel drop further SYNs.
    const blocker = await fullListener();
    try {
      const profile = stage.engine.profile({ framing: 'raw', side: 'upstream' });
      const ends: string[] = [];
      stage.engine.connect(
        { address: { ip: '127.0.0.1', port: blocker.port }, profile, connectTimeoutMs: 150 },
        { onClosed: (_connection, reason) => void ends.push(reason) },
      );
      const start = performance.now();
      await eventually(() => ends.length === 1, 'the time-out is told');
      assert.deepEqual(ends, ['connect-timeout']);
      assert.ok(performance.now() - start > 100);
    } finally {
      await blocker.close();
    }
  });

  // ---- raw, inspect -----------------------------------------------------------------------------------------------------------------------

  scenario('relays raw bytes both ways with half-close', async (stage) => {
    const { engine } = stage;
    const profile = engine.profile({ framing: 'raw', side: 'upstream' });
    const ends: string[] = [];
    const onClosed: ConnectionHandler['onClosed'] = (_connection, reason) => void ends.push(reason);
    const port = await stage.raw({ onClosed }, (down) => {
      const up = engine.connect(
        { address: { ip: '127.0.0.1', port: stage.upstream.port }, profile },
        { onConnected: () => engine.relay(down, up), onClosed },
      );
    });
    const client = await stage.client(port);
    client.send('ping');
    const up = await stage.upstream.accepts();
    await up.receives('ping');
    client.end();
    await up.receivesFin();
    up.send('pong');
    await client.receives('pong');
    up.end();
    await client.receivesFin();
    await eventually(() => ends.length === 2, 'both ends are told');
    assert.deepEqual(ends, ['remote', 'remote']);
  });

  scenario('write gives bytes to a raw connection and says when it is above the watermark', async (stage) => {
    const results: boolean[] = [];
    const ends: string[] = [];
    const port = await stage.raw(
      { onClosed: (_connection, reason) => void ends.push(reason) },
      (connection) => {
        results.push(stage.engine.write(connection, Buffer.from('hello')));
        results.push(stage.engine.write(connection, Buffer.alloc(60_000)));
        results.push(stage.engine.write(connection, Buffer.alloc(10_000)));
        results.push(stage.engine.write(connection, Buffer.alloc(100_000)));
      },
      64_000,
    );
    await stage.client(port);
    await eventually(() => ends.length === 1, 'the connection is given up');
    assert.deepEqual(results, [true, true, false, false]);
    assert.deepEqual(ends, ['reset']);
  });

  scenario('shows an inspected connection what has come, and adopts it as HTTP or raw', async (stage) => {
    const { engine } = stage;
    const inspect = engine.profile({ framing: 'inspect', side: 'downstream' });
    const adopted = engine.profile({ framing: http1, side: 'downstream' });
    const seen: string[] = [];
    const listener = await engine.listen({ address: { ip: '127.0.0.1', port: 0 }, profile: inspect }, (connection) => ({
      onPeek: (_connection, bytes, ended) => {
        seen.push(`${Buffer.from(bytes).toString('latin1')}${ended ? '|FIN' : ''}`);
        if (bytes.length > 5) engine.adopt(connection, adopted, 4);
        else if (ended) engine.close(connection, 'now');
      },
      onHead: (_connection, head) => {
        seen.push(`head ${head.target}`);
        engine.reply(connection, new Edits().status(204));
      },
      onClosed: () => {},
    }));
    assert.ok('port' in listener.address);
    const client = await stage.client(listener.address.port);
    client.send('JUN');
    await eventually(() => seen.length === 1, 'the first bytes are shown');
    client.send(`K${GET}`);
    await client.receives('HTTP/1.1 204 No Content\r\n\r\n');
    client.send(GET);
    await client.receives('HTTP/1.1 204 No Content\r\n\r\n');
    assert.deepEqual(seen, ['JUN', `JUNK${GET}`, 'head /a', 'head /a']);
    const short = await stage.client(listener.address.port);
    short.send('ab').end();
    await short.receivesFin();
    assert.equal(seen.at(-1), 'ab|FIN');
  });

  scenario('pause stops reading, resume goes on', async (stage) => {
    let down = 0;
    const proxy = await stage.proxy({
      onRequest: (own, connection) => {
        down = connection;
        return own.engine.reply(connection, own.edits.reset().status(204));
      },
    });
    const client = await stage.client(proxy);
    client.send(GET);
    await client.receives('HTTP/1.1 204 No Content\r\n\r\n');
    stage.engine.pause(down);
    client.send(GET);
    await quiet();
    assert.equal(client.unread, '');
    stage.engine.resume(down);
    await client.receives('HTTP/1.1 204 No Content\r\n\r\n');
  });

  // ---- ends -------------------------------------------------------------------------------------------------------------------------------

  scenario('drain closes an idle connection and lets a busy one finish', async (stage) => {
    const proxy = await stage.proxy();
    const idle = await stage.client(proxy);
    const busy = await stage.client(proxy);
    busy.send(GET);
    const up = await stage.upstream.accepts();
    await up.receives(GET);
    await eventually(() => proxy.downstreams.size === 2, 'both are accepted');
    stage.engine.unlisten(proxy.listener);
    for (const connection of proxy.downstreams) stage.engine.drain(connection);
    await idle.receivesFin();
    up.send(OK);
    await busy.receives('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nconnection: close\r\n\r\nok');
    await busy.receivesFin();
    await assert.rejects(connect(proxy.port), { code: 'ECONNREFUSED' });
  });

  scenario('drain closes a connection once its last answer has left', async (stage) => {
    const body = Buffer.alloc(8 * 1024 * 1024, 'x');
    const proxy = await stage.proxy({
      onRequest: (own, connection) => own.engine.reply(connection, own.edits.reset().status(200), body),
    });
    const client = await stage.client(proxy);
    client.socket.pause();
    client.send(GET);
    await eventually(() => proxy.events.includes('request GET /a'), 'the request is there');
    const [connection] = proxy.downstreams;
    await quiet();
    assert.ok((stage.engine.traffic(connection)?.queued ?? 0) > 0, 'a part of the answer waits');
    stage.engine.drain(connection);
    await quiet();
    client.socket.resume();
    await client.receivesUntil('\r\n\r\n');
    await client.receivesBytes(body.length);
    await client.receivesFin();
  });

  scenario('close: flush sends what is queued, reset sends RST, and onClosed never comes from inside', async (stage) => {
    const { engine } = stage;
    const ends: string[] = [];
    const during: number[] = [];
    const how: ('flush' | 'now' | 'reset')[] = ['flush', 'now', 'reset'];
    const port = await stage.raw({ onClosed: (_connection, reason) => void ends.push(reason) }, (connection) => {
      const next = how.shift() ?? 'now';
      // A reset that comes before the client's connect has returned would fail that instead.
      setTimeout(() => {
        if (next === 'flush') engine.write(connection, Buffer.from('bye'));
        engine.close(connection, next);
        during.push(ends.length);
      }, 20);
    });
    const flushed = await stage.client(port);
    await flushed.receives('bye');
    await flushed.receivesFin();
    flushed.end();
    await eventually(() => ends.length === 1, 'the first end');
    const now = await stage.client(port);
    await now.receivesAll();
    await eventually(() => ends.length === 2, 'the second end');
    const reset = await stage.client(port);
    await reset.receivesReset();
    await eventually(() => ends.length === 3, 'the third end');
    assert.deepEqual(during, [0, 1, 2]);
    assert.ok(
      ends.every((reason) => reason === 'local' || reason === 'linger'),
      ends.join(),
    );
  });

  scenario('no handler: the connection is closed', async (stage) => {
    const profile = stage.engine.profile({ framing: http1, side: 'downstream' });
    const { address } = await stage.engine.listen({ address: { ip: '127.0.0.1', port: 0 }, profile }, () => undefined);
    assert.ok('port' in address);
    const client = await stage.client(address.port);
    await client.receivesAll();
    await eventually(() => stage.engine.connections === 0, 'nothing is left open');
  });

  scenario('ignores commands and events of handles that an event of the same batch has closed', async (stage) => {
    const { engine } = stage;
    const heads: number[] = [];
    const open: number[] = [];
    const edits = new Edits();
    const proxy = await stage.proxy({
      onRequest: (_own, connection) => {
        heads.push(connection);
        // Whoever comes first closes all others.
        for (const other of open) if (other !== connection) engine.close(other, 'now');
        return engine.reply(connection, edits.reset().status(204));
      },
    });
    const clients = await Promise.all([1, 2, 3, 4].map(() => stage.client(proxy)));
    await eventually(() => proxy.downstreams.size === 4, 'all are accepted');
    open.push(...proxy.downstreams);
    for (const client of clients) client.send(GET);
    const answers = await Promise.all(clients.map((client) => client.receivesUntil('\r\n\r\n').catch(() => '')));
    assert.equal(answers.filter((answer) => answer.startsWith('HTTP/1.1 204')).length, 1);
    assert.equal(heads.length, 1);
  });

  scenario("setHandler on a stale handle takes nobody else's events", async (stage) => {
    const seen: string[] = [];
    const handles: number[] = [];
    const port = await stage.raw({ onClosed: (connection) => void seen.push(`own ${handles.indexOf(connection)}`) }, (connection) => {
      handles.push(connection);
    });
    const first = await stage.client(port);
    await eventually(() => handles.length === 1, 'the first is accepted');
    stage.engine.close(handles[0], 'now');
    await eventually(() => seen.length === 1, 'the first is gone');
    first.close();
    await stage.client(port);
    await eventually(() => handles.length === 2, 'the second is accepted');
    stage.engine.setHandler(handles[0], { onClosed: () => void seen.push('stolen') });
    stage.engine.close(handles[1], 'now');
    await eventually(() => seen.length === 2, 'the second is gone');
    assert.deepEqual(seen, ['own 0', 'own 1']);
  });

  scenario('setHandler gives the events to another object', async (stage) => {
    const seen: string[] = [];
    const port = await stage.raw({ onClosed: () => void seen.push('old') }, (connection) => {
      queueMicrotask(() => stage.engine.setHandler(connection, { onClosed: (_connection, reason) => void seen.push(`new ${reason}`) }));
      setTimeout(() => stage.engine.close(connection, 'now'), 10);
    });
    await stage.client(port);
    await eventually(() => seen.length > 0, 'the end is told');
    assert.deepEqual(seen, ['new local']);
  });

  // ---- big bodies -------------------------------------------------------------------------------------------------------------------------

  const BIG = 12 * 1024 * 1024;
  const LIMIT = 256 * 1024;
  const CHUNK = 128 * 1024;

  scenario('a slow upstream slows the client down; memory stays bounded', async (stage) => {
    const proxy = await stage.proxy({ downstreamProfile: { bufferLimitBytes: LIMIT }, upstreamProfile: { bufferLimitBytes: LIMIT } });
    const client = await stage.client(proxy);
    stage.upstream.onConnection = (peer) => peer.socket.pause();
    client.send(`POST / HTTP/1.1\r\nHost: h\r\nContent-Length: ${BIG}\r\n\r\n`).send(pattern(BIG));
    const up = await stage.upstream.accepts();
    up.socket.pause();
    const most = await mostQueued(stage.engine, () => [...proxy.upstreams], 150);
    assert.ok(most > 0 && most <= LIMIT + CHUNK, `${most} bytes queued`);
    up.socket.resume();
    await up.receivesHead();
    const body = await up.receivesBytes(BIG);
    assert.ok(body.equals(pattern(BIG)));
    up.send(OK);
    await client.receives(OK);
    assert.ok(proxy.events.includes(`request-end ${BIG}`));
  });

  scenario('a slow client slows the upstream down; memory stays bounded', async (stage) => {
    const proxy = await stage.proxy({ downstreamProfile: { bufferLimitBytes: LIMIT }, upstreamProfile: { bufferLimitBytes: LIMIT } });
    const client = await stage.client(proxy);
    client.socket.pause();
    client.send(GET);
    const up = await stage.upstream.accepts();
    await up.receives(GET);
    up.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')
      .send(`${BIG.toString(16)}\r\n`)
      .send(pattern(BIG))
      .send('\r\n0\r\n\r\n');
    const most = await mostQueued(stage.engine, () => [...proxy.downstreams], 150);
    assert.ok(most > 0 && most <= LIMIT + CHUNK + 1024, `${most} bytes queued`);
    client.socket.resume();
    await client.receivesHead();
    const text = await client.receivesUntil('\r\n0\r\n\r\n');
    assert.ok(Buffer.from(dechunk(text).slice(0, -1), 'latin1').equals(pattern(BIG)));
    client.send(GET);
    await up.receives(GET);
    assert.ok(proxy.events.includes(`response-end ${BIG} DONE+REUSABLE`));
  });

  scenario('a client that pipelines and takes no answer is not read further; memory stays bounded', async (stage) => {
    const answer = Buffer.alloc(16 * 1024, 'x');
    const requests = 2000;
    const proxy = await stage.proxy({
      downstreamProfile: { bufferLimitBytes: LIMIT },
      onRequest: (own, connection) => own.engine.reply(connection, own.edits.reset().status(200), answer),
    });
    const client = await stage.client(proxy);
    client.socket.pause();
    client.send(GET.repeat(requests));
    await eventually(() => proxy.downstreams.size === 1, 'it is accepted');
    const most = await mostQueued(stage.engine, () => [...proxy.downstreams], 200);
    assert.ok(most > 0 && most <= LIMIT + 2 * answer.length, `${most} bytes waited`);
    const answered = () => proxy.events.filter((event) => event.startsWith('request ')).length;
    assert.ok(answered() < requests);
    client.socket.resume();
    await eventually(() => answered() === requests, 'all are answered');
    await client.receivesBytes(requests * answer.length);
  });

  scenario('a raw relay keeps to the watermark as well', async (stage) => {
    const { engine } = stage;
    const profile = engine.profile({ framing: 'raw', side: 'upstream', bufferLimitBytes: LIMIT });
    const handles: number[] = [];
    const port = await stage.raw(
      {},
      (down) => {
        const up = engine.connect(
          { address: { ip: '127.0.0.1', port: stage.upstream.port }, profile },
          { onConnected: () => engine.relay(down, up), onClosed: () => {} },
        );
        handles.push(up);
      },
      LIMIT,
    );
    stage.upstream.onConnection = (peer) => peer.socket.pause();
    const client = await stage.client(port);
    client.send(pattern(BIG)).end();
    const up = await stage.upstream.accepts();
    const most = await mostQueued(engine, () => handles, 150);
    assert.ok(most > 0 && most <= LIMIT + CHUNK, `${most} bytes queued`);
    up.socket.resume();
    assert.ok((await up.receivesBytes(BIG)).equals(pattern(BIG)));
    await up.receivesFin();
    const traffic = engine.traffic(handles[0]);
    assert.equal(traffic?.sent, BIG);
  });

  scenario('serves 1,000 connections at once and leaves none behind', async (stage) => {
    const proxy = await stage.proxy({
      onRequest: (own, connection) => own.engine.reply(connection, own.edits.reset().status(200), Buffer.from('hi')),
    });
    const clients: Peer[] = [];
    for (let batch = 0; batch < 10; batch++) clients.push(...(await Promise.all(Array.from({ length: 100 }, () => stage.client(proxy)))));
    for (const client of clients) client.send(GET);
    for (const client of clients) await client.receives('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi');
    assert.equal(stage.engine.connections, 1000);
    for (const client of clients) client.close();
    await eventually(() => stage.engine.connections === 0, 'all are gone');
    assert.equal(proxy.downstreams.size, 0);
  });

  scenario('leaves no slot and no descriptor after thousands of connections, however they end', async (stage) => {
    const proxy = await stage.proxy();
    stage.upstream.onConnection = (peer) => {
      peer.socket.on('data', () => peer.send(OK));
    };
    const indexes = new Set<number>();
    const churn = async (rounds: number): Promise<void> => {
      for (let round = 0; round < rounds; round++) {
        const clients = await Promise.all(Array.from({ length: 30 }, () => connect(proxy.port)));
        for (const [i, client] of clients.entries()) client.send(i % 3 === 0 ? GET.slice(0, 20) : GET);
        for (const [i, client] of clients.entries()) if (i % 3 !== 0) await client.receives(OK);
        for (const handle of [...proxy.downstreams, ...proxy.upstreams]) indexes.add(handle & 0xfffff);
        for (const [i, client] of clients.entries()) {
          if (i % 2 === 0) client.reset();
          else client.close();
        }
        await eventually(() => stage.engine.connections === 0, 'all are gone');
      }
      stage.upstream.connections.length = 0;
    };
    const descriptors = (): number => (existsSync('/proc/self/fd') ? readdirSync('/proc/self/fd').length : 0);
    await churn(2);
    await quiet();
    const before = descriptors();
    await churn(100);
    await eventually(
      () => descriptors() <= before + 2,
      () => `${descriptors()} descriptors are open, ${before} were`,
    );
    // Some are kept free, so that a handle does not come again soon.
    assert.ok(indexes.size <= 100 + 512, `${indexes.size} slots for at most 50 connections at once`);
    assert.equal(proxy.downstreams.size + proxy.upstreams.size, 0);
  });

  // ---- threads ----------------------------------------------------------------------------------------------------------------------------

  /** Starts test/support/engine-worker.ts; gives it and the port it listens on. */
  const engineWorker = async (data: Omit<EngineWorkerData, 'engine'>): Promise<{ worker: Worker; port: number }> => {
    const worker = new Worker(new URL('../support/engine-worker.js', import.meta.url), { workerData: { engine: name, ...data } });
    const [port] = (await once(worker, 'message')) as [number];
    return { worker, port };
  };

  scenario('a worker that is terminated with live connections and timers ends at once, and its peers are told', async (stage) => {
    const { worker, port } = await engineWorker({ upstream: stage.upstream.port });
    const clients = await Promise.all(Array.from({ length: 20 }, () => stage.client(port)));
    for (const [i, client] of clients.entries()) {
      if (i % 4 === 0) client.send('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
      if (i % 4 === 1) client.send('POST /wait HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\npart');
      if (i % 4 === 2) client.send('GET / HTT');
    }
    await clients[0].receivesHead();
    const up = await stage.upstream.accepts();
    assert.equal(await worker.terminate(), 1);
    await Promise.all(clients.map((client) => client.isOverSoon()));
    await up.isOverSoon();
    await assert.rejects(connect(port), { code: 'ECONNREFUSED' });
  });

  scenario('a handler that throws fails the thread loudly', async (stage) => {
    const { worker, port } = await engineWorker({});
    const failed = once(worker, 'error');
    (await stage.client(port)).send('GET /throw HTTP/1.1\r\nHost: h\r\n\r\n');
    const [error] = (await failed) as [Error];
    assert.equal(error.message, 'made to throw by a test');
  });

  scenario('a handler that throws loses no other event, where the thread goes on', async (stage) => {
    const { worker, port } = await engineWorker({ survives: true });
    try {
      const clients = await Promise.all([1, 2, 3].map(() => stage.client(port)));
      const thrown = once(worker, 'message');
      worker.postMessage('block');
      await quiet();
      for (const [i, client] of clients.entries()) client.send(`GET /${i === 1 ? 'throw' : ''} HTTP/1.1\r\nHost: h\r\n\r\n`);
      assert.deepEqual(await thrown, ['made to throw by a test']);
      for (const i of [0, 2]) assert.match(await clients[i].receivesHead(), /^HTTP\/1\.1 204 /);
    } finally {
      await worker.terminate();
    }
  });

  // ---- sockets ----------------------------------------------------------------------------------------------------------------------------

  scenario('says where a connection is at, and what went over it', async (stage) => {
    let seen: unknown;
    let down = 0;
    const proxy = await stage.proxy({
      onRequest: (own, connection) => {
        down = connection;
        seen = own.engine.info(connection);
        return own.engine.reply(connection, own.edits.reset().status(204));
      },
    });
    const client = await stage.client(proxy);
    client.send(GET);
    await client.receives('HTTP/1.1 204 No Content\r\n\r\n');
    assert.deepEqual(seen, { local: { ip: '127.0.0.1', port: proxy.port }, remote: { ip: '127.0.0.1', port: client.socket.localPort } });
    assert.deepEqual({ ...stage.engine.traffic(down) }, { received: GET.length, sent: 27, queued: 0 });
  });

  scenario('binds the source address', async (stage) => {
    const proxy = await stage.proxy({ source: { ip: '127.0.0.6' } });
    const client = await stage.client(proxy);
    client.send(GET);
    const up = await stage.upstream.accepts();
    await up.receives(GET);
    assert.equal(up.socket.remoteAddress, '127.0.0.6');
  });

  scenario('a source address that is not there fails the connect', async (stage) => {
    const profile = stage.engine.profile({ framing: http1, side: 'upstream' });
    const ends: string[] = [];
    const address = { ip: '127.0.0.1', port: stage.upstream.port };
    stage.engine.connect(
      { address, profile, source: { ip: '192.0.2.1' } },
      { onClosed: (_connection, reason, errno) => void ends.push(`${reason} ${errno}`) },
    );
    await eventually(() => ends.length === 1, 'the failure is told');
    assert.deepEqual(ends, ['connect-failed EADDRNOTAVAIL']);
  });

  scenario('a port in use is a ListenError with the code of the system', async (stage) => {
    const profile = stage.engine.profile({ framing: http1, side: 'downstream' });
    await assert.rejects(
      stage.engine.listen({ address: { ip: '127.0.0.1', port: stage.upstream.port }, profile }, () => undefined),
      (error) => {
        assert.ok(error instanceof ListenError);
        assert.equal(error.code, 'EADDRINUSE');
        assert.equal(error.address, `127.0.0.1:${stage.upstream.port}`);
        return true;
      },
    );
  });

  scenario('listens on and connects to Unix sockets, with a file mode', async (stage) => {
    const path = join(stage.folder, 'down.sock');
    const upPath = join(stage.folder, 'up.sock');
    const up = await Upstream.open(upPath);
    try {
      const proxy = await stage.proxy({ upstream: { path: upPath }, listen: { address: { path }, mode: 0o640 } });
      assert.equal(statSync(path).mode & 0o777, 0o640);
      const client = await stage.client(path);
      client.send(GET);
      const peer = await up.accepts();
      await peer.receives(GET);
      peer.send(OK);
      await client.receives(OK);
      const [connection] = proxy.downstreams;
      assert.deepEqual(stage.engine.info(connection)?.local, { path });
      stage.engine.unlisten(proxy.listener);
      await eventually(() => !existsSync(path), 'the socket file goes with its listener');
    } finally {
      up.close();
    }
  });

  scenario('removes a stale socket file, but not one that somebody listens on, nor another file', async (stage) => {
    const { engine } = stage;
    const profile = engine.profile({ framing: http1, side: 'downstream' });
    const path = join(stage.folder, 'stale.sock');
    await leaveStaleSocket(path);
    assert.ok(existsSync(path));
    await engine.listen({ address: { path }, profile }, () => undefined);
    await assert.rejects(
      engine.listen({ address: { path }, profile }, () => undefined),
      { code: 'EADDRINUSE' },
    );
    const file = join(stage.folder, 'file');
    writeFileSync(file, 'precious');
    await assert.rejects(
      engine.listen({ address: { path: file }, profile }, () => undefined),
      { code: 'EADDRINUSE' },
    );
    assert.ok(existsSync(file));
  });

  scenario('listens on IPv6 alone, or on both', async (stage) => {
    const { engine } = stage;
    const profile = engine.profile({ framing: http1, side: 'downstream' });
    let remote = '';
    const accept = (connection: number) => {
      const info = engine.info(connection);
      remote = info !== undefined && 'ip' in info.remote ? info.remote.ip : '';
      return { onClosed: () => {} };
    };
    const six = await engine.listen({ address: { ip: '::1', port: 0 }, profile }, accept);
    assert.ok('port' in six.address);
    assert.equal(six.address.ip, '::1');
    const client = await connect(six.address.port, '::1');
    await eventually(() => remote === '::1', 'accepted over IPv6');
    client.close();
    const both = await engine.listen({ address: { ip: '::', port: 0 }, profile, dualStack: true }, accept);
    assert.ok('port' in both.address);
    const four = await connect(both.address.port);
    await eventually(() => remote === '127.0.0.1', 'IPv4 on the dual listener, shown as IPv4');
    four.close();
    const only = await engine.listen({ address: { ip: '::', port: 0 }, profile }, accept);
    assert.ok('port' in only.address);
    await assert.rejects(connect(only.address.port), { code: 'ECONNREFUSED' });
  });

  scenario('takes keep-alive, no-delay and backlog', async (stage) => {
    const proxy = await stage.proxy({ listen: { keepAlive: { idleS: 30 }, noDelay: false, backlog: 16 } });
    const client = await stage.client(proxy);
    client.send(GET);
    await (await stage.upstream.accepts()).receives(GET);
    assert.equal(proxy.downstreams.size, 1);
  });

  scenario('shares a port between two listeners where it can, and says so where it cannot', async (stage) => {
    const { engine } = stage;
    const profile = engine.profile({ framing: http1, side: 'downstream' });
    const listen = (port: number) => engine.listen({ address: { ip: '127.0.0.1', port }, profile, reusePort: true }, () => undefined);
    if (!engine.capabilities.reusePort) {
      await assert.rejects(listen(0), ConfigError);
      return;
    }
    const first = await listen(0);
    assert.ok('port' in first.address);
    const second = await listen(first.address.port);
    assert.deepEqual(second.address, first.address);
  });

  scenario('refuses at once what it cannot do', async (stage) => {
    const { engine } = stage;
    const profile = engine.profile({ framing: http1, side: 'downstream' });
    const address = { ip: '127.0.0.1', port: 0 };
    for (const [able, options] of [
      [engine.capabilities.originalDst, { originalDst: true }],
      [engine.capabilities.transparent, { transparent: true }],
      [engine.capabilities.transparent, { freebind: true }],
      [engine.capabilities.mark, { mark: 1 }],
    ] as const) {
      if (!able)
        await assert.rejects(
          engine.listen({ address, profile, ...options }, () => undefined),
          ConfigError,
        );
    }
    assert.throws(() => engine.connect({ address: { ip: 'example', port: 1 }, profile }, { onClosed: () => {} }), ConfigError);
  });

  test(`${name}: an engine that was shut down gives its memory back`, async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const used = async (): Promise<WeakRef<Engine>> => {
      const engine = create();
      const profile = engine.profile({ framing: http1, side: 'downstream' });
      await engine.listen({ address: { ip: '127.0.0.1', port: 0 }, profile }, () => undefined);
      await engine.shutdown();
      return new WeakRef(engine);
    };
    const left = await used();
    await eventually(() => {
      collect();
      return left.deref() === undefined;
    }, 'something holds the engine');
  });

  scenario('shutdown closes listeners and connections', async (stage) => {
    const proxy = await stage.proxy();
    const client = await stage.client(proxy);
    client.send(GET);
    await (await stage.upstream.accepts()).receives(GET);
    await stage.engine.shutdown();
    await client.receivesAll();
    await assert.rejects(connect(proxy.port), { code: 'ECONNREFUSED' });
    assert.equal(stage.engine.connections, 0);
  });
}

/** A body whose every part is different, so that a lost or doubled piece shows. */
function pattern(bytes: number): Buffer {
  const buffer = Buffer.alloc(bytes);
  for (let at = 0; at + 4 <= bytes; at += 4) buffer.writeUInt32BE(Math.imul(at, 2654435761) >>> 0, at);
  return buffer;
}

/** The most output bytes that waited on any of the connections while we looked. */
async function mostQueued(engine: Engine, handles: () => readonly number[], forMs: number): Promise<number> {
  let most = 0;
  for (const end = performance.now() + forMs; performance.now() < end; ) {
    for (const handle of handles()) most = Math.max(most, engine.traffic(handle)?.queued ?? 0);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  return most;
}

/** `data|trailers` of a chunked body. */
function dechunk(text: string): string {
  const data: string[] = [];
  let at = 0;
  while (true) {
    const lineEnd = text.indexOf('\r\n', at);
    const size = Number.parseInt(text.slice(at, lineEnd), 16);
    if (size === 0) return `${data.join('')}|${text.slice(lineEnd + 2, -2)}`;
    assert.ok(size > 0, `a chunk size, not ${JSON.stringify(text.slice(at, lineEnd))}`);
    data.push(text.slice(lineEnd + 2, lineEnd + 2 + size));
    at = lineEnd + 2 + size + 2;
  }
}

/** Long enough for anything wrongly sent to arrive over loopback. */
const quiet = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 40));

/** A socket file whose listener is gone without having removed it: that of a thread which was killed. */
async function leaveStaleSocket(path: string): Promise<void> {
  const worker = new Worker(
    `const { renameSync } = require('node:fs');
     const { parentPort, workerData } = require('node:worker_threads');
     const server = require('node:net').createServer().listen(workerData + '.first', () => {
       renameSync(workerData + '.first', workerData);
       server.close(() => parentPort.postMessage('left'));
     });`,
    { eval: true, workerData: path },
  );
  await new Promise((resolve) => worker.once('message', resolve));
  await worker.terminate();
}

/** A listener on loopback that accepts nothing and whose queue is full. */
async function fullListener(): Promise<{ port: number; close: () => Promise<void> }> {
  const worker = new Worker(
    `const { parentPort } = require('node:worker_threads');
     const server = require('node:net').createServer();
     server.listen({ host: '127.0.0.1', port: 0, backlog: 1 }, () => {
       parentPort.postMessage(server.address().port);
       // The thread sleeps, so that nobody accepts.
       Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
     });`,
    { eval: true },
  );
  const port = await new Promise<number>((resolve) => worker.once('message', resolve as (port: unknown) => void));
  const fillers = Array.from({ length: 4 }, () => netConnect({ port, host: '127.0.0.1' }).on('error', () => {}));
  await new Promise((resolve) => setTimeout(resolve, 50));
  return {
    port,
    close: async () => {
      for (const filler of fillers) filler.destroy();
      await worker.terminate();
    },
  };
}

/** The Engine port for frames of a codec (src/network/engine.ts), described and scripted, on each engine. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import kv from '../../codecs/example/index.js';
import { framing, KIND } from '../../codecs/example/spec.js';
import type { CloseReason, ConnectionHandler, Engine, FramingFault, ProfileOptions } from '../../src/network/engine.js';
import type { Codec } from '../../src/protocol/codec.js';
import type { Frame } from '../../src/protocol/frame.js';
import { createFrameDecoder } from '../../src/protocol/frame-decoder.js';
import { encodeFrame } from '../../src/protocol/frame-encoder.js';
import { engines } from '../support/engines.js';
import { connect, eventually, type Peer, Upstream } from '../support/peers.js';

const HEAD_BYTES = 12;
const frame = (id: number, body: string | Uint8Array = '', kind: number = KIND.REQUEST) =>
  encodeFrame(framing, { fields: { kind, id }, sections: { body: typeof body === 'string' ? Buffer.from(body) : body } });
/** The same wire, read by a session. */
const scripted: Codec = {
  ...kv,
  name: 'kv-scripted',
  framing: {
    layout: framing,
    open: (_, limits) => {
      const decode = createFrameDecoder('kv-scripted', framing, limits);
      return { decode: (bytes, start, end, ints, base) => decode(bytes, start, end, ints, base) };
    },
  },
};
const turn = (ms = 50) => new Promise((resolve) => setTimeout(resolve, ms));

/** Sends what comes from the client on to the upstream, and back. */
class FrameRelay {
  readonly engine: Engine;
  readonly upstream: Upstream;
  readonly #codec: Codec;
  readonly #options: Partial<ProfileOptions>;
  port = 0;
  down = 0;
  up = 0;
  /** Ids of the frames that came from the client. */
  readonly ids: bigint[] = [];
  responses = 0;
  /** Of requests that were shown before they were whole; and how many of those were moved to their end. */
  readonly partial: boolean[] = [];
  ended = 0;
  readonly faults: FramingFault[] = [];
  readonly closed: { side: 'down' | 'up'; reason: CloseReason }[] = [];
  /** What is done with a frame of the client; true: it is not sent on. */
  onRequest: (connection: number, frame: Frame) => boolean = () => false;

  constructor(engine: Engine, upstream: Upstream, codec: Codec, options: Partial<ProfileOptions>) {
    this.engine = engine;
    this.upstream = upstream;
    this.#codec = codec;
    this.#options = options;
  }
  async open(): Promise<void> {
    const { engine } = this;
    const profile = engine.profile({ framing: this.#codec, side: 'downstream', ...this.#options });
    const { address } = await engine.listen({ address: { ip: '127.0.0.1', port: 0 }, profile }, (connection) => {
      this.down = connection;
      this.#connect();
      return this.#handler('down', (from, of) => {
        this.ids.push(of.id);
        this.partial.push(of.isPartial);
        if (!this.onRequest(from, of)) engine.sendFrame(from, this.up, of.idLow + 1000, of.idHigh);
      });
    });
    assert.ok('port' in address);
    this.port = address.port;
  }
  #connect(): void {
    const { engine } = this;
    const profile = engine.profile({ framing: this.#codec, side: 'upstream', ...this.#options });
    const handler = this.#handler('up', (from, of) => {
      this.responses++;
      engine.sendFrame(from, this.down, of.idLow - 1000, of.idHigh);
    });
    this.up = engine.connect({ address: { ip: '127.0.0.1', port: this.upstream.port }, profile }, handler);
  }
  #handler(side: 'down' | 'up', onFrame: (from: number, frame: Frame) => void): ConnectionHandler {
    return {
      onFrame,
      onEnd: () => {
        this.ended++;
      },
      onFault: (connection, fault) => {
        this.faults.push(fault);
        this.engine.close(connection, 'flush');
      },
      onClosed: (_, reason) => {
        this.closed.push({ side, reason });
      },
    };
  }
}

for (const [engineName, create] of engines()) {
  for (const codec of [kv as Codec, scripted]) {
    const scenario = (title: string, options: Partial<ProfileOptions>, run: (relay: FrameRelay, client: () => Promise<Peer>) => Promise<void>) =>
      test(`${engineName}, ${codec.name}: ${title}`, { timeout: 30_000 }, async () => {
        const relay = new FrameRelay(create(), await Upstream.open(), codec, options);
        const peers: Peer[] = [];
        const client = async () => {
          const peer = await connect(relay.port);
          peers.push(peer);
          return peer;
        };
        try {
          await relay.open();
          await run(relay, client);
        } finally {
          for (const peer of peers) peer.close();
          relay.upstream.close();
          await relay.engine.shutdown();
        }
      });

    scenario('a frame goes on as it came, with another id, and its answer comes back', {}, async (relay, connectClient) => {
      const client = await connectClient();
      client.send(frame(7, 'get a'));
      const up = await relay.upstream.accepts();
      await up.receives(Buffer.from(frame(1007, 'get a')).toString('latin1'));
      up.send(frame(1007, 'a', KIND.RESPONSE));
      await client.receives(Buffer.from(frame(7, 'a', KIND.RESPONSE)).toString('latin1'));
    });

    scenario('thousands of frames that come at once all arrive, in order', {}, async (relay, connectClient) => {
      const client = await connectClient();
      const count = 5000;
      client.send(Buffer.concat(Array.from({ length: count }, (_, id) => frame(id, `${id}`))));
      const up = await relay.upstream.accepts();
      const expected = Buffer.concat(Array.from({ length: count }, (_, id) => frame(id + 1000, `${id}`)));
      assert.deepEqual(await up.receivesBytes(expected.length), expected);
      assert.deepEqual(
        relay.ids,
        Array.from({ length: count }, (_, id) => BigInt(id)),
      );
    });

    scenario('a frame of 15 MB goes both ways, whatever the watermark', { bufferLimitBytes: 65_536 }, async (relay, connectClient) => {
      const client = await connectClient();
      const body = Buffer.alloc(15 * 1024 * 1024, 'body ');
      client.send(frame(7, body));
      const up = await relay.upstream.accepts();
      assert.ok(Buffer.from(frame(1007, body)).equals(await up.receivesBytes(HEAD_BYTES + body.length)));
      up.send(frame(1007, body, KIND.RESPONSE));
      assert.ok(Buffer.from(frame(7, body, KIND.RESPONSE)).equals(await client.receivesBytes(HEAD_BYTES + body.length)));
      assert.deepEqual(relay.closed, []);
    });

    scenario(
      'a client that takes its answers gets them all, also where many come at once',
      { bufferLimitBytes: 65_536 },
      async (relay, connectClient) => {
        const client = await connectClient();
        client.send(frame(7));
        const up = await relay.upstream.accepts();
        const answers = Buffer.concat(Array.from({ length: 400 }, () => frame(1007, Buffer.alloc(10_000, 'x'), KIND.RESPONSE)));
        up.send(answers);
        assert.equal((await client.receivesBytes(answers.length)).length, answers.length);
        assert.deepEqual(relay.closed, []);
      },
    );

    scenario(
      'a client is not read while its upstream takes nothing, and goes on when it does',
      { bufferLimitBytes: 65_536 },
      async (relay, connectClient) => {
        const client = await connectClient();
        client.send(frame(0));
        const up = await relay.upstream.accepts();
        await up.receivesBytes(HEAD_BYTES);
        up.socket.pause();
        const count = 3000;
        client.send(Buffer.concat(Array.from({ length: count }, (_, id) => frame(id + 1, Buffer.alloc(10_000, 'x')))));
        await turn(200);
        assert.ok(relay.ids.length < count, `${relay.ids.length} frames were read`);
        // What one wake-up brought, at most.
        assert.ok((relay.engine.traffic(relay.up)?.queued ?? 0) < 6_000_000);
        const before = relay.ids.length;
        await turn();
        assert.equal(relay.ids.length, before, 'nothing is read meanwhile');
        up.socket.resume();
        await up.receivesBytes(count * (HEAD_BYTES + 10_000));
        assert.equal(relay.ids.length, count + 1);
      },
    );

    scenario(
      'a client that takes no answer is given up; what it costs is bounded',
      { bufferLimitBytes: 65_536, maxFrameBytes: 65_536 },
      async (relay, connectClient) => {
        const client = await connectClient();
        client.send(frame(7));
        const up = await relay.upstream.accepts();
        client.socket.pause();
        for (let i = 0; i < 40 && relay.closed.length === 0; i++) {
          up.send(Buffer.concat(Array.from({ length: 100 }, () => frame(1007, Buffer.alloc(10_000, 'x'), KIND.RESPONSE))));
          await turn(10);
          assert.ok((relay.engine.traffic(relay.down)?.queued ?? 0) < 400_000);
        }
        await eventually(() => relay.closed.some(({ side }) => side === 'down'), 'it is closed');
        assert.equal(
          relay.closed.some(({ side }) => side === 'up'),
          false,
          'the upstream connection serves others',
        );
      },
    );

    scenario(
      'a FIN in the middle of a frame is a truncation; one right behind a frame is not, and the frame arrives',
      {},
      async (relay, connectClient) => {
        const whole = await connectClient();
        whole.send(frame(1, 'get a'));
        whole.end();
        await eventually(() => relay.closed.some(({ side }) => side === 'down'), 'the first client is gone');
        assert.deepEqual(relay.ids, [1n]);
        const cut = await connectClient();
        cut.send(Buffer.concat([frame(2, 'get b'), frame(3, 'get c').subarray(0, 14)]));
        cut.end();
        await eventually(() => relay.closed.filter(({ side }) => side === 'down').length === 2, 'the second client is gone');
        assert.deepEqual(relay.ids, [1n, 2n]);
        assert.deepEqual(
          relay.closed.filter(({ side }) => side === 'down').map(({ reason }) => reason),
          ['remote', 'truncated'],
        );
      },
    );

    scenario('broken bytes are a fault that says where, after the frames before them', { maxFrameBytes: 1000 }, async (relay, connectClient) => {
      const broken = frame(2, 'get b');
      broken[1] = 99;
      const client = await connectClient();
      client.send(Buffer.concat([frame(1, 'get a'), broken, frame(3, 'get c')]));
      await eventually(() => relay.faults.length === 1, 'a fault');
      const large = await connectClient();
      large.send(frame(4, Buffer.alloc(2000)).subarray(0, HEAD_BYTES));
      await eventually(() => relay.faults.length === 2, 'another fault');
      assert.deepEqual(relay.ids, [1n]);
      assert.deepEqual(
        relay.faults.map(({ protocol, code, offset, where }) => [protocol, code, offset, where]),
        [
          [codec.name, 'BAD_KIND', 1, 'head'],
          [codec.name, 'FRAME_TOO_LARGE', 8, 'head'],
        ],
      );
    });

    scenario('a frame cannot be sent to what is gone, nor outside of its callback', {}, async (relay, connectClient) => {
      const sent: boolean[] = [];
      let late = () => {};
      relay.onRequest = (from, of) => {
        const { engine, up } = relay;
        sent.push(engine.sendFrame(from, up + 0x10_0000, 1, 0), engine.sendFrame(from, 0, 1, 0), engine.sendFrame(from, up, of.idLow, 0));
        engine.close(up, 'now');
        sent.push(engine.sendFrame(from, up, 1, 0));
        late = () => sent.push(engine.sendFrame(from, relay.down, 1, 0));
        return true;
      };
      const client = await connectClient();
      client.send(frame(7));
      await eventually(() => sent.length === 4, 'the frame');
      late();
      assert.deepEqual(sent, [false, false, true, false, false]);
    });

    const cutThrough = { cutThroughBytes: 1000, bufferLimitBytes: 65_536 };
    const isCut = codec === kv;
    scenario('a large frame is sent on before it is whole, and what comes behind it follows', cutThrough, async (relay, connectClient) => {
      const client = await connectClient();
      const body = Buffer.alloc(200_000, 'body ');
      const [large, next] = [frame(7, body), frame(8, 'get a')];
      client.send(large.subarray(0, 5000));
      const up = await relay.upstream.accepts();
      const wanted = Buffer.concat([frame(1007, body), frame(1008, 'get a')]);
      if (isCut) assert.ok((await up.receivesBytes(5000)).equals(wanted.subarray(0, 5000)));
      else await turn();
      for (let at = 5000; at < large.length; at += 40_000) {
        client.send(large.subarray(at, at + 40_000));
        await turn(2);
      }
      client.send(next);
      assert.ok((await up.receivesBytes(wanted.length - (isCut ? 5000 : 0))).equals(wanted.subarray(isCut ? 5000 : 0)));
      assert.deepEqual([relay.ids, relay.partial, relay.ended], [[7n, 8n], [isCut, false], isCut ? 1 : 0]);
      up.send(frame(1007, 'ok', KIND.RESPONSE));
      await client.receives(Buffer.from(frame(7, 'ok', KIND.RESPONSE)).toString('latin1'));
    });

    scenario('a large frame that is not sent on comes again when it is whole', cutThrough, async (relay, connectClient) => {
      relay.onRequest = (_, of) => of.isPartial;
      const client = await connectClient();
      const large = frame(7, Buffer.alloc(200_000, 'body '));
      for (let at = 0; at < large.length; at += 40_000) {
        client.send(large.subarray(at, at + 40_000));
        await turn(2);
      }
      const up = await relay.upstream.accepts();
      assert.ok((await up.receivesBytes(large.length)).equals(frame(1007, Buffer.alloc(200_000, 'body '))));
      assert.deepEqual(relay.partial, isCut ? [true, false] : [false]);
    });

    scenario('a frame whose rest does not come closes the connection that has its beginning', cutThrough, async (relay, connectClient) => {
      const client = await connectClient();
      client.send(frame(7, Buffer.alloc(200_000)).subarray(0, 5000));
      const up = await relay.upstream.accepts();
      if (isCut) await up.receivesBytes(5000);
      client.end();
      await eventually(() => relay.closed.length === (isCut ? 2 : 1), 'the connections are closed');
      assert.ok(relay.closed.every(({ reason }) => reason === 'truncated'));
    });

    scenario('the rest of a frame whose receiver is gone is thrown away, and the next frame is read', cutThrough, async (relay, connectClient) => {
      const client = await connectClient();
      const large = frame(7, Buffer.alloc(2_000_000));
      client.send(large.subarray(0, 5000));
      const up = await relay.upstream.accepts();
      if (isCut) await up.receivesBytes(5000);
      up.reset();
      await eventually(() => relay.closed.some(({ side }) => side === 'up'), 'the upstream is gone');
      client.send(Buffer.concat([large.subarray(5000), frame(8, 'get a')]));
      await eventually(() => relay.ids.includes(8n), 'the next frame');
      assert.equal(relay.ended, isCut ? 1 : 0);
      assert.equal(
        relay.closed.some(({ side }) => side === 'down'),
        false,
      );
    });

    scenario(
      'a connection in the middle of a frame takes nothing else, and the frame waits for a slow receiver',
      cutThrough,
      async (relay, connectClient) => {
        const client = await connectClient();
        if (!isCut) return;
        const whole = encodeFrame(framing, { fields: { kind: KIND.REQUEST, id: 7 }, sections: { body: Buffer.alloc(15_000_000) } });
        client.send(whole.subarray(0, 5000));
        const up = await relay.upstream.accepts();
        await up.receivesBytes(5000);
        assert.equal(relay.engine.write(relay.up, frame(1)), false);
        up.socket.pause();
        client.send(Buffer.concat([whole.subarray(5000), frame(8)]));
        await turn(200);
        assert.ok((relay.engine.traffic(relay.up)?.queued ?? 0) < 1_000_000);
        assert.deepEqual(relay.ids, [7n]);
        up.socket.resume();
        await up.receivesBytes(whole.length - 5000 + HEAD_BYTES);
        assert.deepEqual([relay.ids, relay.ended, relay.closed], [[7n, 8n], 1, []]);
      },
    );

    scenario('frames come while nothing is read for a moment, and none is lost', {}, async (relay, connectClient) => {
      const client = await connectClient();
      relay.onRequest = (connection) => {
        if (relay.ids.length % 100 !== 1) return false;
        relay.engine.pause(connection);
        setTimeout(() => relay.engine.resume(connection), 5);
        return false;
      };
      client.send(Buffer.concat(Array.from({ length: 500 }, (_, id) => frame(id, 'x'))));
      const up = await relay.upstream.accepts();
      await up.receivesBytes(500 * (HEAD_BYTES + 1));
      assert.deepEqual(
        relay.ids,
        Array.from({ length: 500 }, (_, id) => BigInt(id)),
      );
    });
  }
}

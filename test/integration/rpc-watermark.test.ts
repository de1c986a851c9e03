import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import kv from '../../codecs/example/index.js';
import { framing, KIND } from '../../codecs/example/spec.js';
import type { Frame } from '../../src/protocol/frame.js';
import { encodeFrame } from '../../src/protocol/frame-encoder.js';
import { engines } from '../support/engines.js';
import { eventually } from '../support/peers.js';
import { rpcSetup } from '../support/rpc-proxy.js';

const MB = 1024 * 1024;

const request = (id: number, body: Buffer) => encodeFrame(framing, { fields: { kind: KIND.REQUEST, id }, sections: { body } });
const response = (to: Frame, body: Uint8Array) => encodeFrame(framing, { fields: { kind: KIND.RESPONSE, id: to.id, status: 0 }, sections: { body } });
const filled = (bytes: number, seed: number) => Buffer.concat([Buffer.from('get big '), Buffer.alloc(bytes, `${seed} `)]);

for (const [engine, create] of engines()) {
  const setup = (context: TestContext, answer: (frame: Frame) => Uint8Array, filter = '') =>
    rpcSetup(context, create, { codecs: [kv], filter, answer: (frame) => (frame.field('kind') === KIND.REQUEST ? answer(frame) : undefined) });

  test(`${engine}: frames over the watermark pass both ways, the one that waits for a connection too`, async (context) => {
    // Whole, so that they share a connection.
    const { connect, proxy } = await setup(context, (frame) => response(frame, frame.section('body')), 'cut_through_bytes: 0');
    const [one, two] = [await connect(), await connect()];
    for (let id = 1; id <= 4; id++) {
      one.send(request(id, filled(5 * MB, id)));
      two.send(request(id, filled(40, id)));
    }
    await eventually(() => one.frames.length === 4 && two.frames.length === 4, 'all answers');
    for (const frame of one.frames) assert.ok(filled(5 * MB, Number(frame.id)).equals(frame.section('body')));
    for (const frame of two.frames) assert.ok(filled(40, Number(frame.id)).equals(frame.section('body')));
    assert.equal(proxy.stat('cluster.up.upstream_cx_total'), 1);
  });

  test(`${engine}: a client that reads nothing is closed at a bound, and costs the others nothing`, async (context) => {
    const big = filled(MB, 7);
    const { connect, proxy } = await setup(
      context,
      (frame) => response(frame, frame.section('body')[4] === 0x62 ? big : frame.section('body')),
      'max_frame_bytes: 1024',
    );
    const [slow, quick] = [await connect(), await connect()];
    slow.socket.pause();
    for (let id = 1; id <= 150; id++) slow.send(request(id, Buffer.from('get big')));
    quick.send(request(1, Buffer.from('get small')));
    assert.equal((await quick.receives()).id, 1n);
    await eventually(() => proxy.stat('rpc.r.downstream_cx_active') === 1, 'the slow client is closed', 10_000);
    quick.send(request(2, Buffer.from('get small')));
    assert.equal((await quick.receives()).id, 2n);
  });
}

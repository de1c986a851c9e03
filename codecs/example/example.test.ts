import assert from 'node:assert/strict';
import test from 'node:test';
import { encodeFrame } from '../../src/protocol/frame-encoder.js';
import { faultOf, frameOf, hex, kindOf } from '../../test/support/codec-frames.js';
import kv from './index.js';
import { framing, KIND } from './spec.js';

const request = (text: string, kind: number = KIND.REQUEST) =>
  frameOf(kv, encodeFrame(framing, { fields: { kind, id: 7 }, sections: { body: Buffer.from(text) } }));

test('is recognised by its first byte', () => {
  assert.equal(kv.match(hex('')), 'more');
  assert.equal(kv.match(hex('4b')), 'yes');
  assert.equal(kv.match(hex('47')), 'no');
});

test('store and verb of a request are its service and method', () => {
  for (const text of ['get fruits/apple', 'get fruits', 'get fruits 1']) {
    assert.equal(kv.service(request(text)), 'fruits', text);
    assert.equal(kv.method(request(text)), 'get', text);
  }
});

test('a request that is no command has neither', () => {
  for (const text of ['', 'get', 'GET fruits', ' get fruits', 'get /apple', `get ${'a'.repeat(201)}`]) {
    assert.equal(kv.service(request(text)), undefined, text);
    assert.equal(kv.method(request(text)), undefined, text);
  }
});

test('a local reply carries the id and the words of the failure', () => {
  for (const [http, status] of [
    [404, 1],
    [503, 3],
    [504, 4],
    [502, 2],
  ]) {
    const reply = frameOf(kv, kv.respond(request('get fruits'), { status: http, details: 'so it went' }));
    assert.equal(kindOf(kv, reply), 'response');
    assert.equal(reply.id, 7n);
    assert.equal(kv.status(reply), status);
    assert.equal(Buffer.from(reply.section('body')).toString(), 'so it went');
  }
});

test('a status counts as the HTTP status that means the same', () => {
  assert.deepEqual([0, 1, 2, 3, 4, 99].map(kv.statusClass), [200, 404, 500, 503, 504, 500]);
});

test('a heartbeat is answered with its id, up to the largest', () => {
  const heartbeat = frameOf(kv, kv.heartbeat(-1));
  assert.equal(kindOf(kv, heartbeat), 'heartbeat');
  const ack = frameOf(kv, kv.heartbeatAck(heartbeat));
  assert.equal(kindOf(kv, ack), 'heartbeat-ack');
  assert.equal(ack.id, 0xffff_ffffn);
});

test('go-away is a frame of its own', () => assert.equal(kindOf(kv, frameOf(kv, kv.goAway())), 'go-away'));

test('rejects a body over the limit before it has arrived', () => {
  assert.equal(faultOf(kv, hex('4b00 0000 00000001 00000059'), { maxFrameBytes: 100 }), 'FRAME_TOO_LARGE at 8');
});

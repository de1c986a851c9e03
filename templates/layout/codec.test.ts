/** What the vectors cannot say. `sluice codec test` runs the contract of all codecs first, then this file. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { encodeFrame, type Frame } from 'sluice/codec';
import { readFrames } from 'sluice/codec/testing';
import acme from './index.js';
import { framing, KIND } from './spec.js';

const read = (bytes: Uint8Array): Frame => readFrames(acme, 'downstream', { maxFrameBytes: 65_536 }, bytes).frames[0];
const request = (name: string): Frame =>
  read(encodeFrame(framing, { fields: { kind: KIND.REQUEST, id: 7 }, sections: { name: Buffer.from(name), body: Buffer.from('hello') } }));

test('a request is routed by what stands before and after the last dot of its name', () => {
  const frame = request('shop.Orders.create');
  assert.equal(acme.service(frame), 'shop.Orders');
  assert.equal(acme.method(frame), 'create');
});

test('a name without a dot has neither service nor method', () => {
  assert.equal(acme.service(request('ping')), undefined);
  assert.equal(acme.method(request('ping')), undefined);
});

test('a local reply carries the id, a status and the words of the failure', () => {
  const reply = read(acme.respond(request('Orders.create'), { status: 503, details: 'no healthy upstream' }));
  assert.equal(reply.id, 7n);
  assert.equal(acme.statusClass(acme.status(reply)), 503);
  assert.equal(Buffer.from(reply.section('body')).toString(), 'no healthy upstream');
});

/** What the vectors cannot say. `sluice codec test` runs the contract of all codecs first, then this file. */
import assert from 'node:assert/strict';
import test from 'node:test';
import type { Frame } from 'sluice/codec';
import { readFrames } from 'sluice/codec/testing';
import { encode } from './encoder.js';
import acme from './index.js';
import { KIND } from './spec.js';

const read = (bytes: Uint8Array): Frame => readFrames(acme, 'downstream', { maxFrameBytes: 65_536 }, bytes).frames[0];
const request = (name: string, body = 'hello'): Frame => read(encode({ kind: KIND.REQUEST, id: 7, name, body }));

test('a request is routed by what stands before and after the last dot of its name', () => {
  const frame = request('shop.Orders.create');
  assert.equal(acme.service(frame), 'shop.Orders');
  assert.equal(acme.method(frame), 'create');
});

test('a body may be longer than one byte of length can say', () => {
  assert.equal(request('Orders.create', 'x'.repeat(300)).sectionBytes('body'), 300);
});

test('a local reply carries the id, a status and the words of the failure', () => {
  const reply = read(acme.respond(request('Orders.create'), { status: 503, details: 'no healthy upstream' }));
  assert.equal(reply.id, 7n);
  assert.equal(acme.statusClass(acme.status(reply)), 503);
  assert.equal(Buffer.from(reply.section('body')).toString(), 'no healthy upstream');
});

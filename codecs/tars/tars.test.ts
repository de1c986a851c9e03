import assert from 'node:assert/strict';
import test from 'node:test';
import { frameWithId } from '../../src/protocol/codec.js';
import type { Frame } from '../../src/protocol/frame.js';
import { faultOf, frameOf, hex, kindOf, toHex } from '../../test/support/codec-frames.js';
import { FieldWriter, frameOf as framed } from './field-writer.js';
import tars from './index.js';

/** Fields that the tags 1 to 3 of a request are, then `id`, and the rest of a call of `a.b.c`. */
const request = ({ version = 1, type = 0, id = 5, name = 'echo', servant = 'a.b.c' } = {}): Uint8Array =>
  framed(
    new FieldWriter()
      .number(1, version)
      .number(2, type)
      .number(3, 0)
      .number(4, id)
      .text(5, servant)
      .text(6, name)
      .noBytes(7)
      .number(8, 3000)
      .map(9, [['k', 'v']])
      .map(10, []),
  );
const response = ({ version = 1, id = 5, ret = 0, desc = '' } = {}): Uint8Array =>
  framed(new FieldWriter().number(1, version).number(2, 0).number(3, id).number(4, 9).number(5, ret).noBytes(6).map(7, []).text(8, desc));
const fromClient = (bytes: Uint8Array): Frame => frameOf(tars, bytes);
const fromServer = (bytes: Uint8Array): Frame => frameOf(tars, bytes, {}, 'upstream');

test('A1: the id is tag 4 of a request and tag 3 of a response', () => {
  assert.equal(fromClient(request({ id: 77 })).id, 77n);
  assert.equal(fromServer(response({ id: 78 })).id, 78n);
  assert.equal(fromServer(response({ id: 78 })).field('messageType'), 9);
});

test('A2: a TUP response is a RequestPacket: the side tells it from a request', () => {
  const bytes = request({ version: 3 });
  assert.equal(kindOf(tars, fromClient(bytes)), 'request');
  assert.equal(kindOf(tars, fromServer(bytes), 'upstream'), 'response');
  assert.equal(kindOf(tars, fromServer(request({ version: 1 })), 'upstream'), 'unknown');
});

test('A2: a TUP request is answered with a RequestPacket whose status map has the result', () => {
  const answer = fromServer(tars.respond(fromClient(request({ version: 3 })), { status: 504, details: 'late' }));
  assert.equal(answer.variant, 'request');
  assert.equal(kindOf(tars, answer, 'upstream'), 'response');
  assert.equal(answer.id, 5n);
  assert.equal(tars.status(answer), -7);
  assert.equal(tars.service(answer), 'a.b.c');
});

test('A3: a result of any width tells a response', () => {
  for (const ret of [0, -3, -99, -1000, -100_000]) {
    const frame = fromServer(response({ ret }));
    assert.equal(kindOf(tars, frame), 'response');
    assert.equal(tars.status(frame), ret);
  }
});

test('A4: a ping is a heartbeat, answered as its server would', () => {
  const ping = fromClient(request({ id: 15, name: 'tars_ping' }));
  assert.equal(kindOf(tars, ping), 'heartbeat');
  assert.equal(toHex(tars.heartbeatAck(ping)), '0000001010012c300f4c5c6d000c780c', 'as captured of a TarsCpp server');
  const oneway = fromClient(request({ type: 1, name: 'tars_ping' }));
  assert.equal(tars.heartbeatAck(oneway).length, 0, 'a one-way ping wants no answer');
});

test('A5: only a push of _reconnect_ is a go-away', () => {
  assert.equal(kindOf(tars, fromServer(response({ id: 0, desc: '_reconnect_' }))), 'go-away');
  assert.equal(kindOf(tars, fromServer(response({ id: 0, desc: 'news' }))), 'response');
  assert.equal(kindOf(tars, fromServer(response({ id: 4, desc: '_reconnect_' }))), 'response');
  assert.equal(kindOf(tars, fromServer(tars.goAway())), 'go-away');
});

test('A6: an id of another width moves what follows and changes nothing else', () => {
  const frame = fromClient(request({ id: 5 }));
  for (const id of [1, 127, 128, -129, 40_000, 0x7fffffff, -1]) {
    const changed = fromClient(frameWithId(tars, frame, id, 0));
    assert.equal(changed.idLow, id);
    assert.equal(toHex(changed.section('context')), toHex(frame.section('context')));
    assert.equal(toHex(frameWithId(tars, changed, 5, 0)), toHex(request({ id: 5 })));
  }
});

test('A6: fields that nobody here knows are kept, also when headers change', () => {
  const later = new FieldWriter().text(11, 'later').number(20, 300).out.take();
  const known = request();
  const bytes = hex(`${(known.length + later.length).toString(16).padStart(8, '0')}${toHex(known.subarray(4))}${toHex(later)}`);
  const changed = tars.withHeaders(fromClient(bytes), new Map([['x', 'y']]));
  assert.ok(toHex(changed).endsWith(toHex(later)));
  assert.deepEqual(tars.headers(fromClient(changed)).entries(), [
    ['k', 'v'],
    ['x', 'y'],
  ]);
});

test('A7: seven bytes are enough to know Tars, of every version', () => {
  for (const version of ['01', '03', '05']) {
    assert.equal(tars.match(hex(`00100000 10 ${version} 2c`)), 'yes');
    assert.equal(tars.match(hex(`00100000 10 ${version}`)), 'more');
  }
  for (const other of ['00000010 10 00', '00000010 10 04', '00000010 80', '00000010 1001 3c', '01000000'])
    assert.equal(tars.match(hex(other)), 'no', other);
});

test('service, method and timeout are those of the packet', () => {
  const frame = fromClient(request());
  assert.deepEqual([tars.service(frame), tars.method(frame), tars.timeoutMs(frame)], ['a.b.c', 'echo', 3000]);
});

test('a response that had no context gets one', () => {
  const changed = fromServer(tars.withHeaders(fromServer(response()), new Map([['x', 'y']])));
  assert.equal(tars.headers(changed).get('x'), 'y');
  assert.equal(changed.field('ret'), 0);
});

test('a local reply says in iRet what went wrong', () => {
  const rets = [404, 503, 504, 502, 500].map((status) => tars.status(fromServer(tars.respond(fromClient(request()), { status, details: '' }))));
  assert.deepEqual(rets, [-4, -9, -7, -8, -99]);
  assert.deepEqual([0, ...rets].map(tars.statusClass), [200, 404, 503, 504, 502, 500]);
});

test('claims of huge counts and deep structs end at the bytes that are there', () => {
  const prefix = '1001 2c 3c 4c 5600 6600 7d000c 8c';
  const withLength = (body: string) => hex(`${(4 + hex(body).length).toString(16).padStart(8, '0')} ${body}`);
  assert.match(faultOf(tars, withLength(`${prefix} 98 027fffffff`)), /BAD_LENGTH/);
  assert.match(faultOf(tars, withLength(`${prefix} 98 00ff`)), /BAD_LENGTH/, 'a negative count');
  assert.match(faultOf(tars, withLength(`${prefix} b7 ffffffff`)), /BAD_LENGTH/);
  assert.match(faultOf(tars, withLength(`1001 2a ${'0a'.repeat(100_000)}`)), /TOO_DEEP/);
});

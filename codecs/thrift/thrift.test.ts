import assert from 'node:assert/strict';
import test from 'node:test';
import { faultOf, frameOf, framesOf, hex, kindOf, toHex } from '../../test/support/codec-frames.js';
import thrift, { encodeCall, STATUS } from './index.js';
import { MESSAGE_TYPE } from './spec.js';

const STRUCT = hex('0b 0001 00000002 6869 00');
const call = (name: string, seqid = 7) => frameOf(thrift, encodeCall(name, seqid, STRUCT));
const reply = (type: number, struct: string) => frameOf(thrift, encodeCall('echo', 7, hex(struct), type));

test('reads seqid behind a name of any length', () => {
  for (const name of ['', 'a', 'x'.repeat(300)]) {
    const frame = call(name, 0xfffffffe);
    assert.equal(frame.id, 0xfffffffen);
    assert.equal(toHex(frame.section('struct')), toHex(STRUCT));
  }
});

test('a multiplexed name is service and method, a plain one only a method', () => {
  assert.equal(thrift.service(call('Echo:say')), 'Echo');
  assert.equal(thrift.method(call('Echo:say')), 'say');
  assert.equal(thrift.service(call('say')), undefined);
  assert.equal(thrift.method(call('say')), 'say');
});

test('message types are kinds of frames', () => {
  const kinds = [MESSAGE_TYPE.CALL, MESSAGE_TYPE.REPLY, MESSAGE_TYPE.EXCEPTION, MESSAGE_TYPE.ONEWAY].map((type) => kindOf(thrift, reply(type, '00')));
  assert.deepEqual(kinds, ['request', 'response', 'response', 'oneway']);
});

test('tells success, exceptions of the service and those of the framework apart', () => {
  assert.equal(thrift.status(reply(MESSAGE_TYPE.REPLY, '0b 0000 00000000 00')), STATUS.SUCCESS);
  assert.equal(thrift.status(reply(MESSAGE_TYPE.REPLY, '00')), STATUS.SUCCESS, 'void');
  assert.equal(thrift.status(reply(MESSAGE_TYPE.REPLY, '0c 0001 00 00')), STATUS.DECLARED_EXCEPTION);
  assert.equal(thrift.status(reply(MESSAGE_TYPE.EXCEPTION, '00')), STATUS.APPLICATION_EXCEPTION);
  assert.deepEqual([0, 1, 2].map(thrift.statusClass), [200, 500, 200]);
});

test('answers with a TApplicationException of the same name and seqid', () => {
  const response = thrift.respond(call('echo'), { status: 503, details: 'full' });
  assert.equal(toHex(response), toHex(hex('00000023 80010003 00000004 6563686f 00000007 0b 0001 00000004 66756c6c 08 0002 00000006 00')));
  const unknown = thrift.respond(call('echo'), { status: 404, details: '' });
  assert.equal(toHex(unknown).slice(-10), '0000000100', 'UNKNOWN_METHOD');
});

test('the length of the frame is checked before a name is waited for', () => {
  assert.equal(faultOf(thrift, hex('7fffffff 80010001 00000004')), 'FRAME_TOO_LARGE at 8');
});

test('a call that is cut through shows name and seqid', () => {
  const bytes = encodeCall('echo', 9, new Uint8Array(1000));
  const [frame] = framesOf(thrift, bytes.subarray(0, 40), { cutThroughBytes: 100 });
  assert.equal(frame.isPartial, true);
  assert.equal(frame.id, 9n);
  assert.equal(thrift.method(frame), 'echo');
});

test('is told from the other protocols that begin with a length', () => {
  assert.equal(thrift.match(hex('00000010 8001 00 01')), 'yes');
  assert.equal(thrift.match(hex('00000010 8001 00')), 'more');
  for (const other of ['00000010 8001 00 02', '00000010 8221', '00000010 dabc', '00000010 1000', '01000000'])
    assert.equal(thrift.match(hex(other)), 'no', other);
});

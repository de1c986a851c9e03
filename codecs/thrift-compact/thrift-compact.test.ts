import assert from 'node:assert/strict';
import test from 'node:test';
import { frameWithId } from '../../src/protocol/codec.js';
import { frameOf, hex, kindOf, toHex } from '../../test/support/codec-frames.js';
import compact, { STATUS } from './index.js';

const CALL = '0000000d 82 21 07 04 6563686f 18 02 6869 00';
const reply = (type: number, struct: string) => {
  const body = `82 ${((type << 5) | 1).toString(16)} 07 04 6563686f ${struct}`;
  return frameOf(compact, hex(`${hex(body).length.toString(16).padStart(8, '0')} ${body}`));
};

test('reads name and seqid, which are varints', () => {
  const frame = frameOf(compact, hex(CALL));
  assert.equal(frame.id, 7n);
  assert.equal(compact.method(frame), 'echo');
  assert.equal(toHex(frame.section('struct')), '1802686900');
});

test('an id that needs more bytes makes the frame longer, and comes back', () => {
  const frame = frameOf(compact, hex(CALL));
  for (const [id, bytes] of [
    [1, 17],
    [300, 18],
    [-1, 21],
  ]) {
    const changed = frameOf(compact, frameWithId(compact, frame, id, 0));
    assert.equal(changed.length, bytes);
    assert.equal(changed.idLow, id);
    assert.equal(toHex(frameWithId(compact, changed, 7, 0)), toHex(hex(CALL)));
  }
});

test('message types are kinds of frames', () => {
  assert.deepEqual(
    [1, 2, 3, 4].map((type) => kindOf(compact, reply(type, '00'))),
    ['request', 'response', 'response', 'oneway'],
  );
});

test('tells success, exceptions of the service and those of the framework apart', () => {
  assert.equal(compact.status(reply(2, '08 00 00 00')), STATUS.SUCCESS);
  assert.equal(compact.status(reply(2, '00')), STATUS.SUCCESS, 'void');
  assert.equal(compact.status(reply(2, '1c 00 00')), STATUS.DECLARED_EXCEPTION);
  assert.equal(compact.status(reply(3, '00')), STATUS.APPLICATION_EXCEPTION);
});

test('answers with a TApplicationException of the same name and seqid', () => {
  const response = compact.respond(frameOf(compact, hex(CALL)), { status: 503, details: 'full' });
  assert.equal(toHex(response), toHex(hex('00000011 82 61 07 04 6563686f 18 04 66756c6c 15 0c 00')));
});

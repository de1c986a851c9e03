import assert from 'node:assert/strict';
import test from 'node:test';
import { frameWithId } from '../../src/protocol/codec.js';
import { faultOf, frameOf, hex, kindOf, toHex } from '../../test/support/codec-frames.js';
import dubboThrift from './index.js';

const MESSAGE = '80010001 00000004 6563686f 00000001 00';
/** Service `a`, and a path where there is one. */
const request = (path: string, id = '0123456789abcdef', message = MESSAGE): string => {
  const headerLen = 2 + 4 + 2 + 1 + 5 + hex(path).length + 8;
  const length = (headerLen + hex(message).length).toString(16).padStart(8, '0');
  return `${length} dabc ${length} ${headerLen.toString(16).padStart(4, '0')} 01 00000001 61 ${path} ${id} ${message}`;
};

test('finds the id from the end of the head, with and without a path before it', () => {
  for (const path of ['', '00000002 2f61', '00000000']) {
    const frame = frameOf(dubboThrift, hex(request(path)));
    assert.equal(frame.id, 0x0123456789abcdefn);
    assert.equal(dubboThrift.service(frame), 'a');
    assert.equal(dubboThrift.method(frame), 'echo');
    assert.equal(toHex(frame.section('path')), toHex(hex(path)));
  }
});

test('an id of 64 bits is replaced in place, all else kept', () => {
  const frame = frameOf(dubboThrift, hex(request('00000002 2f61')));
  assert.equal(toHex(frameWithId(dubboThrift, frame, 0xfffffff0 | 0, 0x80000000 | 0)), toHex(hex(request('00000002 2f61', '80000000fffffff0'))));
});

test('the type of the message inside says what a frame is', () => {
  const kinds = ['80010001', '80010002', '80010003', '80010004'].map((head) =>
    kindOf(dubboThrift, frameOf(dubboThrift, hex(request('', '0000000000000001', `${head} 00000000 00000001 00`)))),
  );
  assert.deepEqual(kinds, ['request', 'response', 'response', 'oneway']);
});

test('answers without a path, with a TApplicationException of the same name, seqid and id', () => {
  const response = dubboThrift.respond(frameOf(dubboThrift, hex(request('00000002 2f61'))), { status: 504, details: 'late' });
  const frame = frameOf(dubboThrift, response);
  assert.equal(toHex(frame.section('path')), '');
  assert.equal(frame.id, 0x0123456789abcdefn);
  assert.equal(frame.field('messageLen'), frame.field('frameLen'));
  assert.equal(toHex(frame.section('message')), toHex(hex('80010003 00000004 6563686f 00000001 0b 0001 00000004 6c617465 08 0002 00000006 00')));
  assert.equal(dubboThrift.status(frame), 1);
});

test('a head that wraps its 15 bits, or ends inside of its service, breaks the connection', () => {
  const wrapped = hex(request(''));
  wrapped[10] = 0x80;
  assert.equal(faultOf(dubboThrift, wrapped), 'BAD_HEADER_LEN at 10');
  const short = hex(request(''));
  short[16] = 2;
  assert.equal(faultOf(dubboThrift, short), 'BAD_LENGTH at 13');
});

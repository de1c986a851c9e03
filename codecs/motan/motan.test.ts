import assert from 'node:assert/strict';
import test from 'node:test';
import { faultOf, frameOf, hex, kindOf, toHex } from '../../test/support/codec-frames.js';
import motan from './index.js';
import { encodeMeta, readMeta } from './meta.js';

const request = (meta: string, { type = '00', serialize = '30' } = {}): Uint8Array => {
  const text = Buffer.from(meta);
  return hex(`f1f1 ${type} 08 ${serialize} 8000000000000005 ${text.length.toString(16).padStart(8, '0')} ${text.toString('hex')} 00000003 010203`);
};
const META = 'M_p\ncom.example.Echo\nM_m\necho\nM_tmo\n500';

test('service, method and timeout are entries of the meta map', () => {
  const frame = frameOf(motan, request(META));
  assert.deepEqual([motan.service(frame), motan.method(frame), motan.timeoutMs(frame)], ['com.example.Echo', 'echo', 500]);
  const empty = frameOf(motan, request(''));
  assert.deepEqual([motan.service(empty), motan.method(empty), motan.timeoutMs(empty)], [undefined, undefined, undefined]);
});

test('bits of the message type are kinds of frames', () => {
  const kinds = ['00', '02', '04', '01', '09', '10', '12', '11', '13'].map((type) => kindOf(motan, frameOf(motan, request('', { type }))));
  assert.deepEqual(kinds, ['request', 'request', 'oneway', 'response', 'response', 'heartbeat', 'heartbeat', 'heartbeat-ack', 'heartbeat-ack']);
});

test('a key without a value is left out, as is what the form cannot hold', () => {
  assert.deepEqual(readMeta(Buffer.from('a\n1\nb')), [['a', '1']]);
  assert.deepEqual(readMeta(Buffer.from('a\n\nb\n2')), [
    ['a', ''],
    ['b', '2'],
  ]);
  assert.equal(
    Buffer.from(
      encodeMeta([
        ['a', '1'],
        ['b', 'x\ny'],
        ['c', ''],
        ['d', '4'],
      ]),
    ).toString(),
    'a\n1\nd\n4',
  );
});

test('a change of headers keeps id, serialization and body', () => {
  const frame = frameOf(motan, motan.withHeaders(frameOf(motan, request(META)), new Map([['M_g', 'blue']])));
  assert.equal(motan.headers(frame).get('M_g'), 'blue');
  assert.equal(frame.id, 0x8000000000000005n);
  assert.equal(toHex(frame.section('body')), '010203');
  assert.equal(frame.field('serialize'), 6);
});

test('answers with an exception in the serialization of the request', () => {
  const frame = frameOf(motan, motan.respond(frameOf(motan, request(META, { serialize: '10' })), { status: 503, details: 'a\n"b"' }));
  assert.equal(motan.status(frame), 1);
  assert.equal(frame.field('serialize'), 2);
  assert.equal(motan.headers(frame).get('M_e'), '{"errcode":503,"errmsg":"a\\n\\"b\\"","errtype":0}');
});

test('lengths of meta and body are checked before either is waited for', () => {
  assert.equal(faultOf(motan, hex('f1f1 00 08 30 0000000000000001 00a00000')), 'FRAME_TOO_LARGE at 13');
  assert.equal(faultOf(motan, hex('f1f1 00 08 30 0000000000000001 00000000 00a00000')), 'FRAME_TOO_LARGE at 17');
});

test('version 1, which has the same magic, is another protocol', () => {
  assert.equal(motan.match(hex('f1f1 00 00')), 'no');
  assert.equal(motan.match(hex('f1f1 00 08')), 'yes');
  assert.equal(faultOf(motan, hex('f1f1 00 00 30')), 'BAD_VERSION at 3');
});

import assert from 'node:assert/strict';
import test from 'node:test';
import { frameWithId } from '../../src/protocol/codec.js';
import { faultOf, frameOf, hex, kindOf, toHex } from '../../test/support/codec-frames.js';
import { frameOf as framed } from './decoder.js';
import brpc from './index.js';

/** RpcMeta { request { service_name "S", method_name "m", timeout_ms 500 }, ...behind }. */
const REQUEST = '0a 09 0a 01 53 12 01 6d 40 f403';
const frame = (meta: string, body = '') => frameOf(brpc, framed(hex(meta), hex(body)));

test('service, method and timeout are in the request of the meta', () => {
  const request = frame(`${REQUEST} 20 07`);
  assert.equal(kindOf(brpc, request), 'request');
  assert.deepEqual([brpc.service(request), brpc.method(request), brpc.timeoutMs(request)], ['S', 'm', 500]);
});

test('a request that comes twice is merged as its server merges it', () => {
  const request = frame(`${REQUEST} 0a 03 0a 01 54 20 07`);
  assert.deepEqual([brpc.service(request), brpc.method(request)], ['T', 'm']);
});

test('correlation ids of all 64 bits are read and replaced, whatever stands around them', () => {
  for (const meta of [`${REQUEST} 20 07`, `20 07 ${REQUEST} 28 00`, `20 01 ${REQUEST} 20 07`]) {
    const request = frame(meta, 'aabb');
    assert.equal(request.id, 7n);
    const changed = frameOf(brpc, frameWithId(brpc, request, -2, -1));
    assert.equal(changed.id, 0xfffffffffffffffen);
    assert.equal(brpc.method(changed), 'm');
    assert.equal(toHex(changed.section('body')), 'aabb');
    assert.equal(frameOf(brpc, frameWithId(brpc, changed, 7, 0)).id, 7n);
  }
});

test('a correlation id that is not written is 0, and can be replaced all the same', () => {
  const request = frame(REQUEST);
  assert.equal(request.id, 0n);
  assert.equal(frameOf(brpc, frameWithId(brpc, request, 9, 0)).id, 9n);
});

test('a meta that is neither request nor response is unknown', () => assert.equal(kindOf(brpc, frame('20 07')), 'unknown'));

test('user fields are headers; a change keeps all else of the meta', () => {
  const request = frame(`${REQUEST} 4a 06 0a 01 6b 12 01 76 20 07 28 02`, 'aabb');
  assert.deepEqual(brpc.headers(request).entries(), [['k', 'v']]);
  const changed = frameOf(
    brpc,
    brpc.withHeaders(
      request,
      new Map([
        ['k', 'w'],
        ['x', 'é'],
      ]),
    ),
  );
  assert.deepEqual(brpc.headers(changed).entries(), [
    ['k', 'w'],
    ['x', 'é'],
  ]);
  assert.ok(toHex(changed.section('meta')).startsWith(toHex(hex(`${REQUEST} 20 07 28 02`))));
});

test('error codes are statuses', () => {
  const response = frame('12 03 08 f007 20 07');
  assert.equal(kindOf(brpc, response), 'response');
  assert.equal(brpc.status(response), 1008);
  assert.deepEqual([0, 1001, 1008, 1009, 2003, 2001, 7].map(brpc.statusClass), [200, 404, 504, 502, 503, 500, 500]);
});

test('answers with an error of the same correlation id', () => {
  const answer = brpc.respond(frame(`${REQUEST} 20 07`), { status: 504, details: 'late' });
  assert.equal(toHex(answer), toHex(hex('50525043 0000000d 0000000d 12 09 08 f007 12 04 6c617465 20 07')));
});

test('lengths are checked before their bytes are waited for, and a broken meta breaks the connection', () => {
  assert.equal(faultOf(brpc, hex('50525043 04000000')), 'FRAME_TOO_LARGE at 4');
  assert.equal(faultOf(brpc, hex('50525043 00000004 00000005')), 'BAD_LENGTH at 8');
  assert.equal(faultOf(brpc, framed(hex('12 02 08 80'), hex(''))), 'BAD_META at 14');
});

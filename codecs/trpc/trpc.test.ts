import assert from 'node:assert/strict';
import test from 'node:test';
import { frameWithId } from '../../src/protocol/codec.js';
import { faultOf, frameOf, hex, kindOf, toHex } from '../../test/support/codec-frames.js';
import trpc from './index.js';

/** request_id 7, timeout 500, callee "s", func "/s/m". */
const HEADER = '18 07 20 f403 32 01 73 3a 04 2f732f6d';
const bytes = (header: string, { body = '', streamId = '00000007', version = '01', type = '0000' } = {}): Uint8Array => {
  const [h, b] = [hex(header).length, hex(body).length];
  return hex(
    `0930 ${type} ${(16 + h + b).toString(16).padStart(8, '0')} ${h.toString(16).padStart(4, '0')} ${streamId} ${version} 00 ${header} ${body}`,
  );
};
const request = (header = HEADER, options = {}) => frameOf(trpc, bytes(header, options));
const response = (header: string) => frameOf(trpc, bytes(header), {}, 'upstream');

test('service, method and timeout are in the header', () => {
  const frame = request();
  assert.deepEqual([trpc.service(frame), trpc.method(frame), trpc.timeoutMs(frame)], ['s', '/s/m', 500]);
});

test('the side tells requests from responses, the call type one-way calls', () => {
  assert.equal(kindOf(trpc, request()), 'request');
  assert.equal(kindOf(trpc, response(HEADER), 'upstream'), 'response');
  assert.equal(kindOf(trpc, request(`10 01 ${HEADER}`)), 'oneway');
});

test('stream frames are not paired', () => {
  const frame = request('0a00', { type: '0101' });
  assert.equal(kindOf(trpc, frame), 'unknown');
  assert.equal(frame.hasId, false);
});

// trpc-go pairs by the header's request_id and echoes the head's stream id.
test('another id goes to the header and to the copy in the head', () => {
  const changed = frameOf(trpc, frameWithId(trpc, request(HEADER, { body: 'aa' }), 0x12345678, 0));
  assert.equal(changed.id, 0x12345678n);
  assert.equal(changed.field('streamId'), 0x12345678);
  assert.equal(toHex(changed.section('body')), 'aa');
  assert.equal(trpc.method(changed), '/s/m');
});

test('a head of version 0, which has no copy of the id, keeps its zero', () => {
  const changed = frameOf(trpc, frameWithId(trpc, request(HEADER, { streamId: '00000000', version: '00' }), 9, 0));
  assert.equal(changed.id, 9n);
  assert.equal(changed.field('streamId'), 0);
});

test('id 0 is not written, and can be replaced all the same', () => {
  const frame = request('32 01 73', { streamId: '00000000' });
  assert.equal(frame.id, 0n);
  const changed = frameOf(trpc, frameWithId(trpc, frame, 5, 0));
  assert.equal(changed.id, 5n);
  assert.equal(toHex(frameOf(trpc, frameWithId(trpc, changed, 0, 0)).section('header')), '320173');
});

test('the transmitted entries of requests (9) and responses (8) are headers', () => {
  const entry = '06 0a 01 6b 12 01 76';
  assert.deepEqual(trpc.headers(request(`${HEADER} 4a ${entry}`)).entries(), [['k', 'v']]);
  const frame = response(`18 07 42 ${entry}`);
  const changed = frameOf(trpc, trpc.withHeaders(frame, new Map([['x', 'y']])), {}, 'upstream');
  assert.deepEqual(trpc.headers(changed).entries(), [
    ['k', 'v'],
    ['x', 'y'],
  ]);
  assert.equal(changed.field('streamId'), 7);
});

test('the framework’s failures are statuses; a service’s own is an answer', () => {
  assert.equal(trpc.status(response('18 07 20 65')), 101);
  assert.equal(trpc.status(response('18 07')), 0);
  const own = trpc.status(response('18 07 28 914e'));
  assert.deepEqual([own, 0, 11, 101, 131, 141, 999].map(trpc.statusClass), [200, 200, 404, 504, 503, 502, 500]);
});

test('answers with the id, head and content type of the request', () => {
  const answer = trpc.respond(request(`${HEADER} 50 02`), { status: 504, details: 'late' });
  assert.equal(toHex(answer), toHex(bytes('18 07 20 65 32 04 6c617465 48 02')));
});

test('lengths are checked before their bytes are waited for, and a broken header breaks the connection', () => {
  assert.equal(faultOf(trpc, hex('0930 0000 00a00001')), 'FRAME_TOO_LARGE at 4');
  assert.equal(faultOf(trpc, hex('0930 0000 00000014 0005')), 'BAD_LENGTH at 8');
  assert.equal(faultOf(trpc, bytes('18 07 3a 7f')), 'BAD_HEADER at 18');
});

import assert from 'node:assert/strict';
import test from 'node:test';
import { CodecError } from '../../src/base/errors.js';
import { crc32 } from '../../src/protocol/crc32.js';
import { createFrameDecoder, DECODED, patchId } from '../../src/protocol/frame-decoder.js';
import { encodeFrame } from '../../src/protocol/frame-encoder.js';
import { faultOf, frameOf, framesOf, hex, kindOf, toHex } from '../../test/support/codec-frames.js';
import { editHeaderBlock } from './header-map.js';
import bolt, { createBolt } from './index.js';
import { framing } from './spec.js';

const CRC_REQUEST = '02 02 01 0001 01 00000001 01 01 00000bb8 0001 0000 00000001 41 4e 4947872c';
const block = (entries: Record<string, string>) => editHeaderBlock(hex(''), new Map(Object.entries(entries)));
const request = (variant: string, fields: Record<string, number> = {}, header: Record<string, string> = {}) =>
  encodeFrame(framing, {
    variant,
    fields: {
      cmdcode: 1,
      ver2: 1,
      requestId: 5,
      codec: 1,
      timeout: 3000,
      ...(variant === 'v1-request' ? { typeOrVer1: 1 } : { typeOfV2: 1 }),
      ...fields,
    },
    sections: { class: Buffer.from('C'), header: block(header), content: Buffer.from('content') },
  });
/** What `CodecError` a call throws. */
const thrown = (run: () => unknown): string => {
  try {
    run();
  } catch (cause) {
    if (cause instanceof CodecError) return `${cause.code} ${cause.scope}`;
    throw cause;
  }
  return 'none';
};

// Lengths are signed shorts in Java, which cuts the stream elsewhere than those who read them unsigned.
test('T1: rejects a class or header length of 0x8000 and more, and a negative content length', () => {
  for (const [what, v1, v2, offset] of [
    ['BAD_CLASS_LEN', '8000 0000 00000000', '8000 0000 00000000', 0],
    ['BAD_HEADER_LEN', '0000 8000 00000000', '0000 ffff 00000000', 2],
    ['BAD_CONTENT_LEN', '0000 0000 80000000', '0000 0000 ffffffff', 4],
  ] as const) {
    assert.equal(faultOf(bolt, hex(`01 01 0001 01 00000001 01 00000000 ${v1}`)), `${what} at ${14 + offset}`);
    assert.equal(faultOf(bolt, hex(`01 00 0002 01 00000001 01 0000 ${v1}`)), `${what} at ${12 + offset}`);
    assert.equal(faultOf(bolt, hex(`02 01 01 0001 01 00000001 01 00 00000000 ${v2}`)), `${what} at ${16 + offset}`);
    assert.equal(faultOf(bolt, hex(`02 01 00 0002 01 00000001 01 00 0000 ${v2}`)), `${what} at ${14 + offset}`);
  }
});

test('T1: takes a class and a header of 0x7fff bytes', () => {
  const frame = frameOf(
    bolt,
    encodeFrame(framing, {
      variant: 'v1-response',
      fields: { cmdcode: 2 },
      sections: { class: new Uint8Array(0x7fff), header: new Uint8Array(0x7fff) },
    }),
  );
  assert.equal(frame.length, 20 + 2 * 0x7fff);
});

test('T2: a checksum belongs to its frame, and the next frame follows', () => {
  const frames = framesOf(bolt, hex(`${CRC_REQUEST}${CRC_REQUEST}02 02 00 0002 01 00000001 01 01 0000 0000 0000 00000000 677293f7`));
  assert.deepEqual(
    frames.map(({ length }) => length),
    [30, 30, 26],
  );
  assert.equal(toHex(frames[0].section('content')), '4e');
});

test('T2: rejects a checksum that is wrong, at the checksum', () => {
  assert.equal(faultOf(bolt, hex(CRC_REQUEST.replace('41 4e', '41 4f'))), 'BAD_CHECKSUM at 26');
});

test('T3: another id gives another checksum', () => {
  const bytes = hex(CRC_REQUEST);
  const frame = frameOf(bolt, bytes);
  patchId(framing, bytes, 0, frame.ints, 0, 0x0102_0304, 0);
  assert.equal(toHex(bytes.subarray(26)), '46bc8b75');
  assert.equal(frameOf(bolt, bytes).id, 0x0102_0304n);
});

test('T3: a frame with other headers has its lengths and its checksum made anew', () => {
  for (const [variant, fields] of [
    ['v1-request', {}],
    ['v2-request', { typeOrVer1: 1, switch: 1 }],
    ['v2-request', { typeOrVer1: 2, switch: 0 }],
    ['v2-request', { typeOrVer1: 2, switch: 1 }],
  ] as const) {
    const before = frameOf(bolt, request(variant, fields, { a: '1', b: '2' }));
    const after = frameOf(
      bolt,
      bolt.withHeaders(
        before,
        new Map<string, string | undefined>([
          ['a', undefined],
          ['c', 'drei'],
        ]),
      ),
    );
    assert.deepEqual(
      [...bolt.headers(after).entries()],
      [
        ['b', '2'],
        ['c', 'drei'],
      ],
      variant,
    );
    assert.equal(toHex(after.section('class')), toHex(before.section('class')));
    assert.equal(toHex(after.section('content')), toHex(before.section('content')));
    assert.equal(after.id, before.id);
    assert.equal(
      toHex(bolt.withHeaders(after, new Map<string, string | undefined>([['c', undefined]]))),
      toHex(request(variant, fields, { b: '2' })),
    );
  }
});

test('T3: headers of a response change as well', () => {
  const before = frameOf(bolt, hex('02 02 00 0002 01 00000001 01 01 0000 0000 0000 00000000 677293f7'));
  const after = frameOf(bolt, bolt.withHeaders(before, new Map([['a', '1']])));
  assert.equal(bolt.headers(after).get('a'), '1');
  assert.equal(crc32(after.raw, 0, after.length - 4), Buffer.from(after.raw).readUInt32BE(after.length - 4));
});

test('T4: ver1 1 has no checksum, whatever the switch says', () => {
  assert.equal(frameOf(bolt, hex('02 01 01 0001 01 00000001 01 01 00000bb8 0001 0000 00000001 41 4e')).length, 26);
});

test('T5: content is never looked at', () => {
  const content = hex('4fbc6f90ff');
  const frame = frameOf(
    bolt,
    encodeFrame(framing, { variant: 'v1-request', fields: { cmdcode: 1, typeOrVer1: 1, ver2: 1, codec: 99 }, sections: { content } }),
  );
  assert.equal(toHex(frame.section('content')), toHex(content));
  assert.equal(bolt.service(frame), undefined);
});

test('T6: both versions follow each other on a connection', () => {
  const frames = framesOf(bolt, Buffer.concat([request('v1-request'), hex(CRC_REQUEST), request('v2-request'), bolt.heartbeat(1)]));
  assert.deepEqual(
    frames.map(({ variant }) => variant),
    ['v1-request', 'v2-request', 'v2-request', 'v1-request'],
  );
  assert.deepEqual(
    frames.map((frame) => kindOf(bolt, frame)),
    ['request', 'request', 'request', 'heartbeat'],
  );
});

test('T7: the proxy answers in the version, ver1 and serializer of the request, without a checksum', () => {
  const reply = { status: 404, details: 'no route' };
  assert.equal(
    toHex(bolt.respond(frameOf(bolt, request('v1-request', { codec: 11 })), reply)),
    toHex(hex('01 00 0002 01 00000005 0b 0006 0000 0000 00000000')),
  );
  assert.equal(
    toHex(bolt.respond(frameOf(bolt, request('v2-request', { typeOrVer1: 1 })), reply)),
    toHex(hex('02 01 00 0002 01 00000005 01 00 0006 0000 0000 00000000')),
  );
  assert.equal(toHex(bolt.respond(frameOf(bolt, hex(CRC_REQUEST)), reply)), toHex(hex('02 02 00 0002 01 00000001 01 00 0006 0000 0000 00000000')));
});

test("a local reply says what went wrong in the protocol's own numbers", () => {
  const asked = frameOf(bolt, request('v1-request'));
  const statusFor = (status: number) => bolt.status(frameOf(bolt, bolt.respond(asked, { status, details: '' })));
  assert.deepEqual([404, 403, 429, 503, 504, 502, 400, 500].map(statusFor), [6, 2, 4, 4, 7, 16, 9, 3]);
});

test('T8: a timeout of -1 is no bound, not 49 days', () => {
  assert.equal(bolt.timeoutMs(frameOf(bolt, request('v1-request', { timeout: -1 }))), -1);
  assert.equal(bolt.timeoutMs(frameOf(bolt, request('v2-request'))), 3000);
});

test('T9: heartbeats and their answers are kinds of their own, with the same id', () => {
  for (const heartbeat of [
    '01 01 0000 01 00000007 01 ffffffff 0000 0000 00000000',
    '02 01 01 0000 01 00000007 01 00 ffffffff 0000 0000 00000000',
    '02 02 01 0000 01 fffffff7 0b 00 ffffffff 0000 0000 00000000',
  ]) {
    const frame = frameOf(bolt, hex(heartbeat));
    assert.equal(kindOf(bolt, frame), 'heartbeat');
    const ack = frameOf(bolt, bolt.heartbeatAck(frame));
    assert.equal(kindOf(bolt, ack), 'heartbeat-ack');
    assert.equal(ack.id, frame.id);
    assert.equal(ack.variant, frame.variant.replace('request', 'response'));
    assert.equal(bolt.status(ack), 0);
  }
});

test('T9: generates the heartbeat of every peer', () => {
  assert.equal(toHex(bolt.heartbeat(7)), toHex(hex('01 01 0000 01 00000007 01 ffffffff 0000 0000 00000000')));
  assert.equal(toHex(bolt.heartbeatAck(frameOf(bolt, bolt.heartbeat(7)))), toHex(hex('01 00 0000 01 00000007 01 0000 0000 0000 00000000')));
  assert.equal(frameOf(bolt, bolt.heartbeat(-1)).id, 0xffff_ffffn);
});

test('one-way requests are told by their type', () => {
  assert.equal(kindOf(bolt, frameOf(bolt, request('v1-request', { typeOrVer1: 2 }))), 'oneway');
  assert.equal(kindOf(bolt, frameOf(bolt, request('v2-request', { typeOfV2: 2 }))), 'oneway');
});

test('T10: a go-away is honoured when it comes, and sent only where that is asked for', () => {
  const goAway = createBolt({ sendGoAway: true }).goAway?.();
  assert.ok(goAway);
  assert.equal(toHex(goAway), toHex(hex('01 01 0064 01 00000000 01 ffffffff 0000 0000 00000000')));
  assert.equal(kindOf(bolt, frameOf(bolt, goAway)), 'go-away');
  assert.equal('goAway' in bolt, false);
});

test('service and method come from the header map', () => {
  const frame = frameOf(bolt, request('v1-request', {}, { service: 'com.example.Hello:1.0', sofa_head_method_name: 'sayHello' }));
  assert.equal(bolt.service(frame), 'com.example.Hello:1.0');
  assert.equal(bolt.method(frame), 'sayHello');
  assert.equal(bolt.service(frameOf(bolt, request('v2-request', {}, { sofa_head_target_service: 'other:1.0' }))), 'other:1.0');
});

test('a header block that outgrows its length field fails its request alone', () => {
  const frame = frameOf(bolt, request('v1-request'));
  assert.equal(
    thrown(() => bolt.withHeaders(frame, new Map([['a', 'x'.repeat(0x7fff - 9)]]))),
    'none',
  );
  assert.equal(
    thrown(() => bolt.withHeaders(frame, new Map([['a', 'x'.repeat(0x7fff - 8)]]))),
    'HEADER_TOO_LARGE stream',
  );
});

test('headers of a frame that is cut through can be read and changed before its content is there', () => {
  const whole = request('v1-request', {}, { service: 's' });
  const frame = frameOf(bolt, whole.subarray(0, whole.length - 3), { cutThroughBytes: 24 });
  assert.equal(frame.isPartial, true);
  assert.equal(bolt.service(frame), 's');
  const changes = new Map([
    ['service', 'other'],
    ['x', 'y'],
  ]);
  const head = bolt.withHeaders(frame, changes);
  assert.equal(toHex(head) + toHex(Buffer.from('content')), toHex(bolt.withHeaders(frameOf(bolt, whole), changes)));
});

test('a status counts as the HTTP status that means the same', () => {
  assert.deepEqual(
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 17, 18, 10].map(bolt.statusClass),
    [200, 500, 500, 500, 503, 500, 500, 504, 500, 500, 502, 500, 500, 500],
  );
});

for (const [what, text, fault] of [
  ['T11: the TR protocol', '0d 01 00', 'BAD_PROTO at 0'],
  ['a type that does not exist in version 1', '01 03 00', 'BAD_TYPE_OR_VER1 at 1'],
  ['a type that does not exist in version 2', '02 01 03', 'BAD_TYPE_OF_V2 at 2'],
  ['ver1 0, for whose frames Java waits for ever', '02 00 01', 'UNKNOWN_VARIANT at 0'],
  ['ver1 3', '02 03 01', 'BAD_TYPE_OR_VER1 at 1'],
  ['T10: cmdcode 3', '01 01 0003 01 00000001 01 00000000 0000 0000 00000000', 'BAD_CMDCODE at 3'],
  ['T10: cmdcode 257', '01 01 0101 01', 'UNKNOWN_VARIANT at 0'],
  ['T10: cmdcode 257 of version 2', '02 01 01 0101 01', 'BAD_CMDCODE at 3'],
  ['switch 2', '02 01 01 0001 01 00000001 01 02', 'BAD_SWITCH at 11'],
  ['switch 0x80', '02 02 00 0002 01 00000001 01 80', 'BAD_SWITCH at 11'],
] as const) {
  test(`rejects ${what}`, () => assert.equal(faultOf(bolt, hex(text)), fault));
}

test('a cmdcode in a frame of the wrong type is no kind of frame', () => {
  for (const text of [
    '01 01 0002 01 00000001 01 00000000 0000 0000 00000000',
    '01 02 0000 01 00000001 01 00000000 0000 0000 00000000',
    '01 00 0001 01 00000001 01 0000 0000 0000 00000000',
    '02 01 00 0064 01 00000001 01 00 0000 0000 0000 00000000',
  ]) {
    assert.equal(kindOf(bolt, frameOf(bolt, hex(text))), 'unknown');
  }
});

test('T12: a frame is there as soon as its last byte is, and not before; more may follow it in one read', () => {
  const frame = hex(CRC_REQUEST);
  const decode = createFrameDecoder('bolt', framing, { maxFrameBytes: 1024 });
  const ints = new Int32Array(framing.tableWords);
  for (let length = 0; length <= frame.length; length++) {
    assert.equal(decode(frame, 0, length, ints, 0), length < frame.length ? DECODED.MORE : DECODED.WHOLE, `${length} bytes`);
  }
  assert.equal(framesOf(bolt, Buffer.concat(Array.from({ length: 100 }, () => frame))).length, 100);
});

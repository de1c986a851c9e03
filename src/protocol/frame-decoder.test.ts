import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CodecError, ConfigError } from '../base/errors.js';
import { crc32 } from './crc32.js';
import { Frame } from './frame.js';
import { createFrameDecoder, DECODED, type FrameLimits, hasChecksum, patchId } from './frame-decoder.js';
import { bits, type FrameLayout, fixed, frameLayout, i8, i16, i32, i64, type LayoutDescription, u8, u16, u24, u32, u64 } from './frame-layout.js';
import { FRAME, FRAME_KIND } from './frame-table.js';

const LIMITS: FrameLimits = { maxFrameBytes: 1024 };
const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));

interface Seen {
  readonly found: number;
  readonly frame: Frame;
}
function decode(layout: FrameLayout | LayoutDescription, input: string | Uint8Array, limits: FrameLimits = LIMITS): Seen {
  const known = 'slot' in layout ? layout : frameLayout(layout);
  const bytes = typeof input === 'string' ? hex(input) : input;
  const ints = new Int32Array(known.tableWords).fill(-7);
  const found = createFrameDecoder('test', known, limits)(bytes, 0, bytes.length, ints, 0);
  return { found, frame: new Frame(known, bytes, ints) };
}
/** The frame, which must be whole. */
function whole(layout: FrameLayout | LayoutDescription, input: string | Uint8Array, limits?: FrameLimits): Frame {
  const { found, frame } = decode(layout, input, limits);
  assert.equal(found, DECODED.WHOLE);
  return frame;
}
const fails = (layout: FrameLayout | LayoutDescription, input: string | Uint8Array, code: string, offset: number, limits?: FrameLimits) =>
  assert.throws(
    () => decode(layout, input, limits),
    (error) => {
      assert.ok(error instanceof CodecError);
      assert.deepEqual({ protocol: error.protocol, code: error.code, offset: error.offset }, { protocol: 'test', code, offset });
      return true;
    },
  );
const needsMore = (layout: FrameLayout | LayoutDescription, input: string | Uint8Array, limits?: FrameLimits) =>
  assert.equal(decode(layout, input, limits).found, DECODED.MORE);
const refused = (description: LayoutDescription, text: RegExp) =>
  assert.throws(
    () => frameLayout(description),
    (error) => error instanceof ConfigError && text.test(error.message),
  );

/** Magic, length of the body, id. */
const SIMPLE = frameLayout({
  fields: { magic: u8(0, { equals: 0x4b }), bodyBytes: u16(1), id: u32(3) },
  length: fixed(7).plus('bodyBytes'),
  sections: { body: 'bodyBytes' },
  id: 'id',
  kind: [{ is: 'request' }],
});

test('a frame is whole when its length is there, and not a byte before', () => {
  const bytes = hex('4b 0003 00000009 616263');
  for (let end = 0; end < bytes.length; end++) needsMore(SIMPLE, bytes.subarray(0, end));
  const frame = whole(SIMPLE, bytes);
  assert.equal(frame.length, 10);
  assert.equal(frame.isPartial, false);
  assert.equal(frame.variant, '');
  assert.equal(frame.kind, FRAME_KIND.REQUEST);
  assert.equal(Buffer.from(frame.section('body')).toString(), 'abc');
  assert.equal(frame.id, 9n);
  assert.equal(frame.ints[FRAME.ID_AT], 3);
});

test('bytes of the next frame are left alone', () => {
  const frame = whole(SIMPLE, '4b 0001 00000009 61 4b 0001');
  assert.equal(frame.raw.length, 8);
});

test('a frame in the middle of the input tells offsets from its own start', () => {
  const bytes = hex('ffff 4b 0001 00000009 61 ff');
  const ints = new Int32Array(SIMPLE.tableWords + 3);
  assert.equal(createFrameDecoder('test', SIMPLE, LIMITS)(bytes, 2, bytes.length, ints, 3), DECODED.WHOLE);
  const frame = new Frame(SIMPLE, bytes, ints, 3);
  assert.equal(frame.ints[3 + FRAME.START], 2);
  assert.equal(frame.sectionStart('body'), 7);
  assert.equal(Buffer.from(frame.section('body')).toString(), 'a');
  assert.deepEqual([...ints.subarray(0, 3)], [0, 0, 0], 'words before the table are left alone');
});

test('a decoder keeps nothing from one frame to the next', () => {
  const decoder = createFrameDecoder('test', SIMPLE, LIMITS);
  const ints = new Int32Array(SIMPLE.tableWords);
  assert.equal(decoder(hex('4b 0001 00000009 61'), 0, 8, ints, 0), DECODED.WHOLE);
  assert.equal(decoder(hex('4b'), 0, 1, ints, 0), DECODED.MORE);
  assert.equal(ints[SIMPLE.tableWords - 2], 0);
});

test('a value that is not allowed is an error at its field', () => {
  fails(SIMPLE, '4c', 'BAD_MAGIC', 0);
  const layout: LayoutDescription = { fields: { size: u8(0), frameKind: u8(2, { oneOf: [1, 5] }) }, length: fixed(3) };
  fails(layout, '00 00 02', 'BAD_FRAME_KIND', 2);
  assert.equal(whole(layout, '00 00 05').field('frameKind'), 5);
});

test('a field may allow names, of which its value is the index', () => {
  const layout: LayoutDescription = { fields: { kind: u8(0, { oneOf: ['request', 'response', 'heartbeat'] }) }, length: fixed(1), kind: 'kind' };
  assert.equal(whole(layout, '01').kind, FRAME_KIND.RESPONSE);
  assert.equal(whole(layout, '02').kind, FRAME_KIND.HEARTBEAT);
  fails(layout, '03', 'BAD_KIND', 0);
});

test('a range holds both of its ends', () => {
  const layout: LayoutDescription = { fields: { level: i8(0, { min: -2, max: 3 }) }, length: fixed(1) };
  for (const good of ['fe', '00', '03']) whole(layout, good);
  for (const wrong of ['fd', '04', '80']) fails(layout, wrong, 'BAD_LEVEL', 0);
  fails({ fields: { level: u32(0, { max: 5 }) }, length: fixed(4) }, 'ffffffff', 'BAD_LEVEL', 0);
  fails({ fields: { level: u8(0, { min: 5 }) }, length: fixed(1) }, '04', 'BAD_LEVEL', 0);
});

test('integers of every width, sign and byte order', () => {
  const bytes = '8182 838485868788 898a8b8c8d8e8f90';
  const one = (field: ReturnType<typeof u8>) => whole({ fields: { field }, length: fixed(16) }, bytes).bigField('field');
  assert.equal(one(u8(0)), 0x81n);
  assert.equal(one(i8(0)), 0x81n - 0x100n);
  assert.equal(one(u16(0)), 0x8182n);
  assert.equal(one(u16(0, { endian: 'little' })), 0x8281n);
  assert.equal(one(i16(0)), 0x8182n - 0x1_0000n);
  assert.equal(one(i16(0, { endian: 'little' })), 0x8281n - 0x1_0000n);
  assert.equal(one(u24(1)), 0x828384n);
  assert.equal(one(u24(1, { endian: 'little' })), 0x848382n);
  assert.equal(one(u32(2)), 0x83848586n);
  assert.equal(one(u32(2, { endian: 'little' })), 0x86858483n);
  assert.equal(one(i32(2)), 0x83848586n - 0x1_0000_0000n);
  assert.equal(one(i32(2, { endian: 'little' })), 0x86858483n - 0x1_0000_0000n);
  assert.equal(one(u64(8)), 0x898a8b8c8d8e8f90n);
  assert.equal(one(u64(8, { endian: 'little' })), 0x908f8e8d8c8b8a89n);
  assert.equal(one(i64(8)), 0x898a8b8c8d8e8f90n - 2n ** 64n);
  assert.equal(one(i64(8, { endian: 'little' })), 0x908f8e8d8c8b8a89n - 2n ** 64n);
});

test('`at` gives numbers of at most 32 bits with their sign', () => {
  const layout = frameLayout({ fields: { small: i16(0), large: u32(2) }, length: fixed(6) });
  const frame = whole(layout, 'fffe ffffffff');
  assert.equal(frame.at(layout.slot('small')), -2);
  assert.equal(frame.at(layout.slot('large')), 0xffff_ffff);
});

test('bits of a byte and of a wider field', () => {
  const layout: LayoutDescription = {
    fields: { high: bits(0, 5, 3), low: bits(0, 0, 2), flag: bits(0, 2, 1, { equals: 1 }), middle: u16(1, { bits: { shift: 4, count: 8 } }) },
    length: fixed(3),
  };
  const frame = whole(layout, 'a6 1234');
  assert.deepEqual(
    ['high', 'low', 'flag', 'middle'].map((name) => frame.field(name)),
    [5, 2, 1, 0x23],
  );
  fails(layout, 'a2 1234', 'BAD_FLAG', 0);
});

const TWO = frameLayout({
  prefix: { version: u8(0), type: u8(1) },
  variants: [
    { name: 'ask', when: { type: [1, 3] }, fields: { size: u8(2), id: u16(3) }, length: fixed(5).plus('size'), id: 'id', kind: [{ is: 'request' }] },
    { name: 'tell', when: { version: 7, type: 2 }, fields: { flags: u32(2), size: u16(6) }, length: fixed(8).plus('size') },
  ],
});

test('the first variant that fits reads the frame', () => {
  const ask = whole(TWO, '00 03 00 0102');
  assert.equal(ask.variant, 'ask');
  assert.equal(ask.idLow, 0x0102);
  const tell = whole(TWO, '07 02 01020304 0001 ff');
  assert.equal(tell.variant, 'tell');
  assert.equal(tell.field('flags'), 0x01020304);
  assert.equal(tell.hasId, false);
  assert.equal(tell.kind, FRAME_KIND.UNKNOWN);
});

test('fields that a variant has not are 0', () => assert.equal(whole(TWO, '00 03 00 0102').field('flags'), 0));

test('a frame of no variant is UNKNOWN_VARIANT at byte 0, as soon as the prefix is there', () => {
  needsMore(TWO, '00');
  fails(TWO, '00 02', 'UNKNOWN_VARIANT', 0);
  fails(TWO, '00 04', 'UNKNOWN_VARIANT', 0);
});

test('a length over the limit is FRAME_TOO_LARGE at the field that made it so, before the rest is there', () => {
  fails(SIMPLE, '4b 0004', 'FRAME_TOO_LARGE', 1, { maxFrameBytes: 10 });
  needsMore(SIMPLE, '4b 0003', { maxFrameBytes: 10 });
  fails({ fields: { size: u32(0), kind: u8(4) }, length: fixed(0).plusScaled('size', 65_536) }, 'ffffffff', 'FRAME_TOO_LARGE', 0);
});

test('a length below the fields is BAD_LENGTH at the field that made it so', () => {
  const layout: LayoutDescription = { fields: { size: u8(0), id: u32(1) }, length: fixed(0).plus('size') };
  fails(layout, '04', 'BAD_LENGTH', 0);
  whole(layout, '05 00000000');
});

test('a length that does not reach the end of a field at a place found before is BAD_LENGTH', () => {
  const layout: LayoutDescription = { fields: { gap: u8(0), id: u16(fixed(2).plus('gap')), size: u8(1) }, length: fixed(0).plus('size'), id: 'id' };
  fails(layout, '04 07 00000000 abcd', 'BAD_LENGTH', 1);
  assert.equal(whole(layout, '04 08 00000000 abcd').idLow, 0xabcd);
});

test('terms may be scaled, and taken off', () => {
  const layout: LayoutDescription = {
    fields: { words: u8(0), pad: u8(1) },
    length: fixed(2).plusScaled('words', 4).plusScaled('pad', -1),
    sections: { body: fixed(0).plusScaled('words', 4).plusScaled('pad', -1) },
  };
  const frame = whole(layout, '02 03 0102030405');
  assert.equal(frame.length, 7);
  assert.equal(frame.sectionBytes('body'), 5);
  fails(layout, '00 03', 'BAD_LENGTH', 1);
});

test('a signed length below 0 is BAD_LENGTH', () => {
  const layout: LayoutDescription = { fields: { a: i16(0), b: u8(2) }, length: fixed(3).plus('a'), sections: { body: 'a' } };
  fails(layout, 'ffff', 'BAD_LENGTH', 0);
  fails({ fields: { a: i16(0), b: i16(2) }, length: fixed(4).plus('a', 'b'), sections: { a: 'a', b: 'b' } }, 'fffe 0002', 'BAD_LENGTH', 2);
});

test('sections follow each other, and the rest takes what is left', () => {
  const layout: LayoutDescription = {
    fields: { total: u8(0), first: u8(1), second: u8(2) },
    length: fixed(0).plus('total'),
    sections: { one: 'first', two: fixed(1).plus('second'), three: 'rest' },
  };
  const frame = whole(layout, '09 02 01 a1a2 b1b2 c1c2 ff');
  assert.deepEqual(
    ['one', 'two', 'three'].map((name) => Buffer.from(frame.section(name)).toString('hex')),
    ['a1a2', 'b1b2', 'c1c2'],
  );
  fails(layout, '09 05 01', 'BAD_LENGTH', 2);
  fails(layout, '09 ff 01', 'BAD_LENGTH', 2);
  assert.equal(whole(layout, '07 02 01 a1a2 b1b2').sectionBytes('three'), 0);
});

test('sections may start at an expression, inside the frame', () => {
  const layout: LayoutDescription = {
    fields: { total: u8(0), headWords: u8(1) },
    length: fixed(0).plus('total'),
    sections: { body: 'rest' },
    sectionsAt: fixed(0).plusScaled('headWords', 4),
  };
  const frame = whole(layout, '06 01 ffff 6162');
  assert.equal(Buffer.from(frame.section('body')).toString(), 'ab');
  fails(layout, '06 02', 'BAD_LENGTH', 1);
});

test('bytes behind the last section belong to none', () => {
  const layout: LayoutDescription = { fields: { total: u8(0), a: u8(1) }, length: fixed(0).plus('total'), sections: { a: 'a' } };
  const frame = whole(layout, '05 01 aa bbcc');
  assert.equal(frame.length, 5);
  assert.equal(frame.sectionBytes('a'), 1);
});

test('a field may stand where earlier fields say', () => {
  const layout: LayoutDescription = {
    fields: { total: u8(0), skip: u8(1), id: u16(fixed(2).plus('skip')) },
    length: fixed(0).plus('total'),
    id: 'id',
  };
  const frame = whole(layout, '06 02 0000 0a0b');
  assert.equal(frame.idLow, 0x0a0b);
  assert.equal(frame.ints[FRAME.ID_AT], 4);
  needsMore(layout, '06 02 0000 0a');
  fails(layout, '06 03', 'BAD_LENGTH', 1);
});

test('a field that stands before the frame is BAD_LENGTH at the one that says so', () => {
  const layout: LayoutDescription = { fields: { back: u8(0), value: u8(fixed(1).plusScaled('back', -1)) }, length: fixed(4) };
  fails(layout, '02', 'BAD_LENGTH', 0);
  assert.equal(whole(layout, '01 00 00 00').field('value'), 1);
});

test('a field may stand so far before where earlier fields say', () => {
  const layout: LayoutDescription = {
    fields: { headBytes: u8(0), id: u16(fixed(-2).plus('headBytes')) },
    length: fixed(0).plus('headBytes'),
    id: 'id',
  };
  assert.equal(whole(layout, '04 00 1234').idLow, 0x1234);
  fails(layout, '01', 'BAD_LENGTH', 0);
});

test('a field that stands over the limit is FRAME_TOO_LARGE while the length is not known', () => {
  const layout: LayoutDescription = { fields: { far: u16(0), size: u16(fixed(2).plus('far')) }, length: fixed(4).plus('far', 'size') };
  fails(layout, '03fd', 'FRAME_TOO_LARGE', 0);
  needsMore(layout, '03fc');
});

const CHECKED = frameLayout({
  fields: { size: u8(0), isChecked: bits(1, 0, 1), id: u64(2) },
  length: fixed(10).plus('size'),
  sections: { body: 'rest' },
  id: 'id',
  checksum: { algorithm: 'crc32', when: { isChecked: 1 } },
});
function checked(body: string): Uint8Array {
  const bytes = hex(`${(body.length / 2).toString(16).padStart(2, '0')} 01 0000000000000001 ${body} 00000000`);
  new DataView(bytes.buffer).setUint32(bytes.length - 4, crc32(bytes, 0, bytes.length - 4));
  return bytes;
}

test('crc32 gives the check value of its definition', () => assert.equal(crc32(Buffer.from('123456789')), 0xcbf4_3926));

test('a checksum is not part of the length or the last section', () => {
  const frame = whole(CHECKED, checked('aabb'));
  assert.equal(frame.length, 16);
  assert.equal(frame.sectionBytes('body'), 2);
  assert.equal(hasChecksum(CHECKED, frame.ints, 0), true);
  const plain = whole(CHECKED, '01 00 0000000000000001 aa');
  assert.equal(plain.length, 11);
  assert.equal(hasChecksum(CHECKED, plain.ints, 0), false);
});

test('a wrong checksum is BAD_CHECKSUM where it stands, when all of the frame is there', () => {
  const bytes = checked('aabb');
  bytes[10] ^= 1;
  needsMore(CHECKED, bytes.subarray(0, -1));
  fails(CHECKED, bytes, 'BAD_CHECKSUM', 12);
});

test('a checksum counts for the limit', () => {
  fails(CHECKED, checked('aabb'), 'FRAME_TOO_LARGE', 1, { maxFrameBytes: 15 });
  whole(CHECKED, checked('aabb'), { maxFrameBytes: 16 });
});

test('a large frame is shown before its last section is there', () => {
  const limits = { maxFrameBytes: 1024, cutThroughBytes: 10 };
  const bytes = hex('4b 0004 00000009 61626364');
  needsMore(SIMPLE, bytes.subarray(0, 6), limits);
  const { found, frame } = decode(SIMPLE, bytes.subarray(0, 8), limits);
  assert.equal(found, DECODED.PARTIAL);
  assert.equal(frame.isPartial, true);
  assert.equal(frame.length, 11);
  assert.equal(frame.raw.length, 7);
  assert.equal(frame.section('body').length, 0);
  assert.equal(frame.sectionBytes('body'), 4);
  assert.equal(decode(SIMPLE, bytes, limits).found, DECODED.WHOLE);
});

test('cut-through leaves frames alone that are small, have a checksum or no section', () => {
  needsMore(SIMPLE, '4b 0004 00000009', { maxFrameBytes: 1024, cutThroughBytes: 11 });
  needsMore(SIMPLE, '4b 0004 00000009', { maxFrameBytes: 1024, cutThroughBytes: 0 });
  needsMore(CHECKED, checked('aabb').subarray(0, 13), { maxFrameBytes: 1024, cutThroughBytes: 1 });
  needsMore({ fields: { size: u8(0) }, length: fixed(1).plus('size') }, '09 00', { maxFrameBytes: 1024, cutThroughBytes: 1 });
});

test('of a frame that is cut through, all fields are shown', () => {
  const layout: LayoutDescription = {
    fields: { size: u8(0), id: u16(fixed(2).plus('size')) },
    length: fixed(8).plus('size'),
    sections: { body: 'rest' },
    sectionsAt: fixed(1),
    id: 'id',
  };
  const limits = { maxFrameBytes: 1024, cutThroughBytes: 1 };
  needsMore(layout, '02 0000 00 01', limits);
  const { found, frame } = decode(layout, '02 0000 00 0102', limits);
  assert.equal(found, DECODED.PARTIAL);
  assert.equal(frame.raw.length, 6);
});

test('the first kind whose condition holds is what a frame is', () => {
  const layout: LayoutDescription = {
    fields: { type: u8(0), code: u8(1) },
    length: fixed(2),
    kind: [
      { is: 'heartbeat', when: { type: 1, code: 0 } },
      { is: 'request', when: { type: [1, 2] } },
      { is: 'response', when: { type: 3 } },
    ],
  };
  assert.equal(whole(layout, '01 00').kind, FRAME_KIND.HEARTBEAT);
  assert.equal(whole(layout, '01 01').kind, FRAME_KIND.REQUEST);
  assert.equal(whole(layout, '02 00').kind, FRAME_KIND.REQUEST);
  assert.equal(whole(layout, '03 00').kind, FRAME_KIND.RESPONSE);
  assert.equal(whole(layout, '04 00').kind, FRAME_KIND.UNKNOWN);
});

test('an id of 64 bits keeps all of them', () => {
  const frame = whole(CHECKED, '00 00 fedcba9876543210');
  assert.equal(frame.id, 0xfedc_ba98_7654_3210n);
  assert.equal(frame.idHigh, 0xfedc_ba98 | 0);
  assert.equal(frame.idLow, 0x7654_3210);
});

test('another id is written in the byte order of its field, and the checksum anew', () => {
  const frame = whole(CHECKED, checked('aabb'));
  patchId(CHECKED, frame.bytes, 0, frame.ints, 0, 0x55667788, 0x11223344);
  assert.equal(Buffer.from(frame.bytes).subarray(2, 10).toString('hex'), '1122334455667788');
  assert.equal(whole(CHECKED, frame.bytes).id, 0x1122_3344_5566_7788n);
  const little = frameLayout({ fields: { id: u16(0, { endian: 'little' }) }, length: fixed(2), id: 'id' });
  const other = whole(little, '0000');
  patchId(little, other.bytes, 0, other.ints, 0, 0xabcd, 0);
  assert.equal(Buffer.from(other.bytes).toString('hex'), 'cdab');
});

test('a frame without an id is not patched', () => {
  const frame = whole(TWO, '07 02 01020304 0000');
  patchId(TWO, frame.bytes, 0, frame.ints, 0, -1, -1);
  assert.equal(Buffer.from(frame.bytes).toString('hex'), '0702010203040000');
});

test('fields of the same name may have another width in each variant', () => {
  const layout: LayoutDescription = {
    prefix: { type: u8(0) },
    variants: [
      { name: 'short', when: { type: 1 }, fields: { size: u8(1) }, length: fixed(2).plus('size') },
      { name: 'long', when: { type: 2 }, fields: { size: u32(1) }, length: fixed(5).plus('size') },
    ],
  };
  assert.equal(whole(layout, '01 01 ff').length, 3);
  assert.equal(whole(layout, '02 00000001 ff').length, 6);
});

for (const [what, description, text] of [
  ['no fields', { fields: {}, length: fixed(4) }, /has no field/],
  ['a length of a field that is not there', { fields: { a: u8(0) }, length: fixed(1).plus('b') }, /need b/],
  ['a length of 8 bytes', { fields: { a: u64(0) }, length: fixed(8).plus('a') }, /cannot be a length/],
  [
    'a length of 8 bytes, though another variant has fewer',
    {
      prefix: { t: u8(0) },
      variants: [
        { when: { t: 1 }, fields: { a: u64(1) }, length: fixed(9).plus('a') },
        { fields: { a: u8(1) }, length: fixed(2) },
      ],
    },
    /cannot be a length/,
  ],
  ['a place that needs a later field', { fields: { a: u8(fixed(1).plus('b')), b: u8(0) }, length: fixed(2) }, /not declared before/],
  ['a field that the prefix has', { prefix: { t: u8(0) }, variants: [{ fields: { t: u16(0) }, length: fixed(2) }] }, /prefix already/],
  ['a field before the frame', { fields: { a: u8(-1) }, length: fixed(1) }, /out of the first/],
  ['a scale of 0', { fields: { a: u8(0) }, length: fixed(1).plusScaled('a', 0) }, /scale/],
  ['a rest that is not the last section', { fields: { a: u8(0) }, length: fixed(4), sections: { b: 'rest', c: 'a' } }, /rest/],
  ['an id of one byte', { fields: { a: u8(0) }, length: fixed(1), id: 'a' }, /id/],
  ['bits beyond the field', { fields: { a: bits(0, 6, 3) }, length: fixed(1) }, /bits/],
  ['bits of 8 bytes', { fields: { a: u64(0, { bits: { shift: 0, count: 8 } }) }, length: fixed(8) }, /bits/],
  ['values and a range at once', { fields: { a: u8(0, { oneOf: [1], max: 2 }) }, length: fixed(1) }, /both/],
  ['values that are not whole', { fields: { a: u8(0, { equals: 1.5 }) }, length: fixed(1) }, /whole/],
  ['conditions that are not whole', { fields: { a: u8(0) }, length: fixed(1), kind: [{ is: 'request', when: { a: 0.5 } }] }, /whole/],
  ['a check of 8 bytes', { fields: { a: u64(0, { min: 1 }) }, length: fixed(8) }, /cannot be checked/],
  ['a place that is not whole', { fields: { a: u8(0.5) }, length: fixed(1) }, /out of the first/],
] as const satisfies readonly (readonly [string, LayoutDescription, RegExp])[])
  test(`a layout with ${what} is refused`, () => refused(description, text));

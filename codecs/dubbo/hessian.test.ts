import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import test from 'node:test';
import fc from 'fast-check';
import { CodecError } from '../../src/base/errors.js';
import { hex, toHex } from '../../test/support/codec-frames.js';
import { encodeHessianString, HESSIAN_LIMIT, HessianReader } from './hessian.js';

interface Encoder {
  write(value: unknown): Encoder;
  get(): Buffer;
}
/** The oracle: another implementation. */
const hessian: {
  EncoderV2: new () => Encoder;
  DecoderV2: new (bytes: Buffer) => { read(): unknown };
} = createRequire(import.meta.url)('hessian.js');

/** Code of what reading throws. */
function thrown(run: () => unknown): string {
  try {
    run();
  } catch (cause) {
    if (cause instanceof CodecError) return `${cause.code} ${cause.scope}`;
    throw cause;
  }
  return 'none';
}
const skipOf = (bytes: Uint8Array): number => {
  const reader = new HessianReader(bytes);
  reader.skipValue();
  return reader.at;
};
/** Skips every value of `bytes`, and takes exactly all of them. */
function skipAll(bytes: Uint8Array, count: number): void {
  const reader = new HessianReader(bytes);
  for (let i = 0; i < count; i++) reader.skipValue();
  assert.equal(reader.at, bytes.length, toHex(bytes));
}

for (const [what, text] of [
  ['null', '4e'],
  ['true', '54'],
  ['int of 1 byte', '80'],
  ['int of 2 bytes', 'c800'],
  ['int of 3 bytes', 'd40000'],
  ['int of 5 bytes', '49 00000000'],
  ['long of 1 byte', 'e0'],
  ['long of 2 bytes', 'f800'],
  ['long of 3 bytes', '3c0000'],
  ['long of 5 bytes', '59 00000000'],
  ['long of 9 bytes', '4c 0000000000000000'],
  ['double 0', '5b'],
  ['double of 2 bytes', '5d80'],
  ['double of 3 bytes', '5e8000'],
  ['double of 5 bytes', '5f 00000dac'],
  ['double of 9 bytes', '44 0000000000000000'],
  ['date', '4a 0000000000000000'],
  ['date in minutes', '4b 00000000'],
  ['short string', '03 c3a4 6162'],
  ['string with a length of 10 bits', '3003 616263'],
  ['string with a length of 16 bits', '53 0003 616263'],
  ['string in parts', '52 0001 61 52 0001 62 01 63'],
  ['string with a character of two units', '02 eda0bd edb880'],
  ['short binary', '22 0000'],
  ['binary with a length of 10 bits', '3402 0000'],
  ['binary in parts', '41 0001 00 42 0001 00'],
] as const) {
  test(`skips ${what}, which is plain`, () => {
    const bytes = hex(text);
    const reader = new HessianReader(Buffer.concat([bytes, hex('4e')]));
    assert.equal(reader.skipValue(), true);
    assert.equal(reader.at, bytes.length);
  });
}

for (const [what, text] of [
  ['list of a few', '7a 01 61 4e'],
  ['typed list of a few', '72 02 5b49 90 91'],
  ['list with a length', '58 92 90 91'],
  ['typed list with a length', '56 04 5b696e74 92 90 91'],
  ['list with a type seen before', '7a 71 02 5b49 90 71 90 91'],
  ['list without a length', '57 90 91 5a'],
  ['typed list without a length', '55 02 5b49 90 91 5a'],
  ['map', '48 01 61 90 01 62 48 5a 5a'],
  ['typed map', '4d 01 4d 01 61 90 5a'],
  ['reference', '51 90'],
  ['object', '43 01 43 92 01 61 01 62 60 90 91'],
  ['object of a class defined inside of an earlier one', '7a 43 01 43 91 01 61 60 43 01 44 90 61 60 90'],
  ['object of a class with a number of its own tag', '43 01 43 91 01 61 4f 90 90'],
  ['object as the key of a map', '48 43 01 43 90 60 90 60 91 5a'],
] as const) {
  test(`skips ${what}, which later values count on`, () => {
    const bytes = hex(text);
    const reader = new HessianReader(Buffer.concat([bytes, hex('4e')]));
    assert.equal(reader.skipValue(), false);
    assert.equal(reader.at, bytes.length);
  });
}

for (const [what, text] of [
  ['nothing', ''],
  ['a string longer than the body', '05 61'],
  ['a character longer than the body', '01 e4'],
  ['a string with a character of 4 bytes', '02 f09f9880'],
  ['a string that begins with half a character', '01 80'],
  ['a part of a string without its last', '52 0001 61'],
  ['a part of a string and then something else', '52 0001 61 90'],
  ['a binary longer than the body', '42 ffff 00'],
  ['an end outside of everything', '5a'],
  ['an end where a value has to be', '48 01 61 5a'],
  ['an end in a list with a length', '58 92 90 5a'],
  ['a class that is not defined', '60'],
  ['a class with a negative number', '43 01 43 90 4f 8f'],
  ['a list of 2 billion', '58 49 7fffffff 90'],
  ['a list of less than nothing', '58 8f'],
  ['a class with 2 billion fields', '43 01 43 49 7fffffff'],
  ['a map without an end', '48 01 61 90'],
  ['a byte that begins no value', '40'],
  ['a list with a length that is a string', '58 01 61'],
] as const) {
  test(`rejects ${what}`, () =>
    assert.equal(
      thrown(() => new HessianReader(hex(text)).skipValue()),
      'BAD_HESSIAN stream',
    ));
}

test('every byte that begins a value, and no other, is one', () => {
  const begins = Array.from({ length: 256 }, (_, tag) => tag).filter((tag) => {
    try {
      skipOf(Uint8Array.from([tag, ...new Uint8Array(70_000)]));
      return true;
    } catch (cause) {
      return !/begins no value/.test(String(cause));
    }
  });
  const reserved = [0x40, 0x45, 0x47, 0x50, 0x5a];
  assert.deepEqual(
    begins,
    Array.from({ length: 256 }, (_, tag) => tag).filter((tag) => !reserved.includes(tag)),
  );
});

test('takes values as deep as the limit, and none deeper', () => {
  const nested = (depth: number) => Buffer.concat([Buffer.alloc(depth, 0x79), hex('90')]);
  assert.equal(
    thrown(() => new HessianReader(nested(HESSIAN_LIMIT.DEPTH - 1)).skipValue()),
    'none',
  );
  assert.equal(
    thrown(() => new HessianReader(nested(HESSIAN_LIMIT.DEPTH)).skipValue()),
    'BAD_HESSIAN stream',
  );
  assert.equal(
    thrown(() => new HessianReader(Buffer.alloc(8_000_000, 0x48)).skipValue()),
    'BAD_HESSIAN stream',
  );
});

test('takes as many values as the limit, in all that it reads, and no more', () => {
  const list = (count: number) => {
    const bytes = Buffer.alloc(6 + count, 0x90);
    bytes.writeUInt8(0x58);
    bytes.writeUInt8(0x49, 1);
    bytes.writeInt32BE(count, 2);
    return bytes;
  };
  assert.equal(
    thrown(() => new HessianReader(list(HESSIAN_LIMIT.VALUES - 1)).skipValue()),
    'none',
  );
  assert.equal(
    thrown(() => new HessianReader(list(HESSIAN_LIMIT.VALUES)).skipValue()),
    'BAD_HESSIAN stream',
  );
  const reader = new HessianReader(Buffer.alloc(HESSIAN_LIMIT.VALUES + 1, 0x4e));
  for (let i = 0; i < HESSIAN_LIMIT.VALUES; i++) reader.skipValue();
  assert.equal(
    thrown(() => reader.skipValue()),
    'BAD_HESSIAN stream',
  );
});

test('takes as many class definitions as the limit, and no more', () => {
  const definitions = (count: number) => Buffer.concat([Buffer.alloc(3 * count, Buffer.from('430090', 'hex')), hex('60')]);
  assert.equal(
    thrown(() => new HessianReader(definitions(HESSIAN_LIMIT.DEFINITIONS)).skipValue()),
    'none',
  );
  assert.equal(
    thrown(() => new HessianReader(definitions(HESSIAN_LIMIT.DEFINITIONS + 1)).skipValue()),
    'BAD_HESSIAN stream',
  );
});

test('text is that of strings, numbers and booleans', () => {
  for (const [bytes, text] of [
    ['02 6f6b', 'ok'],
    ['00', ''],
    ['54', 'true'],
    ['46', 'false'],
    ['80', '-16'],
    ['bf', '47'],
    ['c000', '-2048'],
    ['cfff', '2047'],
    ['d00000', '-262144'],
    ['d7ffff', '262143'],
    ['49 80000000', '-2147483648'],
    ['d8', '-8'],
    ['ef', '15'],
    ['f000', '-2048'],
    ['ffff', '2047'],
    ['380000', '-262144'],
    ['3fffff', '262143'],
    ['59 80000000', '-2147483648'],
    ['4c 7fffffffffffffff', '9223372036854775807'],
    ['5b', '0'],
    ['5c', '1'],
    ['5dff', '-1'],
    ['5e8000', '-32768'],
    ['5f 00000dac', '3.5'],
    ['44 3fc0000000000000', '0.125'],
    ['4e', undefined],
    ['21 00', undefined],
    ['4a 0000000000000000', undefined],
    ['48 5a', undefined],
    ['43 01 43 90 60', undefined],
  ] as const) {
    const reader = new HessianReader(hex(bytes));
    assert.equal(reader.text(), text, bytes);
    assert.equal(reader.isOver, true, bytes);
  }
});

test('a number is taken only where one is', () => {
  const reader = new HessianReader(hex('d40102 01 61'));
  assert.equal(reader.int(), 258);
  assert.equal(reader.int(), undefined);
  assert.equal(reader.string(), 'a');
});

const texts = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.string({ unit: 'binary', minLength: 1000, maxLength: 1100 }),
  fc.constantFrom('ä'.repeat(31), '\u{1f600}'.repeat(512), 'x'.repeat(1023), 'x'.repeat(1024)),
);

test('strings read back as they were written, and as hessian.js writes and reads them', () => {
  fc.assert(
    fc.property(texts, (text) => {
      const bytes = encodeHessianString(text);
      assert.equal(new HessianReader(bytes).string(), text);
      assert.equal(skipOf(bytes), bytes.length);
      assert.equal(new HessianReader(new hessian.EncoderV2().write(text).get()).string(), text);
      assert.equal(new hessian.DecoderV2(Buffer.from(bytes)).read(), text);
    }),
    { numRuns: 200 },
  );
});

test('a string of more than 65,535 units is written in parts that split no character', () => {
  for (const text of ['x'.repeat(0xffff), 'x'.repeat(0x1_0000), `${'x'.repeat(0x7fff)}${'\u{1f600}'.repeat(0x8000)}`, 'ü'.repeat(200_000)]) {
    const bytes = encodeHessianString(text);
    assert.equal(new HessianReader(bytes).string(), text);
    assert.equal(skipOf(bytes), bytes.length);
    assert.equal(bytes[0] === 0x52, text.length > 0xffff);
  }
});

const plain = fc.oneof(
  texts,
  fc.integer(),
  fc.double(),
  fc.boolean(),
  fc.constant(null),
  fc.date({ noInvalidDate: true }),
  fc.uint8Array({ maxLength: 5000 }).map((bytes) => Buffer.from(bytes)),
);
const CLASSES = ['com.example.A', 'com.example.B', 'com.example.C'];
const { value } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 5, withCrossShrink: true },
    plain,
    fc.array(tie('value'), { maxLength: 12 }),
    fc.array(tie('value'), { maxLength: 5 }).map((items) => ({ $class: 'java.util.LinkedList', $: items })),
    fc.dictionary(
      fc.string({ minLength: 1, maxLength: 5 }).filter((key) => !key.startsWith('$') && key !== '__proto__'),
      tie('value'),
      { maxKeys: 5 },
    ),
    fc.tuple(fc.constantFrom(...CLASSES), tie('value'), tie('value')).map(([name, first, second]) => ({ $class: name, $: { first, second } })),
  ),
}));

test('skips whatever hessian.js writes, several values in one stream, references included', () => {
  fc.assert(
    fc.property(fc.array(value, { minLength: 1, maxLength: 4 }), (values) => {
      const encoder = new hessian.EncoderV2();
      // Each value twice: its second time is references and class definitions of the first.
      for (const item of values) encoder.write(item).write([item, item]);
      skipAll(encoder.get(), 2 * values.length);
    }),
    { numRuns: 300 },
  );
});

test('reads no byte beyond its end, whatever the bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const longer = Buffer.concat([bytes, Buffer.alloc(8, 0x90)]);
      const outcome = (input: Uint8Array) => {
        const reader = new HessianReader(input, 0, bytes.length);
        try {
          reader.skipValue();
        } catch (cause) {
          assert.ok(cause instanceof CodecError, String(cause));
          return cause.message;
        }
        assert.ok(reader.at <= bytes.length);
        return reader.at;
      };
      assert.equal(outcome(bytes), outcome(longer));
    }),
    { numRuns: 2000 },
  );
});

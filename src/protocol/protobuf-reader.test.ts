import assert from 'node:assert/strict';
import test from 'node:test';
import { ProtobufReader, WIRE } from './protobuf-reader.js';

const readerOf = (hex: string): ProtobufReader => {
  const bytes = Uint8Array.from(Buffer.from(`ffff${hex}ffff`, 'hex'));
  return new ProtobufReader(bytes, 2, bytes.length - 2);
};
const fieldsOf = (hex: string): { fields: string[]; isBroken: boolean } => {
  const reader = readerOf(hex);
  const fields: string[] = [];
  while (reader.next()) {
    const value = reader.wireType === WIRE.VARINT ? `${(BigInt(reader.high >>> 0) << 32n) | BigInt(reader.low >>> 0)}` : reader.text;
    fields.push(`${reader.number}=${value}`);
  }
  return { fields, isBroken: reader.isBroken };
};

test('walks varints, texts and fixed numbers', () => {
  // The example of the encoding's document: field 1 = 150; field 2 = "testing".
  assert.deepEqual(fieldsOf('089601120774657374696e67'), { fields: ['1=150', '2=testing'], isBroken: false });
  assert.deepEqual(fieldsOf('0d41424344' + '114142434445464748').fields, ['1=ABCD', '2=ABCDEFGH']);
});

test('reads varints of 64 bits', () => {
  assert.deepEqual(fieldsOf('20ffffffffffffffffff01').fields, ['4=18446744073709551615']);
  assert.deepEqual(fieldsOf('208080808010').fields, ['4=4294967296']);
});

test('walks a message inside of a field', () => {
  const reader = readerOf('0a0412026869');
  assert.ok(reader.next());
  const inside = reader.inside();
  assert.ok(inside.next());
  assert.equal(inside.text, 'hi');
  assert.equal(inside.next(), false);
});

test('says that bytes are broken, and never looks past their end', () => {
  for (const hex of [
    '08',
    '0880',
    '0a05aa',
    '0dffffff',
    '11ffffffffffffff',
    '00',
    '0b',
    '0c',
    '0e',
    `08${'80'.repeat(10)}01`,
    '0affffffff0f',
    '0a8080808010',
  ])
    assert.equal(fieldsOf(hex).isBroken, true, hex);
});

test('an empty message has no fields', () => assert.deepEqual(fieldsOf(''), { fields: [], isBroken: false }));

import assert from 'node:assert/strict';
import test from 'node:test';
import { ByteWriter } from './byte-writer.js';

const hexOf = (writer: ByteWriter): string => Buffer.from(writer.take()).toString('hex');

test('writes numbers in network order', () => {
  assert.equal(hexOf(new ByteWriter().u8(0x1ff).u16(0x0203).u32(0xfffefdfc).u64(0x0b0a0908, 0x80000001)), 'ff0203fffefdfc800000010b0a0908');
});

test('writes varints of one to ten bytes', () => {
  const cases: [number, number, string][] = [
    [0, 0, '00'],
    [0x7f, 0, '7f'],
    [300, 0, 'ac02'],
    [0xffffffff, 0, 'ffffffff0f'],
    [0, 1, '8080808010'],
    [-1, -1, 'ffffffffffffffffff01'],
  ];
  for (const [low, high, wanted] of cases) assert.equal(hexOf(new ByteWriter().varint(low, high)), wanted);
});

test('grows, and keeps what was written', () => {
  const writer = new ByteWriter();
  for (let i = 0; i < 1000; i++) writer.u32(i);
  writer.bytes(new Uint8Array(10_000).fill(7)).text('é');
  const bytes = writer.take();
  assert.equal(bytes.length, 14_002);
  assert.equal(new DataView(bytes.buffer).getUint32(4 * 999), 999);
  assert.deepEqual([...bytes.subarray(-3)], [7, 0xc3, 0xa9]);
});

test('overwrites only what is there', () => {
  assert.equal(hexOf(new ByteWriter().u32(0).u8(9).setU32(0, 5)), '0000000509');
  assert.throws(() => new ByteWriter().u16(0).setU32(0, 1), RangeError);
});

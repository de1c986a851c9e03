import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ByteQueue } from './byte-queue.js';

test('gives the bytes back in order, whatever the pieces', () => {
  const steps = fc.array(fc.record({ push: fc.integer({ min: 0, max: 9000 }), isLent: fc.boolean(), take: fc.integer({ min: 0, max: 9000 }) }), {
    maxLength: 30,
  });
  fc.assert(
    fc.property(steps, (all) => {
      const queue = new ByteQueue();
      let next = 0;
      let expected = 0;
      const taken = (bytes: Uint8Array) => {
        for (const byte of bytes) assert.equal(byte, expected++ & 0xff);
      };
      for (const { push, isLent, take } of all) {
        const piece = Uint8Array.from({ length: push }, () => next++ & 0xff);
        queue.push(piece, isLent);
        if (isLent) piece.fill(0);
        for (let left = take; left > 0 && queue.first !== undefined; ) {
          const bytes = queue.first.subarray(0, left);
          taken(bytes);
          left -= bytes.length;
          queue.drop(bytes.length);
        }
        assert.equal(queue.length, next - expected);
      }
      while (queue.first !== undefined) {
        const { first } = queue;
        taken(first);
        queue.drop(first.length);
      }
      assert.equal(expected, next);
    }),
    { numRuns: 200 },
  );
});

test('what was taken stays true while more comes', () => {
  const queue = new ByteQueue();
  queue.push(Buffer.from('abc'), true);
  const { first = Buffer.alloc(0) } = queue;
  queue.drop(3);
  queue.push(Buffer.from('def'), true);
  assert.equal(Buffer.from(first).toString(), 'abc');
});

test('many small pieces take little more than their bytes', () => {
  const queue = new ByteQueue();
  for (let i = 0; i < 100_000; i++) queue.push(Uint8Array.of(i), true);
  let pieces = 0;
  while (queue.first !== undefined) {
    queue.drop(queue.first.length);
    pieces++;
  }
  assert.ok(pieces <= 100_000 / 4096 + 20, `${pieces} pieces`);
});

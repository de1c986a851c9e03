import assert from 'node:assert/strict';
import test from 'node:test';
import { matchBytes } from './match-bytes.js';

const match = matchBytes(1, undefined, [2, 3], (byte) => byte > 0x7f);
const verdict = (...bytes: number[]) => match(Uint8Array.from(bytes));

test('waits while all bytes agree, and says yes at the last rule', () => {
  assert.equal(verdict(), 'more');
  assert.equal(verdict(1, 9, 3), 'more');
  assert.equal(verdict(1, 9, 3, 0x80), 'yes');
  assert.equal(verdict(1, 9, 3, 0x80, 0, 0), 'yes');
});

test('says no at the first byte that contradicts', () => {
  assert.equal(verdict(2), 'no');
  assert.equal(verdict(1, 0, 4), 'no');
  assert.equal(verdict(1, 0, 2, 1), 'no');
});

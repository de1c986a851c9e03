import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DrainSequence } from './drain-sequence.js';

test('immediate: every request is the last of its connection', () => {
  assert.equal(new DrainSequence('immediate', 1000, 600_000, () => 0.999).closes(1000), true);
});

test('gradual: the share of connections that end grows with the time, from none to all', () => {
  const draws = 1000;
  let turn = 0;
  const sequence = new DrainSequence('gradual', 1000, 40_000, () => (turn++ % draws) / draws);
  const share = (now: number): number => Array.from({ length: draws }, () => sequence.closes(now)).filter((closes) => closes).length / draws;
  assert.deepEqual([1000, 11_000, 21_000, 31_000, 41_000, 99_000].map(share), [0, 0.25, 0.5, 0.75, 1, 1]);
});

test('a drain time of 0 ends all connections at once', () => assert.equal(new DrainSequence('gradual', 5, 0).closes(5), true));

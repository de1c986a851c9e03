import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConnectionCount, connectionCells, releaseConnections } from './connection-count.js';

test('a bound holds over all workers', () => {
  const cells = new Int32Array(connectionCells(2));
  const [first, second] = [new ConnectionCount(cells, 0), new ConnectionCount(cells, 1)];
  assert.deepEqual([first.take(3), second.take(3), second.take(3), first.take(3), second.take(3)], [true, true, true, false, false]);
  assert.equal(first.value, 3);
  second.give();
  assert.equal(first.take(3), true);
});

test('what a failed worker had open is taken off', () => {
  const memory = connectionCells(2);
  const cells = new Int32Array(memory);
  const [first, second] = [new ConnectionCount(cells, 0), new ConnectionCount(cells, 1)];
  for (const count of [first, second, second]) count.take(Number.POSITIVE_INFINITY);
  releaseConnections(memory, 1);
  assert.equal(first.value, 1);
  releaseConnections(memory, 1);
  assert.equal(first.value, 1);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PendingTable } from './pending-table.js';

test('gives every request an id of its own and finds it once', () => {
  const table = new PendingTable<string>();
  const ids = ['a', 'b', 'c'].map((name) => table.add(name));
  assert.equal(new Set(ids).size, 3);
  assert.equal(table.take(ids[1]), 'b');
  assert.equal(table.take(ids[1]), undefined);
  assert.equal(table.size, 2);
});

test('wraps at the largest id and passes over ids in use', () => {
  const table = new PendingTable<string>(300, 299);
  assert.equal(table.add('a'), 299);
  assert.equal(table.add('b'), 300);
  assert.equal(table.add('c'), 1);
  for (let round = 0; round < 600; round++) {
    const id = table.add('x');
    assert.ok(id !== 299 && id !== 300 && id !== 1 && id <= 300, `${id}`);
    assert.equal(table.take(id), 'x');
  }
  assert.equal(table.take(299), 'a');
});

test('grows with what is in flight, and keeps every pair', () => {
  const table = new PendingTable<number>();
  const ids = Array.from({ length: 5000 }, (_, index) => table.add(index));
  assert.equal(table.size, 5000);
  ids.forEach((id, index) => {
    assert.equal(table.take(id), index);
  });
  assert.equal(table.size, 0);
});

test('a full id space is an error, not an id given twice', () => {
  const table = new PendingTable<number>(40);
  for (let index = 0; index < 40; index++) table.add(index);
  assert.throws(() => {
    for (let index = 0; index < 100; index++) table.add(index);
  }, RangeError);
});

test('gives back what was in flight when the connection ends', () => {
  const table = new PendingTable<string>();
  const id = table.add('a');
  table.add('b');
  assert.deepEqual(table.clear().sort(), ['a', 'b']);
  assert.equal(table.size, 0);
  assert.equal(table.take(id), undefined);
});

test('an id that was taken out can be held for somebody else, and is not given again before it is taken', () => {
  const table = new PendingTable<string>(20);
  const id = table.add('a');
  table.take(id);
  table.put(id, 'held');
  for (let round = 0; round < 100; round++) {
    const other = table.add('b');
    assert.notEqual(other, id);
    table.take(other);
  }
  assert.equal(table.take(id), 'held');
  assert.equal(table.size, 0);
});

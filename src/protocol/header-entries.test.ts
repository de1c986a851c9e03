import assert from 'node:assert/strict';
import test from 'node:test';
import { changedEntries, HeaderEntries, type HeaderEntry } from './header-entries.js';

const ENTRIES: readonly HeaderEntry[] = [
  ['a', '1'],
  ['b', '2'],
  ['a', '3'],
];

test('reads its entries once, when somebody asks', () => {
  let reads = 0;
  const headers = new HeaderEntries(() => {
    reads++;
    return ENTRIES;
  });
  assert.equal(reads, 0);
  assert.equal(headers.get('b'), '2');
  assert.deepEqual(headers.entries(), ENTRIES);
  assert.equal(reads, 1);
});

test('gives the last of several entries with one name', () => {
  assert.equal(new HeaderEntries(() => ENTRIES).get('a'), '3');
  assert.equal(new HeaderEntries(() => ENTRIES).get('A'), undefined);
});

test('a change replaces all entries of its name where the first stood', () => {
  assert.deepEqual(changedEntries(ENTRIES, new Map([['a', 'x']])), [
    ['a', 'x'],
    ['b', '2'],
  ]);
});

test('a change removes, and appends what is new', () => {
  const changes = new Map([
    ['a', undefined],
    ['c', '4'],
    ['d', undefined],
  ]);
  assert.deepEqual(changedEntries(ENTRIES, changes), [
    ['b', '2'],
    ['c', '4'],
  ]);
});

import assert from 'node:assert/strict';
import test from 'node:test';
import { NEVER } from './deadlines.js';
import { QuietWatch } from './quiet-watch.js';

test('the first look comes soon, and finds what later ones are compared with', () => {
  const watch = new QuietWatch();
  assert.equal(watch.begin(1000, 640), 1010);
  assert.equal(watch.look(7, 1010), 1170);
});

test('nothing moved: over with the last look of the idle time', () => {
  const watch = new QuietWatch();
  watch.begin(1000, 100);
  assert.deepEqual(
    [1000, 1025, 1050, 1075, 1100].map((now) => watch.look(10, now)),
    [1025, 1050, 1075, 1100, NEVER],
  );
});

test('a byte begins the time anew', () => {
  const watch = new QuietWatch();
  watch.begin(1000, 100);
  watch.look(10, 1000);
  assert.deepEqual([watch.look(11, 1025), watch.look(11, 1100), watch.look(11, 1125)], [1050, 1125, NEVER]);
});

test('without an idle time there is no look', () => {
  assert.equal(new QuietWatch().begin(1000, 0), NEVER);
});

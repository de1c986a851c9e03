import assert from 'node:assert/strict';
import { test } from 'node:test';
import { editDistance, formatProblems, nearest } from './problem.js';

const PROBLEM = { file: 'a.yaml', line: 3, column: 5, path: 'node.idd', code: 'UNKNOWN_FIELD', message: 'no such field', suggestion: 'id' };

test('text is one line a problem, as compilers print it', () => {
  assert.equal(
    formatProblems([PROBLEM, { file: 'a.yaml', line: 9, column: 1, path: '', code: 'SYNTAX', message: 'no end' }], 'text'),
    'a.yaml:3:5: node.idd: no such field; did you mean id? [UNKNOWN_FIELD]\na.yaml:9:1: no end [SYNTAX]',
  );
});

test('JSON is the array of problems', () => {
  assert.deepEqual(JSON.parse(formatProblems([PROBLEM], 'json')), [PROBLEM]);
  assert.equal(formatProblems([], 'json'), '[]');
});

test('a swap, a loss and an addition are one edit each', () => {
  assert.equal(editDistance('cluster', 'clutser'), 1);
  assert.equal(editDistance('cluster', 'cluter'), 1);
  assert.equal(editDistance('cluster', 'clusterr'), 1);
  assert.equal(editDistance('', 'abc'), 3);
});

test('the nearest word is offered only where it is near', () => {
  const words = ['connect_timeout', 'cleanup_interval', 'name'];
  assert.equal(nearest('conect_timeot', words), 'connect_timeout');
  assert.equal(nearest('NAME', words), 'name');
  assert.equal(nearest('quite_different', words), undefined);
  assert.equal(nearest('x'.repeat(10_000), words), undefined);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { matchHttp2, PREFACE } from './matcher.js';

test('knows the preface, needs all of it, and refuses at the first byte that differs', () => {
  assert.equal(matchHttp2(PREFACE), 'yes');
  assert.equal(matchHttp2(Buffer.concat([PREFACE, Buffer.from('more')])), 'yes');
  for (let length = 0; length < PREFACE.length; length++) assert.equal(matchHttp2(PREFACE.subarray(0, length)), 'more');
  assert.equal(matchHttp2(Buffer.from('PRI * HTTP/1')), 'no');
  assert.equal(matchHttp2(Buffer.from('GET')), 'no');
});

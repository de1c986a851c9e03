import assert from 'node:assert/strict';
import { test } from 'node:test';
import { matchHttp1 } from './matcher.js';
import { bytesOf } from './test-support.js';

const VERDICTS: readonly (readonly [text: string, verdict: 'yes' | 'no'])[] = [
  ['GET / HTTP/1.1\r\n', 'yes'],
  ['\r\n\r\nPROPFIND /x?y HTTP/1.0\r\n', 'yes'],
  ['CONNECT a:443 HTTP/1.1\r\n', 'yes'],
  ['GET /# HTTP/1.1\r\n', 'yes'],
  ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'no'],
  ['PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n', 'no'],
  ['\r\n\r\n\0\r\nQUIT\n', 'no'],
  ['GET key\r\n', 'no'],
  ['get key\r\n', 'no'],
  ['*1\r\n$4\r\nPING\r\n', 'no'],
  ['\x16\x03\x01\x02\0\x01', 'no'],
  ['\x01\x01\0\x01\x01', 'no'],
  ['\xda\xbb', 'no'],
  ['AVERYLONGWORDINDEED ', 'no'],
  ['invoke a.b()\r\n', 'no'],
];

for (const [text, verdict] of VERDICTS) {
  test(`${JSON.stringify(text)} is ${verdict === 'yes' ? '' : 'not '}HTTP/1`, () => {
    assert.equal(matchHttp1(bytesOf(text)), verdict);
  });
}

test('a verdict, once given, does not change when more bytes come', () => {
  for (const [text, verdict] of VERDICTS) {
    const bytes = bytesOf(text);
    const seen = Array.from(bytes, (_, length) => matchHttp1(bytes.subarray(0, length)));
    assert.equal(seen[0], 'more');
    const first = seen.findIndex((one) => one !== 'more');
    if (first >= 0) assert.deepEqual(new Set(seen.slice(first)), new Set([verdict]), text);
  }
});

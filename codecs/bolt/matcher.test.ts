import assert from 'node:assert/strict';
import test from 'node:test';
import { hex } from '../../test/support/codec-frames.js';
import { matchBolt } from './matcher.js';

/** The verdict, which must come at the same byte however the bytes were split: none before `at` bytes. */
function verdict(text: string): string {
  const bytes = hex(text);
  for (let length = 0; length <= bytes.length; length++) {
    const answer = matchBolt(bytes.subarray(0, length));
    if (answer === 'more') continue;
    for (let longer = length; longer <= bytes.length; longer++) assert.equal(matchBolt(bytes.subarray(0, longer)), answer);
    return `${answer} after ${length}`;
  }
  return 'more';
}

test('version 1 needs 10 bytes', () => {
  assert.equal(verdict('01 01 0001 01 00000002 01 00002710'), 'yes after 10');
  assert.equal(verdict('01 01 0000 01 00000007 01 ffffffff'), 'yes after 10');
  assert.equal(verdict('01 02 0001 01 ffffffff 0b 00002710'), 'yes after 10');
  assert.equal(verdict('01 01 0001 01 00000002'), 'more');
});

test('version 2 needs 12 bytes', () => {
  assert.equal(verdict('02 01 01 0000 01 00000007 01 00 ffffffff'), 'yes after 12');
  assert.equal(verdict('02 02 02 0001 01 00000007 0b 01 ffffffff'), 'yes after 12');
  assert.equal(verdict('02 02 01 0001 01 00000007 01'), 'more');
});

for (const [what, text, at] of [
  ['FastCGI BEGIN_REQUEST', '0101 0001 0008 0000 0001 00 0000000000', 5],
  ['a MongoDB message of 257 bytes', '01010000 01000000 00000000 d4070000', 10],
  ['a TLS record', '16030100', 1],
  ['HTTP', '474554', 1],
  ['Dubbo', 'dabbc200', 1],
  ['a type that does not exist', '01 03', 2],
  ['a cmdcode that does not exist', '01 01 0003', 4],
  ['a cmdcode over 255', '01 01 01', 3],
  ['another command version', '01 01 0001 02', 5],
  ['a serializer that nobody has', '01 01 0001 01 00000001 00', 10],
  ['version 2 with ver1 3', '02 03', 2],
  ['version 2 with ver1 0', '02 00', 2],
  ['version 2 with switch 2', '02 01 01 0001 01 00000001 01 02', 12],
  ['a frame of 32 MiB in a protocol that begins with its length', '02 00 00 00', 2],
] as const) {
  test(`refuses ${what} at its byte`, () => assert.equal(verdict(text), `no after ${at}`));
}

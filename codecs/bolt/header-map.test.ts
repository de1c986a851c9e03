import assert from 'node:assert/strict';
import test from 'node:test';
import { hex, toHex } from '../../test/support/codec-frames.js';
import { BoltHeaderMap, editHeaderBlock } from './header-map.js';

/** A block of these texts, each behind its length; null is length -1. */
function block(...texts: (string | null)[]): Uint8Array {
  return Buffer.concat(
    texts.map((text) => {
      const bytes = Buffer.from(text ?? '', 'utf8');
      const length = Buffer.alloc(4);
      length.writeInt32BE(text === null ? -1 : bytes.length);
      return Buffer.concat([length, bytes]);
    }),
  );
}
const entriesOf = (bytes: Uint8Array) => [...new BoltHeaderMap(bytes).entries()];

test('finds values by exact name', () => {
  const map = new BoltHeaderMap(block('service', 'a:1.0', 'Service', 'b', 'größe', 'ä😀'));
  assert.equal(map.get('service'), 'a:1.0');
  assert.equal(map.get('Service'), 'b');
  assert.equal(map.get('größe'), 'ä😀');
  assert.equal(map.get('servic'), undefined);
});

test('an empty block has no entries', () => assert.deepEqual(entriesOf(hex('')), []));

test('keeps entries of length 0', () => {
  assert.deepEqual(entriesOf(block('empty', '', '', 'no name')), [
    ['empty', ''],
    ['', 'no name'],
  ]);
  assert.equal(new BoltHeaderMap(block('empty', '')).get('empty'), '');
});

test('drops a pair with a null, and reads on in step', () => {
  const bytes = block(null, 'lost', 'name', null, 'next', 'found');
  assert.deepEqual(entriesOf(bytes), [['next', 'found']]);
  assert.equal(new BoltHeaderMap(bytes).get('lost'), undefined);
});

test('the last value of a repeated name counts', () => {
  const bytes = block('a', '1', 'b', '2', 'a', '3');
  assert.equal(new BoltHeaderMap(bytes).get('a'), '3');
  assert.deepEqual(entriesOf(bytes), [
    ['a', '3'],
    ['b', '2'],
  ]);
});

test('a null value does not take back an earlier one', () => assert.equal(new BoltHeaderMap(block('a', '1', 'a', null)).get('a'), '1'));

test('of a value longer than the block it reads what is there', () => {
  assert.deepEqual(entriesOf(hex('00000001 61 7fffffff 6263')), [['a', 'bc']]);
  assert.deepEqual(entriesOf(hex('00000001 61 00000002 62')), [['a', 'b']]);
});

test('a key longer than the block, or one without a value, is no entry', () => {
  assert.deepEqual(entriesOf(hex('7fffffff 6162')), []);
  assert.deepEqual(entriesOf(hex('00000001 61')), []);
  assert.deepEqual(entriesOf(hex('00000001 61 000000')), []);
});

test('loose bytes behind the last pair are nothing', () => {
  for (const rest of ['00', 'ffff', '000000']) assert.deepEqual(entriesOf(Buffer.concat([block('a', '1'), hex(rest)])), [['a', '1']]);
});

test('sets, adds and removes; what nobody changed keeps its place and bytes', () => {
  const edited = editHeaderBlock(
    block('a', '1', 'b', '2', 'c', '3'),
    new Map<string, string | undefined>([
      ['b', 'zwei'],
      ['c', undefined],
      ['d', 'ö'],
      ['e', undefined],
    ]),
  );
  assert.equal(toHex(edited), toHex(block('a', '1', 'b', 'zwei', 'd', 'ö')));
});

test('keeps names and values that are not UTF-8 as they are', () => {
  const bytes = hex('00000001 ff 00000001 fe 00000001 fd 00000001 fe');
  assert.equal(toHex(editHeaderBlock(bytes, new Map([['a', '1']]))), toHex(Buffer.concat([bytes, block('a', '1')])));
});

test('an edited block holds nothing that two readers could see differently', () => {
  const bytes = Buffer.concat([block('a', '1', null, 'x', 'a', '2', 'n', null), hex('00000001 62 000000ff 33')]);
  assert.equal(toHex(editHeaderBlock(bytes, new Map([['d', '4']]))), toHex(block('a', '2', 'b', '3', 'd', '4')));
});

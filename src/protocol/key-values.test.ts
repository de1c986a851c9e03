import assert from 'node:assert/strict';
import test from 'node:test';
import { Frame } from './frame.js';
import { createFrameDecoder, DECODED } from './frame-decoder.js';
import { encodeFrame, reencodeFrame } from './frame-encoder.js';
import { fixed, frameLayout, u8, u16, u32 } from './frame-layout.js';
import { keyValueSection, readPairs, writePairs } from './key-values.js';

const layout = frameLayout({
  fields: { magic: u8(0, { equals: 0x50 }), flags: u8(1), id: u32(2), headerBytes: u16(6), bodyBytes: u32(8) },
  length: fixed(12).plus('headerBytes', 'bodyBytes'),
  sections: { header: 'headerBytes', body: 'bodyBytes' },
  id: 'id',
  checksum: { algorithm: 'crc32', when: { flags: 1 } },
});
const { headers, withHeaders } = keyValueSection({ section: 'header', keyLength: 1, valueLength: 2 });
const frameOf = (bytes: Uint8Array): Frame => {
  const frame = new Frame(layout, bytes, new Int32Array(layout.tableWords));
  assert.equal(createFrameDecoder('test', layout, { maxFrameBytes: 4096 })(bytes, 0, bytes.length, frame.ints, 0), DECODED.WHOLE);
  return frame;
};
const sample = (flags: number, entries: readonly (readonly [string, string])[]) =>
  frameOf(
    encodeFrame(layout, {
      fields: { id: 7, flags },
      sections: { header: writePairs(entries, { keyLength: 1, valueLength: 2 }), body: Buffer.from('body') },
    }),
  );

test('shows the pairs of a section, the last of two with one key', () => {
  const map = headers(
    sample(0, [
      ['service', 'Grüße'],
      ['a', ''],
      ['service', 'other'],
    ]),
  );
  assert.equal(map.get('service'), 'other');
  assert.equal(map.get('a'), '');
  assert.equal(map.get('b'), undefined);
  assert.equal([...map.entries()].length, 3);
});

test('a changed header makes lengths and checksum anew, and leaves the rest', () => {
  const changed = frameOf(
    withHeaders(
      sample(1, [
        ['service', 'one'],
        ['drop', 'me'],
      ]),
      new Map([
        ['service', 'a longer name'],
        ['drop', undefined],
        ['new', 'x'],
      ]),
    ),
  );
  assert.deepEqual(
    [...headers(changed).entries()],
    [
      ['service', 'a longer name'],
      ['new', 'x'],
    ],
  );
  assert.equal(changed.id, 7n);
  assert.equal(Buffer.from(changed.section('body')).toString(), 'body');
});

test('a pair that is not whole ends the map', () => {
  const bytes = writePairs(
    [
      ['a', '1'],
      ['b', '2'],
    ],
    { keyLength: 2 },
  );
  for (let length = 0; length < bytes.length; length++) {
    const found = [...readPairs(bytes.subarray(0, length), { keyLength: 2 })];
    assert.equal(found.length, length < 6 ? 0 : 1, `${length} bytes`);
  }
});

test('a count in front is read and written', () => {
  const description = { keyLength: 1, count: 2 } as const;
  const bytes = writePairs([['k', 'v']], description);
  assert.equal(Buffer.from(bytes).toString('hex'), '0001016b0176');
  assert.deepEqual([...readPairs(Buffer.concat([bytes, Buffer.from('016b0177', 'hex')]), description)], [['k', 'v']]);
  assert.deepEqual([...readPairs(Uint8Array.of(0), description)], []);
});

test('a text that is too long for its length is an error', () => {
  assert.throws(() => writePairs([['x'.repeat(256), '']], { keyLength: 1 }), RangeError);
});

test('a frame put together anew keeps its fields, and takes another id', () => {
  const changed = frameOf(reencodeFrame(sample(1, [['a', 'b']]), { fields: { id: 0xffff_ffff }, sections: { body: new Uint8Array(0) } }));
  assert.equal(changed.id, 0xffff_ffffn);
  assert.equal(changed.field('flags'), 1);
  assert.equal(headers(changed).get('a'), 'b');
  assert.equal(changed.sectionBytes('body'), 0);
});

import assert from 'node:assert/strict';
import test from 'node:test';
import { Frame } from './frame.js';
import { i32, u8, u32, u64 } from './frame-layout.js';
import { FRAME_KIND } from './frame-table.js';
import { FrameFiller, scriptedLayout } from './scripted-frame.js';

const layout = scriptedLayout({
  fields: { kind: u8(0), ret: i32(0), length: u32(0), id: u64(0) },
  sections: ['head', 'body'],
  id: 'id',
  variants: ['request', 'response'],
});
const BASE = 4;

test('a filled table is seen as a frame', () => {
  const ints = new Int32Array(BASE + layout.tableWords).fill(-7);
  new FrameFiller(layout)
    .begin(ints, BASE, 2, 6, 'response', 1)
    .id(1, 5, 0x80000000 | 0)
    .field(layout.slot('ret'), -3)
    .field(layout.slot('length'), -2, 0)
    .field(layout.slot('id'), 5, 0x80000000 | 0)
    .section(layout.section('body'), 4, 2);
  const frame = new Frame(layout, Uint8Array.of(9, 9, 1, 2, 3, 4, 5, 6, 9), ints, BASE);
  assert.deepEqual([frame.kind, frame.variant, frame.length, frame.isPartial], [FRAME_KIND.RESPONSE, 'response', 6, false]);
  assert.deepEqual([frame.hasId, frame.id], [true, 0x8000000000000005n]);
  assert.deepEqual([frame.bigField('ret'), frame.bigField('length'), frame.bigField('id')], [-3n, 0xfffffffen, 0x8000000000000005n]);
  assert.deepEqual([...frame.section('body')], [5, 6]);
  assert.equal(frame.sectionBytes('head'), 0);
  assert.deepEqual([...ints.subarray(0, BASE)], [-7, -7, -7, -7], 'words of others are not touched');
});

test('a frame without an id has none, also behind one that had', () => {
  const ints = new Int32Array(layout.tableWords);
  const filler = new FrameFiller(layout);
  filler.begin(ints, 0, 0, 6, 'request').id(1, 5, 0);
  filler.begin(ints, 0, 0, 6, 'request');
  assert.equal(new Frame(layout, new Uint8Array(6), ints).hasId, false);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NodeInput, RoomPool } from './node-connection.js';

test('keeps unread bytes in order, and views of them stay true while more comes', () => {
  const input = new NodeInput();
  let all = '';
  const views: [Uint8Array, string][] = [];
  for (let round = 0; round < 300; round++) {
    const piece = `piece ${round};`;
    input.append(Buffer.from(piece));
    all += piece;
    const text = Buffer.from(input.bytes.subarray(input.offset)).toString();
    assert.equal(text, all);
    views.push([input.bytes.subarray(input.offset), text]);
    if (round % 7 === 0) {
      input.offset += 5;
      all = all.slice(5);
    }
  }
  for (const [view, text] of views) assert.equal(Buffer.from(view).toString(), text);
});

test('takes a chunk without copying it where nothing is unread', () => {
  const input = new NodeInput();
  const chunk = Buffer.from('abc');
  input.append(chunk);
  assert.equal(input.bytes, chunk);
  input.offset = 3;
  const next = Buffer.from('def');
  input.append(next);
  assert.equal(input.bytes, next);
  assert.equal(input.unread, 3);
});

test('copies lent bytes only where they are needed after the batch', () => {
  const shared = Buffer.from('abcdef');
  const input = new NodeInput();
  input.lend(shared.subarray(0, 6));
  assert.equal(input.isLent, true);
  input.offset = 4;
  input.keep(false);
  shared.fill(0x78);
  assert.equal(Buffer.from(input.bytes.subarray(input.offset)).toString(), 'ef');
  assert.equal(input.isLent, false);
  input.lend(Buffer.from('gh'));
  assert.equal(Buffer.from(input.bytes.subarray(input.offset)).toString(), 'efgh');
  assert.equal(input.isLent, false, 'what comes behind unread bytes is copied behind them');

  input.clear();
  input.lend(shared);
  input.offset = shared.length;
  input.keep(false);
  assert.equal(input.bytes.length, 0, 'nothing of the shared buffer is held');
});

test('gives rooms of its own size out again', () => {
  const rooms = new RoomPool();
  const room = rooms.take(100);
  rooms.give(room);
  assert.equal(rooms.take(100), room);
  assert.notEqual(rooms.take(100), room);
  assert.ok(rooms.take(100_000).length >= 100_000);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NodeInput } from './node-connection.js';

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

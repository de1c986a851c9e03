import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KNOWN_NAMES } from './head-layout.js';
import { knownIdOf } from './known-names.js';

const bytesOf = (text: string): Uint8Array => Buffer.from(text, 'latin1');
const idOf = (name: string): number => knownIdOf(bytesOf(`<${name}>`), 1, 1 + name.length);

test('knows every well-known name in any case', () => {
  for (const [index, name] of KNOWN_NAMES.entries()) {
    assert.equal(idOf(name), index + 1, name);
    assert.equal(idOf(name.toUpperCase()), index + 1, name);
  }
});

test('takes no other name for one', () => {
  for (const name of KNOWN_NAMES) {
    for (const other of [`${name}s`, name.slice(1), `x${name.slice(1)}`, name.replace('-', '\r'), `${name.slice(0, 1)}~${name.slice(2)}`]) {
      if (!(KNOWN_NAMES as readonly string[]).includes(other)) assert.equal(idOf(other), 0, other);
    }
  }
});

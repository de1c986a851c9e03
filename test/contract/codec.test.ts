/** Every codec folder keeps the rules of src/cli/codec/contract.ts: a new one is covered by being there. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { runContract } from '../../src/cli/codec/contract.js';
import { readVectors } from '../../src/cli/codec/vectors.js';
import type { Codec } from '../../src/protocol/codec.js';

const root = join(import.meta.dirname, '..', '..', '..');
const compiled = join(import.meta.dirname, '..', '..', 'codecs');

/** The default export of every folder of codecs/ that has one: others are built into the engines. */
async function loadCodecs(): Promise<{ folder: string; codec: Codec }[]> {
  const found: { folder: string; codec: Codec }[] = [];
  for (const entry of readdirSync(join(root, 'codecs'), { withFileTypes: true })) {
    if (!entry.isDirectory()) continue;
    const module = (await import(pathToFileURL(join(compiled, entry.name, 'index.js')).href)) as { default?: Codec };
    if (module.default?.framing !== undefined) found.push({ folder: entry.name, codec: module.default });
  }
  return found;
}

const codecs = await loadCodecs();
const others = codecs.map(({ codec }) => codec);
for (const { folder, codec } of codecs) {
  describe(`codecs/${folder}`, () => {
    test('is named as its folder', () => assert.equal(codec.name, folder));
    const vectors = readVectors(JSON.parse(readFileSync(join(root, 'codecs', folder, 'vectors.json'), 'utf8')));
    for (const { rule, ok, detail } of runContract(codec, vectors, { others })) test(rule, () => assert.ok(ok, detail));
  });
}

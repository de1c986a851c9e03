/** Every codec folder keeps the rules of src/cli/codec/contract.ts: a new one is covered by being there. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { type RuleResult, runContract } from '../../src/cli/codec/contract.js';
import { readVectors } from '../../src/cli/codec/vectors.js';
import type { Codec } from '../../src/protocol/codec.js';
import { native, type OpenFrameDecoder } from '../support/frame-decoders.js';

const root = join(import.meta.dirname, '..', '..', '..');
const compiled = join(import.meta.dirname, '..', '..', 'codecs');

/** The default export of every folder of codecs/ that has one: others are built into the engines. */
async function loadCodecs(): Promise<{ folder: string; codec: Codec }[]> {
  const found: { folder: string; codec: Codec }[] = [];
  for (const entry of readdirSync(join(root, 'codecs'), { withFileTypes: true })) {
    const path = join(compiled, entry.name, 'index.js');
    if (!entry.isDirectory() || !existsSync(path)) continue;
    const module = (await import(pathToFileURL(path).href)) as { default?: Codec };
    if (module.default?.framing !== undefined) found.push({ folder: entry.name, codec: module.default });
  }
  return found;
}
/** The results of a codec; a folder without vectors is one that fails. */
function resultsOf(folder: string, codec: Codec): readonly RuleResult[] {
  try {
    const vectors = readVectors(JSON.parse(readFileSync(join(root, 'codecs', folder, 'vectors.json'), 'utf8')));
    return runContract(codec, vectors, { others, decoders });
  } catch (cause) {
    return [{ rule: 'has vectors', ok: false, detail: String(cause) }];
  }
}

const codecs = await loadCodecs();
/** The native decoder, where the addon is there: described framings are the same in both. */
const decoders = [native]
  .filter((open) => open !== undefined)
  .map((open) => ({ name: 'native', open: (...args: Parameters<OpenFrameDecoder>) => open(...args).decode }));
const others = codecs.map(({ codec }) => codec);
for (const { folder, codec } of codecs) {
  describe(`codecs/${folder}`, () => {
    test('has a name of its own', () =>
      assert.deepEqual(
        others.filter(({ name }) => name === codec.name),
        [codec],
      ));
    for (const { rule, ok, detail } of resultsOf(folder, codec)) test(rule, () => assert.ok(ok, detail));
  });
}

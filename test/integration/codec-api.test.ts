/** The public API of codecs: what `sluice/codec` exports is documented, complete in itself, and as docs/api says. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { packageRoot } from '../../src/base/backend.js';

interface ReportModule {
  readonly REPORTS: Readonly<Record<string, string>>;
  apiReport(entry: string): string;
  publicDeclarations(entry: string): ReadonlyMap<string, { readonly comment: string; readonly text: string }>;
}
const root = packageRoot();
const { REPORTS, apiReport, publicDeclarations } = (await import(pathToFileURL(join(root, 'docs/api/report.mjs')).href)) as ReportModule;
/** Types of the language and of Node. */
const KNOWN = new Set([
  'Array',
  'Error',
  'Int32Array',
  'Iterable',
  'Map',
  'Partial',
  'Readonly',
  'ReadonlyMap',
  'ReadonlySet',
  'Record',
  'Uint8Array',
]);
const exported = new Set(Object.values(REPORTS).flatMap((entry) => [...publicDeclarations(entry).keys()]));

for (const [file, entry] of Object.entries(REPORTS)) {
  test(`${file} is what ${entry} exports; after a change on purpose: npm run api`, () =>
    assert.equal(readFileSync(join(root, file), 'utf8'), apiReport(entry)));

  test(`${entry}: every export says what it is`, () => {
    for (const [name, { comment }] of publicDeclarations(entry)) assert.notEqual(comment, '', `${name} has no docstring`);
  });

  test(`${entry}: every type that an export names is exported, too`, () => {
    for (const [name, { text }] of publicDeclarations(entry)) {
      const code = text.replace(/\/\*\*[\s\S]*?\*\//g, '').replace(/'[^']*'/g, '');
      for (const [type] of code.matchAll(/\b[A-Z][a-z]\w+\b/g)) assert.ok(exported.has(type) || KNOWN.has(type), `${name} names ${type}`);
    }
  });
}

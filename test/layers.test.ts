// Imports go one way (STYLE: "Layers"): base < protocol < network < stream < proxy < control < cli; a codec sees protocol, base and its own folder. Nobody goes round.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const LAYERS = ['base', 'protocol', 'network', 'stream', 'proxy', 'control', 'cli'];

/** Sources of a folder, tests left out. */
const sources = (folder: string): string[] =>
  readdirSync(join(ROOT, folder), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts') && !entry.name.endsWith('.test.ts') && !entry.name.startsWith('test-'))
    .map((entry) => relative(ROOT, join(entry.parentPath, entry.name)));
/** Files of ours that a file imports, types included. */
const imports = (file: string): string[] =>
  [...readFileSync(join(ROOT, file), 'utf8').matchAll(/^(?:import|export)\s(?:[^;]*?\sfrom\s)?'(\.[^']+)'/gms)].map(([, path]) =>
    relative(ROOT, resolve(ROOT, dirname(file), path)).replace(/\.js$/, '.ts'),
  );
const layerOf = (file: string): number => LAYERS.indexOf(file.split('/')[1]);

test('no layer imports one above it', () => {
  const wrong: string[] = [];
  let seen = 0;
  for (const layer of LAYERS) {
    for (const file of sources(`src/${layer}`)) {
      for (const imported of imports(file)) {
        seen++;
        if (!imported.startsWith('src/') || layerOf(imported) < 0 || layerOf(imported) > layerOf(file)) wrong.push(`${file} imports ${imported}`);
      }
    }
  }
  assert.deepEqual(wrong, []);
  assert.ok(seen > 500, `only ${seen} imports were found`);
});

test('a codec imports protocol, base and its own folder', () => {
  const wrong: string[] = [];
  let seen = 0;
  for (const file of sources('codecs')) {
    const own = file.split('/').slice(0, 2).join('/');
    for (const imported of imports(file)) {
      seen++;
      if (!imported.startsWith(`${own}/`) && !imported.startsWith('src/protocol/') && !imported.startsWith('src/base/'))
        wrong.push(`${file} imports ${imported}`);
    }
  }
  assert.deepEqual(wrong, []);
  assert.ok(seen > 100, `only ${seen} imports were found`);
});

test('no file imports itself by way of others', () => {
  const found: string[] = [];
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]): void => {
    if (path.includes(file)) {
      found.push([...path.slice(path.indexOf(file)), file].join(' > '));
      return;
    }
    if (done.has(file)) return;
    for (const imported of values(file)) visit(imported, [...path, file]);
    done.add(file);
  };
  for (const file of [...LAYERS.map((layer) => `src/${layer}`), 'codecs'].flatMap(sources)) visit(file, []);
  assert.deepEqual(found, []);
});
/** Imports that are there at run time: types may refer to each other. */
const values = (file: string): string[] => {
  const text = readFileSync(join(ROOT, file), 'utf8').replace(/^(?:import|export) type\s[^;]*;/gms, '');
  return [...text.matchAll(/^(?:import|export)\s(?:[^;]*?\sfrom\s)?'(\.[^']+)'/gms)]
    .map(([, path]) => relative(ROOT, resolve(ROOT, dirname(file), path)).replace(/\.js$/, '.ts'))
    .filter((path) => path.endsWith('.ts'));
};

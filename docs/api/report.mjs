/**
 * The public API as text: every export with its docstring and its type, sorted by name, from the declarations that the compiler wrote to dist/. Members marked
 * `@internal` are left out: they may change.
 *
 *   npm run api      writes docs/api/*.api.md; test/integration/codec-api.test.ts fails while they differ from what is compiled
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
/** Entries of package.json's `exports` that have a report, by its file. */
export const REPORTS = { 'docs/api/codec.api.md': './codec', 'docs/api/codec-testing.api.md': './codec/testing' };

/** Top-level declarations of a .d.ts file by name; functions that are overloaded are joined. The compiler starts every one at column 0. */
function declarationsOf(file) {
  const found = new Map();
  let comment = '';
  for (const [part] of readFileSync(file, 'utf8').matchAll(/^\/\*\*[\s\S]*?\*\/\n|^(?!\/\*\*)\S[^\n]*\n(?:(?:[ }\])][^\n]*)?\n)*/gm)) {
    if (part.startsWith('/**')) {
      comment = part;
      continue;
    }
    const name = part.match(/^(?:export )?(?:declare )?(?:abstract )?(?:class|interface|type|const|function) ([\w$]+)/)?.[1];
    if (name !== undefined) found.set(name, { comment, text: (found.get(name)?.text ?? '') + part });
    comment = '';
  }
  return found;
}

/** `export { type A, b } from './x.js'` of an entry: names and the files that declare them. */
function exportsOf(entry) {
  const found = [];
  for (const [, names, from] of readFileSync(entry, 'utf8').matchAll(/^export (?:type )?\{([^}]*)\} from '([^']+)';/gm)) {
    const file = join(dirname(entry), from.replace(/\.js$/, '.d.ts'));
    for (const name of names.split(',').map((text) => text.trim().replace(/^type /, ''))) if (name !== '') found.push({ name, file });
  }
  return found.sort((a, b) => (a.name.toLowerCase() < b.name.toLowerCase() ? -1 : 1));
}

/** Without members marked `@internal` and private ones. */
const publicPart = (text) =>
  text
    .replace(/^ {4}\/\*\*(?:(?!\*\/)[\s\S])*@internal(?:(?!\*\/)[\s\S])*\*\/\n {4}[^\n]*\n(?: {5,}[^\n]*\n| {4}\}[^\n]*\n)*/gm, '')
    .replace(/^ {4}#private;\n/gm, '')
    .trimEnd();

/** The declarations of one entry, by name: `{ comment, text }`. Throws where an export is not found in the file that it comes from. */
export function publicDeclarations(entry) {
  const file = join(root, JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).exports[entry].types);
  const files = new Map();
  return new Map(
    exportsOf(file).map(({ name, file: from }) => {
      if (!files.has(from)) files.set(from, declarationsOf(from));
      const found = files.get(from).get(name);
      if (found === undefined) throw new Error(`${from} does not declare ${name}`);
      return [name, { comment: found.comment, text: publicPart(found.text) }];
    }),
  );
}

/** The report of an entry. */
export function apiReport(entry) {
  const declarations = [...publicDeclarations(entry)];
  const parts = declarations.map(([name, { comment, text }]) => `## ${name}\n\n\`\`\`ts\n${comment}${text}\n\`\`\`\n`);
  return `# \`${entry.replace('.', 'sluice')}\`\n\nThe public API. Written by \`npm run api\`; it changes only on purpose.\n\n${parts.join('\n')}`;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  for (const [file, entry] of Object.entries(REPORTS)) writeFileSync(join(root, file), apiReport(entry));
}

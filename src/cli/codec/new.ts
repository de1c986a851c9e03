import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../base/backend.js';
import { ConfigError } from '../../base/errors.js';

/** Folders of `templates/`. */
export const TEMPLATES = ['layout', 'scripted'] as const;
export type Template = (typeof TEMPLATES)[number];
/** What the templates are called by. */
const PLACEHOLDER = 'acme';
/**
 * Writes the folder of a new codec from a template; answers the files written. Throws ConfigError for a name that no codec can have, and where the folder is
 * there already.
 */
export function createCodec(name: string, template: Template, folder: string): string[] {
  if (!/^[a-z][a-z0-9]*(?:-[a-z0-9]+)*$/.test(name) || name.length > 40)
    throw new ConfigError(`${JSON.stringify(name)} is no name for a codec: lower case, digits and dashes, beginning with a letter, at most 40`);
  if (existsSync(folder) && readdirSync(folder).length > 0) throw new ConfigError(`${folder} is there already, and not empty`);
  const from = join(packageRoot(), 'templates', template);
  mkdirSync(folder, { recursive: true });
  const camel = name.replace(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
  // Not the bare name: it may be a word of the language, or of the template.
  const variable = `${camel}Codec`;
  return readdirSync(from).map((file) => {
    const text = readFileSync(join(from, file), 'utf8');
    // As an identifier it stands before a dot, a comma or `from`; elsewhere it is text.
    const renamed = text
      .replace(/import acme from|\bacme\.(?=[a-z])|\bacme\b(?=,)/g, (found) => found.replace(PLACEHOLDER, variable))
      .replaceAll(PLACEHOLDER, name);
    writeFileSync(join(folder, file), renamed);
    return join(folder, file);
  });
}

import { readFileSync } from 'node:fs';
import { formatProblems, type Problem } from '../control/config/index.js';
import { type CheckedConfiguration, type ConfigSource, type ConfigurationOptions, checkConfiguration } from '../control/configuration.js';

/** Where the command writes. */
export interface Output {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
}

/** The configuration that `-c` and `--config-yaml` name. Throws where the file cannot be read. `-` is standard input. */
export function readSource(path: string | undefined, overlay: string | undefined): ConfigSource {
  const over = overlay === undefined ? undefined : { text: overlay, file: '--config-yaml' };
  if (path === undefined) return over === undefined ? { text: '', file: '' } : over;
  const file = path === '-' ? 0 : path;
  const name = path === '-' ? '<stdin>' : path;
  try {
    return { text: readFileSync(file, 'utf8'), file: name, overlay: over };
  } catch (cause) {
    throw new Error(`cannot read the configuration ${JSON.stringify(name)}: ${(cause as Error).message}`, { cause });
  }
}

/** Checks a configuration and prints `configuration 'path' OK` or every problem. Answers the exit status. */
export async function validate(
  path: string | undefined,
  overlay: string | undefined,
  format: 'text' | 'json',
  options: ConfigurationOptions,
  { out, err }: Output,
): Promise<0 | 1> {
  let checked: Pick<CheckedConfiguration, 'problems' | 'warnings'>;
  try {
    checked = await checkConfiguration(readSource(path, overlay), options);
  } catch (cause) {
    const problem: Problem = { file: path ?? '', line: 1, column: 1, path: '', code: 'UNREADABLE', message: (cause as Error).message };
    checked = { problems: [problem], warnings: [] };
  }
  const { problems, warnings } = checked;
  if (format === 'json') out(`${formatProblems(problems, 'json')}\n`);
  else {
    if (warnings.length > 0) err(`${formatProblems(warnings, 'text').replaceAll(/^/gm, 'warning: ')}\n`);
    if (problems.length > 0)
      err(
        `${formatProblems(problems, 'text')}\nconfiguration '${path ?? '--config-yaml'}' is not valid: ${problems.length} problem${problems.length === 1 ? '' : 's'}\n`,
      );
    else out(`configuration '${path ?? '--config-yaml'}' OK\n`);
  }
  return problems.length === 0 ? 0 : 1;
}

/**
 * The command line: Envoy's flags (so that pilot-agent and existing start scripts work unchanged) read by one table. `--flag X`, `--flag=X` and `-c X`; a
 * flag that is not known is a warning, because agents of other versions pass flags that came or went.
 */

/** What a flag takes. */
export type FlagKind = 'switch' | 'text' | 'count';

export interface Flag {
  readonly name: string;
  readonly short?: string;
  readonly kind: FlagKind;
  /** In `--help`: the name of the value. */
  readonly value?: string;
  readonly help: string;
  /** Only these values. */
  readonly choices?: readonly string[];
  /** May be given several times; the values are joined with commas. */
  readonly repeats?: boolean;
  /** Accepted, and without effect. */
  readonly ignored?: boolean;
}

const ignored = (name: string, kind: FlagKind, help: string): Flag => ({ name, kind, help, ignored: true });

/** Flags of `sluice run` and of plain `sluice`. Source: Envoy's command line options; what the agents of Istio pass. */
export const FLAGS: readonly Flag[] = [
  { name: 'config-path', short: 'c', kind: 'text', value: 'FILE', help: 'Envoy v3 Bootstrap in YAML or JSON' },
  { name: 'config-yaml', kind: 'text', value: 'TEXT', help: 'YAML or JSON merged over the file (scalars replace, lists append)' },
  {
    name: 'mode',
    kind: 'text',
    value: 'MODE',
    choices: ['serve', 'validate', 'init_only'],
    help: 'serve (default); validate: check the configuration and exit; init_only: start, and exit once ready',
  },
  { name: 'concurrency', kind: 'count', value: 'N', help: 'data workers; default: one for each core' },
  { name: 'backend', kind: 'text', value: 'NAME', choices: ['auto', 'native', 'fallback'], help: 'engine; default: SLUICE_BACKEND, else auto' },
  { name: 'log-level', short: 'l', kind: 'text', value: 'LEVEL', help: 'trace, debug, info (default), warning, error, critical or off' },
  { name: 'component-log-level', kind: 'text', value: 'A:LEVEL,B:LEVEL', help: 'levels of single components, e.g. router:debug' },
  { name: 'log-format', kind: 'text', value: 'FORMAT', help: 'format of log lines; default [%Y-%m-%d %T.%e][%t][%l][%n] %v' },
  { name: 'log-format-escaped', kind: 'switch', help: 'write line breaks inside messages as \\n' },
  { name: 'log-path', kind: 'text', value: 'FILE', help: 'append the log to a file; SIGUSR1 opens it anew' },
  { name: 'drain-time-s', kind: 'count', value: 'N', help: 'time for connections to end when draining or stopping; default 600' },
  {
    name: 'drain-strategy',
    kind: 'text',
    value: 'NAME',
    choices: ['gradual', 'immediate'],
    help: 'in a graceful drain, connections end with their next response: all at once (immediate), or more and more of them over the drain time (gradual, the default)',
  },
  { name: 'service-cluster', kind: 'text', value: 'NAME', help: 'node.cluster, over the file' },
  { name: 'service-node', kind: 'text', value: 'NAME', help: 'node.id, over the file' },
  { name: 'service-zone', kind: 'text', value: 'NAME', help: 'node.locality.zone, over the file' },
  { name: 'allow-unknown-static-fields', kind: 'switch', help: 'unknown fields in the configuration are warnings' },
  { name: 'allow-unknown-fields', kind: 'switch', help: 'the same' },
  { name: 'file-flush-interval-msec', kind: 'count', value: 'N', help: 'access logs are written at least so often; default 10000' },
  { name: 'file-flush-min-size-kb', kind: 'count', value: 'N', help: 'access logs are written when so much waits; default 64' },
  { name: 'admin-address-path', kind: 'text', value: 'FILE', help: 'write the bound admin address to a file' },
  { name: 'codec', kind: 'text', value: 'PATH', repeats: true, help: 'load a codec from a folder or module; may be repeated' },
  { name: 'stats-tag', kind: 'text', value: 'NAME:VALUE', repeats: true, help: 'a tag of every statistic; may be repeated' },
  { name: 'restart-epoch', kind: 'count', value: 'N', help: 'above 0: another process holds the same ports, and that is no error' },
  { name: 'version', kind: 'switch', help: 'print the version and exit' },
  { name: 'help', short: 'h', kind: 'switch', help: 'print this and exit' },
  ignored('local-address-ip-version', 'text', 'v4 or v6'),
  ignored('parent-shutdown-time-s', 'count', 'hot restart'),
  ignored('base-id', 'count', 'hot restart'),
  ignored('base-id-path', 'text', 'hot restart'),
  ignored('use-dynamic-base-id', 'switch', 'hot restart'),
  ignored('disable-hot-restart', 'switch', 'hot restart'),
  ignored('socket-path', 'text', 'hot restart'),
  ignored('socket-mode', 'text', 'hot restart'),
  ignored('skip-hot-restart-on-no-parent', 'switch', 'hot restart'),
  ignored('skip-hot-restart-parent-stats', 'switch', 'hot restart'),
  ignored('hot-restart-version', 'switch', 'hot restart'),
  ignored('skip-deprecated-logs', 'switch', ''),
  ignored('enable-core-dump', 'switch', ''),
  ignored('enable-fine-grain-logging', 'switch', ''),
  ignored('enable-mutex-tracing', 'switch', ''),
  ignored('log-stacktrace-single-entry', 'switch', ''),
  ignored('cpuset-threads', 'switch', ''),
  ignored('reject-unknown-dynamic-fields', 'switch', ''),
  ignored('ignore-unknown-dynamic-fields', 'switch', ''),
  ignored('disable-extensions', 'text', ''),
  ignored('bootstrap-version', 'count', 'removed from Envoy'),
  ignored('max-obj-name-len', 'count', 'removed from Envoy'),
  ignored('max-stats', 'count', 'removed from Envoy'),
];

/** Flags of `sluice validate`. */
export const VALIDATE_FLAGS: readonly Flag[] = [
  { name: 'format', kind: 'text', value: 'FORM', choices: ['text', 'json'], help: 'form of the problems: text (default) or json' },
  ...FLAGS.filter(({ name }) => ['config-path', 'config-yaml', 'allow-unknown-static-fields', 'allow-unknown-fields', 'help'].includes(name)),
];

export interface Arguments {
  /** By flag name; switches are `true`, counts numbers. */
  readonly values: ReadonlyMap<string, string | number | true>;
  /** What stands without a flag. */
  readonly positional: readonly string[];
  /** Flags that are not known. */
  readonly warnings: readonly string[];
  /** What makes a start impossible: a value that is missing or wrong. */
  readonly errors: readonly string[];
}

/** Reads arguments (without program and command). Throws nothing. */
export function parseArguments(args: readonly string[], flags: readonly Flag[]): Arguments {
  const values = new Map<string, string | number | true>();
  const positional: string[] = [];
  const warnings: string[] = [];
  const errors: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const arg = args[i];
    if (arg === '--') {
      positional.push(...args.slice(i + 1));
      break;
    }
    if (!arg.startsWith('-') || arg === '-') {
      positional.push(arg);
      continue;
    }
    const equals = arg.startsWith('--') ? arg.indexOf('=') : -1;
    const written = equals < 0 ? arg : arg.slice(0, equals);
    const flag = flags.find(({ name, short }) => written === `--${name}` || (short !== undefined && written === `-${short}`));
    if (flag === undefined) {
      // `--flag X`: whether X belongs to it nobody knows; a path or a word that follows an unknown flag is more likely its value than a command.
      const takesNext = equals < 0 && i + 1 < args.length && !args[i + 1].startsWith('-');
      warnings.push(`unknown flag ${written}${takesNext ? ` ${args[i + 1]}` : ''} ignored`);
      if (takesNext) i++;
      continue;
    }
    if (flag.kind === 'switch') {
      if (equals >= 0) errors.push(`${written} takes no value`);
      else values.set(flag.name, true);
      continue;
    }
    const value = equals >= 0 ? arg.slice(equals + 1) : args[++i];
    if (value === undefined) {
      errors.push(`${written} needs a value`);
      continue;
    }
    if (flag.ignored) {
      values.set(flag.name, value);
      continue;
    }
    if (flag.kind === 'count') {
      if (!/^\d{1,10}$/.test(value)) errors.push(`${written} ${JSON.stringify(value)}: expected a whole number`);
      else values.set(flag.name, Number(value));
    } else if (flag.choices !== undefined && !flag.choices.includes(value)) {
      errors.push(`${written} ${JSON.stringify(value)}: expected one of ${flag.choices.join(', ')}`);
    } else values.set(flag.name, flag.repeats && values.has(flag.name) ? `${values.get(flag.name)},${value}` : value);
  }
  return { values, positional, warnings, errors };
}

/** Characters of a line of `--help`. */
export const HELP_WIDTH = 100;

/** Lines of at most `width` characters; a longer word has a line of its own. */
export function wrapWords(text: string, width: number): string[] {
  const lines = [''];
  for (const word of text.split(' ')) {
    const line = lines[lines.length - 1];
    if (line !== '' && line.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
  }
  return lines;
}

/** The flags' part of `--help`. */
export function describeFlags(flags: readonly Flag[]): string {
  const lines = flags
    .filter((flag) => !flag.ignored)
    .map(({ name, short, value, help }) => [
      `  ${short === undefined ? '   ' : `-${short},`} --${name}${value === undefined ? '' : ` ${value}`}`,
      help,
    ]);
  const width = Math.min(36, Math.max(...lines.map(([left]) => left.length)));
  const indent = ' '.repeat(width + 2);
  return lines
    .map(([left, help]) => {
      const text = wrapWords(help, HELP_WIDTH - indent.length).join(`\n${indent}`);
      return left.length > width ? `${left}\n${indent}${text}` : `${left.padEnd(width)}  ${text}`;
    })
    .join('\n');
}

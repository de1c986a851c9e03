/** `sluice codec ...`: the kit for private protocols. */
import { join } from 'node:path';
import { ConfigError } from '../../base/errors.js';
import { isScripted } from '../../protocol/codec.js';
import { type Arguments, type Flag, parseArguments } from '../arguments.js';
import type { Output } from '../validate.js';
import { benchCodec } from './bench.js';
import { testCodec } from './codec-tests.js';
import { decodeFile } from './decode.js';
import { createCodec, TEMPLATES, type Template } from './new.js';
import { type Style, styleFor } from './style.js';
import { builtInCodecs } from './subject.js';

const JSON_FLAG: Flag = { name: 'json', kind: 'switch', help: 'print JSON' };
const COLOR_FLAG: Flag = {
  name: 'color',
  kind: 'text',
  value: 'WHEN',
  choices: ['auto', 'always', 'never'],
  help: 'colours: auto (default: on a terminal, unless NO_COLOR is set), always or never',
};
const HELP_FLAG: Flag = { name: 'help', short: 'h', kind: 'switch', help: 'print this and exit' };

/** A command of `sluice codec`. */
export interface CodecCommand {
  readonly name: string;
  readonly usage: string;
  readonly help: string;
  readonly flags: readonly Flag[];
  /** Words that must stand without a flag. */
  readonly words: readonly string[];
}
/** Every command of `sluice codec`, for the command line and for `--help`. */
export const CODEC_COMMANDS: readonly CodecCommand[] = [
  {
    name: 'new',
    usage: 'new NAME',
    help: 'write the folder of a new codec, which passes its tests',
    words: ['NAME'],
    flags: [
      {
        name: 'template',
        kind: 'text',
        value: 'KIND',
        choices: TEMPLATES,
        help: 'layout (default): described, runs in C++ too; scripted: what a layout cannot say',
      },
      { name: 'dir', kind: 'text', value: 'PATH', help: 'where; default ./NAME' },
    ],
  },
  {
    name: 'test',
    usage: 'test PATH',
    help: 'the contract that every codec keeps, then the *.test.ts files of the folder',
    words: ['PATH'],
    flags: [
      JSON_FLAG,
      COLOR_FLAG,
      { name: 'seed', kind: 'count', value: 'N', help: 'of the random frames; default 1' },
      { name: 'runs', kind: 'count', value: 'N', help: 'frames of each random rule; default 300' },
      { name: 'timeout-s', kind: 'count', value: 'N', help: 'a rule that takes longer is a hang; default 60' },
    ],
  },
  {
    name: 'bench',
    usage: 'bench PATH',
    help: 'what finding a frame costs, native and fallback',
    words: ['PATH'],
    flags: [
      JSON_FLAG,
      COLOR_FLAG,
      { name: 'rounds', kind: 'count', value: 'N', help: 'rounds, of which the middle one counts; default 9' },
      { name: 'round-ms', kind: 'count', value: 'N', help: 'length of a round; default 100' },
      { name: 'body-bytes', kind: 'count', value: 'N', help: 'size of the last section of each frame; default: as in the vectors' },
    ],
  },
  {
    name: 'decode',
    usage: 'decode PATH FILE|-',
    help: 'print the frames of hex text, raw bytes, pcap or pcapng, field by field',
    words: ['PATH', 'FILE'],
    flags: [
      { ...JSON_FLAG, help: 'print a line of JSON for each frame' },
      COLOR_FLAG,
      { name: 'format', kind: 'text', value: 'FORM', choices: ['hex', 'raw', 'pcap'], help: 'form of FILE; default: told by its bytes' },
      {
        name: 'side',
        kind: 'text',
        value: 'SIDE',
        choices: ['downstream', 'upstream'],
        help: 'who sent hex or raw bytes: the caller (downstream, default) or the called one',
      },
      { name: 'port', kind: 'count', value: 'N', help: 'of a capture: connections to this port; default: those that look like the protocol' },
    ],
  },
  { name: 'list', usage: 'list', help: 'the built-in codecs', words: [], flags: [JSON_FLAG] },
];

/** Runs `sluice codec ARGS`. Answers the exit status; throws nothing that a user can cause. */
export async function codecCommand(args: readonly string[], codecs: URL, output: Output): Promise<number> {
  const [name, ...rest] = args;
  const command = CODEC_COMMANDS.find((known) => known.name === name);
  if (command === undefined) {
    const isHelp = name === undefined || name === '--help' || name === '-h' || name === 'help';
    if (!isHelp) output.err(`error: there is no command sluice codec ${name}\n`);
    (isHelp ? output.out : output.err)(codecUsage());
    return isHelp && name !== undefined ? 0 : 1;
  }
  const parsed = parseArguments(rest, [...command.flags, HELP_FLAG]);
  if (parsed.values.has('help')) {
    output.out(commandUsage(command));
    return 0;
  }
  const errors = [...parsed.warnings.map((warning) => warning.replace(/ ignored$/, '')), ...parsed.errors];
  if (parsed.positional.length !== command.words.length) errors.push(`expected: sluice codec ${command.usage}`);
  if (errors.length > 0) {
    for (const error of errors) output.err(`error: ${error}\n`);
    output.err(commandUsage(command));
    return 1;
  }
  try {
    return await run(command.name, parsed, codecs, output);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const isExpected = cause instanceof ConfigError || cause instanceof RangeError || code !== undefined;
    output.err(`error: ${isExpected ? (cause as Error).message : cause instanceof Error ? cause.stack : String(cause)}\n`);
    return 1;
  }
}

async function run(name: string, { values, positional }: Arguments, codecs: URL, output: Output): Promise<number> {
  const text = (flag: string): string | undefined => values.get(flag) as string | undefined;
  const count = (flag: string): number | undefined => values.get(flag) as number | undefined;
  const json = values.has('json');
  const style: Style = styleFor(text('color'));
  const [first, second] = positional;
  switch (name) {
    case 'new':
      return announce(first, (text('template') ?? 'layout') as Template, text('dir') ?? join('.', first), output);
    case 'test':
      return testCodec(
        first,
        codecs,
        { json, seed: count('seed'), runs: count('runs'), timeoutMs: (count('timeout-s') ?? 60) * 1000 },
        style,
        output,
      );
    case 'bench':
      return benchCodec(
        first,
        codecs,
        { json, rounds: Math.max(1, count('rounds') ?? 9), roundMs: Math.max(1, count('round-ms') ?? 100), bodyBytes: count('body-bytes') },
        style,
        output,
      );
    case 'decode': {
      const format = text('format') as 'hex' | 'raw' | 'pcap' | undefined;
      const side = text('side') === 'upstream' ? 'upstream' : 'downstream';
      return decodeFile(first, second, codecs, { json, format, side, port: count('port') }, style, output);
    }
    default:
      return listCodecs(json, codecs, output);
  }
}

function announce(name: string, template: Template, folder: string, { out }: Output): 0 {
  for (const file of createCodec(name, template, folder)) out(`${file}\n`);
  out(`\nNext: sluice codec test ${folder}, then draw your wire in ${join(folder, 'README.md')}\n`);
  return 0;
}
async function listCodecs(json: boolean, codecs: URL, { out }: Output): Promise<0> {
  const rows = (await builtInCodecs(codecs))
    .map(({ codec }) => ({ name: codec.name, pool: codec.pool, framing: isScripted(codec.framing) ? 'scripted' : 'layout' }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  if (json) out(`${JSON.stringify(rows)}\n`);
  else for (const { name, pool, framing } of rows) out(`${name.padEnd(16)}${pool.padEnd(12)}${framing}\n`);
  return 0;
}

/** The lines of `sluice codec` in a help text. */
export const codecCommandLines = (): string[] => CODEC_COMMANDS.map(({ usage, help }) => `  ${`sluice codec ${usage}`.padEnd(39)}  ${help}`);
const codecUsage = (): string =>
  `Usage\n${codecCommandLines().join('\n')}\n\nPATH is a folder or a module (TypeScript or JavaScript), or the name of a built-in codec.\n`;
const commandUsage = ({ usage, help, flags }: CodecCommand): string =>
  `sluice codec ${usage}: ${help}\n${[...flags, HELP_FLAG]
    .map(
      ({ name, short, value, help: meaning }) =>
        `  ${`--${name}${value === undefined ? '' : ` ${value}`}${short === undefined ? '' : `, -${short}`}`.padEnd(20)} ${meaning}\n`,
    )
    .join('')}`;

/** The `sluice` command: arguments in, exit status out. Signals are handled here and nowhere else. */
import { DEFAULT_LOG_FORMAT, parseComponentLevels, parseLogLevel } from '../base/log.js';
import { type Server, type ServerOptions, startServer } from '../control/server.js';
import { type Arguments, FLAGS, parseArguments, VALIDATE_FLAGS } from './arguments.js';
import { codecCommand } from './codec/command.js';
import { helpText } from './help.js';
import { type Output, readSource, validate } from './validate.js';

/** What the composition root knows and the command does not. */
export interface Program extends Pick<ServerOptions, 'version' | 'workerEntry' | 'codecs'>, Output {}

/** Runs the command; resolves with the exit status when it is over. Throws nothing. */
export async function main(args: readonly string[], program: Program): Promise<number> {
  const [command, ...rest] = args;
  if (command === 'validate') return runValidate(parseArguments(rest, VALIDATE_FLAGS), program);
  if (command === 'codec') return codecCommand(rest, program.codecs, program);
  if (command === 'help') {
    program.out(helpText(program.version));
    return 0;
  }
  if (command === 'version') {
    program.out(versionLine(program.version));
    return 0;
  }
  return run(parseArguments(command === 'run' ? rest : args, FLAGS), program, command === 'run');
}

const versionLine = (version: string): string => `sluice  version: sluice/${version}/Clean/RELEASE/Node-${process.versions.node}\n`;

function complain(args: Arguments, { err }: Output): boolean {
  for (const warning of args.warnings) err(`warning: ${warning}\n`);
  for (const error of args.errors) err(`error: ${error}\n`);
  if (args.errors.length > 0) err('sluice --help lists the flags\n');
  return args.errors.length > 0;
}

async function runValidate(args: Arguments, program: Program): Promise<number> {
  if (complain(args, program)) return 1;
  if (args.values.has('help')) {
    program.out(helpText(program.version));
    return 0;
  }
  const text = (name: string): string | undefined => args.values.get(name) as string | undefined;
  const path = args.positional[0] ?? text('config-path');
  if (path === undefined && text('config-yaml') === undefined) {
    program.err('error: name the file: sluice validate FILE\n');
    return 1;
  }
  if (args.positional.length > 1) {
    program.err(`error: one file at a time: ${args.positional.join(' ')}\n`);
    return 1;
  }
  return validate(
    path,
    text('config-yaml'),
    text('format') === 'json' ? 'json' : 'text',
    { allowUnknownFields: allowsUnknown(args), ...placesOf(args, program) },
    program,
  );
}

const codecPathsOf = ({ values }: Arguments): string[] =>
  ((values.get('codec') as string | undefined) ?? '').split(',').filter((path) => path !== '');
const placesOf = (args: Arguments, { codecs }: Program) => ({ codecs: { folder: codecs, paths: codecPathsOf(args) } });
const allowsUnknown = ({ values }: Arguments): boolean => values.has('allow-unknown-static-fields') || values.has('allow-unknown-fields');

async function run(args: Arguments, program: Program, named: boolean): Promise<number> {
  const { values, positional } = args;
  const text = (name: string): string | undefined => values.get(name) as string | undefined;
  if (values.has('help')) {
    program.out(helpText(program.version));
    return 0;
  }
  if (values.has('version')) {
    program.out(versionLine(program.version));
    return 0;
  }
  if (values.has('hot-restart-version')) {
    program.out('disabled\n');
    return 0;
  }
  if (complain(args, program)) return 1;
  // `sluice run FILE` is what one types; a stray word after plain `sluice` is more likely a misspelt command.
  const path = text('config-path') ?? (named ? positional[0] : undefined);
  const stray = positional.filter((word) => word !== path);
  if (stray.length > 0) {
    program.err(
      `error: unexpected argument${stray.length === 1 ? '' : 's'} ${stray.join(' ')}; commands are run, validate and codec (sluice --help)\n`,
    );
    return 1;
  }
  if (path === undefined && text('config-yaml') === undefined) {
    program.err('error: no configuration: sluice run -c FILE (sluice --help)\n');
    return 1;
  }
  const node = { id: text('service-node'), cluster: text('service-cluster'), zone: text('service-zone') };
  const allowUnknownFields = allowsUnknown(args);
  const hasLogFormat = values.has('log-format');
  if (text('mode') === 'validate')
    return validate(path, text('config-yaml'), 'text', { allowUnknownFields, node, hasLogFormat, ...placesOf(args, program) }, program);
  return serve(args, program, path, { node, allowUnknownFields });
}

async function serve(
  args: Arguments,
  program: Program,
  path: string | undefined,
  base: Pick<ServerOptions, 'node' | 'allowUnknownFields'>,
): Promise<number> {
  const { values } = args;
  const text = (name: string): string | undefined => values.get(name) as string | undefined;
  const count = (name: string): number | undefined => values.get(name) as number | undefined;
  let server: Server;
  const signals = new Signals();
  try {
    const format = text('log-format');
    const escaped = values.has('log-format-escaped') ? (format ?? DEFAULT_LOG_FORMAT).replaceAll('%v', '%_') : format;
    const flushKb = count('file-flush-min-size-kb');
    server = await startServer({
      ...base,
      config: readSource(path, text('config-yaml')),
      concurrency: count('concurrency'),
      backend: backendOf(text('backend') ?? process.env.SLUICE_BACKEND),
      adminAddressPath: text('admin-address-path'),
      drainTimeMs: (count('drain-time-s') ?? 600) * 1000,
      drainStrategy: text('drain-strategy') === 'immediate' ? 'immediate' : 'gradual',
      statsTags: statsTagsOf(text('stats-tag')),
      restartEpoch: count('restart-epoch'),
      log: {
        level: levelOf(text('log-level')),
        components: parseComponentLevels(text('component-log-level') ?? ''),
        format: escaped,
        path: text('log-path'),
      },
      accessLog: { flushIntervalMs: count('file-flush-interval-msec'), flushMinBytes: flushKb === undefined ? undefined : flushKb * 1024 },
      commandLine: commandLine(args),
      version: program.version,
      workerEntry: program.workerEntry,
      codecs: program.codecs,
      codecPaths: codecPathsOf(args),
    });
  } catch (cause) {
    signals.release();
    program.err(`${cause instanceof Error ? cause.message : String(cause)}\nsluice: not started\n`);
    return 1;
  }
  if (text('mode') === 'init_only') await server.stop({ drainTimeMs: 0 });
  signals.attach(server);
  await server.closed;
  signals.release();
  return 0;
}

/** Switches that are fields of envoy.admin.v3.CommandLineOptions. */
const SHOWN_SWITCHES: ReadonlySet<string> = new Set([
  'use-dynamic-base-id',
  'ignore-unknown-dynamic-fields',
  'reject-unknown-dynamic-fields',
  'skip-deprecated-logs',
  'log-format-escaped',
  'enable-mutex-tracing',
  'cpuset-threads',
  'enable-fine-grain-logging',
  'enable-core-dump',
  'skip-hot-restart-on-no-parent',
  'skip-hot-restart-parent-stats',
]);

/** The given flags as envoy.admin.v3.CommandLineOptions names them, where they differ from the name with `_`. */
function commandLine({ values }: Arguments): object {
  const options: Record<string, unknown> = {};
  const parent = values.get('parent-shutdown-time-s');
  if (parent !== undefined) options.parent_shutdown_time = `${parent}s`;
  const version = values.get('local-address-ip-version');
  if (version !== undefined) options.local_address_ip_version = version;
  for (const name of SHOWN_SWITCHES) if (values.has(name)) options[name.replaceAll('-', '_')] = true;
  return options;
}

/** `NAME:VALUE,...`. Throws where a part has no colon. */
function statsTagsOf(text: string | undefined): ReadonlyMap<string, string> | undefined {
  if (text === undefined) return undefined;
  return new Map(
    text.split(',').map((part): [string, string] => {
      const colon = part.indexOf(':');
      if (colon < 1 || colon === part.length - 1) throw new Error(`--stats-tag ${JSON.stringify(part)}: expected NAME:VALUE`);
      return [part.slice(0, colon), part.slice(colon + 1)];
    }),
  );
}

function levelOf(text: string | undefined): ReturnType<typeof parseLogLevel> {
  if (text === undefined) return undefined;
  const level = parseLogLevel(text);
  if (level === undefined) throw new Error(`--log-level ${JSON.stringify(text)}: expected trace, debug, info, warning, error, critical or off`);
  return level;
}
function backendOf(text: string | undefined): ServerOptions['backend'] {
  if (text === undefined || text === '') return 'auto';
  if (text === 'auto' || text === 'native' || text === 'fallback') return text;
  throw new Error(`SLUICE_BACKEND=${text}: use auto, native or fallback`);
}

/** SIGTERM and SIGINT stop the proxy, the second one without waiting; SIGUSR1 reopens logs; SIGHUP does nothing. */
class Signals {
  #server: Server | undefined;
  #asked = false;
  readonly #handlers: readonly (readonly [NodeJS.Signals, () => void])[] = [
    ['SIGTERM', () => this.#stop('SIGTERM')],
    ['SIGINT', () => this.#stop('SIGINT')],
    ['SIGUSR1', () => this.#server?.reopenLogs()],
    ['SIGHUP', () => {}], // a terminal that closes does not take the proxy with it
  ];
  constructor() {
    for (const [signal, handler] of this.#handlers) process.on(signal, handler);
  }
  attach(server: Server): void {
    this.#server = server;
    if (this.#asked) void server.stop();
  }
  release(): void {
    for (const [signal, handler] of this.#handlers) process.removeListener(signal, handler);
  }
  #stop(signal: string): void {
    if (this.#asked) process.exit(1);
    this.#asked = true;
    this.#server?.logger.info(`${signal}: draining; a second signal ends at once`);
    void this.#server?.stop();
  }
}

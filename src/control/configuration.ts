/** From text to a checked configuration: loaded, compiled for a test, with every problem that was found on the way. Opens no socket and no file. */
import { ConfigError } from '../base/errors.js';
import type { RuntimeConfig } from '../proxy/runtime.js';
import { type CodecPlaces, type CodecSet, codecsFor, NO_CODECS } from './codecs.js';
import type { CompileProblem } from './compile/context.js';
import { compileConfig, type ServerConfig } from './compile/index.js';
import { formatProblems, loadBootstrap, type Problem, type SourceMap } from './config/index.js';
import type { Bootstrap } from './config/types.js';

/** A configuration as the user gives it. */
export interface ConfigSource {
  readonly text: string;
  /** Name for messages; decides between YAML and JSON, too. */
  readonly file: string;
  readonly format?: 'yaml' | 'json' | 'auto';
  /** `--config-yaml`: merged over `text`. */
  readonly overlay?: { readonly text: string; readonly file: string };
}

export interface ConfigurationOptions {
  readonly allowUnknownFields?: boolean;
  /** `--service-node`, `--service-cluster`, `--service-zone`: over the file's `node`. */
  readonly node?: { readonly id?: string; readonly cluster?: string; readonly zone?: string };
  /** Protocols that the configuration may name. Default: none. */
  readonly codecs?: CodecPlaces;
  /** `--log-format` is given: the configuration must not say another one. */
  readonly hasLogFormat?: boolean;
}

/** A configuration that can be run, or the problems in the way. */
export interface CheckedConfiguration {
  readonly bootstrap: Bootstrap | undefined;
  /** Compiled for the main thread: names, cluster types, sources; its access logs go nowhere. */
  readonly config: RuntimeConfig | undefined;
  /** What is the server's own: statistics, their tags and buckets. */
  readonly server: ServerConfig | undefined;
  readonly problems: readonly Problem[];
  readonly warnings: readonly Problem[];
}

/** A configuration that cannot be run. The text lists every problem with file, line, column, field path and nearest spelling. */
export class InvalidConfiguration extends ConfigError {
  constructor(readonly problems: readonly Problem[]) {
    super(formatProblems(problems, 'text'));
  }
}

/** Loads and compiles. Throws nothing for whatever text; ConfigError for a path of `codecs` where there is none. */
export async function checkConfiguration(source: ConfigSource, options: ConfigurationOptions = {}): Promise<CheckedConfiguration> {
  const { text, file, format, overlay } = source;
  const { node, allowUnknownFields, hasLogFormat } = options;
  const loaded = loadBootstrap(text, { file, format, overlay, allowUnknownFields });
  const codecs = options.codecs === undefined ? NO_CODECS : await codecsFor(loaded.bootstrap ?? loaded.partial, options.codecs);
  const { warnings } = loaded;
  if (loaded.bootstrap === undefined) {
    // What was understood may have further mistakes: better all at once than one after the other.
    const further = loaded.partial === undefined ? [] : compileProblems(loaded.partial, loaded.source, codecs);
    const problems = [...loaded.problems, ...further.filter((problem) => !loaded.problems.some((known) => isEcho(problem, known)))];
    if (hasLogFormat && loaded.partial !== undefined) problems.push(...logFormatTwice(loaded.partial, loaded.source));
    problems.sort((a, b) => Number(a.file !== file) - Number(b.file !== file) || a.line - b.line || a.column - b.column);
    return { bootstrap: undefined, config: undefined, server: undefined, problems, warnings };
  }
  const bootstrap = node === undefined ? loaded.bootstrap : withNode(loaded.bootstrap, node);
  const { config, server, problems } = compileConfig(bootstrap, { codecs });
  const placed = problems.map((problem) => place(problem, loaded.source));
  if (hasLogFormat) placed.push(...logFormatTwice(bootstrap, loaded.source));
  return { bootstrap, config: placed.length > 0 ? undefined : config, server, problems: placed, warnings };
}

/** Envoy's rule: the format of log lines comes from one place. */
function logFormatTwice(bootstrap: Bootstrap, source: SourceMap): Problem[] {
  if (bootstrap.applicationLogConfig?.logFormat === undefined) return [];
  return [
    source.report('application_log_config.log_format', 'the log format is given here and by --log-format: only one of them can say it', 'DUPLICATE'),
  ];
}

const place = ({ path, message, code, suggestion }: CompileProblem, source: SourceMap): Problem => source.report(path, message, code, suggestion);

/** Problems that the compiler finds in a bootstrap that the loader has refused. It may stumble over what the loader has said already. */
function compileProblems(partial: Bootstrap, source: SourceMap, codecs: CodecSet): Problem[] {
  try {
    return compileConfig(partial, { codecs }).problems.map((problem) => place(problem, source));
  } catch {
    return []; // a field of the wrong type: the loader has named it
  }
}

/** Follows from a problem that is known: at the same place, above it, or inside it. */
function isEcho(problem: Problem, known: Problem): boolean {
  if (problem.code === 'UNKNOWN_CLUSTER') return known.path.startsWith('static_resources.clusters');
  return problem.path === '' || known.path === '' || known.path.startsWith(problem.path) || problem.path.startsWith(known.path);
}

/** As `checkConfiguration`, but throws InvalidConfiguration where there are problems. */
export async function requireConfiguration(
  source: ConfigSource,
  options: ConfigurationOptions = {},
): Promise<{ bootstrap: Bootstrap; config: RuntimeConfig; server: ServerConfig; warnings: readonly Problem[] }> {
  const { bootstrap, config, server, problems, warnings } = await checkConfiguration(source, options);
  if (bootstrap === undefined || config === undefined || server === undefined) throw new InvalidConfiguration(problems);
  return { bootstrap, config, server, warnings };
}

function withNode(bootstrap: Bootstrap, { id, cluster, zone }: NonNullable<ConfigurationOptions['node']>): Bootstrap {
  const node = { ...bootstrap.node };
  if (id !== undefined) node.id = id;
  if (cluster !== undefined) node.cluster = cluster;
  if (zone !== undefined) node.locality = { ...node.locality, zone };
  return { ...bootstrap, node };
}

/**
 * Sluice as a library: runs, reconfigures and stops a proxy inside a Node program.
 * ```ts
 * import { start } from 'sluice';
 * const proxy = await start({ config: { file: 'proxy.yaml' }, concurrency: 1 });
 * console.log(proxy.listeners, proxy.admin);
 * await proxy.stop();
 * ```
 */
import { readFileSync } from 'node:fs';
import type { LogLevel } from './base/log.js';
import type { DrainRequest } from './control/admin/backend.js';
import { type CheckedConfiguration, type ConfigSource, checkConfiguration as check } from './control/configuration.js';
import { type BoundListeners, type Server, type ServerOptions, startServer } from './control/server.js';
import type { Stat } from './control/stats/stats-view.js';
import type { Address } from './network/engine.js';
import { packageVersion } from './version.js';

export { ConfigError, ListenError } from './base/errors.js';
export { LOG_LEVELS, type LogFormat, type LogLevel } from './base/log.js';
export type { DrainRequest } from './control/admin/backend.js';
export { formatProblems, type Problem } from './control/config/index.js';
export { type CheckedConfiguration, type ConfigSource, InvalidConfiguration } from './control/configuration.js';
export type { BoundListeners } from './control/server.js';
export type { HistogramStat, ScalarStat, Stat } from './control/stats/stats-view.js';
export { ListenersError } from './control/worker-pool.js';
export type { Address } from './network/engine.js';
export { packageVersion } from './version.js';

/**
 * An Envoy v3 Bootstrap: YAML or JSON text, an object of the same shape (protobuf JSON, either spelling of field names), the path of a file, or a text with
 * the name to use in messages.
 */
export type Config = string | { readonly file: string } | ConfigSource | object;

export interface StartOptions
  extends Pick<
    ServerOptions,
    | 'concurrency'
    | 'backend'
    | 'admin'
    | 'adminAddressPath'
    | 'drainTimeMs'
    | 'drainStrategy'
    | 'statsTags'
    | 'node'
    | 'accessLog'
    | 'allowUnknownFields'
    | 'restartEpoch'
  > {
  readonly config: Config;
  /** A level (to standard error), or more. Default: `{ level: 'warning' }`, because a program's standard error is its own. */
  readonly log?: LogLevel | ServerOptions['log'];
}

/** A running proxy. */
export interface Sluice {
  /** Bound listeners with their real ports, in the configuration's order. */
  readonly listeners: readonly BoundListeners[];
  /** Where the admin server listens; undefined where there is none. */
  readonly admin: Address | undefined;
  /** Which engine runs, and why. */
  readonly backend: { readonly name: 'native' | 'fallback'; readonly reason: string };
  /** Number of data workers. */
  readonly concurrency: number;
  /** Settled when the proxy has stopped, whoever asked for it (`/quitquitquit`, too). */
  readonly closed: Promise<void>;
  /**
   * Switches to another configuration; connections that it does not concern stay open. Throws InvalidConfiguration or ListenersError, and then the one of
   * before runs on.
   */
  reconfigure(config: Config): Promise<void>;
  /** Drains listeners without stopping the proxy. */
  drain(request?: DrainRequest): Promise<void>;
  /** Stops. Requests in flight have `drainTimeMs` (default 0) to end. */
  stop(options?: { readonly drainTimeMs?: number }): Promise<void>;
  /** All statistics, or those whose name matches, sorted by name. */
  stats(filter?: RegExp): Stat[];
  /** One counter or gauge, summed over all threads; undefined where there is none of that name. */
  stat(name: string): number | undefined;
  /** Opens log files anew. */
  reopenLogs(): void;
}

/** Starts a proxy. Throws InvalidConfiguration (every problem), ListenersError (every listener that cannot be opened) or ListenError (admin); then nothing runs. */
export async function start(options: StartOptions): Promise<Sluice> {
  const { config, log = 'warning', ...rest } = options;
  const server = await startServer({
    ...rest,
    backend: rest.backend ?? backendFromEnvironment(),
    config: sourceOf(config),
    log: typeof log === 'string' ? { level: log } : log,
    version: packageVersion(),
    workerEntry: new URL('./worker.js', import.meta.url),
    codecs: BUILT_IN_CODECS,
  });
  return new RunningProxy(server);
}

/** Checks a configuration without starting anything: what could be run, or every problem with its place. Throws nothing for whatever text. */
export async function checkConfiguration(source: ConfigSource, options: CheckOptions = {}): Promise<CheckedConfiguration> {
  const { codecPaths = [], ...rest } = options;
  return check(source, { ...rest, codecs: { folder: BUILT_IN_CODECS, paths: codecPaths } });
}
/** See `checkConfiguration`. */
export interface CheckOptions {
  readonly allowUnknownFields?: boolean;
  /** Folders or modules of further codecs. */
  readonly codecPaths?: readonly string[];
}
const BUILT_IN_CODECS = new URL('../codecs/', import.meta.url);

/** Text and name of a configuration. Throws where a file cannot be read. */
export function sourceOf(config: Config): ConfigSource {
  if (typeof config === 'string') return { text: config, file: '<config>' };
  if ('text' in config && 'file' in config) return config as ConfigSource;
  if ('file' in config && typeof config.file === 'string') return { text: readFileSync(config.file, 'utf8'), file: config.file };
  return { text: JSON.stringify(config, undefined, 2), file: '<config>', format: 'json' };
}

function backendFromEnvironment(): ServerOptions['backend'] {
  const wanted = process.env.SLUICE_BACKEND;
  return wanted === 'native' || wanted === 'fallback' ? wanted : 'auto';
}

class RunningProxy implements Sluice {
  readonly #server: Server;
  constructor(server: Server) {
    this.#server = server;
  }
  get listeners(): readonly BoundListeners[] {
    return this.#server.listeners;
  }
  get admin(): Address | undefined {
    return this.#server.adminAddress;
  }
  get backend(): Sluice['backend'] {
    return this.#server.backend ?? { name: 'fallback', reason: 'not started' };
  }
  get concurrency(): number {
    return this.#server.concurrency;
  }
  get closed(): Promise<void> {
    return this.#server.closed;
  }
  reconfigure(config: Config): Promise<void> {
    return this.#server.reconfigure(sourceOf(config));
  }
  drain(request?: DrainRequest): Promise<void> {
    return this.#server.drain(request);
  }
  stop({ drainTimeMs = 0 }: { readonly drainTimeMs?: number } = {}): Promise<void> {
    return this.#server.stop({ drainTimeMs });
  }
  stats(filter?: RegExp): Stat[] {
    return this.#server.stats.read(filter === undefined ? undefined : (name) => filter.test(name));
  }
  stat(name: string): number | undefined {
    return this.#server.stats.value(name);
  }
  reopenLogs(): void {
    this.#server.reopenLogs();
  }
}

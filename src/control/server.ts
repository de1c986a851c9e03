/**
 * The proxy as a whole, seen from the main thread: checks the configuration, resolves names, starts the workers and the admin server, and changes,
 * drains and stops them. It handles no signal and ends no process: `src/cli` does.
 */
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { availableParallelism } from 'node:os';
import { CallbackSink, FileSink, type LogFormat, type Logger, LogHub, type LogLevel, type LogSink } from '../base/log.js';
import type { Address } from '../network/engine.js';
import { LogFiles } from '../proxy/access-log/file-access-log.js';
import { breakerMemory } from '../proxy/cluster/breaker-use.js';
import type { DrainStrategy } from '../proxy/drain-sequence.js';
import { connectionCells } from '../proxy/listener/connection-count.js';
import type { ListenerConfig, RuntimeConfig } from '../proxy/runtime.js';
import { AdminServer } from './admin/admin-server.js';
import type {
  AddressJson,
  AdminBackend,
  ClusterStatus,
  DrainRequest,
  HostStatus,
  ListenerStatus,
  MemoryStatus,
  ServerState,
} from './admin/backend.js';
import { addressText } from './admin/text.js';
import { compileAdminLogs, type ServerConfig } from './compile/index.js';
import type { Address as AddressMessage, Bootstrap } from './config/types.js';
import { type ConfigSource, requireConfiguration } from './configuration.js';
import { DnsClusters } from './dns-clusters.js';
import { dumpConfiguration } from './dump.js';
import { ServerStats } from './server-stats.js';
import { StatsView } from './stats/stats-view.js';
import { TagExtractor } from './stats/tags.js';
import { ListenersError, WorkerPool } from './worker-pool.js';
import type { BackendChoice, ListenerFailure, WorkerConfig } from './worker-protocol.js';

/** `--drain-time-s`. */
export const DEFAULT_DRAIN_TIME_MS = 600_000;
/** `--drain-strategy`. */
const DEFAULT_DRAIN_STRATEGY: DrainStrategy = 'gradual';
/** `--file-flush-interval-msec` and `--file-flush-min-size-kb`. */
const DEFAULT_FILE_FLUSH_MS = 10_000;
const DEFAULT_FILE_FLUSH_BYTES = 65_536;
/** Histograms' intervals, where the configuration does not say (`stats_flush_interval`). */
const DEFAULT_FLUSH_MS = 5_000;
/** Hosts of one cluster that `/clusters` looks up statistics for. */
const HOST_COUNTERS = ['cx_connect_fail', 'cx_total', 'rq_error', 'rq_success', 'rq_timeout', 'rq_total'] as const;
const HOST_GAUGES = ['cx_active', 'rq_active'] as const;

export interface ServerOptions {
  readonly config: ConfigSource;
  /** Unknown fields in the configuration are warnings. */
  readonly allowUnknownFields?: boolean;
  /** Data workers; 0 counts as 1. Default: as many as there are cores. */
  readonly concurrency?: number;
  /** Default `auto`. */
  readonly backend?: BackendChoice;
  /** `false`: no admin server; an address: over the configuration's. Default: what the configuration says. */
  readonly admin?: false | Address;
  /** The bound admin address is written to this file. */
  readonly adminAddressPath?: string;
  /** Default 600,000. */
  readonly drainTimeMs?: number;
  /** Of a graceful drain: connections end with their next response (`immediate`), or more and more of them do over the drain time. Default `gradual`. */
  readonly drainStrategy?: DrainStrategy;
  readonly node?: { readonly id?: string; readonly cluster?: string; readonly zone?: string };
  readonly log?: {
    /** Default `info`. */
    readonly level?: LogLevel;
    readonly components?: ReadonlyMap<string, LogLevel>;
    /** Where the configuration's `application_log_config` says none; both is an error. */
    readonly format?: LogFormat;
    /** Appended to; default: standard error. */
    readonly path?: string;
    /** Takes each line; over `path`. */
    readonly write?: (line: string) => void;
  };
  readonly accessLog?: { readonly flushIntervalMs?: number; readonly flushMinBytes?: number };
  /** Tags of every statistic. */
  readonly statsTags?: ReadonlyMap<string, string>;
  /** Part of a hot restart: other processes hold the same ports. Default 0. */
  readonly restartEpoch?: number;
  /** What `/server_info` shows as `command_line_options`, over the defaults. */
  readonly commandLine?: object;
  readonly version: string;
  /** The worker's program and the folder of codecs: the composition root knows them. */
  readonly workerEntry: URL;
  readonly codecs: URL;
  /** Folders or modules of further codecs. */
  readonly codecPaths?: readonly string[];
}

export interface BoundListeners {
  readonly name: string;
  readonly addresses: readonly Address[];
}

/** Starts the proxy. Throws InvalidConfiguration, ListenersError (all listeners that cannot be opened) or ListenError (admin); nothing runs then. */
export async function startServer(options: ServerOptions): Promise<Server> {
  const started = performance.now();
  const checked = await requireConfiguration(options.config, checksOf(options));
  const server = new Server(options, checked);
  for (const { file, line, path, message } of checked.warnings) server.logger.component('config').warning(`${file}:${line}: ${path}: ${message}`);
  try {
    await server.begin();
  } catch (cause) {
    await server.stop({ drainTimeMs: 0 });
    throw cause;
  }
  server.serverStats.initializationMs.record(performance.now() - started);
  return server;
}

const checksOf = ({ allowUnknownFields, node, log, codecs, codecPaths = [] }: ServerOptions) => ({
  allowUnknownFields,
  node,
  hasLogFormat: log?.format !== undefined,
  codecs: { folder: codecs, paths: codecPaths },
});

/** A running proxy. Made by `startServer`. */
export class Server {
  readonly #options: ServerOptions;
  readonly #hub: LogHub;
  readonly #sink: LogSink;
  readonly #pool: WorkerPool;
  readonly #dns: DnsClusters;
  readonly #tags: TagExtractor;
  readonly #adminLogs: LogFiles;
  readonly #admin: AdminServer | undefined;
  readonly #format: LogFormat | undefined;
  readonly #startedAt = new Date();
  readonly #componentLevels: Map<string, LogLevel>;
  readonly logger: Logger;
  readonly stats: StatsView;
  readonly serverStats: ServerStats;
  /** Settled when the proxy has stopped. */
  readonly closed: Promise<void>;
  #resolveClosed: () => void = () => {};
  #bootstrap: Bootstrap;
  #config: RuntimeConfig;
  readonly #server: ServerConfig;
  /** Open connections over all workers, by listener, and by filter that bounds them. */
  readonly #connections = new Map<string, SharedArrayBuffer>();
  /** What is in use of circuit breakers over all workers, by cluster. */
  readonly #breakers = new Map<string, SharedArrayBuffer>();
  #updatedAt = new Date();
  #adminAddress: Address | undefined;
  #backend: { readonly name: 'native' | 'fallback'; readonly reason: string } | undefined;
  #concurrency = 0;
  #state: ServerState = 'PRE_INITIALIZING';
  #failsHealthcheck = false;
  #flushTimer: NodeJS.Timeout | undefined;
  #stopping: Promise<void> | undefined;
  #change: Promise<void> = Promise.resolve();

  /** Use `startServer`. */
  constructor(options: ServerOptions, checked: { readonly bootstrap: Bootstrap; readonly config: RuntimeConfig; readonly server: ServerConfig }) {
    const { bootstrap, config, server } = checked;
    this.#options = options;
    this.#bootstrap = bootstrap;
    this.#config = config;
    this.#server = server;
    this.stats = new StatsView(server.showsStat);
    const { log = {} } = options;
    const configured = bootstrap.applicationLogConfig?.logFormat;
    this.#format = log.format ?? configured?.textFormat ?? configured?.jsonFormat;
    this.#sink = log.write === undefined ? new FileSink(log.path) : new CallbackSink(log.write);
    this.#componentLevels = new Map(log.components);
    this.#hub = new LogHub({ level: log.level, components: log.components, format: this.#format, sink: this.#sink });
    this.logger = this.#hub.logger('main');
    this.serverStats = new ServerStats(this.stats, options.version, bootstrap.statsServerVersionOverride);
    this.stats.refresh = () => this.serverStats.refresh();
    this.#tags = new TagExtractor([...fixedTags(options.statsTags), ...server.tagRules]);
    const { flushIntervalMs = DEFAULT_FILE_FLUSH_MS, flushMinBytes = DEFAULT_FILE_FLUSH_BYTES } = options.accessLog ?? {};
    const connections = connectionCells(this.#wantedWorkers);
    this.#pool = new WorkerPool({
      entry: options.workerEntry,
      data: () => ({
        backend: options.backend ?? 'auto',
        log: {
          level: this.#hub.level,
          components: [...this.#componentLevels],
          format: this.#format ?? this.#hub.format,
          path: log.path,
          toMain: log.write !== undefined,
        },
        codecs: options.codecs.href,
        codecPaths: options.codecPaths ?? [],
        accessLog: { flushIntervalMs, flushMinBytes },
        drain: { timeMs: options.drainTimeMs ?? DEFAULT_DRAIN_TIME_MS, strategy: options.drainStrategy ?? DEFAULT_DRAIN_STRATEGY },
        connections,
      }),
      stats: this.stats,
      log: this.logger,
      replaced: this.serverStats.workerReplaced,
      onLine: (line) => this.#sink.write(line),
    });
    this.#dns = new DnsClusters(this.serverStats.store, this.#hub.logger('dns'), (cluster, endpoints) =>
      this.#pool.updateEndpoints(cluster, endpoints),
    );
    this.#adminLogs = new LogFiles({
      stats: this.serverStats.store,
      warn: (text) => this.#hub.logger('file').warning(text),
      flushIntervalMs,
      flushBytes: flushMinBytes,
    });
    this.#admin =
      options.admin === false || (options.admin === undefined && bootstrap.admin?.address === undefined)
        ? undefined
        : new AdminServer(this.#backendForAdmin(), this.#hub.logger('admin'), compileAdminLogs(bootstrap, this.#adminLogs.create));
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
  }

  /** Bound listeners, in the configuration's order. */
  get listeners(): BoundListeners[] {
    return this.#config.listeners
      .filter(({ name }) => this.#pool.bound.has(name))
      .map(({ name }) => ({ name, addresses: this.#pool.bound.get(name) ?? [] }));
  }
  /** Where the admin server listens. */
  get adminAddress(): Address | undefined {
    return this.#adminAddress;
  }
  /** Which engine runs, and why. */
  get backend(): { readonly name: 'native' | 'fallback'; readonly reason: string } | undefined {
    return this.#backend;
  }
  /** Number of data workers. */
  get concurrency(): number {
    return this.#concurrency;
  }
  get #wantedWorkers(): number {
    return Math.max(1, this.#options.concurrency ?? availableParallelism());
  }
  get state(): ServerState {
    return this.#failsHealthcheck && this.#state === 'LIVE' ? 'DRAINING' : this.#state;
  }

  /** Opens everything. For `startServer`. */
  async begin(): Promise<void> {
    this.#setState('INITIALIZING');
    if (this.#admin !== undefined) await this.#openAdmin(this.#admin);
    await this.#refuseTakenPorts(this.#config.listeners);
    await this.#dns.apply(this.#config.clusters.values());
    await this.#pool.start(this.#workerConfig(this.#bootstrap, this.#config), (report) => {
      this.#backend = { name: report.backend, reason: report.reason };
      this.serverStats.backend.set(report.backend === 'native' ? 1 : 0);
      const wanted = this.#wantedWorkers;
      this.#concurrency = report.reusePort ? wanted : 1;
      this.logger.info(`engine: ${report.backend} (${report.reason})`);
      if (this.#concurrency < wanted) {
        const text = `one worker instead of ${wanted}: the ${report.backend} engine on Node ${process.versions.node} cannot share a port (SO_REUSEPORT) between workers`;
        if (this.#options.concurrency === undefined) this.logger.info(text);
        else this.logger.warning(text);
      }
      this.serverStats.concurrency.set(this.#concurrency);
      return this.#concurrency;
    });
    this.serverStats.workersStarted.set(1);
    this.serverStats.countListeners([], this.#config.listeners);
    this.#setState('LIVE');
    const flushMs = this.#bootstrap.statsFlushInterval ?? DEFAULT_FLUSH_MS;
    this.#flushTimer = setInterval(() => {
      this.serverStats.refresh();
      this.stats.flush();
    }, flushMs);
    this.#flushTimer.unref();
    for (const { name, addresses } of this.listeners) {
      this.logger.info(`listener ${name}: ${addresses.map((address) => addressText(jsonOf(address))).join(', ')}`);
    }
    this.logger.info(`all clusters and listeners are initialized; ${this.#concurrency} worker${this.#concurrency === 1 ? '' : 's'}`);
  }

  /**
   * Switches all workers to another configuration. Connections that it does not concern stay. Throws InvalidConfiguration or ListenersError, and then the
   * configuration of before runs on. Admin address, statistics tags and log format stay as they were at the start.
   */
  reconfigure(source: ConfigSource): Promise<void> {
    const change = this.#change.then(() => this.#reconfigure(source));
    this.#change = change.catch(() => undefined); // the next change does not fail with this one
    return change;
  }
  async #reconfigure(source: ConfigSource): Promise<void> {
    if (this.#stopping !== undefined) throw new Error('the proxy is stopping');
    const { bootstrap, config, warnings } = await requireConfiguration(source, checksOf(this.#options));
    for (const { file, line, path, message } of warnings) this.#hub.logger('config').warning(`${file}:${line}: ${path}: ${message}`);
    const known = new Set(this.#config.listeners.flatMap(({ addresses }) => addresses.map(keyOf)));
    await this.#refuseTakenPorts(config.listeners, known);
    await this.#dns.apply(config.clusters.values());
    try {
      await this.#pool.apply(this.#workerConfig(bootstrap, config));
    } catch (cause) {
      await this.#dns.apply(this.#config.clusters.values());
      throw cause;
    }
    this.serverStats.countListeners(this.#config.listeners, config.listeners);
    this.#bootstrap = bootstrap;
    this.#config = config;
    this.#updatedAt = new Date();
    this.logger.info(`configuration changed: ${config.listeners.length} listeners, ${config.clusters.size} clusters`);
  }

  /** Drains listeners. Answers when it is over: at once without `graceful`, else after the drain time. */
  async drain(request: DrainRequest = { graceful: false, inboundOnly: false, skipExit: false }): Promise<void> {
    const timeoutMs = this.#options.drainTimeMs ?? DEFAULT_DRAIN_TIME_MS;
    this.logger.info(`draining listeners${request.inboundOnly ? ' (inbound only)' : ''}${request.graceful ? ` for ${timeoutMs} ms` : ''}`);
    await this.#pool.drain({ ...request, timeoutMs });
  }

  /**
   * Stops the proxy: no new connection, idle ones are closed, requests in flight have `drainTimeMs` (default: the server's) to end. A second call with a
   * shorter time does not hurry the first.
   */
  stop({ drainTimeMs = this.#options.drainTimeMs ?? DEFAULT_DRAIN_TIME_MS }: { readonly drainTimeMs?: number } = {}): Promise<void> {
    this.#stopping ??= this.#stop(drainTimeMs);
    return this.#stopping;
  }
  async #stop(drainTimeMs: number): Promise<void> {
    await this.#change;
    this.#setState('DRAINING');
    clearInterval(this.#flushTimer);
    this.#dns.stop();
    if (drainTimeMs > 0) await this.#pool.drain({ graceful: false, inboundOnly: false, skipExit: false, timeoutMs: drainTimeMs });
    await this.#pool.stop();
    await this.#admin?.close();
    await this.#adminLogs.close();
    this.logger.info('stopped');
    await this.#hub.flush();
    this.#hub.close();
    this.#resolveClosed();
  }

  reopenLogs(): void {
    this.#hub.reopen();
    this.#adminLogs.reopen();
    this.#pool.reopenLogs();
  }

  #setState(state: ServerState): void {
    this.#state = state;
    this.serverStats.setState(this.state);
  }

  #workerConfig(bootstrap: Bootstrap, config: RuntimeConfig): WorkerConfig {
    const limits = config.listeners.flatMap(({ chains }) => chains.flatMap((chain) => chain.connectionLimits.map(({ key }) => key)));
    const names = new Set([...config.listeners.map(({ name }) => name), ...limits]);
    for (const name of this.#connections.keys()) if (!names.has(name)) this.#connections.delete(name);
    for (const name of names) if (!this.#connections.has(name)) this.#connections.set(name, connectionCells(this.#wantedWorkers));
    for (const name of this.#breakers.keys()) if (!config.clusters.has(name)) this.#breakers.delete(name);
    for (const name of config.clusters.keys()) if (!this.#breakers.has(name)) this.#breakers.set(name, breakerMemory(this.#wantedWorkers));
    return { bootstrap, endpoints: this.#dns.endpoints(), bound: [], connections: [...this.#connections], breakers: [...this.#breakers] };
  }

  async #openAdmin(admin: AdminServer): Promise<void> {
    const { address, mode } = this.#wantedAdmin();
    this.#adminAddress = await admin.listen(address, mode);
    const bound = addressText(jsonOf(this.#adminAddress));
    this.#hub.logger('admin').info(`admin address: ${bound}`);
    if (this.#options.adminAddressPath !== undefined) {
      try {
        writeFileSync(this.#options.adminAddressPath, bound);
      } catch (cause) {
        this.#hub.logger('admin').error(`cannot write the admin address to ${this.#options.adminAddressPath}: ${(cause as Error).message}`);
      }
    }
  }
  #wantedAdmin(): { address: Address; mode?: number } {
    const { admin } = this.#options;
    if (admin !== undefined && admin !== false) return { address: admin };
    const configured: AddressMessage = this.#bootstrap.admin?.address ?? {};
    if (configured.pipe !== undefined) return { address: { path: configured.pipe.path ?? '' }, mode: configured.pipe.mode };
    return { address: { ip: configured.socketAddress?.address ?? '127.0.0.1', port: configured.socketAddress?.portValue ?? 0 } };
  }

  /**
   * With SO_REUSEPORT a second process of the same user binds without an error and takes a part of the connections. Who starts a proxy twice by mistake
   * should learn of it: each port is tried without the option first. `known`: addresses that are ours already.
   */
  async #refuseTakenPorts(listeners: readonly ListenerConfig[], known: ReadonlySet<string> = new Set()): Promise<void> {
    if ((this.#options.restartEpoch ?? 0) > 0) return;
    const tries = listeners
      .filter(({ bindToPort }) => bindToPort)
      .flatMap(({ name, addresses }) =>
        addresses.map(async (address): Promise<ListenerFailure | undefined> => {
          if ('path' in address || address.port === 0 || known.has(keyOf(address))) return undefined;
          const code = await tryPort(address);
          // Other errors (a freebind address, a privileged port) are the engine's to judge: it sets socket options that this try does not.
          if (code !== 'EADDRINUSE') return undefined;
          return { name, code, message: `cannot listen on ${addressText(jsonOf(address))}: ${code}: the address is in use by another process` };
        }),
      );
    const failures = (await Promise.all(tries)).filter((failure) => failure !== undefined);
    if (failures.length > 0) throw new ListenersError(failures);
  }

  #backendForAdmin(): AdminBackend {
    return {
      stats: this.stats,
      tags: this.#tags,
      bucketsOf: this.#server.bucketsOf,
      state: () => this.state,
      serverInfo: () => this.#serverInfo(),
      clusters: async () => this.#clusterStatus(),
      listeners: (): ListenerStatus[] => this.listeners.map(({ name, addresses }) => ({ name, addresses: addresses.map(jsonOf) })),
      configDump: ({ includeEds }) =>
        dumpConfiguration(this.#bootstrap, {
          includeEds,
          startedAt: this.#startedAt,
          updatedAt: this.#updatedAt,
          resolved: new Map(this.#dns.endpoints()),
        }),
      logLevels: () => this.#hub.levels(),
      setLogLevel: (level, component) => {
        if (component === undefined) {
          this.#hub.setLevel(level);
          this.#componentLevels.clear();
        } else {
          this.#hub.setComponentLevel(component, level);
          this.#componentLevels.set(component, level);
        }
        this.#pool.setLogLevel(level, component);
      },
      drainListeners: (request) => {
        this.drain(request).catch((cause: Error) => this.logger.error(`drain: ${cause.message}`));
      },
      failHealthcheck: (failed) => {
        this.#failsHealthcheck = failed;
        this.#pool.setHealthy(!failed);
        this.serverStats.setState(this.state);
      },
      quit: () => {
        // After the answer has left.
        setTimeout(() => void this.stop({ drainTimeMs: 0 }), 50);
      },
      memory: (): MemoryStatus => {
        const { heapUsed, heapTotal, rss, external } = process.memoryUsage();
        return { allocated: heapUsed + external, heapSize: heapTotal + external, physical: rss, external };
      },
      resetCounters: () => this.stats.resetCounters(),
      reopenLogs: () => this.reopenLogs(),
      runtime: () => runtimeOf(this.#bootstrap),
      certificates: () => ({ certificates: [] }),
      initDump: () => ({}),
    };
  }

  #serverInfo(): object {
    const uptime = `${Math.floor(this.serverStats.uptimeS)}s`;
    const { node } = this.#bootstrap;
    const { drainTimeMs = DEFAULT_DRAIN_TIME_MS, restartEpoch = 0, version, config } = this.#options;
    return {
      version: `sluice/${version}/Clean/RELEASE/Node-${process.versions.node}`,
      state: this.state,
      uptime_current_epoch: uptime,
      uptime_all_epochs: uptime,
      hot_restart_version: 'disabled',
      command_line_options: {
        base_id: '0',
        use_dynamic_base_id: false,
        base_id_path: '',
        concurrency: this.#concurrency,
        config_path: config.file,
        config_yaml: config.overlay?.text ?? '',
        allow_unknown_static_fields: this.#options.allowUnknownFields === true,
        reject_unknown_dynamic_fields: false,
        ignore_unknown_dynamic_fields: false,
        skip_deprecated_logs: false,
        admin_address_path: this.#options.adminAddressPath ?? '',
        local_address_ip_version: 'v4',
        log_level: this.#hub.level,
        component_log_level: [...this.#componentLevels].map(([name, level]) => `${name}:${level}`).join(','),
        log_format: typeof this.#format === 'string' ? this.#format : '',
        log_format_escaped: false,
        log_path: this.#options.log?.path ?? '',
        service_cluster: node?.cluster ?? '',
        service_node: node?.id ?? '',
        service_zone: node?.locality?.zone ?? '',
        drain_strategy: this.#options.drainStrategy === 'immediate' ? 'Immediate' : 'Gradual',
        drain_time: `${drainTimeMs / 1000}s`,
        parent_shutdown_time: '900s',
        file_flush_interval: `${(this.#options.accessLog?.flushIntervalMs ?? DEFAULT_FILE_FLUSH_MS) / 1000}s`,
        file_flush_min_size_kb: (this.#options.accessLog?.flushMinBytes ?? DEFAULT_FILE_FLUSH_BYTES) / 1024,
        mode: 'Serve',
        disable_hot_restart: true,
        restart_epoch: restartEpoch,
        enable_mutex_tracing: false,
        cpuset_threads: false,
        disabled_extensions: [],
        enable_fine_grain_logging: false,
        socket_path: '@envoy_domain_socket',
        socket_mode: 0,
        enable_core_dump: false,
        stats_tag: [...(this.#options.statsTags ?? [])].map(([name, value]) => `${name}:${value}`),
        skip_hot_restart_on_no_parent: false,
        skip_hot_restart_parent_stats: false,
        ...this.#options.commandLine,
      },
      node: {
        id: node?.id ?? '',
        cluster: node?.cluster ?? '',
        metadata: node?.metadata ?? {},
        locality: { region: node?.locality?.region ?? '', zone: node?.locality?.zone ?? '', sub_zone: node?.locality?.subZone ?? '' },
        user_agent_name: 'sluice',
        user_agent_version: version,
        extensions: [],
      },
      backend: { name: this.#backend?.name ?? '', reason: this.#backend?.reason ?? '' },
    };
  }

  #clusterStatus(): ClusterStatus[] {
    const resolved = new Map(this.#dns.endpoints());
    return [...this.#config.clusters.values()].map(({ name, statName, endpoints, breakers }) => ({
      name,
      observabilityName: statName,
      addedViaApi: false,
      circuitBreakers: (['DEFAULT', 'HIGH'] as const).map((priority) => ({ priority, ...breakers[priority] })),
      hosts: (resolved.get(name) ?? endpoints).map((endpoint): HostStatus => {
        const address = jsonOf(endpoint.address);
        const prefix = `cluster.${statName}.endpoint.${addressText(address).replaceAll(/[.:[\]/]/g, '_')}.`;
        return {
          address,
          hostname: endpoint.hostname,
          stats: [
            ...HOST_COUNTERS.map((stat) => ({ name: stat, value: this.stats.value(prefix + stat) ?? 0, kind: 'counter' as const })),
            ...HOST_GAUGES.map((stat) => ({ name: stat, value: this.stats.value(prefix + stat) ?? 0, kind: 'gauge' as const })),
          ].sort((a, b) => (a.name < b.name ? -1 : 1)),
          edsHealth: endpoint.health,
          failedActiveHealthCheck: (this.stats.value(`${prefix}failed_active_hc`) ?? 0) > 0,
          failedOutlierCheck: false,
          weight: endpoint.weight,
          priority: endpoint.priority,
          locality: endpoint.locality,
        };
      }),
    }));
  }
}

/** `--stats-tag`: tags with a fixed value. */
const fixedTags = (tags: ReadonlyMap<string, string> = new Map()): { name: string; fixed: string }[] =>
  [...tags].map(([name, fixed]) => ({ name, fixed }));

/** An address as v3 JSON. */
export function jsonOf(address: Address): AddressJson {
  return 'path' in address ? { pipe: { path: address.path } } : { socket_address: { address: address.ip, port_value: address.port } };
}
const keyOf = (address: Address): string => addressText(jsonOf(address));

/** Binds and lets go at once. Answers the error's code, or undefined. */
function tryPort({ ip, port }: { readonly ip: string; readonly port: number }): Promise<string | undefined> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code ?? 'ERROR'));
    probe.listen({ host: ip, port, exclusive: true, ipv6Only: true }, () => probe.close(() => resolve(undefined)));
  });
}

/** `/runtime`: static layers as configured, the later over the earlier. */
function runtimeOf(bootstrap: Bootstrap): object {
  const layers = bootstrap.layeredRuntime?.layers ?? [];
  const values = layers.map(({ staticLayer = {} }) => new Map(flatten(staticLayer, '')));
  const keys = [...new Set(values.flatMap((layer) => [...layer.keys()]))].sort();
  return {
    layers: layers.map(({ name = '' }) => name),
    entries: Object.fromEntries(
      keys.map((key) => {
        const layerValues = values.map((layer) => layer.get(key) ?? '');
        return [key, { layer_values: layerValues, final_value: layerValues.findLast((value) => value !== '') ?? '' }];
      }),
    ),
  };
}
/** Nested objects as dotted keys; a FractionalPercent stays one value. */
function flatten(layer: object, prefix: string): [string, string][] {
  return Object.entries(layer).flatMap(([key, value]): [string, string][] => {
    const isObject = value !== null && typeof value === 'object' && !Array.isArray(value) && !('numerator' in value);
    return isObject ? flatten(value, `${prefix}${key}.`) : [[prefix + key, typeof value === 'object' ? JSON.stringify(value) : String(value)]];
  });
}

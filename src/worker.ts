/**
 * A data worker: the second composition root, run in a thread of its own by `control/worker-pool.ts`. It makes an engine, loads the codecs, and runs the
 * proxy as the main thread tells it to (`control/worker-protocol.ts`). What throws here ends the worker, loudly; it is replaced.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { selectBackend } from './base/backend.js';
import { CallbackSink, FileSink, LogHub } from './base/log.js';
import { type StatDefinition, StatsStore } from './base/stats.js';
import { codecsFor, loadFraming } from './control/codecs.js';
import { compileConfig } from './control/compile/index.js';
import type { Bootstrap } from './control/config/types.js';
import type { ApplyAnswer, FromWorker, ToWorker, WorkerConfig, WorkerData } from './control/worker-protocol.js';
import type { Address, Engine } from './network/engine.js';
import { createNativeEngine } from './network/native-engine.js';
import { createNodeEngine } from './network/node-engine.js';
import type { Framing } from './protocol/framing.js';
import type { StreamFraming } from './protocol/stream-framing.js';
import { LogFiles } from './proxy/access-log/file-access-log.js';
import { type BreakerUses, ownBreakerUse, sharedBreakerUse } from './proxy/cluster/breaker-use.js';
import { ConnectionCount, type ConnectionCounts } from './proxy/listener/connection-count.js';
import { createProxy } from './proxy/proxy.js';
import type { ListenerConfig, RuntimeConfig } from './proxy/runtime.js';

const port = parentPort;
if (port === null) throw new Error('worker.js runs inside the proxy, not by itself');
const data = workerData as WorkerData;
const send = (message: FromWorker): void => port.postMessage(message);

// ---- log and statistics -------------------------------------------------------------------------------------------------------------------------

const sink = data.log.toMain ? new CallbackSink((line) => send({ kind: 'line', line })) : new FileSink(data.log.path);
const hub = new LogHub({ level: data.log.level, components: new Map(data.log.components), format: data.log.format, sink, thread: data.threadId });
const log = hub.logger('main');

let newStats: StatDefinition[] = [];
const newSlabs = new Map<number, SharedArrayBuffer>();
const knownSlabs = new Set<number>();
/** Tells the main thread of statistics made since the last time. */
function sendStats(): void {
  if (newStats.length === 0) return;
  send({ kind: 'stats', definitions: newStats, slabs: [...newSlabs] });
  newStats = [];
  newSlabs.clear();
}
const stats = new StatsStore((definition, slab) => {
  if (newStats.length === 0) setImmediate(sendStats);
  newStats.push(definition);
  if (knownSlabs.has(definition.slab)) return;
  knownSlabs.add(definition.slab);
  newSlabs.set(definition.slab, slab);
});

// ---- the layers ---------------------------------------------------------------------------------------------------------------------------------

/** The last word: the main thread logs it and replaces this worker. */
function fail(cause: unknown): never {
  send({ kind: 'failed', cause: cause instanceof Error ? (cause.stack ?? cause.message) : String(cause) });
  process.exit(1);
}
process.on('uncaughtException', fail);
process.on('unhandledRejection', fail);

const backend = selectBackend(data.backend);
const engine: Engine = backend.addon === undefined ? createNodeEngine() : createNativeEngine(backend.addon);
const logFiles = new LogFiles({
  stats,
  warn: (text) => hub.logger('file').warning(text),
  flushIntervalMs: data.accessLog.flushIntervalMs,
  flushBytes: data.accessLog.flushMinBytes,
});
const codecPlaces = { folder: new URL(data.codecs), paths: data.codecPaths };
const [http1, http2] = await Promise.all([
  loadFraming<Framing>(codecPlaces.folder, 'http1'),
  loadFraming<StreamFraming>(codecPlaces.folder, 'http2'),
]);
const listenerConnections = new Map<string, SharedArrayBuffer>();
const countIn = (memory: SharedArrayBuffer): ConnectionCount => new ConnectionCount(new Int32Array(memory), data.index);
const connectionCounts: ConnectionCounts = {
  all: countIn(data.connections),
  of: (listener) => {
    const memory = listenerConnections.get(listener);
    return memory === undefined ? new ConnectionCount() : countIn(memory);
  },
};
const breakers = new Map<string, SharedArrayBuffer>();
const breakerUses: BreakerUses = (cluster) => {
  const memory = breakers.get(cluster);
  return memory === undefined ? ownBreakerUse() : sharedBreakerUse(memory, data.index);
};
const proxy = createProxy({
  engine,
  stats,
  log,
  httpFramings: { http1, http2 },
  createFileLog: logFiles.create,
  connectionCounts,
  breakerUses,
  drainTimeMs: data.drain.timeMs,
  drainStrategy: data.drain.strategy,
});

// ---- configuration ------------------------------------------------------------------------------------------------------------------------------

/** The bootstrap compiled here, with the addresses that only the main thread knows. */
async function compile({ bootstrap, bound }: WorkerConfig): Promise<RuntimeConfig> {
  const codecs = await codecsFor(bootstrap, codecPlaces);
  const { config, problems } = compileConfig(bootstrap as Bootstrap, { createFileLog: logFiles.create, codecs });
  if (config === undefined || problems.length > 0) {
    throw new Error(`the main thread accepted a configuration that this worker does not: ${problems.map(({ message }) => message).join('; ')}`);
  }
  const boundTo = new Map(bound);
  return { ...config, listeners: config.listeners.map((listener) => placed(listener, boundTo.get(listener.name))) };
}

/** Addresses as this worker has given them to the proxy, by listener. */
const given = new Map<string, readonly Address[]>();

/**
 * A port 0 becomes the one that the first worker was given; who has bound it already asks for the same as before, so that the socket stays. A Unix socket
 * has one owner: there is no SO_REUSEPORT for it, so the first worker takes all its connections.
 */
function placed(listener: ListenerConfig, bound: readonly Address[] | undefined): ListenerConfig {
  const before = given.get(listener.name);
  const addresses = listener.addresses
    .map((address, i): Address => {
      const real = bound?.[i];
      if (!('port' in address) || address.port !== 0 || real === undefined || !('port' in real)) return address;
      const known = before?.[i];
      return known !== undefined && 'port' in known && known.ip === address.ip ? known : { ip: address.ip, port: real.port };
    })
    .filter((address) => data.index === 0 || 'port' in address);
  given.set(listener.name, addresses);
  // Where the engine cannot share ports there is one worker, and nobody to share with.
  const socket = engine.capabilities.reusePort ? listener.socket : { ...listener.socket, reusePort: false };
  return { ...listener, addresses, socket };
}

async function apply(config: WorkerConfig): Promise<ApplyAnswer> {
  breakers.clear();
  for (const [cluster, memory] of config.breakers) breakers.set(cluster, memory);
  listenerConnections.clear();
  for (const [listener, memory] of config.connections) listenerConnections.set(listener, memory);
  const applied = proxy.apply(await compile(config));
  // The clusters are there before the first listener opens: its first request finds the hosts that DNS has given.
  for (const [cluster, endpoints] of config.endpoints) proxy.updateEndpoints(cluster, endpoints);
  const failures = await applied;
  return {
    failures: failures.map(({ name, error }) => ({ name, message: error.message, code: (error as { code?: string }).code ?? 'ERROR' })),
    listeners: proxy.listenerAddresses().map(({ name, address }) => ({ name, address })),
  };
}

async function command(message: Extract<ToWorker, { id: number }>): Promise<ApplyAnswer | undefined> {
  switch (message.kind) {
    case 'apply':
      return apply(message);
    case 'drain':
      await proxy.drain(message);
      return undefined;
    case 'stop':
      await proxy.shutdown();
      await logFiles.close();
      await hub.flush();
      return undefined;
  }
}

port.on('message', (message: ToWorker) => {
  switch (message.kind) {
    case 'endpoints':
      proxy.updateEndpoints(message.cluster, message.endpoints);
      break;
    case 'log-level':
      if (message.component === undefined) hub.setLevel(message.level);
      else hub.setComponentLevel(message.component, message.level);
      break;
    case 'healthy':
      proxy.setHealthy(message.isHealthy);
      break;
    case 'reopen-logs':
      hub.reopen();
      logFiles.reopen();
      break;
    default:
      command(message).then(
        (value) => {
          sendStats();
          send({ kind: 'answer', id: message.id, value });
        },
        (cause: unknown) => send({ kind: 'answer', id: message.id, value: undefined, error: cause instanceof Error ? cause.message : String(cause) }),
      );
  }
});
send({ kind: 'ready', backend: engine.name, reason: backend.reason, reusePort: engine.capabilities.reusePort });

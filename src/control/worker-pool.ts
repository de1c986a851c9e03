/**
 * The data workers: starts them, keeps their number, replaces one that fails, and gathers their statistics. It knows nothing of configuration: what
 * each worker is to run is the latest `WorkerConfig`.
 */
import { Worker } from 'node:worker_threads';
import type { Logger, LogLevel } from '../base/log.js';
import type { Counter } from '../base/stats.js';
import type { Address } from '../network/engine.js';
import { releaseBreakers } from '../proxy/cluster/breaker-use.js';
import { releaseConnections } from '../proxy/listener/connection-count.js';
import type { EndpointConfig } from '../proxy/runtime.js';
import type { StatsView } from './stats/stats-view.js';
import type { ApplyAnswer, BoundListener, DrainCommand, FromWorker, ListenerFailure, ToWorker, WorkerConfig, WorkerData } from './worker-protocol.js';

/** Pause before a failed worker is replaced: doubled with each failure in a row. */
const BACKOFF_FIRST_MS = 50;
const BACKOFF_MAX_MS = 10_000;
/** A worker that lived so long counts as healthy: the next failure starts with the first pause again. */
const HEALTHY_AFTER_MS = 30_000;
/** A worker that has not become ready after so long is given up. */
const READY_TIMEOUT_MS = 20_000;
/** How long a worker may take to close its sockets when it is stopped; after it the thread is ended. */
const STOP_TIMEOUT_MS = 3_000;

export interface WorkerPoolOptions {
  /** The worker's program. */
  readonly entry: URL;
  /** Facts for each worker, but for its index and thread number; asked each time, so that a replacement has the levels of now. */
  readonly data: () => Omit<WorkerData, 'index' | 'threadId'>;
  readonly stats: StatsView;
  readonly log: Logger;
  /** `server.worker_replaced`. */
  readonly replaced: Counter;
  /** A line that a worker sent for the log. */
  readonly onLine: (line: string) => void;
}

/** What the first worker says of its engine. */
export interface BackendReport {
  readonly backend: 'native' | 'fallback';
  readonly reason: string;
  /** Several workers can share a port. */
  readonly reusePort: boolean;
}

interface Member {
  readonly index: number;
  readonly worker: Worker;
  readonly threadId: number;
  readonly startedMs: number;
  readonly slabs: Map<number, SharedArrayBuffer>;
  readonly waiting: Map<number, { resolve: (answer: ApplyAnswer | undefined) => void; reject: (cause: Error) => void }>;
  /** Why it failed, where it said so. */
  cause: string | undefined;
  stopping: boolean;
  gone: Promise<void>;
}

/** Everything that could not be opened, in one text. */
export class ListenersError extends Error {
  override readonly name = 'ListenersError';
  constructor(readonly failures: readonly ListenerFailure[]) {
    super(failures.map(({ name, message }) => `listener ${name}: ${message}`).join('\n'));
  }
}

export class WorkerPool {
  readonly #options: WorkerPoolOptions;
  readonly #log: Logger;
  readonly #members = new Map<number, Member>();
  readonly #failures = new Map<number, number>();
  readonly #timers = new Map<number, NodeJS.Timeout>();
  #bound: ReadonlyMap<string, readonly Address[]> = new Map();
  #config: WorkerConfig | undefined;
  /** A drain that a replacement has to follow, too, and when it began (`performance.now`). */
  #draining: { readonly command: DrainCommand; readonly since: number } | undefined;
  #isHealthy = true;
  #nextThread = 1;
  #nextId = 1;
  #started = false;
  #closing = false;

  constructor(options: WorkerPoolOptions) {
    this.#options = options;
    this.#log = options.log;
  }

  /** Number of workers that run. */
  get size(): number {
    return this.#members.size;
  }
  /** Bound addresses by listener, as the first worker reported them. */
  get bound(): ReadonlyMap<string, readonly Address[]> {
    return this.#bound;
  }

  /**
   * Starts `concurrency` workers (one, where ports cannot be shared) on a configuration. The first one binds, so that a port 0 is known to the others.
   * Throws ListenersError with all listeners that cannot be opened; no worker runs then. `onBackend` is called when the first engine is there and gives
   * the number of workers wanted.
   */
  async start(config: WorkerConfig, onBackend: (report: BackendReport) => number): Promise<void> {
    this.#config = config;
    try {
      const { member, report } = await this.#spawn(0);
      const concurrency = onBackend(report);
      await this.#applyFirst(member, config);
      await Promise.all(
        Array.from({ length: concurrency - 1 }, async (_, i) => {
          const { member: further } = await this.#spawn(i + 1);
          await this.#applyOrThrow(further, config);
        }),
      );
      if (this.#members.size < concurrency) throw new Error('a worker failed while the others started');
      this.#started = true;
    } catch (cause) {
      await this.stop();
      throw cause;
    }
  }

  /** Switches all workers to another configuration. Where the first one cannot open a listener it goes back, and ListenersError is thrown: nothing has changed. */
  async apply(config: WorkerConfig): Promise<void> {
    const before = this.#config;
    const boundBefore = this.#bound;
    const [first, ...others] = [...this.#members.values()].sort((a, b) => a.index - b.index);
    if (first === undefined) throw new Error('no worker runs');
    try {
      await this.#applyFirst(first, config);
    } catch (cause) {
      this.#bound = boundBefore;
      if (before !== undefined) await this.#apply(first, before);
      throw cause;
    }
    // From here on a replacement starts with the new configuration.
    this.#config = config;
    await Promise.all(others.map((member) => this.#applyOrThrow(member, config)));
  }

  /** Gives all workers the hosts of a cluster; replacements get them, too. */
  updateEndpoints(cluster: string, endpoints: readonly EndpointConfig[]): void {
    if (this.#config !== undefined) {
      this.#config = { ...this.#config, endpoints: [...this.#config.endpoints.filter(([name]) => name !== cluster), [cluster, endpoints]] };
    }
    this.#broadcast({ kind: 'endpoints', cluster, endpoints });
  }

  /** Drains all workers and answers when their last request is over or the time has passed. */
  async drain(command: DrainCommand): Promise<void> {
    // A graceful drain that is under way keeps its time.
    const since = this.#draining?.command.graceful === true && command.graceful ? this.#draining.since : performance.now();
    this.#draining = { command, since };
    // A worker that fails while it drains has nothing left to wait for.
    await Promise.all([...this.#members.values()].map((member) => this.#ask(member, { kind: 'drain', id: 0, ...command }).catch(() => undefined)));
  }

  setLogLevel(level: LogLevel, component?: string): void {
    this.#broadcast({ kind: 'log-level', level, component });
  }
  /** While not healthy, connections are asked to close; replacements do the same. */
  setHealthy(isHealthy: boolean): void {
    this.#isHealthy = isHealthy;
    this.#broadcast({ kind: 'healthy', isHealthy });
  }
  reopenLogs(): void {
    this.#broadcast({ kind: 'reopen-logs' });
  }

  /** Ends all workers; their connections are closed. */
  async stop(): Promise<void> {
    this.#closing = true;
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
    await Promise.all([...this.#members.values()].map((member) => this.#end(member)));
  }

  async #end(member: Member): Promise<void> {
    member.stopping = true;
    const asked = this.#ask(member, { kind: 'stop', id: 0 }).catch(() => undefined);
    let timer: NodeJS.Timeout | undefined;
    await Promise.race([
      asked,
      new Promise((resolve) => {
        timer = setTimeout(resolve, STOP_TIMEOUT_MS);
      }),
    ]);
    clearTimeout(timer);
    await member.worker.terminate();
    await member.gone;
  }

  #broadcast(message: ToWorker): void {
    for (const member of this.#members.values()) member.worker.postMessage(message);
  }

  /** Sends a request and waits for its answer; fails when the worker ends first. */
  #ask(member: Member, message: Extract<ToWorker, { id: number }>): Promise<ApplyAnswer | undefined> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      if (this.#members.get(member.index) !== member) {
        reject(new Error(`worker ${member.index} has ended`));
        return;
      }
      member.waiting.set(id, { resolve, reject });
      member.worker.postMessage({ ...message, id });
    });
  }

  async #apply(member: Member, config: WorkerConfig): Promise<ApplyAnswer> {
    const answer = await this.#ask(member, { kind: 'apply', id: 0, ...config, bound: [...this.#bound] });
    return answer ?? { failures: [], listeners: [] };
  }
  async #applyOrThrow(member: Member, config: WorkerConfig): Promise<ApplyAnswer> {
    const answer = await this.#apply(member, config);
    if (answer.failures.length > 0) throw new ListenersError(answer.failures);
    return answer;
  }
  async #applyFirst(member: Member, config: WorkerConfig): Promise<void> {
    const { listeners } = await this.#applyOrThrow(member, config);
    this.#bound = groupByName(listeners);
  }

  /** Starts a worker and waits for its engine. */
  #spawn(index: number): Promise<{ member: Member; report: BackendReport }> {
    const threadId = this.#nextThread++;
    const data: WorkerData = { ...this.#options.data(), index, threadId };
    const worker = new Worker(this.#options.entry, { workerData: data, name: `worker ${index}`, stdout: false, stderr: false });
    const gone = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
    const member: Member = {
      index,
      worker,
      threadId,
      startedMs: performance.now(),
      slabs: new Map(),
      waiting: new Map(),
      cause: undefined,
      stopping: false,
      gone,
    };
    this.#members.set(index, member);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        member.cause = `not ready after ${READY_TIMEOUT_MS} ms`;
        void worker.terminate();
      }, READY_TIMEOUT_MS);
      worker.on('message', (message: FromWorker) => {
        if (message.kind === 'ready') {
          clearTimeout(timer);
          resolve({ member, report: message });
        } else this.#receive(member, message);
      });
      worker.on('error', (cause: unknown) => {
        member.cause ??= cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
      });
      worker.on('exit', (code) => {
        clearTimeout(timer);
        const cause = member.cause ?? `it exited with code ${code}`;
        reject(new Error(`worker ${index} did not start: ${cause}`));
        this.#ended(member, cause);
      });
    });
  }

  #receive(member: Member, message: Exclude<FromWorker, { kind: 'ready' }>): void {
    switch (message.kind) {
      case 'stats':
        for (const [slab, memory] of message.slabs) member.slabs.set(slab, memory);
        for (const definition of message.definitions) {
          const slab = member.slabs.get(definition.slab);
          if (slab !== undefined) this.#options.stats.attach(member.threadId, definition, slab);
        }
        break;
      case 'answer': {
        const waiting = member.waiting.get(message.id);
        member.waiting.delete(message.id);
        if (message.error === undefined) waiting?.resolve(message.value);
        else waiting?.reject(new Error(message.error));
        break;
      }
      case 'line':
        this.#options.onLine(message.line);
        break;
      case 'failed':
        member.cause = message.cause;
        break;
    }
  }

  #ended(member: Member, cause: string): void {
    const { index, threadId } = member;
    if (this.#members.get(index) === member) this.#members.delete(index);
    this.#options.stats.detach(threadId);
    const memories = [this.#options.data().connections, ...(this.#config?.connections ?? []).map(([, memory]) => memory)];
    for (const memory of memories) releaseConnections(memory, index);
    for (const [, memory] of this.#config?.breakers ?? []) releaseBreakers(memory, index);
    for (const { reject } of member.waiting.values()) reject(new Error(`worker ${index} has ended: ${cause}`));
    member.waiting.clear();
    if (member.stopping || this.#closing || !this.#started) return;
    const livedMs = performance.now() - member.startedMs;
    const failures = livedMs > HEALTHY_AFTER_MS ? 1 : (this.#failures.get(index) ?? 0) + 1;
    this.#failures.set(index, failures);
    const pauseMs = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** (failures - 1));
    this.#log.critical(`worker ${index} failed after ${Math.round(livedMs)} ms and will be replaced in ${pauseMs} ms: ${cause}`);
    this.#timers.set(
      index,
      setTimeout(() => void this.#replace(index), pauseMs),
    );
  }

  async #replace(index: number): Promise<void> {
    this.#timers.delete(index);
    if (this.#closing || this.#config === undefined) return;
    this.#options.replaced.inc();
    try {
      const { member } = await this.#spawn(index);
      const { failures } = await this.#apply(member, this.#config);
      if (!this.#isHealthy) member.worker.postMessage({ kind: 'healthy', isHealthy: false } satisfies ToWorker);
      if (this.#draining !== undefined) {
        const { command, since } = this.#draining;
        const timeoutMs = Math.max(0, command.timeoutMs - (performance.now() - since));
        void this.#ask(member, { kind: 'drain', id: 0, ...command, timeoutMs }).catch(() => undefined);
      }
      if (failures.length > 0) {
        // The others serve on; ending this one brings it back here, with a longer pause.
        member.cause = new ListenersError(failures).message;
        await member.worker.terminate();
        return;
      }
      this.#log.info(`worker ${index} was replaced`);
    } catch (cause) {
      // `#ended` has logged it and set the next attempt.
      this.#log.debug(`worker ${index}: ${(cause as Error).message}`);
    }
  }
}

function groupByName(listeners: readonly BoundListener[]): Map<string, Address[]> {
  const groups = new Map<string, Address[]>();
  for (const { name, address } of listeners) {
    const group = groups.get(name);
    if (group === undefined) groups.set(name, [address]);
    else group.push(address);
  }
  return groups;
}

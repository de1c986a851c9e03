/**
 * The messages between the main thread and a data worker. Everything is plain data (structured clone); statistics go as shared memory. A request
 * carries an `id`, and the worker answers it once.
 */
import type { LogFormat, LogLevel } from '../base/log.js';
import type { StatDefinition } from '../base/stats.js';
import type { Address } from '../network/engine.js';
import type { DrainStrategy } from '../proxy/drain-sequence.js';
import type { EndpointConfig } from '../proxy/runtime.js';

/** What a worker is started with. */
export interface WorkerData {
  /** 0..concurrency-1; a replacement has the index of the worker it replaces. */
  readonly index: number;
  /** Number shown by `%t` in the log; never used twice in a process. */
  readonly threadId: number;
  readonly backend: BackendChoice;
  readonly log: WorkerLog;
  /** URL of the folder whose subfolders are codecs. */
  readonly codecs: string;
  /** Paths of further codecs (`--codec`). */
  readonly codecPaths: readonly string[];
  readonly accessLog: { readonly flushIntervalMs: number; readonly flushMinBytes: number };
  readonly drain: { readonly timeMs: number; readonly strategy: DrainStrategy };
  /** Open connections of all workers (`connectionCells`). */
  readonly connections: SharedArrayBuffer;
}
/** What `SLUICE_BACKEND` takes. */
export type BackendChoice = 'auto' | 'native' | 'fallback';
export interface WorkerLog {
  readonly level: LogLevel;
  readonly components: readonly (readonly [name: string, level: LogLevel])[];
  readonly format: LogFormat;
  /** Undefined: standard error. `main`: the lines are sent to the main thread, which has a target that only it can reach. */
  readonly path: string | undefined;
  readonly toMain: boolean;
}

/** A configuration for a worker, with what the main thread knows beyond it. */
export interface WorkerConfig {
  /** The loaded Bootstrap: plain data, compiled by the worker itself (closures cannot be sent). */
  readonly bootstrap: object;
  /** Resolved endpoints of clusters with DNS. */
  readonly endpoints: readonly (readonly [cluster: string, endpoints: readonly EndpointConfig[]])[];
  /** Where listeners with port 0 are bound already, so that all workers share one port; in the order of the listener's addresses. */
  readonly bound: readonly (readonly [listener: string, addresses: readonly Address[]])[];
  /** Open connections of each listener, and of each filter that bounds them, over all workers (`connectionCells`). */
  readonly connections: readonly (readonly [name: string, memory: SharedArrayBuffer])[];
  /** What is in use of each cluster's circuit breakers over all workers (`breakerMemory`). */
  readonly breakers: readonly (readonly [cluster: string, memory: SharedArrayBuffer])[];
}

export interface DrainCommand {
  readonly inboundOnly: boolean;
  /** Ask connections to close and go on accepting until `timeoutMs` has passed. */
  readonly graceful: boolean;
  readonly timeoutMs: number;
  /** With `graceful`: listeners stay open at the end. */
  readonly skipExit: boolean;
}

export type ToWorker =
  | ({ readonly kind: 'apply'; readonly id: number } & WorkerConfig)
  | ({ readonly kind: 'drain'; readonly id: number } & DrainCommand)
  | { readonly kind: 'stop'; readonly id: number }
  | { readonly kind: 'endpoints'; readonly cluster: string; readonly endpoints: readonly EndpointConfig[] }
  | { readonly kind: 'log-level'; readonly level: LogLevel; readonly component?: string }
  | { readonly kind: 'healthy'; readonly isHealthy: boolean }
  | { readonly kind: 'reopen-logs' };

/** A listener that a worker could not open. */
export interface ListenerFailure {
  readonly name: string;
  readonly message: string;
  /** EADDRINUSE, EACCES, ... where the system said one. */
  readonly code: string;
}
export interface BoundListener {
  readonly name: string;
  readonly address: Address;
}
export interface ApplyAnswer {
  readonly failures: readonly ListenerFailure[];
  readonly listeners: readonly BoundListener[];
}

export type FromWorker =
  /** The engine is there. */
  | { readonly kind: 'ready'; readonly backend: 'native' | 'fallback'; readonly reason: string; readonly reusePort: boolean }
  | {
      readonly kind: 'stats';
      readonly definitions: readonly StatDefinition[];
      readonly slabs: readonly (readonly [slab: number, memory: SharedArrayBuffer])[];
    }
  | { readonly kind: 'answer'; readonly id: number; readonly value: ApplyAnswer | undefined; readonly error?: string }
  /** A log line, where the log's target is the main thread's. */
  | { readonly kind: 'line'; readonly line: string }
  /** The last word of a worker that cannot go on. */
  | { readonly kind: 'failed'; readonly cause: string };

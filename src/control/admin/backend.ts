/** What the admin server needs of the proxy. `server.ts` implements it; a test does it with a few lines. */
import type { LogLevel } from '../../base/log.js';
import type { StatsView } from '../stats/stats-view.js';
import type { TagExtractor } from '../stats/tags.js';

/** Envoy's server states; the value of `server.state`. */
export const SERVER_STATE = { LIVE: 0, DRAINING: 1, PRE_INITIALIZING: 2, INITIALIZING: 3 } as const;
export type ServerState = keyof typeof SERVER_STATE;

/** `{socket_address: {address, port_value}}` or `{pipe: {path}}`, as v3 JSON has it. */
export type AddressJson =
  | { readonly socket_address: { readonly address: string; readonly port_value: number } }
  | { readonly pipe: { readonly path: string } };

/** One host of a cluster, over all workers. */
export interface HostStatus {
  readonly address: AddressJson;
  readonly hostname: string;
  /** Counters and gauges of this host, by name: `cx_active`, `rq_total`, ... */
  readonly stats: readonly { readonly name: string; readonly value: number; readonly kind: 'counter' | 'gauge' }[];
  readonly edsHealth: 'UNKNOWN' | 'HEALTHY' | 'UNHEALTHY' | 'DRAINING' | 'TIMEOUT' | 'DEGRADED';
  readonly failedActiveHealthCheck: boolean;
  readonly failedOutlierCheck: boolean;
  readonly weight: number;
  readonly priority: number;
  readonly locality: { readonly region: string; readonly zone: string; readonly subZone: string };
}

export interface ClusterStatus {
  readonly name: string;
  readonly observabilityName: string;
  /** Came by xDS, not from the file. */
  readonly addedViaApi: boolean;
  readonly circuitBreakers: readonly {
    readonly priority: 'DEFAULT' | 'HIGH';
    readonly maxConnections: number;
    readonly maxPending: number;
    readonly maxRequests: number;
    readonly maxRetries: number;
  }[];
  readonly hosts: readonly HostStatus[];
}

export interface ListenerStatus {
  readonly name: string;
  /** The first bound address and, where there are, further ones. */
  readonly addresses: readonly AddressJson[];
}

export interface DrainRequest {
  /** Ask connections to close, and stop accepting only after the drain time. */
  readonly graceful: boolean;
  readonly inboundOnly: boolean;
  /** With `graceful`: do not stop accepting at the end. */
  readonly skipExit: boolean;
}

/** Bytes, as `/memory` shows them. */
export interface MemoryStatus {
  readonly allocated: number;
  readonly heapSize: number;
  readonly physical: number;
  readonly external: number;
}

export interface AdminBackend {
  readonly stats: StatsView;
  readonly tags: TagExtractor;
  /** Upper bounds of a histogram's buckets. */
  bucketsOf(name: string): readonly number[];
  state(): ServerState;
  /** The ServerInfo message as JSON, snake_case. */
  serverInfo(): object;
  clusters(): Promise<readonly ClusterStatus[]>;
  listeners(): readonly ListenerStatus[];
  /** The top-level dumps in Envoy's order, each with `@type`; secrets redacted, names snake_case. */
  configDump(options: { readonly includeEds: boolean }): readonly object[];
  logLevels(): ReadonlyMap<string, LogLevel>;
  /** Without a component: all of them. */
  setLogLevel(level: LogLevel, component?: string): void;
  drainListeners(request: DrainRequest): void;
  /** True: the state is DRAINING and health checks are to fail; false: back to LIVE. */
  failHealthcheck(failed: boolean): void;
  /** Ends the process, soon. */
  quit(): void;
  memory(): MemoryStatus;
  resetCounters(): void;
  reopenLogs(): void;
  /** `{layers, entries}`. */
  runtime(): object;
  /** `{certificates}`. */
  certificates(): object;
  /** `{unready_targets_dumps}`. */
  initDump(): object;
}

import type { Profile } from '../../network/engine.js';
import type { ProxyContext } from '../context.js';
import { Http2Stats } from '../http2-stats.js';
import type { FilterChain, HttpManagerConfig, ListenerConfig } from '../runtime.js';
import { FilterChains } from './filters/chain.js';
import { HttpStats, ListenerHttpStats } from './http-stats.js';
import { line } from './lines.js';

/** An HTTP connection manager at work: its configuration, statistics and what can be made ready once. Immutable; connections hold the one their request began with. */
export class HttpManager {
  readonly kind = 'http';
  readonly config: HttpManagerConfig;
  readonly chainName: string;
  readonly stats: HttpStats;
  readonly http2Stats: Http2Stats;
  readonly #listenerStats: ListenerHttpStats;
  readonly profile: Profile;
  /** `server: <name>\r\n`. */
  readonly serverLine: Uint8Array;
  readonly viaLine: Uint8Array | undefined;
  readonly logs: boolean;
  readonly wantsRequestHead: boolean;
  readonly wantsResponseHead: boolean;
  /** Some log prints of the trailers; or of the status of gRPC calls, which is in theirs. */
  readonly wantsTrailers: boolean;
  readonly wantsGrpcStatus: boolean;
  /** The filters before the router. */
  readonly filters: FilterChains;
  /** Something may change the path before it is matched. */
  readonly normalizes: boolean;
  /** Something reads or writes addresses for every request. */
  readonly needsAddress: boolean;
  readonly localPort: number | undefined;
  readonly drainsInbound: boolean;

  constructor(context: ProxyContext, listener: ListenerConfig, chain: FilterChain, config: HttpManagerConfig) {
    this.config = config;
    this.chainName = chain.name;
    this.stats = new HttpStats(context.stats, config.statPrefix);
    this.#listenerStats = new ListenerHttpStats(context.stats, listener.statPrefix, config.statPrefix);
    this.http2Stats = new Http2Stats(context.stats, '');
    const shared = {
      side: 'downstream',
      maxHeadBytes: config.maxHeadBytes,
      maxHeaders: config.maxHeaders,
      bufferLimitBytes: listener.bufferLimitBytes,
      idleTimeoutMs: config.idleTimeoutMs,
      underscores: config.underscores,
      wire: { received: this.stats.cxRxBytesTotal, sent: this.stats.cxTxBytesTotal },
    } as const;
    const { framing, streamFraming, profiles } = context;
    const http2 =
      config.codec === 'http1'
        ? undefined
        : profiles.get({ ...shared, framing: streamFraming, streamOptions: streamFraming.options(config.streams) });
    this.profile =
      config.codec === 'http2' && http2 !== undefined
        ? http2
        : profiles.get({
            ...shared,
            framing,
            headTimeoutMs: config.requestHeadersTimeoutMs,
            acceptHttp10: config.acceptHttp10,
            ...(http2 === undefined ? {} : { prefaceProfile: http2 }),
          });
    this.serverLine = line('server', config.serverName);
    this.viaLine = config.via === '' ? undefined : line('via', config.via);
    this.logs = config.accessLogs.length > 0;
    this.wantsRequestHead = config.accessLogs.some((log) => log.wantsRequestHead);
    this.wantsResponseHead = config.accessLogs.some((log) => log.wantsResponseHead);
    this.wantsTrailers = config.accessLogs.some((log) => log.wantsTrailers);
    this.wantsGrpcStatus = config.accessLogs.some((log) => log.wantsGrpcStatus);
    this.filters = new FilterChains(config.filters, { stats: context.stats, statPrefix: `http.${config.statPrefix}.` });
    this.normalizes = config.normalizePath || config.mergeSlashes || config.escapedSlashes !== 'KEEP_UNCHANGED';
    this.needsAddress = config.useRemoteAddress || this.logs;
    const address = listener.addresses[0];
    this.localPort = address !== undefined && 'port' in address ? address.port : undefined;
    this.drainsInbound = listener.trafficDirection === 'INBOUND';
  }

  /** Counts a request that was answered: for the manager, and for its listener. */
  countCompleted(status: number): void {
    const hundreds = (status / 100) | 0;
    this.stats.rqCompleted.inc();
    this.stats.rqClass[hundreds]?.inc();
    this.#listenerStats.rqCompleted.inc();
    this.#listenerStats.rqClass[hundreds]?.inc();
  }
}

import type { Profile } from '../../network/engine.js';
import type { Codec } from '../../protocol/codec.js';
import type { ProxyContext } from '../context.js';
import type { FilterChain, ListenerConfig, RpcProxyConfig } from '../runtime.js';
import { TcpManager } from '../tcp-proxy.js';
import { RpcRequest } from './rpc-request.js';
import { RpcStats } from './rpc-stats.js';

/** Requests kept for reuse. */
const FREE_REQUESTS = 1024;

/** An RPC proxy at work: configuration, statistics, profiles. Immutable but for its stock of request objects; a request keeps the one it began with. */
export class RpcManager {
  readonly kind = 'rpc';
  readonly context: ProxyContext;
  readonly config: RpcProxyConfig;
  readonly chainName: string;
  readonly stats: RpcStats;
  readonly logs: boolean;
  readonly wantsRequestHead: boolean;
  readonly wantsResponseHead: boolean;
  /** Who takes connections of no known protocol; undefined: they are closed. */
  readonly fallback: TcpManager | undefined;
  readonly #bufferLimitBytes: number;
  readonly #free: RpcRequest[] = [];

  constructor(context: ProxyContext, listener: ListenerConfig, chain: FilterChain, config: RpcProxyConfig) {
    this.context = context;
    this.config = config;
    this.chainName = chain.name;
    this.stats = new RpcStats(context.stats, config.statPrefix);
    this.logs = config.accessLogs.length > 0;
    this.wantsRequestHead = config.accessLogs.some((log) => log.wantsRequestHead);
    this.wantsResponseHead = config.accessLogs.some((log) => log.wantsResponseHead);
    const { fallbackCluster, idleTimeoutMs, statPrefix, accessLogs } = config;
    this.fallback =
      fallbackCluster === undefined
        ? undefined
        : new TcpManager(context, listener, chain, {
            kind: 'tcp',
            statPrefix,
            chooseCluster: () => fallbackCluster,
            idleTimeoutMs,
            maxConnectAttempts: 1,
            maxConnectionDurationMs: 0,
            accessLogs,
          });
    this.#bufferLimitBytes = listener.bufferLimitBytes;
  }

  /** How connections of a codec are framed. */
  profileOf(codec: Codec): Profile {
    const { idleTimeoutMs, maxFrameBytes } = this.config;
    return this.context.profiles.get({
      framing: codec,
      side: 'downstream',
      bufferLimitBytes: this.#bufferLimitBytes,
      idleTimeoutMs,
      ...(maxFrameBytes === undefined ? {} : { maxFrameBytes }),
      wire: { received: this.stats.cxRxBytesTotal, sent: this.stats.cxTxBytesTotal },
    });
  }

  takeRequest(): RpcRequest {
    return this.#free.pop() ?? new RpcRequest(this);
  }
  giveRequest(request: RpcRequest): void {
    if (this.#free.length < FREE_REQUESTS) this.#free.push(request);
  }
  countCompleted(status: number): void {
    this.stats.rqCompleted.inc();
    this.stats.rqClass[(status / 100) | 0]?.inc();
  }
}

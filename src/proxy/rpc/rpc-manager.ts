import type { Profile } from '../../network/engine.js';
import type { Codec } from '../../protocol/codec.js';
import type { Detectable } from '../../protocol/detect.js';
import { matchBytes } from '../../protocol/match-bytes.js';
import type { ProxyContext } from '../context.js';
import { HttpManager } from '../http/http-manager.js';
import type { FilterChain, ListenerConfig, RpcProxyConfig } from '../runtime.js';
import { TcpManager } from '../tcp-proxy.js';
import { FrameEditor } from './frame-editor.js';
import { RpcRequest } from './rpc-request.js';
import { RpcStats } from './rpc-stats.js';
import { HTTP1, TLS } from './told-apart.js';

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
  /** Who serves connections that speak HTTP; undefined: that is no known protocol. */
  readonly http: HttpManager | undefined;
  /** HTTP/2 among the candidates. */
  readonly http2: Detectable;
  /** What a connection may turn out to be, in order. */
  readonly candidates: readonly Detectable[];
  /** Changes the headers of frames. */
  readonly editor = new FrameEditor();
  /** Who takes connections of no known protocol; undefined: they are closed. */
  readonly fallback: TcpManager | undefined;
  readonly #bufferLimitBytes: number;
  readonly #free: RpcRequest[] = [];

  constructor(context: ProxyContext, listener: ListenerConfig, chain: FilterChain, config: RpcProxyConfig) {
    this.context = context;
    this.config = config;
    this.chainName = chain.name;
    this.stats = new RpcStats(
      context.stats,
      config.statPrefix,
      config.codecs.map(({ name }) => name),
    );
    this.logs = config.accessLogs.length > 0;
    this.wantsRequestHead = config.accessLogs.some((log) => log.wantsRequestHead);
    this.wantsResponseHead = config.accessLogs.some((log) => log.wantsResponseHead);
    this.http = config.http === undefined ? undefined : new HttpManager(context, listener, chain, config.http);
    this.http2 = { match: matchBytes(...context.streamFraming.preface) };
    this.candidates = [...config.codecs, ...(this.http === undefined ? [] : [HTTP1, this.http2]), TLS];
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

  /** The first bytes of a connection have to be looked at. */
  get detects(): boolean {
    return this.config.codecs.length > 1 || this.http !== undefined || this.fallback !== undefined;
  }
  /** How connections of a codec are framed. */
  profileOf(codec: Codec): Profile {
    const { idleTimeoutMs, maxFrameBytes, cutThroughBytes } = this.config;
    return this.context.profiles.get({
      framing: codec,
      side: 'downstream',
      bufferLimitBytes: this.#bufferLimitBytes,
      idleTimeoutMs,
      cutThroughBytes: codec.pool === 'multiplex' ? cutThroughBytes : 0,
      ...(maxFrameBytes === undefined ? {} : { maxFrameBytes }),
      wire: { received: this.stats.cxRxBytesTotal, sent: this.stats.cxTxBytesTotal },
    });
  }

  /** A codec has thrown where it must not. Counted each time and logged once: what a peer sends must not fill the log. */
  codecFailed(codec: Codec, cause: unknown): void {
    const { codecError } = this.stats;
    if (codecError.value === 0)
      this.context.log.error(`codec ${codec.name}: ${cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)}`);
    codecError.inc();
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

import type { Counter, Histogram, StatsStore } from '../../../base/stats.js';
import { MessageReader } from '../../../protocol/grpc/message-reader.js';
import { grpcMethodOf } from '../../../protocol/grpc/request.js';
import type { Cluster } from '../../cluster/cluster.js';
import type { Exchange } from '../exchange.js';
import type { FilterCall, HttpFilter, StreamFilter } from './chain.js';

export interface GrpcStatsOptions {
  /** Methods with statistics of their own: all of them, or those of a list by `service/method`; the others share one set without names. */
  readonly methods: 'all' | ReadonlySet<string>;
  readonly upstreamTimes: boolean;
  /** Dots in the name of a service are written as `_`. */
  readonly replaceDots: boolean;
}

/** Methods of one cluster that get statistics of their own: names come from clients, and a statistic is never given back. Those beyond share the set without names. */
const MAX_METHODS = 1024;
/** Status numbers with a counter: those of gRPC. */
const MAX_STATUS = 16;

/** `envoy.filters.http.grpc_stats`: counts gRPC calls, by method, status and messages (Envoy, "gRPC statistics"). */
export function grpcStats(stats: StatsStore, options: GrpcStatsOptions): HttpFilter {
  const clusters = new WeakMap<Cluster, Map<string, MethodStats>>();
  const namesMethods = options.methods === 'all' || options.methods.size > 0;
  const find = (exchange: Exchange): MethodStats | undefined => {
    const { cluster } = exchange;
    if (cluster === undefined) return undefined;
    let methods = clusters.get(cluster);
    if (methods === undefined) {
      methods = new Map();
      clusters.set(cluster, methods);
    }
    const prefix = `cluster.${cluster.config.statName}.grpc.`;
    const path = namesMethods ? withoutQuery(exchange.path) : '';
    const known = methods.get(path);
    if (known !== undefined) return known;
    const called = grpcMethodOf(path);
    const isNamed = called !== undefined && (options.methods === 'all' || options.methods.has(`${called.service}/${called.method}`));
    if (called === undefined || !isNamed || methods.size >= MAX_METHODS) {
      const shared = methods.get('') ?? new MethodStats(stats, prefix);
      methods.set('', shared);
      return shared;
    }
    const service = options.replaceDots ? called.service.replaceAll('.', '_') : called.service;
    const made = new MethodStats(stats, `${prefix}${service}.${called.method}.`);
    methods.set(path, made);
    return made;
  };
  // Also where a filter before has made it one.
  return { open: ({ isGrpc }) => (isGrpc ? new GrpcStatsStream(find, options.upstreamTimes) : undefined) };
}

function withoutQuery(path: string): string {
  const query = path.indexOf('?');
  return query < 0 ? path : path.slice(0, query);
}

class GrpcStatsStream implements StreamFilter {
  readonly #find: (exchange: Exchange) => MethodStats | undefined;
  readonly #upstreamTimes: boolean;
  readonly #requests = new MessageReader();
  readonly #responses = new MessageReader();
  #stats: MethodStats | undefined;

  constructor(find: (exchange: Exchange) => MethodStats | undefined, upstreamTimes: boolean) {
    this.#find = find;
    this.#upstreamTimes = upstreamTimes;
  }
  onRequestBody(call: FilterCall, bytes: Uint8Array): Uint8Array {
    const before = this.#requests.messages;
    this.#requests.push(bytes);
    this.#of(call)?.requestMessages.inc(this.#requests.messages - before);
    return bytes;
  }
  onResponseBody(call: FilterCall, bytes: Uint8Array): Uint8Array {
    const before = this.#responses.messages;
    this.#responses.push(bytes);
    this.#of(call)?.responseMessages.inc(this.#responses.messages - before);
    return bytes;
  }
  onStreamEnd(call: FilterCall): void {
    const { exchange } = call;
    const stats = this.#of(call);
    if (stats === undefined || exchange.grpcStatus < 0) return;
    stats.count(exchange.grpcStatus);
    if (this.#upstreamTimes && exchange.firstUpstreamByte >= 0)
      stats.time.record(Math.max(0, exchange.context.now - Math.max(exchange.requestEnd, exchange.upstreamStart)));
  }
  #of(call: FilterCall): MethodStats | undefined {
    this.#stats ??= this.#find(call.exchange);
    return this.#stats;
  }
}

class MethodStats {
  readonly requestMessages: Counter;
  readonly responseMessages: Counter;
  readonly #stats: StatsStore;
  readonly #prefix: string;
  readonly #success: Counter;
  readonly #failure: Counter;
  readonly #total: Counter;
  readonly #statuses: (Counter | undefined)[] = [];
  #time: Histogram | undefined;

  constructor(stats: StatsStore, prefix: string) {
    this.#stats = stats;
    this.#prefix = prefix;
    this.#success = stats.counter(`${prefix}success`);
    this.#failure = stats.counter(`${prefix}failure`);
    this.#total = stats.counter(`${prefix}total`);
    this.requestMessages = stats.counter(`${prefix}request_message_count`);
    this.responseMessages = stats.counter(`${prefix}response_message_count`);
  }
  get time(): Histogram {
    this.#time ??= this.#stats.histogram(`${this.#prefix}upstream_rq_time`);
    return this.#time;
  }
  count(status: number): void {
    this.#total.inc();
    (status === 0 ? this.#success : this.#failure).inc();
    if (status > MAX_STATUS) return;
    this.#statuses[status] ??= this.#stats.counter(`${this.#prefix}${status}`);
    this.#statuses[status]?.inc();
  }
}

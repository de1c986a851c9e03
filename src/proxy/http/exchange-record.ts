import { grpcOfHttp } from '../../protocol/grpc/status.js';
import type { Head } from '../../protocol/head.js';
import type { Upstream } from '../../stream/upstream.js';
import type { LogRecord } from '../access-log/access-log.js';
import type { Exchange } from './exchange.js';
import type { HttpManager } from './http-manager.js';
import { emptyRecord, resetRecord } from './log-record.js';

/** What access logs and substitutions in header values are told of the exchanges of one connection. Made only where somebody asks; then one record, reused. */
export class ExchangeRecord {
  readonly #exchange: Exchange;
  #record: LogRecord | undefined = undefined;

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
  }

  /** Begins the record of a request that will be logged: its strings are made now, while the head is there. `head`: undefined where there was none that could be read. */
  begin(manager: HttpManager, head: Head | undefined): void {
    const record = this.#new(manager);
    if (head === undefined) return;
    const exchange = this.#exchange;
    record.requestId = exchange.madeRequestId ? exchange.requestIdText : (head.known('x-request-id') ?? '');
    record.method = head.method;
    record.protocol = head.version;
    record.authority = exchange.host;
    record.originalPath = head.path;
    record.path = exchange.path;
    if (manager.wantsRequestHead) record.requestHead = head.retain();
  }
  /** The record as far as it is known: for substitutions in header values. */
  current(manager: HttpManager): LogRecord {
    const exchange = this.#exchange;
    if (!manager.logs && (this.#record === undefined || this.#record.start !== exchange.start)) {
      const head = exchange.context.engine.head(exchange.handle);
      const record = this.#new(manager);
      if (exchange.madeRequestId) record.requestId = exchange.requestIdText;
      record.authority = exchange.host;
      record.path = exchange.path;
      record.originalPath = exchange.path;
      if (head !== undefined) {
        record.method = head.method;
        record.protocol = head.version;
        record.requestHead = head.retain();
      }
    }
    const record = this.#record as LogRecord;
    this.#fill(record);
    return record;
  }
  /** The head of the response, for logs that print of it. The record was begun. */
  keepResponseHead(head: Head): void {
    (this.#record as LogRecord).responseHead = head.retain();
  }
  /** The trailers of the response, for logs that print of them. The record was begun. */
  keepTrailers(trailers: Uint8Array): void {
    (this.#record as LogRecord).responseTrailers = trailers.slice();
  }
  /** What carries the request: it is given back before the request is logged. The record was begun. */
  keepUpstream(upstream: Upstream): void {
    (this.#record as LogRecord).upstreamLocal = upstream.local;
  }
  /** Why no connection could be had. The record was begun. */
  setTransportFailure(text: string): void {
    (this.#record as LogRecord).upstreamTransportFailure = text;
  }
  /** Writes the record of a finished exchange. The record was begun. */
  log(manager: HttpManager, now: number): void {
    const exchange = this.#exchange;
    const record = this.#record as LogRecord;
    this.#fill(record);
    record.end = now;
    record.firstDownstreamByte = exchange.firstUpstreamByte;
    record.lastUpstreamByte = exchange.firstUpstreamByte >= 0 ? now : -1;
    record.upstreamBytesReceived = exchange.responseBytes;
    record.upstreamBytesSent = exchange.requestBytes;
    for (const log of manager.config.accessLogs) log.log(record);
  }

  #new(manager: HttpManager): LogRecord {
    const exchange = this.#exchange;
    this.#record ??= emptyRecord();
    const record = this.#record;
    resetRecord(record);
    record.startTime = Date.now();
    record.start = exchange.start;
    record.scheme = 'http';
    record.filterChain = manager.chainName;
    if (record.connectionId !== exchange.connection.id) {
      record.connectionId = exchange.connection.id;
      record.downstreamLocal = exchange.info?.local;
      record.downstreamDirectRemote = exchange.info?.remote;
    }
    record.downstreamRemote = exchange.origin.remote ?? exchange.info?.remote;
    return record;
  }
  #fill(record: LogRecord): void {
    const exchange = this.#exchange;
    const { route, upstreamHost } = exchange;
    record.requestEnd = exchange.requestEnd;
    record.upstreamStart = exchange.upstreamStart;
    record.firstUpstreamByte = exchange.firstUpstreamByte;
    record.responseCode = exchange.status;
    record.details = exchange.details;
    if (exchange.isGrpc) record.grpcStatus = exchange.grpcStatus >= 0 || exchange.status === 0 ? exchange.grpcStatus : grpcOfHttp(exchange.status);
    record.flags = exchange.responseFlags;
    record.attempts = exchange.attempts;
    record.bytesReceived = exchange.requestBytes;
    record.bytesSent = exchange.responseBytes;
    if (route !== undefined) {
      record.routeName = route.name;
      record.virtualHost = route.virtualHost;
    }
    if (exchange.cluster !== undefined) record.upstreamCluster = exchange.cluster.name;
    if (upstreamHost !== undefined) {
      record.upstreamHost = upstreamHost.address;
      record.upstreamHostname = upstreamHost.hostname;
    }
    if (exchange.upstream !== undefined) this.keepUpstream(exchange.upstream);
  }
}

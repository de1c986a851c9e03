import type { Address } from '../../network/engine.js';
import type { HeadView } from '../../protocol/head.js';
import type { LogFile } from './file-access-log.js';
import type { LogFilter } from './filters.js';
import type { Formatter } from './formatter.js';

/**
 * What is known of one request (or TCP connection) when it is logged; one object per downstream connection is reused. Also the source of the
 * substitutions (`%REQ(...)%`, ...) in header values. Times in milliseconds on the engine's clock; -1: did not happen.
 */
export interface LogRecord {
  /** Wall clock at the start, ms since 1970. */
  startTime: number;
  start: number;
  requestEnd: number;
  upstreamStart: number;
  firstUpstreamByte: number;
  lastUpstreamByte: number;
  firstDownstreamByte: number;
  end: number;
  requestHead: HeadView | undefined;
  responseHead: HeadView | undefined;
  /** Of the response: lines, each with its CRLF; undefined: none, or nobody wants them. */
  responseTrailers: Uint8Array | undefined;
  /** grpc-status of a gRPC call, else -1: of the response, or what its HTTP status stands for. */
  grpcStatus: number;
  method: string;
  /** Path with query as received and as forwarded. */
  originalPath: string;
  path: string;
  authority: string;
  scheme: string;
  protocol: string;
  requestId: string;
  responseCode: number;
  /** Envoy's response code details, e.g. `via_upstream`, `route_not_found`. */
  details: string;
  connectionTerminationDetails: string;
  /** Bits of RESPONSE_FLAG (response-flags.ts). */
  flags: number;
  /** Body bytes; for TCP all bytes. */
  bytesReceived: number;
  bytesSent: number;
  upstreamBytesReceived: number;
  upstreamBytesSent: number;
  attempts: number;
  routeName: string;
  virtualHost: string;
  upstreamCluster: string;
  upstreamHost: Address | undefined;
  upstreamHostname: string;
  upstreamLocal: Address | undefined;
  upstreamTransportFailure: string;
  downstreamRemote: Address | undefined;
  downstreamDirectRemote: Address | undefined;
  downstreamLocal: Address | undefined;
  filterChain: string;
  connectionId: number;
}

/** One configured access log: its filter and format are inside. */
export interface AccessLog {
  /** True where the log wants the heads of this kind of record (`%REQ%`, `%RESP%`): they are retained only then. */
  readonly wantsRequestHead: boolean;
  readonly wantsResponseHead: boolean;
  /** The same for trailers; and for the status of gRPC calls, which is in theirs. */
  readonly wantsTrailers: boolean;
  readonly wantsGrpcStatus: boolean;
  log(record: LogRecord): void;
}

/** An access log that writes lines to a file. `filter` undefined: every record. */
export function createAccessLog(file: LogFile, formatter: Formatter, filter: LogFilter | undefined): AccessLog {
  return {
    wantsRequestHead: formatter.wantsRequestHead || filter?.wantsRequestHead === true,
    wantsResponseHead: formatter.wantsResponseHead,
    wantsTrailers: formatter.wantsTrailers,
    wantsGrpcStatus: formatter.wantsGrpcStatus || filter?.wantsGrpcStatus === true,
    log(record) {
      if (filter === undefined || filter.accepts(record)) file.write(formatter.format(record));
    },
  };
}

import type { LogRecord } from '../access-log/access-log.js';

/** A record with nothing in it. */
export const emptyRecord = (): LogRecord => ({
  startTime: 0,
  start: 0,
  requestEnd: -1,
  upstreamStart: -1,
  firstUpstreamByte: -1,
  lastUpstreamByte: -1,
  firstDownstreamByte: -1,
  end: -1,
  requestHead: undefined,
  responseHead: undefined,
  responseTrailers: undefined,
  grpcStatus: -1,
  method: '',
  originalPath: '',
  path: '',
  authority: '',
  scheme: '',
  protocol: '',
  requestId: '',
  responseCode: 0,
  details: '',
  connectionTerminationDetails: '',
  flags: 0,
  bytesReceived: 0,
  bytesSent: 0,
  upstreamBytesReceived: 0,
  upstreamBytesSent: 0,
  attempts: 0,
  routeName: '',
  virtualHost: '',
  upstreamCluster: '',
  upstreamHost: undefined,
  upstreamHostname: '',
  upstreamLocal: undefined,
  upstreamTransportFailure: '',
  downstreamRemote: undefined,
  downstreamDirectRemote: undefined,
  downstreamLocal: undefined,
  filterChain: '',
  connectionId: 0,
});

/** Empties a record for the next request; the addresses, chain and number of the connection stay. */
export function resetRecord(record: LogRecord): void {
  record.requestEnd = -1;
  record.upstreamStart = -1;
  record.firstUpstreamByte = -1;
  record.lastUpstreamByte = -1;
  record.firstDownstreamByte = -1;
  record.end = -1;
  record.requestHead = undefined;
  record.responseHead = undefined;
  record.responseTrailers = undefined;
  record.grpcStatus = -1;
  record.method = '';
  record.originalPath = '';
  record.path = '';
  record.authority = '';
  record.requestId = '';
  record.responseCode = 0;
  record.details = '';
  record.connectionTerminationDetails = '';
  record.flags = 0;
  record.bytesReceived = 0;
  record.bytesSent = 0;
  record.upstreamBytesReceived = 0;
  record.upstreamBytesSent = 0;
  record.attempts = 0;
  record.routeName = '';
  record.virtualHost = '';
  record.upstreamCluster = '';
  record.upstreamHost = undefined;
  record.upstreamHostname = '';
  record.upstreamLocal = undefined;
  record.upstreamTransportFailure = '';
}

import { grpcOfHttp } from '../../protocol/grpc/status.js';
import type { HeaderMatch } from '../route/matchers.js';
import { compileHeaderMatch } from '../route/matchers.js';
import type { LogRecord } from './access-log.js';

/** True where a record is to be logged. */
export interface LogFilter {
  readonly wantsRequestHead: boolean;
  readonly wantsGrpcStatus: boolean;
  accepts(record: LogRecord): boolean;
}
/** How a number is compared (`ComparisonFilter.Op`). */
export type Comparison = 'EQ' | 'GE' | 'LE' | 'NE';

const filter = (accepts: (record: LogRecord) => boolean, wantsRequestHead = false, wantsGrpcStatus = false): LogFilter => ({
  accepts,
  wantsRequestHead,
  wantsGrpcStatus,
});
const compare = (op: Comparison, value: number) =>
  ({ EQ: (n: number) => n === value, GE: (n: number) => n >= value, LE: (n: number) => n <= value, NE: (n: number) => n !== value })[op];

/** Response code; 0 where there was none. */
export function statusCodeFilter(op: Comparison, value: number): LogFilter {
  const holds = compare(op, value);
  return filter((record) => holds(record.responseCode));
}
/** Duration of the request in milliseconds. */
export function durationFilter(op: Comparison, valueMs: number): LogFilter {
  const holds = compare(op, valueMs);
  return filter((record) => record.end >= 0 && holds(Math.round(record.end - record.start)));
}
/** Any of these flags; `anyOf` 0: any flag at all. */
export const responseFlagFilter = (anyOf: number): LogFilter => filter((record) => (anyOf === 0 ? record.flags !== 0 : (record.flags & anyOf) !== 0));
/** A share of the records. `random`: 0 <= r < 1. */
export const samplingFilter = (share: number, random: () => number): LogFilter => filter(() => random() < share);
/** A header of the request. */
export function headerFilter(match: HeaderMatch): LogFilter {
  const matches = compileHeaderMatch(match);
  return filter((record) => record.requestHead !== undefined && matches(record.requestHead, undefined), true);
}
/** gRPC calls with one of these statuses, or with `exclude` any other. What is no gRPC call counts by the status that its HTTP status stands for. */
export function grpcStatusFilter(statuses: ReadonlySet<number>, exclude: boolean): LogFilter {
  return filter((record) => statuses.has(record.grpcStatus < 0 ? grpcOfHttp(record.responseCode) : record.grpcStatus) !== exclude, false, true);
}
/** Requests that are no health checks. Health checks that the proxy answers itself do not come this far. */
export const notHealthCheckFilter = (): LogFilter => filter((record) => !(record.requestHead?.get('user-agent') ?? '').startsWith('Envoy/HC'), true);
/** Names of `LogTypeFilter`: HTTP requests are logged when the stream ends, TCP connections when they end. */
export function logTypeFilter(types: readonly string[], exclude: boolean): LogFilter {
  const [http, tcp] = [types.includes('DownstreamEnd') !== exclude, types.includes('TcpConnectionEnd') !== exclude];
  return filter((record) => (record.protocol === '' ? tcp : http));
}
export const andFilter = (filters: readonly LogFilter[]): LogFilter =>
  filter(
    (record) => filters.every(({ accepts }) => accepts(record)),
    filters.some(({ wantsRequestHead }) => wantsRequestHead),
    filters.some(({ wantsGrpcStatus }) => wantsGrpcStatus),
  );
export const orFilter = (filters: readonly LogFilter[]): LogFilter =>
  filter(
    (record) => filters.some(({ accepts }) => accepts(record)),
    filters.some(({ wantsRequestHead }) => wantsRequestHead),
    filters.some(({ wantsGrpcStatus }) => wantsGrpcStatus),
  );

import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { ConfigError } from '../../base/errors.js';
import type { Address } from '../../network/engine.js';
import { GRPC_NAMES } from '../../protocol/grpc/status.js';
import { TrailerLines } from '../../protocol/grpc/trailer-lines.js';
import type { HeadView } from '../../protocol/head.js';
import { addressText } from '../cluster/host.js';
import type { LogRecord } from './access-log.js';
import { formatFlags, formatFlagsLong } from './response-flags.js';
import { compileTimeFormat } from './time-format.js';

/** What a command operator gives: a number stays one in JSON; undefined is printed as `-` in text and as `null` in JSON. */
export type FormatValue = string | number | undefined;

/** A compiled format. Texts hold one character for each byte (latin1), as header values do: write them as latin1 to get the bytes back. */
export interface Formatter {
  readonly wantsRequestHead: boolean;
  readonly wantsResponseHead: boolean;
  readonly wantsTrailers: boolean;
  readonly wantsGrpcStatus: boolean;
  /** The text, where it is the same for every record. */
  readonly constant: string | undefined;
  format(record: LogRecord): string;
}

export interface FormatOptions {
  /** Absent values are printed as nothing instead of `-`; in JSON their keys are left out. Default false. */
  readonly omitEmptyValues?: boolean;
}

/** Envoy's default access log format for HTTP and TCP. */
export const DEFAULT_FORMAT =
  '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% ' +
  '%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%"\n';

/**
 * Compiles a text format with Envoy's command operators ("Access logging: command operators"): `%NAME%`, `%NAME(argument)%`, `%NAME(argument):bytes%`, and
 * `%%` for a per cent sign. Throws ConfigError on an operator that is unknown or badly written, naming it.
 */
export function compileTextFormat(format: string, { omitEmptyValues = false }: FormatOptions = {}): Formatter {
  const parts = parse(format);
  const absent = omitEmptyValues ? '' : '-';
  const texts = parts.map((part) => (typeof part === 'string' ? () => part : (record: LogRecord) => textOf(part.value(record), absent)));
  const operators = parts.filter((part) => typeof part !== 'string');
  return {
    wantsRequestHead: operators.some((operator) => operator.wants === 'request'),
    wantsResponseHead: operators.some((operator) => operator.wants === 'response'),
    wantsTrailers: operators.some((operator) => operator.wants === 'trailers'),
    wantsGrpcStatus: operators.some((operator) => operator.wants === 'grpc'),
    constant: operators.length === 0 ? parts.join('') : undefined,
    format(record) {
      let text = '';
      for (let i = 0; i < texts.length; i++) text += texts[i](record);
      return text;
    },
  };
}

/**
 * Compiles a JSON format: an object whose strings are text formats. A string that is one operator keeps the type of its value. One line for each record,
 * with a newline at its end. Throws ConfigError as `compileTextFormat` does.
 */
export function compileJsonFormat(
  format: Readonly<Record<string, unknown>>,
  { omitEmptyValues = false, sortProperties = false }: FormatOptions & { readonly sortProperties?: boolean } = {},
): Formatter {
  const wants = { request: false, response: false, trailers: false, grpc: false };
  const build = (value: unknown): ((record: LogRecord) => string | undefined) => {
    if (typeof value === 'string') {
      const parts = parse(value);
      for (const part of parts) if (typeof part !== 'string' && part.wants !== undefined) wants[part.wants] = true;
      const [only] = parts;
      if (parts.length === 1 && typeof only !== 'string') {
        return (record) => {
          const found = only.value(record);
          if (found === undefined) return omitEmptyValues ? undefined : 'null';
          return typeof found === 'number' ? String(found) : jsonString(found);
        };
      }
      const absent = omitEmptyValues ? '' : '-';
      return (record) => jsonString(parts.map((part) => (typeof part === 'string' ? part : textOf(part.value(record), absent))).join(''));
    }
    if (Array.isArray(value)) {
      const items = value.map(build);
      return (record) => `[${items.map((item) => item(record) ?? 'null').join(',')}]`;
    }
    if (typeof value === 'object' && value !== null) {
      const names = Object.keys(value);
      if (sortProperties) names.sort();
      const fields = names.map((name) => [`${jsonString(utf8(name))}:`, build((value as Record<string, unknown>)[name])] as const);
      return (record) => {
        let text = '';
        for (const [name, field] of fields) {
          const found = field(record);
          if (found !== undefined) text += `${text === '' ? '' : ','}${name}${found}`;
        }
        return `{${text}}`;
      };
    }
    const constant = JSON.stringify(value ?? null);
    return () => constant;
  };
  const root = build(format);
  return {
    wantsRequestHead: wants.request,
    wantsResponseHead: wants.response,
    wantsTrailers: wants.trailers,
    wantsGrpcStatus: wants.grpc,
    constant: undefined,
    format: (record) => `${root(record)}\n`,
  };
}

function textOf(value: FormatValue, absent: string): string {
  if (value === undefined || value === '') return absent;
  return typeof value === 'string' ? value : String(value);
}
/** Text of a configuration, one character for each byte of its UTF-8. */
const utf8 = (text: string) => Buffer.from(text, 'utf8').toString('latin1');
/** A JSON string, again one character for each byte. Bytes that are no UTF-8 become U+FFFD, as JSON must be text. */
function jsonString(bytes: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: exactly the characters that JSON must escape, and those that need decoding.
  if (!/["\\\x00-\x1f\x7f-\xff]/.test(bytes)) return `"${bytes}"`;
  return utf8(JSON.stringify(Buffer.from(bytes, 'latin1').toString('utf8')));
}

// ---- parsing ----------------------------------------------------------------------------------------------------------------------------

interface Operator {
  readonly value: (record: LogRecord) => FormatValue;
  readonly wants?: 'request' | 'response' | 'trailers' | 'grpc' | undefined;
}

function parse(format: string): (string | Operator)[] {
  const parts: (string | Operator)[] = [];
  let text = '';
  const flush = () => {
    if (text !== '') parts.push(utf8(text));
    text = '';
  };
  for (let at = 0; at < format.length; ) {
    if (format[at] !== '%') {
      text += format[at++];
      continue;
    }
    if (format[at + 1] === '%') {
      text += '%';
      at += 2;
      continue;
    }
    // An argument may hold per cent signs (a time format): it ends at `)%` or `):n%`.
    const operator = /^%([A-Z0-9_]+)(?:\((.*?)\))?(?::(\d+))?%/s.exec(format.slice(at));
    if (operator === null) throw new ConfigError(`'${format.slice(at, at + 40)}' is not a command operator; write %% for a per cent sign`);
    flush();
    parts.push(makeOperator(operator[1], operator[2], operator[3]));
    at += operator[0].length;
  }
  flush();
  return parts;
}

function makeOperator(name: string, argument: string | undefined, length: string | undefined): Operator {
  const plain = Object.hasOwn(PLAIN, name) ? PLAIN[name] : undefined;
  if (plain !== undefined && argument === undefined) return withLength(plain, length);
  const make = Object.hasOwn(WITH_ARGUMENT, name) ? WITH_ARGUMENT[name] : undefined;
  if (make !== undefined) return withLength(make(argument, `%${name}${argument === undefined ? '' : `(${argument})`}%`), length);
  if (plain !== undefined) throw new ConfigError(`%${name}% takes no argument`);
  throw new ConfigError(`command operator %${name}% is not supported`);
}
function withLength(operator: Operator, length: string | undefined): Operator {
  if (length === undefined) return operator;
  const bytes = Number(length);
  return {
    wants: operator.wants,
    value(record) {
      const value = operator.value(record);
      return typeof value === 'string' && value.length > bytes ? value.slice(0, bytes) : value;
    },
  };
}

// ---- operators --------------------------------------------------------------------------------------------------------------------------

const span = (from: number, to: number): number | undefined => (from < 0 || to < 0 ? undefined : Math.max(0, Math.round(to - from)));
const withPort = (address: Address | undefined) => (address === undefined ? undefined : addressText(address));
const withoutPort = (address: Address | undefined) => (address === undefined ? undefined : 'path' in address ? address.path : address.ip);
const portOf = (address: Address | undefined) => (address === undefined || 'path' in address ? undefined : address.port);
const plain = (value: (record: LogRecord) => FormatValue): Operator => ({ value });
const HOSTNAME = hostname();
/** Known to Envoy, but of parts that are not there (TLS, filter state, ...): what Envoy prints where it has no value. */
const nothing = plain(() => undefined);

const PLAIN: Readonly<Record<string, Operator>> = {
  PROTOCOL: plain((record) => record.protocol),
  UPSTREAM_PROTOCOL: plain((record) => (record.responseHead === undefined ? undefined : record.responseHead.version)),
  RESPONSE_CODE: plain((record) => record.responseCode),
  RESPONSE_CODE_DETAILS: plain((record) => record.details.replaceAll(' ', '_')),
  CONNECTION_TERMINATION_DETAILS: plain((record) => record.connectionTerminationDetails),
  RESPONSE_FLAGS: plain((record) => formatFlags(record.flags)),
  RESPONSE_FLAGS_LONG: plain((record) => formatFlagsLong(record.flags)),
  BYTES_RECEIVED: plain((record) => record.bytesReceived),
  BYTES_SENT: plain((record) => record.bytesSent),
  DURATION: plain((record) => span(record.start, record.end)),
  REQUEST_DURATION: plain((record) => span(record.start, record.requestEnd)),
  REQUEST_TX_DURATION: plain((record) => span(record.start, record.requestEnd)),
  RESPONSE_DURATION: plain((record) => span(record.start, record.firstUpstreamByte)),
  RESPONSE_TX_DURATION: plain((record) => span(record.firstUpstreamByte, record.end)),
  UPSTREAM_HOST: plain((record) => withPort(record.upstreamHost)),
  UPSTREAM_HOST_NAME: plain((record) => record.upstreamHostname || withPort(record.upstreamHost)),
  UPSTREAM_HOST_NAME_WITHOUT_PORT: plain((record) => record.upstreamHostname || withoutPort(record.upstreamHost)),
  UPSTREAM_CLUSTER: plain((record) => record.upstreamCluster),
  UPSTREAM_CLUSTER_RAW: plain((record) => record.upstreamCluster),
  UPSTREAM_REMOTE_ADDRESS: plain((record) => withPort(record.upstreamHost)),
  UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT: plain((record) => withoutPort(record.upstreamHost)),
  UPSTREAM_REMOTE_PORT: plain((record) => portOf(record.upstreamHost)),
  UPSTREAM_LOCAL_ADDRESS: plain((record) => withPort(record.upstreamLocal)),
  UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT: plain((record) => withoutPort(record.upstreamLocal)),
  UPSTREAM_LOCAL_PORT: plain((record) => portOf(record.upstreamLocal)),
  UPSTREAM_TRANSPORT_FAILURE_REASON: plain((record) => record.upstreamTransportFailure.replaceAll(' ', '_')),
  UPSTREAM_REQUEST_ATTEMPT_COUNT: plain((record) => record.attempts),
  UPSTREAM_WIRE_BYTES_SENT: plain((record) => record.upstreamBytesSent),
  UPSTREAM_WIRE_BYTES_RECEIVED: plain((record) => record.upstreamBytesReceived),
  DOWNSTREAM_REMOTE_ADDRESS: plain((record) => withPort(record.downstreamRemote)),
  DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT: plain((record) => withoutPort(record.downstreamRemote)),
  DOWNSTREAM_REMOTE_PORT: plain((record) => portOf(record.downstreamRemote)),
  DOWNSTREAM_DIRECT_REMOTE_ADDRESS: plain((record) => withPort(record.downstreamDirectRemote)),
  DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT: plain((record) => withoutPort(record.downstreamDirectRemote)),
  DOWNSTREAM_DIRECT_REMOTE_PORT: plain((record) => portOf(record.downstreamDirectRemote)),
  DOWNSTREAM_LOCAL_ADDRESS: plain((record) => withPort(record.downstreamLocal)),
  DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT: plain((record) => withoutPort(record.downstreamLocal)),
  DOWNSTREAM_LOCAL_PORT: plain((record) => portOf(record.downstreamLocal)),
  ROUTE_NAME: plain((record) => record.routeName),
  VIRTUAL_HOST_NAME: plain((record) => record.virtualHost),
  VIRTUAL_CLUSTER_NAME: nothing,
  FILTER_CHAIN_NAME: plain((record) => record.filterChain),
  CONNECTION_ID: plain((record) => record.connectionId),
  STREAM_ID: plain((record) => record.requestId),
  HOSTNAME: plain(() => HOSTNAME),
  PATH: plain((record) => record.path || record.originalPath),
  UNIQUE_ID: plain(() => randomUUID()),
  REQUESTED_SERVER_NAME: nothing,
  ACCESS_LOG_TYPE: plain((record) => (record.protocol === '' ? 'TcpConnectionEnd' : 'DownstreamEnd')),
  REQUEST_HEADERS_BYTES: { value: (record) => record.requestHead?.wireBytes ?? 0, wants: 'request' },
  RESPONSE_HEADERS_BYTES: { value: (record) => record.responseHead?.wireBytes ?? 0, wants: 'response' },
  RESPONSE_TRAILERS_BYTES: { value: (record) => record.responseTrailers?.length ?? 0, wants: 'trailers' },
  GRPC_STATUS_NUMBER: grpcStatus((status) => status),
  DOWNSTREAM_TRANSPORT_FAILURE_REASON: nothing,
  DOWNSTREAM_TLS_VERSION: nothing,
  DOWNSTREAM_TLS_CIPHER: nothing,
  DOWNSTREAM_TLS_SESSION_ID: nothing,
  DOWNSTREAM_PEER_URI_SAN: nothing,
  DOWNSTREAM_PEER_DNS_SAN: nothing,
  DOWNSTREAM_PEER_SUBJECT: nothing,
  DOWNSTREAM_PEER_ISSUER: nothing,
  DOWNSTREAM_PEER_SERIAL: nothing,
  DOWNSTREAM_PEER_FINGERPRINT_256: nothing,
  DOWNSTREAM_PEER_FINGERPRINT_1: nothing,
  DOWNSTREAM_PEER_CERT: nothing,
  DOWNSTREAM_PEER_CERT_V_START: nothing,
  DOWNSTREAM_PEER_CERT_V_END: nothing,
  DOWNSTREAM_LOCAL_URI_SAN: nothing,
  DOWNSTREAM_LOCAL_DNS_SAN: nothing,
  DOWNSTREAM_LOCAL_SUBJECT: nothing,
  UPSTREAM_TLS_VERSION: nothing,
  UPSTREAM_TLS_CIPHER: nothing,
  UPSTREAM_TLS_SESSION_ID: nothing,
  UPSTREAM_PEER_ISSUER: nothing,
  UPSTREAM_PEER_SUBJECT: nothing,
  UPSTREAM_PEER_URI_SAN: nothing,
  UPSTREAM_PEER_DNS_SAN: nothing,
  UPSTREAM_PEER_CERT: nothing,
  UPSTREAM_LOCAL_URI_SAN: nothing,
  UPSTREAM_LOCAL_DNS_SAN: nothing,
  UPSTREAM_LOCAL_SUBJECT: nothing,
};

/** As Envoy writes the names of statuses. */
const GRPC_CAMEL = GRPC_NAMES.map((name) =>
  name === 'OK'
    ? name
    : name === 'CANCELLED'
      ? 'Canceled'
      : name.toLowerCase().replace(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase()),
);
function grpcStatus(format: (status: number) => FormatValue): Operator {
  return { value: (record) => (record.grpcStatus < 0 ? undefined : format(record.grpcStatus)), wants: 'grpc' };
}

type MakeOperator = (argument: string | undefined, operator: string) => Operator;
const WITH_ARGUMENT: Readonly<Record<string, MakeOperator>> = {
  START_TIME: (argument) => {
    const format = compileTimeFormat(argument ?? '');
    return plain((record) => format(record.startTime));
  },
  EMIT_TIME: (argument) => {
    const format = compileTimeFormat(argument ?? '');
    return plain(() => format(Date.now()));
  },
  REQ: (argument, operator) => headerOperator(argument, operator, requestHeader, 'request'),
  RESP: (argument, operator) => headerOperator(argument, operator, responseHeader, 'response'),
  TRAILER: (argument, operator) => {
    const names = headerNames(argument, operator);
    const lines = new TrailerLines();
    const find = ({ responseTrailers }: LogRecord, name: string) => (responseTrailers === undefined ? undefined : lines.get(responseTrailers, name));
    return { value: (record) => find(record, names[0]) ?? (names.length > 1 ? find(record, names[1]) : undefined), wants: 'trailers' };
  },
  PATH: (argument, operator) => {
    const [query = 'WQ', which = 'ORIG_OR_PATH', ...more] = (argument ?? '').split(':').map((part) => part.trim() || undefined);
    if (!/^(WQ|NQ)$/.test(query) || !/^(ORIG|PATH|ORIG_OR_PATH)$/.test(which) || more.length > 0)
      throw new ConfigError(`${operator}: expected PATH(WQ|NQ:ORIG|PATH|ORIG_OR_PATH)`);
    return plain((record) => {
      const path = which === 'PATH' ? record.path || record.originalPath : record.originalPath;
      return query === 'NQ' ? path.replace(/\?.*/s, '') : path;
    });
  },
  ENVIRONMENT: (argument, operator) => {
    if (argument === undefined || argument === '') throw new ConfigError(`${operator}: the name of a variable is missing`);
    const value = process.env[argument];
    return plain(() => (value === undefined ? undefined : utf8(value)));
  },
  COMMON_DURATION: durationOperator,
  GRPC_STATUS: (argument = 'CAMEL_STRING', operator) => {
    if (argument === 'NUMBER') return grpcStatus((status) => status);
    if (argument !== 'CAMEL_STRING' && argument !== 'SNAKE_STRING')
      throw new ConfigError(`${operator}: expected CAMEL_STRING, SNAKE_STRING or NUMBER`);
    // Envoy prints a number that gRPC does not know as it is.
    return grpcStatus((status) => (argument === 'SNAKE_STRING' ? GRPC_NAMES[status] : GRPC_CAMEL[status]) ?? `${status}`);
  },
  DYNAMIC_METADATA: () => nothing,
  CLUSTER_METADATA: () => nothing,
  UPSTREAM_METADATA: () => nothing,
  FILTER_STATE: () => nothing,
  UPSTREAM_FILTER_STATE: () => nothing,
  DOWNSTREAM_PEER_CERT_V_START: () => nothing,
  DOWNSTREAM_PEER_CERT_V_END: () => nothing,
  METADATA: () => nothing,
  QUERY_PARAM: (argument, operator) => {
    if (argument === undefined || argument === '') throw new ConfigError(`${operator}: the name of a parameter is missing`);
    const pattern = new RegExp(`[?&]${argument.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}=([^&]*)`);
    return plain((record) => pattern.exec(record.originalPath)?.[1]);
  },
};

function headerNames(argument: string | undefined, operator: string): string[] {
  const names = (argument ?? '').split('?').map((name) => name.trim().toLowerCase());
  if (names.length > 2 || names.includes('')) throw new ConfigError(`${operator}: expected the name of a header, or two names as in (X?Y)`);
  return names;
}
function headerOperator(
  argument: string | undefined,
  operator: string,
  header: (name: string) => (record: LogRecord) => string | undefined,
  wants: 'request' | 'response',
): Operator {
  const [first, second] = headerNames(argument, operator).map(header);
  const names = headerNames(argument, operator);
  // Pseudo headers are in the record itself: no head has to be kept for them.
  const needsHead = names.some((name) => !RECORD_HEADERS.has(name));
  return { wants: needsHead ? wants : undefined, value: second === undefined ? first : (record) => first(record) ?? second(record) };
}
const RECORD_HEADERS: ReadonlySet<string> = new Set([
  ':method',
  ':path',
  ':authority',
  ':scheme',
  ':status',
  'host',
  'x-envoy-original-path',
  'x-request-id',
  'x-envoy-upstream-service-time',
]);

const fromHead = (head: HeadView | undefined, name: string) => head?.get(name);
const orNone = (text: string) => (text === '' ? undefined : text);
function requestHeader(name: string): (record: LogRecord) => string | undefined {
  switch (name) {
    case ':method':
      return (record) => orNone(record.method);
    case ':path':
      return (record) => orNone(record.path) ?? orNone(record.originalPath);
    case 'x-envoy-original-path':
      // Added to the forwarded request where its path was rewritten.
      return (record) =>
        record.path !== '' && record.path !== record.originalPath ? orNone(record.originalPath) : fromHead(record.requestHead, name);
    case ':authority':
    case 'host':
      return (record) => orNone(record.authority);
    case ':scheme':
      return (record) => orNone(record.scheme);
    case 'x-request-id':
      return (record) => orNone(record.requestId) ?? fromHead(record.requestHead, name);
    default:
      return (record) => fromHead(record.requestHead, name);
  }
}
function responseHeader(name: string): (record: LogRecord) => string | undefined {
  if (name === ':status') return (record) => (record.responseCode === 0 ? undefined : String(record.responseCode));
  if (name === 'x-envoy-upstream-service-time') {
    // Added here to the response; the time is in the record.
    return (record) => {
      const time = span(record.requestEnd >= 0 && record.upstreamStart >= 0 ? record.upstreamStart : -1, record.firstUpstreamByte);
      return time === undefined ? fromHead(record.responseHead, name) : String(time);
    };
  }
  return (record) => fromHead(record.responseHead, name);
}

/** Points in time of `%COMMON_DURATION(from:to:unit)%`. */
const TIME_POINTS: Readonly<Record<string, (record: LogRecord) => number>> = {
  DS_RX_BEG: (record) => record.start,
  DS_RX_END: (record) => record.requestEnd,
  US_CX_BEG: (record) => record.upstreamStart,
  US_TX_BEG: (record) => record.upstreamStart,
  US_TX_END: (record) => record.requestEnd,
  US_RX_BEG: (record) => record.firstUpstreamByte,
  US_RX_END: (record) => record.lastUpstreamByte,
  DS_TX_BEG: (record) => record.firstDownstreamByte,
  DS_TX_END: (record) => record.end,
};
const UNITS_PER_MS: Readonly<Record<string, number>> = { ms: 1, us: 1000, ns: 1_000_000 };
function durationOperator(argument: string | undefined, operator: string): Operator {
  const [from, to, unit = 'ms', ...more] = (argument ?? '').split(':');
  const [start, end, scale] = [TIME_POINTS[from], TIME_POINTS[to], UNITS_PER_MS[unit]];
  if (start === undefined || end === undefined || scale === undefined || more.length > 0) {
    throw new ConfigError(`${operator}: expected COMMON_DURATION(from:to:ms|us|ns) with the points ${Object.keys(TIME_POINTS).join(', ')}`);
  }
  return plain((record) => {
    const [first, last] = [start(record), end(record)];
    return first < 0 || last < 0 ? undefined : Math.max(0, Math.round((last - first) * scale));
  });
}

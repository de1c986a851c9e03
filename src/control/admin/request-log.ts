import type { IncomingMessage } from 'node:http';
import { Head } from '../../protocol/head.js';
import { FIELD_WORDS, HEAD, HEAD_FLAG, KNOWN_ID } from '../../protocol/head-layout.js';
import type { AccessLog, LogRecord } from '../../proxy/access-log/access-log.js';
import { emptyRecord } from '../../proxy/http/log-record.js';

/** What is known of an answer of the admin server when it is logged. */
export interface AdminExchange {
  /** Wall clock at the start, ms since 1970. */
  readonly startTime: number;
  /** Monotonic, ms. */
  readonly start: number;
  readonly end: number;
  readonly status: number;
  readonly bytesSent: number;
}

/** Writes one request of the admin server to its access logs (`admin.access_log`). */
export function logAdminRequest(logs: readonly AccessLog[], request: IncomingMessage, exchange: AdminExchange): void {
  if (logs.length === 0) return;
  const record: LogRecord = emptyRecord();
  const { socket } = request;
  record.startTime = exchange.startTime;
  record.start = exchange.start;
  record.requestEnd = exchange.start;
  record.firstDownstreamByte = exchange.end;
  record.end = exchange.end;
  record.requestHead = logs.some((log) => log.wantsRequestHead) ? headOf(request) : undefined;
  record.method = request.method ?? '';
  record.originalPath = request.url ?? '';
  record.path = record.originalPath;
  record.authority = request.headers.host ?? '';
  record.scheme = 'http';
  record.protocol = `HTTP/${request.httpVersion}`;
  record.responseCode = exchange.status;
  record.bytesSent = exchange.bytesSent;
  record.requestId = String(request.headers['x-request-id'] ?? '');
  const remote = { ip: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 };
  record.downstreamRemote = remote;
  record.downstreamDirectRemote = remote;
  record.downstreamLocal = { ip: socket.localAddress ?? '', port: socket.localPort ?? 0 };
  for (const log of logs) log.log(record);
}

/** The head of a request of `node:http` as the data path has it. */
function headOf({ rawHeaders, httpVersion }: IncomingMessage): Head {
  const count = rawHeaders.length >> 1;
  const ints = new Int32Array(HEAD.FIELDS + count * FIELD_WORDS);
  let text = '';
  const put = (part: string): number => {
    const at = text.length;
    text += part;
    return at;
  };
  ints[HEAD.FLAGS] = httpVersion === '1.1' ? HEAD_FLAG.HTTP_11 : 0;
  ints[HEAD.COUNT] = count;
  for (let index = 0; index < count; index++) {
    const [name, value] = [rawHeaders[2 * index], rawHeaders[2 * index + 1]];
    const id = (KNOWN_ID as Record<string, number>)[name.toLowerCase()] ?? 0;
    ints.set([put(name), name.length | (id << 16), put(value), value.length], HEAD.FIELDS + index * FIELD_WORDS);
    if (id > 0 && ints[HEAD.KNOWN + id - 1] === 0) ints[HEAD.KNOWN + id - 1] = index + 1;
  }
  ints[HEAD.HEAD_BYTES] = text.length;
  return new Head(Buffer.from(text, 'latin1'), ints);
}

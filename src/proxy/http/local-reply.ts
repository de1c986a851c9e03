import os from 'node:os';
import { encodeGrpcMessage } from '../../protocol/grpc/message-text.js';
import { grpcOfHttp } from '../../protocol/grpc/status.js';
import type { LocalReply } from './filters/chain.js';
import { line } from './lines.js';

const text = (value: string): Uint8Array => Uint8Array.from(Buffer.from(value, 'utf8'));

/** Bodies and lines of local replies, with Envoy's words: people search for them. */
export const BODY = {
  NO_HEALTHY_UPSTREAM: text('no healthy upstream'),
  UPSTREAM_TIMEOUT: text('upstream request timeout'),
  PLAIN_TEXT: line('content-type', 'text/plain'),
  FORWARDED_PROTO: line('x-forwarded-proto', 'http'),
  /** Any other text as bytes. */
  of: text,
} as const;

/** Content-type of the bodies above. */
export const PLAIN_TEXT = 'text/plain';

/** An answer of Envoy's words, as far as they are known when it is decided on. */
export const localReply = (status: number, body: Uint8Array | undefined): LocalReply => ({
  status,
  body,
  contentType: body !== undefined && body.length > 0 ? PLAIN_TEXT : '',
  grpcStatus: -1,
  headers: [],
});
/**
 * The same answer as a gRPC client takes it: HTTP 200 with nothing but a head, that says the status, and as its message what would have been the body. `status`: of
 * gRPC; -1: the one that the HTTP status stands for.
 */
export function toGrpcReply(reply: LocalReply, status: number): void {
  reply.grpcStatus = status >= 0 ? status : grpcOfHttp(reply.status);
  reply.status = 200;
  reply.contentType = 'application/grpc';
  reply.headers.push(['grpc-status', `${reply.grpcStatus}`]);
  if (reply.body !== undefined && reply.body.length > 0)
    reply.headers.push(['grpc-message', encodeGrpcMessage(Buffer.from(reply.body).toString('utf8'))]);
  reply.body = undefined;
}

/** `upstream connect error or disconnect/reset before headers. reset reason: ...`. */
export const resetBody = (reason: string, transport = ''): Uint8Array =>
  text(
    `upstream connect error or disconnect/reset before headers. reset reason: ${reason}${transport === '' ? '' : `, transport failure reason: ${transport}`}`,
  );

const ERRNO_TEXT: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'Connection_refused',
  ECONNRESET: 'Connection_reset_by_peer',
  EHOSTUNREACH: 'No_route_to_host',
  ENETUNREACH: 'Network_is_unreachable',
  ETIMEDOUT: 'Connection_timed_out',
  EACCES: 'Permission_denied',
  ENOENT: 'No_such_file_or_directory',
  EADDRNOTAVAIL: 'Cannot_assign_requested_address',
  EMFILE: 'Too_many_open_files',
};
/** What the system says to an errno name, with `_` for spaces as response details have it. */
export function closeText(errno: string): string {
  const known = ERRNO_TEXT[errno];
  if (known !== undefined) return known;
  const number = (os.constants.errno as Record<string, number>)[errno];
  return number === undefined ? errno || 'unknown' : `${number}`;
}

const STATUS_TEXTS: ReadonlyMap<number, string> = new Map([
  [400, 'Bad Request'],
  [408, 'Request Timeout'],
  [413, 'Payload Too Large'],
  [414, 'URI Too Long'],
  [417, 'Expectation Failed'],
  [426, 'Upgrade Required'],
  [431, 'Request Header Fields Too Large'],
  [501, 'Not Implemented'],
  [505, 'HTTP Version Not Supported'],
]);
/** The words that go with a status that a framing fault is answered with. */
export const statusText = (status: number) => STATUS_TEXTS.get(status) ?? 'Bad Request';

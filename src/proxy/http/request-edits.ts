import type { Edits } from '../../protocol/edits.js';
import { formatGrpcTimeout } from '../../protocol/grpc/request.js';
import type { Head } from '../../protocol/head.js';
import { EDIT_FLAG, HEAD_FLAG, KNOWN_ID } from '../../protocol/head-layout.js';
import type { ForwardAction } from '../runtime.js';
import type { Exchange } from './exchange.js';
import type { ExchangeRecord } from './exchange-record.js';
import type { HttpManager } from './http-manager.js';
import { line } from './lines.js';
import { BODY } from './local-reply.js';
import { sanitize } from './request-head.js';
import { appendRequestUpgrade, requestUpgrade } from './upgrade.js';

/** Numbers of the well-known names that are looked at in every request. */
const LINE = {
  HOST: KNOWN_ID.host,
  TE: KNOWN_ID.te,
  X_ENVOY_ATTEMPT_COUNT: KNOWN_ID['x-envoy-attempt-count'],
  X_ENVOY_EXPECTED_RQ_TIMEOUT_MS: KNOWN_ID['x-envoy-expected-rq-timeout-ms'],
  X_ENVOY_INTERNAL: KNOWN_ID['x-envoy-internal'],
  X_ENVOY_ORIGINAL_PATH: KNOWN_ID['x-envoy-original-path'],
  X_FORWARDED_FOR: KNOWN_ID['x-forwarded-for'],
  X_FORWARDED_HOST: KNOWN_ID['x-forwarded-host'],
  X_FORWARDED_PROTO: KNOWN_ID['x-forwarded-proto'],
  X_REQUEST_ID: KNOWN_ID['x-request-id'],
} as const;
/** RFC 9110 §10.1.4: who sends TE says so in Connection. */
const TE_TRAILERS = Uint8Array.from([...line('connection', 'te'), ...line('te', 'trailers')]);

/**
 * What is changed in a request's head on its way to the upstream of the present attempt: rewrites, what an outsider must not say, what a proxy adds, and the header
 * changes of the route. `expectedMs`: how long the upstream has; 0: as long as it likes. Answers the worker's one `Edits`.
 */
export function requestEdits(manager: HttpManager, exchange: Exchange, records: ExchangeRecord, head: Head, expectedMs: number): Edits {
  const { config, viaLine } = manager;
  const { context, route, choice, cluster, origin, flags, filters } = exchange;
  const { edits, lines } = context;
  const action = exchange.action as ForwardAction;
  const routeHeaders = route?.requestHeaders;
  const choiceHeaders = choice?.requestHeaders;
  const record = routeHeaders !== undefined || choiceHeaders !== undefined ? records.current(manager) : undefined;
  edits.reset();

  // Changes of what is there come first; `append` closes that part.
  if (exchange.upgrade !== '') requestUpgrade(exchange, head, edits);
  const path = action.rewritePath === undefined ? undefined : action.rewritePath(exchange.path);
  const isRewritten = path !== undefined && path !== exchange.path;
  if (isRewritten) edits.target(path);
  else if (exchange.pathChanged) edits.target(exchange.path);
  const hostIndex = head.lineOf(LINE.HOST);
  const host = forwardedHost(exchange, action, head);
  if (host !== undefined && hostIndex >= 0) edits.replace(hostIndex, host);
  sanitize(head, origin, config.forwardClientCert === 'ALWAYS_FORWARD_ONLY', edits);
  if ((flags & HEAD_FLAG.EXPECT_CONTINUE) !== 0 && !config.proxy100Continue) dropAll(head, edits, 'expect');
  const requestIdIndex = head.lineOf(LINE.X_REQUEST_ID);
  if (exchange.madeRequestId && requestIdIndex >= 0) replaceAll(head, edits, requestIdIndex, 'x-request-id', exchange.requestIdText);
  const attemptIndex = head.lineOf(LINE.X_ENVOY_ATTEMPT_COUNT);
  if (action.includeAttemptCount && attemptIndex >= 0) replaceAll(head, edits, attemptIndex, 'x-envoy-attempt-count', `${exchange.attempts}`);
  const protoIndex = head.lineOf(LINE.X_FORWARDED_PROTO);
  if (protoIndex >= 0 && config.useRemoteAddress && config.xffTrustedHops === 0) replaceAll(head, edits, protoIndex, 'x-forwarded-proto', 'http');
  const forIndex = head.lineOf(LINE.X_FORWARDED_FOR);
  const forwardedFor = config.useRemoteAddress && !config.skipXffAppend ? remoteAddress(exchange) : '';
  if (forwardedFor !== '' && forIndex >= 0) replaceAll(head, edits, forIndex, 'x-forwarded-for', `${head.getAll('x-forwarded-for')},${forwardedFor}`);
  const originalIndex = head.lineOf(LINE.X_ENVOY_ORIGINAL_PATH);
  if (isRewritten && !config.suppressEnvoyHeaders && originalIndex >= 0) dropAll(head, edits, 'x-envoy-original-path');
  const forwardedHostIndex = head.lineOf(LINE.X_FORWARDED_HOST);
  const forwardsHost = action.appendForwardedHost && host !== undefined;
  if (forwardsHost && forwardedHostIndex >= 0)
    replaceAll(head, edits, forwardedHostIndex, 'x-forwarded-host', `${head.getAll('x-forwarded-host')},${exchange.host}`);
  const internalIndex = head.lineOf(LINE.X_ENVOY_INTERNAL);
  if (origin.internal && internalIndex >= 0) replaceAll(head, edits, internalIndex, 'x-envoy-internal', 'true');
  const expectedIndex = head.lineOf(LINE.X_ENVOY_EXPECTED_RQ_TIMEOUT_MS);
  if (origin.internal && expectedIndex >= 0) dropAll(head, edits, 'x-envoy-expected-rq-timeout-ms');
  if (record !== undefined) {
    choiceHeaders?.change(head, edits, record);
    routeHeaders?.change(head, edits, record);
  }
  if (exchange.grpcTimeoutMs >= 0) changeGrpcTimeout(exchange.grpcTimeoutMs, head, edits);
  filters?.changeRequest(head, edits);

  if (hostIndex < 0 && (host !== undefined || exchange.hostChanged)) edits.append('host', host ?? exchange.host);
  else if (hostIndex < 0 && exchange.host !== '' && (flags & HEAD_FLAG.HTTP_11) === 0) edits.append('host', exchange.host);
  if (forwardedFor !== '' && forIndex < 0) edits.append('x-forwarded-for', forwardedFor);
  if (protoIndex < 0) edits.appendBytes(BODY.FORWARDED_PROTO);
  if (exchange.madeRequestId && requestIdIndex < 0) appendMadeId(exchange, edits);
  if (forwardsHost && forwardedHostIndex < 0) edits.append('x-forwarded-host', exchange.host);
  if (origin.internal && internalIndex < 0) edits.append('x-envoy-internal', 'true');
  else if (origin.edge && origin.remote !== undefined && 'ip' in origin.remote) edits.append('x-envoy-external-address', origin.remote.ip);
  if (!config.suppressEnvoyHeaders) {
    if (isRewritten) edits.append('x-envoy-original-path', exchange.path);
    if (expectedMs > 0) edits.appendBytes(lines.expectedTimeout(expectedMs));
  }
  if (action.includeAttemptCount && attemptIndex < 0) edits.append('x-envoy-attempt-count', `${exchange.attempts}`);
  if (viaLine !== undefined) edits.appendBytes(viaLine);
  // The engine has taken TE off: it was for this hop.
  if (exchange.upgrade !== '') appendRequestUpgrade(exchange, head, edits);
  else if (head.lineOf(LINE.TE) >= 0 && takesTrailers(head)) edits.appendBytes(TE_TRAILERS);
  if (record !== undefined) {
    choiceHeaders?.append(head, edits, record);
    routeHeaders?.append(head, edits, record);
  }
  filters?.appendRequest(head, edits);

  let bits = 0;
  if (exchange.upgrade !== '') bits |= EDIT_FLAG.UPGRADE;
  if (cluster?.config.properCase === true) bits |= EDIT_FLAG.PROPER_CASE;
  if ((flags & HEAD_FLAG.EXPECT_CONTINUE) !== 0 && config.proxy100Continue) bits |= EDIT_FLAG.HOLD_BODY;
  if (filters !== undefined && (flags & HEAD_FLAG.END) === 0) {
    if (filters.wantsRequestBody) bits |= EDIT_FLAG.SHOW_BODY;
    else if (filters.wantsRequestEnd) bits |= EDIT_FLAG.SHOW_TRAILERS;
  }
  if (bits !== 0) edits.flag(bits);
  return edits;
}

/** The host that the upstream sees; undefined: as received. The weighted entry's rewrite comes first, then the route's own: Envoy finalizes in this order, so that the route's stands. */
function forwardedHost(exchange: Exchange, action: ForwardAction, head: Head): string | undefined {
  const { rewriteHost } = action;
  const chosen = exchange.choice?.rewriteHost;
  if (rewriteHost !== undefined) {
    const host = rewriteHost === 'auto' ? exchange.upstreamHost?.hostname : rewriteHost(chosen ?? exchange.host, exchange.path, head);
    if (host !== undefined && host !== '') return host;
  }
  return chosen ?? (exchange.hostChanged ? exchange.host : undefined);
}
function remoteAddress(exchange: Exchange): string {
  const remote = exchange.info?.remote;
  return remote !== undefined && 'ip' in remote ? remote.ip : '';
}
/** The id made for this request. Where it was not kept as text and other requests have come since, nobody has seen it: a new one does. */
function appendMadeId(exchange: Exchange, edits: Edits): void {
  const { requestIds } = exchange.context;
  if (exchange.requestId !== '') {
    edits.append('x-request-id', exchange.requestId);
    return;
  }
  if (exchange.attempts > 1) requestIds.next();
  if (exchange.retry.on !== 0) exchange.requestId = requestIds.text;
  edits.appendBytes(requestIds.line);
}
/** True where one of the transfer codings that the client takes is `trailers`; a weight (`;q=`) does not go with it. */
export const takesTrailers = (head: Head): boolean =>
  (head.getAll('te') ?? '').split(',').some((coding) => coding.trim().toLowerCase() === 'trailers');
/** One line in place of all that have this name: what a client repeats must not get past us. */
function replaceAll(head: Head, edits: Edits, first: number, name: string, value: string): void {
  edits.replace(first, value);
  for (let index = head.indexOf(name, first + 1); index >= 0; index = head.indexOf(name, index + 1)) edits.drop(index);
}
/** What the client said is replaced by what is left of it. */
function changeGrpcTimeout(ms: number, head: Head, edits: Edits): void {
  const index = head.indexOf('grpc-timeout');
  if (index >= 0) replaceAll(head, edits, index, 'grpc-timeout', formatGrpcTimeout(ms));
}
function dropAll(head: Head, edits: Edits, name: string): void {
  for (let index = head.indexOf(name); index >= 0; index = head.indexOf(name, index + 1)) edits.drop(index);
}

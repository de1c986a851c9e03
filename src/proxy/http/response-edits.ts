import type { Edits } from '../../protocol/edits.js';
import { Head } from '../../protocol/head.js';
import { EDIT_FLAG, HEAD, HEAD_FLAG, KNOWN_ID } from '../../protocol/head-layout.js';
import type { ForwardAction } from '../runtime.js';
import type { Exchange } from './exchange.js';
import type { ExchangeRecord } from './exchange-record.js';
import type { LocalReply } from './filters/chain.js';
import type { HttpManager } from './http-manager.js';
import { BODY, PLAIN_TEXT } from './local-reply.js';

/** Numbers of the well-known names that are looked at in every response. */
const LINE = {
  DATE: KNOWN_ID.date,
  SERVER: KNOWN_ID.server,
  X_ENVOY_ATTEMPT_COUNT: KNOWN_ID['x-envoy-attempt-count'],
  X_ENVOY_UPSTREAM_SERVICE_TIME: KNOWN_ID['x-envoy-upstream-service-time'],
  X_REQUEST_ID: KNOWN_ID['x-request-id'],
} as const;

/** What is changed in an upstream's response head on its way to the client. Answers the worker's one `Edits`. */
export function responseEdits(manager: HttpManager, exchange: Exchange, records: ExchangeRecord, head: Head, now: number): Edits {
  const { config } = manager;
  const { context, route, choice, requestId, filters } = exchange;
  const { edits, date, lines } = context;
  const action = exchange.action as ForwardAction;
  const routeHeaders = route?.responseHeaders;
  const choiceHeaders = choice?.responseHeaders;
  const record = routeHeaders !== undefined || choiceHeaders !== undefined ? records.current(manager) : undefined;
  edits.reset();
  const serverIndex = head.lineOf(LINE.SERVER);
  if (serverIndex >= 0 && config.serverHeader === 'OVERWRITE') edits.replace(serverIndex, config.serverName);
  const serviceIndex = head.lineOf(LINE.X_ENVOY_UPSTREAM_SERVICE_TIME);
  const serviceMs = Math.max(0, Math.floor(now - Math.max(exchange.requestEnd, exchange.upstreamStart)));
  if (serviceIndex >= 0 && !config.suppressEnvoyHeaders) edits.replace(serviceIndex, `${serviceMs}`);
  const attemptIndex = head.lineOf(LINE.X_ENVOY_ATTEMPT_COUNT);
  if (action.includeAttemptCountInResponse && attemptIndex >= 0) edits.replace(attemptIndex, `${exchange.attempts}`);
  const requestIdIndex = config.alwaysSetRequestIdInResponse ? head.lineOf(LINE.X_REQUEST_ID) : -1;
  if (requestIdIndex >= 0 && requestId !== '') edits.replace(requestIdIndex, requestId);
  if (record !== undefined) {
    choiceHeaders?.change(head, edits, record);
    routeHeaders?.change(head, edits, record);
  }
  filters?.changeResponse(head, edits);
  if (head.lineOf(LINE.DATE) < 0) edits.appendBytes(date.at(now));
  if (serverIndex < 0 && config.serverHeader !== 'PASS_THROUGH') edits.appendBytes(manager.serverLine);
  if (serviceIndex < 0 && !config.suppressEnvoyHeaders) edits.appendBytes(lines.serviceTime(serviceMs));
  if (action.includeAttemptCountInResponse && attemptIndex < 0) edits.append('x-envoy-attempt-count', `${exchange.attempts}`);
  if (config.alwaysSetRequestIdInResponse && requestIdIndex < 0 && requestId !== '') edits.append('x-request-id', requestId);
  if (manager.viaLine !== undefined) edits.appendBytes(manager.viaLine);
  if (record !== undefined) {
    choiceHeaders?.append(head, edits, record);
    routeHeaders?.append(head, edits, record);
  }
  filters?.appendResponse(head, edits);
  if (!head.ends) {
    if (filters?.wantsResponseBody === true) edits.flag(EDIT_FLAG.SHOW_BODY);
    else if (filters?.wantsResponseEnd === true || manager.wantsTrailers || (exchange.isGrpc && manager.wantsGrpcStatus))
      edits.flag(EDIT_FLAG.SHOW_TRAILERS);
  }
  if (config.properCase) edits.flag(EDIT_FLAG.PROPER_CASE);
  return edits;
}

/** The head of an answer that is made here: status, the route's response headers, and what the reply says itself. Answers the worker's one `Edits`. */
export function replyEdits(manager: HttpManager, exchange: Exchange, records: ExchangeRecord, reply: LocalReply): Edits {
  const { config } = manager;
  const { context, route, choice } = exchange;
  const { edits } = context;
  const routeHeaders = route?.responseHeaders;
  const choiceHeaders = choice?.responseHeaders;
  edits.reset().status(reply.status);
  if (routeHeaders !== undefined || choiceHeaders !== undefined) {
    const record = records.current(manager);
    const head = new Head(new Uint8Array(0), emptyHeadTable());
    choiceHeaders?.change(head, edits, record);
    routeHeaders?.change(head, edits, record);
    for (const [name, value] of reply.headers) edits.append(name, value);
    choiceHeaders?.append(head, edits, record);
    routeHeaders?.append(head, edits, record);
  } else for (const [name, value] of reply.headers) edits.append(name, value);
  if (reply.contentType === PLAIN_TEXT) edits.appendBytes(BODY.PLAIN_TEXT);
  else if (reply.contentType !== '') edits.append('content-type', reply.contentType);
  if (config.alwaysSetRequestIdInResponse && exchange.requestId !== '') edits.append('x-request-id', exchange.requestId);
  edits.appendBytes(context.date.at(context.now));
  if (config.serverHeader !== 'PASS_THROUGH') edits.appendBytes(manager.serverLine);
  if (manager.viaLine !== undefined) edits.appendBytes(manager.viaLine);
  return edits;
}

/** The table of a response head without lines: what mutations of a local reply look at. */
function emptyHeadTable(): Int32Array {
  const ints = new Int32Array(HEAD.FIELDS);
  ints[HEAD.FLAGS] = HEAD_FLAG.RESPONSE | HEAD_FLAG.HTTP_11;
  ints[HEAD.LENGTH_LOW] = -1;
  ints[HEAD.LENGTH_HIGH] = -1;
  return ints;
}

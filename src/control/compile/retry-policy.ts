import type { HeadView } from '../../protocol/head.js';
import { compileHeaderMatch } from '../../proxy/route/matchers.js';
import { RETRY_ON, type RetryPolicy } from '../../proxy/runtime.js';
import { nearest } from '../config/problem.js';
import type * as v3 from '../config/types.js';
import { compileHeaderMatcher } from './common.js';
import { type Fields, typeOf } from './context.js';

/** Words of `retry_on`. HTTP/3 is never spoken, so nothing of it fails. */
const RETRY_WORDS: Readonly<Record<string, number>> = {
  '5xx': RETRY_ON.FIVE_XX,
  'gateway-error': RETRY_ON.GATEWAY_ERROR,
  reset: RETRY_ON.RESET,
  'reset-before-request': RETRY_ON.RESET_BEFORE_REQUEST,
  'connect-failure': RETRY_ON.CONNECT_FAILURE,
  'retriable-4xx': RETRY_ON.RETRIABLE_4XX,
  'refused-stream': RETRY_ON.REFUSED_STREAM,
  'retriable-status-codes': RETRY_ON.RETRIABLE_STATUS_CODES,
  'retriable-headers': RETRY_ON.RETRIABLE_HEADERS,
  'envoy-ratelimited': RETRY_ON.ENVOY_RATELIMITED,
  'http3-post-connect-failure': 0,
  cancelled: RETRY_ON.CANCELLED,
  'deadline-exceeded': RETRY_ON.DEADLINE_EXCEEDED,
  internal: RETRY_ON.INTERNAL,
  'resource-exhausted': RETRY_ON.RESOURCE_EXHAUSTED,
  unavailable: RETRY_ON.UNAVAILABLE,
};

/** Compiles a retry policy. Defaults are Envoy's: one retry, back-off of 25 ms up to ten times that. */
export function compileRetryPolicy(policy: Fields<v3.RetryPolicy>): RetryPolicy {
  let on = 0;
  for (const word of (policy.get('retryOn') ?? '').split(',').map((text) => text.trim())) {
    if (word === '') continue;
    if (Object.hasOwn(RETRY_WORDS, word)) on |= RETRY_WORDS[word];
    else policy.problem('retryOn', `'${word}' is not a reason for a retry`, 'INVALID', nearest(word, Object.keys(RETRY_WORDS)));
  }
  let avoidPreviousHosts = false;
  for (const predicate of policy.list('retryHostPredicate', 'envoy.config.route.v3.RetryPolicy.RetryHostPredicate')) {
    const [name, type] = [predicate.get('name') ?? '', typeOf(predicate.get('typedConfig'))];
    if (name === 'envoy.retry_host_predicates.previous_hosts' || type === 'envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate')
      avoidPreviousHosts = true;
    else predicate.problem(undefined, `retry host predicate '${name}' is not supported`, 'UNSUPPORTED');
  }
  const backOff = policy.child('retryBackOff', 'envoy.config.route.v3.RetryPolicy.RetryBackOff');
  const backoffBaseMs = backOff?.get('baseInterval') ?? 25;
  const backoffMaxMs = backOff?.get('maxInterval') ?? backoffBaseMs * 10;
  if (backoffMaxMs < backoffBaseMs) backOff?.problem('maxInterval', 'is shorter than base_interval');
  return {
    on,
    numRetries: policy.get('numRetries') ?? 1,
    perTryTimeoutMs: policy.get('perTryTimeout') ?? 0,
    perTryIdleTimeoutMs: policy.get('perTryIdleTimeout') ?? 0,
    statusCodes: new Set(policy.get('retriableStatusCodes') ?? []),
    retriableHeaders: anyHeader(policy, 'retriableHeaders'),
    retriableRequest: anyHeader(policy, 'retriableRequestHeaders'),
    backoffBaseMs,
    backoffMaxMs,
    askedBackoffMs: compileAskedBackoff(policy),
    avoidPreviousHosts,
    hostSelectionAttempts: Number(policy.get('hostSelectionRetryMaxAttempts') ?? 1) || 1,
  };
}
/** Reads `rate_limited_retry_back_off`: the first of the headers that holds a wait within the bound (default 300 s) counts. */
function compileAskedBackoff(policy: Fields<v3.RetryPolicy>): RetryPolicy['askedBackoffMs'] {
  const backOff = policy.child('rateLimitedRetryBackOff', 'envoy.config.route.v3.RetryPolicy.RateLimitedRetryBackOff');
  if (backOff === undefined) return undefined;
  const maxMs = backOff.get('maxInterval') ?? 300_000;
  const headers = backOff.list('resetHeaders', 'envoy.config.route.v3.RetryPolicy.ResetHeader').map((header) => {
    return { name: (header.get('name') ?? '').toLowerCase(), isTimestamp: header.get('format') === 'UNIX_TIMESTAMP' };
  });
  return (head, nowS) => {
    for (const { name, isTimestamp } of headers) {
      const text = head.get(name);
      if (text === undefined || !/^\d{1,15}$/.test(text)) continue;
      const waitMs = (Number(text) - (isTimestamp ? nowS : 0)) * 1000;
      if (waitMs > 0 && waitMs <= maxMs) return waitMs;
    }
    return undefined;
  };
}
/** True where one of the headers matches; undefined where none is named. */
function anyHeader(policy: Fields<v3.RetryPolicy>, name: 'retriableHeaders' | 'retriableRequestHeaders'): ((head: HeadView) => boolean) | undefined {
  const tests = policy.list(name, 'envoy.config.route.v3.HeaderMatcher').flatMap((matcher) => {
    const match = compileHeaderMatcher(matcher);
    return match === undefined ? [] : [compileHeaderMatch(match)];
  });
  return tests.length === 0 ? undefined : (head) => tests.some((test) => test(head, undefined));
}

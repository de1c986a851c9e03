import assert from 'node:assert/strict';
import test from 'node:test';
import { Head } from '../../protocol/head.js';
import { FIELD_WORDS, HEAD, KNOWN_ID } from '../../protocol/head-layout.js';
import { RETRY_ON, type RetryPolicy } from '../runtime.js';
import { RetryState, wholeNumber } from './retry.js';

/** A head with these lines. */
function head(lines: Readonly<Record<string, string>> = {}): Head {
  const bytes = Buffer.from(Object.entries(lines).flat().join(''), 'latin1');
  const ints = new Int32Array(HEAD.FIELDS + Object.keys(lines).length * FIELD_WORDS);
  let at = 0;
  for (const [index, [name, value]] of Object.entries(lines).entries()) {
    const id = (KNOWN_ID as Record<string, number>)[name] ?? 0;
    ints.set([at, name.length | (id << 16), at + name.length, value.length], HEAD.FIELDS + index * FIELD_WORDS);
    if (id > 0) ints[HEAD.KNOWN + id - 1] = index + 1;
    at += name.length + value.length;
  }
  ints[HEAD.COUNT] = Object.keys(lines).length;
  return new Head(bytes, ints);
}
const policy = (on: number, more: Partial<RetryPolicy> = {}): RetryPolicy => ({
  on,
  numRetries: 2,
  perTryTimeoutMs: 0,
  perTryIdleTimeoutMs: 0,
  statusCodes: new Set(),
  retriableHeaders: undefined,
  retriableRequest: undefined,
  backoffBaseMs: 25,
  backoffMaxMs: 250,
  askedBackoffMs: undefined,
  avoidPreviousHosts: false,
  hostSelectionAttempts: 1,
  ...more,
});
const begun = (on: number, more: Partial<RetryPolicy> = {}, lines = {}, trusted = false): RetryState => {
  const state = new RetryState();
  state.begin(policy(on, more), head(lines), trusted);
  return state;
};

for (const [name, on, yes, no] of [
  ['5xx', RETRY_ON.FIVE_XX, [500, 503, 599], [200, 404, 429]],
  ['gateway-error', RETRY_ON.GATEWAY_ERROR, [502, 503, 504], [500, 505]],
  ['retriable-4xx', RETRY_ON.RETRIABLE_4XX, [409], [404, 408, 500]],
  ['connect-failure', RETRY_ON.CONNECT_FAILURE, [], [200, 500, 503]],
] as const) {
  test(`${name} looks at the status`, () => {
    const state = begun(on);
    for (const status of yes) assert.equal(state.wantsOther(status, head()), true, `${status}`);
    for (const status of no) assert.equal(state.wantsOther(status, head()), false, `${status}`);
  });
}

test('retriable status codes are those of the policy and of the header', () => {
  const state = begun(RETRY_ON.RETRIABLE_STATUS_CODES, { statusCodes: new Set([404]) }, { 'x-envoy-retriable-status-codes': '418, 425' }, true);
  for (const status of [404, 418, 425]) assert.equal(state.wantsOther(status, head()), true);
  assert.equal(state.wantsOther(500, head()), false);
});

test('a rate-limited response is retried only where that is asked for', () => {
  const limited = head({ 'x-envoy-ratelimited': 'true' });
  assert.equal(begun(RETRY_ON.FIVE_XX).wantsOther(503, limited), false);
  assert.equal(begun(RETRY_ON.ENVOY_RATELIMITED).wantsOther(429, limited), true);
});

for (const [name, on, kinds] of [
  ['connect-failure', RETRY_ON.CONNECT_FAILURE, ['connect']],
  ['reset', RETRY_ON.RESET, ['connect', 'reset', 'timeout', 'unsent']],
  ['5xx', RETRY_ON.FIVE_XX, ['connect', 'reset', 'timeout', 'unsent']],
  ['reset-before-request', RETRY_ON.RESET_BEFORE_REQUEST, ['connect', 'unsent']],
  ['retriable-4xx', RETRY_ON.RETRIABLE_4XX, []],
] as const) {
  test(`${name} after an attempt without a response`, () => {
    const state = begun(on);
    for (const kind of ['connect', 'reset', 'timeout', 'unsent'] as const)
      assert.equal(state.wantsAfter(kind), (kinds as readonly string[]).includes(kind), kind);
  });
}

test("the request's headers add to the policy, if they are trusted", () => {
  const lines = { 'x-envoy-retry-on': '5xx, unknown', 'x-envoy-max-retries': '7', 'x-envoy-upstream-rq-per-try-timeout-ms': '40' };
  const trusted = begun(RETRY_ON.RETRIABLE_4XX, {}, lines, true);
  assert.deepEqual([trusted.on, trusted.left, trusted.perTryTimeoutMs], [RETRY_ON.RETRIABLE_4XX | RETRY_ON.FIVE_XX, 7, 40]);
  const untrusted = begun(RETRY_ON.RETRIABLE_4XX, {}, lines, false);
  assert.deepEqual([untrusted.on, untrusted.left, untrusted.perTryTimeoutMs], [RETRY_ON.RETRIABLE_4XX, 2, 0]);
});

test('the header alone asks for one retry', () => {
  const state = new RetryState();
  state.begin(undefined, head({ 'x-envoy-retry-on': 'reset' }), true);
  assert.deepEqual([state.on, state.left], [RETRY_ON.RESET, 1]);
});

test('the back-off doubles up to its maximum, with full jitter', () => {
  const state = begun(RETRY_ON.FIVE_XX, { numRetries: 10 });
  const limits = Array.from({ length: 6 }, () => state.next(0.999_999));
  assert.deepEqual(limits.map(Math.round), [25, 50, 100, 200, 250, 250]);
  assert.equal(state.next(0), 0);
  assert.equal(state.left, 3);
});

test('numbers in headers are digits only', () => {
  assert.deepEqual(['15', '0', '', '-1', '1.5', ' 3', '9999999999'].map(wholeNumber), [15, 0, undefined, undefined, undefined, undefined, undefined]);
});

test('a grpc-status in the head is a reason where it is asked for, by the route or by a trusted caller', () => {
  const statuses = { cancelled: '1', 'deadline-exceeded': '4', 'resource-exhausted': '8', internal: '13', unavailable: '14' };
  const bits = [RETRY_ON.CANCELLED, RETRY_ON.DEADLINE_EXCEEDED, RETRY_ON.RESOURCE_EXHAUSTED, RETRY_ON.INTERNAL, RETRY_ON.UNAVAILABLE];
  for (const [index, [word, status]] of Object.entries(statuses).entries()) {
    const answer = head({ 'grpc-status': status });
    assert.equal(begun(bits[index]).wantsOther(200, answer), true, word);
    assert.equal(begun(0, {}, { 'x-envoy-retry-grpc-on': word }, true).wantsOther(200, answer), true, word);
    assert.equal(begun(0, {}, { 'x-envoy-retry-grpc-on': word }, false).wantsOther(200, answer), false, word);
    for (const other of ['0', '5', '99', 'x']) assert.equal(begun(bits[index]).wantsOther(200, head({ 'grpc-status': other })), false, other);
  }
});

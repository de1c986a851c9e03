import { GRPC, parseGrpcStatus } from '../../protocol/grpc/status.js';
import type { HeadView } from '../../protocol/head.js';
import { RETRY_ON, type RetryPolicy } from '../runtime.js';

/** Bits of `x-envoy-retry-on`; unknown words are ignored (Envoy, "Router: HTTP headers"). */
const WORDS: ReadonlyMap<string, number> = new Map([
  ['5xx', RETRY_ON.FIVE_XX],
  ['gateway-error', RETRY_ON.GATEWAY_ERROR],
  ['reset', RETRY_ON.RESET],
  ['reset-before-request', RETRY_ON.RESET_BEFORE_REQUEST],
  ['connect-failure', RETRY_ON.CONNECT_FAILURE],
  ['retriable-4xx', RETRY_ON.RETRIABLE_4XX],
  ['refused-stream', RETRY_ON.REFUSED_STREAM],
  ['retriable-status-codes', RETRY_ON.RETRIABLE_STATUS_CODES],
  ['retriable-headers', RETRY_ON.RETRIABLE_HEADERS],
  ['envoy-ratelimited', RETRY_ON.ENVOY_RATELIMITED],
]);
/** Bits of `x-envoy-retry-grpc-on`, and the grpc-status of each. */
const GRPC_WORDS: ReadonlyMap<string, number> = new Map([
  ['cancelled', RETRY_ON.CANCELLED],
  ['deadline-exceeded', RETRY_ON.DEADLINE_EXCEEDED],
  ['internal', RETRY_ON.INTERNAL],
  ['resource-exhausted', RETRY_ON.RESOURCE_EXHAUSTED],
  ['unavailable', RETRY_ON.UNAVAILABLE],
]);
const GRPC_BITS: ReadonlyMap<number, number> = new Map([
  [GRPC.CANCELLED, RETRY_ON.CANCELLED],
  [GRPC.DEADLINE_EXCEEDED, RETRY_ON.DEADLINE_EXCEEDED],
  [GRPC.INTERNAL, RETRY_ON.INTERNAL],
  [GRPC.RESOURCE_EXHAUSTED, RETRY_ON.RESOURCE_EXHAUSTED],
  [GRPC.UNAVAILABLE, RETRY_ON.UNAVAILABLE],
]);
const ANY_GRPC = RETRY_ON.CANCELLED | RETRY_ON.DEADLINE_EXCEEDED | RETRY_ON.INTERNAL | RETRY_ON.RESOURCE_EXHAUSTED | RETRY_ON.UNAVAILABLE;
const DEFAULT_BASE_MS = 25;

/** How an attempt ended without a response head. */
export type ResetKind = 'connect' | 'reset' | 'refused' | 'timeout' | 'unsent';

/** Whether, and when, one request is tried again: the route's policy with what the request's own headers say. One object is reused for many requests. */
export class RetryState {
  /** Bits of RETRY_ON; 0: never. */
  on = 0;
  left = 0;
  /** Retries made. */
  made = 0;
  perTryTimeoutMs = 0;
  perTryIdleTimeoutMs = 0;
  #policy: RetryPolicy | undefined = undefined;
  #statusCodes: ReadonlySet<number> | undefined = undefined;
  /** Of `x-envoy-retriable-header-names`. */
  #headerNames: readonly string[] | undefined = undefined;

  /** Begins a request. `trusted`: its `x-envoy-*` headers count. */
  begin(policy: RetryPolicy | undefined, head: HeadView, trusted: boolean): void {
    this.made = 0;
    this.#policy = policy;
    this.#headerNames = undefined;
    if (policy === undefined) {
      this.on = 0;
      this.left = 0;
      this.perTryTimeoutMs = 0;
      this.perTryIdleTimeoutMs = 0;
      this.#statusCodes = undefined;
    } else {
      this.on = policy.retriableRequest === undefined || policy.retriableRequest(head) ? policy.on : 0;
      this.left = policy.numRetries;
      this.perTryTimeoutMs = policy.perTryTimeoutMs;
      this.perTryIdleTimeoutMs = policy.perTryIdleTimeoutMs;
      this.#statusCodes = policy.statusCodes;
    }
    if (trusted) this.#readHeaders(head);
  }

  /** True where a response with this head is not what the client should see, as long as there are retries left. */
  wantsOther(status: number, head: HeadView): boolean {
    const { on } = this;
    if (on === 0) return false;
    if (head.indexOf('x-envoy-ratelimited') >= 0) return (on & RETRY_ON.ENVOY_RATELIMITED) !== 0;
    if (status >= 500 && (on & RETRY_ON.FIVE_XX) !== 0) return true;
    if (status >= 502 && status <= 504 && (on & RETRY_ON.GATEWAY_ERROR) !== 0) return true;
    if (status === 409 && (on & RETRY_ON.RETRIABLE_4XX) !== 0) return true;
    // A status in the trailers comes too late: the response has begun by then.
    if ((on & ANY_GRPC) !== 0 && ((GRPC_BITS.get(parseGrpcStatus(head.known('grpc-status'))) ?? 0) & on) !== 0) return true;
    if ((on & RETRY_ON.RETRIABLE_STATUS_CODES) !== 0 && this.#statusCodes?.has(status) === true) return true;
    if ((on & RETRY_ON.RETRIABLE_HEADERS) === 0) return false;
    return this.#policy?.retriableHeaders?.(head) === true || this.#headerNames?.some((name) => head.indexOf(name) >= 0) === true;
  }
  /** The same for an attempt that ended without a response. Circuit breaking is never a reason to try again. */
  wantsAfter(kind: ResetKind): boolean {
    const { on } = this;
    if ((on & (RETRY_ON.RESET | RETRY_ON.FIVE_XX | RETRY_ON.GATEWAY_ERROR)) !== 0) return true;
    if (kind === 'connect') return (on & (RETRY_ON.CONNECT_FAILURE | RETRY_ON.RESET_BEFORE_REQUEST)) !== 0;
    if (kind === 'refused' && (on & RETRY_ON.REFUSED_STREAM) !== 0) return true;
    return (kind === 'unsent' || kind === 'refused') && (on & RETRY_ON.RESET_BEFORE_REQUEST) !== 0;
  }
  /** Milliseconds to wait before the next attempt: fully jittered exponential back-off (Envoy, `RetryPolicy.retry_back_off`). Counts the retry. `random`: 0 <= r < 1. */
  next(random: number): number {
    const base = this.#policy?.backoffBaseMs ?? DEFAULT_BASE_MS;
    const max = this.#policy?.backoffMaxMs ?? base * 10;
    const limit = Math.min(max, base * 2 ** Math.min(this.made, 30));
    this.made++;
    this.left--;
    return random * limit;
  }
  /** The same where the response itself says how long (`rate_limited_retry_back_off`): never earlier, up to half as long again. Undefined: it does not say. */
  nextAsked(head: HeadView, nowS: number, random: number): number | undefined {
    const askedMs = this.#policy?.askedBackoffMs?.(head, nowS);
    if (askedMs === undefined) return undefined;
    this.made++;
    this.left--;
    return askedMs * (1 + random / 2);
  }
  /** Asks for no attempt at all. */
  switchOff(): void {
    this.on = 0;
    this.perTryTimeoutMs = 0;
    this.perTryIdleTimeoutMs = 0;
  }
  get hostAttempts(): number {
    return this.#policy?.hostSelectionAttempts ?? 1;
  }
  get avoidsPreviousHosts(): boolean {
    return this.#policy?.avoidPreviousHosts === true;
  }

  #add(reasons: string | undefined, words: ReadonlyMap<string, number>): void {
    if (reasons === undefined) return;
    if (this.on === 0) this.left = Math.max(this.left, 1);
    for (const word of reasons.split(',')) this.on |= words.get(word.trim().toLowerCase()) ?? 0;
  }
  #readHeaders(head: HeadView): void {
    const perTry = head.known('x-envoy-upstream-rq-per-try-timeout-ms');
    if (perTry !== undefined) this.perTryTimeoutMs = wholeNumber(perTry) ?? this.perTryTimeoutMs;
    this.#add(head.known('x-envoy-retry-on'), WORDS);
    this.#add(head.get('x-envoy-retry-grpc-on'), GRPC_WORDS);
    const max = head.known('x-envoy-max-retries');
    if (max !== undefined && this.on !== 0) this.left = wholeNumber(max) ?? this.left;
    const names = head.get('x-envoy-retriable-header-names');
    if (names !== undefined) this.#headerNames = names.split(',').map((name) => name.trim().toLowerCase());
    const codes = head.known('x-envoy-retriable-status-codes');
    if (codes === undefined) return;
    const named = codes
      .split(',')
      .map((code) => wholeNumber(code.trim()))
      .filter((code) => code !== undefined);
    this.#statusCodes = new Set([...(this.#statusCodes ?? []), ...named]);
  }
}

/** A decimal number of up to nine digits; undefined where the text is none. */
export function wholeNumber(text: string): number | undefined {
  if (text.length === 0 || text.length > 9) return undefined;
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) < 0x30 || text.charCodeAt(i) > 0x39) return undefined;
  return Number(text);
}

import type * as v3 from '../config/types.js';
import type { Fields } from './context.js';

/** Why a field of a message cannot be done for a request of an RPC protocol. */
type Reasons<T> = Readonly<Partial<Record<keyof T & string, string>>>;

const NO_REWRITE = 'the service and the method of a request of an RPC protocol cannot be rewritten';
const NO_COUNT = 'x-envoy-attempt-count is a header of HTTP';

/** What of a route configuration only HTTP can do, with the reason. */
export const HTTP_ONLY = {
  virtualHost: {
    requireTls: 'a request of an RPC protocol cannot be redirected',
    includeRequestAttemptCount: NO_COUNT,
    includeAttemptCountInResponse: NO_COUNT,
  } satisfies Reasons<v3.VirtualHost>,
  match: {
    queryParameters: 'a request of an RPC protocol has no query',
    grpc: 'a request of an RPC protocol has no content-type',
    connectMatcher: 'CONNECT is a method of HTTP',
  } satisfies Reasons<v3.RouteMatch>,
  forward: {
    prefixRewrite: NO_REWRITE,
    regexRewrite: NO_REWRITE,
    hostRewriteLiteral: NO_REWRITE,
    autoHostRewrite: NO_REWRITE,
    hostRewriteHeader: NO_REWRITE,
    hostRewritePathRegex: NO_REWRITE,
    appendXForwardedHost: 'x-forwarded-host is a header of HTTP',
    idleTimeout: 'a frame is sent at once; use timeout',
    upgradeConfigs: 'an upgrade is of HTTP',
  } satisfies Reasons<v3.RouteAction>,
  weight: { hostRewriteLiteral: NO_REWRITE } satisfies Reasons<v3.ClusterWeight>,
  retry: { perTryIdleTimeout: 'a frame is sent at once; use per_try_timeout' } satisfies Reasons<v3.RetryPolicy>,
};

/** Makes problems of the fields that are set and that only HTTP can do. */
export function refuseHttpOnly<T extends object>(fields: Fields<T>, reasons: Reasons<T>): void {
  for (const [name, why] of Object.entries(reasons) as [keyof T & string, string][]) {
    const value: unknown = fields.get(name);
    const isSet = value !== undefined && value !== false && value !== '' && value !== 'NONE' && !(Array.isArray(value) && value.length === 0);
    if (isSet) fields.problem(name, why, 'UNSUPPORTED');
  }
}

/** What both versions of HTTP need. `native/generate.mjs` turns this file into a part of `native/http1_rules.h`, so it holds data only. */

/** Methods that RFC 9110 §9.2.2 calls idempotent. */
export const IDEMPOTENT_METHODS = ['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS', 'TRACE'] as const;

/**
 * Trailer fields that are dropped: framing, routing, authentication, request control, content format and what is hop-by-hop (RFC 9110 §6.5.1),
 * so that a peer that merges trailers into the head is not fooled. A name that ends with `*` stands for all that begin so.
 */
export const FORBIDDEN_TRAILERS = [
  'authorization',
  'cache-control',
  'connection',
  'content-encoding',
  'content-length',
  'content-range',
  'content-type',
  'cookie',
  'expect',
  'forwarded',
  'host',
  'keep-alive',
  'max-forwards',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'range',
  'set-cookie',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'www-authenticate',
  'x-envoy-*',
  'x-forwarded-*',
] as const;

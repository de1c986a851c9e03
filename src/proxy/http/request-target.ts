import type { Head } from '../../protocol/head.js';
import { HEAD_FLAG } from '../../protocol/head-layout.js';
import type { Exchange } from './exchange.js';
import type { HttpManager } from './http-manager.js';
import { isPlainPath, normalizePath } from './path.js';
import { stripPort } from './request-head.js';

/** Why a request is not routed, and what it is answered. */
export interface Refusal {
  readonly status: number;
  readonly details: string;
  /** Where to go instead; empty: nowhere. */
  readonly location: string;
}
const MISSING_HOST: Refusal = { status: 400, details: 'missing_host_header', location: '' };
const BAD_PATH: Refusal = { status: 400, details: 'path_normalization_failed', location: '' };

/** Reads host, path and upgrade token of a request as they are routed. Answers why it cannot be; undefined where it can. */
export function readTarget(manager: HttpManager, exchange: Exchange, head: Head): Refusal | undefined {
  const { config, normalizes, localPort } = manager;
  const { flags } = exchange;
  let host = head.authority;
  if (host === undefined || (host === '' && (flags & HEAD_FLAG.HTTP_11) === 0)) {
    if (config.defaultHostForHttp10 === '') return MISSING_HOST;
    host = config.defaultHostForHttp10;
    exchange.hostChanged = true;
  }
  if (config.stripHostPort !== 'none') {
    const stripped = stripPort(host, config.stripHostPort, localPort);
    if (stripped !== host) exchange.hostChanged = true;
    host = stripped;
  }
  exchange.host = host;
  let { path } = head;
  if (path === '' && (flags & HEAD_FLAG.CONNECT) === 0) path = '/';
  exchange.path = path;
  if (normalizes && !isPlainPath(path)) {
    const normal = normalizePath(path, config);
    if (normal.kind === 'reject') return BAD_PATH;
    if (normal.kind === 'redirect') {
      manager.stats.rqRedirectedWithNormalizedPath.inc();
      return { status: 307, details: 'path_normalization_failed', location: normal.path };
    }
    exchange.pathChanged = normal.path !== path;
    exchange.path = normal.path;
  }
  if ((flags & HEAD_FLAG.UPGRADE) !== 0) {
    const token = (head.known('upgrade') ?? '').trim().toLowerCase();
    // An offer of h2c may be ignored (RFC 9110 §7.8); passing it on would let the client speak past us.
    if (token !== 'h2c' && !/(?:^|,)\s*h2c\s*(?:,|$)/.test(token)) exchange.upgrade = token;
  }
  if ((flags & HEAD_FLAG.EXTENDED_CONNECT) !== 0) exchange.upgrade = head.protocol.toLowerCase();
  return undefined;
}

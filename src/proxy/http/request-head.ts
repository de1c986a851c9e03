import type { Address } from '../../network/engine.js';
import type { Edits } from '../../protocol/edits.js';
import type { Head } from '../../protocol/head.js';
import { KNOWN_ID, type KnownName } from '../../protocol/head-layout.js';
import type { HttpManagerConfig } from '../runtime.js';
import { forwardedAddress, isInternalAddress } from './internal-address.js';

/** Headers that only a caller inside the mesh may give us (Envoy, "HTTP header sanitizing"). */
const INTERNAL_NAMES: readonly KnownName[] = [
  'x-envoy-upstream-rq-timeout-ms',
  'x-envoy-upstream-rq-per-try-timeout-ms',
  'x-envoy-max-retries',
  'x-envoy-retry-on',
  'x-envoy-expected-rq-timeout-ms',
  'x-envoy-internal',
  'x-envoy-upstream-alt-stat-name',
  'x-envoy-retriable-status-codes',
  'x-envoy-hedge-on-per-try-timeout',
];
const INTERNAL_OTHERS = [
  'x-envoy-force-trace',
  'x-envoy-ip-tags',
  'x-envoy-original-url',
  'x-envoy-retriable-header-names',
  'x-envoy-retry-grpc-on',
  'x-envoy-upstream-rq-timeout-alt-response',
] as const;
/** And those that the edge takes off on top. */
const EDGE_NAMES: readonly KnownName[] = ['x-envoy-decorator-operation'];
const EDGE_OTHERS = ['x-envoy-downstream-service-cluster', 'x-envoy-downstream-service-node', 'x-envoy-external-address'] as const;

/** By known id: 1 taken off where the request is not internal, 2 only at the edge. */
const SANITIZED = new Uint8Array(256);
for (const name of INTERNAL_NAMES) SANITIZED[KNOWN_ID[name]] = 1;
for (const name of EDGE_NAMES) SANITIZED[KNOWN_ID[name]] = 2;
SANITIZED[KNOWN_ID['x-envoy-external-address']] = 2;

/** Where a request comes from, as far as we trust what it says. */
export interface Origin {
  /** From inside the mesh: its `x-envoy-*` headers count. */
  internal: boolean;
  /** We are the edge: an external request on a manager with `use_remote_address`. */
  edge: boolean;
  /** The caller's address: the connection's, or one that trusted proxies forwarded. */
  remote: Address | undefined;
}

/** Fills `origin` for a request (Envoy, "x-forwarded-for", "x-envoy-internal"). `remote`: the connection's other end, where the configuration asks for it. */
export function findOrigin(head: Head, config: HttpManagerConfig, remote: Address | undefined, origin: Origin): void {
  const hasForwardedFor = head.knownIndex('x-forwarded-for') >= 0;
  origin.internal = false;
  origin.remote = remote;
  // With use_remote_address the nearest hop is the connection itself, and nothing that was forwarded makes a request internal.
  const hops = config.useRemoteAddress ? config.xffTrustedHops - 1 : config.xffTrustedHops;
  if (config.useRemoteAddress) origin.internal = !hasForwardedFor && remote !== undefined && ('path' in remote || isInternalAddress(remote.ip));
  const found = hasForwardedFor && hops >= 0 ? forwardedAddress(head.getAll('x-forwarded-for') ?? '', hops) : undefined;
  if (found !== undefined) {
    if (!config.useRemoteAddress) origin.internal = found.isSingle && isInternalAddress(found.ip);
    origin.remote = { ip: found.ip, port: 0 };
  }
  origin.edge = config.useRemoteAddress && !origin.internal;
}

const CLIENT_CERT = 'x-forwarded-client-cert';

/**
 * Takes off what an outsider must not tell us, and `x-forwarded-client-cert` unless `keepsClientCert`: on a connection without a client certificate every
 * other way of `forward_client_cert_details` comes to this. Called before any `append`.
 */
export function sanitize(head: Head, origin: Origin, keepsClientCert: boolean, edits: Edits): void {
  const { bytes, count } = head;
  const { edge, internal } = origin;
  for (let index = 0; index < count; index++) {
    const id = head.knownIdAt(index);
    if (id !== 0) {
      const rule = SANITIZED[id];
      if (rule !== 0 && !internal && (rule === 1 || edge)) edits.drop(index);
      continue;
    }
    const start = head.nameStart(index);
    // `x-e...` or `x-f...`: anything else cannot be one of ours.
    const third = bytes[start + 2] | 0x20;
    if ((bytes[start] | 0x20) !== 0x78 || bytes[start + 1] !== 0x2d || (third !== 0x65 && third !== 0x66)) continue;
    const name = head.nameAt(index).toLowerCase();
    if (name === CLIENT_CERT) {
      if (!keepsClientCert) edits.drop(index);
    } else if (!internal && ((INTERNAL_OTHERS as readonly string[]).includes(name) || (edge && (EDGE_OTHERS as readonly string[]).includes(name)))) {
      edits.drop(index);
    }
  }
}

/** A host without its port: for `any`, or where the port is `localPort`. `[::1]:80` keeps its brackets. */
export function stripPort(host: string, rule: HttpManagerConfig['stripHostPort'], localPort: number | undefined): string {
  if (rule === 'none') return host;
  const colon = host.lastIndexOf(':');
  if (colon < 0 || host.indexOf(']', colon) >= 0) return host;
  const port = host.slice(colon + 1);
  if (!/^\d+$/.test(port)) return host;
  return rule === 'any' || Number(port) === localPort ? host.slice(0, colon) : host;
}

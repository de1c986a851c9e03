import { isIP } from 'node:net';

/** True for RFC 1918 addresses, `fd00::/8` and the loopback addresses: what Envoy's HTTP connection manager takes for internal by default. */
export function isInternalAddress(ip: string): boolean {
  if (ip.startsWith('::ffff:')) return isInternalAddress(ip.slice(7));
  if (ip.startsWith('10.') || ip.startsWith('192.168.') || ip === '127.0.0.1' || ip === '::1') return true;
  if (ip.startsWith('172.')) {
    const second = Number.parseInt(ip.slice(4), 10);
    return second >= 16 && second <= 31;
  }
  return ip.length > 3 && ip.slice(0, 2).toLowerCase() === 'fd' && ip.includes(':');
}

/**
 * The address that `hops` trusted proxies in front of us vouch for in an `x-forwarded-for` value: the last one with 0 hops, the one before with 1, ...
 * Undefined where there is none there, or no IP address. `isSingle`: the value names one address only.
 */
export function forwardedAddress(value: string, hops: number): { readonly ip: string; readonly isSingle: boolean } | undefined {
  const addresses = value.split(',');
  const text = addresses.at(-1 - hops)?.trim();
  return text !== undefined && isIP(text) !== 0 ? { ip: text, isSingle: addresses.length === 1 } : undefined;
}

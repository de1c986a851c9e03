/** Which socket options the fallback engine takes, and addresses in Node's forms. */
import { isIP, type NetConnectOpts, type Socket } from 'node:net';
import { ConfigError } from '../base/errors.js';
import type { Address, ConnectionInfo, ConnectOptions, ListenOptions, SocketOptions } from './engine.js';

/** True where `net.Server` knows `reusePort` (Node 23.1 and 22.12; older ones ignore it silently). */
export function knowsReusePort(version: string = process.versions.node): boolean {
  const [major, minor] = version.split('.').map(Number);
  return major > 23 || (major === 23 && minor >= 1) || (major === 22 && minor >= 12);
}

/** Throws ConfigError for an option that Node has no way to set, so that a configuration fails at load and not half-way (DESIGN §2). */
export function checkSocketOptions(options: SocketOptions): void {
  refuse(options.mark !== undefined, 'SO_MARK');
  refuse(options.transparent === true, 'IP_TRANSPARENT');
  refuse(options.freebind === true, 'IP_FREEBIND');
}
export function checkListenOptions(options: ListenOptions): void {
  checkSocketOptions(options);
  refuse(options.originalDst === true, 'SO_ORIGINAL_DST');
  if (options.reusePort === true && !knowsReusePort()) {
    throw new ConfigError(`the fallback engine has no SO_REUSEPORT on Node ${process.versions.node}: it needs Node 23.1, or the native engine`);
  }
}
function refuse(asked: boolean, what: string): void {
  if (asked) throw new ConfigError(`the fallback engine has no ${what}: it needs the native engine`);
}

/** A path as Node takes it: Linux's abstract namespace begins with NUL. */
export const socketPath = (path: string): string => (path.startsWith('@') ? `\0${path.slice(1)}` : path);
export const isAbstract = (path: string): boolean => path.startsWith('@') || path.startsWith('\0');

/** For error texts: `ip:port`, `[ip]:port` or the path. */
export function addressText(address: Address): string {
  if ('path' in address) return address.path.replace(/^\0/, '@');
  return address.ip.includes(':') ? `[${address.ip}]:${address.port}` : `${address.ip}:${address.port}`;
}

/** Options of `net.connect`. Probe count and interval of keep-alive are the system's: Node cannot set them. */
export function connectOptions(options: ConnectOptions): NetConnectOpts & { allowHalfOpen: true } {
  checkSocketOptions(options);
  const { address, source, keepAlive } = options;
  if ('path' in address) return { path: socketPath(address.path), allowHalfOpen: true };
  // A name would be looked up by Node; resolving names is the control plane's.
  if (isIP(address.ip) === 0 || (source !== undefined && isIP(source.ip) === 0)) {
    throw new ConfigError(`not an address: ${address.ip} from ${source?.ip ?? 'any'}`);
  }
  return {
    host: address.ip,
    port: address.port,
    allowHalfOpen: true,
    autoSelectFamily: false,
    noDelay: options.noDelay !== false,
    ...(keepAlive === undefined ? {} : { keepAlive: true, keepAliveInitialDelay: (keepAlive.idleS ?? 0) * 1000 }),
    ...(source === undefined ? {} : { localAddress: source.ip, localPort: source.port }),
  };
}

/** Both ends of a socket; `path`: where it is a Unix socket. Undefined where the system does not know them any more. */
export function socketInfo(socket: Socket, path: string | undefined, accepted: boolean): ConnectionInfo | undefined {
  if (path !== undefined) return accepted ? { local: { path }, remote: { path: '' } } : { local: { path: '' }, remote: { path } };
  const { localAddress, localPort, remoteAddress, remotePort } = socket;
  if (localAddress === undefined || localPort === undefined || remoteAddress === undefined || remotePort === undefined) return undefined;
  return { local: { ip: plainIp(localAddress), port: localPort }, remote: { ip: plainIp(remoteAddress), port: remotePort } };
}

/** An IPv4 peer of a dual-stack listener is shown as what it is. */
const plainIp = (ip: string): string => (ip.startsWith('::ffff:') && ip.includes('.') ? ip.slice(7) : ip);
